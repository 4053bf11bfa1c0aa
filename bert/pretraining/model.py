"""The two tasks BERT is pre-trained on, masked LM and next-sentence prediction: their heads and the model function.

Tasks and architecture are those of "BERT: Pre-training of Deep Bidirectional Transformers" (Devlin et al., 2018),
section 3.1; the names of variables and of metrics are those of Google's release.
"""

import tensorflow.compat.v1 as tf

from bert import modeling
from bert.encoder import kernels
from bert.optimization import build_train_step, mean_over_replicas, training_options
from bert.runtime import checkpoint
from bert.training import strategies


def get_masked_lm_output(bert_config, input_tensor, output_weights, positions, label_ids, label_weights):
    """Predicts the masked pieces.

    Args:
      bert_config: BertConfig.
      input_tensor: float [batch, seq_len, hidden], the encoder's sequence output.
      output_weights: float [vocab_size, hidden], the word embeddings.
      positions, label_ids: int [batch, predictions], where the pieces are and what they were.
      label_weights: float [batch, predictions], 1 for a prediction, 0 for padding.

    Returns:
      (loss, per_example_loss, log_probs): scalar, the mean over the predictions of the batch; their negative
      log-likelihoods, [batch * predictions]; log-probabilities [batch * predictions, vocab_size].
    """
    masked = gather_indexes(input_tensor, positions)
    with tf.variable_scope("cls/predictions"):
        with tf.variable_scope("transform"):
            activation = modeling.get_activation(bert_config.hidden_act)
            masked = modeling.dense(masked, bert_config.hidden_size, "dense", bert_config.initializer_range, activation)
            masked = modeling.layer_norm(masked)  # [batch * predictions, hidden]
        bias = tf.get_variable("output_bias", [bert_config.vocab_size], initializer=tf.zeros_initializer())
        logits = tf.nn.bias_add(tf.matmul(masked, output_weights, transpose_b=True), bias)
    per_example_loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.reshape(label_ids, [-1]), logits=logits)
    weights = tf.reshape(label_weights, [-1])
    # Replicas have different numbers of predictions; divided by their mean, each counts alike. The constant keeps a
    # batch without any prediction finite; it is Google's.
    (predictions,) = mean_over_replicas([tf.reduce_sum(weights)])
    loss = tf.reduce_sum(weights * per_example_loss) / (predictions + 1e-5)
    return loss, per_example_loss, tf.nn.log_softmax(logits)


def get_next_sentence_output(bert_config, input_tensor, labels):
    """Predicts whether the second segment follows the first.

    Args:
      bert_config: BertConfig.
      input_tensor: float [batch, hidden], the encoder's pooled output.
      labels: int [batch] or [batch, 1]: 0 where it follows, 1 where it is from another document.

    Returns:
      (loss, per_example_loss, log_probs): scalar mean, [batch], [batch, 2].
    """
    with tf.variable_scope("cls/seq_relationship"):
        weights = tf.get_variable(
            "output_weights",
            [2, bert_config.hidden_size],
            initializer=modeling.create_initializer(bert_config.initializer_range),
        )
        bias = tf.get_variable("output_bias", [2], initializer=tf.zeros_initializer())
        logits = tf.nn.bias_add(tf.matmul(input_tensor, weights, transpose_b=True), bias)
    per_example_loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.reshape(labels, [-1]), logits=logits)
    return tf.reduce_mean(per_example_loss), per_example_loss, tf.nn.log_softmax(logits)


def gather_indexes(sequence_tensor, positions):
    """The rows of [batch, seq_len, hidden] at int positions [batch, n]: [batch * n, hidden]."""
    batch, seq_len, hidden = modeling.get_shape_list(sequence_tensor, expected_rank=3)
    first_rows = tf.cast(tf.range(batch)[:, None] * seq_len, positions.dtype)
    return tf.gather(tf.reshape(sequence_tensor, [-1, hidden]), tf.reshape(positions + first_rows, [-1]))


