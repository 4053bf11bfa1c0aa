"""Features against a plain encoder that sees one text at a time, unpadded; the files' layouts; bad input."""

import json
import os
import re
import sys
import threading

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import extract_features
from bert.encoder import kernels
from bert.modeling import BertConfig, BertModel
from bert.runtime import encoding
from bert.runtime.encoder_files import EncoderFiles
from bert.system.errors import UserError, run_program
from bert.tokenization import FullTokenizer
from tests.paths import REPOSITORY
from tests.shell import commands_of
from tests.training import REFUSED

LAYERS, HIDDEN, LONGEST = 4, 16, 32
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "un", "##aff", "##able", "cat", "##s", "sat", "on", "mat"]
VOCAB += ["北", "京", "[", "]", "|", "cls", "."]
# What lines the programs have to cope with, beside the plain ones.
TEXTS = [
    "The cats sat on the unaffable mat.",
    "",
    "cat ||| the mat",
    "北京 cat",
    " \t ",
    "mat\u2028the cat",
    "the " * 40,
    "the cat " * 10 + " ||| " + "mat " * 12,
    "[CLS] zebra",
    "cat ||| mat ||| the",
    "cat|||mat",
    "cat ||| ",
]


@pytest.fixture(scope="module")
def bert_dir(tmp_path_factory):
    """A tiny encoder with a checkpoint, in the files of a release."""
    folder = tmp_path_factory.mktemp("release")
    # Large enough weights that layers, positions and neighbours matter.
    config = BertConfig(len(VOCAB), HIDDEN, LAYERS, 2, 32, max_position_embeddings=LONGEST, type_vocab_size=2)
    config.initializer_range = 0.2
    (folder / "bert_config.json").write_text(config.to_json_string())
    (folder / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(3)
        BertModel(config, False, tf.zeros([1, 2], tf.int32))
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(folder / "bert_model.ckpt"), write_meta_graph=False)
    return str(folder)


def encoder_flags(folder):
    return [
        "--bert_config_file=" + os.path.join(folder, "bert_config.json"),
        "--vocab_file=" + os.path.join(folder, "vocab.txt"),
        "--init_checkpoint=" + os.path.join(folder, "bert_model.ckpt"),
        "--max_seq_length=24",
    ]


@pytest.fixture(scope="module")
def alone(bert_dir):
    """`alone(text, longest=24)`: (tokens, float32 [layers, tokens, hidden]) of a line by itself, without padding."""
    config = BertConfig.from_json_file(os.path.join(bert_dir, "bert_config.json"))
    tokenizer = FullTokenizer(os.path.join(bert_dir, "vocab.txt"))
    with tf.Graph().as_default(), tf.Session() as session:
        ids, segments = (tf.placeholder(tf.int32, [1, None]) for _ in range(2))
        layers = BertModel(config, False, ids, token_type_ids=segments).get_all_encoder_layers()
        tf.train.Saver().restore(session, os.path.join(bert_dir, "bert_model.ckpt"))

        def run(text, longest=24):
            pair = re.match(r"(.*) \|\|\| (.*)$", text.strip())
            first, second = pair.groups() if pair else (text, None)
            first, second = tokenizer.tokenize(first), None if second is None else tokenizer.tokenize(second)
            if second is None:
                tokens = ["[CLS]"] + first[: longest - 2] + ["[SEP]"]
                segment_ids = [0] * len(tokens)
            else:
                while len(first) + len(second) > longest - 3:
                    (first if len(first) > len(second) else second).pop()
                tokens = ["[CLS]"] + first + ["[SEP]"] + second + ["[SEP]"]
                segment_ids = [0] * (len(first) + 2) + [1] * (len(second) + 1)
            feed = {ids: [tokenizer.convert_tokens_to_ids(tokens)], segments: [segment_ids]}
            return tokens, np.stack([layer[0] for layer in session.run(layers, feed)])

        yield run


@pytest.fixture
def setting(bert_dir, tmp_path):
    """(input path, output path, flags) for the lines of TEXTS."""
    source, output = tmp_path / "input.txt", tmp_path / "output"
    source.write_bytes("\n".join(TEXTS).encode("utf-8") + b"\n")
    flags = ["--input_file=" + str(source), "--output_file=" + str(output), "--batch_size=3"]
    return source, output, flags + encoder_flags(bert_dir)


@pytest.fixture
def extract(monkeypatch):
    """`extract(*flags)` runs the program in this process."""

    def extract(*flags):
        monkeypatch.setattr(sys, "argv", ["extract_features.py"] + list(flags))
        extract_features.main()

    return extract


