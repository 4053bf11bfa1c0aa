"""Record files and their fingerprints; the order in which training sees them, interrupted or not."""

import collections
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bert import records as record_files
from bert.errors import UserError
from train import records
from train.features import Encoded
from train.labels import label_ids

NAMES = ["O", "B-A", "I-A", "X", "[CLS]", "[SEP]"]
IDS = label_ids(NAMES)
LENGTH = 8


def window(number, size):
    """A window whose first piece after [CLS] has the id 100 + number."""
    labels = [IDS["[CLS]"]] + [IDS["B-A"], IDS["X"], IDS["O"], IDS["I-A"]][: size - 2] + [IDS["[SEP]"]]
    input_ids = [2, 100 + number] + list(range(10, 10 + size - 3)) + [3]
    return Encoded(["?"] * size, input_ids, labels, [(1, 0)], slice(1, 2), number)


def write(path, count, made_from="test"):
    windows = [window(number, 3 + number % 4) for number in range(count)]
    assert records.write_records(str(path), windows, LENGTH, made_from) == count
    return windows


def batches(path, steps, is_training=False, graph_seed=None, label_ids=IDS, params=None, batch_size=4, **kwargs):
    """The first `steps` batches, or all up to the end."""
    kwargs.setdefault("drop_remainder", False)
    input_fn = records.file_based_input_fn_builder(
        str(path), LENGTH, is_training, label_ids=label_ids, batch_size=batch_size, **kwargs
    )
    found = []
    with tf.Graph().as_default(), tf.Session() as session:
        if graph_seed is not None:
            tf.set_random_seed(graph_seed)
        features = tf.data.make_one_shot_iterator(input_fn(params)).get_next()
        assert all(value.dtype == tf.int32 for value in features.values())
        try:
            while len(found) != steps:
                found.append(session.run(features))
        except tf.errors.OutOfRangeError:
            pass
    return found


def numbers(found):
    """The numbers of the windows of some batches, one list."""
    return [int(number) - 100 for batch in found for number in batch["input_ids"][:, 1]]


def test_fields_types_and_padding(tmp_path):
    path = tmp_path / "train.tf_record"
    windows = write(path, 5)
    found = [tf.train.Example.FromString(record) for record in tf.io.tf_record_iterator(str(path))]
    assert len(found) == 5 == record_files.count_records(str(path))
    for example, expected in zip(found, windows):
        size = len(expected.input_ids)
        fields = {name: feature.int64_list.value for name, feature in example.features.feature.items()}
        assert {name: list(value) for name, value in fields.items()} == {
            "input_ids": expected.input_ids + [0] * (LENGTH - size),
            "input_mask": [1] * size + [0] * (LENGTH - size),
            "segment_ids": [0] * LENGTH,
            "label_ids": expected.label_ids + [0] * (LENGTH - size),
        }
    assert sorted(os.listdir(str(tmp_path))) == ["train.tf_record", "train.tf_record.json"]


def test_a_full_window_has_no_padding(tmp_path):
    path = str(tmp_path / "records")
    full = Encoded(["?"] * LENGTH, list(range(1, 9)), [5, 1, 1, 1, 1, 1, 1, 6], [], slice(1, 7), 0)
    records.write_records(path, [full], LENGTH, None)
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
        records.write_records(str(path), cut_short(), LENGTH, "test")
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


def test_evaluation_goes_through_the_file_in_order(tmp_path):
    path = tmp_path / "records"
    windows = write(path, 10)
    found = batches(path, None)
    assert [len(batch["input_ids"]) for batch in found] == [4, 4, 2]
    assert numbers(found) == list(range(10))
    for start, batch in zip((0, 4, 8), found):
        chosen = windows[start : start + 4]
        longest = max(len(each.input_ids) for each in chosen)
        assert set(batch) == {"input_ids", "input_mask", "segment_ids", "label_ids", "word_start"}
        assert all(value.shape == (len(chosen), longest) for value in batch.values())
        for row, each in enumerate(chosen):
            size = len(each.input_ids)
            assert batch["input_ids"][row].tolist() == each.input_ids + [0] * (longest - size)
            assert batch["input_mask"][row].tolist() == [1] * size + [0] * (longest - size)
            assert batch["label_ids"][row].tolist() == each.label_ids + [0] * (longest - size)
            # [CLS] B-A X O I-A [SEP] as far as the window goes.
            starts = [0] + [1, 0, 1, 1][: size - 2] + [0]
            assert batch["word_start"][row].tolist() == starts + [0] * (longest - size)
    assert not any(batch["segment_ids"].any() for batch in found)


