"""The tokens of a batch without its padding, so that a layer's matmuls compute no padding.

Only attention needs each sequence in rows of its own. All else in a layer works on tokens one by one, in whatever order
they come. In: the mask of a batch. Out: where its tokens are, and two functions, from padded rows to packed ones and
back. In shapes, rows = batch * seq_len, and tokens is the number of tokens, of all sequences together.
"""

import collections

import tensorflow.compat.v1 as tf

STEPS_TO_AN_OCTAVE = 16  # numbers of rows between one power of 2 and the next

# rows: int32 [tokens], the padded row of each packed one. places: int32 [rows], the packed row of each padded one.
# Both have a second form for gradients, in which what stands for nothing (padding, packed rows that only fill up the
# number) has the place behind the last; in the first it has that of some token.
Packing = collections.namedtuple("Packing", ["rows", "places", "rows_or_none", "places_or_none"])


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
    rows = tf.pad(rows, [[0, size - count]])  # [tokens]
    places = tf.maximum(tf.cumsum(tf.cast(is_token, tf.int32)) - 1, 0)  # [rows]
    return Packing(
        rows=rows,
        places=places,
        rows_or_none=tf.where_v2(tf.range(size) < count, rows, tf.size(places)),
        places_or_none=tf.where_v2(is_token, places, size),
    )


def _sizes():
    """The numbers of rows that there may be with few sizes: int32 tensor, rising."""
    step, sizes = 1, list(range(1, 2 * STEPS_TO_AN_OCTAVE + 1))
    while sizes[-1] < 2**24:
        step *= 2
        sizes += range(sizes[-1] + step, 2 * sizes[-1] + 1, step)
    return tf.constant(sizes, tf.int32)


def pack(x, packing):
    """The rows of tokens alone: [rows, width] to [tokens, width]; x itself where packing is None."""
    return _gather(x, packing.rows, packing.places_or_none) if packing else x


def unpack(x, packing):
    """The inverse of `pack`, [tokens, width] to [rows, width]; padding gets the values of some token. None as there."""
    return _gather(x, packing.places, packing.rows_or_none) if packing else x


def _gather(x, indices, inverse):
    """The rows of x with these indices. The gradient of each row of x is that of the row `inverse` of the result.

    TensorFlow's own gradient of tf.gather would add up rows one by one.
    """

    @tf.custom_gradient
    def with_gradient(x):
        def gradient(dy):
            none = tf.zeros([1, tf.shape(dy)[1]], dy.dtype)
            return tf.gather(tf.concat([dy, none], axis=0), inverse)

        return tf.gather(x, indices), gradient

    return with_gradient(x)
