"""The schedule of a training run: which steps there are, at which of them the dev set is scored, when to stop early."""

import collections
import logging

log = logging.getLogger(__name__)

_FIELDS = ["first_step", "last_step", "warmup_steps", "eval_every", "early_stop"]


class Schedule(collections.namedtuple("Schedule", _FIELDS)):
    """All tasks of a run make the same decisions from it.

    Attributes:
      first_step: step that training starts from, 0 or that of the newest checkpoint.
      last_step: step that training ends at.
      warmup_steps: steps in which the learning rate rises.
      eval_every: steps between two evaluations on the dev set.
      early_stop: number of evaluations without a better F1 after which training ends, or None.
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

        Args:
          state: dict with `evaluations` and `best`, as in the state of run_dir.
        """
        if self.early_stop is None or state["best"] is None:
            return False
        since_best = [scores for scores in state["evaluations"] if scores["step"] > state["best"]["step"]]
        if len(since_best) < self.early_stop:
            return False
        log.info("%d evaluations without a better F1 than step %d's", len(since_best), state["best"]["step"])
        return True

    def is_complete(self, state):
        """Whether nothing is left to be trained; `state` as in `should_stop`."""
        return self.steps_left <= 0 or self.should_stop(state)


def make_schedule(windows, first_step, batch_size, num_train_epochs, warmup_proportion, eval_every, early_stop):
    """The Schedule of a run over this many windows.

    Args:
      windows: number of windows in the train split.
      first_step: step that training starts from.
      batch_size: windows in a step.
      num_train_epochs: float, times through the train split.
      warmup_proportion: share of the steps in which the learning rate rises.
      eval_every: steps between two evaluations, or None for one an epoch.
      early_stop: as in Schedule.
    """
    last_step = max(int(windows * num_train_epochs / batch_size), 1)
    eval_every = eval_every or max(round(windows / batch_size), 1)
    return Schedule(first_step, last_step, int(last_step * warmup_proportion), eval_every, early_stop)
