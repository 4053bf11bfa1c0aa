"""Attention (Vaswani et al., 2017): masks, and a layer of it that stands alone, with Google BERT's arguments."""

import math

import tensorflow.compat.v1 as tf

from bert.encoder.kernels import PLAIN, split_heads
from bert.encoder.layers import dense, get_activation, get_shape_list, reshape_to_matrix
from bert.encoder.masks import new_seeds

MASKED_SCORE = -10000.0  # added to the attention scores of padding; the released checkpoints were trained with it


def create_attention_mask_from_input_mask(from_tensor, to_mask):
    """The attention mask of a batch whose tokens may all look at the same tokens.

    Args:
      from_tensor: [batch, from_len, ...]; only its first two sizes are read.
      to_mask: int [batch, to_len], 1 for tokens that may be looked at.

    Returns:
      float32 [batch, from_len, to_len], 1 where a token (row) may look at another one (column).
    """
    batch, from_len = get_shape_list(from_tensor, expected_rank=[2, 3])[:2]
    to_mask = tf.cast(to_mask, tf.float32)[:, None, :]  # [batch, 1, to_len]
    return tf.ones([batch, from_len, 1], tf.float32) * to_mask


def scores_of_mask(attention_mask):
    """What a mask adds to the attention scores before the softmax.

    Args:
      attention_mask: int or float [batch, from_len, to_len], or [batch, 1, to_len] where it is the same for all rows;
        1 where a token may be looked at. None: everywhere.

    Returns:
      float32 [batch, 1, from_len, to_len], the same for all heads: 0 or MASKED_SCORE.
    """
    if attention_mask is None:
        return tf.zeros([1, 1, 1, 1])
    return (1.0 - tf.cast(attention_mask, tf.float32))[:, None] * MASKED_SCORE


def attend(query, key, value, mask_scores, rate, seed, kernels=PLAIN):
    """The attended values of all heads, side by side.

    Args:
      query: [batch, heads, from_len, head_size].
      key, value: [batch, heads, to_len, head_size].
      mask_scores: float32 [batch, 1, from_len, to_len], see `scores_of_mask`.
      rate: fraction of the attention weights that is dropped.
      seed: int32 [], for the dropout.
      kernels: kernels.Kernels.

    Returns:
      [batch * from_len, heads * head_size].
    """
    heads, head_size = query.shape.as_list()[1], query.shape.as_list()[3]
    scores = tf.matmul(query, key, transpose_b=True)  # [batch, heads, from_len, to_len]
    weights = kernels.attention_weights(scores, mask_scores, 1.0 / math.sqrt(head_size), rate, seed)
    context = tf.matmul(weights, value)  # [batch, heads, from_len, head_size]
    context = tf.transpose(context, [0, 2, 1, 3])  # [batch, from_len, heads, head_size]
    return tf.reshape(context, [-1, heads * head_size])


def attention_layer(
    from_tensor,
    to_tensor,
    attention_mask=None,
    num_attention_heads=1,
    size_per_head=512,
    query_act=None,
    key_act=None,
    value_act=None,
    attention_probs_dropout_prob=0.0,
    initializer_range=0.02,
    do_return_2d_tensor=False,
    batch_size=None,
    from_seq_length=None,
    to_seq_length=None,
):
    """Multi-head attention from one sequence to another, or to itself; arguments and variables as Google BERT's.

    Args:
      from_tensor, to_tensor: float [batch, from_len, width] and [batch, to_len, width], or both as rows,
        [batch * from_len, width] and [batch * to_len, width].
      attention_mask: [batch, from_len, to_len], 1 where a token may look at another one, else 0.
      num_attention_heads, size_per_head: number and width of the heads.
      query_act, key_act, value_act: activation functions or their names; None: linear.
      attention_probs_dropout_prob: fraction of the attention weights that is dropped.
      initializer_range: standard deviation of the kernels' initialisation.
      do_return_2d_tensor: return rows.
      batch_size, from_seq_length, to_seq_length: needed where the tensors are rows.

    Returns:
      float [batch, from_len, heads * size_per_head], or [batch * from_len, heads * size_per_head].

    Raises:
      ValueError: the tensors differ in rank, or are rows and a size is missing.
    """
    from_shape = get_shape_list(from_tensor, expected_rank=[2, 3])
    to_shape = get_shape_list(to_tensor, expected_rank=[2, 3])
    if len(from_shape) != len(to_shape):
        raise ValueError(f"from_tensor has rank {len(from_shape)}, to_tensor {len(to_shape)}; expected the same")
    if len(from_shape) == 3:
        batch_size, from_seq_length, to_seq_length = from_shape[0], from_shape[1], to_shape[1]
    elif batch_size is None or from_seq_length is None or to_seq_length is None:
        raise ValueError("expected batch_size, from_seq_length and to_seq_length with tensors of rank 2")

    def heads(tensor, seq_len, name, activation):  # [batch, heads, seq_len, size_per_head]
        width = num_attention_heads * size_per_head
        rows = dense(reshape_to_matrix(tensor), width, name, initializer_range, get_activation(activation))
        return split_heads(rows, seq_len, num_attention_heads)

    context = attend(
        heads(from_tensor, from_seq_length, "query", query_act),
        heads(to_tensor, to_seq_length, "key", key_act),
        heads(to_tensor, to_seq_length, "value", value_act),
        scores_of_mask(attention_mask),
        attention_probs_dropout_prob,
        new_seeds(1)[0] if attention_probs_dropout_prob else None,
    )
    if do_return_2d_tensor:
        return context
    return tf.reshape(context, [batch_size, from_seq_length, num_attention_heads * size_per_head])
