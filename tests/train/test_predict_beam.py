"""The Beam pipeline against the tagger of one machine: the same bytes. Run where apache-beam is installed."""

import json
import os
import re
import sys

import pytest

from bert.system.errors import UserError, run_program
from tests.fake_predictor import FakePredictor
from train import predict, predict_beam
from train.bulk import loop, texts

LINES = ["Ann Lee ran on 3 May.", "", "北京 Bob", "\u2028 x\x0b Ann \x85", " \t", "😀 42 Eve"]


def test_flags():
    flags = "-model_dir m --input_files=a,b* -output o --runner=FlinkRunner --flink_x=y -ordered"
    args, rest = predict_beam.parse_flags(flags.split())
    assert (args.model_dir, args.input_files, args.output, args.ordered) == ("m", "a,b*", "o", True)
    assert rest == ["--runner=FlinkRunner", "--flink_x=y"]


@pytest.mark.parametrize(
    "flags,expected",
    [
        ([], "-model_dir is missing"),
        (["-model_dir", "m", "-output", "o"], "-input_files is missing"),
        (["-model_dir", "m", "-input_files", "i"], "-output is missing"),
        (["-model_dir", "m", "-input_files", "i", "-output", "o", "-orderd"], "-orderd: no such flag"),
        (["-model_dir", "m", "-input_files", "i", "-output", "o", "stray"], "stray: no such flag"),
        (["-model_dir", "m", "-input_files", "i", "-output", "o", "-ordered", "-num_shards=3"], "-num_shards is for"),
    ],
)
def test_wrong_flags(flags, expected):
    with pytest.raises(UserError, match=expected):
        predict_beam.parse_flags(flags)


