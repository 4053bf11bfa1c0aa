"""The two heads of pre-training against numpy."""

import numpy as np
import tensorflow.compat.v1 as tf

from bert.modeling import BertConfig
from bert.pretraining import model


def log_softmax(scores):
    scores = scores - scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def test_masked_lm_head(evaluate):
    rng = np.random.RandomState(1)
    batch, seq_len, hidden, vocab = 3, 7, 4, 11
    sequence, table = rng.randn(batch, seq_len, hidden), rng.randn(vocab, hidden)
    positions, labels = rng.randint(seq_len, size=(batch, 5)), rng.randint(vocab, size=(batch, 5))
    weights = np.array([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]], np.float32)
    config = BertConfig(vocab, hidden, hidden_act="relu", initializer_range=0.5)
    fed = tf.placeholder(tf.float32, [None, seq_len, hidden])
    results = model.get_masked_lm_output(
        config, fed, tf.constant(table, tf.float32), tf.constant(positions), tf.constant(labels), tf.constant(weights)
    )
    variables = {var.op.name: var for var in tf.trainable_variables()}
    loss, per_example_loss, log_probs = evaluate(results, {fed: sequence})
    values = {name[len("cls/predictions/") :]: value for name, value in evaluate(variables).items()}

    masked = np.concatenate([sequence[i][positions[i]] for i in range(batch)])
    masked = masked @ values["transform/dense/kernel"].astype(np.float64) + values["transform/dense/bias"]
    masked = np.maximum(masked, 0)
    masked = (masked - masked.mean(-1, keepdims=True)) / np.sqrt(masked.var(-1, keepdims=True) + 1e-12)
    masked = masked * values["transform/LayerNorm/gamma"] + values["transform/LayerNorm/beta"]
    expected = log_softmax(masked @ table.T + values["output_bias"])
    losses = -expected[np.arange(batch * 5), labels.reshape(-1)]
    np.testing.assert_allclose(log_probs, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(per_example_loss, losses, rtol=1e-4, atol=1e-4)
    assert abs(loss - losses[weights.reshape(-1) == 1].mean()) < 1e-3
    found = {name: var.shape.as_list() for name, var in variables.items()}
    assert found == {name: s for name, s in model.head_shapes(config).items() if "predictions" in name}


def test_masked_lm_loss_without_predictions_is_zero(evaluate):
    config = BertConfig(5, 4, hidden_act="relu")
    zeros = tf.zeros([2, 3], tf.int32)
    loss, _, _ = model.get_masked_lm_output(config, tf.ones([2, 3, 4]), tf.ones([5, 4]), zeros, zeros, tf.zeros([2, 3]))
    assert evaluate(loss) == 0


def test_next_sentence_head(evaluate):
    rng = np.random.RandomState(2)
    pooled, labels = rng.randn(6, 4), np.array([[0], [1], [1], [0], [1], [0]])
    config = BertConfig(5, 4, initializer_range=0.5)
    results = model.get_next_sentence_output(config, tf.constant(pooled, tf.float32), tf.constant(labels))
    variables = {var.op.name: var for var in tf.trainable_variables()}
    loss, per_example_loss, log_probs = evaluate(results)
    values = evaluate(variables)
    expected = log_softmax(
        pooled @ values["cls/seq_relationship/output_weights"].T + values["cls/seq_relationship/output_bias"]
    )
    losses = -expected[np.arange(6), labels[:, 0]]
    np.testing.assert_allclose(log_probs, expected, atol=1e-5)
    np.testing.assert_allclose(per_example_loss, losses, atol=1e-5)
    assert abs(loss - losses.mean()) < 1e-5
    found = {name: var.shape.as_list() for name, var in variables.items()}
    assert found == {name: s for name, s in model.head_shapes(config).items() if "seq_relationship" in name}
