"""The classifier's graph and scores against numpy, on the encoder's own pooled output."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.classification import model, tasks
from bert.modeling import BertConfig, BertModel
from train.models import create_classification_model

CONFIG = BertConfig(
    vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12,
    max_position_embeddings=16, type_vocab_size=2,
)  # fmt: skip
INPUT_IDS = np.array([[2, 7, 9, 3, 11, 3], [2, 6, 3, 0, 0, 0], [2, 8, 8, 19, 3, 0]])
INPUTS = [INPUT_IDS, (INPUT_IDS > 0).astype(int), np.array([[0, 0, 0, 0, 1, 1], [0] * 6, [0] * 6])]


def build(labels, num_labels, is_training=False):
    """(results of the model, pooled output, weights, bias) as tensors; a larger weight, so that it matters."""
    inputs = [tf.constant(value, tf.int32) for value in INPUTS]
    results = create_classification_model(CONFIG, is_training, *inputs, labels=labels, num_labels=num_labels)
    with tf.variable_scope("", reuse=True):
        pooled = BertModel(CONFIG, False, *inputs, scope="bert").get_pooled_output()
        weights, bias = tf.get_variable("output_weights"), tf.get_variable("output_bias")
    return results, pooled, weights, bias


def logits_of(evaluate, pooled, weights, bias):
    rng = np.random.RandomState(0)
    new_weights, new_bias = rng.normal(size=weights.shape.as_list()), rng.normal(size=bias.shape.as_list())
    evaluate([])
    weights.load(new_weights, evaluate.session)
    bias.load(new_bias, evaluate.session)
    return evaluate(pooled).astype(np.float64) @ new_weights.T + new_bias


def test_classification(evaluate):
    labels = np.array([2, 0, 1])
    (loss, per_example_loss, logits, probabilities), pooled, weights, bias = build(tf.constant(labels, tf.int32), 3)
    assert {var.op.name: var.shape.as_list() for var in tf.trainable_variables() if "/" not in var.op.name} == {
        "output_weights": [3, 8], "output_bias": [3],
    }  # fmt: skip
    expected = logits_of(evaluate, pooled, weights, bias)
    shares = np.exp(expected) / np.exp(expected).sum(1, keepdims=True)
    losses = -np.log(shares[np.arange(3), labels])
    np.testing.assert_allclose(evaluate(logits), expected, atol=1e-5)
    np.testing.assert_allclose(evaluate(probabilities), shares, atol=1e-5)
    np.testing.assert_allclose(evaluate(per_example_loss), losses, atol=1e-5)
    np.testing.assert_allclose(evaluate(loss), losses.mean(), atol=1e-5)


def test_regression(evaluate):
    labels = np.array([0.5, 3.0, 5.0])
    (loss, per_example_loss, logits, values), pooled, weights, bias = build(tf.constant(labels, tf.float32), 1)
    expected = logits_of(evaluate, pooled, weights, bias)
    np.testing.assert_allclose(evaluate(values), expected, atol=1e-5)
    np.testing.assert_allclose(evaluate(per_example_loss), (expected[:, 0] - labels) ** 2, rtol=1e-4)
    np.testing.assert_allclose(evaluate(loss), np.mean((expected[:, 0] - labels) ** 2), rtol=1e-4)


def test_without_labels_there_is_no_loss(graph):
    (loss, per_example_loss, _, probabilities), _, _, _ = build(None, 3)
    assert loss is None and per_example_loss is None and probabilities.shape.as_list() == [3, 3]


@pytest.mark.parametrize("is_training", [True, False])
def test_the_pooled_output_is_dropped_in_training_only(is_training, evaluate):
    """Seen where the encoder drops nothing itself."""
    config = BertConfig.from_dict(dict(CONFIG.to_dict(), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    inputs = [tf.constant(value, tf.int32) for value in INPUTS]
    _, _, logits, _ = create_classification_model(config, is_training, *inputs, labels=None, num_labels=2)
    assert np.array_equal(evaluate(logits), evaluate(logits)) != is_training


def test_score():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32)
    losses = np.array([1.0, 2.0, 6.0], np.float32)
    results = model.score(tasks.TASKS["mrpc"], [0, 1, 1], probabilities, losses, 2)
    assert results == {
        "eval_loss": pytest.approx(3.0), "loss": pytest.approx((1.5 + 6.0) / 2),
        "eval_accuracy": pytest.approx(2 / 3), "eval_f1": pytest.approx(2 / 3),
    }  # fmt: skip
    assert set(model.score(tasks.TASKS["cola"], [0, 1, 1], probabilities, losses, 2)) == {
        "eval_loss", "loss", "eval_accuracy", "eval_matthews",
    }  # fmt: skip
    values = np.array([[1.0], [2.0], [4.0]], np.float32)
    results = model.score(tasks.TASKS["sts-b"], [0.5, 1.5, 3.5], values, losses, 8)
    assert set(results) == {"eval_loss", "loss", "eval_pearson", "eval_spearman"}
    assert results["eval_pearson"] == pytest.approx(1.0)


def test_predictions_are_written_as_they_are(tmp_path):
    path = tmp_path / "test_results.tsv"
    probabilities = np.array([[0.25, 0.75], [1e-9, 1.0]], np.float32)
    model.write_predictions(str(path), probabilities)
    lines = path.read_text().splitlines()
    assert lines[0] == "0.25\t0.75"
    np.testing.assert_array_equal(np.array([line.split("\t") for line in lines], np.float32), probabilities)


def test_output_files_of_a_second_part():
    assert model.output_file("d", "eval_results.txt", "") == "d/eval_results.txt"
    assert model.output_file("d", "eval_results.txt", "mismatched") == "d/eval_results_mismatched.txt"
    assert model.output_file("d.x", "predict.tf_record", "mismatched") == "d.x/predict_mismatched.tf_record"
