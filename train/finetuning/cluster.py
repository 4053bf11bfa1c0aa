"""Evaluation on the dev set in a run of several tasks: one task scores, all tasks learn the scores from run.json.

All tasks know from the schedule which steps are evaluated, so no messages are needed. At such a step each task waits
until run.json holds the scores, and all tasks make the same decision. Where a separate evaluator scores while training
goes on, the evaluation before decides, so training waits only if the evaluator is more than one evaluation behind.
"""

import os
import time

import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint
from bert.system import signals
from train import run_dir
from train.finetuning.schedule import best_of

SECONDS_BETWEEN_CHECKS = 0.1  # of the files that another task writes


class EvaluationGate(tf.train.SessionRunHook):
    """Ends training where early stopping says so, at the same step in every task.

    Args:
      output_dir: directory of run.json.
      schedule: schedule.Schedule.
      lags: decide by the evaluation before the one that is due.
    """

    def __init__(self, output_dir, schedule, lags):
        self._output_dir = output_dir
        self._schedule = schedule
        self._lags = lags
        self._step = schedule.first_step
        self._last_due = self._step if schedule.is_due(self._step) else None

    def begin(self):
        self._global_step = tf.train.get_global_step()

    def after_run(self, run_context, run_values):
        step = int(run_context.session.run(self._global_step))
        for due in range(self._step + 1, min(step + 1, self._schedule.last_step)):
            if self._schedule.is_due(due):
                awaited, self._last_due = (self._last_due if self._lags else due), due
                if awaited is not None and self._stops_after(awaited):
                    run_context.request_stop()
        self._step = max(step, self._step)

    def _stops_after(self, awaited):
        """Waits for the evaluation of a step; whether training ends after it. A signal ends the waiting."""
        state = _wait_for_state(
            self._output_dir, lambda state: run_dir.evaluated_step(state) >= awaited or signals.received()
        )
        known = [scores for scores in state["evaluations"] if scores["step"] <= awaited]
        return self._schedule.should_stop({"evaluations": known, "best": best_of(known)})


def run_evaluator(output_dir, dev_evaluation, schedule):
    """The work of the evaluator task: scores the checkpoints of the steps that are due, in order, as they appear.

    Args:
      output_dir: directory of the run.
      dev_evaluation: hooks.DevEvaluation.
      schedule: schedule.Schedule.
    """
    state = run_dir.read_state(output_dir)
    if schedule.should_stop(state):
        return
    for step in range(run_dir.evaluated_step(state) + 1, schedule.last_step + 1):
        if not schedule.is_due(step) or not _is_expected(output_dir, step, schedule):
            continue
        while not _is_saved(output_dir, step):
            time.sleep(SECONDS_BETWEEN_CHECKS)
        if dev_evaluation.after_save(None, step):
            return


def wait_for_evaluator(output_dir, schedule):
    """Waits until the evaluator has scored the last checkpoint and kept the best one.

    Args:
      output_dir: directory of the run.
      schedule: schedule.Schedule.

    Returns:
      The run's state, see run_dir.
    """
    due = [step for step in range(1, schedule.last_step + 1) if schedule.is_due(step)]
    awaited = next((step for step in reversed(due) if _is_expected(output_dir, step, schedule)), 0)

    def is_complete(state):
        if run_dir.evaluated_step(state) < awaited and not schedule.should_stop(state):
            return False
        kept = checkpoint.latest(os.path.join(output_dir, run_dir.BEST)) or ""
        return state["best"] is None or kept.endswith(f"-{state['best']['step']}")

    return _wait_for_state(output_dir, is_complete)


def _is_expected(output_dir, step, schedule):
    """Whether the step's checkpoint is there or will be; one from before this training may be missing for good."""
    return step >= schedule.first_step or _is_saved(output_dir, step)


def _is_saved(output_dir, step):
    """Whether the step's checkpoint is complete: one that is being written, or was cut off, is not."""
    prefix = os.path.join(output_dir, f"{run_dir.CHECKPOINT}-{step}")
    return tf.train.checkpoint_exists(prefix) and checkpoint.is_whole(prefix)


def _wait_for_state(output_dir, is_enough):
    """Waits until `is_enough` is true of the run's state; returns that state."""
    while True:
        state = run_dir.read_state(output_dir)
        if is_enough(state):
            return state
        time.sleep(SECONDS_BETWEEN_CHECKS)
