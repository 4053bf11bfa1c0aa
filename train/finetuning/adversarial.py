"""Adversarial training: a step learns from its batch twice, the second time with the words' vectors moved against it.

Each sentence's vectors are moved a little to where its loss rises fastest. A tagger that is right there too depends
less on single words, and tags unseen ones better (Miyato, Dai and Goodfellow, 2017, "Adversarial Training Methods
for Semi-Supervised Text Classification").
"""

import tensorflow.compat.v1 as tf

_SMALLEST_NORM = 1e-30  # of a slope; a sentence whose loss does not depend on its words is not moved


def gradients_of(size, tagger, build):
    """What gives a step of training its gradients: the mean of those where the words are and where they are moved to.

    Args:
      size: length of each sentence's move, the norm over its words; 0: the words are not moved.
      tagger: models.TaggerGraph.
      build: function from word_offsets, float [batch, seq_len, hidden], to the TaggerGraph of the same variables and
        batch with these added to the words' vectors.

    Returns:
      Function with the arguments and the result of tf.gradients, for one loss that is computed by the tagger.
    """
    if not size:
        return tf.gradients

    def gradients(loss, variables, grad_ys=None):
        *here, slope = tf.gradients(loss, [*variables, tagger.word_vectors], grad_ys)
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            moved = build(tf.stop_gradient(moves(slope, size)))
        there = tf.gradients(tf.reduce_mean(moved.losses), variables, grad_ys)
        return [None if pair[0] is None else _mean(*pair) for pair in zip(here, there)]

    return gradients


def moves(slope, size):
    """The move of each sentence's vectors that raises its loss most, to first order.

    Args:
      slope: float [batch, seq_len, hidden], the gradient of the loss.
      size: norm of each sentence's move.

    Returns:
      float32 [batch, seq_len, hidden].
    """
    slope = tf.cast(slope, tf.float32)
    # Squares of small numbers would be 0: the largest number is taken out first.
    largest = tf.reduce_max(tf.abs(slope), axis=[1, 2], keepdims=True)
    slope /= tf.maximum(largest, _SMALLEST_NORM)
    norm = tf.sqrt(tf.reduce_sum(tf.square(slope), axis=[1, 2], keepdims=True))
    return size * slope / tf.maximum(norm, _SMALLEST_NORM)


def _mean(here, there):
    # A sparse gradient is made dense: of two the rows would have to be put together.
    return (tf.convert_to_tensor(here) + tf.convert_to_tensor(there)) / 2
