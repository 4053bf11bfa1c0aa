"""The two tasks BERT is pre-trained on, masked LM and next-sentence prediction: their heads on the encoder.

Tasks and architecture are those of "BERT: Pre-training of Deep Bidirectional Transformers" (Devlin et al., 2018),
section 3.1; the names of variables and of metrics are those of Google's release.
"""

import tensorflow.compat.v1 as tf

from bert import modeling
from bert.optimization import mean_over_replicas


def get_masked_lm_output(bert_config, input_tensor, output_weights, positions, label_ids, label_weights):
    """Predicts the masked pieces.

    Args:
      bert_config: BertConfig.
      input_tensor: float [batch, seq_len, hidden], the encoder's sequence output.
      output_weights: float [vocab_size, hidden], the word embeddings.
      positions, label_ids: int [batch, predictions], the positions of the masked pieces and their ids.
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
    # Replicas have different numbers of predictions; divided by the mean number, each prediction counts the same.
    # The constant, Google's, keeps the loss of a batch without predictions finite.
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
    """The shapes of all variables of the two heads: dict from name to list of ints."""
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