def test_word_start_goes_by_the_label_map(tmp_path):
    """Other orders of labels have other ids for X, [CLS] and [SEP]."""
    path = tmp_path / "records"
    write(path, 1)
    ids = label_ids(["X", "O", "[SEP]", "B-A", "[CLS]", "I-A"])
    labels = [ids[name] for name in ("[CLS]", "O", "X", "X", "I-A", "B-A", "[SEP]")]
    records.write_records(str(path), [Encoded([], [1] * 7, labels, [], slice(0), 0)], LENGTH, None)
    (batch,) = batches(path, None, label_ids=ids)
    assert batch["word_start"].tolist() == [[0, 1, 0, 0, 1, 1, 0]]


def test_full_batches_and_full_lengths_for_static_shapes(tmp_path):
    path = tmp_path / "records"
    write(path, 10)
    found = batches(path, None, drop_remainder=True, trim=False)
    assert numbers(found) == list(range(8))
    assert all(value.shape == (4, LENGTH) for batch in found for value in batch.values())
    for is_training in (False, True):
        input_fn = records.file_based_input_fn_builder(str(path), LENGTH, is_training, True, IDS, 4, trim=False)
        with tf.Graph().as_default():
            shapes = tf.data.get_output_shapes(input_fn({}))
        assert {tuple(shape.as_list()) for shape in shapes.values()} == {(4, LENGTH)}
    assert all(np.array_equal(a[name], b[name]) for a, b in zip(found, batches(path, 2, trim=False)) for name in a)


def test_the_estimators_batch_size_goes_before(tmp_path):
    path = tmp_path / "records"
    write(path, 7)
    assert [len(batch["input_ids"]) for batch in batches(path, None, params={"batch_size": 3})] == [3, 3, 1]
    assert [len(batch["input_ids"]) for batch in batches(path, None, params={})] == [4, 3]


def epochs(found, count):
    return [found[start : start + count] for start in range(0, len(found) - count + 1, count)]


def test_training_sees_every_record_once_an_epoch(tmp_path):
    path = tmp_path / "records"
    write(path, 10)
    found = numbers(batches(path, 15, is_training=True, seed=7))  # 6 epochs; batches straddle them
    assert len(found) == 60
    orders = epochs(found, 10)
    assert [sorted(order) for order in orders] == [list(range(10))] * 6
    assert len(set(map(tuple, orders))) == 6 and list(range(10)) not in orders


def test_a_shuffle_through_a_small_buffer(tmp_path, monkeypatch):
    monkeypatch.setattr(record_files, "SHUFFLE_BUFFER", 3)
    path = tmp_path / "records"
    write(path, 10)
    found = numbers(batches(path, 10, is_training=True, seed=7))
    assert [sorted(order) for order in epochs(found, 10)] == [list(range(10))] * 4
    assert numbers(batches(path, 7, is_training=True, seed=7, start_step=3)) == found[12:]


def test_the_order_depends_on_the_seed_alone(tmp_path):
    path = tmp_path / "records"
    write(path, 10)
    first = numbers(batches(path, 10, is_training=True, seed=7, graph_seed=1))
    assert numbers(batches(path, 10, is_training=True, seed=7, graph_seed=1)) == first
    assert numbers(batches(path, 10, is_training=True, seed=8, graph_seed=1)) != first
    # As many at a time as you like.
    assert numbers(batches(path, 5, is_training=True, seed=7, graph_seed=1, batch_size=8)) == first


@pytest.mark.parametrize("seed,graph_seed", [(0, 0), (None, None), (0, None)])
def test_seed_zero_and_none_are_seeds_too(seed, graph_seed, tmp_path):
    path = tmp_path / "records"
    write(path, 10)
    runs = [numbers(batches(path, 10, is_training=True, seed=seed, graph_seed=graph_seed)) for _ in range(2)]
    assert runs[0] == runs[1] and runs[0][:10] != runs[0][10:20]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """(folder, {records: ids of the first 48 windows training sees})."""
    folder = tmp_path_factory.mktemp("records")
    found = {}
    for count in (1, 5, 8, 12):
        write(folder / str(count), count)
        found[count] = numbers(batches(folder / str(count), 48, is_training=True, seed=3, graph_seed=3, batch_size=1))
    return folder, found


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), count=st.sampled_from([1, 5, 8, 12]), batch_size=st.sampled_from([1, 2, 3, 4, 7]))
def test_a_run_started_again_goes_on_where_it_was(uninterrupted, data, count, batch_size):
    """At the borders of epochs and in batches that straddle them, and with more than one epoch in a batch."""
    folder, found = uninterrupted
    start_step = data.draw(st.integers(0, 40 // batch_size))
    steps = (48 - start_step * batch_size) // batch_size
    again = batches(
        folder / str(count),
        steps,
        is_training=True,
        seed=3,
        graph_seed=3,
        start_step=start_step,
        params={"batch_size": batch_size},
    )
    begin = start_step * batch_size
    assert numbers(again) == found[count][begin : begin + steps * batch_size]
    assert collections.Counter(len(batch["input_ids"]) for batch in again) == {batch_size: steps}
