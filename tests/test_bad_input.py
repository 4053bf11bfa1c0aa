"""Everything a user can get wrong: exit code 2, one line that names the file and what was expected, nothing touched."""

import gc
import json
import logging
import os
import re
import shutil
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from bert.system.errors import UserError, run_program
from run import main
from tests.paths import REPOSITORY
from tests.small_task import run

pytestmark = pytest.mark.one_tensorflow  # what is wrong is found before a graph is built


@pytest.fixture
def trained(finished):
    """A directory with a trained tagger, for runs that use one."""
    return finished[0]


def contents(directory):
    return {
        os.path.join(folder, name): open(os.path.join(folder, name), "rb").read()
        for folder, _, names in os.walk(directory)
        for name in names
    }


@pytest.fixture
def check(capfd, monkeypatch):
    """`check(expected, *flags)`: run.py with these flags ends with exit code 2 and one line on standard error."""

    def check(expected, *flags, lines=1, main=main):
        monkeypatch.setattr(sys, "argv", ["run.py"] + list(flags))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run_program(main)
        printed = capfd.readouterr()
        assert ended.value.code == 2
        assert printed.out == ""
        assert len(printed.err.splitlines()) == lines, printed.err
        assert re.search(expected, printed.err), printed.err

    return check


def test_nothing_but_the_line_in_a_process_of_its_own(setting):
    """No chatter of TensorFlow's around it: what the tests below cannot see, as they share a process."""
    data, _, output, flags = setting
    (data / "dev.txt").write_text("word")
    done = run(*flags)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f"error: {data}/dev.txt:1: expected a word and its tag, found only 'word'\n"
    assert not output.exists()


@pytest.mark.every_tensorflow
def test_an_error_in_building_a_graph_is_one_line(check, monkeypatch):
    """TensorFlow would add reports of objects that were never used, when the graph is collected."""
    log, reports = logging.getLogger("tensorflow"), []
    handler = logging.Handler()
    handler.emit = lambda record: reports.append(record.getMessage())
    monkeypatch.setattr(log, "handlers", [handler])
    before = log.level

    def build():
        with tf.Graph().as_default():
            written = tf.TensorArray(tf.float32, 1).write(0, 1.0)
            raise UserError(f"x is {written is None}")

    try:
        check("^error: x is False$", main=build)
        gc.collect()
    finally:
        log.setLevel(before)
    assert not reports


@pytest.fixture
def setting(given, tmp_path):
    """Copies of data and encoder to spoil: (data, encoder, output, flags)."""
    data, encoder, output = tmp_path / "data", tmp_path / "bert", tmp_path / "output"
    shutil.copytree(given[1], str(data))
    shutil.copytree(given[3], str(encoder))
    flags = ["-data_dir", str(data), "-bert_dir", str(encoder), "-output_dir", str(output)] + list(given[4:])
    return data, encoder, output, flags


@pytest.mark.parametrize(
    "split,spoil,expected",
    [
        ("train", lambda text: text + b"word\n", r"train\.txt:\d+: expected a word and its tag, found only 'word'"),
        ("dev", lambda text: b"a O\n\n\xff\xfe O\n" + text, r"dev\.txt:3: .*not UTF-8"),
        ("test", lambda text: b"a O\nb B-NEW\n" + text, r"test\.txt:2: the tag 'B-NEW' was not seen in training"),
        ("train", lambda text: b"a [SEP]\n" + text, r"train\.txt:1: .*'\[SEP\]'"),
        ("train", lambda text: b"", r"train\.txt: no sentence"),
        ("dev", lambda text: b"\n \n\t\n-DOCSTART- O\n", r"dev\.txt: no sentence"),
        (
            "test",
            lambda text: None,
            r"test\.txt: no such file; expected .*, not only dev\.txt, train\.txt",
        ),
    ],
)
def test_data(split, spoil, expected, setting, check):
    data, _, output, flags = setting
    path = data / f"{split}.txt"
    spoiled = spoil(path.read_bytes())
    path.unlink() if spoiled is None else path.write_bytes(spoiled)
    check(expected, *flags)
    assert not output.exists()


