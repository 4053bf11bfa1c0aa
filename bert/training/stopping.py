"""How training ends early: at a signal, with a checkpoint, or at a full disk, with an error that names the file.

A program trains within `stoppable`, with the hooks that it gives, and saves by `CheckpointSaver`.
"""

import contextlib
import os
import re
import uuid

import tensorflow.compat.v1 as tf

from bert.optimization import mean_over_replicas
from bert.runtime import checkpoint
from bert.system import filesystem, signals
from bert.system.errors import FULL, cannot_be_written
from bert.training import progress

# Errors of the cluster, not of the disk: TensorFlow's sessions recover from them.
PREEMPTION = (tf.errors.AbortedError, tf.errors.UnavailableError)


@contextlib.contextmanager
def stoppable(output_dir, num_train_steps, alone=True, saves=True):
    """Train within it, with the list of hooks that it gives.

    A signal during a step ends training after that step and its checkpoint. Where no step is running, as in an
    evaluation, it ends the process at once.

    Args:
      output_dir: directory of the checkpoints.
      num_train_steps: last step of the whole training, for the message.
      alone: whether this process can end without the other tasks of its run; else `StopTogether` has to end them all.
      saves: whether this process saves the checkpoints.

    Raises:
      signals.Interrupted: a signal came during a step; names the step and how to go on.
      UserError: the directory cannot be written to.
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
        progress.close_bars()


class _StopAtSignal(tf.train.SessionRunHook):
    """Ends training after the step in which a signal came. `CheckpointSaver` then saves, as at every end."""

    def before_run(self, run_context):
        signals.defer_signals(True)

    def after_run(self, run_context, run_values):
        if signals.received():
            run_context.request_stop()


class StopTogether(tf.train.SessionRunHook):
    """Ends training in all tasks of a run after the same step, once a signal has come to any of them.

    A step needs all tasks: if one ended alone, the others would wait for it for ever. So in each step they share
    whether a signal has come. Make it in the model function, on every replica. A signal to the chief during an
    evaluation ends only the chief; then the launcher, or whatever started the tasks, has to end the others.
    """

    def __init__(self):
        self._has_signal = tf.placeholder_with_default(0.0, [])
        (self._share_with_signal,) = mean_over_replicas([self._has_signal])

    def before_run(self, run_context):
        signals.defer_signals(True)
        has_signal = float(signals.received() is not None)
        return tf.train.SessionRunArgs(self._share_with_signal, {self._has_signal: has_signal})

    def after_run(self, run_context, run_values):
        if run_values.results > 0.0:
            signals.note_remote_signal()
            run_context.request_stop()


class CheckpointSaver(tf.train.CheckpointSaverHook):
    """TensorFlow's hook that saves checkpoints; a checkpoint that cannot be written raises UserError.

    Args:
      output_dir: directory of the checkpoints.
      save_steps: steps from one checkpoint to the next.
      listeners: list of CheckpointSaverListener; errors that they raise are left as they are.
      steps_per_run: steps in one run of the training op, as on a TPU.
    """

    def __init__(self, output_dir, save_steps, listeners=(), steps_per_run=1):
        super().__init__(output_dir, save_steps=save_steps, listeners=list(listeners))
        self._set_steps_per_run(steps_per_run)
        self._output_dir = output_dir
        self._has_graph_in_events = _has_events(output_dir)
        self._meta_graph = None  # content of the .meta file of all checkpoints
        _open_events(output_dir)

    def after_create_session(self, session, coord):
        """Saves the first checkpoint of the run, unless training goes on from a saved one.

        The base writes the graph at each start, twice to the events and as graph.pbtxt: on a nearly full disk each
        start would leave less room for checkpoints. Here it is written once in a run.
        """
        step = session.run(self._global_step_tensor)
        latest = checkpoint.latest(self._output_dir)
        if not latest or checkpoint.step_of(latest) != step:  # writing an existing one again could damage it
            signals.defer_signals(True)
            self._save(session, step)
            if not self._has_graph_in_events:
                self._summary_writer.add_graph(session.graph)
        self._timer.update_last_triggered_step(step)

    def _save(self, session, step):
        """As the base's, which calls it for every checkpoint; returns whether a listener ends training."""
        for listener in self._listeners:
            listener.before_save(session, step)
        try:
            has_meta_graph = self._meta_graph is not None
            self._get_saver().save(session, self._save_path, global_step=step, write_meta_graph=not has_meta_graph)
            self._copy_meta_graph(f"{self._save_path}-{step}.meta", has_meta_graph)
            done = tf.SessionLog(status=tf.SessionLog.CHECKPOINT, checkpoint_path=self._save_path)
            self._summary_writer.add_session_log(done, step)
        except PREEMPTION:
            raise
        except tf.errors.OpError as error:
            # Not later: the training loop takes OutOfRangeError, which a file beyond its size limit gives, for the end
            # of its data.
            checkpoint.remove_unfinished(self._output_dir)
            raise cannot_be_written(f"{self._save_path}-{step}", error)
        requests = [listener.after_save(session, step) for listener in self._listeners]
        return any(requests)

    def _copy_meta_graph(self, path, is_known):
        """Writes the .meta file of a checkpoint; to make it from the graph again takes longer than all other files."""
        if not is_known:
            with tf.gfile.GFile(path, "rb") as reader:
                self._meta_graph = reader.read()
            return
        temporary = f"{path}.tmp{uuid.uuid4().hex}"  # a name as TensorFlow gives
        with tf.gfile.GFile(temporary, "wb") as writer:
            writer.write(self._meta_graph)
        tf.gfile.Rename(temporary, path, overwrite=True)


def _has_events(directory):
    """Whether a run has written events (for TensorBoard) there, so most likely its graph too."""
    return filesystem.isdir(directory) and any(name.startswith("events.") for name in filesystem.listdir(directory))


def _open_events(directory):
    """Makes the writer of events that all hooks share; the one that a hook would make writes the graph too."""
    writers = tf.summary.FileWriterCache._cache
    if directory not in writers:
        writers[directory] = tf.summary.FileWriter(directory)


@contextlib.contextmanager
def explain_full_disk(output_dir):
    """Within it, TensorFlow's error about a full disk, as when it writes events, becomes a UserError."""
    try:
        yield
    except tf.errors.OpError as error:
        if not any(os.strerror(number) in error.message for number in FULL):
            raise
        checkpoint.remove_unfinished(output_dir)
        files = [line.rpartition("; ")[0] for line in error.message.splitlines() if line.startswith(output_dir)]
        raise cannot_be_written(re.sub(r"\.tmp[0-9a-f]{32}$", "", files[0]) if files else output_dir, error)