def head_shapes(config):
    """The shape of every variable of the two heads: dict from name to list of ints."""
    hidden = config.hidden_size
    return {
        "cls/predictions/transform/dense/kernel": [hidden, hidden],
        "cls/predictions/transform/dense/bias": [hidden],
        "cls/predictions/transform/LayerNorm/beta": [hidden],
        "cls/predictions/transform/LayerNorm/gamma": [hidden],
        "cls/predictions/output_bias": [config.vocab_size],
        "cls/seq_relationship/output_weights": [2, hidden],
        "cls/seq_relationship/output_bias": [2],
    }


def model_fn_builder(
    bert_config,
    init_checkpoint,
    learning_rate,
    num_train_steps,
    num_warmup_steps,
    train_batch_size,
    use_one_hot_embeddings=False,
    compute=kernels.REFERENCE,
):
    """Pre-training as an Estimator's model function.

    Args:
      bert_config: BertConfig.
      init_checkpoint: checkpoint prefix to start from, or None for random weights.
      learning_rate: peak learning rate.
      num_train_steps, num_warmup_steps: steps of the learning rate's schedule.
      train_batch_size: examples a step, for the log.
      use_one_hot_embeddings: look words up by matmul, as a TPU prefers.
      compute: kernels.Compute, how the encoder computes.

    Returns:
      model_fn(features, labels, mode, params). Features: those of a record, see create_pretraining_data. In
      evaluation it gives the metrics `masked_lm_accuracy`, `masked_lm_loss`, `next_sentence_accuracy` and
      `next_sentence_loss`, means over all predictions and all examples.
    """

    def model_fn(features, labels, mode, params):
        is_training = mode == tf.estimator.ModeKeys.TRAIN
        encoder = modeling.BertModel(
            config=bert_config,
            is_training=is_training,
            input_ids=features["input_ids"],
            input_mask=features["input_mask"],
            token_type_ids=features["segment_ids"],
            use_one_hot_embeddings=use_one_hot_embeddings or strategies.on_tpu(),
            compute=compute,
        )
        masked_lm = get_masked_lm_output(
            bert_config,
            encoder.get_sequence_output(),
            encoder.get_embedding_table(),
            features["masked_lm_positions"],
            features["masked_lm_ids"],
            features["masked_lm_weights"],
        )
        next_sentence = get_next_sentence_output(
            bert_config, encoder.get_pooled_output(), features["next_sentence_labels"]
        )
        loss = masked_lm[0] + next_sentence[0]
        if init_checkpoint:
            checkpoint.init_from_checkpoint(init_checkpoint)
        if not is_training:
            metrics = _metrics(features, masked_lm, next_sentence)
            return tf.estimator.EstimatorSpec(mode, loss=loss, eval_metric_ops=metrics)

        step = build_train_step(
            loss,
            learning_rate,
            num_train_steps,
            num_warmup_steps,
            reported=(masked_lm[0], next_sentence[0]),
            **training_options(compute),
        )
        if not strategies.on_tpu():
            for name, mean in zip(("masked_lm_loss", "next_sentence_loss"), step.means):
                tf.summary.scalar(name, mean)
        return strategies.training_spec(step, num_train_steps, train_batch_size)

    return model_fn


def _metrics(features, masked_lm, next_sentence):
    """Streaming means; `masked_lm`, `next_sentence`: what the two functions above return."""
    weights = tf.reshape(features["masked_lm_weights"], [-1])
    pieces = tf.reshape(features["masked_lm_ids"], [-1])
    is_random = tf.reshape(features["next_sentence_labels"], [-1])
    return {
        "masked_lm_accuracy": tf.metrics.accuracy(pieces, _best(masked_lm[2]), weights),
        "masked_lm_loss": tf.metrics.mean(masked_lm[1], weights),
        "next_sentence_accuracy": tf.metrics.accuracy(is_random, _best(next_sentence[2])),
        "next_sentence_loss": tf.metrics.mean(next_sentence[1]),
    }


def _best(log_probs):
    return tf.argmax(log_probs, axis=-1, output_type=tf.int32)
