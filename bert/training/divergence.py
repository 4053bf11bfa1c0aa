"""Ends training whose loss or weights are no longer numbers: such weights are not saved, and one line says what to try.

The checks take no time that could be measured: the loss of a step is computed anyway, and the weights are looked at
only before they are saved.
"""

import logging
import math
import time

import tensorflow.compat.v1 as tf

from bert.system import signals
from bert.system.errors import UserError

log = logging.getLogger(__name__)
STEP = "training_step"  # graph collection: loss, learning rate and number of a step, see `watch`
# Weights are lost for good where the loss stays above so many times the first one until it is no number any more.
LOST = 10.0
LOST_STEPS = 10  # where it stays there for so many to the end, the log says so
PATIENCE = 60.0  # seconds that another task gives the chief to end the run


def watch(step):
    """Makes a step's loss known to the LossCheck; for model functions.

    Args:
      step: optimization.TrainStep.
    """
    for tensor in (step.loss, step.learning_rate, step.number):
        tf.add_to_collection(STEP, tensor)


def remedies(learning_rate="-learning_rate", precision=None):
    """What to try after a loss that is not a number.

    Args:
      learning_rate: the flags of the learning rates.
      precision: value of -precision.
    """
    text = f"a smaller {learning_rate} or a longer warm-up"
    return f"{text}, or -precision=fp32" if precision in ("fp16", "bf16") else text


def describe(what, step, learning_rate, remedy, goes_on):
    """The line that training ends with.

    Args:
      what: what is not a number, as "the loss is nan".
      step: updates that were made before; None where it failed before the first one of this process.
      learning_rate: float; None where it is not known, as on a TPU.
      remedy: what to try, see `remedies`.
      goes_on: where the same command goes on, a text.
    """
    if step is None:
        return (
            f"{what} before the first update: the weights it starts from, the data or the precision are the cause; "
            f"try -precision=fp32, or other weights by -init_checkpoint in another -output_dir"
        )
    rate = "" if learning_rate is None else f" (learning rate {learning_rate:.3g})"
    return f"{what} at step {step}{rate}; try {remedy}; {goes_on}"


class LossCheck(tf.train.SessionRunHook):
    """Ends training at a loss that is not a number. It has to come before the hook that saves checkpoints.

    Checkpoints of weights that gave such a loss are removed, and those before it whose loss was already far above the
    first one. What this process went on from stays.

    Args:
      remedy: what to try, see `remedies`.
      forget: function from a step to the prefix of the newest checkpoint before it, or None; it removes those from that
        step on. None in a task that saves none.
    """

    def __init__(self, remedy, forget=None):
        self._remedy = remedy
        self._forget = forget
        self._first_step = None  # which this process begins at
        self._first_loss = None
        self._learning_rate = None
        self._last = None  # (step, loss) of the last step that was made
        self.lost_since = None  # the step from which on the loss is far above the first one

    def begin(self):
        self._global_step = tf.train.get_global_step()
        self._tensors = dict(zip(("loss", "learning_rate", "step"), tf.get_collection(STEP)))
        if not self._tensors:  # on a TPU, where tensors of a step stay
            self._tensors = {"loss": tf.get_collection(tf.GraphKeys.LOSSES)[-1], "step": self._global_step}

    def after_create_session(self, session, coord):
        if self._first_step is None:
            self._first_step = int(session.run(self._global_step))

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._tensors)

    def after_run(self, run_context, run_values):
        values = run_values.results
        loss, step = float(values["loss"]), int(values["step"])
        self._learning_rate = float(values["learning_rate"]) if "learning_rate" in values else None
        if not math.isfinite(loss):
            raise self.failure(f"the loss is {loss}", step)
        self._last = step, loss
        if self._first_loss is None:
            self._first_loss = abs(loss)
        if abs(loss) <= LOST * self._first_loss:
            self.lost_since = None
        elif self.lost_since is None:
            self.lost_since = step

    def end(self, session):
        """Says where the loss ended far above the first one: training has failed though all its weights are numbers."""
        if self.lost_since is None or self._last[0] - self.lost_since < LOST_STEPS:
            return
        step, loss = self._last
        log.warning(
            "the loss stayed above ten times the first one (%.4g) from step %d on and ended at %.4g in step %d; what "
            "usually helps: %s", self._first_loss, self.lost_since, loss, step, self._remedy
        )  # fmt: skip

    def failure(self, what, step):
        """Removes the checkpoints of lost weights.

        Args:
          what: what is not a number, as "the loss is nan".
          step: updates that were made before.

        Returns:
          The UserError to raise.
        """
        since = step if self.lost_since is None else min(step, self.lost_since)
        first_step = step if self._first_step is None else self._first_step
        if first_step > 0:  # its checkpoint was there before this process
            since = max(since, first_step + 1)
        if not self._forget:
            _wait_for_end()
            return UserError(f"{what} at step {step}; the chief's line says what to try")
        kept = self._forget(since)
        goes_on = f"the same command with it {'goes on from ' + kept if kept else 'begins anew'}"
        made = None if step == self._first_step else step
        return UserError(describe(what, made, self._learning_rate, self._remedy, goes_on))


class WeightCheck(tf.train.CheckpointSaverListener):
    """Ends training before weights that are not numbers are saved, and keeps a checkpoint to go back to.

    A loss need not show such weights: an embedding that no example reads can overflow. While the loss is far above the
    first one, the newest checkpoint from before is kept beside those that a saver keeps.

    Args:
      loss_check: LossCheck of this training.
    """

    def __init__(self, loss_check):
        self._loss_check = loss_check

    def begin(self):
        self._held = []
        self._names, finite = [], []
        if tf.get_collection(STEP):  # not on a TPU, where only the saver can read them
            for var in tf.global_variables():
                if var.dtype.base_dtype.is_floating:
                    with tf.device(var.device):
                        finite.append(tf.reduce_all(tf.is_finite(var)))
                    self._names.append(var.name.split(":")[0])
        self._finite = tf.stack(finite) if finite else tf.constant([], tf.bool)

    def before_save(self, session, global_step_value):
        self._hold_good()
        bad = [name for name, finite in zip(self._names, session.run(self._finite)) if not finite]
        if bad:
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            raise self._loss_check.failure(f"weights are not finite, {bad[0]}{more},", int(global_step_value))

    def _hold_good(self):
        """Takes the newest good checkpoint off the saver's list of those to remove, or puts it back."""
        saver, lost_since = tf.get_collection(tf.GraphKeys.SAVERS)[0], self._loss_check.lost_since
        listed, now = saver.last_checkpoints, time.time()
        if lost_since is not None and not self._held:
            self._held = [prefix for prefix in listed if _step_of(prefix) < lost_since][-1:]
            listed = [prefix for prefix in listed if prefix not in self._held]
        elif lost_since is None and self._held:
            listed, self._held = sorted(self._held + listed, key=_step_of), []
            for prefix in listed[: -saver.saver_def.max_to_keep]:  # the saver would remove only one
                tf.train.remove_checkpoint(prefix)
            listed = listed[-saver.saver_def.max_to_keep :]
        else:
            return
        saver.set_last_checkpoints_with_time([(prefix, now) for prefix in listed])


def _step_of(prefix):
    return int(prefix.rpartition("-")[2])


def _wait_for_end():
    """Waits in a task that is not the chief: where the launcher ends all, the chief's line is the only one."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not signals.received():
        time.sleep(0.1)
