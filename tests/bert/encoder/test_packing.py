"""Packing against numpy: which rows are taken, where they come back, what gradients get through, how many sizes."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.encoder import packing

WIDTH = 3
# Some padding, none, a sequence without a token, no token at all, no sequence.
MASKS = [
    [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]],
    [[1, 1], [1, 1]],
    [[0, 0, 0], [1, 1, 0]],
    [[0, 0], [0, 0]],
    np.zeros([0, 2]),
    (np.arange(90) < np.arange(10, 90, 2)[:, None]).astype(int),
]


@pytest.mark.parametrize("few_sizes", [False, True])
def test_rows_and_gradients(few_sizes, evaluate):
    mask, padded = tf.placeholder(tf.int32, [None, None]), tf.placeholder(tf.float32, [None, WIDTH])
    weights = tf.placeholder(tf.float32, [None, WIDTH])
    found = packing.packing_of(mask, few_sizes)
    packed = packing.pack(padded, found)
    back = packing.unpack(tf.square(packed), found)
    is_token = tf.cast(tf.reshape(mask, [-1, 1]), tf.float32)
    gradient = tf.gradients(tf.reduce_sum(back * weights * is_token), padded)[0]
    # What reaches the weights of a layer: rows that only fill up must not count twice.
    of_packed = tf.gradients(back, packed, weights * is_token)[0]
    rng = np.random.RandomState(1)
    for values in MASKS:
        x, w = rng.normal(size=[2, np.size(values), WIDTH])
        chosen = np.reshape(values, [-1]).astype(bool)
        rows, again, dx, dpacked = evaluate([packed, back, gradient, of_packed], {mask: values, padded: x, weights: w})
        count = chosen.sum()
        assert len(rows) >= count
        assert few_sizes or len(rows) == max(count, min(1, len(x)))
        np.testing.assert_allclose(rows[:count], x[chosen], rtol=1e-6)
        np.testing.assert_allclose(again[chosen], x[chosen] ** 2, rtol=1e-5)
        np.testing.assert_allclose(dx, np.where(chosen[:, None], 2 * x * w, 0), rtol=1e-5)
        np.testing.assert_allclose(dpacked[:count], (2 * x * w)[chosen], rtol=1e-5)
        assert not dpacked[count:].any()


def test_sizes_are_few_and_little_is_filled_up(evaluate):
    mask = tf.placeholder(tf.int32, [None, None])
    size = tf.shape(packing.packing_of(mask, few_sizes=True).rows)[0]
    sizes = [evaluate(size, {mask: np.ones([1, count])}) for count in range(1, 4097)]
    assert all(count <= found <= count * 17 / 16 for count, found in enumerate(sizes, 1))
    assert len(set(sizes)) == 32 + 16 * 7  # 7 octaves from 32 to 4096
