"""The order in which training, evaluation and prediction see records, interrupted or not."""

import collections
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import example, given
from hypothesis import strategies as st

from bert.data import batches as data_batches
from bert.data import records as record_files
from bert.data.batches import Reading
from tests.bert.data.window_records import FEW, IDS, LENGTH, batches, numbers, window, write
from train.data import records
from train.data.labels import label_ids
from train.data.windows import Encoded


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
    windows = [Encoded([], [1] * 7, None, labels, slice(0), None)]
    record_files.write_records(str(path), records.window_examples(windows, LENGTH), None)
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
    monkeypatch.setattr(data_batches, "SHUFFLE_BUFFER", 3)
    path = tmp_path / "records"
    write(path, 10)
    found = numbers(batches(path, 10, is_training=True, seed=7))
    assert [sorted(order) for order in epochs(found, 10)] == [list(range(10))] * 4
    assert numbers(batches(path, 7, is_training=True, seed=7, start_step=3)) == found[12:]


@pytest.mark.one_tensorflow  # test_record_order.py has the same everywhere, on fewer records
def test_the_order_depends_on_the_seed_alone(tmp_path):
    path = tmp_path / "records"
    write(path, 10)
    first = numbers(batches(path, 10, is_training=True, seed=7, graph_seed=1))
    assert numbers(batches(path, 10, is_training=True, seed=7, graph_seed=1)) == first
    assert numbers(batches(path, 10, is_training=True, seed=8, graph_seed=1)) != first
    # As many at a time as you like.
    assert numbers(batches(path, 5, is_training=True, seed=7, graph_seed=1, batch_size=8)) == first


@pytest.mark.one_tensorflow  # test_record_order.py has the same everywhere, on fewer records
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


@pytest.mark.one_tensorflow  # test_record_order.py has the same everywhere, on fewer records
@FEW
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


def test_a_prediction_s_batches_by_length_say_where_they_are_from(tmp_path, monkeypatch):
    """Every record once, sorted within each pool of so many batches; the position puts them in order again."""
    monkeypatch.setattr(data_batches, "POOL_BATCHES", 3)
    path = tmp_path / "records"
    windows = write(path, 29)
    found = batches(path, None, by_length=True)
    assert [len(batch["position"]) for batch in found] == [4] * 7 + [1]
    positions = np.concatenate([batch["position"] for batch in found]).tolist()
    assert positions == numbers(found) and sorted(positions) == list(range(29))
    for start in (0, 12, 24):
        pool = positions[start : start + 12]
        # Of one length, in the order of the file.
        assert pool == sorted(range(start, min(start + 12, 29)), key=lambda i: (len(windows[i].input_ids), i))


@pytest.fixture(scope="module")
def sorted_batches(tmp_path_factory):
    """`sorted_batches(count, batch_size, pool_batches, steps, ...)`: the batches of a file of so many windows."""
    folder = tmp_path_factory.mktemp("by_length")
    written = set()

    def run(count, batch_size, pool_batches, steps, **kwargs):
        path = folder / str(count)
        if count not in written:
            rng = np.random.RandomState(count)
            windows = [window(number, 3 + rng.randint(4)) for number in range(count)]
            record_files.write_records(str(path), records.window_examples(windows, LENGTH), "test")
            written.add(count)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(data_batches, "POOL_BATCHES", pool_batches)
            kwargs = dict({"is_training": True, "seed": 3, "graph_seed": 3, "by_length": True}, **kwargs)
            return batches(path, steps, params={"batch_size": batch_size}, **kwargs)

    return run


@pytest.mark.one_tensorflow  # test_record_order.py has the same everywhere, on fewer records
@FEW
@given(st.sampled_from([1, 2, 3]), st.integers(1, 9), st.integers(1, 5), st.integers(0, 20))
@example(2, 9, 5, 3)
@example(1, 7, 4, 0)
def test_training_by_length_sees_every_record_once_an_epoch(sorted_batches, batch_size, per_epoch, pool_batches, seed):
    """Where batches divide the records; no pool reaches from one epoch into the next, whatever its size."""
    found = sorted_batches(per_epoch * batch_size, batch_size, pool_batches, 3 * per_epoch, seed=seed)
    for epoch in epochs(found, per_epoch):
        assert sorted(numbers(epoch)) == list(range(per_epoch * batch_size))


def test_by_length_every_record_is_seen_as_often_where_batches_do_not_divide_them(sorted_batches):
    """What is left over begins the next epoch: after 10 epochs of 10 records in batches of 3, each was seen 9 to 11
    times at any step, and all batches are full."""
    found = sorted_batches(10, 3, 2, 33)
    assert {len(batch["input_ids"]) for batch in found} == {3}
    seen = collections.Counter(numbers(found))
    assert len(seen) == 10 and set(seen.values()) <= {9, 10, 11}


