"""What is left of a run that was killed, stopped, or met a full disk or damaged files, and what the next makes of it.

Every run here has dropout, and one in pieces has to give what one in one piece gives, byte for byte.
FAULTS_KILLS=30 python -m pytest tests/train/finetuning/test_faults.py -k kills -s --everything is the long form of the
tests of kills.
"""

import contextlib
import glob
import json
import logging
import os
import random
import re
import resource
import shutil
import signal
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import run_classifier, run_pretraining, run_squad
from bert.runtime import checkpoint, devices
from bert.system import run_lock, signals
from bert.system.errors import UserError
from bert.system.log import LOGGERS
from bert.training import distribution, stopping
from bert.training.progress import TrainingLog
from tests import forking
from tests.bert import test_run_classifier, test_run_pretraining, test_run_squad
from tests.paths import REPOSITORY
from tests.small_task import data_file, tagged, write_task
from train import bert_lstm_ner, run_dir
from train.data.conll import read_conll
from train.finetuning import checkpoints, loop
from train.train_helper import get_args_parser

KILLS = int(os.environ.get("FAULTS_KILLS", "1"))
STEPS = 12
SAME_FILES = ["label_test.txt", "label_dev.txt", "predict_score.txt", "predict_score_dev.txt", "eval_results.txt"]
SAME_FILES += ["token_test.txt", "label2id.json"]
STOPPED_AT = 10


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Flags of a run of 12 steps: an evaluation every 4 of them, a checkpoint every 3.

    The model is the smallest there is: what is built most often here is its graph.
    """
    return [
        *write_task(tmp_path_factory.mktemp("task"), hidden_size=8, num_hidden_layers=1),
        *("-batch_size", "8", "-learning_rate", "5e-3", "-num_train_epochs", "2"),
        "-crf_only",
        *("-eval_every", "4", "-save_checkpoints_steps", "3"),
    ]


@pytest.fixture(scope="module")
def whole(given, tmp_path_factory):
    """The output directory of a run that nothing befell."""
    output = str(tmp_path_factory.mktemp("whole") / "output")
    train(given, output)
    return output


@pytest.fixture(scope="module")
def stopped_run(given, tmp_path_factory):
    """The output directory of a run that SIGTERM stopped at step 10, and what the program said.

    It keeps checkpoints from before its last evaluation, to be fallen back to.
    """
    output = str(tmp_path_factory.mktemp("stopped") / "output")
    # The hook that asks for the end comes before the one that acts here, so it is the next step that is the last.
    with at_step(STOPPED_AT - 1, lambda: os.kill(os.getpid(), signal.SIGTERM)), signals.handle_signals(), pytest.raises(
        signals.Interrupted
    ) as stop, pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "KEPT_CHECKPOINTS", 5)
        train(given, output)
    return output, stop.value


@pytest.fixture
def stopped(stopped_run, tmp_path):
    """A copy of it, to be gone on with."""
    output = str(tmp_path / "output")
    shutil.copytree(stopped_run[0], output)
    return output


def train(given, output, *more):
    return bert_lstm_ner.train(get_args_parser([*given, "-output_dir", output, *more]))


@contextlib.contextmanager
def at_step(step, action):
    """Within it `action()` is done once behind that step of training, before anything is saved."""
    after_run, steps = TrainingLog.after_run, []

    def acting(self, run_context, run_values):
        after_run(self, run_context, run_values)
        steps.append(run_context.session.run(tf.train.get_global_step()))
        if steps[-1] == step:
            action()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TrainingLog, "after_run", acting)
        yield steps


@contextlib.contextmanager
def steps_that_decide():
    """Within it, a list grows by the steps for which training chooses how it computes.

    They have to be those of the whole run: with the steps that are left, a run that goes on might compute otherwise.
    """
    choose, steps = devices.choose_compute, []

    def noting(precision, hidden_size, number, *args, announce=False, **kwargs):
        steps.extend([number] if announce else [])
        return choose(precision, hidden_size, number, *args, announce=announce, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(devices, "choose_compute", noting)
        yield steps


@contextlib.contextmanager
def largest_file(size):
    """No file can grow beyond so many bytes: as on a full disk, writing ends early. Nobody but root could fill one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


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


