"""The question-answering model: the encoder, and a start and an end logit for each piece."""

import tensorflow.compat.v1 as tf

from bert import modeling
from bert.encoder import kernels
from bert.optimization import build_train_step, training_options
from bert.runtime import checkpoint
from bert.training import strategies

PADDING_LOGIT = -1e9


def head_shapes(config):
    """The shape of every variable beside the encoder's: dict from name to list of ints."""
    return {"cls/squad/output_weights": [2, config.hidden_size], "cls/squad/output_bias": [2]}


def span_logits(bert_config, is_training, features, use_one_hot_embeddings=False, compute=kernels.REFERENCE):
    """(start, end) logits, each float [batch, seq_len].

    Args:
      features: dict of int [batch, seq_len] input_ids, input_mask, segment_ids.
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


def position_losses(logits, positions, input_mask):
    """Cross entropy of each row's position among those that are not padding: float [batch].

    Args:
      logits: float [batch, seq_len].
      positions: int [batch].
      input_mask: int [batch, seq_len].
    """
    without_padding = tf.where(tf.equal(input_mask, 0), PADDING_LOGIT * tf.ones_like(logits), logits)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=positions, logits=without_padding)


def model_fn_builder(
    bert_config,
    init_checkpoint,
    learning_rate,
    num_train_steps,
    num_warmup_steps,
    use_one_hot_embeddings=False,
    compute=kernels.REFERENCE,
):
    """An Estimator's model function.

    Args:
      bert_config: BertConfig.
      init_checkpoint: checkpoint prefix to start from, or None.
      learning_rate: peak learning rate.
      num_train_steps, num_warmup_steps: steps of the learning rate's schedule.
      use_one_hot_embeddings, compute: see BertModel.

    Returns:
      model_fn(features, labels, mode, params) for training and prediction. Features: those of
      records.input_fn_builder.
      Predictions: unique_ids int [batch], start_logits and end_logits float [batch, seq_len].
    """

    def model_fn(features, labels, mode, params):
        is_training = mode == tf.estimator.ModeKeys.TRAIN
        start_logits, end_logits = span_logits(
            bert_config, is_training, features, use_one_hot_embeddings or strategies.on_tpu(), compute
        )
        if init_checkpoint:
            checkpoint.init_from_checkpoint(init_checkpoint)
        if not is_training:
            predictions = {
                "unique_ids": tf.identity(features["unique_ids"]),
                "start_logits": start_logits,
                "end_logits": end_logits,
            }
            return tf.estimator.EstimatorSpec(mode, predictions=predictions)

        start_losses = position_losses(start_logits, features["start_positions"], features["input_mask"])
        end_losses = position_losses(end_logits, features["end_positions"], features["input_mask"])
        loss = tf.reduce_mean(start_losses + end_losses) / 2.0
        step = build_train_step(loss, learning_rate, num_train_steps, num_warmup_steps, **training_options(compute))
        return strategies.training_spec(step, num_train_steps, params["batch_size"])

    return model_fn
