"""How conlleval reads tags as chunks, and what its functions count: against regular expressions, sets and seqeval."""

import itertools
import re

import pytest
import seqeval.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.conlleval_reports import COLUMN_TAGS, STRETCHES, encode, spans_of
from train import conlleval


@pytest.mark.parametrize(
    "tags, expected",
    [
        ("", []),
        ("O O", []),
        ("I-A I-A B-A", [("A", 0, 2), ("A", 2, 3)]),
        ("B-A I-B I-B", [("A", 0, 1), ("B", 1, 3)]),
        ("B-A-B I-A-B I-A", [("A-B", 0, 2), ("A", 2, 3)]),
        ("I-A E-A E-A I-A", [("A", 0, 2), ("A", 2, 3), ("A", 3, 4)]),
        ("S-A", [("A", 0, 1)]),
        ("S-A S-A I-A", [("A", 0, 1), ("A", 1, 2), ("A", 2, 3)]),
        ("B-A S-A E-A", [("A", 0, 1), ("A", 1, 2), ("A", 2, 3)]),
        ("B-A I-A E-A B-A E-A", [("A", 0, 3), ("A", 3, 5)]),
        ("O E-A O", [("A", 1, 2)]),
        ("I-A [-A I-B .", [("A", 0, 1), ("A", 1, 2), ("B", 2, 3)]),
        ("B I O B", [("", 0, 2), ("", 3, 4)]),
        ("B-0 I-", [("", 0, 2)]),
    ],
)
def test_chunks_by_hand(tags, expected):
    assert conlleval.chunks(tags.split()) == expected


# Two types, each tag one letter: what a chunk looks like in IOB, IOE and BIOES, leftmost longest.
LETTERS = {"O": "O"}
for upper, name in ((False, "A"), (True, "C")):
    for prefix in "bies":
        LETTERS[prefix.upper() if upper else prefix] = prefix.upper() + "-" + name
CHUNK = re.compile("s|bi*e?|i+e?|e|S|BI*E?|I+E?|E")


def test_chunks_equal_a_regular_expression_over_every_short_sequence():
    for length in range(5):
        for letters in itertools.product(sorted(LETTERS), repeat=length):
            tags = [LETTERS[letter] for letter in letters]
            expected = [
                ("A" if match.group().islower() else "C", match.start(), match.end())
                for match in CHUNK.finditer("".join(letters))
            ]
            assert conlleval.chunks(tags) == expected, tags


def test_the_letters_cover_two_types():
    assert len(LETTERS) == 9
    assert set(LETTERS.values()) == {"O"} | {p + "-" + t for p in "BIES" for t in "AC"}


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "IOE1", "IOE2", "BIOES"])
@settings(deadline=None)
@given(stretches=STRETCHES)
def test_chunks_read_back_what_a_scheme_wrote(scheme, stretches):
    spans, length = spans_of(stretches)
    assert conlleval.chunks(encode(scheme, spans, length)) == spans


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(COLUMN_TAGS["BIOES"], COLUMN_TAGS["BIOES"]), max_size=6), max_size=4))
def test_metrics_equal_sets_of_chunks(sentences):
    counts = conlleval.EvalCounts()
    gold, guessed = set(), set()
    for i, pairs in enumerate(sentences):
        columns = [a for a, _ in pairs], [b for _, b in pairs]
        counts.add_sentence(*columns)
        gold |= {(i, *chunk) for chunk in conlleval.chunks(columns[0])}
        guessed |= {(i, *chunk) for chunk in conlleval.chunks(columns[1])}
    overall, by_type = conlleval.metrics(counts)
    assert set(by_type) == {chunk[1] for chunk in gold | guessed}
    for name, measured in [(None, overall)] + list(by_type.items()):
        a = {chunk for chunk in gold if name in (None, chunk[1])}
        b = {chunk for chunk in guessed if name in (None, chunk[1])}
        assert measured[:3] == (len(a & b), len(b - a), len(a - b))
        assert measured.prec == (len(a & b) / len(b) if b else 0)
        assert measured.rec == (len(a & b) / len(a) if a else 0)
        # F1 is the Dice coefficient of the two sets.
        assert measured.fscore == pytest.approx(2 * len(a & b) / (len(a) + len(b)) if a or b else 0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(STRETCHES, STRETCHES), min_size=1, max_size=5))
def test_metrics_equal_seqeval_on_well_formed_tags(sentences):
    counts = conlleval.EvalCounts()
    gold, guessed = [], []
    for stretches in sentences:
        (spans_a, length_a), (spans_b, length_b) = (spans_of(side) for side in stretches)
        length = max(length_a, length_b, 1)
        gold.append(encode("IOB2", spans_a, length))
        guessed.append(encode("IOB2", spans_b, length))
        counts.add_sentence(gold[-1], guessed[-1])
    overall, by_type = conlleval.metrics(counts)
    names = sorted(by_type)
    assert overall.prec == pytest.approx(seqeval.metrics.precision_score(gold, guessed, zero_division=0))
    assert overall.rec == pytest.approx(seqeval.metrics.recall_score(gold, guessed, zero_division=0))
    assert overall.fscore == pytest.approx(seqeval.metrics.f1_score(gold, guessed, zero_division=0))
    assert counts.correct_tags / counts.token_counter == seqeval.metrics.accuracy_score(gold, guessed)
    if names:
        table = seqeval.metrics.classification_report(gold, guessed, output_dict=True, zero_division=0)
        for name in names:
            assert by_type[name].prec == pytest.approx(table[name]["precision"])
            assert by_type[name].rec == pytest.approx(table[name]["recall"])
            assert by_type[name].fscore == pytest.approx(table[name]["f1-score"])
