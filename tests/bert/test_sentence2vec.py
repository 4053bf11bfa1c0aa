"""Sentence vectors against numpy pooling of a plain encoder that sees one text at a time; the output's layout."""

import json
import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

from bert import sentence2vec
from bert.encoder import kernels
from bert.runtime import vector_flags
from bert.sentence2veclib import POOLINGS, Sentence2Vec, read_config
from bert.system.errors import UserError, run_program
from tests import forking
from tests.bert.test_extract_features import HIDDEN, TEXTS, alone, bert_dir  # noqa: F401  fixtures
from tests.paths import REPOSITORY
from tests.shell import commands_of

POOLED = ["mean", "max", "mean-max", "first", "last"]


@pytest.fixture
def config(bert_dir):  # noqa: F811
    files = {"bert_config_file": "bert_config.json", "vocab_file": "vocab.txt", "init_checkpoint": "bert_model.ckpt"}
    return dict({key: os.path.join(bert_dir, name) for key, name in files.items()}, max_seq_length=24, batch_size=3)


@pytest.fixture
def config_file(config, tmp_path):
    path = tmp_path / "sentence2vec.json"
    path.write_text(json.dumps(config))
    return str(path)


@pytest.fixture
def expected(alone):  # noqa: F811
    """`expected(text, pooling, layer)`: the vector by numpy from the encoder's output for that text alone."""

    def vector(text, pooling, layer):
        tokens, layers = alone(text)
        rows = layers[layer].astype(np.float64)
        own = [row for token, row in zip(tokens, rows) if token not in ("[CLS]", "[SEP]")]
        if pooling == "first":
            return rows[0]
        if pooling == "last":
            return rows[-1]
        if not own:
            return np.zeros(HIDDEN * (2 if pooling == "mean-max" else 1))
        mean, largest = sum(own) / len(own), np.maximum.reduce(own)
        return {"mean": mean, "max": largest, "mean-max": np.append(mean, largest)}[pooling]

    return vector


@pytest.mark.parametrize("pooling,layer", [*((pooling, -1) for pooling in POOLED), ("mean-max", 0), ("first", -3)])
def test_vectors(pooling, layer, config, expected):
    assert sorted(POOLINGS) == sorted(POOLED)
    with Sentence2Vec(dict(config, pooling=pooling, layer=layer)) as sentence2vec:
        vectors = sentence2vec.encode(TEXTS)
        assert vectors.dtype == np.float32 and vectors.shape == (len(TEXTS), sentence2vec.size)
    for text, vector in zip(TEXTS, vectors):
        np.testing.assert_allclose(vector, expected(text, pooling, layer), atol=1e-5)


def test_many_calls_on_one_encoder(config, expected):
    """A text's vector is the same whatever comes with it; nothing is added to the graph by a call."""
    with Sentence2Vec(config) as sentence2vec:
        together = sentence2vec.encode(TEXTS)
        operations = len(sentence2vec._encoder._session.graph.get_operations())
        for text, vector in zip(TEXTS, together):
            np.testing.assert_allclose(sentence2vec.encode([text])[0], vector, atol=1e-5)
        np.testing.assert_allclose(sentence2vec.encode(TEXTS[::-1] * 3)[: len(TEXTS)], together[::-1], atol=1e-5)
        assert len(sentence2vec._encoder._session.graph.get_operations()) == operations
        assert sentence2vec.encode([]).shape == (0, HIDDEN)
        np.testing.assert_array_equal(
            sentence2vec.encode(["the cat ||| mat", ("the cat ||| mat", None), ("the cat", "mat")])[[0, 2]].round(4),
            sentence2vec.encode([("the cat", "mat"), ("the cat", "mat")]).round(4),
        )
        as_it_is = sentence2vec.encode([("the cat ||| mat", None)])[0]
        np.testing.assert_allclose(as_it_is, expected("the cat|||mat", "mean", -1), atol=1e-5)
        with pytest.raises(TypeError, match="list of texts"):
            sentence2vec.encode("the cat")
    with pytest.raises(RuntimeError):
        sentence2vec.encode(["the cat"])


