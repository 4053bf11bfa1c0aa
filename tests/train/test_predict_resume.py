"""The bulk tagger killed, stopped, piped or run twice: what lies there then, and what -resume makes of it."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from bert.system.errors import PIPE_CLOSED, UserError
from tests.fake_predictor import FakePredictor
from tests.paths import REPOSITORY
from tests.train.bulk_tagging import LINES, fails, rows, run
from train.bulk import loop, resumable
from train.bulk import texts as bulk_texts
from train.bulk.formats import tag

pytestmark = pytest.mark.one_tensorflow


def test_the_least_score_over_a_kill(place, monkeypatch, capsys):
    monkeypatch.setattr(bulk_texts, "GROUP_TEXTS", 3)
    calls, flags = [], ["in.txt", "-output", "out.jsonl", "-min_score"]

    def tag_once(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return tag(*arguments)

    monkeypatch.setattr(loop, "tag", tag_once)
    with pytest.raises(KeyboardInterrupt):
        run(*flags, "0.998")
    with pytest.raises(UserError, match="-min_score changed"):
        run(*flags, "0.5", "-resume")
    run(*flags, "0.998", "-resume")
    run("in.txt", "-output", "whole.jsonl", "-min_score", "0.998")
    assert (place / "out.jsonl").read_bytes() == (place / "whole.jsonl").read_bytes()
    counts = re.findall(r"left out (\d+) entities", capsys.readouterr().err)
    assert len(counts) == 2 and counts[0] == counts[1] != "0"


@pytest.mark.parametrize(
    "closed,flags,expected",
    [
        (0, [], "error: standard input: closed; expected texts\n"),
        (0, ["-interactive"], "error: standard input: closed; expected texts\n"),
        (1, ["in.txt"], "error: standard output: closed; expected somewhere to write to\n"),
        (1, ["-interactive"], "error: standard output: closed; expected somewhere to write to\n"),
        (0, ["in.txt", "-output", "out"], ""),
        (1, ["in.txt", "-output", "out"], ""),
        (2, ["in.txt", "-output", "out"], ""),
    ],
)
def test_closed_streams(closed, flags, expected, place):
    """As `<&-` and the like of a shell: a line where it is needed, and no harm where it is not."""
    program = [sys.executable, "-m", "tests.fake_predictor", "-model_dir", "model"]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}>&-', "sh"] + program + flags,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        env=dict(os.environ, PYTHONPATH=REPOSITORY),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.decode()) == (2 if expected else 0, b"", expected)
    assert not expected or not os.path.exists("out")
    if not expected:
        assert [row["text"] for row in rows(place / "out")] == LINES


def test_a_reader_that_has_seen_enough(place):
    (place / "long").write_bytes(b"Ann ran home\n" * 50000)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_predictor", "-model_dir", "model", "long"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=REPOSITORY),
    )  # fmt: skip
    assert json.loads(process.stdout.readline().decode())["text"] == "Ann ran home"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(30) == PIPE_CLOSED


@pytest.mark.parametrize("format", loop.FORMATS)
def test_killed_at_random_and_resumed_it_writes_the_same_bytes(format, place):
    rng = random.Random(os.urandom(4))
    with open("long", "wb") as writer:
        for number in range(400):
            writer.write((rng.choice(LINES) + f" {number}").encode() + rng.choice([b"\n", b"\r\n"]))
    command = [sys.executable, "-m", "tests.fake_predictor", "-model_dir", "model", "-format", format, "long", "in.txt"]
    environment = dict(os.environ, PYTHONPATH=REPOSITORY, SECONDS_A_TEXT="0.002")
    subprocess.run(command + ["-output", "whole"], check=True, env=dict(environment, SECONDS_A_TEXT="0"))
    kills = 0
    while True:
        process = subprocess.Popen(command + ["-output", "out", "-resume"], env=environment, stderr=subprocess.PIPE)
        with process:
            if kills < 5:
                # From when it writes on, anywhere in the next quarter second.
                while process.poll() is None and not os.path.exists("out.partial"):
                    time.sleep(0.005)
                time.sleep(rng.uniform(0, 0.25) + (0.15 if kills else 0))
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                # Where the kill fell behind the last text the output may have its name; one more run says so.
                assert process.returncode in (0, -signal.SIGKILL), process.stderr.read()
                assert os.path.exists("out.partial") != os.path.exists("out")
                if os.path.exists("out"):
                    kills = 5
            else:
                assert process.wait(60) == 0, process.stderr.read()
                break
    with open("out", "rb") as resumed, open("whole", "rb") as whole:
        assert resumed.read() == whole.read()
    assert not [name for name in os.listdir(".") if "partial" in name]


@pytest.fixture
def interrupted(place, monkeypatch):
    """The directory of a run of in.txt that Ctrl-C ended behind four texts."""
    monkeypatch.setattr(bulk_texts, "GROUP_TEXTS", 2)
    done = subprocess.run(
        [sys.executable, "-m", "tests.fake_predictor", "-model_dir", "model", "in.txt", "-output", "out"],
        env=dict(os.environ, PYTHONPATH=REPOSITORY, GROUP_TEXTS="2", INTERRUPTED_AT=LINES[4]), stderr=subprocess.PIPE,
    )  # fmt: skip
    assert done.returncode == 130
    assert done.stderr.decode().splitlines()[-1] == "stopped by SIGINT; the same command with -resume goes on"
    return place


def test_ctrl_c(interrupted):
    assert sorted(os.listdir(".")) == ["in.txt", "model", "out.partial", "out.partial.json"]
    assert len(rows(interrupted / "out.partial")) == 4


def test_resuming_cuts_what_was_not_recorded_and_reads_no_text_twice(interrupted, monkeypatch):
    with open("out.partial", "ab") as writer:
        writer.write(b'{"line": 5, "te')
    predictor = FakePredictor()
    monkeypatch.setattr(loop, "load_predictor", lambda *_: predictor)
    run("in.txt", "-output", "out", "-resume")
    assert [row["text"] for row in rows(interrupted / "out")] == LINES
    assert sorted(text for call in predictor.calls for text in call) == sorted(LINES[4:])
    assert sorted(os.listdir(".")) == ["in.txt", "model", "out"]


@pytest.mark.parametrize(
    "change,expected",
    [
        (["-format", "conll"], "-format changed, from jsonl to conll since that run began"),
        (["-input", "words"], "-input changed, from lines to words"),
        (["-batch_size", "7"], "-batch_size changed, from 32 to 7"),
        (["more"], "the input files changed"),
    ],
)
def test_resuming_with_other_settings(change, expected, interrupted):
    before = (interrupted / "out.partial").read_bytes()
    if change == ["more"]:
        (interrupted / "more").write_text("x")
        change = ["more"]
    message = fails("in.txt", "-output", "out", "-resume", *change)
    assert message.startswith("out.partial: ") and expected in message
    assert "remove it and out.partial.json to start afresh" in message
    assert (interrupted / "out.partial").read_bytes() == before


def test_resuming_with_another_model_or_input(interrupted, monkeypatch):
    flags = ["in.txt", "-output", "out", "-resume"]
    content = (interrupted / "in.txt").read_bytes()
    (interrupted / "in.txt").write_bytes(content.replace(b"Zo", b"Jo"))
    assert fails(*flags).startswith("out.partial: the input's content changed (in.txt) since that run began")
    (interrupted / "in.txt").write_bytes(content)
    monkeypatch.setattr(loop, "model_identity", lambda _: {"the model": "other", "TensorFlow": "2"})
    assert "the model changed, from fake to other" in fails(*flags)
    monkeypatch.setattr(loop, "model_identity", lambda _: {"the model": "fake", "TensorFlow": "2"})
    run(*flags)
    assert [row["text"] for row in rows(interrupted / "out")] == LINES


def test_what_a_killed_run_left_of_a_pipe(place):
    """Nothing can be gone on with, so nothing is said of -resume."""
    (place / "out.partial").write_bytes(b"x")
    assert fails("in.txt", "-output", "out") == (
        "out.partial: left by an unfinished run that cannot be gone on with; remove it"
    )


def test_what_lies_there_is_not_lost(interrupted):
    before = (interrupted / "out.partial").read_bytes()
    message = fails("in.txt", "-output", "out")
    assert message.startswith("out.partial: left by an unfinished run; -resume goes on with it, remove it and")
    assert (interrupted / "out.partial").read_bytes() == before
    (interrupted / "out.partial").write_bytes(before[:-1])
    assert "expected" in fails("in.txt", "-output", "out", "-resume")
    (interrupted / "out.partial.json").write_text("{}")
    assert fails("in.txt", "-output", "out", "-resume").startswith("out.partial.json: expected what an unfinished run")
    (interrupted / "out.partial.json").write_text("{")
    assert fails("in.txt", "-output", "out", "-resume").startswith("out.partial.json: expected JSON")


@pytest.mark.parametrize("format", loop.FORMATS)
def test_killed_between_the_last_record_and_the_end(format, place, monkeypatch):
    """At each of the steps of `finish`, the next run ends what is left and the file is whole."""
    run("in.txt", "-output", "whole", "-format", format)
    for function, target in (("replace", "out"), ("remove", "out.partial.json")):
        original = getattr(os, function)

        def dies(*paths, original=original, target=target):
            return sys.exit(9) if paths[-1] == target else original(*paths)

        with monkeypatch.context() as patched, pytest.raises(SystemExit):
            patched.setattr(os, function, dies)
            run("in.txt", "-output", "out", "-format", format)
        assert os.path.exists("out") == (function == "remove") and os.path.exists("out.partial.json")
        run("in.txt", "-output", "out", "-resume", "-format", format)
        assert (place / "out").read_bytes() == (place / "whole").read_bytes()
        assert sorted(os.listdir(".")) == ["in.txt", "model", "out", "whole"]
        os.remove("out")


def test_two_runs_on_one_file(place):
    pytest.importorskip("fcntl", reason="without it two runs are not told apart")
    with resumable.ResumableFile("out", {}):
        assert fails("in.txt", "-output", "out", "-resume") == "out.partial: another run is writing it"


def test_a_run_that_finishes_while_another_begins(place, monkeypatch):
    """The second has the partial file open when that gets its final name: it must not cut the finished file."""
    lock = resumable.ResumableFile._lock

    def finished_first(self):
        os.rename("out.partial", "out")
        lock(self)

    (place / "out.partial").write_bytes(b"finished")
    monkeypatch.setattr(resumable.ResumableFile, "_lock", finished_first)
    expected = "out.partial: another run was writing it, and has finished"
    assert fails("in.txt", "-output", "out", "-resume") == expected
    assert (place / "out").read_bytes() == b"finished"


def test_a_full_disk(place, monkeypatch):
    monkeypatch.setattr(bulk_texts, "GROUP_TEXTS", 2)
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(None)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        real(descriptor)

    (place / "out").write_text("mine")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        message = fails("in.txt", "-output", "out")
    assert "cannot be written: No space left on device" in message
    assert (place / "out").read_text() == "mine"
    run("in.txt", "-output", "out", "-resume")
    assert [row["text"] for row in rows(place / "out")] == LINES


def test_a_pipe_as_input(place):
    os.mkfifo("pipe")

    def feed():
        with open("pipe", "wb") as writer:
            writer.write(b"Ann\nBob\n")

    thread = threading.Thread(target=feed)
    thread.start()
    run("pipe", "-output", "out")
    thread.join()
    assert [row["text"] for row in rows(place / "out")] == ["Ann", "Bob"]
    assert "-resume needs files" in fails("pipe", "-output", "out", "-resume")