def step_of(output):
    return checkpoint.step_of(checkpoint.latest(output))


def assert_as(whole, output, given):
    """All that counts in `output` is as the run without faults left it, and nothing half-written is there."""
    state, expected = run_dir.read_state(output), run_dir.read_state(whole)
    assert state["finished"] and step_of(output) == step_of(whole)
    assert [scores["step"] for scores in state["evaluations"]] == list(range(4, step_of(whole) + 1, 4))
    assert state["evaluations"] == expected["evaluations"] and state["best"] == expected["best"]
    assert_best_is_best(output, given)
    assert_same_weights(output, whole)
    for name in SAME_FILES:
        assert read(os.path.join(output, name)) == read(os.path.join(whole, name)), name
    best = {os.path.basename(path): path for path in glob.glob(os.path.join(output, "best", "*"))}
    assert sorted(best) == sorted(os.listdir(os.path.join(whole, "best")))
    for name, path in best.items():
        if not name.endswith(".meta"):  # TensorFlow's graph, which says where in the data it begins
            assert read(path) == read(os.path.join(whole, "best", name)), path
    assert_nothing_half_written(output)


def assert_same_weights(output, whole):
    """The newest checkpoint, with all that training keeps for each variable, is the same to the last bit."""
    found, expected = (checkpoint.latest(folder) for folder in (output, whole))
    names = checkpoint.open_checkpoint(expected).get_variable_to_shape_map()
    found, expected = checkpoint.read(found, names), checkpoint.read(expected, names)
    assert [name for name in names if not np.array_equal(found[name], expected[name])] == []


def assert_best_is_best(output, given):
    """The checkpoint in best/ has the step and the scores of the best evaluation, and the reports are made with it."""
    state = run_dir.read_state(output)
    assert state["best"]["f1"] == max(scores["f1"] for scores in state["evaluations"])
    (best,) = glob.glob(os.path.join(output, "best", "*.index"))
    best = best[: -len(".index")]
    assert checkpoint.latest(os.path.join(output, "best")) == best
    checkpoint.check_whole(best)
    assert checkpoint.step_of(best) == state["best"]["step"]
    results = dict(line.split(" = ") for line in read(os.path.join(output, run_dir.EVAL_RESULTS)).decode().splitlines())
    assert float(results["eval_f1"]) == state["best"]["f1"]  # tagged again, by what lies in best/
    for split in ("dev", "test"):
        words = [list(sentence.words) for sentence in read_conll(data_file(given, split))]
        assert [[row[0] for row in block] for block in tagged(output, split)] == words


def assert_nothing_half_written(output):
    names = [name for _, folders, files in os.walk(output) for name in folders + files]
    assert not [name for name in names if "tmp" in name or "temp" in name or name == run_lock.LOCK_FILE], names


def read(path):
    with open(path, "rb") as reader:
        return reader.read()


def contents(output):
    """Name and content of every file but TensorBoard's."""
    paths = [path for path in glob.glob(os.path.join(output, "**"), recursive=True) if os.path.isfile(path)]
    return {path: read(path) for path in paths if "events.out" not in path}


@pytest.mark.one_tensorflow
def test_kills(given, whole, tmp_path):
    """Killed at random moments of its start, its training, its evaluations and its reports, a run comes to its end."""
    flags, output = [*given, "-num_train_epochs", str(max(KILLS, 2)), "-do_export"], str(tmp_path / "killed")
    seconds = 1.0  # what follows the first checkpoint takes longer, the export included
    if KILLS > 2:
        whole, since = str(tmp_path / "whole"), time.time()
        train(flags, whole)
        seconds = time.time() - since
    flags += ["-output_dir", output]
    killed([os.path.join(REPOSITORY, "run.py"), *flags], output, seconds, tmp_path / "log")
    bert_lstm_ner.train(get_args_parser(flags))
    assert_as(whole, output, given)