def test_without_beam(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(SystemExit) as ended:
        run_program(lambda: predict_beam.main(["-model_dir", "m", "-input_files", "i", "-output", "o"]))
    assert ended.value.code == 2
    assert capfd.readouterr().err == (
        "error: apache-beam is not installed; expected: pip install -r train/requirements-beam.txt\n"
    )


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current directory of the test: files, a directory that stands for a model, a fake predictor for workers."""
    pytest.importorskip("apache_beam", reason="apache-beam is optional: pip install -r train/requirements-beam.txt")
    from train.bulk import beam

    monkeypatch.chdir(tmp_path)
    os.mkdir("model")
    os.mkdir("in")
    (tmp_path / "in" / "a.txt").write_bytes(("\ufeff" + "\r\n".join(LINES)).encode())
    (tmp_path / "in" / "b.txt").write_bytes(("\n".join(LINES * 5) + "\n").encode())
    loaded = []

    def load(self):
        expected = {"path": "model", "batch_size": 2, "vocab_file": None, "precision": "fp32", "min_score": 0.0}
        assert self._arguments == expected
        loaded.append(load_predictor())
        return loaded[-1]

    def load_predictor(*_):
        return FakePredictor(context=3)  # of which the scores depend on the words around a sentence

    monkeypatch.setattr(beam.TagGroup, "_load", load)
    monkeypatch.setattr(loop, "load_predictor", load_predictor)
    monkeypatch.setattr(loop, "model_identity", lambda _: {"the model": "fake", "TensorFlow": "2"})
    monkeypatch.setattr(texts, "GROUP_TEXTS", 4)
    yield tmp_path
    assert len(loaded) <= 2  # one a run, whatever the threads


def expected(*flags):
    predict.main(["-model_dir", "model", "-batch_size", "2", "-output", "expected"] + list(flags))
    with open("expected", "rb") as reader:
        return reader.read()


def run(*flags):
    predict_beam.main(["-model_dir", "model", "-batch_size", "2"] + list(flags))


@pytest.mark.parametrize("kind", texts.KINDS)
def test_in_order_the_bytes_are_those_of_one_machine(kind, place):
    # The files are of lines of any number of words, of which "conll" is to take the first.
    flags = ["-input", kind] + ["-columns", "word=1"] * (kind == "conll")
    run("-input_files", "in/b.txt,in/*.txt", "-output", "out", "-ordered", *flags)
    assert (place / "out").read_bytes() == expected("in/b.txt", "in/a.txt", *flags)
    run("-input_files", "in/a.txt", "-output", "out", "-ordered", *flags, "--direct_num_workers=3")
    assert (place / "out").read_bytes() == expected("in/a.txt", *flags)
    assert sorted(os.listdir(".")) == ["expected", "in", "model", "out"]


def test_sentences_have_the_words_around_them_in_their_document(place):
    """Over the ends of groups, of four sentences here, and of documents."""
    parts = ["-DOCSTART- O\n\n" if number % 7 == 5 else f"Ann{'x' * number} O\nran O\n\n" for number in range(40)]
    (place / "in" / "a.txt").write_text("".join(parts))
    run("-input_files", "in/a.txt", "-output", "out", "-ordered", "-input", "conll")
    assert (place / "out").read_bytes() == expected("in/a.txt", "-input", "conll")


def test_columns_are_found_in_each_file(place):
    """By what is in it, as on one machine; what cannot be right is refused."""
    (place / "in" / "a.txt").write_bytes(b"Ann Lee\tO\nran\tO\n\n" * 30)
    run("-input_files", "in/a.txt", "-output", "out", "-ordered", "-input", "conll")
    assert (place / "out").read_bytes() == expected("in/a.txt", "-input", "conll")
    assert json.loads((place / "out").read_bytes().split(b"\n")[29].decode())["text"] == "Ann Lee ran"
    with pytest.raises(UserError, match=r"in/b\.txt:3: 2 columns .* -columns word=1 takes the first"):
        run("-input_files", "in/b.txt", "-output", "out", "-ordered", "-input", "conll")


def test_shards_hold_every_line_once(place):
    run("-input_files", "in/*", "-output", "out", "-num_shards", "3")
    names = sorted(name for name in os.listdir(".") if name.startswith("out"))
    assert names == [f"out-0000{i}-of-00003" for i in range(3)]
    lines = [line for name in names for line in (place / name).read_bytes().split(b"\n")[:-1]]
    assert sorted(lines) == sorted(expected("in/a.txt", "in/b.txt").split(b"\n")[:-1])
    assert {json.loads(line.decode())["file"] for line in lines} == {"in/a.txt", "in/b.txt"}
    with pytest.raises(UserError, match="out-0000.-of-00003: of an earlier run"):
        run("-input_files", "in/*", "-output", "out")


@pytest.mark.parametrize(
    "flags,message",
    [
        (["-input_files", "in/*,no*"], r"no\*: no such file"),
        (["-input_files", "bad.txt"], r"bad\.txt:2: byte 5 of the line is not UTF-8; .*, in UTF-8"),
        (["-input_files", "bad.txt", "-ordered"], r"bad\.txt:2: byte 5 of the line is not UTF-8; .*, in UTF-8"),
        (["-input_files", "empty.txt", "-ordered"], r"empty\.txt: nothing in it; expected one text per line"),
        (["-input_files", "in/a.txt", "-model_dir", "nowhere"], r"nowhere: no such directory"),
        (["-input_files", "in/a.txt", "-output", "/proc/x/out"], r"/proc/x: expected a directory that can be written"),
        (["-input_files", "bad.txt", "-ordered", "-output", "bad.txt"], r"bad\.txt: expected the name of a .*"),
    ],
)
def test_bad_input(flags, message, place):
    (place / "bad.txt").write_bytes(b"Ann\nBob \xff")
    (place / "empty.txt").write_bytes(b"")
    with pytest.raises(UserError) as error:
        run("-output", "out", *flags)
    assert re.fullmatch(message + "([;:] .*)?", str(error.value)), error.value
    assert not [name for name in os.listdir(".") if name.startswith("out")]
