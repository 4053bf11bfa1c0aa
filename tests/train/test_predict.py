"""The bulk tagger: what goes in comes out in order, in every form; and what it says of bad input."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from bert.system.errors import UserError, run_program
from tests import small_task
from tests.paths import REPOSITORY
from tests.train.bulk_tagging import LINES, fails, rows, run
from train import predict, run_dir
from train.bulk import resumable
from train.bulk import texts as bulk_texts

pytestmark = pytest.mark.one_tensorflow


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


def test_a_file_as_one_text(place):
    (place / "empty").write_bytes(b"")
    (place / "a").write_bytes(b"\xef\xbb\xbfAnn\r\nLee\n")
    run("a", "empty", "in.txt", "-input", "file", "-output", "out")
    found = rows(place / "out")
    assert list(found[0]) == ["file", "text", "entities"]
    assert [row["text"] for row in found] == ["Ann\r\nLee\n", "", "\n".join(LINES) + "\r\n"]
    assert [row["file"] for row in found] == ["a", "empty", "in.txt"]
    assert found[0]["entities"][0]["text"] == "Ann\r\nLee"


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
    state = run_dir.read_state(copy)
    state["calibration"]["entity_slope"] += 0.1
    run_dir.write_state(copy, state)
    assert model_fingerprint(copy) != before
    run_dir.write_state(copy, run_dir.read_state(finished[0]))
    assert model_fingerprint(copy) == before
    with open(run_dir.checkpoint_to_use(copy) + ".index", "ab") as writer:
        writer.write(b"x")
    assert model_fingerprint(copy) != before
    with pytest.raises(UserError, match="neither run.json of a run in it nor an export"):
        model_fingerprint(str(tmp_path))