def killed(command, output, seconds, log):
    """Starts a program KILLS times and kills it at a random moment; `seconds`: what it takes from its first save on."""
    rng = random.Random(KILLS + 1)
    start, ends = None, []  # start: seconds that the first run took to its first checkpoint
    for number in range(KILLS):
        process = forking.start(forking.program, *command, stderr=log)
        since, before = time.time(), last_save(output)
        # Some die in their start, which takes longer than all else, the others when they have saved where they begin.
        dies_in_its_start = number % 4 == 3
        while not dies_in_its_start and last_save(output) == before and process.is_alive():
            assert time.time() < since + 1200
            time.sleep(0.02)
        start = start or time.time() - since
        # All waits together are shorter than what the whole run did after its first checkpoint.
        process.join(rng.uniform(0.0, start if dies_in_its_start else max(seconds - start, 0.0) / (KILLS + 1)))
        process.kill()
        process.join()
        ends.append(process.exitcode)
        at = f"step {step_of(output)}" if os.path.isdir(output) and checkpoint.latest(output) else "no step"
        print(f"kill {len(ends)}: exit code {ends[-1]}, {at}", flush=True)
    assert set(ends) <= {-signal.SIGKILL, 0} and -signal.SIGKILL in ends, log.read_text()[-3000:]


def last_save(output):
    """When the last checkpoint was saved there, 0 where there is none."""
    times = []
    for path in glob.glob(os.path.join(output, "model.ckpt-*.index")):
        with contextlib.suppress(FileNotFoundError):  # removed by the run, as one of many
            times.append(os.stat(path).st_mtime_ns)
    return max(times, default=0)


def test_a_stopped_run_has_saved_its_step(stopped_run):
    output, stop = stopped_run
    saved = os.path.join(output, f"model.ckpt-{STOPPED_AT}")
    assert str(stop) == (
        f"stopped by SIGTERM at step {STOPPED_AT} of {STEPS}, saved in {saved}; the same command goes on from there"
    )
    assert stop.exit_code == 143
    checkpoint.check_whole(saved)
    assert not run_dir.read_state(output)["finished"]
    assert_nothing_half_written(output)


def test_a_stopped_run_goes_on(given, whole, stopped):
    """And removes what one that was killed might have left, too."""
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
        train(given, stopped)
    assert steps[0] == STOPPED_AT + 1 and decided == [STEPS]
    assert_as(whole, stopped, given)
    assert not [name for name in left if os.path.exists(os.path.join(stopped, name))]


def graphs_in_events(output):
    """How many graphs the training's events hold, whole."""
    found = 0
    for path in glob.glob(os.path.join(output, "events.*")):
        with contextlib.suppress(tf.errors.DataLossError):  # of a file that a full disk cut short
            found += sum(event.HasField("graph_def") for event in tf.train.summary_iterator(path))
    return found


@pytest.mark.one_tensorflow
def test_only_the_first_start_writes_the_graph(given, stopped):
    assert graphs_in_events(stopped) == 1
    train(given, stopped)
    assert graphs_in_events(stopped) == 1 and len(glob.glob(os.path.join(stopped, "events.*"))) == 2


@pytest.mark.one_tensorflow
def test_a_disk_too_full_for_the_graph_keeps_the_checkpoint(given, whole, tmp_path, monkeypatch):
    """And the next start gets on with less: a graph at each would use up whatever has been freed in between."""
    output, full, write = str(tmp_path / "output"), contextlib.ExitStack(), tf.summary.FileWriter.add_graph

    def add_graph(*args):
        full.enter_context(largest_file(100000))
        write(*args)

    monkeypatch.setattr(tf.summary.FileWriter, "add_graph", add_graph)
    with full, pytest.raises(UserError) as caught:
        train(given, output)
    monkeypatch.undo()
    assert str(caught.value).endswith("cannot be written: File too large")
    assert checkpoint.latest(output)
    train(given, output)
    assert graphs_in_events(output) == 0
    assert_as(whole, output, given)