def test_tags_of_two_kinds_are_refused_and_warned_of_as_they_stand(setting, check):
    """With -tag_scheme none no report will count those without a prefix; the fault that ends that run is another."""
    data, _, _, flags = setting
    text = (data / "train.txt").read_bytes()
    (data / "train.txt").write_bytes(text.replace(b" B-LOC", b" LOC"))
    (data / "dev.txt").write_bytes(text)
    check(r"train\.txt: the tags look like BIO, but \d+ of \d+ break it \(:\d+ 'LOC' .*-tag_scheme BIO .*none", *flags)
    expected = r"train\.txt: no report counts the tags LOC as entities; expected such as B-PER"
    expected += r"\nerror: .*'B-LOC' was not seen in training"
    check(expected, *flags, "-tag_scheme", "none", lines=2)


@pytest.mark.parametrize(
    "file,spoil,expected",
    [
        ("vocab.txt", lambda text: text + b"more\n", r"vocab\.txt: \d+ entries; .*bert_config\.json expects \d+"),
        ("vocab.txt", lambda text: text.replace(b"[CLS]", b"[CLX]"), r"vocab\.txt: expected an entry \[CLS\]"),
        ("vocab.txt", lambda text: b"", r"vocab\.txt"),
        ("vocab.txt", lambda text: None, r"no vocab\.txt in it, only bert_config\.json; expected the dir"),
        ("bert_config.json", lambda text: text[:-5], r"bert_config\.json: expected a BERT config in JSON"),
        (
            "bert_config.json",
            lambda text: None,
            r"no bert_config\.json in it, only .*vocab\.txt; expected the dir",
        ),
        (
            "bert_config.json",
            lambda text: text.replace(b'"num_attention_heads": 2', b'"num_attention_heads": 3'),
            r"bert_config\.json: hidden_size 16 is not a multiple of num_attention_heads 3",
        ),
    ],
)
def test_encoder(file, spoil, expected, setting, check):
    _, encoder, output, flags = setting
    path = encoder / file
    spoiled = spoil(path.read_bytes())
    path.unlink() if spoiled is None else path.write_bytes(spoiled)
    check(expected, *flags)
    assert not output.exists()


@pytest.mark.parametrize(
    "flags,expected",
    [
        (["-max_seq_length", "33"], r"-max_seq_length 33: expected 3 to 32"),
        (["-max_seq_length", "2"], r"-max_seq_length 2: expected 3 to 32"),
        (["-batch_size", "0"], r"-batch_size.*at least 1"),
        (["-learning_rate", "nan"], r"-learning_rate.*above 0"),
        (["-dropout_rate", "1"], r"-dropout_rate.*below 1"),
        (["-do_train", "maybe"], r"-do_train.*true or false"),
        (["-no_such_flag"], r"-no_such_flag"),
        (["-cell", "rnn"], r"-cell.*lstm"),
        (["-freeze_layers", "3"], r"-freeze_layers 3: the encoder has 2 layers"),
        (["-label_list", "O,B-PER"], r"train\.txt:\d+: the tag '.*' was not seen in training"),
        (["-label_list", "no_such_file"], r"no_such_file: cannot be read: .*; expected a file"),
        (["-init_checkpoint", "no/such/model.ckpt"], r"no/such/model\.ckpt: no checkpoint of that name"),
        (["-do_train", "false"], r"label2id\.json|no checkpoint"),
        (["-do_train=false", "-do_eval=false", "-do_predict=false"], r"nothing to do"),
        (["-do_train=false", "-clean"], r"-clean"),
        (["-report", "-do_predict=false"], r"-report .*expected -do_predict"),
        (["-ner", "other"], r"-ner other"),
        (["-bert_dir", "no_such_dir"], r"no_such_dir: expected a directory"),
    ],
)
def test_flags(flags, expected, setting, check):
    _, _, output, given_flags = setting
    check(expected, *(given_flags + flags))
    assert not output.exists()


def test_missing_flags(check):
    check("-output_dir", "-data_dir", "x")
    check("-bert_config_file", "-data_dir", "x", "-output_dir", "y")


