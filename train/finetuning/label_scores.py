"""How well each label is tagged on the dev set: to TensorBoard and the log, at each evaluation during training."""

import logging
import os

import tensorflow.compat.v1 as tf

from train import mymetrics, run_dir

log = logging.getLogger(__name__)


class LabelScores:
    """Called with a step and an evaluation.Evaluated, it writes a curve `dev/accuracy/<label>` for each label.

    The accuracy of a label is the share of the words with this gold label that are tagged right.

    Args:
      output_dir: directory of the run.
    """

    def __init__(self, output_dir):
        # A name of its own, as other scores are written to the same directory.
        folder = os.path.join(output_dir, run_dir.EVAL_EVENTS)
        self._events = tf.summary.FileWriter(folder, filename_suffix=".labels")

    def __call__(self, step, evaluated):
        gold = [tag for sentence in evaluated.sentences for tag in sentence.tags]
        predicted = [tag for tags in evaluated.tagged.tags for tag in tags]
        labels = sorted(set(gold) | set(predicted))
        scores = mymetrics.label_accuracy(gold, predicted, labels)
        values = [
            tf.Summary.Value(tag=f"dev/accuracy/{label}", simple_value=score.accuracy)
            for label, score in scores.items()
            if score.support
        ]
        self._events.add_summary(tf.Summary(value=values), step)
        self._events.flush()
        log.info("dev at step %d, label by label:\n%s", step, mymetrics.label_table(gold, predicted, labels))
