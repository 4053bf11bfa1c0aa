"""The question-answering model: the encoder, and a start and an end logit for each piece."""

import tensorflow.compat.v1 as tf

from bert import modeling
from bert.encoder import kernels

PADDING_LOGIT = -1e9


def head_shapes(config):
    """The shapes of the head's variables: dict from name to list of ints."""
    return {"cls/squad/output_bias": [2], "cls/squad/output_weights": [2, config.hidden_size]}


def span_logits(bert_config, is_training, features, use_one_hot_embeddings=False, compute=kernels.REFERENCE):
    """The logits of the answer's start and of its end, each float [batch, seq_len].

    Args:
      bert_config: BertConfig.
      is_training: whether dropout is on.
      features: dict of int [batch, seq_len] input_ids, input_mask, segment_ids.
      use_one_hot_embeddings: look words up by matmul, as a TPU prefers.
      compute: kernels.Compute, how the encoder computes.
    """
    encoder = modeling.BertModel(
        bert_config,
        is_training,
        features["input_ids"],
        features["input_mask"],
        features["segment_ids"],
        use_one_hot_embeddings,
        compute=compute,
    )
    hidden = encoder.get_sequence_output()  # [batch, seq_len, hidden]
    with tf.variable_scope("cls/squad"):
        weights = tf.get_variable(
            "output_weights", [2, bert_config.hidden_size], initializer=modeling.create_initializer()
        )
        bias = tf.get_variable("output_bias", [2], initializer=tf.zeros_initializer())
    logits = tf.tensordot(hidden, weights, [[2], [1]]) + bias  # [batch, seq_len, 2]
    return tf.unstack(logits, axis=2)


def create_model(bert_config, is_training, input_ids, input_mask, segment_ids, use_one_hot_embeddings):
    """As `span_logits`, with Google BERT's arguments: (start_logits, end_logits), each float [batch, seq_len]."""
    features = {"input_ids": input_ids, "input_mask": input_mask, "segment_ids": segment_ids}
    return tuple(span_logits(bert_config, is_training, features, use_one_hot_embeddings))


def position_losses(logits, positions, input_mask):
    """Cross entropy of the right position over all that are not padding: float [batch].

    Args:
      logits: float [batch, seq_len].
      positions: int [batch].
      input_mask: int [batch, seq_len].
    """
    without_padding = tf.where(tf.equal(input_mask, 0), PADDING_LOGIT * tf.ones_like(logits), logits)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=positions, logits=without_padding)
