"""Training and evaluation on shards of records, by one process or shared out to several."""

import collections

import pytest
import tensorflow.compat.v1 as tf
from hypothesis import example, given
from hypothesis import strategies as st

from bert.data import batches as data_batches
from bert.data.batches import WHOLE, Reading, Share
from bert.system.errors import UserError
from tests.bert.data.window_records import FEW, IDS, LENGTH, batches, numbers, write_shards
from train.data import records


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """`read(count, shard_count, steps, ...)`: batches of training on windows 0 to count - 1 in so many shards."""
    folder = tmp_path_factory.mktemp("shards")
    written = set()

    def run(count, shard_count, steps, pool_batches=None, **kwargs):
        path = folder / f"{count}_{shard_count}"
        if (count, shard_count) not in written:
            write_shards(path, count, shard_count)
            written.add((count, shard_count))
        with pytest.MonkeyPatch.context() as patched:
            if pool_batches:
                patched.setattr(data_batches, "POOL_BATCHES", pool_batches)
            return batches(path, steps, **dict({"is_training": True, "seed": 3, "graph_seed": 3}, **kwargs))

    return run


def rows(found):
    """Batches as tuples of the numbers in them."""
    return [tuple(numbers([batch])) for batch in found]


@pytest.mark.one_tensorflow  # test_record_order.py has the same everywhere, on fewer records
@FEW
@given(st.sampled_from([(12, 3), (12, 5), (11, 16), (24, 8)]), st.integers(0, 99), st.sampled_from([1, 3]))
def test_every_record_once_an_epoch_in_an_order_of_its_own(read, shape, seed, batch_size):
    count = shape[0]
    found = numbers(read(*shape, 3 * count // batch_size, seed=seed, batch_size=batch_size))
    epochs = [found[start : start + count] for start in range(0, len(found) - count + 1, count)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == len(epochs) >= 2


@pytest.mark.one_tensorflow  # test_record_order.py has the same everywhere, on fewer records
def test_the_order_depends_on_seed_and_shards_alone(read):
    first, again, other = (rows(read(40, 6, 30, seed=seed)) for seed in (7, 7, 8))
    assert first == again != other
    assert rows(read(40, 6, 10, seed=7, start_step=13)) == first[13:23]


def test_the_shuffle_goes_across_shards_even_with_a_small_buffer(read, monkeypatch):
    """Shards are read in another order each epoch, a few at a time; together a buffer sees all parts of a corpus."""
    monkeypatch.setattr(data_batches, "SHUFFLE_BUFFER", 4)
    found = numbers(read(64, 8, 32))
    for epoch in (found[:64], found[64:]):
        assert sorted(epoch) == list(range(64))
        # The records of one shard are every eighth one. Among the first 32, but for the buffer, are those of 4 shards.
        seen = collections.Counter(number % 8 for number in epoch[:32])
        assert len([shard for shard, times in seen.items() if times >= 5]) == data_batches.SHARDS_AT_ONCE
        assert min(epoch[:16]) < 16 and max(epoch[:32]) >= 48
    assert found[:64] != found[64:]


@pytest.mark.one_tensorflow  # test_record_order.py has the same everywhere, on fewer records
@FEW
@given(st.sampled_from([(12, 3), (24, 5)]), st.booleans(), st.integers(0, 13), st.integers(1, 4))
def test_training_on_shards_goes_on_where_it_was(read, shape, by_length, start_step, pool_batches):
    whole = read(*shape, 16, pool_batches, by_length=by_length)
    again = read(*shape, 16 - start_step, pool_batches, by_length=by_length, start_step=start_step)
    assert rows(again) == rows(whole)[start_step:]


@pytest.mark.parametrize("by_length", [False, True])
def test_records_as_they_come_are_all_the_records(by_length, read):
    found = numbers(read(48, 6, 24, deterministic=False, by_length=by_length))
    assert [sorted(found[start : start + 48]) for start in (0, 48)] == [list(range(48))] * 2
    # Two processes would take rows of two different orders.
    own = [numbers(read(48, 6, 24, deterministic=False, by_length=by_length, share=Share(2, k))) for k in range(2)]
    assert sorted(own[0][:24] + own[1][:24]) == list(range(48))


def shares(count, replicas, by_file=False):
    """The shares of all processes of a run of so many replicas, each feeding the same number of them."""
    return [Share(count, index, replicas, by_file) for index in range(0, count, replicas)]


@pytest.mark.one_tensorflow  # test_record_order.py has the same everywhere, on fewer records
@FEW
@given(
    st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4)]),
    st.booleans(),
    st.sampled_from([1, 5]),
    st.integers(0, 6),
)
@example((4, 2), True, 5, 3)
def test_the_batches_of_a_run_are_the_same_for_any_number_of_workers(read, cluster, by_length, shard_count, start_step):
    """1, 2 and 4 replicas in 1, 2 or 4 processes: replica k of n has the rows k, k + n, ... of each batch."""
    count, replicas = cluster
    steps = 9
    kwargs = {"by_length": by_length, "pool_batches": 3, "start_step": start_step}
    whole = read(24, shard_count, steps, **kwargs)
    own = [read(24, shard_count, steps * replicas, share=share, **kwargs) for share in shares(count, replicas)]
    for step, batch in enumerate(whole):
        parts = [found[step * replicas + k] for found in own for k in range(replicas)]
        for k, part in enumerate(parts):
            width = part["input_ids"].shape[1]
            assert set(part) == set(batch)
            for name in part:
                assert part[name].tolist() == batch[name][k::count, :width].tolist()
            assert width == part["input_mask"].sum(axis=1).max()  # no wider than its own texts
    assert sum(len(found) for found in own) == steps * count


