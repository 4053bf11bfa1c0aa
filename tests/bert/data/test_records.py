"""Records that are made or found in one call."""

import json
import os

import pytest

from bert.data import records as record_files
from bert.system.errors import UserError
from tests.bert.data.window_records import LENGTH, start_of_an_endless_record, window
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


def made_anew(path, monkeypatch, shards=1):
    """What `made` warns of, once it has written the records again; None where it found nothing wrong."""
    warnings = []
    monkeypatch.setattr(record_files.log, "warning", lambda message, *values: warnings.append(message % values))
    examples = [window(number, 5) for number in range(20)]
    assert record_files.made(path, "test", records.window_examples(examples, LENGTH), shards) == 20
    return warnings[-1] if warnings else None


@pytest.mark.parametrize("shards", [1, 3])
def test_damaged_records_are_found_before_training_and_written_anew(shards, tmp_path, monkeypatch):
    path = str(tmp_path / "train.tf_record")
    made_anew(path, monkeypatch, shards)
    (file, *_) = record_files.shard_names(path, shards)
    with open(file, "rb") as reader:
        whole = reader.read()
    assert made_anew(path, monkeypatch, shards) is None
    flipped = whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]
    endless = whole + start_of_an_endless_record(tmp_path)
    for content in (flipped, whole[:-3], b"\xff" * len(whole), whole + b"x", b"", whole + whole, endless):
        with open(file, "wb") as writer:
            writer.write(content)
        said = made_anew(path, monkeypatch, shards)
        assert said.startswith((f"{file}: ", f"{path}: ")) and said.count(path) == 1
        assert said.endswith("; all records are written anew")
        with open(file, "rb") as reader:
            assert reader.read() == whole
        assert made_anew(path, monkeypatch, shards) is None


@pytest.mark.parametrize(
    "fingerprint",
    [
        None, [], {}, {"made_from": "test"}, {"made_from": "test", "records": -1}, {"records": 20},
        {"made_from": "test", "records": "20"}, {"made_from": "test", "records": True},
        {"made_from": "test", "records": 20, "shards": 0}, {"made_from": "test", "records": 20, "shards": None},
    ],
)  # fmt: skip
def test_a_damaged_fingerprint(fingerprint, tmp_path, monkeypatch):
    path = str(tmp_path / "train.tf_record")
    made_anew(path, monkeypatch)
    (tmp_path / "train.tf_record.json").write_text(json.dumps(fingerprint))
    with pytest.raises(UserError, match="train.tf_record.json: "):
        record_files.count_records(path)
    made_anew(path, monkeypatch)
    assert record_files.count_records(path) == 20


def test_a_fingerprint_of_another_number(tmp_path, monkeypatch):
    path = str(tmp_path / "train.tf_record")
    made_anew(path, monkeypatch)
    (tmp_path / "train.tf_record.json").write_text(json.dumps({"made_from": "test", "records": 19}))
    assert made_anew(path, monkeypatch) == f"{path}: 20 records; expected 19; all records are written anew"


def test_an_example_has_the_same_bytes_in_every_process():
    """Old releases of protobuf write the features in an order that differs between processes."""
    values = {f"feature {i}": [i, i + 1] for i in range(40)}
    orders = sorted(values), sorted(values, reverse=True)
    examples = [record_files.make_example({name: values[name] for name in names}) for names in orders]
    assert examples[0] == examples[1]
    assert record_files.serialized(examples[0]) == record_files.serialized(examples[1])
