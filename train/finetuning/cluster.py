"""Evaluation on the dev set where a run has several tasks: one of them scores, all of them hear of it.

Which steps are evaluated is known beforehand, so nothing has to be sent: at such a step each task waits until run.json
holds the scores, and all come to the same decision. Where an evaluator scores while training goes on, what decides is
the evaluation before, so that training waits only for an evaluator that is more than one behind.
"""

import os
import time

import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint
from bert.system import signals
from train import run_dir
from train.finetuning.hooks import should_stop

POLL = 0.1  # seconds between two looks at what another task writes


class EvaluationGate(tf.train.SessionRunHook):
    """Ends training where early stopping says so, at the same step in every task.

    Args:
      output_dir: directory of run.json.
      is_due: function from a step to whether it is evaluated.
      first_step, last_step: of this training.
      early_stop: evaluations without a better F1 after which training ends, or None.
      lags: decide by the evaluation before the one that is due.
    """

    def __init__(self, output_dir, is_due, first_step, last_step, early_stop, lags):
        self._output_dir = output_dir
        self._is_due = is_due
        self._step = first_step
        self._last_step = last_step
        self._early_stop = early_stop
        self._lags = lags
        self._due_before = first_step if is_due(first_step) else None

    def begin(self):
        self._global_step = tf.train.get_global_step()

    def after_run(self, run_context, run_values):
        step = int(run_context.session.run(self._global_step))
        for due in range(self._step + 1, min(step + 1, self._last_step)):
            if self._is_due(due):
                awaited, self._due_before = (self._due_before if self._lags else due), due
                if awaited is not None and self._stops(awaited):
                    run_context.request_stop()
        self._step = max(step, self._step)

    def _stops(self, awaited):
        """Whether training ends after the evaluation of this step; a signal ends the waiting, see stopping.py."""
        state = _wait(self._output_dir, lambda state: _evaluated(state) >= awaited or signals.received())
        known = [scores for scores in state["evaluations"] if scores["step"] <= awaited]
        best = max(known, key=lambda scores: scores["f1"], default=None)  # the first of equals
        return should_stop({"evaluations": known, "best": best}, self._early_stop)


def follow(output_dir, evaluation, is_due, first_step, last_step, early_stop):
    """The evaluator's work: scores the checkpoints of the steps that are due, one after another, as they appear.

    Args:
      evaluation: hooks.DevEvaluation.
      output_dir, is_due, first_step, last_step, early_stop: as of EvaluationGate.
    """
    state = run_dir.read_state(output_dir)
    if should_stop(state, early_stop):
        return
    for step in range(_evaluated(state) + 1, last_step + 1):
        if not is_due(step) or not _comes(output_dir, step, first_step):
            continue
        while not _is_there(output_dir, step):
            time.sleep(POLL)
        if evaluation.after_save(None, step):
            return


def _comes(output_dir, step, first_step):
    """Whether there is, or will be, a checkpoint of this step: what a killed run left to be scored, if it is there."""
    return step >= first_step or _is_there(output_dir, step)


def _is_there(output_dir, step):
    """Whether the step's checkpoint is complete: one that is just being written, or was cut off, is not."""
    prefix = os.path.join(output_dir, f"{run_dir.CHECKPOINT}-{step}")
    return tf.train.checkpoint_exists(prefix) and checkpoint.is_whole(prefix)


def wait_for_last(output_dir, is_due, first_step, last_step, early_stop):
    """Waits until the evaluator has come to its end; returns the run's state. Arguments as of EvaluationGate."""
    due = [step for step in range(1, last_step + 1) if is_due(step)]
    awaited = next((step for step in reversed(due) if _comes(output_dir, step, first_step)), 0)

    def is_complete(state):
        if _evaluated(state) < awaited and not should_stop(state, early_stop):
            return False
        kept = checkpoint.latest(os.path.join(output_dir, run_dir.BEST)) or ""
        return state["best"] is None or kept.endswith(f"-{state['best']['step']}")

    return _wait(output_dir, is_complete)


def late(is_due, state):
    """Whether an evaluation is due, for checkpoints that may come some steps late: (function from a step to bool)."""
    return lambda step: any(is_due(due) for due in range(_evaluated(state) + 1, step + 1))


def _wait(output_dir, is_enough):
    """The run's state as soon as `is_enough` says so of it."""
    while True:
        state = run_dir.read_state(output_dir)
        if is_enough(state):
            return state
        time.sleep(POLL)


def _evaluated(state):
    """The last step that was evaluated, 0 for none."""
    return state["evaluations"][-1]["step"] if state["evaluations"] else 0
