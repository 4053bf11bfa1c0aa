"""The sentence classifier: one linear layer on BERT's pooled output; its graph, its scores, its export.

A task with one output is a regression: the output is the value itself and the loss the squared error.
"""

import os

import numpy as np
import tensorflow.compat.v1 as tf

from bert import modeling
from bert.classification import metrics, tasks
from bert.data import pairs
from bert.encoder import kernels
from bert.runtime import saved_model
from bert.runtime.frozen_weights import FrozenWeights
from bert.system.files import atomic_open

DROPOUT = 0.1  # of the pooled output
WEIGHTS, BIAS = "output_weights", "output_bias"


def create_model(
    bert_config,
    is_training,
    input_ids,
    input_mask,
    segment_ids,
    labels,
    num_labels,
    use_one_hot_embeddings,
    compute=kernels.REFERENCE,
):
    """The classifier's graph.

    Args:
      bert_config: BertConfig.
      is_training: whether dropout is on.
      input_ids, input_mask, segment_ids: int [batch, seq_len].
      labels: int [batch], or float [batch] for regression; None if they are not known.
      num_labels: number of labels; 1 for regression.
      use_one_hot_embeddings: look words up by matmul, as a TPU prefers.
      compute: kernels.Compute, how the encoder computes.

    Returns:
      (loss, per_example_loss, logits, probabilities): scalar mean, [batch], [batch, num_labels] twice; the losses are
      None without labels. In regression, logits and probabilities are both the predicted values.
    """
    encoder = modeling.BertModel(
        config=bert_config,
        is_training=is_training,
        input_ids=input_ids,
        input_mask=input_mask,
        token_type_ids=segment_ids,
        use_one_hot_embeddings=use_one_hot_embeddings,
        compute=compute,
    )
    pooled = encoder.get_pooled_output()  # [batch, hidden]
    weights = tf.get_variable(WEIGHTS, [num_labels, bert_config.hidden_size], initializer=modeling.create_initializer())
    bias = tf.get_variable(BIAS, [num_labels], initializer=tf.zeros_initializer())
    if is_training:
        pooled = modeling.dropout(pooled, DROPOUT)
    logits = tf.matmul(pooled, weights, transpose_b=True) + bias
    if num_labels == tasks.REGRESSION_LABELS:
        probabilities = logits
        per_example_loss = None if labels is None else tf.square(logits[:, 0] - labels)
    else:
        probabilities = tf.nn.softmax(logits)
        per_example_loss = None
        if labels is not None:
            per_example_loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    loss = None if labels is None else tf.reduce_mean(per_example_loss)
    return loss, per_example_loss, logits, probabilities


def head_shapes(config, num_labels):
    """The shape of every variable that `create_model` adds to the encoder: dict from name to list of ints."""
    return {WEIGHTS: [num_labels, config.hidden_size], BIAS: [num_labels]}


def eval_metrics(per_example_loss, label_ids, logits, is_real_example=None):
    """An Estimator's metrics of evaluation: `eval_loss` and, unless it is a regression, `eval_accuracy`.

    Args:
      per_example_loss: float [batch].
      label_ids: int [batch], or float [batch] in regression.
      logits: float [batch, num_labels].
      is_real_example: int [batch], 0 where an example does not count; None: all count.

    Returns:
      dict from name to (value, update_op).
    """
    weights = None if is_real_example is None else tf.cast(is_real_example, tf.float32)
    found = {"eval_loss": tf.metrics.mean(per_example_loss, weights=weights)}
    if logits.shape.as_list()[1] != tasks.REGRESSION_LABELS:
        best = tf.argmax(logits, axis=1, output_type=tf.int32)
        found["eval_accuracy"] = tf.metrics.accuracy(label_ids, best, weights=weights)
    return found


def score(task, expected, probabilities, losses, batch_size):
    """The scores that go into eval_results.txt.

    Args:
      task: tasks.Task.
      expected: [n], label ids, or values in regression.
      probabilities: float [n, num_labels], as predicted.
      losses: float [n].
      batch_size: of the evaluation.

    Returns:
      dict: `eval_loss`, the mean over examples; `loss`, the mean over batches; `eval_accuracy` unless it is a
      regression; `eval_` and the name of each of the task's own metrics.
    """
    is_regression = task.labels is None
    predicted = probabilities[:, 0] if is_regression else np.argmax(probabilities, axis=1)
    batches = [losses[start : start + batch_size] for start in range(0, len(losses), batch_size)]
    results = {"eval_loss": float(np.mean(losses)), "loss": float(np.mean([np.mean(batch) for batch in batches]))}
    if not is_regression:
        results["eval_accuracy"] = metrics.accuracy(expected, predicted)
    for name in task.metrics:
        results[f"eval_{name}"] = metrics.METRICS[name](expected, predicted)
    return results


def write_predictions(path, probabilities):
    """Writes a line per example, in order: the labels' probabilities, tabs between, or the value in regression."""
    with atomic_open(path) as writer:
        for row in probabilities:
            writer.write("\t".join(str(value) for value in row) + "\n")


def export_saved_model(export_dir, prefix, bert_config, task, vocab_file, settings, compute=kernels.REFERENCE):
    """Writes `export_dir/<timestamp>/`, complete or not at all.

    Signature `serving_default`: int32 [batch, seq_len] `input_ids`, `input_mask`, `segment_ids`, of any two sizes;
    gives float32 [batch, num_labels] `probabilities`, string [batch, num_labels] `label_names`, whose probabilities
    they are, and string [batch] `label`, the most probable; in regression float32 [batch] `score` alone. The assets are
    vocab.txt, bert_config.json and classifier.json, the settings.

    Args:
      export_dir: directory of all exports.
      prefix: checkpoint prefix.
      bert_config: BertConfig.
      task: tasks.Task.
      vocab_file: path.
      settings: JSON dict.
      compute: kernels.Compute; its kernels have to be PLAIN, as not every server compiles.

    Returns:
      The directory written.
    """

    def build_signatures(session):
        weights = FrozenWeights(compute.dtype)
        fed = {name: tf.placeholder(tf.int32, [None, None], name) for name in pairs.FIELDS}
        with weights.scope():
            _, _, _, probabilities = create_model(
                bert_config,
                False,
                fed["input_ids"],
                fed["input_mask"],
                fed["segment_ids"],
                None,
                tasks.num_outputs(task),
                use_one_hot_embeddings=False,
                compute=compute,
            )
        weights.load(session, prefix)
        outputs = _outputs(task, probabilities)
        signature = tf.saved_model.predict_signature_def(fed, outputs)
        return {tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature}

    assets = {"bert_config.json": bert_config.to_dict(), "classifier.json": settings}
    return saved_model.write_saved_model(export_dir, build_signatures, vocab_file, assets)


def _outputs(task, probabilities):
    if task.labels is None:
        return {"score": tf.identity(probabilities[:, 0], "score")}
    names = tf.constant(task.labels)
    batch = tf.shape(probabilities)[0]
    return {
        "probabilities": tf.identity(probabilities, "probabilities"),
        # A row for each example, as a server that joins requests into batches can only split such outputs again.
        "label_names": tf.tile(names[None, :], [batch, 1], name="label_names"),
        "label": tf.gather(names, tf.argmax(probabilities, axis=1), name="label"),
    }


def output_file(output_dir, name, part):
    """The path of an output file; a second part of the data is in its name, as in test_results_mismatched.tsv."""
    stem, end = os.path.splitext(name)
    return os.path.join(output_dir, (f"{stem}_{part}" if part else stem) + end)
