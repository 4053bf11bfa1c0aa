"""A sweep as a whole: with a program that stands for run.py, so that it is quick; and, once, with run.py itself."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from bert.system.errors import UserError
from tests.pages import Page
from tests.paths import REPOSITORY
from tests.small_task import succeed_here
from train import run_dir, sweep
from train.sweeping import runs
from train.train_helper import check_flags, get_args_parser

pytestmark = pytest.mark.one_tensorflow

# A run: its dev F1 grows with the learning rate, and a little with the seed; it says in a file of its own that it ran.
# A rate of 9 fails, one of 8 waits for a signal.
PROGRAM = """
import json, os, signal, sys, time
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
with open("ran.txt", "a") as writer:
    writer.write("%s %s %s\\n" % (flags["-learning_rate"], flags["-seed"], sys.argv[-1]))
folder, rate = flags["-output_dir"], float(flags["-learning_rate"])
os.makedirs(os.path.join(folder, "best"), exist_ok=True)
if rate == 9:
    print("a line before")
    print("error: the last\\tline", file=sys.stderr)
    sys.exit(2)
while rate == 8 and not os.path.exists("go"):
    signal.signal(signal.SIGTERM, lambda *_: (open("saved", "w").close(), sys.exit(143)))
    open("started %d" % os.getpid(), "w").close()
    time.sleep(0.02)
if "-do_train=false" in sys.argv:
    with open(os.path.join(folder, "predict_score.txt"), "w") as writer:
        writer.write("processed 3 tokens\\naccuracy: 98.00%; precision: 1.0%; recall: 1.0%; FB1:  7.25\\n")
    sys.exit()
scores = dict.fromkeys(["loss", "accuracy", "precision", "recall"], 0.5)
scores.update(f1=(2 * rate if rate < 0.5 else rate / 10) + int(flags["-seed"]) / 100, step=7)
for name in ("model.ckpt-7.index", "train.tf_record", "best/model.ckpt-7.index", "mine.txt"):
    open(os.path.join(folder, name), "w").close()
state = dict(model={}, training={}, finished=True, evaluations=[scores], best=scores, foreign=[])
with open(os.path.join(folder, "run.json"), "w") as writer:
    json.dump(state, writer)
"""
DATA = "Ann B-PER\nran O\n\n"
START = """
import sys
from bert.system.errors import run_program
from train import run_dir, sweep
from train.sweeping import runs
runs.PROGRAM = "program.py"
run_program(sweep.main)
"""
NEEDED = ["-data_dir", "data", "-bert_dir", "bert", "-output_dir", "out"]


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    """The working directory has data, an encoder's directory and the program."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "PROGRAM", "program.py")
    monkeypatch.setattr(runs, "POLL", 0.01)
    os.mkdir("bert")
    for name in ("bert_config.json", "vocab.txt"):  # which no run of these tests reads
        open(os.path.join("bert", name), "w").close()
    os.mkdir("data")
    for split in ("train", "dev", "test"):
        (tmp_path / "data" / f"{split}.txt").write_text(DATA * 4)
    (tmp_path / "program.py").write_text(PROGRAM)


def ran():
    """What ran since the last call: (learning rate, seed, last flag) of each run, sorted."""
    if not os.path.exists("ran.txt"):
        return []
    with open("ran.txt") as reader:
        found = sorted(tuple(line.split()) for line in reader)
    os.remove("ran.txt")
    return found


def rows(name):
    with open(os.path.join("out", name), encoding="utf-8") as reader:
        return [line.rstrip("\n").split("\t") for line in reader]


