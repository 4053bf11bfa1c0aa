"""What happens at the steps of training: checkpoints are saved, and each that is due is scored on the dev set."""

import logging
import math
import os

import tensorflow.compat.v1 as tf

from bert.system import signals
from bert.training.stopping import CheckpointSaver
from train import run_dir
from train.finetuning import checkpoints
from train.finetuning.schedule import is_better

log = logging.getLogger(__name__)


class DevEvaluation(tf.train.CheckpointSaverListener):
    """Scores each checkpoint that is due on the dev set, keeps the best one, and ends training when nothing improves.

    The scores are written to run.json at once, so a run that is killed and started again has them.

    Args:
      output_dir: directory of the checkpoints and of run.json.
      state: the run's state, see run_dir; changed and written at each evaluation.
      evaluate: function from a checkpoint's prefix to scores.
      schedule: schedule.Schedule.
      saves_late: whether a checkpoint may come some steps after the step that is due.
      loss_check: divergence.LossCheck, which ends training at a loss that is not a number; None in an evaluator, which
        only passes such a checkpoint over.
    """

    def __init__(self, output_dir, state, evaluate, schedule, saves_late=False, loss_check=None):
        self._output_dir = output_dir
        self._state = state
        self._evaluate = evaluate
        self._schedule = schedule
        self._saves_late = saves_late
        self._loss_check = loss_check
        self._events = tf.summary.FileWriter(os.path.join(output_dir, run_dir.EVAL_EVENTS))

    def after_save(self, session, global_step_value):
        """Scores the checkpoint of this step if it is due; returns whether training ends."""
        step = int(global_step_value)
        if not self._is_due(step):
            return False
        if signals.received():
            return True  # the run that goes on from here begins with this evaluation
        prefix = os.path.join(self._output_dir, f"{run_dir.CHECKPOINT}-{step}")
        with signals.signals_not_deferred():  # the checkpoint is saved, and this may take long
            scores = dict(self._evaluate(prefix), step=step)
        if self._loss_check and not math.isfinite(scores["loss"]):
            raise self._loss_check.failure(f"the loss on the dev set is {scores['loss']}", step)
        self._state["evaluations"].append(scores)
        improved = is_better(scores, self._state["best"])
        if improved:
            self._state["best"] = scores
        # The state comes first: a run that is started again reads there which checkpoint belongs into best/.
        run_dir.write_state(self._output_dir, self._state)
        if improved:
            checkpoints.keep_as_best(self._output_dir, prefix)
        self._write_summary(scores)
        log.info(
            "dev at step %d: loss %.4f  accuracy %.4f  precision %.4f  recall %.4f  F1 %.4f%s",
            step,
            scores["loss"],
            scores["accuracy"],
            scores["precision"],
            scores["recall"],
            scores["f1"],
            "  (best so far)" if improved else "",
        )
        return self._schedule.should_stop(self._state)

    def _is_due(self, step):
        evaluated_step = run_dir.evaluated_step(self._state)
        if self._saves_late:
            return self._schedule.is_due_since(evaluated_step, step)
        return evaluated_step < step and self._schedule.is_due(step)

    def _write_summary(self, scores):
        tags = {f"dev/{name}": scores[name] for name in scores if name != "step"}
        tags["loss"] = scores["loss"]  # as the training loss is called: TensorBoard shows both in one chart
        values = [tf.Summary.Value(tag=tag, simple_value=value) for tag, value in tags.items()]
        self._events.add_summary(tf.Summary(value=values), scores["step"])
        self._events.flush()


class ScheduledSaver(CheckpointSaver):
    """Saves checkpoints at chosen steps, at the start and at the end.

    Args:
      output_dir: directory of the checkpoints.
      is_scheduled: function from a step to whether a checkpoint is due.
      listeners: list of CheckpointSaverListener.
      steps_per_run: steps that the training op makes at once, as on a TPU.
    """

    def __init__(self, output_dir, is_scheduled, listeners, steps_per_run=1):
        super().__init__(output_dir, 1, listeners, steps_per_run)
        self._timer = _StepTimer(is_scheduled)


class _StepTimer:
    """Takes the place of the saver's timer, which knows only regular intervals."""

    def __init__(self, is_scheduled):
        self._is_scheduled = is_scheduled
        self._last = None

    def reset(self):
        self._last = None

    def last_triggered_step(self):
        return self._last

    def update_last_triggered_step(self, step):
        self._last = int(step)

    def should_trigger_for_step(self, step):
        """Whether a step was due after the last save, up to this step; training may skip steps."""
        first = step if self._last is None else self._last + 1
        return any(self._is_scheduled(due) for due in range(int(first), int(step) + 1))
