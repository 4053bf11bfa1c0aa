"""A short run, whole and stopped, for the tests of what befalls runs."""

import json
import logging
import os
import shutil
import signal

import pytest

from bert.system import signals
from bert.system.log import LOGGERS
from tests.small_task import flags_of, write_task
from tests.train.finetuning.faults import STOPPED_AT, at_step, train
from train.finetuning import loop


@pytest.fixture(scope="session")
def short_run(once):
    """Flags of a run of 12 steps: an evaluation every 4 of them, a checkpoint every 3.

    The model is the smallest there is: what is built most often here is its graph.
    """
    task = once("short_task", lambda directory: write_task(directory, hidden_size=8, num_hidden_layers=1))
    return [
        *flags_of(task),
        *("-batch_size", "8", "-learning_rate", "5e-3", "-num_train_epochs", "2"),
        "-crf_only",
        *("-eval_every", "4", "-save_checkpoints_steps", "3"),
    ]


@pytest.fixture(scope="session")
def whole(short_run, once):
    """The output directory of a run that nothing befell."""
    return str(once("whole_run", lambda directory: train(short_run, str(directory / "output"))) / "output")


@pytest.fixture(scope="session")
def stopped_run(short_run, once):
    """The output directory of a run that SIGTERM stopped at step 10; the program's message and exit code.

    It keeps checkpoints from before its last evaluation, to be fallen back to.
    """

    def fill(directory):
        # The hook that asks for the end comes before the one that acts here, so it is the next step that is the last.
        stops = at_step(STOPPED_AT - 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(loop, "KEPT_CHECKPOINTS", 5)
            with stops, signals.handle_signals(), pytest.raises(signals.Interrupted) as stop:
                train(short_run, str(directory / "output"))
        (directory / "stop.json").write_text(json.dumps([str(stop.value), stop.value.exit_code]))

    directory = once("stopped_run", fill)
    return (str(directory / "output"), *json.loads((directory / "stop.json").read_text()))


@pytest.fixture
def stopped(stopped_run, tmp_path):
    """A copy of it, to be gone on with."""
    output = str(tmp_path / "output")
    shutil.copytree(stopped_run[0], output)
    return output


@pytest.fixture
def warnings(monkeypatch):
    """The lines of warning of our log, as they come."""
    lines = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    for name in LOGGERS:
        monkeypatch.setattr(logging.getLogger(name), "handlers", [handler])
        monkeypatch.setattr(logging.getLogger(name), "propagate", False)
    return lines