def read_json_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_json_layout_and_values(setting, extract, alone):
    _, output, flags = setting
    extract(*flags, "--layers", "-1,-2,0")
    lines = read_json_lines(output)
    assert len(lines) == len(TEXTS)
    for number, (text, line) in enumerate(zip(TEXTS, lines)):
        tokens, layers = alone(text)
        assert list(line) == ["linex_index", "features"] and line["linex_index"] == number
        assert [piece["token"] for piece in line["features"]] == tokens
        for i, piece in enumerate(line["features"]):
            assert list(piece) == ["token", "layers"]
            assert [list(layer) for layer in piece["layers"]] == [["index", "values"]] * 3
            assert [layer["index"] for layer in piece["layers"]] == [-1, -2, 0]
            values = [layer["values"] for layer in piece["layers"]]
            np.testing.assert_allclose(values, layers[[-1, -2, 0], i], atol=1e-5)
    beginning = '{"linex_index": 0, "features": [{"token": "[CLS]", "layers": [{"index": -1, "values": ['
    assert output.read_text().startswith(beginning)


def test_npz_holds_the_same_unrounded(setting, extract, alone):
    _, output, flags = setting
    extract(*flags, "--layers=2,-4")
    lines = read_json_lines(output)
    extract(*flags, "--layers=2,-4", "--format=npz")
    with np.load(str(output)) as arrays:  # without pickles, as is numpy's default
        values, tokens, offsets, layers = (arrays[name] for name in ("values", "tokens", "offsets", "layers"))
    assert values.dtype == np.float32 and values.shape == (len(tokens), 2, HIDDEN)
    assert layers.tolist() == [2, -4] and len(offsets) == len(TEXTS) + 1
    assert offsets[0] == 0 and offsets[-1] == len(tokens)
    for text, line, start, end in zip(TEXTS, lines, offsets, offsets[1:]):
        assert tokens[start:end].tolist() == alone(text)[0]
        np.testing.assert_allclose(values[start:end], alone(text)[1][[2, 0]].transpose(1, 0, 2), atol=1e-5)
        for piece, rows in zip(line["features"], values[start:end]):
            rounded = [[round(float(value), 6) for value in row] for row in rows]
            assert [layer["values"] for layer in piece["layers"]] == rounded


def test_defaults_are_google_s():
    args = extract_features.parse_flags(["--input_file=i", "--output_file=o", "--vocab_file", "v"])
    assert (args.layers, args.batch_size, args.max_seq_length) == ([-1, -2, -3, -4], 32, 128)
    assert args.do_lower_case and not args.use_tpu and not args.use_one_hot_embeddings and args.format == "json"
    old = ["--master=", "--num_tpu_cores=8", "--use_tpu=False", "--do_lower_case=True", "--layers", "-1,-2"]
    assert extract_features.parse_flags(["--input_file=i", "--output_file=o"] + old).layers == [-1, -2]


@pytest.mark.one_tensorflow
def test_lines_end_at_lf_or_crlf_only(setting, extract):
    source, output, flags = setting
    source.write_bytes(b"\xef\xbb\xbfthe cat\r\nmat\rcat\n\r\n" + "cat\u2028\x0bmat".encode())
    extract(*flags)
    tokens = [[piece["token"] for piece in line["features"][1:-1]] for line in read_json_lines(output)]
    assert tokens == [["the", "cat"], ["mat", "cat"], [], ["cat", "mat"]]


@pytest.mark.parametrize("batch_size,one_hot", [(1, False), (2, True), (7, False), (64, True)])
def test_neither_batch_nor_padding_nor_order_matters(batch_size, one_hot, bert_dir, alone):
    rng = np.random.RandomState(batch_size)
    texts = [" ".join(rng.choice(VOCAB[5:], rng.randint(0, 30))) for _ in range(60)] + TEXTS
    args = extract_features.parse_flags(
        ["--input_file=i", "--output_file=o", f"--batch_size={batch_size}"] + encoder_flags(bert_dir)
    )
    with encoding.Encoder(EncoderFiles.from_dict(vars(args)), [-1, -2], batch_size, one_hot) as encoder:
        encoded = list(encoder.encode(map(encoding.split_pair, texts)))
    assert len(encoded) == len(texts)
    for text, (tokens, values) in zip(texts, encoded):
        expected_tokens, expected = alone(text)
        assert tokens == expected_tokens
        np.testing.assert_allclose(values, expected[[-1, -2]].transpose(1, 0, 2), atol=1e-5)


