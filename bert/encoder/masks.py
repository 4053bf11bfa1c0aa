"""Which elements dropout sets to 0: masks, the seeds they are made from, and where these seeds come from.

A mask follows from its seed alone. Seeds are new in every run of the graph, unless the graph is built within
`following`: then they follow from the graph's seed and the number of the batch, and a training that was interrupted
drops the same elements as one that was not.
"""

import contextlib
import threading

import tensorflow.compat.v1 as tf

LARGEST_SEED = 2**31 - 1
_building = threading.local()  # .draws: the _Draws of the `following` that this thread is in; each replica has a thread


class _Draws:
    """Seeds that follow from a number; each call of `new` is a place of its own.

    Args:
      graph_seed: int.
      number: int32 [].
    """

    def __init__(self, graph_seed, number):
        self._graph_seed = graph_seed
        self._number = number
        self._places = 0

    def new(self, count):
        self._places += 1
        # The step between places is odd, so no two places of a graph have the same pair of seeds.
        place = _int32((self._graph_seed + self._places * 0x9E3779B9) % 2**32)
        pair = tf.stack([tf.constant(place), self._number])
        return tf.random.stateless_uniform([count], pair, minval=0, maxval=LARGEST_SEED, dtype=tf.int32)


@contextlib.contextmanager
def following(number):
    """Within it, `new_seeds` gives seeds that follow from the graph's seed and a number.

    Every call of `new_seeds` is a place in the graph, counted from 1, and has seeds of its own. So the same model has
    to be built in the same order each time. A graph without a seed (tf.set_random_seed) has new seeds in every run.

    Args:
      number: int32 [], another one for each batch that the training computes.
    """
    graph_seed = tf.get_default_graph().seed
    before = getattr(_building, "draws", None)
    _building.draws = None if graph_seed is None else _Draws(graph_seed, number)
    try:
        yield
    finally:
        _building.draws = before


def new_seeds(count):
    """Seeds for dropout, int32 [count]; other ones in every run of the graph, see `following`."""
    draws = getattr(_building, "draws", None)
    if draws is not None:
        return draws.new(count)
    return tf.random.uniform([count], maxval=LARGEST_SEED, dtype=tf.int32)


def random_mask(shape, rate, seed):
    """bool [shape], false for a fraction `rate`, rounded to 1/65536: 16 random bits for each element."""
    count = tf.reduce_prod(shape)
    words = tf.random.stateless_uniform(
        [(count + 1) // 2], tf.stack([seed, 0]), minval=-(2**31), maxval=2**31 - 1, dtype=tf.int32
    )
    # Shifted and masked: the XLA of TensorFlow 1.15 cannot compile a bitcast to 16 bits.
    halves = tf.concat([words, tf.bitwise.right_shift(words, 16)], axis=0)[:count]
    return tf.reshape(tf.bitwise.bitwise_and(halves, 0xFFFF) >= int(round(rate * 65536)), shape)


def hashed_mask(shape, rate, seed):
    """bool [shape], false for a fraction `rate`, from a hash of each element's index (the finalizer of MurmurHash3).

    A kernel computes the mask again wherever it needs it: that costs less than reading one from memory.
    """
    count = tf.reduce_prod(shape)
    x = tf.reshape(tf.range(count), shape) * _int32(0x9E3779B9) + seed
    x = _xor_shifted(x, 16) * _int32(0x85EBCA6B)
    x = _xor_shifted(x, 13) * _int32(0xC2B2AE35)
    return _xor_shifted(x, 16) >= _int32(int(round(rate * 2**32)) + 2**31)


def _int32(bits):
    """The signed number with these 32 bits: on the CPU, TensorFlow 2 multiplies unsigned numbers only under XLA."""
    return (bits + 2**31) % 2**32 - 2**31


def _xor_shifted(x, count):
    """x ^ (x >> count), with a logical shift."""
    shifted = tf.bitwise.right_shift(tf.bitcast(x, tf.uint32), tf.constant(count, tf.uint32))
    return tf.bitwise.bitwise_xor(x, tf.bitcast(shifted, tf.int32))