def test_a_run_stopped_in_a_process_of_its_own(given, tmp_path):
    """The exit code, and one line behind the log."""
    output = str(tmp_path / "output")
    flags = [*given, "-output_dir", output, "-num_train_epochs", "1000"]
    process = forking.start(forking.program, os.path.join(REPOSITORY, "run.py"), *flags, stderr=tmp_path / "log")
    deadline = time.time() + 1200
    while not os.path.exists(os.path.join(output, "model.ckpt-6.index")) and time.time() < deadline:
        assert process.is_alive()
        time.sleep(0.02)
    # While it lives, it is alone.
    with pytest.raises(UserError, match=f"^{re.escape(output)}: another run .process {process.pid} on .*"):
        train(given, output)
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


def end_by_signal(given, output, module, function, place):
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
    exit_code = forking.run(forking.program, program, *given, "-output_dir", output, stderr=place / "log")
    said = (place / "log").read_text()
    assert exit_code == 143 and "Traceback" not in said, said
    return said.splitlines()[-1]


@pytest.mark.one_tensorflow
def test_a_signal_in_an_evaluation_ends_it_at_once(given, whole, stopped, tmp_path):
    said = end_by_signal(given, stopped, "evaluation", "tag_file", tmp_path)
    assert said.startswith(f"stopped by SIGTERM at step 12 of {STEPS}, saved in {stopped}/model.ckpt-12; the same ")
    assert [scores["step"] for scores in run_dir.read_state(stopped)["evaluations"]] == [4, 8]
    assert_nothing_half_written(stopped)
    train(given, stopped)
    assert_as(whole, stopped, given)


@pytest.mark.one_tensorflow
def test_early_stop_of_a_run_killed_in_its_last_evaluation(given, tmp_path):
    """The next start makes up for the evaluation, and does not train on."""
    output, flags = str(tmp_path / "output"), ["-early_stop", "1", "-learning_rate", "1e-12"]
    train(given, output, *flags)
    assert step_of(output) == 8
    state = run_dir.read_state(output)
    state.update(finished=False, evaluations=state["evaluations"][:1])
    run_dir.write_state(output, state)
    with at_step(0, None) as steps:
        train(given, output, *flags)
    assert not steps and step_of(output) == 8
    state = run_dir.read_state(output)
    assert state["finished"] and [scores["step"] for scores in state["evaluations"]] == [4, 8]


def test_an_evaluator_reads_of_a_lost_best_checkpoint(given, stopped, monkeypatch):
    """What run.json says of it is mended before the other tasks go on."""
    shutil.rmtree(os.path.join(stopped, "best"))
    for path in glob.glob(os.path.join(stopped, "model.ckpt-[48].*")):
        os.remove(path)
    found = []

    def release(self, output_dir, trains=True):
        found.append(run_dir.read_state(output_dir)["best"])
        raise UserError("far enough")

    monkeypatch.setattr(distribution.Distribution, "release_others", release)
    with pytest.raises(UserError, match="far enough"):
        train(given, stopped)
    assert found == [None]


@pytest.mark.one_tensorflow
def test_a_signal_while_files_are_written(given, tmp_path):
    output = str(tmp_path / "output")
    said = end_by_signal(given, output, "splits", "atomic_open", tmp_path)
    assert said == "stopped by SIGTERM; what is written is whole, and the same command can be given again"
    assert_nothing_half_written(output)


def cut(path):
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 2)


DAMAGES = {
    "cut off": lambda prefix: cut(prefix + ".data-00000-of-00001"),
    "a shard missing": lambda prefix: os.remove(prefix + ".data-00000-of-00001"),
    "index empty": lambda prefix: open(prefix + ".index", "w").close(),
    "not there": lambda prefix: [os.remove(file) for file in glob.glob(prefix + ".*")],
}