def test_output_dir_is_a_file(setting, check):
    _, _, output, flags = setting
    output.write_text("mine")
    check("output: expected a directory", *flags)
    assert output.read_text() == "mine"


def test_damaged_init_checkpoint(setting, trained, check):
    _, encoder, output, flags = setting
    source = tf.train.latest_checkpoint(trained)
    for end in (".index", ".data-00000-of-00001"):
        shutil.copy(source + end, str(encoder / "bert_model.ckpt") + end)
    whole = (encoder / "bert_model.ckpt.data-00000-of-00001").read_bytes()
    (encoder / "bert_model.ckpt.data-00000-of-00001").write_bytes(whole[: len(whole) // 2])
    check(r"bert_model\.ckpt: the checkpoint is cut off or damaged", *flags)
    (encoder / "bert_model.ckpt.data-00000-of-00001").write_bytes(whole)
    (encoder / "bert_model.ckpt.index").write_bytes(b"no index")
    check(r"bert_model\.ckpt: cannot be read as a checkpoint", *flags)
    assert not output.exists()


def test_init_checkpoint_of_another_shape(setting, trained, check):
    _, encoder, _, flags = setting
    config = json.loads((encoder / "bert_config.json").read_text())
    (encoder / "bert_config.json").write_text(json.dumps(dict(config, intermediate_size=64)))
    check(
        r"intermediate/dense/kernel has the shape \[16, 32\]; .*expects \[16, 64\]",
        *(flags + ["-init_checkpoint", tf.train.latest_checkpoint(trained)]),
    )


def test_using_a_trained_tagger_wrongly(given, trained, tmp_path, check):
    """Nothing in the directory changes, whatever is asked for."""
    before = contents(trained)
    flags = list(given) + ["-output_dir", trained]
    use = flags + ["-do_train", "false"]
    check(r"trained with -lstm_size 8, not 16", *(use + ["-lstm_size", "16"]))
    check(r"trained with -subword_labels x, not first", *(flags + ["-subword_labels", "first"]))
    check(r"label2id\.json: its labels are not those of -label_list", *(use + ["-label_list", "O,B-PER"]))
    check(
        r"label2id\.json: the checkpoint was trained with the labels",
        *(flags + ["-label_list", "O,B-PER,I-PER,B-LOC,X,[CLS],[SEP]"]),
    )

    spoiled = tmp_path / "spoiled"
    shutil.copytree(trained, str(spoiled))
    use[use.index(trained)] = str(spoiled)
    (spoiled / "label2id.json").write_text('{"O": 1, "X": 3}')
    check(r"label2id\.json: expected a JSON object from label to id", *use)
    (spoiled / "label2id.json").write_text('{"O": 1, "B-LOC": 2, "B-PER": 3, "I-PER": 4, "B-Z": 5}')
    check(r"label2id\.json: the checkpoint was trained with the labels", *use)
    (spoiled / "run.json").unlink()
    check(r"label2id\.json: 5 labels, but .*was trained with 7", *use)
    shutil.copy(os.path.join(trained, "label2id.json"), str(spoiled))
    (data,) = (spoiled / "best").glob("*.data-*")
    data.write_bytes(data.read_bytes()[:1000])
    check(r"best/model\.ckpt-\d+: the checkpoint is cut off or damaged", *use)
    # Without run.json a checkpoint is another program's: training neither goes on from it nor over it.
    check(r"a checkpoint that no run of this program left", *(use + ["-do_train", "-clean"]))
    assert contents(trained) == before


def test_read_only_output_directory(setting, check):
    """A file system full or read-only looks the same to us; root may write anywhere, so /proc stands in."""
    _, _, _, flags = setting
    flags[flags.index("-output_dir") + 1] = "/proc/no_such_directory"
    check(r"/proc/no_such_directory: expected a directory", *flags)


def test_help_and_version_need_no_tensorflow():
    for flag in ("-help", "--help", "-version"):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", os.path.join(REPOSITORY, "run.py"), flag],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip
        assert done.returncode == 0 and done.stdout and "tensorflow" not in done.stderr