def start(*flags):
    env = dict(os.environ, PYTHONPATH=REPOSITORY)
    return subprocess.Popen(
        [sys.executable, "-c", START, *NEEDED, *flags],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def wait_for(what, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it does not come")


def started():
    return [int(name.split()[1]) for name in os.listdir(".") if name.startswith("started")]


def is_there(pid):
    """Whether a process runs, and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as reader:
            return reader.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_settings_are_compared_and_the_best_is_tested(capsys):
    sweep.main([*NEEDED, "-learning_rate", "0.1,0.3,0.2", "-seeds", "3", "-processes", "2"])
    tested = [("0.3", str(seed), "-report") for seed in (1, 2, 3)]
    assert ran() == sorted(
        [(rate, str(seed), "-calibrate=false") for rate in ("0.1", "0.2", "0.3") for seed in (1, 2, 3)] + tested
    )
    assert rows("sweep.tsv") == [
        ["no.", "learning_rate", "runs", "mean", "sd", "min", "max", "test"],
        ["1", "0.3", "3", "62.00", "1.00", "61.00", "63.00", "7.25"],
        ["2", "0.2", "3", "42.00", "1.00", "41.00", "43.00", ""],
        ["3", "0.1", "3", "22.00", "1.00", "21.00", "23.00", ""],
    ]
    table = rows("runs.tsv")
    assert table[0] == ["no.", "learning_rate", "fold", "seed", "dev F1", "step", "test F1", "failed with", "directory"]
    assert len(table) == 10 and table[1][:8] == ["1", "0.3", "", "1", "61.00", "7", "7.25", ""]
    printed = capsys.readouterr().out
    assert "best: learning_rate 0.3; dev F1 62.00 (standard deviation 1.00 over 3 runs)" in printed
    command = shlex.split(printed.splitlines()[-1])
    assert command[:2] == ["python", "run.py"]
    args = get_args_parser(command[2:])
    check_flags(args)
    assert (args.learning_rate, args.seed, args.data_dir) == (0.3, 3, "data")
    with open("out/sweep.html", encoding="utf-8") as reader:
        page = Page(reader.read())
    assert page.tables[None, "Settings, the best first; dev F1 in percent"] == rows("sweep.tsv")
    assert "1  learning_rate 0.3: mean 62 of 3" in page.visible and command[-1] in page.visible
    folder = os.path.join("out", table[1][-1])
    assert sorted(os.listdir(folder)) == ["best", "mine.txt", "predict_score.txt", "run.json"]  # the rest is not needed


def test_what_is_finished_is_not_run_again():
    sweep.main([*NEEDED, "-learning_rate", "0.1,0.2"])
    ran()
    sweep.main([*NEEDED, "-learning_rate", "0.1,0.2"])
    assert ran() == []
    sweep.main([*NEEDED, "-learning_rate", "0.05,0.10,0.2", "-cell", "lstm", "-seeds", "2"])
    assert len(ran()) == 6 + 2  # another setting: -cell is given
    sweep.main([*NEEDED, "-learning_rate", "0.05,0.10,0.2", "-seeds", "2"])
    assert [each[:2] for each in ran()] == [("0.05", "1"), ("0.05", "2"), ("0.10", "2"), ("0.2", "2"), ("0.2", "2")]
    with open("data/train.txt", "a") as writer:
        writer.write(DATA)
    sweep.main([*NEEDED, "-learning_rate", "0.1,0.2"])
    assert len(ran()) == 3  # other data


def test_a_run_that_fails_is_shown_and_does_not_stop_the_others():
    with pytest.raises(UserError, match=r"^1 of 4 runs failed: learning_rate=9_\w+/seed-1; runs.tsv has"):
        sweep.main([*NEEDED, "-learning_rate", "9,0.1,0.2,0.3", "-keep"])
    assert rows("sweep.tsv")[0][-2:] == ["failed", "test"]
    assert [row[1:3] + row[-2:] for row in rows("sweep.tsv")[1:]] == [
        ["0.3", "1", "0", "7.25"], ["0.2", "1", "0", ""], ["0.1", "1", "0", ""], ["9", "0 of 1", "1", ""],
    ]  # fmt: skip
    (failed,) = [row for row in rows("runs.tsv") if row[1] == "9"]
    assert failed[-2] == "exit code 2: error: the last line"
    with open(os.path.join("out", failed[-1] + ".log")) as reader:
        assert reader.read().startswith("a line before\n")
    assert "train.tf_record" in os.listdir(os.path.join("out", rows("runs.tsv")[1][-1]))
    ran()
    with pytest.raises(UserError):
        sweep.main([*NEEDED, "-learning_rate", "9,0.1,0.2,0.3"])
    assert [each[0] for each in ran()] == ["9"]


def test_without_a_test_file_there_is_no_test_score():
    os.remove("data/test.txt")
    sweep.main([*NEEDED, "-learning_rate", "0.1,0.2"])
    assert rows("sweep.tsv")[0][-1] == "max"


def test_folds(capsys):
    sweep.main([*NEEDED, "-learning_rate", "0.1,0.2", "-folds", "2", "-seeds", "2"])
    assert [row[1:4] for row in rows("sweep.tsv")[1:]] == [["0.2", "4", "41.50"], ["0.1", "4", "21.50"]]
    found = rows("runs.tsv")[1:5]
    assert sorted(row[2:4] for row in found) == [[str(fold), str(seed)] for fold in (1, 2) for seed in (1, 2)]
    command = capsys.readouterr().out.splitlines()[-1]
    assert "-seed 1" in command and "-data_dir data " in command and "label_list" not in command
    ran()
    sweep.main([*NEEDED, "-learning_rate", "0.1,0.2", "-folds", "2", "-seeds", "2"])
    assert ran() == []


def test_nothing_runs_where_something_is_wrong():
    for flags, expected in [
        (["-learnin_rate", "1,2"], "unrecognized"),
        (["-learning_rate", "1,x"], "got 'x'"),
        (["-data_dir", "nowhere"], "nowhere/train.txt: no such file; expected the train file of -data_dir"),
        (["-folds", "9"], "8 sentences in train and dev; expected at least 9"),
    ]:
        with pytest.raises(UserError, match=expected):
            sweep.main([*NEEDED, *flags])
    assert ran() == [] and not os.path.exists("out")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_runs_after_they_have_saved(signum):
    process = start("-learning_rate", "8,7", "-processes", "1")
    (child,) = wait_for(started)
    process.send_signal(signum)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    assert "the same command goes on where this one stopped" in errors.splitlines()[-1]
    assert os.path.exists("saved") and not is_there(child)
    assert [each[0] for each in ran()] == ["8"]  # the other one was not begun
    open("go", "w").close()
    assert start("-learning_rate", "8,7", "-processes", "2").wait(30) == 0
    assert [each[0] for each in ran()] == ["7", "8", "8"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone ends children of what was killed")
def test_a_kill_ends_the_runs():
    process = start("-learning_rate", "8,7", "-processes", "2")
    children = wait_for(started)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(map(is_there, children)))


def test_one_sweep_at_a_time():
    process = start("-learning_rate", "8,7")
    wait_for(started)
    with pytest.raises(UserError, match="writes to it"):
        sweep.main([*NEEDED, "-learning_rate", "0.1"])
    process.terminate()
    process.communicate(timeout=30)


def test_what_run_py_says_of_a_damaged_run_counts(tmp_path):
    sweep.main([*NEEDED, "-learning_rate", "0.1"])
    folder = os.path.join("out", rows("runs.tsv")[1][-1])
    with open(os.path.join(folder, "run.json"), "w") as writer:
        json.dump({"finished": True}, writer)
    ran()
    sweep.main([*NEEDED, "-learning_rate", "0.1"])
    assert ran() == [("0.1", "1", "-calibrate=false")]


def test_what_run_py_leaves_is_what_a_sweep_reads(given, finished, tmp_path):
    """And run.py takes the flags of a sweep, and tests without the checkpoints that a sweep removes."""
    folder = str(tmp_path / "run")
    shutil.copytree(finished[0], folder)
    flags = [*given, "-output_dir", folder, "-seed", "42"]
    check_flags(get_args_parser([*flags, *runs.TRAINING]))
    run = runs.Run(None, 42, None, folder, flags)
    score, test_f1 = runs.score(run), runs.test_f1(run)
    with open(os.path.join(folder, run_dir.REPORT["dev"])) as reader:
        assert f"FB1: {score.f1:6.2f}" in reader.read()
    runs.drop_checkpoints(run)
    assert [name for name in os.listdir(folder) if name.endswith((".index", ".tf_record"))] == []
    os.remove(os.path.join(folder, run_dir.REPORT["test"]))
    assert runs.test_f1(run) is None
    succeed_here(*flags, *runs.TESTING)
    assert runs.test_f1(run) == test_f1 and runs.score(run) == score
