"""Dropout's masks and seeds: their rates, their independence, and what they follow from."""

import math
import threading

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from scipy import stats

from bert.encoder import kernels, masks
from tests.bert.encoder.test_kernels import murmur_mask

MASKS = {"random": masks.random_mask, "hashed": masks.hashed_mask}


@pytest.mark.parametrize("mask", sorted(MASKS))
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_masks_drop_at_the_rate_and_independently(mask, rate, evaluate):
    shape = [701, 700]  # an odd number of elements
    seeds = [tf.constant(seed) for seed in (1, 2)]
    first, second = (keep.astype(np.float64) for keep in evaluate([MASKS[mask](shape, rate, seed) for seed in seeds]))
    deviation = math.sqrt(rate * (1 - rate) / first.size)
    for keep in (first, second):
        assert abs(keep.mean() - (1 - rate)) < 5 * deviation
        for axis in (0, 1):  # no row or column differs from the others by more than chance
            chi = ((keep.mean(axis) - (1 - rate)) ** 2).sum() / (rate * (1 - rate) / keep.shape[axis])
            assert stats.chi2.sf(chi, keep.shape[1 - axis]) > 1e-6
    flat = first.ravel()
    for other in [second.ravel()] + [np.roll(flat, lag) for lag in (1, 2, 3, 64, 700, 768)]:
        assert abs(np.corrcoef(flat, other)[0, 1]) < 5 / math.sqrt(flat.size)


def test_hashed_mask_is_what_it_says(evaluate):
    found = evaluate(masks.hashed_mask([40, 50], 0.3, tf.constant(123456)))
    np.testing.assert_array_equal(found, murmur_mask(2000, 0.3, 123456).reshape(40, 50))


def test_seeds_are_new_in_every_run_and_masks_follow_from_them(evaluate):
    seeds = masks.new_seeds(2)
    values = tf.ones([50, 50])
    once, again, other = (kernels.dropout(values, 0.4, seed) for seed in (seeds[0], seeds[0], seeds[1]))
    runs = [evaluate([seeds, once, again, other]) for _ in range(2)]
    for _, first, second, third in runs:
        np.testing.assert_array_equal(first, second)
        assert (first != third).any()
    assert (runs[0][0] != runs[1][0]).all()
    assert (runs[0][1] != runs[1][1]).any()


def seeds_of(graph_seed, numbers, places=5, ops_before=0):
    """The seeds of some places for each number, int [numbers, places, 3], in a graph and a session of their own."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(graph_seed)
        for _ in range(ops_before):
            tf.random.uniform([])
        number = tf.placeholder(tf.int32, [])
        with masks.following(number):
            drawn = [masks.new_seeds(3) for _ in range(places)]
        return np.array([session.run(drawn, {number: i}) for i in numbers])


def test_seeds_follow_from_graph_seed_place_and_number_alone():
    numbers = [0, 1, 2, 3, 100, 101, 2**31 - 1, -(2**31)]  # the last: beyond what an int32 counts
    first, again, other = (seeds_of(seed, numbers, ops_before=i) for i, seed in enumerate((42, 42, 43)))
    np.testing.assert_array_equal(first, again)
    # A later start of the run has a graph of its own, and so has a run of other steps.
    np.testing.assert_array_equal(seeds_of(42, numbers[4:6]), first[4:6])
    every = np.concatenate([first.ravel(), other.ravel()])
    assert len(set(every)) == every.size and every.min() >= 0 and every.max() < masks.LARGEST_SEED
    assert seeds_of(2**40, [0]).shape == (1, 5, 3)  # as -seed may be


@pytest.mark.one_tensorflow
def test_seeds_of_neighbours_are_independent():
    """Of steps that follow each other, of places that do, and bit by bit."""
    seeds = seeds_of(42, range(600), places=8).astype(np.float64) / masks.LARGEST_SEED  # [number, place, 3]
    assert stats.kstest(seeds.ravel(), "uniform").pvalue > 1e-6
    by_lag = [seeds[:-1].ravel(), seeds[1:].ravel()], [seeds[:, :-1].ravel(), seeds[:, 1:].ravel()]
    for one, other in (*by_lag, (seeds[..., 0].ravel(), seeds[..., 1].ravel())):
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / math.sqrt(one.size)
    bits = np.array(seeds * masks.LARGEST_SEED, np.int64)[..., None] >> np.arange(31) & 1
    assert np.abs(bits.mean(axis=(0, 1, 2)) - 0.5).max() < 5 * 0.5 / math.sqrt(seeds.size)


def test_dropout_repeats_itself_for_a_number_and_never_for_two(evaluate):
    """At all places that draw, as a model's: each step drops anew, and the same step the same again."""
    number = tf.placeholder(tf.int32, [])
    with masks.following(number):
        dropped = [kernels.dropout(tf.ones([40, 41]), 0.4) for _ in range(2)]
    first, second, again = (np.array(evaluate(dropped, {number: i})) > 0 for i in (7, 8, 7))
    np.testing.assert_array_equal(first, again)
    for one, other in ((first[0], first[1]), (first[0], second[0]), (first[1], second[0]), (first[1], second[1])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / math.sqrt(one.size)


def test_who_builds_elsewhere_has_new_seeds_in_every_run(graph):
    """Without a step there is nothing to follow; nor without a seed; nor in another thread, as each replica has one."""
    elsewhere = []
    with masks.following(tf.constant(3)):
        thread = threading.Thread(target=lambda: elsewhere.append(is_new_in_every_run(graph)))
        thread.start()
        thread.join()
        assert not is_new_in_every_run(graph)
        with masks.following(tf.constant(4)):
            pass
        assert not is_new_in_every_run(graph)
    assert elsewhere == [True] and is_new_in_every_run(graph)
    with tf.Graph().as_default() as unseeded, masks.following(tf.constant(3)):
        assert is_new_in_every_run(unseeded)


def is_new_in_every_run(graph):
    with graph.as_default(), tf.Session(graph=graph) as session:
        drawn = masks.new_seeds(2)
        return (session.run(drawn) != session.run(drawn)).all()
