"""What befalls runs in these tests, and what has to be there afterwards."""

import contextlib
import glob
import os
import random
import resource
import shutil
import signal
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint, devices
from bert.system import run_lock
from bert.training.progress import TrainingLog
from tests import forking
from tests.small_task import data_file, tagged
from train import bert_lstm_ner, run_dir
from train.data.conll import read_conll
from train.train_helper import get_args_parser

KILLS = int(os.environ.get("FAULTS_KILLS", "1"))
STEPS = 12
SAME_FILES = ["label_test.txt", "label_dev.txt", "predict_score.txt", "predict_score_dev.txt", "eval_results.txt"]
SAME_FILES += ["token_test.txt", "label2id.json"]
STOPPED_AT = 10


def train(short_run, output, *more):
    return bert_lstm_ner.train(get_args_parser([*short_run, "-output_dir", output, *more]))


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

    def noting(precision, hidden_size, number, *args, trains=False, **kwargs):
        steps.extend([number] if trains else [])
        return choose(precision, hidden_size, number, *args, trains=trains, **kwargs)

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


def step_of(output):
    return checkpoint.step_of(checkpoint.latest(output))


def assert_as(whole, output, short_run):
    """All that counts in `output` is as the run without faults left it, and nothing half-written is there."""
    state, expected = run_dir.read_state(output), run_dir.read_state(whole)
    assert state["finished"] and step_of(output) == step_of(whole)
    assert [scores["step"] for scores in state["evaluations"]] == list(range(4, step_of(whole) + 1, 4))
    assert state["evaluations"] == expected["evaluations"] and state["best"] == expected["best"]
    assert_best_is_best(output, short_run)
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


def assert_best_is_best(output, short_run):
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
        words = [list(sentence.words) for sentence in read_conll(data_file(short_run, split))]
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


def graphs_in_events(output):
    """How many graphs the training's events hold, whole."""
    found = 0
    for path in glob.glob(os.path.join(output, "events.*")):
        with contextlib.suppress(tf.errors.DataLossError):  # of a file that a full disk cut short
            found += sum(event.HasField("graph_def") for event in tf.train.summary_iterator(path))
    return found


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
