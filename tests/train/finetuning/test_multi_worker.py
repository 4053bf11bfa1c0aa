"""Real processes that train together over gRPC on this machine, against one process that trains alone.

The losses are those that the runs write for TensorBoard, at every step.
"""

import contextlib
import glob
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint
from tests.bert.training.test_strategies import write_task
from tests.paths import REPOSITORY
from train import bert_lstm_ner, run_dir
from train.train_helper import get_args_parser

LIMIT = 900  # seconds that a run may take at most


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    flags = write_task(tmp_path_factory.mktemp("task"))
    return [*flags, "-crf_only", "-do_eval=false", "-num_train_epochs=4", "-eval_every=6", "-save_summary_steps=1"]


@pytest.fixture(scope="module")
def alone(given, tmp_path_factory):
    """Output directory of a run of one process, which is this one."""
    output = tmp_path_factory.mktemp("run") / "alone"
    bert_lstm_ner.train(get_args_parser([*given, "-output_dir", str(output)]))
    return output


class Run:
    """The launcher with tasks of run.py.

    Attributes:
      log: its standard error, where it is to be read while the run goes on.
    """

    def __init__(self, output, *flags, launcher=("-workers=2",)):
        self.output = output
        self.log = str(output) + ".log"
        command = [sys.executable, "-m", "bert.launch", *launcher, "--", os.path.join(REPOSITORY, "run.py")]
        command += [*flags, "-output_dir", str(output)]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, cwd=REPOSITORY, stderr=log, stdout=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()  # and with it the tasks
        self.process.wait()

    def wait(self, exit_code=0):
        assert self.process.wait(timeout=LIMIT) == exit_code, self.read_log()[-5000:]

    def read_log(self):
        with open(self.log) as reader:
            return reader.read()

    def wait_for_step(self, step):
        """Until there is a checkpoint of this step or a later one."""
        deadline = time.time() + LIMIT
        while time.time() < deadline:
            steps = [int(path[:-6].rpartition("-")[2]) for path in glob.glob(str(self.output / "model.ckpt-*.index"))]
            if max(steps, default=-1) >= step:
                return
            assert self.process.poll() is None, self.read_log()[-5000:]
            time.sleep(0.05)
        raise AssertionError(f"no step {step}: {self.read_log()[-5000:]}")

    def signal(self, task, signum):
        """A signal to a task, as "worker 0"."""
        type, index = task.split()
        wanted = f'"task": {{"type": "{type}", "index": {index}}}'
        for folder in glob.glob("/proc/[0-9]*"):
            try:
                with open(folder + "/environ") as environ, open(folder + "/stat") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
                    if parent == self.process.pid and wanted in environ.read():
                        os.kill(int(os.path.basename(folder)), signum)
                        return
            except OSError:  # it has ended between our looks
                continue
        raise AssertionError(f"{task} does not run: {self.read_log()[-5000:]}")


def losses_of(output):
    """{step: loss} of all events of a run; where a step was done twice it has to have the same loss."""
    losses = {}
    for path in glob.glob(str(output / "events*")):
        # A file of a process that was killed may end within an event.
        with contextlib.suppress(tf.errors.DataLossError):
            for event in tf.train.summary_iterator(path):
                for value in event.summary.value:
                    if value.tag == "loss":
                        assert event.step not in losses or np.isclose(losses[event.step], value.simple_value, rtol=1e-3)
                        losses[event.step] = value.simple_value
    return losses


def state_of(output):
    with open(str(output / run_dir.RUN_STATE)) as reader:
        return json.load(reader)


