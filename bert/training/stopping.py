"""How training ends before its time: by a signal, which leaves a checkpoint, or by a disk that takes no more.

A program trains in `stoppable`, with its hooks, and saves by `CheckpointSaver`.
"""

import contextlib
import os
import re

import tensorflow.compat.v1 as tf

from bert.optimization import mean_over_replicas
from bert.runtime import checkpoint
from bert.system import signals
from bert.system.errors import FULL, cannot_be_written

# What is the cluster's to mend, and TensorFlow's sessions deal with.
PREEMPTION = (tf.errors.AbortedError, tf.errors.UnavailableError)


@contextlib.contextmanager
def stoppable(output_dir, num_train_steps, alone=True, saves=True):
    """Training goes on in it, with the hooks it gives: a list.

    A signal lets the step that is running end and a checkpoint be saved; where no step is running, as in an evaluation,
    it ends the process at once.

    Args:
      output_dir: directory of the checkpoints.
      num_train_steps: step at which training is to end, for the message.
      alone: whether this process may end without the other tasks of its run; else they end by `StopTogether`.
      saves: whether it is this process that saves checkpoints.

    Raises:
      signals.Interrupted: a signal came in a step; names the step and how to go on.
      UserError: nothing can be written to the directory.
    """

    def describe(signum):
        if not saves:
            text = "the chief saves and says where; the same command goes on from there"
            return f"stopped by {signals.name(signum)}; {text}"
        latest = checkpoint.latest(output_dir)
        if not latest:
            return signals.describe(signum)
        return (
            f"stopped by {signals.name(signum)} at step {checkpoint.step_of(latest)} of {num_train_steps}, "
            f"saved in {latest}; the same command goes on from there"
        )

    try:
        with signals.exit_message(describe), explain_full_disk(output_dir):
            yield [_StopAtSignal()] if alone else []
        signum = signals.received()
        if signum:
            raise signals.Interrupted(signum, describe(signum))
    finally:
        signals.defer_signals(False)


class _StopAtSignal(tf.train.SessionRunHook):
    """Ends training behind the step in which a signal came; the saver's hook then saves, as at any end."""

    def before_run(self, run_context):
        signals.defer_signals(True)

    def after_run(self, run_context, run_values):
        if signals.received():
            run_context.request_stop()


class StopTogether(tf.train.SessionRunHook):
    """Ends training in all tasks of a run behind the same step, when a signal has come to any of them.

    A step needs all of them: where one ended alone the others would wait for it for ever. So they tell each other in
    each step whether a signal has come. To be made in the model function, on every replica. A signal to the chief while
    it evaluates ends that alone, and the launcher, or whatever started them, the others.
    """

    def __init__(self):
        self._has_signal = tf.placeholder_with_default(0.0, [])
        (self._share_that_has,) = mean_over_replicas([self._has_signal])

    def before_run(self, run_context):
        signals.defer_signals(True)
        has_signal = float(signals.received() is not None)
        return tf.train.SessionRunArgs(self._share_that_has, {self._has_signal: has_signal})

    def after_run(self, run_context, run_values):
        if run_values.results > 0.0:
            signals.note_remote_signal()
            run_context.request_stop()


class CheckpointSaver(tf.train.CheckpointSaverHook):
    """TensorFlow's hook that saves checkpoints; a checkpoint that cannot be written is a UserError.

    Args:
      output_dir: directory of the checkpoints.
      save_steps: steps between them.
      listeners: list of CheckpointSaverListener; their errors are their own.
      steps_per_run: steps that the training op makes at once, as on a TPU.
    """

    def __init__(self, output_dir, save_steps, listeners=(), steps_per_run=1):
        self._saving = _Saving()
        super().__init__(output_dir, save_steps=save_steps, listeners=[self._saving, *listeners])
        self._set_steps_per_run(steps_per_run)
        self._prefix = os.path.join(output_dir, "model.ckpt")
        self._is_first_start = not _has_events(output_dir)
        _open_events(output_dir)

    def after_create_session(self, session, coord):
        # The base writes the graph first, at each start, twice to the events and as text, graph.pbtxt: on a disk that
        # is nearly full each start would leave less of it to the checkpoint.
        step = session.run(self._global_step_tensor)
        # What training goes on from is saved already; writing it again could cost it.
        latest = checkpoint.latest(os.path.dirname(self._prefix))
        if latest and checkpoint.step_of(latest) == step:
            self._timer.update_last_triggered_step(step)
            return
        signals.defer_signals(True)
        with self._explain_errors():
            self._save(session, step)
            if self._is_first_start:
                self._summary_writer.add_graph(session.graph)
        self._timer.update_last_triggered_step(step)

    def after_run(self, run_context, run_values):
        with self._explain_errors():
            super().after_run(run_context, run_values)

    def end(self, session):
        with self._explain_errors():
            super().end(session)

    @contextlib.contextmanager
    def _explain_errors(self):
        try:
            yield
        except PREEMPTION:
            raise
        except tf.errors.OpError as error:
            if self._saving.step is None:
                raise
            # Here, as a loop of training takes some of these for the end of its data (OutOfRangeError: a file grew
            # larger than it may).
            checkpoint.remove_unfinished(os.path.dirname(self._prefix))
            raise cannot_be_written(f"{self._prefix}-{self._saving.step}", error)


def _has_events(directory):
    """Whether a run has written there what TensorBoard shows; its graph too, unless it was killed before."""
    return tf.gfile.Exists(directory) and any(name.startswith("events.") for name in tf.gfile.ListDirectory(directory))


def _open_events(directory):
    """Makes the writer of events that all hooks share; made when a hook asks for it, it would write the graph too."""
    writers = tf.summary.FileWriterCache._cache
    if directory not in writers:
        writers[directory] = tf.summary.FileWriter(directory)


class _Saving(tf.train.CheckpointSaverListener):
    """Knows the step whose checkpoint is being written; the first of the listeners."""

    step = None

    def before_save(self, session, global_step_value):
        self.step = int(global_step_value)

    def after_save(self, session, global_step_value):
        self.step = None


@contextlib.contextmanager
def explain_full_disk(output_dir):
    """Turns what TensorFlow says of a full disk, when it writes events, into a UserError."""
    try:
        yield
    except tf.errors.OpError as error:
        if not any(os.strerror(number) in error.message for number in FULL):
            raise
        checkpoint.remove_unfinished(output_dir)
        files = [line.rpartition("; ")[0] for line in error.message.splitlines() if line.startswith(output_dir)]
        raise cannot_be_written(re.sub(r"\.tmp[0-9a-f]{32}$", "", files[0]) if files else output_dir, error)
