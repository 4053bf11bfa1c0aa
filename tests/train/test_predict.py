"""The bulk tagger: what goes in comes out in order, whatever kills it on the way; and what it says of bad input."""

import contextlib
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import hypothesis
import pytest
from hypothesis import strategies

from bert.system.errors import PIPE_CLOSED, UserError, run_program
from tests import small_task
from tests.fake_predictor import FakePredictor
from tests.paths import REPOSITORY
from train import predict, run_dir
from train.bulk import loop, resumable
from train.bulk import texts as bulk_texts
from train.bulk.formats import tag
from train.inference import prompt
from train.inference.entities import Entity

pytestmark = pytest.mark.one_tensorflow

LINES = ["Ann Lee ran on 3 May.", "", "北京 Bob", "\u2028 x\x0bAnn \x85 \r y", " \t", "café Zoë", "𝔘 Eve 😀 42", "Ann"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current directory of the test: an input file, a directory that stands for a model, a fake predictor."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "in.txt").write_bytes("\n".join(LINES).encode() + b"\r\n")
    monkeypatch.setattr(loop, "load_predictor", lambda arguments, *_: FakePredictor(min_score=arguments["min_score"]))
    monkeypatch.setattr(loop, "model_identity", lambda _: {"the model": "fake", "TensorFlow": "2"})
    monkeypatch.setattr(resumable, "SECONDS_BETWEEN_RECORDS", 0)
    return tmp_path


def run(*flags):
    predict.main(["-model_dir", "model"] + list(flags))


def rows(path):
    return [json.loads(line) for line in path.read_bytes().decode("utf-8").split("\n")[:-1]]


def conll_blocks(path):
    """The lines of each text, those of one without words an empty list."""
    blocks, block = [], []
    for line in path.read_bytes().decode("utf-8").split("\n")[:-1]:
        if line:
            block.append(line)
        else:
            blocks.append(block)
            block = []
    assert not block
    return blocks


@pytest.mark.parametrize("form", ["jsonl", "conll", "html"])
def test_the_least_score(form, place, capsys):
    """What is below it is no entity in any format; one line says how many."""
    pattern = {"jsonl": '"type"', "conll": " [BI]-", "html": "<small>"}[form]
    run("in.txt", "-output", "out", "-format", form)
    assert "left out" not in capsys.readouterr().err
    run("in.txt", "-output", "fewer", "-format", form, "-min_score", "0.998")
    counts = [len(re.findall(pattern, (place / name).read_text(encoding="utf-8"))) for name in ("out", "fewer")]
    assert 0 < counts[1] < counts[0]
    (left_out,) = re.findall(r"left out (\d+) entities with a score below -min_score 0.998", capsys.readouterr().err)
    assert form == "conll" or int(left_out) == counts[0] - counts[1]


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


def test_json_lines(place):
    run("in.txt", "-output", "out.jsonl")
    found = rows(place / "out.jsonl")
    assert [row["text"] for row in found] == LINES and [row["line"] for row in found] == list(range(1, 9))
    assert list(found[0]) == ["line", "text", "entities"]
    assert found[0]["entities"] == [
        {"type": "PER", "text": "Ann Lee", "start": 0, "end": 7, "score": 0.997},
        {"type": "DATE", "text": "3", "start": 15, "end": 16, "score": 0.999},
        {"type": "PER", "text": "May", "start": 17, "end": 20, "score": 0.997},
    ]
    assert found[1]["entities"] == []
    for row in found:
        for entity in row["entities"]:
            assert row["text"][entity["start"] : entity["end"]] == entity["text"]
    assert sorted(os.listdir(".")) == ["in.txt", "model", "out.jsonl"]


def test_conll_columns(place):
    run("in.txt", "-output", "out.conll", "-format", "conll", "--scores")
    blocks = conll_blocks(place / "out.conll")
    assert len(blocks) == len(LINES)
    assert blocks[0][:3] == ["Ann I-PER 0.9970", "Lee I-PER 0.9970", "ran O 0.9970"]
    assert blocks[1] == blocks[4] == []
    run("in.txt", "-output", "out.conll", "-format=conll")
    assert conll_blocks(place / "out.conll")[2] == ["北京 O", "Bob I-PER"]


def test_several_files_and_switches_before_them(place):
    (place / "more.txt").write_bytes("\ufeffBob\nEve\r\n".encode())
    run("-resume", "more.txt", "-output", "out", "in.txt")
    found = rows(place / "out")
    assert list(found[0]) == ["file", "line", "text", "entities"]
    assert [(row["file"], row["line"]) for row in found[:3]] == [("more.txt", 1), ("more.txt", 2), ("in.txt", 1)]
    assert [row["text"] for row in found] == ["Bob", "Eve"] + LINES


def test_words_and_conll_input(place):
    (place / "words").write_bytes("Ann  Lee\tran\n\nBob a\u2028b\n".encode())
    run("words", "-input", "words", "-output", "out")
    assert [(row["line"], row["text"]) for row in rows(place / "out")] == [
        (1, "Ann Lee ran"), (2, ""), (3, "Bob a\u2028b"),
    ]  # fmt: skip
    assert [entity["text"] for row in rows(place / "out") for entity in row["entities"]] == ["Ann Lee", "Bob"]

    (place / "data").write_bytes(b"-DOCSTART- O\n\n\nAnn x B-PER\nLee\tx\tI-PER\n\n\nran y O\nBob y O")
    run("data", "-input", "conll", "-output", "out")
    assert [(row["line"], row["text"]) for row in rows(place / "out")] == [(4, "Ann Lee"), (8, "ran Bob")]
    run("data", "-input", "conll", "-output", "out", "-format", "conll")
    assert conll_blocks(place / "out") == [["Ann I-PER", "Lee I-PER"], ["ran O", "Bob I-PER"]]


def test_conll_input_of_any_columns(place, capfd):
    """The flags say where the words are; what cannot be right is refused before the work begins, or where it shows."""
    counted = "".join(f"# {i}\n1\tAnn Lee\tx\n2\tran\ty\n3\tto\tz\n4\tBob\tz\n\n" for i in range(3))
    (place / "data").write_bytes(counted.encode())
    flags = ["-input", "conll", "-columns", "word=2", "-comment", "# ", "-output", "out"]
    run("data", *flags)
    assert [(row["line"], row["text"]) for row in rows(place / "out")] == [
        (i, "Ann Lee ran to Bob") for i in (2, 8, 14)
    ]
    assert (
        "data: columns word=2,tag=last; columns end at tabs, spaces stay in them in 3 lines (first 2); 3 comment l"
        in (capfd.readouterr().err)
    )
    # What has spaces in its words comes with tabs between its columns.
    run("data", *flags, "-format", "conll")
    assert conll_blocks(place / "out") == [["Ann Lee\tI-PER", "ran\tO", "to\tO", "Bob\tI-PER"]] * 3
    for content, flags, message in (
        (counted, [], r"data:2: the first of 3 columns is of numbers .* -comment '# ' -columns word=2 "),
        (
            "New York\nran\nto\n",
            [],
            r"data:1: 2 columns \('New York'\), but 1 in line 2 .* -columns word=1 takes the first",
        ),
        ("Ann\nran\n", ["-columns", "word=2"], r"data:1: 1 column \('Ann'\); expected 2 or more, as -columns word=2"),
    ):
        (place / "data").write_bytes(content.encode())
        with pytest.raises(UserError, match=message):
            run("data", "-input", "conll", *flags, "-output", "out")
    with pytest.raises(UserError, match="-comment is for -input conll, not for -input words"):
        run("data", "-input", "words", "-comment", "#")


def test_the_columns_of_what_can_be_read_only_once(monkeypatch):
    """Its beginning says what they are, and a later line that is otherwise is named."""

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    monkeypatch.setattr(bulk_texts, "LOOKED_AT", 30)
    content = b"a b\tO\nc\tO\n\n" * 20
    texts = [text.content for text in bulk_texts.read_stream(Pipe(content), "in", "conll")]
    assert texts == [["a b", "c"]] * 20
    with pytest.raises(UserError, match="in:61: 1 column .'d O'., in the lines before it 2; expected as many in each"):
        list(bulk_texts.read_stream(Pipe(content + b"d O\n"), "in", "conll"))


def test_a_file_as_one_text(place):
    (place / "empty").write_bytes(b"")
    (place / "a").write_bytes(b"\xef\xbb\xbfAnn\r\nLee\n")
    run("a", "empty", "in.txt", "-input", "file", "-output", "out")
    found = rows(place / "out")
    assert list(found[0]) == ["file", "text", "entities"]
    assert [row["text"] for row in found] == ["Ann\r\nLee\n", "", "\n".join(LINES) + "\r\n"]
    assert [row["file"] for row in found] == ["a", "empty", "in.txt"]
    assert found[0]["entities"][0]["text"] == "Ann\r\nLee"


ANY_LINE = strategies.text(strategies.characters(blacklist_characters="\n", blacklist_categories=["Cs"]))


@hypothesis.given(
    strategies.lists(ANY_LINE),
    strategies.booleans(),
    strategies.integers(1, 5),
)  # fmt: skip
def test_every_line_comes_back_and_reading_goes_on_behind_any(tmp_path_factory, lines, end, group):
    lines = [line[:-1] if line.endswith("\r") else line for line in lines]
    if lines:
        lines[0] = lines[0].lstrip("\ufeff")
    end = end or not lines or not lines[-1]
    path = tmp_path_factory.mktemp("lines") / "file"
    path.write_bytes(("\n".join(lines) + ("\n" if end and lines else "")).encode())
    if not lines:
        return
    texts = list(bulk_texts.read([str(path)], "lines"))
    assert [text.content for text in texts] == lines
    for i in range(0, len(texts), group):
        rest = list(bulk_texts.read([str(path)], "lines", texts[i].next))
        assert rest == texts[i + 1 :]


@pytest.mark.parametrize("kind", bulk_texts.KINDS)
def test_reading_goes_on_behind_any_text_of_several_files(kind, tmp_path):
    names = []
    for number, content in enumerate(["Ann x\n\nBob y\n", "-DOCSTART-\n\n\nEve y", "\r\n\r\nZoë\r\n\r\n"]):
        names.append(str(tmp_path / str(number)))
        (tmp_path / str(number)).write_bytes(content.encode())
    texts = list(bulk_texts.read(names, kind))
    for i, text in enumerate(texts):
        assert list(bulk_texts.read(names, kind, text.next)) == texts[i + 1 :]


def test_groups(monkeypatch, tmp_path):
    """Of a limited number of texts and of characters, none over the end of a file."""
    monkeypatch.setattr(bulk_texts, "GROUP_TEXTS", 3)
    monkeypatch.setattr(bulk_texts, "GROUP_CHARACTERS", 10)
    (tmp_path / "a").write_bytes(b"1\n2\n3\n4\n12345678901\n5\n12345\n12345\n6\n")
    (tmp_path / "b").write_bytes(b"7\n")
    names = [str(tmp_path / "a"), str(tmp_path / "b")]
    sizes = [len(group) for group in bulk_texts.groups(bulk_texts.read(names, "lines"), "lines")]
    assert sizes == [3, 2, 3, 1, 1]
    assert [len(group) for group in bulk_texts.groups(bulk_texts.read(names, "file"), "file")] == [1, 1]
    assert [len(group) for group in bulk_texts.groups(bulk_texts.read(names[1:] * 7, "file"), "file")] == [3, 3, 1]


def test_texts_of_like_length_are_tagged_together():
    texts = [bulk_texts.Text("x" * (i * 7919 % 100), i + 1, bulk_texts.START) for i in range(100)]
    predictor, seen = FakePredictor(), []
    tagged = tag(predictor, texts, "lines", 2, seen.append)
    assert [(one.text, one.line) for one in tagged] == [(text.content, text.line) for text in texts]
    lengths = [len(text) for call in predictor.calls for text in call]
    assert lengths == sorted(lengths) and sum(seen) == 100 and len(seen) > 3


def test_what_is_held_does_not_grow_with_the_input(place, monkeypatch):
    """No more is read ahead of what has been written than one group."""
    monkeypatch.setattr(bulk_texts, "GROUP_TEXTS", 10)
    read, written = [0], [0]
    lines, write = bulk_texts._lines, resumable.ResumableFile.write

    def counted(*args):
        for line in lines(*args):
            read[0] += 1
            yield line

    def checked(self, data):
        assert read[0] - 500 - written[0] <= 10  # 500: those of the first look
        written[0] += data.count(b"\n")
        write(self, data)

    (place / "in.txt").write_text("Ann ran\n" * 500)
    monkeypatch.setattr(bulk_texts, "_lines", counted)
    monkeypatch.setattr(resumable.ResumableFile, "write", checked)
    run("in.txt", "-output", "out")
    assert written[0] == 500


def test_standard_input_and_output(place):
    program = [sys.executable, "-m", "tests.fake_predictor", "-model_dir", "model"]
    environment = dict(os.environ, PYTHONPATH=REPOSITORY, PYTHONIOENCODING="ascii", LC_ALL="C")

    def tagged(flags, text):
        done = subprocess.run(
            program + flags, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        return done.returncode, done.stdout, done.stderr.decode()

    text = ("\n".join(LINES) + "\n").encode()
    code, out, _ = tagged([], text)
    assert code == 0 and [json.loads(line)["text"] for line in out.decode().split("\n")[:-1]] == LINES
    run("in.txt", "-output", "out")
    assert out == (place / "out").read_bytes()
    assert tagged(["in.txt", "-"], b"Bob")[1].count(b"\n") == len(LINES) + 1
    code, out, err = tagged([], b"")
    assert code == 2 and out == b"" and err == "error: standard input: nothing in it; expected one text per line\n"
    code, out, err = tagged(["-output", "x"], b"Ann\nBob\xff\n")
    assert code == 2
    assert err == "error: standard input:2: byte 4 of the line is not UTF-8; expected one text per line, in UTF-8\n"
    assert not os.path.exists("x") and not os.path.exists("x.partial")

    code, out, _ = tagged(["-interactive"], b"Ann ran\n\n \nin 42\r\n")
    assert code == 0 and out.decode() == "[Ann PER 1.00] ran\nin [42 DATE 1.00]\n"


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


def fails(*flags):
    """The message of the UserError."""
    with pytest.raises(UserError) as error:
        run(*flags)
    assert "\n" not in str(error.value)
    return str(error.value)


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


@pytest.mark.parametrize(
    "flags,expected",
    [
        (["in.txt", "nowhere.txt"], r"nowhere\.txt: cannot be read: No such file"),
        (["model"], r"model: cannot be read: Is a directory"),
        (["bad.txt"], r"bad\.txt:2: byte 5 of the line is not UTF-8; expected one text per line, in UTF-8"),
        (["bad.txt", "-input", "file"], r"bad\.txt:2: byte 5 of the line is not UTF-8; expected one text per file"),
        (["empty.txt"], r"empty\.txt: nothing in it; expected one text per line"),
        (["blank.txt", "-input", "conll"], r"blank\.txt: nothing in it; expected one word per line"),
        (["in.txt", "-output", "model"], r"model: a directory; expected the name of a file"),
        (["in.txt", "-output", "/dev/null"], r"/dev/null: no regular file; expected the name of a file"),
        (["in.txt", "-output", "no/out"], r"no/out: cannot be written: there is no such directory"),
        (["in.txt", "-output", "./in.txt"], r"\./in\.txt: input and output are the same file"),
        (["x.partial", "-output", "x", "-resume"], r"x\.partial: input and output are the same file"),
        (["in.txt", "-model_dir", "nowhere"], r"nowhere: no such directory; expected a run's -output_dir or an export"),
        (["in.txt", "-model_dir="], r"-model_dir is missing"),
        (["in.txt", "-resume"], r"-resume needs -output"),
        (["in.txt", "-output="], r"-output: empty; expected the name of a file to write"),
        (["in.txt", "bad\udcff.txt"], r"bad\\udcff\.txt: not UTF-8; expected names of files"),
        (["-resume", "-output", "out"], r"-resume needs files as input"),
        (["-", "-"], r"-: expected standard input once"),
        (["in.txt", "-interactive"], r"-interactive takes texts from standard input"),
        (["in.txt", "-scores"], r"-scores is for -format conll"),
        (["in.txt", "-format", "xml"], r"format.*xml"),
        (["in.txt", "-batch_size", "0"], r"batch_size.*at least 1"),
        (["in.txt", "-resume=perhaps"], r"expected true or false, got 'perhaps'"),
        (["in.txt", "-no_such"], r"no_such"),
    ],
)
def test_bad_input(flags, expected, place, capfd):
    (place / "bad.txt").write_bytes(b"Ann\nBob \xff\nx\n")
    (place / "empty.txt").write_bytes(b"")
    (place / "blank.txt").write_bytes(b"\n\n")
    (place / "x.partial").write_bytes(b"Ann\n")  # a file of the user's own; -resume must not begin it anew
    before = sorted(os.listdir("."))
    with pytest.raises(SystemExit) as ended:
        run_program(lambda: run(*flags))
    printed = capfd.readouterr()
    assert ended.value.code == 2 and printed.out == "" and len(printed.err.splitlines()) == 1
    assert printed.err.startswith("error: ") and re.search(expected, printed.err), printed.err
    assert sorted(os.listdir(".")) == before


def test_an_output_that_cannot_be_written(place):
    (place / "closed").mkdir(mode=0o500)
    if os.access("closed", os.W_OK):  # as root everything can be written but this
        assert "cannot be written" in fails("in.txt", "-output", "/proc/out")
    else:
        assert fails("in.txt", "-output", "closed/out") == "closed/out: cannot be written: Permission denied"


def test_help_and_defaults(capsys):
    with pytest.raises(SystemExit) as ended:
        predict.parse_flags(["-help"])
    assert ended.value.code == 0 and "-model_dir" in capsys.readouterr().out
    args = predict.parse_flags(["--model_dir=m", "--", "-dash.txt"])
    assert args.files == ["-dash.txt"]
    args = predict.parse_flags(["--model_dir=m", "a", "--", "-b"])
    assert (args.files, args.format, args.input, args.output, args.batch_size) == (
        ["a", "-b"],
        "jsonl",
        "lines",
        None,
        32,
    )
    for switch in (["-resume"], ["-resume", "true"], ["--resume", "yes"], ["--resume=1"]):
        assert predict.parse_flags(["-model_dir", "m", "-output", "o", *switch, __file__]).resume is True
    assert predict.parse_flags(["-model_dir", "m", "-resume", "false", __file__]).resume is False


ANN = Entity("PER", "Ann", 3, 6, 0.98765)


def test_text_at_the_prompt():
    assert prompt.marked("hi Ann!", [ANN]) == "hi [Ann PER 0.99]!"
    assert prompt.marked("hi Ann", [ANN._replace(type="")]) == "hi [Ann 0.99]"
    coloured = prompt.marked("hi Ann!", [ANN], ["LOC", "PER"], colours=True)
    assert re.sub("\x1b\\[[0-9;]*m", "", coloured) == "hi  Ann PER 0.99 !"
    assert coloured != prompt.marked("hi Ann!", [ANN], ["PER"], colours=True)
    assert prompt.marked("\x1b[31m\x07", []) == "\ufffd[31m\ufffd"


def test_colours_are_for_terminals_that_want_them():
    class Terminal:
        def isatty(self):
            return True

    assert prompt.wants_colours(Terminal(), {"TERM": "xterm"})
    assert prompt.wants_colours(Terminal(), {"TERM": "xterm", "NO_COLOR": ""})
    assert not prompt.wants_colours(Terminal(), {"TERM": "xterm", "NO_COLOR": "1"})
    assert not prompt.wants_colours(Terminal(), {"TERM": "dumb"})
    assert not prompt.wants_colours(Terminal(), {})
    with open(os.devnull) as stream:
        assert not prompt.wants_colours(stream, {"TERM": "xterm"})


def test_prompt_on_a_terminal(place):
    pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")
    termios = pytest.importorskip("termios")

    def talk(interrupt=False, **environment):
        """What a terminal shows for two lines and Ctrl-D, or a signal; it is as before behind them."""
        own, other = pty.openpty()
        before = termios.tcgetattr(own)
        environment = dict(os.environ, PYTHONPATH=REPOSITORY, TERM="xterm", **environment)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fake_predictor", "-model_dir", "model", "-interactive"],
            stdin=other, stdout=other, stderr=other, env=environment, close_fds=True,
        )  # fmt: skip
        shown = b""
        for answer in (b"hi Ann\n", b"\n", b"\x04"):
            while not shown.endswith(b"> "):
                shown += os.read(own, 1000)
            if interrupt and answer == b"\x04":
                process.send_signal(signal.SIGINT)
            else:
                os.write(own, answer)
            shown += b"|"
        assert process.wait(30) == (130 if interrupt else 0)
        assert termios.tcgetattr(own) == before
        os.close(other)
        with contextlib.suppress(OSError):  # raised where there is no more
            while True:
                shown += os.read(own, 1000)
        os.close(own)
        return shown.decode()

    assert "\x1b[48;5;220;38;5;16m Ann \x1b[1mPER 1.00 \x1b[0m" in talk()
    plain = talk(NO_COLOR="1")
    assert "hi [Ann PER 1.00]" in plain and "\x1b[48" not in plain
    assert talk(interrupt=True).endswith("|\r\n\r\x1b[Kstopped by SIGINT\r\n")


@pytest.mark.every_tensorflow
def test_with_a_model_it_finds_what_predictor_finds(finished, tmp_path):
    from train.predictor import Predictor

    lines = LINES + ["the man Ann Bob met saw 我 in London . " * 9, "Paris\u200b北京"] * 5
    (tmp_path / "in").write_bytes(("\n".join(lines) + "\n").encode())
    flags = [str(tmp_path / "in"), "-output", str(tmp_path / "out"), "-batch_size", "4", "-resume"]
    for model in (finished[0], os.path.join(finished[0], "export")):
        predict.main(["-model_dir", model] + flags)
        found = rows(tmp_path / "out")
        with Predictor(model) as predictor:
            expected = predictor(lines)
        assert [row["text"] for row in found] == lines and sum(map(len, expected)) > 10
        for row, entities in zip(found, expected):
            assert [tuple(entity.values())[:4] for entity in row["entities"]] == [one[:4] for one in entities]
            scores = [entity["score"] for entity in row["entities"]]
            assert scores == pytest.approx([one.score for one in entities], abs=2e-4)


def test_with_a_model_conll_in_conll_out_gives_the_tags_of_do_predict(given, finished, tmp_path):
    flags = ["-input", "conll", "-format", "conll", "-output", str(tmp_path / "out")]
    predict.main(["-model_dir", finished[0], small_task.data_file(given, "test")] + flags)
    expected = [[f"{word} {tag}" for word, _, tag in block] for block in small_task.tagged(finished[0], "test")]
    assert conll_blocks(tmp_path / "out") == expected


@pytest.mark.every_tensorflow
def test_fingerprint_of_a_model(finished, tmp_path):
    from train.predictor import model_fingerprint

    before = model_fingerprint(finished[0])
    export = model_fingerprint(os.path.join(finished[0], "export"))
    copy = str(tmp_path / "copy")
    shutil.copytree(finished[0], copy)
    assert model_fingerprint(copy) == before != export
    with open(run_dir.checkpoint_to_use(copy) + ".index", "ab") as writer:
        writer.write(b"x")
    assert model_fingerprint(copy) != before
    with pytest.raises(UserError, match="neither run.json of a run in it nor an export"):
        model_fingerprint(str(tmp_path))
