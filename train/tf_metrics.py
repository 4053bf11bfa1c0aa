"""Precision, recall and F-beta of a multi-class tagging, streaming over batches like those of `tf.metrics`.

Label ids in, scalars out: each function returns `(value, update_op)`, which is what an Estimator takes in
`eval_metric_ops`. The counts live in local variables that `tf.metrics` makes, so a distribution strategy sums
them over its replicas. These are scores of single labels; scores of entities come from conlleval.

The scores over the classes in `pos_indices` are averaged as scikit-learn does:

    micro     the counts of the classes are summed before the division,
    macro     every class counts the same,
    weighted  a class counts by its share of the gold labels.

A score is 0 where it would be 0/0.
"""

import tensorflow.compat.v1 as tf

AVERAGES = ("micro", "macro", "weighted")


def precision(labels, predictions, num_classes, pos_indices=None, weights=None, average="micro"):
    """Share of what was predicted that is right; arguments and result as `fbeta`."""
    return _streaming(_precision, labels, predictions, num_classes, pos_indices, weights, average)


def recall(labels, predictions, num_classes, pos_indices=None, weights=None, average="micro"):
    """Share of the gold labels that was found; arguments and result as `fbeta`."""
    return _streaming(_recall, labels, predictions, num_classes, pos_indices, weights, average)


def f1(labels, predictions, num_classes, pos_indices=None, weights=None, average="micro"):
    """Harmonic mean of precision and recall; arguments and result as `fbeta`."""
    return fbeta(labels, predictions, num_classes, pos_indices, weights, average)


def fbeta(labels, predictions, num_classes, pos_indices=None, weights=None, average="micro", beta=1):
    """F-beta: recall counts `beta` times as much as precision (van Rijsbergen, Information Retrieval, 1979).

    Args:
        labels: gold label ids, integers in [0, num_classes), any shape, usually [B, T].
        predictions: predicted label ids, same shape.
        num_classes: number of label ids, padding's included.
        pos_indices: the ids to score (without padding and `O`, say); default all.
        weights: what each token counts, 0 to leave it out; broadcast to the shape of `labels`.
        average: "micro", "macro" or "weighted".
        beta: at least 0.

    Returns:
        (value, update_op), float32 scalars: the score of all batches so far, and the same with the current
        batch counted in. Counts are float32: exact up to 2^24 tokens a pair of labels.

    Raises:
        ValueError: an unknown average, a class out of range or given twice, no class, a negative beta.
    """
    if beta < 0:
        raise ValueError(f"beta is {beta}, expected at least 0")

    return _streaming(_fbeta(beta), labels, predictions, num_classes, pos_indices, weights, average)


def safe_div(numerator, denominator):
    """The ratio of two tensors, elementwise, as float32; 0 where the denominator is 0."""
    return tf.math.divide_no_nan(tf.cast(numerator, tf.float32), tf.cast(denominator, tf.float32))


def pr_re_fbeta(cm, pos_indices, beta=1):
    """Precision, recall and F-beta of some classes together ("micro"), from a confusion matrix.

    Args:
        cm: [num_classes, num_classes], gold by predicted.
        pos_indices: the ids to score.
        beta: as of `fbeta`.

    Returns:
        (precision, recall, fbeta), float32 scalars.
    """
    return metrics_from_confusion_matrix(cm, pos_indices, beta=beta)


def metrics_from_confusion_matrix(cm, pos_indices=None, average="micro", beta=1):
    """Precision, recall and F-beta from a confusion matrix, as scalars; arguments as `pr_re_fbeta` and `fbeta`.

    Raises:
        ValueError: as of `fbeta`.
    """
    matrix = tf.cast(cm, tf.float32)
    num_classes = matrix.shape.as_list()[0]
    classes = list(range(num_classes)) if pos_indices is None else list(pos_indices)
    _check(classes, num_classes, average)
    return tuple(_averaged(score, matrix, classes, average) for score in (_precision, _recall, _fbeta(beta)))


def _fbeta(beta):
    def score(correct, predicted, gold):
        return tf.math.divide_no_nan((1.0 + beta**2) * correct, beta**2 * gold + predicted)

    return score


def _precision(correct, predicted, gold):
    del gold
    return tf.math.divide_no_nan(correct, predicted)


def _recall(correct, predicted, gold):
    del predicted
    return tf.math.divide_no_nan(correct, gold)


def _streaming(score, labels, predictions, num_classes, pos_indices, weights, average):
    """(value, update_op) of `score(correct, predicted, gold)`, a function of counts, elementwise."""
    classes = list(range(num_classes)) if pos_indices is None else list(pos_indices)
    _check(classes, num_classes, average)
    # The scores are ratios of counts, so the mean of the batches' matrices gives the same as their sum; and
    # the mean is what tf.metrics offers, with variables that a distribution strategy sums over its replicas.
    batch_matrix = _confusion_matrix(labels, predictions, num_classes, weights)
    mean_matrix, update_matrix = tf.metrics.mean_tensor(batch_matrix)
    # `mean_matrix` is one tensor for all replicas. An Estimator wants the value to be one as well, so it is
    # computed once, outside the replicas.
    value = tf.distribute.get_replica_context().merge_call(
        lambda _, matrix: _averaged(score, matrix, classes, average), args=(mean_matrix,)
    )
    update_op = _averaged(score, update_matrix, classes, average)
    return value, update_op


def _check(classes, num_classes, average):
    if average not in AVERAGES:
        raise ValueError(f"average is {average!r}, expected one of {', '.join(AVERAGES)}")
    if not classes or len(set(classes)) < len(classes) or not set(classes) <= set(range(num_classes)):
        raise ValueError(f"pos_indices is {classes}, expected different ids from 0 to {num_classes - 1}")


def _confusion_matrix(labels, predictions, num_classes, weights):
    """Float32 [C, C], gold by predicted: the (weighted) number of tokens of this batch."""
    labels = tf.convert_to_tensor(labels)
    predictions = tf.convert_to_tensor(predictions)
    labels.shape.assert_is_compatible_with(predictions.shape)
    # One-hot rows and a matmul: tf.math.confusion_matrix adds up by an op that a TPU's compiler may not have.
    gold = tf.one_hot(tf.reshape(labels, [-1]), num_classes)
    if weights is not None:
        weights = tf.broadcast_to(tf.cast(weights, tf.float32), tf.shape(labels))
        gold *= tf.reshape(weights, [-1, 1])
    return tf.matmul(gold, tf.one_hot(tf.reshape(predictions, [-1]), num_classes), transpose_a=True)


def _averaged(score, matrix, classes, average):
    """The scalar score of a confusion matrix [C, C] over `classes`."""
    correct = tf.gather(tf.linalg.diag_part(matrix), classes)  # [P]
    predicted = tf.gather(tf.reduce_sum(matrix, axis=0), classes)  # [P]
    gold = tf.gather(tf.reduce_sum(matrix, axis=1), classes)  # [P]
    if average == "micro":
        return score(tf.reduce_sum(correct), tf.reduce_sum(predicted), tf.reduce_sum(gold))
    scores = score(correct, predicted, gold)  # [P]
    if average == "macro":
        return tf.reduce_mean(scores)
    return tf.math.divide_no_nan(tf.reduce_sum(scores * gold), tf.reduce_sum(gold))
