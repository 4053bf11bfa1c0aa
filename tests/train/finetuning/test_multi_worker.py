"""Real processes that train together over gRPC on this machine, against one process that trains alone.

The losses are those that the runs write for TensorBoard, at every step.
"""

import contextlib
import glob
import json
import os
import signal
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint, estimator
from tests import forking, selection
from tests.bert.training.test_strategies import write_task
from tests.paths import REPOSITORY
from train import bert_lstm_ner, run_dir
from train.train_helper import get_args_parser

LIMIT = 900  # seconds that a run may take at most
STEPS, EVERY = 42, 14  # steps of training, and from one evaluation to the next


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    flags = write_task(tmp_path_factory.mktemp("task"))
    return [
        *flags,
        "-crf_only",
        "-do_eval=false",
        f"-num_train_epochs={STEPS // 6}",
        f"-eval_every={EVERY}",
        "-save_summary_steps=1",
    ]


@pytest.fixture(scope="module")
def alone(given, tmp_path_factory):
    """Output directory of a run of one process, which is this one."""
    output = tmp_path_factory.mktemp("run") / "alone"
    bert_lstm_ner.train(get_args_parser([*given, "-output_dir", str(output)]))
    return output


class Run:
    """The launcher with tasks of run.py, all of them forks of a process that has loaded TensorFlow.

    Args:
      output: pathlib.Path, the output directory.
      flags: flags of run.py.
      launcher: flags of the launcher.

    Attributes:
      log: its standard error, where it is to be read while the run goes on.
    """

    def __init__(self, output, *flags, launcher=("-workers=2",)):
        self.output = output
        self.log = str(output) + ".log"
        command = [*launcher, "--", os.path.join(REPOSITORY, "run.py"), *flags, "-output_dir", str(output)]
        self.process = forking.start(forking.launcher, *command, stderr=self.log)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()  # and with it the tasks
        self.process.join()

    def wait(self, exit_code=0):
        self.process.join(LIMIT)
        assert self.process.exitcode == exit_code, self.read_log()[-5000:]

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
            assert self.process.is_alive(), self.read_log()[-5000:]
            time.sleep(0.05)
        raise AssertionError(f"no step {step}: {self.read_log()[-5000:]}")

    def signal(self, task, signum):
        """A signal to a task, as "worker 0"."""
        for folder in glob.glob("/proc/[0-9]*"):
            try:
                with open(folder + "/comm") as comm, open(folder + "/stat") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
                    if parent == self.process.pid and comm.read().strip() == task:
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


def test_kills_and_a_signal_cost_nothing_but_time(given, alone, tmp_path):
    """A worker dies; it is told to end, and all end; in the end all is as of one process alone.

    With the worker the chief dies too, by the launcher. The evaluator scores what the chief scores when alone. On
    TensorFlow 1.15 nobody dies: to start again after that is the launcher's work, and each start takes long. Other
    tasks that die, and a signal to the evaluator or to the launcher, are in tests/bert/test_launch.py.
    """
    output, kills = tmp_path / "together", ["worker 0"] if selection.is_reference() else []
    flags, together = [*given, "-save_checkpoints_steps=3"], ["-workers=2", "-evaluator"]
    with Run(output, *flags, launcher=together) as run:
        for task in kills:
            run.wait_for_step(2)
            run.signal(task, signal.SIGKILL)
        run.wait_for_step(EVERY + 1)
        run.signal("worker 0", signal.SIGTERM)
        run.wait(143)
        log = run.read_log()
    assert [task for task in kills if f"[launch] {task} died of SIGKILL" in log] == kills
    assert log.count("died") == len(kills) and "[launch] chief 0 does not end" not in log
    latest = checkpoint.latest(str(output))
    step = checkpoint.step_of(latest)
    assert f"[chief 0] stopped by SIGTERM at step {step} of {STEPS}, saved in {latest}; the same command goes" in log
    assert "[worker 0] stopped by SIGTERM; the chief saves and says where; the same command goes on" in log
    assert not [name for name in os.listdir(str(output)) if "tmp" in name or "temp" in name or "lock" in name]

    # The ends of the tasks are to be those of all processes, with servers that wait for calls.
    with Run(output, *flags, launcher=together) as run:
        run.wait()
        assert "Traceback" not in run.read_log()
    found, expected = losses_of(output), losses_of(alone)
    # Of events that were not yet written when the chief was killed nothing is left; those since then are all there.
    assert set(range(step - 5, STEPS + 1)) <= set(found) <= set(expected) == set(range(1, STEPS + 1)) and step < STEPS
    np.testing.assert_allclose(list(found.values()), [expected[step] for step in found], rtol=1e-3)
    state, single = state_of(output), state_of(alone)
    assert state["finished"]
    evaluated = [scores["step"] for scores in state["evaluations"]]
    assert evaluated == [scores["step"] for scores in single["evaluations"]] == list(range(EVERY, STEPS + 1, EVERY))
    for scores, others in zip(state["evaluations"], single["evaluations"]):
        assert scores["loss"] == pytest.approx(others["loss"], rel=1e-3)
    assert [checkpoint.step_of(checkpoint.latest(str(folder))) for folder in (output, alone)] == [STEPS, STEPS]
    best = max(state["evaluations"], key=lambda scores: (scores["f1"], -scores["loss"]))
    assert state["best"] == best and checkpoint.latest(str(output / run_dir.BEST)).endswith(f"-{best['step']}")


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


@pytest.mark.skipif(not estimator.IS_TENSORFLOWS, reason="no Estimator with parameter servers in this TensorFlow")
def test_workers_with_a_parameter_server_learn(given, alone, tmp_path):
    """In all its steps, more than one process alone in its first ones."""
    output = tmp_path / "asynchronous"
    with Run(output, *given, launcher=["-workers=2", "-ps=1"]) as run:
        run.wait()
    state = state_of(output)
    assert state["finished"]
    first, last = state_of(alone)["evaluations"][0], state["evaluations"][-1]
    assert first["step"] == EVERY and last["step"] >= STEPS
    assert last["loss"] < first["loss"]