def break_links(output):
    """Gives best/ files of its own, so that damage to a checkpoint beside it is none to that."""
    for file in glob.glob(os.path.join(output, "best", "*")):
        shutil.copy(file, file + ".copy")
        os.replace(file + ".copy", file)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_gives_way_to_the_newest_whole_one(damage, stopped, given, warnings):
    newest, before = (os.path.join(stopped, f"model.ckpt-{step}") for step in (10, 9))
    DAMAGES[damage](newest)
    assert checkpoints.checkpoint_to_resume_from(stopped) == before
    assert len(warnings) == 1 and warnings[0].startswith(f"{newest}: ")
    assert warnings[0].endswith(f"; goes on from {before}, the newest that is whole")
    assert tf.train.latest_checkpoint(stopped) == before  # TensorFlow sees it so too
    assert checkpoints.checkpoint_to_resume_from(stopped) == before and len(warnings) == 1


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'model_checkpoint_path: "model.ckpt', None])
def test_a_damaged_list_of_checkpoints(content, stopped, warnings):
    path = os.path.join(stopped, "checkpoint")
    os.remove(path)
    if content is not None:
        with open(path, "wb") as writer:
            writer.write(content)
    newest = os.path.join(stopped, "model.ckpt-10")
    assert checkpoint.latest(stopped) == newest
    assert checkpoints.checkpoint_to_resume_from(stopped) == newest
    assert tf.train.latest_checkpoint(stopped) == newest and not warnings


@pytest.mark.one_tensorflow
def test_falling_back_behind_evaluations(given, whole, stopped, warnings):
    """The evaluations behind the checkpoint that is left are made again, none twice; the best so far stays."""
    for step in (8, 9, 10):
        DAMAGES["not there"](os.path.join(stopped, f"model.ckpt-{step}"))
    state = run_dir.read_state(stopped)
    assert [scores["step"] for scores in state["evaluations"]] == [4, 8]
    train(given, stopped)
    (line,) = warnings
    assert "model.ckpt-10: no checkpoint of that name" in line and line.endswith("-6, the newest that is whole")
    assert_as(whole, stopped, given)


def test_the_two_newest_checkpoints_and_the_best_are_kept(whole):
    kept = glob.glob(os.path.join(whole, "model.ckpt-*.index"))
    assert sorted(checkpoint.step_of(path[: -len(".index")]) for path in kept) == [9, 12]
    assert len(glob.glob(os.path.join(whole, "best", "*.index"))) == 1


def test_every_checkpoint_has_the_graph(whole):
    """The first one's file is written again for all; a session checks that names are those of the weights."""
    contents = {read(path) for path in glob.glob(os.path.join(whole, "model.ckpt-*.meta"))}
    assert len(glob.glob(os.path.join(whole, "model.ckpt-*.meta"))) == 2 and len(contents) == 1
    with tf.Graph().as_default(), tf.Session() as session:
        saver = tf.train.import_meta_graph(checkpoint.latest(whole) + ".meta")
        saver.restore(session, checkpoint.latest(whole))
        assert session.run(tf.train.get_global_step()) == step_of(whole)


def test_only_the_best_checkpoint_is_left(stopped, warnings):
    break_links(stopped)
    best = checkpoint.latest(os.path.join(stopped, "best"))
    for file in glob.glob(os.path.join(stopped, "model.ckpt-*.index")):
        cut(file)
    taken = checkpoints.checkpoint_to_resume_from(stopped)
    assert taken == os.path.join(stopped, os.path.basename(best)) and len(warnings) == 1
    checkpoint.check_whole(taken)
    checkpoint.check_whole(best)
    cut(best + ".index")
    cut(taken + ".index")
    with pytest.raises(UserError, match=r"model\.ckpt-\d+: .*is whole; to start afresh remove"):
        checkpoints.checkpoint_to_resume_from(stopped)