def test_memory_does_not_grow_with_the_number_of_texts(bert_dir):
    """At most so many texts are taken in ahead of what has been given out, however many follow."""
    args = extract_features.parse_flags(
        ["--input_file=i", "--output_file=o", "--batch_size=4"] + encoder_flags(bert_dir)
    )
    taken = []

    def endless():
        while True:
            taken.append(None)
            yield "the cat sat", None

    with encoding.Encoder(EncoderFiles.from_dict(vars(args)), [-1], 4) as encoder:
        for given, (_, values) in enumerate(encoder.encode(endless())):
            assert values.base is None  # a view would keep the batch it is of
            assert len(taken) - given <= encoding.WINDOW_BATCHES * 4 * 24 // 5 + 1
            if given == 300:
                break


@pytest.mark.one_tensorflow
def test_input_from_a_pipe(setting, extract, alone, tmp_path):
    _, output, flags = setting
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)

    def feed():
        with open(pipe, "wb") as writer:
            writer.write(b"the cat\nmat\n")

    thread = threading.Thread(target=feed)
    thread.start()
    extract(*flags, "--input_file=" + pipe)
    thread.join()
    tokens = [[piece["token"] for piece in line["features"]] for line in read_json_lines(output)]
    assert tokens == [alone("the cat")[0], alone("mat")[0]]


@pytest.mark.one_tensorflow
def test_cmd_sh(bert_dir, setting, tmp_path, monkeypatch, capfd):
    """The shell example works from another directory, with relative paths, and says nothing on standard output."""
    variables = {"INPUT": "input.txt", "OUTPUT_DIR": "out", "LAYERS": "-1,-2", "MAX_SEQ_LENGTH": "24"}
    variables["BERT_DIR"] = os.path.relpath(bert_dir, str(tmp_path))
    commands = commands_of(os.path.join(REPOSITORY, "bert", "cmd.sh"), cwd=tmp_path, **variables)
    monkeypatch.chdir(tmp_path)
    for program, *flags in commands:
        assert os.path.samefile(program, extract_features.__file__)
        monkeypatch.setattr(sys, "argv", [program, *flags])
        extract_features.main()
    assert len(commands) == 2 and capfd.readouterr().out == ""
    assert len(read_json_lines(tmp_path / "out" / "features.jsonl")) == len(TEXTS)
    with np.load(str(tmp_path / "out" / "features.npz")) as arrays:
        assert len(arrays["offsets"]) == len(TEXTS) + 1


@pytest.fixture
def check(capfd, monkeypatch):
    """`check(expected, *flags)`: the program ends with exit code 2 and one line on standard error."""

    def check(expected, *flags):
        monkeypatch.setattr(sys, "argv", ["extract_features.py"] + list(flags))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run_program(extract_features.main)
        printed = capfd.readouterr()
        assert ended.value.code == 2 and printed.out == ""
        assert len(printed.err.splitlines()) == 1, printed.err
        assert re.search(expected, printed.err), printed.err

    return check


@pytest.mark.one_tensorflow
@pytest.mark.parametrize(
    "flags,expected",
    [
        (["--layers=-1,-5"], r"layer -5: expected -4 to 3; the encoder of .*bert_config\.json has 4 layers"),
        (["--layers=4"], r"layer 4: expected -4 to 3"),
        (["--layers=-1,last"], r"layers.*expected layers as in -1,-2,-3,-4, got '-1,last'"),
        (["--format=csv"], r"format.*csv"),
        (["--batch_size=0"], r"batch_size.*at least 1"),
        (["--max_seq_length=33"], r"-max_seq_length 33: expected 3 to 32"),
        (["--max_seq_length=2"], r"-max_seq_length 2: expected 3 to 32"),
        (["--init_checkpoint="], r"-init_checkpoint is missing"),
        (["--init_checkpoint=no/such.ckpt"], r"no/such\.ckpt: no checkpoint of that name"),
        (["--vocab_file=no_such_file"], r"no_such_file"),
        (["--input_file="], r"-input_file is missing"),
        (["--input_file=no_such_file"], r"no_such_file: cannot be read: No such file"),
        (["--input_file=."], r"\.: cannot be read: Is a directory"),
        (["--output_file=."], r"\.: a directory; expected the name of a file"),
        (
            ["--output_file=/no_such_directory/file"],
            r"/no_such_directory/file: cannot be written: there is no such directory",
        ),
        (["--use_tpu"], r"-use_tpu: features are extracted on CPU or GPU"),
        (["--no_such_flag"], r"no_such_flag"),
    ],
)
def test_flags(flags, expected, setting, check):
    _, output, given = setting
    check(expected, *given, *flags)
    assert not output.exists()


@pytest.mark.parametrize(
    "content,expected",
    [(b"", r"input\.txt: the file is empty"), (b"cat\n\nc\xff\n", r"input\.txt:3: byte 2 of the line is not UTF-8")],
)
def test_what_was_there_before_stays(content, expected, setting, check):
    source, output, flags = setting
    output.write_text("mine")
    source.write_bytes(content)
    check(expected, *flags)
    assert output.read_text() == "mine"
    assert sorted(os.listdir(str(output.parent))) == ["input.txt", "output"]


