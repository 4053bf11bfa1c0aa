"""What is left of a run that was killed or stopped, and what the next makes of it.

Every run here has dropout, and one in pieces has to give what one in one piece gives, byte for byte.
FAULTS_KILLS=30 python -m pytest tests/train/finetuning -k kills -s --everything is the long form of the tests of kills.
"""

import glob
import os
import re
import signal
import time

import pytest

from bert.runtime import checkpoint
from bert.system.errors import UserError
from tests import forking
from tests.paths import REPOSITORY
from tests.train.finetuning.faults import (
    KILLS,
    STEPS,
    STOPPED_AT,
    assert_as,
    assert_nothing_half_written,
    at_step,
    graphs_in_events,
    killed,
    step_of,
    steps_that_decide,
    train,
)
from train import bert_lstm_ner, run_dir
from train.train_helper import get_args_parser


@pytest.mark.one_tensorflow
def test_kills(short_run, whole, tmp_path):
    """Killed at random moments of its start, its training, its evaluations and its reports, a run comes to its end."""
    flags, output = [*short_run, "-num_train_epochs", str(max(KILLS, 2)), "-do_export"], str(tmp_path / "killed")
    seconds = 1.0  # what follows the first checkpoint takes longer, the export included
    if KILLS > 2:
        whole, since = str(tmp_path / "whole"), time.time()
        train(flags, whole)
        seconds = time.time() - since
    flags += ["-output_dir", output]
    killed([os.path.join(REPOSITORY, "run.py"), *flags], output, seconds, tmp_path / "log")
    bert_lstm_ner.train(get_args_parser(flags))
    assert_as(whole, output, short_run)


def test_a_stopped_run_has_saved_its_step(stopped_run):
    output, said, exit_code = stopped_run
    saved = os.path.join(output, f"model.ckpt-{STOPPED_AT}")
    assert said == (
        f"stopped by SIGTERM at step {STOPPED_AT} of {STEPS}, saved in {saved}; the same command goes on from there"
    )
    assert exit_code == 143
    checkpoint.check_whole(saved)
    assert not run_dir.read_state(output)["finished"]
    assert_nothing_half_written(output)


def test_a_stopped_run_goes_on(short_run, whole, stopped):
    """And removes what one that was killed might have left, too. Its graph was written by the first start, and once."""
    assert graphs_in_events(stopped) == 1
    left = [
        "model.ckpt-3_temp/part-00000-of-00001.index",
        "model.ckpt-7.data-00000-of-00001.tempstate123",
        "model.ckpt-2.index",
        "model.ckpt-2.data-00000-of-00001",
        "run.json.tmp-999999999",
        "run.lock",
    ]
    for name in left:
        os.makedirs(os.path.dirname(os.path.join(stopped, name)), exist_ok=True)
        open(os.path.join(stopped, name), "w").close()
    with at_step(0, None) as steps, steps_that_decide() as decided:
        train(short_run, stopped)
    assert steps[0] == STOPPED_AT + 1 and decided == [STEPS]
    assert_as(whole, stopped, short_run)
    assert graphs_in_events(stopped) == 1 and len(glob.glob(os.path.join(stopped, "events.*"))) == 2
    assert not [name for name in left if os.path.exists(os.path.join(stopped, name))]


def test_a_run_stopped_in_a_process_of_its_own(short_run, tmp_path):
    """The exit code, and one line behind the log."""
    output = str(tmp_path / "output")
    flags = [*short_run, "-output_dir", output, "-num_train_epochs", "1000"]
    process = forking.start(forking.program, os.path.join(REPOSITORY, "run.py"), *flags, stderr=tmp_path / "log")
    deadline = time.time() + 1200
    while not os.path.exists(os.path.join(output, "model.ckpt-6.index")) and time.time() < deadline:
        assert process.is_alive()
        time.sleep(0.02)
    # While it lives, it is alone.
    with pytest.raises(UserError, match=f"^{re.escape(output)}: another run .process {process.pid} on .*"):
        train(short_run, output)
    os.kill(process.pid, signal.SIGINT)
    process.join(1200)
    log, step = (tmp_path / "log").read_text(), step_of(output)
    assert process.exitcode == 130
    assert log.splitlines()[-1] == (
        f"stopped by SIGINT at step {step} of 6000, saved in {output}/model.ckpt-{step}; "
        f"the same command goes on from there"
    )
    assert "Traceback" not in log
    assert_nothing_half_written(output)


def end_by_signal(short_run, output, module, function, place):
    """The last line of a run that SIGTERM ends when a function of train.finetuning has returned."""
    program = place / "program.py"
    program.write_text(
        "import os, signal, sys\n"
        f"sys.path.insert(0, {REPOSITORY!r})\n"
        "from bert.system.errors import run_program\n"
        "from train import bert_lstm_ner\n"
        f"from train.finetuning import {module}\n"
        "from train.train_helper import get_args_parser\n"
        f"inner = {module}.{function}\n"
        "def with_signal(*args, **kwargs):\n"
        "    result = inner(*args, **kwargs)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return result\n"
        f"{module}.{function} = with_signal\n"
        "run_program(lambda: bert_lstm_ner.train(get_args_parser()))\n"
    )
    exit_code = forking.run(forking.program, program, *short_run, "-output_dir", output, stderr=place / "log")
    said = (place / "log").read_text()
    assert exit_code == 143 and "Traceback" not in said, said
    return said.splitlines()[-1]


@pytest.mark.one_tensorflow
def test_a_signal_in_an_evaluation_ends_it_at_once(short_run, whole, stopped, tmp_path):
    said = end_by_signal(short_run, stopped, "evaluation", "tag_file", tmp_path)
    assert said.startswith(f"stopped by SIGTERM at step 12 of {STEPS}, saved in {stopped}/model.ckpt-12; the same ")
    assert [scores["step"] for scores in run_dir.read_state(stopped)["evaluations"]] == [4, 8]
    assert_nothing_half_written(stopped)
    train(short_run, stopped)
    assert_as(whole, stopped, short_run)


@pytest.mark.one_tensorflow
def test_early_stop_of_a_run_killed_in_its_last_evaluation(short_run, tmp_path):
    """The next start makes up for the evaluation, and does not train on."""
    output, flags = str(tmp_path / "output"), ["-early_stop", "1", "-learning_rate", "1e-12"]
    train(short_run, output, *flags)
    assert step_of(output) == 8
    state = run_dir.read_state(output)
    state.update(finished=False, evaluations=state["evaluations"][:1])
    run_dir.write_state(output, state)
    with at_step(0, None) as steps:
        train(short_run, output, *flags)
    assert not steps and step_of(output) == 8
    state = run_dir.read_state(output)
    assert state["finished"] and [scores["step"] for scores in state["evaluations"]] == [4, 8]


@pytest.mark.one_tensorflow
def test_a_signal_while_files_are_written(short_run, tmp_path):
    output = str(tmp_path / "output")
    said = end_by_signal(short_run, output, "splits", "atomic_open", tmp_path)
    assert said == "stopped by SIGTERM; what is written is whole, and the same command can be given again"
    assert_nothing_half_written(output)
