"""The runs of a sweep: which there are, the process of each, and what its directory says of it afterwards.

A run is finished where its run.json says so, and is not run again. Loads no TensorFlow.
"""

import collections
import os
import re
import signal
import subprocess
import sys
import time

from bert.system import children, signals
from bert.system.errors import UserError, fit_message
from bert.system.files import make_dir
from train import run_dir
from train.sweeping.points import command_flags

# point: points.Point; seed: int; fold: number of the fold that is its dev set, from 1, None without folds; folder: its
# -output_dir, beside which its log is; flags: list of str, its flags but for what it does.
Run = collections.namedtuple("Run", ["point", "seed", "fold", "folder", "flags"])
# f1: of the best evaluation on the dev set, in percent; step: of that; evaluations: as run.json has them.
Score = collections.namedtuple("Score", ["f1", "step", "evaluations"])

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bert_lstm_ner.py")
# What a run does: training alone; or, of what is trained, the scores on the test set.
TRAINING = ("-do_eval=false", "-do_predict=false", "-calibrate=false")
TESTING = ("-do_train=false", "-do_eval=false", "-report")
POLL = 0.1  # seconds between two looks at the processes
SAVING = 300.0  # seconds that processes have to save a checkpoint after a signal
_FB1 = re.compile(r"FB1: +([0-9]+\.[0-9]+)")
_TAIL = 1 << 16  # bytes of a log that its last line is looked for in


def plan(points, seeds, data_dirs, output_dir, more=None):
    """All runs of a sweep; all points of one seed come before those of the next.

    Args:
      points: list of points.Point.
      seeds: list of int.
      data_dirs: list of directories: those of the folds, or the only one there is.
      output_dir: directory of the sweep.
      more: dict of flags that all runs get beside those of their points; None for none.

    Returns:
      list of Run.
    """
    runs = []
    for seed in seeds:
        for number, data_dir in enumerate(data_dirs, 1):
            fold = number if len(data_dirs) > 1 else None
            name = f"seed-{seed}" if fold is None else f"fold-{fold}-seed-{seed}"
            for point in points:
                folder = os.path.join(output_dir, point.directory, name)
                files = {"data_dir": data_dir, "output_dir": folder, "seed": str(seed)}
                flags = point.flags + command_flags(dict(more or {}, **files))
                runs.append(Run(point, seed, fold, folder, flags))
    return runs


def score(run):
    """The Score of a run that is finished; None of another."""
    try:
        state = run_dir.read_state(run.folder)
    except UserError:
        return None  # the run itself says what is wrong with its file
    if state is None or not state["finished"] or state["best"] is None:
        return None
    return Score(100.0 * state["best"]["f1"], state["best"]["step"], state["evaluations"])


def test_f1(run):
    """The F1 on the test set that a run's report says, in percent; None without a report."""
    path = os.path.join(run.folder, run_dir.REPORT["test"])
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8", errors="replace") as reader:
        found = _FB1.search(reader.read())
    return float(found.group(1)) if found else None


def log_file(run):
    return run.folder + ".log"


def drop_checkpoints(run):
    """Removes what a run that is finished needs no more: the checkpoints beside best/ and the encoded data."""
    if not os.path.isdir(os.path.join(run.folder, run_dir.BEST)):
        return
    encoded = [name + end for name in run_dir.RECORDS.values() for end in ("", ".json")]
    for name in os.listdir(run.folder):
        if re.fullmatch(run_dir.CHECKPOINT_FILE, name) or name in encoded:
            os.remove(os.path.join(run.folder, name))


def run_all(runs, what, at_once, on_end):
    """Runs each in a process of its own.

    On the first signal the processes are asked to end, as run.py does after a step and its checkpoint.

    Args:
      runs: list of Run.
      what: TRAINING or TESTING.
      at_once: how many processes there are at a time.
      on_end: function that is called with a Run that has ended, and what went wrong with it, "" where nothing did.

    Raises:
      signals.Interrupted: there was a signal.
    """
    waiting, running = list(runs), {}
    signals.defer_signals(True)
    try:
        while (waiting or running) and not signals.received():
            while waiting and len(running) < at_once:
                run = waiting.pop(0)
                running[_start(run, what)] = run
            for process in [process for process in running if process.poll() is not None]:
                run = running.pop(process)
                on_end(run, _failure(run, process.returncode))
            time.sleep(POLL)
        if signals.received():
            _ask_to_end(list(running))
            name = signals.name(signals.received())
            text = f"stopped by {name}; the same command goes on where this one stopped"
            raise signals.Interrupted(signals.received(), text)
    finally:
        for process in running:
            process.kill()
            process.wait()
        signals.defer_signals(False)


def _start(run, what):
    make_dir(os.path.dirname(run.folder))
    command = [sys.executable, PROGRAM, *run.flags, *what]
    try:
        with open(log_file(run), "ab") as writer:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                start_new_session=True,  # the terminal sends Ctrl-C to the sweep alone, which asks its runs to end
                preexec_fn=children.DIE_WITH_PARENT,
            )
    except OSError as error:
        raise UserError(f"{log_file(run)}: the run cannot be started: {error.strerror}")


def _ask_to_end(processes):
    """Sends SIGTERM, and waits until the processes have ended, but no longer than SAVING."""
    for process in processes:
        process.send_signal(signal.SIGTERM)  # does nothing if the process has ended
    deadline = time.monotonic() + SAVING
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        time.sleep(POLL)


def _failure(run, code):
    """What a run that ended with this exit code failed with, for a table; "" where it did not."""
    if code == 0:
        return ""
    with open(log_file(run), "rb") as reader:
        reader.seek(max(0, os.path.getsize(log_file(run)) - _TAIL))
        lines = [line for line in reader.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return fit_message(f"{children.cause(code)}: {lines[-1].strip()}") if lines else children.cause(code)
