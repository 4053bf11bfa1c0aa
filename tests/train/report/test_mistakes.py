"""Pairs of gold and predicted entities against a slow twin, and sums against conlleval."""

import collections
import doctest

from hypothesis import given
from hypothesis import strategies as st

from train import conlleval
from train.report import mistakes
from train.report.mistakes import BOTH, BOUNDS, MISSED, RIGHT, SPURIOUS, TYPE

TAGS = ["O", "B-A", "I-A", "B-C", "I-C", "E-A", "S-C", "B", "."]
ROWS = st.lists(
    st.tuples(st.sampled_from(["w", "-X-", "人"]), st.sampled_from(TAGS), st.sampled_from(TAGS)), max_size=25
)


def twin(gold, predicted):
    """The same pairs: takes the best candidate of all that are left, again and again."""
    gold, predicted, pairs = list(gold), list(predicted), []

    def merit(pair):
        (kind, start, end), (other_kind, other_start, other_end) = pair
        shared = len(set(range(start, end)) & set(range(other_start, other_end)))
        return (start, end) == (other_start, other_end), shared, kind == other_kind, -start, -other_start

    while True:
        candidates = [(g, p) for g in gold for p in predicted if merit((g, p))[1]]
        if not candidates:
            return pairs + [(g, None) for g in gold] + [(None, p) for p in predicted]
        best = max(candidates, key=merit)
        pairs.append(best)
        gold.remove(best[0])
        predicted.remove(best[1])


@given(ROWS)
def test_pairs(rows):
    gold, predicted = (conlleval.chunks([row[column] for row in rows]) for column in (1, 2))
    found = mistakes.pair_entities(gold, predicted)
    assert collections.Counter(map(tuple, found)) == collections.Counter(twin(gold, predicted))
    firsts = [(pair.gold or pair.predicted)[1] for pair in found]
    assert firsts == sorted(firsts)


def test_kinds():
    def kinds(gold, predicted):
        return [mistakes.kind_of(pair) for pair in mistakes.pair_entities(gold, predicted)]

    assert kinds([("A", 0, 2)], [("A", 0, 2)]) == [RIGHT]
    assert kinds([("A", 0, 2)], [("B", 0, 2)]) == [TYPE]
    assert kinds([("A", 0, 2)], [("A", 1, 2)]) == [BOUNDS]
    assert kinds([("A", 0, 2)], [("B", 1, 3)]) == [BOTH]
    assert kinds([("A", 0, 2)], [("A", 2, 3)]) == [MISSED, SPURIOUS]
    # One entity found in two parts: the longer one is its partner.
    assert kinds([("A", 0, 3)], [("A", 0, 1), ("A", 1, 3)]) == [SPURIOUS, BOUNDS]


@given(st.lists(ROWS, max_size=4))
def test_sums_are_those_of_conlleval(sentences):
    comparisons = [
        mistakes.compare(*([row[i] for row in rows] for i in range(1, 3)), [0.5] * len(rows)) for rows in sentences
    ]
    lines = [line for rows in sentences for line in [" ".join(row) for row in rows] + [""]]
    counts = conlleval.evaluate(lines, conlleval.Options(boundary=""))  # -X- is a word, as in a run
    gold, found, right = collections.Counter(), collections.Counter(), collections.Counter()
    for (one, other, same_words), n in mistakes.confusion(comparisons).items():
        gold[one] += n
        found[other] += n
        if one == other and same_words:
            right[one] += n
    del gold[None], found[None]
    assert (gold, found, right) == (counts.t_found_correct, counts.t_found_guessed, counts.t_correct_chunk)
    assert sum(len(comparison.wrong_words) for comparison in comparisons) == counts.token_counter - counts.correct_tags


def test_the_confidence_is_that_of_the_surest_wrong_tag():
    gold, predicted = ["O", "B-A", "I-A", "O"], ["O", "O", "B-A", "O"]
    assert mistakes.compare(gold, predicted, [1.0, 0.6, 0.7, 0.9])[1:] == ([1, 2], 0.7)
    assert mistakes.compare(gold, predicted, [1.0, None, 0.2, 0.9])[1:] == ([1, 2], 0.2)
    assert mistakes.compare(gold, predicted, [1.0, None, None, 0.9])[1:] == ([1, 2], None)
    assert mistakes.compare(gold, gold, [1.0] * 4)[1:] == ([], None)


@given(st.lists(st.none() | st.sampled_from([0.0, 0.25, 0.5, 1.0])))
def test_most_confident_first(confidences):
    comparisons = [mistakes.Comparison([], [0], confidence) for confidence in confidences]
    order = mistakes.most_confident_first(comparisons + [mistakes.Comparison([], [], None)])
    assert sorted(order) == list(range(len(confidences)))
    keys = [(confidences[i] is None, -(confidences[i] or 0.0), i) for i in order]
    assert keys == sorted(keys)


def test_examples():
    assert doctest.testmod(mistakes).failed == 0