def test_threads(config):
    with Sentence2Vec(config) as sentence2vec:
        together = sentence2vec.encode(TEXTS)
        results = [None] * 8

        def run(i):
            results[i] = sentence2vec.encode(TEXTS[i:] + TEXTS[:i])

        threads = [threading.Thread(target=run, args=(i,)) for i in range(len(results))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for i, result in enumerate(results):
            np.testing.assert_allclose(np.roll(result, i, axis=0), together, atol=1e-5)


@pytest.mark.one_tensorflow  # test_predictor.py has such a program on every one
def test_library_in_a_program_of_tensorflow_s_own_mode(config_file, tmp_path):
    """The library sets no mode of TensorFlow's: it works beside eager execution and leaves it on."""
    script, out, log = tmp_path / "script.py", tmp_path / "out", tmp_path / "log"
    script.write_text("""
import sys
import tensorflow as tf
from bert.sentence2veclib import Sentence2Vec
eager = tf.__version__[0] == "2"
assert tf.executing_eagerly() == eager
with Sentence2Vec(sys.argv[1]) as sentence2vec:
    print(*sentence2vec.encode(["the cat"]).shape)
assert tf.executing_eagerly() == eager
""")
    assert forking.run(forking.program, script, config_file, stdout=out, stderr=log) == 0, log.read_text()
    assert out.read_text() == f"1 {HIDDEN}\n"


def test_paths_begin_at_the_config_s_folder(config, bert_dir, tmp_path, monkeypatch):  # noqa: F811
    path = tmp_path / "sentence2vec.json"
    relative = os.path.relpath(bert_dir, str(tmp_path))
    path.write_text(json.dumps({"vocab_file": relative + "/vocab.txt", "init_checkpoint": "/absolute"}))
    monkeypatch.chdir("/")
    read = read_config(str(path))
    assert os.path.samefile(read["vocab_file"], config["vocab_file"]) and read["init_checkpoint"] == "/absolute"
    assert (read["bert_config_file"], read["pooling"], read["batch_size"]) == (None, "mean", 32)


def test_the_config_beside_the_program_has_every_key():
    with open(vector_flags.CONFIG_FILE) as reader:
        assert list(json.load(reader)) == list(vector_flags.KEYS)


@pytest.fixture
def convert(monkeypatch):
    """`convert(*flags)` runs the program in this process."""

    def convert(*flags):
        monkeypatch.setattr(sys, "argv", ["sentence2vec.py"] + list(flags))
        sentence2vec.main()

    return convert


def test_a_line_for_every_line(convert, config_file, tmp_path, expected):
    source, output = tmp_path / "input.txt", tmp_path / "output.tsv"
    lines = ["the cat", "a7\tthe cat ||| mat", "", "two tabs\tthe\tcat", "mat\u2028\x0b", "mat\rcat", "\tmat"]
    source.write_bytes("\r\n".join(lines).encode("utf-8"))
    convert(
        f"--config={config_file}", f"--input_file={source}", f"--output_file={output}", "--pooling=mean-max",
        "--layer", "-2",
    )  # fmt: skip
    rows = [line.split("\t") for line in output.read_bytes().decode("utf-8").split("\n")]
    assert rows.pop() == [""]
    assert [row[:2] for row in rows] == [
        ["1", "the cat"],
        ["a7", "the cat ||| mat"],
        ["3", ""],
        ["two tabs", "the cat"],
        ["5", "mat\u2028\x0b"],
        ["6", "mat cat"],
        ["", "mat"],
    ]
    for _, text, values in rows:
        values = values.split(",")
        assert len(values) == 2 * HIDDEN and all(re.match(r"-?\d+\.\d{6}$", value) for value in values)
        np.testing.assert_allclose([float(value) for value in values], expected(text, "mean-max", -2), atol=1e-5)


@pytest.mark.one_tensorflow
def test_from_standard_input_to_standard_output(config_file, config, tmp_path):
    """By the program's own file; `head` may end early."""
    program = [sys.executable, os.path.join(REPOSITORY, "bert", "sentence2vec.py"), "--config=" + config_file]
    environment = dict(os.environ, LC_ALL="C", PYTHONIOENCODING="ascii")
    done = subprocess.run(
        program, input="北京 cat\nx\tmat\n".encode(), env=environment, cwd=str(tmp_path),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Sentence2Vec(config) as library:
        vectors = library.encode(["北京 cat", "mat"])
    rows = [",".join(f"{value:.6f}" for value in vector) for vector in vectors]
    printed = [line.split("\t") for line in done.stdout.decode("utf-8").splitlines()]
    assert [row[:2] for row in printed] == [["1", "北京 cat"], ["x", "mat"]]
    for row, line in zip(printed, rows):
        np.testing.assert_allclose(
            np.array(row[2].split(","), np.float64), np.array(line.split(","), np.float64), atol=1e-5
        )


@pytest.mark.one_tensorflow
def test_output_that_nobody_reads(config_file, tmp_path):
    source, pipe, log = tmp_path / "input.txt", tmp_path / "pipe", tmp_path / "log"
    source.write_text("the cat\n" * 2000)
    os.mkfifo(str(pipe))
    flags = [f"--config={config_file}", f"--input_file={source}"]
    process = forking.start(forking.program, sentence2vec.__file__, *flags, stdout=pipe, stderr=log)
    with open(str(pipe), "rb") as reader:
        first = reader.readline()
    process.join(1200)
    assert process.exitcode == 0 and first.startswith(b"1\tthe cat\t"), log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.one_tensorflow
def test_run_sh(bert_dir, convert, tmp_path, monkeypatch, capfd):  # noqa: F811
    """The shell example works from another directory, with relative paths and further flags."""
    (tmp_path / "input.txt").write_text("the cat\n")
    script, more = os.path.join(REPOSITORY, "bert", "run.sh"), ["--max_seq_length=24", "--pooling=first"]
    variables = {"INPUT": "input.txt", "OUTPUT": "out/vectors.tsv"}
    variables["BERT_DIR"] = os.path.relpath(bert_dir, str(tmp_path))
    ((program, *flags),) = commands_of(script, *more, cwd=tmp_path, **variables)
    assert os.path.samefile(program, sentence2vec.__file__)
    monkeypatch.chdir(tmp_path)
    convert(*flags)
    assert capfd.readouterr().out == ""
    assert (tmp_path / "out" / "vectors.tsv").read_text().count(",") == HIDDEN - 1


@pytest.mark.one_tensorflow  # test_extract_features.py has the same encoder everywhere
@pytest.mark.parametrize(
    "way,tolerance",
    [({"precision": "fp32"}, 1e-5)]
    + [({"xla": True}, 1e-5), ({"precision": "bf16", "xla": True}, 0.1)] * kernels.can_fuse(),
)
def test_other_ways_to_compute_give_about_the_same(way, tolerance, config, expected):
    with Sentence2Vec(dict(config, **way)) as sentence2vec:
        vectors = sentence2vec.encode(TEXTS)
    np.testing.assert_allclose(vectors, [expected(text, "mean", -1) for text in TEXTS], atol=tolerance)


@pytest.mark.parametrize(
    "change,expected_message",
    [
        ({"pooling": "avg"}, r"pooling is 'avg'; expected one of mean, max, mean-max, first, last"),
        ({"pooling": ["mean"]}, r"pooling is \['mean'\]; expected one of"),
        ({"layer": 4}, r"layer 4: expected -4 to 3"),
        ({"layer": "-1"}, r"layer is '-1'; expected a whole number"),
        ({"layer": True}, r"layer is True; expected a whole number"),
        ({"batch_size": 0}, r"batch_size is 0; expected a whole number of at least 1"),
        ({"max_seq_length": 33}, r"max_seq_length 33: expected 3 to 32"),
        ({"do_lower_case": "false"}, r"do_lower_case is 'false'; expected true or false"),
        ({"precision": "fp8"}, r"precision is 'fp8'; expected one of auto, fp32, bf16, fp16"),
        ({"precision": "fp16"}, r"-precision fp16 needs a GPU"),
        ({"xla": 1}, r"xla is 1; expected true or false"),
        ({"vocab_file": 3}, r"vocab_file is 3; expected a path"),
        ({"vocab": "vocab.txt"}, r"unknown key 'vocab'; expected bert_config_file, vocab_file"),
        ({"init_checkpoint": None}, r"init_checkpoint is missing"),
        ({"init_checkpoint": "no/such.ckpt"}, r"no/such\.ckpt: no checkpoint of that name"),
        ({"bert_config_file": "no_such_file"}, r"no_such_file: cannot be read"),
    ],
)
def test_bad_config(change, expected_message, config):
    with pytest.raises(UserError, match=expected_message):
        Sentence2Vec(dict(config, **change))


@pytest.mark.one_tensorflow
@pytest.mark.parametrize(
    "content,flags,expected_line",
    [
        ("{", [], r"sentence2vec\.json: expected JSON"),
        ("[]", [], r"sentence2vec\.json: expected a JSON object with the keys bert_config_file"),
        ('{"pooling": "sum"}', [], r"sentence2vec\.json: pooling is 'sum'"),
        ("{}", [], r"-bert_config_file, -vocab_file and -init_checkpoint are missing"),
        (None, ["--config=no_such.json"], r"no_such\.json: cannot be read"),
        (None, ["--pooling=sum"], r"pooling.*sum"),
        (None, ["--layer=-5"], r"layer -5: expected -4 to 3"),
        (None, ["--input_file=no_such_file"], r"no_such_file: cannot be read"),
        (None, ["--output_file=/no_such_directory/file"], r"/no_such_directory/file: cannot be written"),
    ],
)
def test_bad_flags(content, flags, expected_line, config_file, tmp_path, capfd, monkeypatch):
    if content is not None:
        with open(config_file, "w") as writer:
            writer.write(content)
    source, output = tmp_path / "input.txt", tmp_path / "output.tsv"
    source.write_text("the cat\n")
    given = [f"--config={config_file}", f"--input_file={source}", f"--output_file={output}"]
    monkeypatch.setattr(sys, "argv", ["sentence2vec.py"] + given + flags)
    with pytest.raises(SystemExit) as ended:
        run_program(sentence2vec.main)
    printed = capfd.readouterr()
    assert ended.value.code == 2 and printed.out == "" and len(printed.err.splitlines()) == 1, printed.err
    assert re.search(expected_line, printed.err), printed.err
    assert not output.exists()
