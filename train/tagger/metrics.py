"""The metrics that an Estimator's evaluation of a tagger gives, label by label."""

import tensorflow.compat.v1 as tf

from train import tf_metrics
from train.data.labels import SPECIAL
from train.data.schemes import OUTSIDE


def estimator_metrics(losses, label_ids, pred_ids, counted, num_labels, label_map):
    """The Estimator's evaluation metrics, label by label; scores of entities come from conlleval.

    Args:
      losses: float [batch].
      label_ids, pred_ids: int [batch, seq_len].
      counted: float [batch, seq_len], 1 where a label counts.
      num_labels: number of label ids, padding included.
      label_map: dict from label to id; empty, it leaves precision, recall and F1 out.

    Returns:
      dict from name to (value, update_op).
    """
    metrics = {
        "eval_loss": tf.metrics.mean(losses),
        "accuracy": tf.metrics.accuracy(label_ids, pred_ids, weights=counted),
    }
    entity_ids = [i for label, i in label_map.items() if label not in SPECIAL + (OUTSIDE,)]
    for name in ("precision", "recall", "f1") if entity_ids else ():  # none in data of O alone
        metrics[name] = getattr(tf_metrics, name)(label_ids, pred_ids, num_labels, entity_ids, counted)
    return metrics
