"""Texts for pre-training, the records made from them, and how these are read."""

import collections
import sys

import tensorflow.compat.v1 as tf

from bert import create_pretraining_data
from bert.data.records import make_example

SPECIAL = "[PAD] [UNK] [CLS] [SEP] [MASK]".split()
PAD, UNK, CLS, SEP, MASK = range(5)


def make(monkeypatch, folder, *flags, **text):
    """Runs the program on files of the given texts; the records of its outputs, a list for each."""
    for name, content in text.items():
        (folder / f"{name}.txt").write_bytes(content.encode("utf-8"))
    outputs = [flag.split("=")[1] for flag in flags if flag.startswith("--output_file")] or [str(folder / "out")]
    run = ["program", f"--input_file={folder}/*.txt", f"--output_file={outputs[0]}", f"--vocab_file={folder}/vocab"]
    monkeypatch.setattr(sys, "argv", run + list(flags))
    create_pretraining_data.main()
    return [list(tf.io.tf_record_iterator(path)) for path in outputs[0].split(",")]


def lists(record):
    """A record as a dict from name to list."""
    features = tf.train.Example.FromString(record).features.feature
    return {name: list(value.int64_list.value or value.float_list.value) for name, value in features.items()}


Segments = collections.namedtuple("Segments", "first second is_random masked input_ids")


def segments(record):
    """A record's segments, as they were before masking."""
    values = lists(record)
    size = sum(values["input_mask"])
    tokens = values["input_ids"][:size]
    count = int(sum(values["masked_lm_weights"]))
    masked = dict(zip(values["masked_lm_positions"][:count], values["masked_lm_ids"][:count]))
    assert len(masked) == count
    whole = [masked.get(position, token) for position, token in enumerate(tokens)]
    middle = values["segment_ids"].index(1)
    assert values["segment_ids"][:size] == [0] * middle + [1] * (size - middle)
    assert whole[0] == CLS and whole[middle - 1] == whole[-1] == SEP
    return Segments(whole[1 : middle - 1], whole[middle:-1], values["next_sentence_labels"] == [1], masked, tokens)


def write_vocab(folder, pieces):
    (folder / "vocab").write_bytes(("\n".join(SPECIAL + pieces) + "\n").encode("utf-8"))


def own_words(folder, sizes, words=7):
    """A text whose every word occurs once: `sizes` sentences in each document. Gives (text, ids of each document)."""
    text, documents, word = [], [], 0
    for size in sizes:
        sentences = [[f"w{word + i * words + j}" for j in range(words)] for i in range(size)]
        word += size * words
        text.append("\n".join(" ".join(sentence) for sentence in sentences))
        documents.append([len(SPECIAL) + int(w[1:]) for sentence in sentences for w in sentence])
    write_vocab(folder, [f"w{i}" for i in range(word)])
    return "\n\n".join(text) + "\n", documents


def write_numbered(path, numbers):
    """Records whose masked_lm_ids are all their number."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in numbers:
            values = {name: [number] * 4 for name in ("input_ids", "input_mask", "segment_ids")}
            values.update(
                masked_lm_positions=[0, 0], masked_lm_ids=[number] * 2, masked_lm_weights=[1.0, 0.0],
                next_sentence_labels=[0],
            )  # fmt: skip
            writer.write(make_example(values).SerializeToString())