@pytest.mark.one_tensorflow
def test_a_best_checkpoint_that_is_lost(given, stopped, warnings):
    """In training it is taken again from beside it, else the best of what follows takes its place."""
    state = run_dir.read_state(stopped)
    best = state["best"]
    beside = os.path.join(stopped, f"model.ckpt-{best['step']}")
    break_links(stopped)
    cut(checkpoint.latest(os.path.join(stopped, "best")) + ".data-00000-of-00001")
    checkpoints.match_state(stopped, state)
    assert state["best"] == best and not warnings
    checkpoint.check_whole(checkpoint.latest(os.path.join(stopped, "best")))
    cut(beside + ".data-00000-of-00001")  # the same file by another name
    train(given, stopped)
    (line,) = warnings
    assert f"of step {best['step']} with F1" in line and "is lost" in line
    state = run_dir.read_state(stopped)
    assert state["best"] == state["evaluations"][-1]  # the only one since


def test_prediction_never_takes_another_checkpoint_unasked(given, stopped):
    break_links(stopped)
    best = checkpoint.latest(os.path.join(stopped, "best"))
    cut(best + ".data-00000-of-00001")
    before = contents(stopped)
    with pytest.raises(UserError, match=r"best/.*; .*/model\.ckpt-10 is whole and used when .*/best is removed"):
        train(given, stopped, "-do_train=false")
    assert contents(stopped) == before
    shutil.rmtree(os.path.join(stopped, "best"))
    assert set(train(given, stopped, "-do_train=false")) == {"dev", "test"}


@pytest.mark.parametrize("content", ["", '{"model": ', "[]", '{"model": {}}'])
def test_a_damaged_state(content, given, stopped):
    with open(os.path.join(stopped, "run.json"), "w") as writer:
        writer.write(content)
    before = contents(stopped)
    for more in ([], ["-do_train=false"], ["-clean"]):
        with pytest.raises(UserError, match=r"run\.json: damaged .*expected the state of a run"):
            train(given, stopped, *more)
    assert contents(stopped) == before


@pytest.mark.parametrize(
    "file", ["model.ckpt-12", pytest.param(r"best/model.ckpt-4\.\S+", marks=pytest.mark.one_tensorflow)]
)
def test_a_full_disk_when_a_checkpoint_is_saved(file, given, whole, stopped, monkeypatch):
    size = os.path.getsize(os.path.join(stopped, "model.ckpt-10.data-00000-of-00001"))
    full = contextlib.ExitStack()
    monkeypatch.setattr(loop, "KEPT_CHECKPOINTS", 5)  # as the run before it
    if file.startswith("best"):
        shutil.rmtree(stopped)  # the first evaluation is the best so far, whatever it finds
        # Where there are no links, best/ is a copy, and needs the space for it.
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1, "Operation not permitted")))
        keep = checkpoints.keep_as_best
        monkeypatch.setattr(
            checkpoints, "keep_as_best", lambda *args: (full.enter_context(largest_file(size - 1)), keep(*args))
        )
    else:
        save = stopping.CheckpointSaver._save

        def save_on_full_disk(self, session, step_of_checkpoint):
            if step_of_checkpoint == 12:
                full.enter_context(largest_file(size - 1))
            return save(self, session, step_of_checkpoint)

        monkeypatch.setattr(stopping.CheckpointSaver, "_save", save_on_full_disk)
    before = contents(stopped)
    with full, pytest.raises(UserError) as caught:
        train(given, stopped)
    monkeypatch.undo()
    assert re.match(rf"{re.escape(stopped)}/{file}: cannot be written: File too large$", str(caught.value))
    assert_nothing_half_written(stopped)
    found = contents(stopped)
    for path, content in before.items():
        if not path.endswith((".meta", "run.json", "checkpoint")):  # written anew
            assert found[path] == content, path
    train(given, stopped)
    assert_as(whole, stopped, given)