@pytest.mark.one_tensorflow  # test_record_order.py has the same everywhere, on fewer records
@FEW
@given(
    st.sampled_from([(2, 1), (4, 1), (4, 2), (3, 1)]),
    st.sampled_from([(24, 1), (24, 4), (25, 5), (23, 7)]),
    st.integers(0, 50),
)
@example((4, 2), (24, 1), 0)
def test_by_file_all_workers_together_see_every_record_once_an_epoch(read, cluster, shape, seed):
    """Each in an epoch of its own, whose length is the number of its records; fewer shards than workers will do."""
    count, replicas = cluster
    seen, files = [], set()
    for share in shares(count, replicas, by_file=True):
        own = numbers(read(*shape, 60, seed=seed, batch_size=count, share=share))
        length = len(set(own))
        assert len(own) == 60 and [sorted(own[:length])] * 2 == [sorted(own[:length]), sorted(own[length : 2 * length])]
        seen += own[:length]
        files |= {frozenset(number % shape[1] for number in own)} if shape[1] >= count else set()
    assert sorted(seen) == list(range(shape[0]))
    assert sum(map(len, files)) == (shape[1] if files else 0)  # no two read from one file


@pytest.mark.one_tensorflow  # test_record_order.py has the same everywhere, on fewer records
def test_by_file_goes_on_where_it_was_too(read):
    for by_length in (False, True):
        for share in shares(4, 2, by_file=True):
            whole = rows(read(32, 4, 24, share=share, by_length=by_length))
            assert (
                rows(read(32, 4, 14, share=share, by_length=by_length, start_step=5)) == whole[10:]
            )  # 2 replicas: 2 a step


@FEW
@given(st.sampled_from([1, 2, 3, 4]), st.booleans(), st.sampled_from([1, 3]), st.sampled_from([1, 7, 29]))
def test_evaluation_gives_every_record_to_one_worker(read, workers, by_length, shard_count, count):
    found = collections.Counter()
    for index in range(workers):
        share = Share(workers, index)
        own = read(
            count, shard_count, None, is_training=False, share=share, by_length=by_length, batch_size=4 * workers
        )
        assert all(len(batch["input_ids"]) <= 4 for batch in own)
        assert sorted(numbers(own)) == list(range(index, count, workers))
        if by_length:
            assert [place for batch in own for place in batch["position"].tolist()] == numbers(own)
        found.update(numbers(own))
    assert found == collections.Counter(range(count))


def test_shares_keep_static_shapes(tmp_path):
    write_shards(tmp_path / "r", 12, 2)
    for share in (WHOLE, Share(2, 1), Share(4, 2, 2), Share(2, 0, by_file=True)):
        input_fn = records.file_based_input_fn_builder(
            str(tmp_path / "r"), LENGTH, True, True, IDS, 8, trim=False, reading=Reading(share=share)
        )
        with tf.Graph().as_default():
            shapes = tf.data.get_output_shapes(input_fn())
        assert {tuple(shape.as_list()) for shape in shapes.values()} == {(8 // share.count, LENGTH)}


def test_a_share_that_cannot_be(tmp_path):
    write_shards(tmp_path / "r", 3, 2)
    with pytest.raises(ValueError, match="a batch of 4 cannot be shared out evenly to 3 replicas"):
        batches(tmp_path / "r", 1, share=Share(3, 0))
    with pytest.raises(UserError, match="too few records; expected one or more for each of 4 processes"):
        batches(tmp_path / "r", 1, is_training=True, share=Share(4, 3, by_file=True))
