"""The probabilities of entities against an enumeration of all label sequences in float64; calibrations."""

import itertools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tests.train.tagger.test_decoding import BIO, BIOES, score
from train.data import labels, schemes
from train.tagger import decoding
from train.tagger.calibration import NO_CALIBRATION, Calibration, LabelCalibration

SMALL = ["O", "B-A", "I-A", "X", "[CLS]", "[SEP]"]
IOB1 = ["O", "B-A", "I-A", "I-B", "X", "[CLS]", "[SEP]"]
IOE1 = ["O", "E-A", "I-A", "I-B", "X", "[CLS]", "[SEP]"]
IO = ["O", "A", "B", "X", "[CLS]", "[SEP]"]
PADDING = "[PAD]"
NO_TAGS = (PADDING, "X", "[CLS]", "[SEP]")
PIECES = ["cwpws", "cwws", "cpwpps", "cs", "cwpppw", "cwwpws"]


def tags_of(path, kinds):
    """The tags of the words of a path, for kinds like "cwpws" (cls, word, piece, word, sep)."""
    return ["O" if path[t] in NO_TAGS else path[t] for t in words_of(kinds)]


def words_of(kinds):
    return [t for t, kind in enumerate(kinds) if kind == "w"]


def entities_of(path, kinds, scheme):
    """(type, first step, step after the last piece of the last word) of each entity."""
    words = words_of(kinds)
    ends = words[1:] + [len(kinds) - (kinds[-1:] == "s")]
    return [(kind, words[a], ends[b - 1]) for kind, a, b in schemes.entities(tags_of(path, kinds), scheme)]


def enumerate_all(names, kinds, scheme, constrained):
    """All label sequences that may be predicted."""
    tags = [name for name in names if name not in NO_TAGS]
    choices = {"w": tags, "p": ["X"], "c": ["[CLS]"], "s": ["[SEP]"]} if constrained else {}
    paths = itertools.product(*[choices.get(kind, [PADDING] + names) for kind in kinds])
    if not constrained or scheme is None:
        return paths
    return (path for path in paths if schemes.well_formed(tags_of(path, kinds), scheme))


def expected_scores(names, kinds, scheme, constrained, logits, transitions):
    """For each word of the best path the probability of its entity, or of its tag where it is in none.

    Returns:
      (scores by step, number of entities of the best path).
    """
    ids = dict(labels.label_ids(names), **{PADDING: 0})
    values = {p: score(p, ids, logits, transitions) for p in enumerate_all(names, kinds, scheme, constrained)}
    best = max(values, key=values.get)
    weights = {path: np.exp(np.float64(value) - values[best]) for path, value in values.items()}
    total = sum(weights.values())
    found = {t: sum(w for path, w in weights.items() if path[t] == best[t]) / total for t in words_of(kinds)}
    spans = entities_of(best, kinds, scheme)
    for span in spans:
        start, stop = span[1:]
        # Without a constraint the label of a later piece is not the tag of its word, and not compared with the next.
        blind = not constrained and kinds[start - 1 : start] == "p"
        same = sum(
            weight
            for path, weight in weights.items()
            if path[start:stop] == best[start:stop]
            and (span in entities_of(path, kinds, scheme) or (blind and _ends(path, kinds, scheme, span)))
        )
        found.update(dict.fromkeys((t for t in words_of(kinds) if start <= t < stop), same / total))
    return found, len(spans)


def _ends(path, kinds, scheme, span):
    return any(one[::2] == span[::2] for one in entities_of(path, kinds, scheme))


def check(names, scheme, sentences, constrained, decode, evaluate, seeds=3):
    """Compares decode(logits, lengths, transitions, word_start, entity rules) with the enumeration."""
    steps, entity_count = max(map(len, sentences)) + 1, 0
    fed = tf.placeholder(tf.float32, [None, steps, len(names) + 1]), tf.placeholder(tf.float32, [len(names) + 1] * 2)
    lengths = tf.constant(list(map(len, sentences)))
    word_start = tf.constant([[int(kind == "w") for kind in kinds.ljust(steps)] for kinds in sentences])
    decoded = decode(fed[0], lengths, fed[1], word_start, labels.entity_rules(names, scheme))
    for seed in range(seeds):
        rng = np.random.RandomState(seed)
        logits = (rng.normal(size=[len(sentences), steps, len(names) + 1]) * 2).astype(np.float32)
        transitions = (rng.normal(size=[len(names) + 1] * 2) * 2).astype(np.float32)
        logits[:, :, [0, 1]] -= 2  # padding and O, so that there are entities
        found = evaluate(decoded.entity_scores, {fed[0]: logits, fed[1]: transitions})
        for b, kinds in enumerate(sentences):
            expected, count = expected_scores(names, kinds, scheme, constrained, logits[b], transitions)
            np.testing.assert_allclose(found[b, list(expected)], list(expected.values()), rtol=2e-4)
            assert not found[b, len(kinds) :].any()
            entity_count += count
    assert entity_count >= seeds


def once(*case):
    """A case of other rules, which are data to the same operations."""
    return pytest.param(*case, marks=pytest.mark.one_tensorflow)


@pytest.mark.parametrize(
    "names,scheme",
    [(BIO, "BIO"), once(BIO, None), once(BIOES, "BIOES"), once(IOB1, "IOB1"), (IOE1, "IOE1"), once(IO, "IO")],
)
def test_over_pieces(names, scheme, evaluate):
    def decode(logits, lengths, transitions, word_start, entities):
        rules = labels.constraint(names, scheme)
        return decoding.decode_pieces(logits, lengths, transitions, word_start, rules, entities)

    check(names, scheme, PIECES, True, decode, evaluate)