@pytest.mark.one_tensorflow
def test_a_full_disk_when_records_are_written(given, whole, tmp_path):
    output = str(tmp_path / "output")
    with largest_file(3000), pytest.raises(UserError) as caught:
        train(given, output)
    assert str(caught.value) == f"{output}/train.tf_record: cannot be written: File too large"
    assert_nothing_half_written(output)
    assert not glob.glob(os.path.join(output, "*.tf_record"))
    train(given, output)
    assert_as(whole, output, given)


def test_a_full_disk_when_reports_and_the_export_are_written(given, whole, tmp_path):
    output = str(tmp_path / "output")
    shutil.copytree(whole, output)
    only_export = ["-do_train=false", "-do_eval=false", "-do_predict=false", "-do_export"]
    train(given, output, *only_export)
    before = contents(output)
    exports = os.path.join(output, "export")
    with largest_file(os.path.getsize(os.path.join(whole, "label_test.txt")) - 1), pytest.raises(UserError) as caught:
        train(given, output, "-do_train=false")
    assert str(caught.value).endswith(".txt: cannot be written: File too large")
    with largest_file(20000), pytest.raises(UserError) as caught:
        train(given, output, *only_export)
    assert str(caught.value).startswith(exports) and str(caught.value).endswith("cannot be written: File too large")
    assert {path: content for path, content in contents(output).items() if path in before} == before
    assert len(os.listdir(exports)) == 1
    assert_nothing_half_written(output)
    train(given, output, "-do_export")
    assert len(os.listdir(exports)) == 2
    assert_as(whole, output, given)


DROPPING = dict(test_run_classifier.CONFIG, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)


def write_classifier(folder):
    test_run_classifier.write_mrpc(folder, train=128, others=10)
    test_run_classifier.write_lines(folder / "vocab.txt", test_run_classifier.PIECES)
    (folder / "bert_config.json").write_text(json.dumps(DROPPING))
    flags = test_run_classifier.flags_of(folder, folder, None, "mrpc", "--num_train_epochs=2", "--do_eval=true")
    return run_classifier.main, [flag for flag in flags if not flag.startswith("--output_dir")]


def write_pretraining(folder):
    test_run_pretraining.write_numbered(folder / "records", [i % 30 for i in range(100)])
    (folder / "bert_config.json").write_text(json.dumps(dict(DROPPING, vocab_size=30)))
    return run_pretraining.main, [
        f"--input_file={folder}/records", f"--bert_config_file={folder}/bert_config.json", "--max_seq_length=4",
        "--max_predictions_per_seq=2", "--num_train_steps=16", "--num_warmup_steps=2", "--do_eval",
    ]  # fmt: skip


def write_squad(folder):
    test_run_classifier.write_lines(folder / "vocab.txt", test_run_squad.PIECES)
    config = dict(DROPPING, vocab_size=len(test_run_squad.PIECES))
    (folder / "bert_config.json").write_text(json.dumps(config))
    for seed, name in enumerate(("train", "dev")):
        test_run_squad.write_squad(folder / f"{name}.json", 20, seed)
    return lambda flags: run_squad.run(run_squad.parse_args(flags)), [
        f"--bert_config_file={folder}/bert_config.json", f"--vocab_file={folder}/vocab.txt", "--max_seq_length=22",
        "--doc_stride=7", "--max_query_length=6", "--train_batch_size=16", f"--train_file={folder}/train.json",
        "--do_predict", f"--predict_file={folder}/dev.json",
    ]  # fmt: skip


ONCE = pytest.mark.one_tensorflow  # all three train by the same functions


