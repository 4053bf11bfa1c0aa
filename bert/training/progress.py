"""The progress of training: a line in the log at intervals, and a progress bar on a terminal."""

import logging
import time

import tensorflow.compat.v1 as tf
from tqdm import tqdm

log = logging.getLogger(__name__)
LINES_A_RUN = 50  # about how many lines a run logs
SHORTEST_INTERVAL = 10  # steps between two lines, at least
_bars = []  # those on the terminal


def close_bars():
    """Removes the progress bar, so that a line on why training ended early does not stand behind it."""
    while _bars:
        _bars.pop().close()


class TrainingLog(tf.train.SessionRunHook):
    """Logs the mean loss since the last line, learning rate, gradient norm and examples per second.

    Args:
      loss: scalar tensor; None for the Estimator's own loss.
      learning_rate, gradient_norm: scalar tensors; None to log none, as on a TPU, where tensors of a step stay.
      total_steps: global step at which training ends.
      examples_per_call: examples in one run of the training op; None where it is not known.
    """

    def __init__(self, loss, learning_rate, gradient_norm, total_steps, examples_per_call):
        given = {"loss": loss, "learning_rate": learning_rate, "gradient_norm": gradient_norm}
        self._tensors = {name: tensor for name, tensor in given.items() if tensor is not None}
        self._total_steps = total_steps
        self._examples_per_call = examples_per_call
        self._every = max(total_steps // LINES_A_RUN, SHORTEST_INTERVAL)

    def begin(self):
        self._tensors["step"] = tf.train.get_global_step()
        self._tensors.setdefault("loss", (tf.get_collection(tf.GraphKeys.LOSSES) or [None])[-1])

    def after_create_session(self, session, coord):
        step = session.run(self._tensors["step"])
        self._bar = tqdm(total=self._total_steps, initial=step, unit="step", disable=None, leave=False)
        _bars.append(self._bar)
        self._last_step = step
        self._start_interval()

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._tensors)

    def after_run(self, run_context, run_values):
        values = run_values.results
        self._losses.append(values["loss"])
        # The step is read while it is updated, so it may be one behind; the next line corrects that.
        step = int(values["step"])
        self._bar.update(step - self._bar.n)
        if step - self._last_step < self._every:
            return
        # A call can be a part of a step (accumulation) or many steps (TPU). Other workers can have made steps too.
        calls = max(len(self._losses), step - self._last_step)
        parts = [f"step {step}/{self._total_steps}", f"loss {sum(self._losses) / len(self._losses):.4f}"]
        parts += [
            f"{name.replace('_', ' ')} {values[name]:.3g}"
            for name in ("learning_rate", "gradient_norm")
            if name in values
        ]
        if self._examples_per_call:
            parts.append(f"{calls * self._examples_per_call / (time.time() - self._since):.1f} examples/s")
        log.info("%s", "  ".join(parts))
        self._last_step = step
        self._start_interval()

    def end(self, session):
        close_bars()

    def _start_interval(self):
        self._losses = []
        self._since = time.time()