@pytest.mark.parametrize("constrained", [True, False])
@pytest.mark.parametrize("names,scheme", [(BIOES, "BIOES"), once(IOB1, "IOB1"), once(IO, "IO"), once(SMALL, None)])
def test_over_words(names, scheme, constrained, evaluate):
    def decode(logits, lengths, transitions, _, entities):
        if not constrained:
            return decoding.decode(logits, lengths, transitions, None, entities)
        return decoding.decode_words(logits, lengths, transitions, labels.constraint(names, scheme), entities)

    check(names, scheme, ["wwww", "w", "ww", "", "www"], constrained, decode, evaluate)


def test_over_pieces_without_a_constraint(evaluate):
    check(SMALL, "BIO", ["cwpws", "cwws", "cws", "cpws"], False, decoding.decode, evaluate, seeds=4)


@pytest.mark.parametrize("by_words", [True, False])
def test_temperatures(by_words, evaluate):
    """Each gives the scores of logits and transitions divided by it, and no temperature changes a tag."""
    rng = np.random.RandomState(0)
    logits = (rng.normal(size=[6, 7, len(BIO) + 1]) * 4).astype(np.float32)
    transitions = (rng.normal(size=[len(BIO) + 1] * 2) * 4).astype(np.float32)
    word_start = rng.randint(0, 2, [6, 7])
    lengths = tf.constant([7, 5, 1, 2, 6, 3])
    rules, entities = labels.constraint(BIO, "BIO"), labels.entity_rules(BIO, "BIO")

    def decode(divisor, calibration):
        arguments = tf.constant(logits / divisor), lengths, tf.constant(transitions / divisor)
        if by_words:
            return decoding.decode_words(*arguments, rules, entities, calibration)
        return decoding.decode_pieces(*arguments, tf.constant(word_start), rules, entities, calibration)

    temperatures = [0.5, 4.0]
    together, alone, plain = evaluate(
        [
            decode(1, LabelCalibration(tf.constant(temperatures), tf.ones([2]), tf.zeros([2, len(BIO) + 1]))),
            [decode(1, LabelCalibration(value)) for value in temperatures],
            [decode(np.float32(value), NO_CALIBRATION) for value in temperatures],
        ]
    )
    for i in range(len(temperatures)):
        for name in ("scores", "entity_scores"):
            expected = getattr(plain[i], name)
            np.testing.assert_allclose(getattr(alone[i], name), expected, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(getattr(together, name)[i], expected, rtol=1e-4, atol=1e-6)
        for found in (together, alone[i], plain[i]):
            np.testing.assert_array_equal(found.tags, plain[0].tags)
    assert (together.entity_scores <= together.scores + 1e-5).all()


@pytest.mark.parametrize("by_words", [True, once(False)])  # the map comes behind either
def test_the_map_of_entity_scores(by_words, evaluate):
    """It is that of the entity's type and changes neither tags nor the scores of words; several at once, and alone."""
    rng = np.random.RandomState(1)
    steps, names = 9, ["O", "B-A", "I-A", "B-B", "I-B", "X", "[CLS]", "[SEP]"]
    logits = (rng.normal(size=[8, steps, len(names) + 1]) * 3).astype(np.float32)
    logits[:, :, 1] -= 2  # O, so that there are entities
    transitions = rng.normal(size=[len(names) + 1] * 2).astype(np.float32)
    word_start, lengths = rng.randint(0, 2, [8, steps]), [9, 8, 7, 1, 2, 6, 3, 9]
    rules, entities = labels.constraint(names, "BIO"), labels.entity_rules(names, "BIO")

    def decode(calibration):
        arguments = tf.constant(logits), tf.constant(lengths), tf.constant(transitions)
        if by_words:
            return decoding.decode_words(*arguments, rules, entities, calibration)
        return decoding.decode_pieces(*arguments, tf.constant(word_start), rules, entities, calibration)

    calibrations = [
        Calibration(1.5),
        Calibration(1.5, 0.7, 0.25, {"A": -1.0, "B": 2.0}),
        Calibration(1.0, 1.3, -0.5, {"A": 0.5}),  # dev had no B
        Calibration(1.0),
    ]
    by_label = [each.of_labels(names, "BIO") for each in calibrations]
    together = LabelCalibration(*(tf.constant(values) for values in zip(*by_label)))
    together, alone = evaluate([decode(together), [decode(each) for each in by_label]])
    for i, (fitted, plain) in enumerate([(calibrations[1], 0), (calibrations[2], 3)], 1):
        expected, counts = np.array(alone[plain].entity_scores), dict.fromkeys("AB", 0)
        for b in range(8):
            for t in range(lengths[b]):
                prefix, _, kind = names[alone[i].tags[b, t] - 1].partition("-")
                if prefix in ("B", "I"):
                    offset = fitted.offsets.get(kind, fitted.offset)
                    p = np.clip(np.float64(expected[b, t]), 1e-6, 1 - 1e-6)
                    expected[b, t] = 1 / (1 + np.exp(-fitted.slope * np.log(p / (1 - p)) - offset))
                    counts[kind] += 1
        assert min(counts.values()) > 3
        np.testing.assert_allclose(alone[i].entity_scores, expected, atol=2e-6)
    for i, one in enumerate(alone):
        np.testing.assert_allclose(together.entity_scores[i], one.entity_scores, atol=1e-5)
        np.testing.assert_allclose(together.scores[i], one.scores, atol=1e-5)
        np.testing.assert_array_equal(one.scores, alone[0 if i < 2 else 3].scores)
        np.testing.assert_array_equal(one.tags, alone[0].tags)
    np.testing.assert_array_equal(together.tags, alone[0].tags)
