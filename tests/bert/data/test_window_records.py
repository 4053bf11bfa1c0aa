"""Record files of windows: their fields, and the fingerprint that says what they were made from."""

import os

import pytest
import tensorflow.compat.v1 as tf

from bert.data import records as record_files
from bert.system.errors import UserError
from tests.bert.data.window_records import LENGTH, NAMES, batches, window, write
from train.data import records
from train.data.windows import Encoded


def test_fields_types_and_padding(tmp_path):
    path = tmp_path / "train.tf_record"
    windows = write(path, 5)
    found = [tf.train.Example.FromString(record) for record in tf.io.tf_record_iterator(str(path))]
    assert len(found) == 5 == record_files.count_records(str(path))
    for record, expected in zip(found, windows):
        size = len(expected.input_ids)
        fields = {name: feature.int64_list.value for name, feature in record.features.feature.items()}
        assert {name: list(value) for name, value in fields.items()} == {
            "input_ids": expected.input_ids + [0] * (LENGTH - size),
            "input_mask": [1] * size + [0] * (LENGTH - size),
            "segment_ids": [0] * LENGTH,
            "label_ids": expected.label_ids + [0] * (LENGTH - size),
        }
    assert sorted(os.listdir(str(tmp_path))) == ["train.tf_record", "train.tf_record.json"]


def test_a_full_window_has_no_padding(tmp_path):
    path = str(tmp_path / "records")
    full = Encoded(["?"] * LENGTH, list(range(1, 9)), None, [5, 1, 1, 1, 1, 1, 1, 6], slice(1, 7), None)
    record_files.write_records(path, records.window_examples([full], LENGTH), None)
    (batch,) = batches(path, None)
    assert batch["input_ids"].tolist() == [list(range(1, 9))] and batch["input_mask"].all()


@pytest.fixture
def settings_of_a_run(tmp_path):
    (tmp_path / "train.txt").write_text("a O\n")
    (tmp_path / "vocab.txt").write_text("[UNK]\na\n")
    return {
        "data_file": str(tmp_path / "train.txt"),
        "vocab_file": str(tmp_path / "vocab.txt"),
        "labels": list(NAMES),
        "do_lower_case": True,
        "max_seq_length": LENGTH,
    }


def test_records_are_used_again_only_if_made_from_the_same(tmp_path, settings_of_a_run):
    path = str(tmp_path / "train.tf_record")
    assert not record_files.is_current(path, records.fingerprint(**settings_of_a_run))
    write(path, 3, records.fingerprint(**settings_of_a_run))
    assert record_files.is_current(path, records.fingerprint(**settings_of_a_run))
    assert record_files.is_current(path, records.fingerprint(**dict(settings_of_a_run, labels=tuple(NAMES))))
    for name, value in {
        "labels": NAMES[::-1],
        "do_lower_case": False,
        "max_seq_length": LENGTH + 1,
        "context": 2,
    }.items():
        assert not record_files.is_current(path, records.fingerprint(**dict(settings_of_a_run, **{name: value}))), name
    for name in ("data_file", "vocab_file"):
        with open(settings_of_a_run[name], "a") as writer:
            writer.write("b O\n")
        assert not record_files.is_current(path, records.fingerprint(**settings_of_a_run)), name
        write(path, 3, records.fingerprint(**settings_of_a_run))
        assert record_files.is_current(path, records.fingerprint(**settings_of_a_run))
    # Content counts, not name and time.
    os.rename(settings_of_a_run["data_file"], str(tmp_path / "other.txt"))
    moved = dict(settings_of_a_run, data_file=str(tmp_path / "other.txt"))
    assert record_files.is_current(path, records.fingerprint(**moved))


def test_records_of_another_format_are_not_used(tmp_path, settings_of_a_run, monkeypatch):
    path = str(tmp_path / "train.tf_record")
    write(path, 3, records.fingerprint(**settings_of_a_run))
    monkeypatch.setattr(records, "FORMAT", records.FORMAT + 1)
    assert not record_files.is_current(path, records.fingerprint(**settings_of_a_run))


@pytest.mark.parametrize("missing", ["train.tf_record", "train.tf_record.json"])
def test_one_file_of_the_two_is_not_enough(missing, tmp_path):
    write(tmp_path / "train.tf_record", 3)
    assert record_files.is_current(str(tmp_path / "train.tf_record"), "test")
    os.remove(str(tmp_path / missing))
    assert not record_files.is_current(str(tmp_path / "train.tf_record"), "test")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "{}", '{"made_from": "other"}', "\udcff"])
def test_a_damaged_fingerprint_is_none(content, tmp_path):
    path = tmp_path / "train.tf_record"
    write(path, 3)
    (tmp_path / "train.tf_record.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert not record_files.is_current(str(path), "test")
    write(path, 4)
    assert record_files.is_current(str(path), "test") and record_files.count_records(str(path)) == 4


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_fingerprint_never_stands_beside_other_records(error, tmp_path):
    """Whenever writing ends too early, the records there are are those of before, and they have no fingerprint."""
    path = tmp_path / "train.tf_record"
    write(path, 3)
    before = path.read_bytes()

    def cut_short():
        yield window(0, 5)
        assert os.listdir(str(tmp_path)).count("train.tf_record.json") == 0
        raise error

    with pytest.raises(error):
        record_files.write_records(str(path), records.window_examples(cut_short(), LENGTH), "test")
    assert path.read_bytes() == before
    assert os.listdir(str(tmp_path)) == ["train.tf_record"]
    assert not record_files.is_current(str(path), "test")


def test_records_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "train.tf_record"
    write(path, 3)
    before = path.read_bytes()
    for place in ("missing/train.tf_record", "file/train.tf_record"):
        with pytest.raises(UserError, match="train.tf_record: cannot be written: "):
            write(tmp_path / place, 3)
    os.symlink("/dev/full", f"{path}.tmp-{os.getpid()}")
    with pytest.raises(UserError, match="train.tf_record: cannot be written: "):
        write(path, 50)
    assert path.read_bytes() == before
    assert sorted(os.listdir(str(tmp_path))) == ["file", "train.tf_record"]
