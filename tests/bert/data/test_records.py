"""Records that are made or found in one call."""

import os

from bert.data import records as record_files
from tests.bert.data.test_batches import LENGTH, window
from train.data import records


def test_records_are_made_once(tmp_path, monkeypatch):
    path = str(tmp_path / "train.tf_record")
    calls, messages = [], []
    monkeypatch.setattr(record_files.log, "info", lambda message, *values: messages.append(message % values))

    def examples():
        calls.append(1)
        return records.window_examples([window(number, 5) for number in range(3)], LENGTH)

    def unused():
        raise AssertionError("read, though the records are there")
        yield

    assert record_files.made(path, "test", examples) == 3 and len(calls) == 1
    assert messages[-1] == f"wrote {path}: 3 windows"
    for source in (examples, unused()):
        assert record_files.made(path, "test", source, what="windows of 2 sentences") == 3 and len(calls) == 1
        assert messages[-1] == f"{path} is up to date, 3 windows of 2 sentences"
    assert record_files.made(path, "test", examples, shards=2) == 3 and len(calls) == 2
    assert sorted(name for name in os.listdir(str(tmp_path)) if "-of-" in name) == [
        f"train.tf_record-0000{number}-of-00002" for number in (0, 1)
    ]
    assert record_files.made(path, "other", examples(), shards=2) == 3
    assert record_files.is_current(path, "other", 2)
