"""The tokens of a batch without its padding, so that a layer's matmuls compute no padding.

Only attention needs each sequence in rows of its own. All else in a layer works on tokens one by one, in whatever order
they come. In: the mask of a batch. Out: where its tokens are, and two functions, from padded rows to packed ones and
back. In shapes, rows = batch * seq_len, and tokens is the number of tokens, of all sequences together.
"""

import collections

import tensorflow.compat.v1 as tf

STEPS_TO_AN_OCTAVE = 16  # numbers of rows between one power of 2 and the next

# rows: int32 [tokens], the padded row of each packed one. places: int32 [rows], the packed row of each padded one, any
# one for padding. is_token: bool [rows, 1]. is_filled: bool [tokens, 1], false for rows that only fill up the number;
# None if there are none.
Packing = collections.namedtuple("Packing", ["rows", "places", "is_token", "is_filled"])


def packing_of(input_mask, few_sizes):
    """Where the tokens of a batch are.

    Args:
      input_mask: int [batch, seq_len], 1 for tokens, 0 for padding.
      few_sizes: let the packed rows have few different numbers, for kernels that are compiled for each. Up to 1/16 of
        the rows are then filled up with copies of the first one.

    Returns:
      Packing, with at least one packed row unless the batch is empty.
    """
    is_token = tf.reshape(input_mask, [-1]) > 0  # [rows]
    rows = tf.cast(tf.where(is_token)[:, 0], tf.int32)  # [tokens]
    count = tf.shape(rows)[0]
    size = tf.gather(_sizes(), tf.searchsorted(_sizes(), count[None])[0]) if few_sizes else tf.maximum(count, 1)
    size = tf.where_v2(tf.size(input_mask) > 0, size, 0)
    return Packing(
        rows=tf.pad(rows, [[0, size - count]]),
        places=tf.maximum(tf.cumsum(tf.cast(is_token, tf.int32)) - 1, 0),
        is_token=is_token[:, None],
        is_filled=(tf.range(size) < count)[:, None] if few_sizes else None,
    )


def _sizes():
    """The numbers of rows that there may be with few sizes: int32 tensor, rising."""
    step, sizes = 1, list(range(1, 2 * STEPS_TO_AN_OCTAVE + 1))
    while sizes[-1] < 2**24:
        step *= 2
        sizes += range(sizes[-1] + step, 2 * sizes[-1] + 1, step)
    return tf.constant(sizes, tf.int32)


def pack(x, packing):
    """The rows of tokens alone: [rows, width] to [tokens, width]."""

    @tf.custom_gradient
    def with_gradient(x):
        # TensorFlow's own gradient of tf.gather adds rows up one by one.
        return tf.gather(x, packing.rows), lambda dy: _only(packing.is_token, tf.gather(dy, packing.places))

    return with_gradient(x)


def unpack(x, packing):
    """The inverse of `pack`, [tokens, width] to [rows, width]; padding gets the values of some token."""

    @tf.custom_gradient
    def with_gradient(x):
        return tf.gather(x, packing.places), lambda dy: _only(packing.is_filled, tf.gather(dy, packing.rows))

    return with_gradient(x)


def _only(is_kept, x):
    """x with 0 in the rows that are not kept; is_kept: bool [rows, 1], None for all."""
    return x if is_kept is None else tf.where_v2(is_kept, x, tf.zeros([], x.dtype))
