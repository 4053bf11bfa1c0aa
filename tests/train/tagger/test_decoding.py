"""Constrained decoding against an enumeration of every label sequence that the rules allow."""

import itertools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from train.data import labels
from train.tagger import decoding

BIO = ["O", "B-A", "I-A", "B-B", "I-B", "X", "[CLS]", "[SEP]"]
BIOES = ["O", "B-A", "E-A", "I-A", "S-A", "X", "[CLS]", "[SEP]"]


def well_formed(tags, scheme):
    """The rules written a second time, by regular expression over the tags of the words."""
    import re

    text = "".join(tag.replace("-", "") + " " for tag in tags)
    if scheme is None:
        return True
    if scheme == "BIO":
        return re.match(r"(O |BA (IA )*|BB (IB )*)*$", text) is not None
    return re.match(r"(O |SA |BA (IA )*EA )*$", text) is not None


def enumerate_paths(names, kinds, scheme):
    """All label sequences for kinds like "cwpws" (cls, word, piece, word, sep) that the rules allow."""
    words = [name for name in names if name not in ("X", "[CLS]", "[SEP]")]
    choices = {"w": words, "p": ["X"], "c": ["[CLS]"], "s": ["[SEP]"]}
    for path in itertools.product(*[choices[kind] for kind in kinds]):
        if well_formed([tag for tag, kind in zip(path, kinds) if kind == "w"], scheme):
            yield path


def score(path, ids, logits, transitions):
    total = sum(logits[t, ids[tag]] for t, tag in enumerate(path))
    return total + sum(transitions[ids[a], ids[b]] for a, b in zip(path, path[1:]))


CASES = [
    (BIO, "BIO", ["cwpws", "cwws", "cpwpps", "cs", "cwpppw"]),
    (BIO, None, ["cwpws", "cwws"]),
    (BIOES, "BIOES", ["cwpwws", "cwws", "cws", "cpws"]),
]


@pytest.mark.parametrize("names,scheme,sentences", CASES)
def test_pieces(names, scheme, sentences, evaluate):
    rng = np.random.RandomState(0)
    ids = labels.label_ids(names)
    steps = max(map(len, sentences)) + 1
    logits = (rng.normal(size=[len(sentences), steps, len(names) + 1]) * 2).astype(np.float32)
    transitions = (rng.normal(size=[len(names) + 1] * 2) * 2).astype(np.float32)
    word_start = [[int(kind == "w") for kind in kinds.ljust(steps)] for kinds in sentences]
    # Positions 0 and last are [CLS] and [SEP] unless marked as words; "cwpppw" ends with a word.
    decoded = decoding.decode_pieces(
        tf.constant(logits),
        tf.constant([len(kinds) for kinds in sentences]),
        tf.constant(transitions),
        tf.constant(word_start),
        labels.constraint(names, scheme),
    )
    tags, scores = evaluate(decoded[:2])
    for b, kinds in enumerate(sentences):
        paths = {path: score(path, ids, logits[b], transitions) for path in enumerate_paths(names, kinds, scheme)}
        best = max(paths, key=paths.get)
        assert tags[b, : len(kinds)].tolist() == [ids[tag] for tag in best]
        weights = {path: np.exp(value - paths[best]) for path, value in paths.items()}
        for t, tag in enumerate(best):
            marginal = sum(w for path, w in weights.items() if path[t] == tag) / sum(weights.values())
            np.testing.assert_allclose(scores[b, t], marginal, rtol=1e-4)
        assert not tags[b, len(kinds) :].any() and not scores[b, len(kinds) :].any()


@pytest.mark.parametrize("names,scheme", [(BIO, "BIO"), (BIOES, "BIOES"), (BIO, None)])
def test_words(names, scheme, evaluate):
    rng = np.random.RandomState(1)
    ids = labels.label_ids(names)
    lengths = [4, 1, 2]
    logits = (rng.normal(size=[3, 4, len(names) + 1]) * 2).astype(np.float32)
    transitions = (rng.normal(size=[len(names) + 1] * 2) * 2).astype(np.float32)
    decoded = decoding.decode_words(
        tf.constant(logits), tf.constant(lengths), tf.constant(transitions), labels.constraint(names, scheme)
    )
    tags, scores = evaluate(decoded[:2])
    for b, length in enumerate(lengths):
        allowed = enumerate_paths(names, "w" * length, scheme)
        paths = {path: score(path, ids, logits[b], transitions) for path in allowed}
        best = max(paths, key=paths.get)
        assert tags[b].tolist() == [ids[tag] for tag in best] + [0] * (4 - length)
        weights = {path: np.exp(value - paths[best]) for path, value in paths.items()}
        marginal = sum(w for path, w in weights.items() if path[0] == best[0]) / sum(weights.values())
        np.testing.assert_allclose(scores[b, 0], marginal, rtol=1e-4)


def test_the_rule_reaches_through_pieces(evaluate):
    """B-A X I-A may be chosen; O X I-A may not, however much the scores want it."""
    ids = labels.label_ids(BIO)
    rules = labels.constraint(BIO, "BIO")
    for wanted, expected in (("B-A", "I-A"), ("O", "O")):
        logits = np.zeros([1, 5, len(BIO) + 1], np.float32)
        logits[0, 1, ids[wanted]] = 90
        logits[0, 3, ids["I-A"]] = 50
        logits[0, 3, ids["O"]] = 40
        decoded = decoding.decode_pieces(
            tf.constant(logits), tf.constant([5]), tf.zeros([len(BIO) + 1] * 2), [[0, 1, 0, 1, 0]], rules
        )
        tags = evaluate(decoded.tags)
        assert tags[0].tolist() == [ids[tag] for tag in ("[CLS]", wanted, "X", expected, "[SEP]")]
