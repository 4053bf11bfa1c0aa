"""The schedule of a training run: its steps, when the dev set is scored, which score is best, when to stop early."""

import collections
import logging
import math

log = logging.getLogger(__name__)

_FIELDS = ["first_step", "last_step", "warmup_steps", "eval_every", "early_stop", "f1_can_rise"]


class Schedule(collections.namedtuple("Schedule", _FIELDS, defaults=[True])):
    """All tasks of a run make the same decisions from it.

    Attributes:
      first_step: step that training starts from, 0 or that of the newest checkpoint.
      last_step: step that training ends at.
      warmup_steps: steps in which the learning rate rises.
      eval_every: steps between two evaluations on the dev set.
      early_stop: number of evaluations without a better F1 after which training ends, or None.
      f1_can_rise: whether the dev set has entities. Without any F1 is always 0, and the loss takes its place.
    """

    @property
    def steps_left(self):
        """Steps that are still to be trained."""
        return self.last_step - self.first_step

    def is_due(self, step):
        """Whether the dev set is scored at this step."""
        return step > 0 and (step % self.eval_every == 0 or step == self.last_step)

    def is_due_since(self, evaluated_step, step):
        """Whether the dev set is scored at a step after `evaluated_step`, up to and including `step`."""
        return any(map(self.is_due, range(evaluated_step + 1, step + 1)))

    def should_stop(self, state):
        """Whether the last `early_stop` evaluations brought no better F1.

        Evaluations before the first entity is found do not count: F1 is 0 until then.

        Args:
          state: dict with `evaluations` and `best`, as in the state of run_dir.
        """
        evaluations, best = state["evaluations"], state["best"]
        if self.early_stop is None or best is None or (self.f1_can_rise and best["f1"] == 0.0):
            return False
        reached = best["step"]
        if self.f1_can_rise:  # the best one can be a later one of equal F1
            reached = next((scores["step"] for scores in evaluations if scores["f1"] == best["f1"]), reached)
        number = sum(scores["step"] > reached for scores in evaluations)
        if number < self.early_stop:
            return False
        log.info(
            "%d evaluations without a better %s than step %d's", number, "F1" if self.f1_can_rise else "loss", reached
        )
        return True

    def is_complete(self, state):
        """Whether nothing is left to be trained; `state` as in `should_stop`."""
        return self.steps_left <= 0 or self.should_stop(state)


def is_better(scores, best):
    """Whether an evaluation takes the place of the best one: by its F1, and of equal F1 by its loss.

    Args:
      scores: dict with "f1" and "loss", as evaluation.scores_of. A loss that is not a number is never better.
      best: the same of the best evaluation so far, or None.
    """
    if not math.isfinite(scores["loss"]):
        return False
    return best is None or (scores["f1"], -scores["loss"]) > (best["f1"], -best["loss"])


def best_of(evaluations):
    """The best of a list of evaluations, in order, see `is_better`; None of none."""
    best = None
    for scores in evaluations:
        best = scores if is_better(scores, best) else best
    return best


def make_schedule(
    windows, first_step, batch_size, num_train_epochs, warmup_proportion, eval_every, early_stop, f1_can_rise=True
):
    """The Schedule of a run over this many windows.

    Args:
      windows: number of windows in the train split.
      first_step: step that training starts from.
      batch_size: windows in a step.
      num_train_epochs: float, times through the train split.
      warmup_proportion: share of the steps in which the learning rate rises.
      eval_every: steps between two evaluations, or None for one an epoch.
      early_stop, f1_can_rise: as in Schedule.
    """
    last_step = max(int(windows * num_train_epochs / batch_size), 1)
    eval_every = eval_every or max(round(windows / batch_size), 1)
    return Schedule(first_step, last_step, int(last_step * warmup_proportion), eval_every, early_stop, f1_can_rise)