def test_output_is_the_input(setting, check):
    source, _, flags = setting
    before = source.read_bytes()
    check("input and output are the same file", *flags, f"--output_file={source}")
    assert source.read_bytes() == before


def test_a_checkpoint_without_the_whole_encoder(bert_dir, setting, check, tmp_path):
    """Never vectors of random weights: a variable missing or of another shape ends the program."""
    reader = tf.train.load_checkpoint(os.path.join(bert_dir, "bert_model.ckpt"))
    left_out = "bert/encoder/layer_1/output/dense/bias"
    with tf.Graph().as_default(), tf.Session() as session:
        for name in reader.get_variable_to_shape_map():
            if name != left_out:
                tf.get_variable(name, initializer=reader.get_tensor(name))
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(tmp_path / "part.ckpt"), write_meta_graph=False)
    _, _, flags = setting
    check(
        f"part.ckpt: 1 of .* are not in it: {left_out}; expected all of them",
        *flags,
        f"--init_checkpoint={tmp_path}/part.ckpt",
    )

    config = json.loads(open(os.path.join(bert_dir, "bert_config.json")).read())
    (tmp_path / "config.json").write_text(json.dumps(dict(config, intermediate_size=64)))
    check(r"shape \[16, 32\]; .*expects \[16, 64\]", *flags, f"--bert_config_file={tmp_path}/config.json")


def test_a_pair_for_an_encoder_with_one_segment(bert_dir, tmp_path):
    config = BertConfig(len(VOCAB), HIDDEN, 1, 2, 32, max_position_embeddings=LONGEST, type_vocab_size=1)
    (tmp_path / "bert_config.json").write_text(config.to_json_string())
    with tf.Graph().as_default(), tf.Session() as session:
        BertModel(config, False, tf.zeros([1, 2], tf.int32))
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(tmp_path / "bert_model.ckpt"), write_meta_graph=False)
    flags = encoder_flags(str(tmp_path)) + [f"--vocab_file={bert_dir}/vocab.txt"]
    args = extract_features.parse_flags(["--input_file=i", "--output_file=o"] + flags)
    with encoding.Encoder(EncoderFiles.from_dict(vars(args)), [-1], 4) as encoder:
        assert len(list(encoder.encode([("the cat", None)]))) == 1
        with pytest.raises(UserError, match=r"bert_config\.json: type_vocab_size is 1; a pair of texts"):
            list(encoder.encode([("the cat", None), ("the cat", "mat")]))


ONCE = pytest.mark.one_tensorflow  # both together are computed everywhere


@pytest.mark.parametrize(
    "way,tolerance",
    [(["--precision=fp32"], 1e-5)]
    + [pytest.param(["--xla"], 1e-5, marks=ONCE), pytest.param(["--precision=bf16"], 0.1, marks=ONCE)]
    * kernels.can_fuse()
    + [(["--precision=bf16", "--xla"], 0.1)] * kernels.can_fuse(),
)
def test_other_ways_to_compute_give_about_the_same(way, tolerance, setting, extract, alone):
    """In float32 always; a length of 23 is one that is not rounded up beyond -max_seq_length."""
    _, output, flags = setting
    extract(*flags, *way, "--format=npz", "--layers=-1", "--max_seq_length=23")
    with np.load(str(output)) as arrays:
        values, offsets = arrays["values"], arrays["offsets"]
    assert values.dtype == np.float32
    for i, text in enumerate(TEXTS):
        expected = alone(text, 23)[1][-1]
        np.testing.assert_allclose(values[offsets[i] : offsets[i + 1], 0], expected, atol=tolerance)


@pytest.mark.parametrize("flag,expected", REFUSED)
def test_ways_that_there_are_not(flag, expected, setting, check):
    _, output, flags = setting
    check(expected, *flags, flag)
    assert not output.exists()


def test_a_checkpoint_without_the_pooler(bert_dir, setting, extract, tmp_path):
    """Nothing that is written depends on it, nor on what the variables are called."""
    reader = tf.train.load_checkpoint(os.path.join(bert_dir, "bert_model.ckpt"))
    with tf.Graph().as_default(), tf.Session() as session:
        for name in reader.get_variable_to_shape_map():
            if "/pooler/" not in name:
                tf.get_variable(name.replace("bert/", "electra/"), initializer=reader.get_tensor(name))
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(tmp_path / "part.ckpt"), write_meta_graph=False)
    _, output, flags = setting
    extract(*flags)
    expected = output.read_bytes()
    extract(*flags, f"--init_checkpoint={tmp_path}/part.ckpt")
    assert output.read_bytes() == expected