@pytest.mark.one_tensorflow  # test_record_order.py has the same everywhere, on fewer records
@FEW
@given(st.sampled_from([(12, 2), (10, 3), (20, 2), (3, 4)]), st.integers(1, 7), st.integers(0, 24))
def test_training_by_length_goes_on_where_it_was(sorted_batches, shape, pool_batches, start_step):
    """Amid a pool, at its borders and at an epoch's."""
    whole = sorted_batches(*shape, pool_batches, 28)
    again = sorted_batches(*shape, pool_batches, 28 - start_step, start_step=start_step)
    assert [batch["input_ids"].tolist() for batch in again] == [
        batch["input_ids"].tolist() for batch in whole[start_step:]
    ]


@pytest.mark.one_tensorflow  # test_record_order.py has the same everywhere, on fewer records
def test_batches_by_length_depend_on_the_seed_alone(sorted_batches):
    first, again, other = (numbers(sorted_batches(40, 4, 4, 20, seed=seed)) for seed in (7, 7, 8))
    assert first == again != other
    assert numbers(sorted_batches(40, 4, 4, 20, seed=None, graph_seed=None)) == numbers(
        sorted_batches(40, 4, 4, 20, seed=None, graph_seed=None)
    )


@pytest.mark.one_tensorflow
def test_batches_by_length_hold_little_padding_and_come_in_no_order(sorted_batches):
    found, plain = (sorted_batches(160, 4, 40, 40, by_length=by_length) for by_length in (True, False))
    shares = [
        sum((batch["input_mask"] == 0).sum() for batch in run) / sum(batch["input_mask"].size for batch in run)
        for run in (found, plain)
    ]
    assert shares[0] < 0.02 < 0.15 < shares[1]
    lengths = [batch["input_mask"].shape[1] for batch in found]
    assert lengths != sorted(lengths) and set(lengths[:15]) == {3, 4, 5, 6}
    # Another epoch puts other examples together.
    second = sorted_batches(160, 4, 40, 40, start_step=40)
    assert {tuple(sorted(numbers([batch]))) for batch in found} != {tuple(sorted(numbers([batch]))) for batch in second}


def test_lengths_are_rounded_up_where_each_costs_a_compilation(evaluate):
    lengths = np.array([1, 7, 8, 127, 128, 129, 255, 256, 257, 511, 512, 515])
    expected = [4, 8, 8, 128, 128, 136, 256, 256, 272, 512, 512, 515]  # the last: no further than the record goes
    mask = tf.placeholder(tf.int32, [None, 515])
    other = tf.identity(mask)
    trimmed = data_batches.trim({"input_mask": mask, "other": other}, ["input_mask"], round_lengths=True)
    for length, rounded in zip(lengths, expected):
        fed = (np.arange(515)[None, :] < np.array([[1], [length]])).astype(np.int32)
        found = evaluate(trimmed, {mask: fed})
        assert found["input_mask"].tolist() == fed[:, :rounded].tolist() and found["other"].shape == (2, 515)


def test_coarse_lengths_in_training(sorted_batches):
    found = sorted_batches(40, 4, 4, 20, round_lengths=True)
    assert {batch["input_mask"].shape[1] for batch in found} == {4, 8}
    assert [numbers([batch]) for batch in found] == [numbers([batch]) for batch in sorted_batches(40, 4, 4, 20)]


@pytest.mark.parametrize("is_training,by_length", [(False, True), (True, False), (True, True)])
def test_no_source_is_rewritten_for_the_pipeline(is_training, by_length, tmp_path, monkeypatch):
    """AutoGraph writes what it makes of a function to a temporary file; here there is nothing to make of any."""
    path = tmp_path / "train.tf_record"
    write(path, 9)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def parse(serialized):
        return data_batches.parse_batch(serialized, {"input_mask": tf.io.FixedLenFeature([LENGTH], tf.int64)})

    with tf.Graph().as_default():
        make_batches = data_batches.training_batches if is_training else data_batches.batches_once
        make_batches(str(path), parse, 4, Reading(by_length=by_length), trimmed=["input_mask"])
    assert os.listdir(str(temporary)) == []


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("by_length", [True, False])
def test_the_pipeline_has_no_tuner_that_closing_a_session_would_wait_for(is_training, by_length, tmp_path):
    write(tmp_path / "data", 3)
    make_batches = data_batches.training_batches if is_training else data_batches.batches_once
    path, reading = str(tmp_path / "data"), Reading(by_length=by_length)
    dataset = make_batches(path, lambda serialized: {"input_mask": tf.ones([1, 2])}, 2, reading)
    options = dataset.options()
    if hasattr(options, "autotune"):
        assert options.autotune.enabled is False
    else:
        assert options.experimental_optimization.autotune is False