@pytest.mark.parametrize(
    "write", [pytest.param(write_classifier, marks=ONCE), write_pretraining, pytest.param(write_squad, marks=ONCE)]
)
def test_the_programs_of_bert_too(write, tmp_path, warnings, monkeypatch):
    """A full disk, a signal, a second run, a checkpoint cut off: in the end, what a run without faults gives."""
    (tmp_path / "task").mkdir()
    main, flags = write(tmp_path / "task")
    flags += ["--do_train", "--save_checkpoints_steps=4"]
    output, whole = str(tmp_path / "output"), str(tmp_path / "whole")
    again = [*flags, f"--output_dir={output}"]
    main([*flags, f"--output_dir={whole}"])
    steps_of_whole = step_of(whole)
    assert steps_of_whole >= 16

    save = stopping.CheckpointSaver._save
    full = contextlib.ExitStack()

    def save_on_full_disk(self, session, step):
        assert signals._is_deferred
        if step == 8:
            size = os.path.getsize(os.path.join(output, "model.ckpt-4.data-00000-of-00001"))
            full.enter_context(largest_file(size - 1))
        return save(self, session, step)

    with full, monkeypatch.context() as patched, pytest.raises(UserError) as caught:
        patched.setattr(stopping.CheckpointSaver, "_save", save_on_full_disk)
        main(again)
    assert str(caught.value) == f"{output}/model.ckpt-8: cannot be written: File too large"
    assert step_of(output) == 4
    assert_nothing_half_written(output)

    def stop():
        with pytest.raises(UserError, match=f"another run .process {os.getpid()} "):
            main(again)
        os.kill(os.getpid(), signal.SIGTERM)

    with at_step(9, stop) as steps, signals.handle_signals(), pytest.raises(signals.Interrupted) as stopped:
        main(again)
    prefix = checkpoint.latest(output)
    step = checkpoint.step_of(prefix)
    assert steps[0] == 5 and 9 <= step <= 10
    assert str(stopped.value).startswith(
        f"stopped by SIGTERM at step {step} of {steps_of_whole}, saved in {prefix}; the same command"
    )
    assert_nothing_half_written(output)
    cut(prefix + ".data-00000-of-00001")
    os.mkdir(os.path.join(output, "model.ckpt-12_temp"))  # as of a run that was killed when it saved
    piece = os.path.join(output, "model.ckpt-1.data-00000-of-00001")  # and when it removed an older one
    open(piece, "w").close()
    assert not warnings
    with at_step(0, None) as steps, steps_that_decide() as decided:
        main(again)
    assert decided[0] == steps_of_whole and not os.path.exists(piece)
    assert steps[0] == 9 and len(warnings) == 1 and warnings[0].startswith(f"{prefix}: the checkpoint is cut off")
    assert_nothing_half_written(output)
    assert_same_weights(output, whole)
    results = [read(os.path.join(folder, "eval_results.txt")) for folder in (output, whole)]
    assert results[0] == results[1]


@pytest.mark.skipif(KILLS < 2, reason="the long form alone; what follows from the last checkpoint is tested above")
@pytest.mark.parametrize(
    "write, program", [(write_classifier, "run_classifier"), (write_pretraining, "run_pretraining")]
)
def test_kills_of_the_programs_of_bert(write, program, tmp_path):
    """Killed at random moments, they come to the same weights."""
    (tmp_path / "task").mkdir()
    main, flags = write(tmp_path / "task")
    longer = {"run_classifier": "--num_train_epochs={}", "run_pretraining": "--num_train_steps={}"}[program]
    flags += ["--do_train", "--save_checkpoints_steps=4", longer.format(16 * KILLS)]
    output, whole, since = str(tmp_path / "output"), str(tmp_path / "whole"), time.time()
    main([*flags, f"--output_dir={whole}"])
    flags += [f"--output_dir={output}"]
    killed([os.path.join(REPOSITORY, "bert", f"{program}.py"), *flags], output, time.time() - since, tmp_path / "log")
    main(flags)
    assert_same_weights(output, whole)
    assert read(os.path.join(output, "eval_results.txt")) == read(os.path.join(whole, "eval_results.txt"))
    assert_nothing_half_written(output)
