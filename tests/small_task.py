"""The small task that many tests share: its data, its tiny encoder, how run.py is run on it, and what that tags."""

import contextlib
import io
import json
import os
import subprocess
import sys

import numpy as np

from tests.paths import REPOSITORY
from train import bert_lstm_ner, run_dir
from train.train_helper import get_args_parser

WORDS = "the man Ann Bob met saw in at London Paris yesterday unaffable people café 我 在 北 京 上 海 .".split()
PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK] the man ann bob met saw in at london paris yesterday people cafe .".split()
PIECES += "我 在 北 京 上 海 un ##aff ##able".split()
TAGS = {"Ann": "PER", "Bob": "PER", "London": "LOC", "Paris": "LOC"}


def run(*flags, **kwargs):
    """Runs run.py as a user would; returns the finished process, its output as text."""
    command = [sys.executable, os.path.join(REPOSITORY, "run.py")] + list(flags)
    kwargs.setdefault("timeout", 1200)
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", **kwargs)


def succeed(*flags, **kwargs):
    done = run(*flags, **kwargs)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def succeed_here(*flags):
    """As `succeed`, but in this process, which has TensorFlow loaded; returns what is printed on standard error."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as printed:
        bert_lstm_ner.train(get_args_parser(list(flags)))
    return printed.getvalue()


def sentence(rng, length):
    """Lines of a random sentence, names tagged; "Ann Bob" is one person of two words."""
    lines, previous = [], None
    for _ in range(length):
        word = WORDS[rng.randint(len(WORDS))]
        kind = TAGS.get(word)
        inside = kind == "PER" and previous == "PER"
        lines.append(f"{word} {'I' if inside else 'B'}-{kind}" if kind else f"{word} O")
        previous = kind
    return "\n".join(lines) + "\n"


# Whatever a file may hold comes out again: words of control characters, emoji, words of many pieces, long sentences.
HARD = (
    "\u200b O\n\x01\x02 O\nAnn B-PER\n\u200d I-PER\nBob I-PER\n\n"
    + "\U0001f600\U0001f468\u200d\U0001f469 O\nИван O\nשלום O\n\n"
    + "\x7f O\n\n"
    + "x" * 300 + " O\n" + "北" * 300 + " B-LOC\nLondon B-LOC\n\n"
    + "\u2028 O\n\x85 O\na\x0bb O\n\n"
)  # fmt: skip


def write_data(directory, train=40, others=8):
    rng = np.random.RandomState(0)
    for split, count in (("train", train), ("dev", others), ("test", others)):
        sentences = [sentence(rng, rng.randint(2, 9)) for _ in range(count)]
        sentences.append(sentence(rng, 60))
        text = "\n".join(sentences) + "\n" + (HARD if split == "test" else "")
        (directory / f"{split}.txt").write_bytes(text.encode("utf-8"))


def write_task(directory, train=40, others=8, hidden_size=16, num_hidden_layers=2, **config):
    """Writes small data and a tiny encoder; returns their `flags_of`.

    Args:
      directory: pathlib.Path.
      train, others: sentences of the train split and of each of the others, beside one long one.
      config: what else is to stand in bert_config.json.
    """
    data, encoder = directory / "data", directory / "bert"
    data.mkdir()
    encoder.mkdir()
    write_data(data, train, others)
    (encoder / "vocab.txt").write_bytes(("\n".join(PIECES) + "\n").encode("utf-8"))
    sizes = {
        "vocab_size": len(PIECES), "hidden_size": hidden_size, "num_hidden_layers": num_hidden_layers,
        "num_attention_heads": 2, "intermediate_size": 2 * hidden_size, "max_position_embeddings": 32,
        "type_vocab_size": 2,
    }  # fmt: skip
    (encoder / "bert_config.json").write_text(json.dumps(dict(sizes, **config)))
    return flags_of(directory)


def flags_of(directory):
    """The flags that name what `write_task` wrote."""
    return ["-data_dir", str(directory / "data"), "-bert_dir", str(directory / "bert"), "-max_seq_length", "16"]


NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def data_file(given, split):
    return os.path.join(given[1], f"{split}.txt")


def tagged(output, split):
    """[(word, gold, predicted)] by sentence, read with nothing but split."""
    with open(os.path.join(output, run_dir.TAGGED[split]), encoding="utf-8", newline="\n") as reader:
        blocks = reader.read().split("\n\n")
    return [[tuple(line.split(" ")) for line in block.split("\n")] for block in blocks if block]