@pytest.mark.one_tensorflow
def test_killed_tasks_cost_nothing_but_time(given, alone, tmp_path):
    """A worker dies, then the chief; the evaluator scores what the chief scores when alone."""
    output = tmp_path / "together"
    slowly = ["-save_checkpoints_steps=2"]
    with Run(output, *given, *slowly, launcher=["-workers=2", "-evaluator"]) as run:
        run.wait_for_step(2)
        run.signal("worker 0", signal.SIGKILL)
        run.wait_for_step(12)
        run.signal("chief 0", signal.SIGKILL)
        run.wait()
        log = run.read_log()
    assert [task for task in ("worker 0", "chief 0") if f"[launch] {task} died of SIGKILL" in log] == [
        "worker 0", "chief 0",
    ]  # fmt: skip
    found, expected = losses_of(output), losses_of(alone)
    # Of events that were not yet written when the chief was killed nothing is left.
    assert set(found) <= set(expected) and max(found) == max(expected) >= 20 and len(found) >= 10
    np.testing.assert_allclose(list(found.values()), [expected[step] for step in found], rtol=1e-3)
    state, single = state_of(output), state_of(alone)
    assert state["finished"]
    assert [scores["step"] for scores in state["evaluations"]] == [scores["step"] for scores in single["evaluations"]]
    for scores, others in zip(state["evaluations"], single["evaluations"]):
        assert scores["loss"] == pytest.approx(others["loss"], rel=1e-3)
    latest = [checkpoint.step_of(checkpoint.latest(str(folder))) for folder in (output, alone)]
    assert latest[0] == latest[1] == state["evaluations"][-1]["step"]
    best = checkpoint.latest(str(output / run_dir.BEST))
    assert best.endswith(f"-{max(state['evaluations'], key=lambda scores: scores['f1'])['step']}")


@pytest.mark.parametrize("launcher,last", [(["-workers=2"], 4)])
@pytest.mark.one_tensorflow
def test_early_stop_reaches_every_task(launcher, last, given, tmp_path):
    """Nothing is learned, so the second evaluation is no better than the first."""
    output = tmp_path / "stopped"
    with Run(output, *given, "-learning_rate=1e-12", "-eval_every=2", "-early_stop=1", launcher=launcher) as run:
        run.wait()
        assert "died" not in run.read_log()
    assert checkpoint.step_of(checkpoint.latest(str(output))) == last
    assert [scores["step"] for scores in state_of(output)["evaluations"]] == [2, 4]


def test_a_signal_to_any_task_ends_all_with_a_checkpoint(given, tmp_path):
    """To a worker, then to the evaluator, upon which the launcher signals to all; in the end nothing is missing.

    What the launcher does with a signal of its own is in tests/bert/test_launch.py: the same.
    """
    flags = [*given, "-num_train_epochs=20", "-eval_every=20", "-save_checkpoints_steps=2"]
    output, step = tmp_path / "together", 0
    for task in ("worker 0", "evaluator 0"):
        with Run(output, *flags, launcher=["-workers=2", "-evaluator"]) as run:
            run.wait_for_step(step + 10)
            run.signal(task, signal.SIGTERM)
            run.wait(143)
            log = run.read_log()
        latest = checkpoint.latest(str(output))
        step = checkpoint.step_of(latest)
        assert f"[chief 0] stopped by SIGTERM at step {step} of 120, saved in {latest}; the same command goes" in log
        assert "[worker 0] stopped by SIGTERM; the chief saves and says where; the same command goes on" in log
        assert "died" not in log and "killed" not in log and "Traceback" not in log
        assert not [name for name in os.listdir(str(output)) if "tmp" in name or "temp" in name or "lock" in name]
    with Run(output, *flags, launcher=["-workers=2", "-evaluator"]) as run:
        run.wait()
    losses = losses_of(output)
    assert step < 120 and sorted(losses) == list(range(1, 121))
    state = state_of(output)
    assert state["finished"]
    assert [scores["step"] for scores in state["evaluations"]] == list(range(20, 121, 20))
    assert state["best"] == max(state["evaluations"], key=lambda scores: scores["f1"])


def test_workers_with_a_parameter_server_learn(given, alone, tmp_path):
    """In eight times the steps, more than one process alone in its first ones."""
    output = tmp_path / "asynchronous"
    with Run(output, *given, "-num_train_epochs=8", launcher=["-workers=2", "-ps=1"]) as run:
        run.wait()
    state = state_of(output)
    assert state["finished"]
    first, last = state_of(alone)["evaluations"][0], state["evaluations"][-1]
    assert first["step"] == 6 and last["step"] >= 48
    assert last["loss"] < first["loss"]
