"""The arithmetic of benchmarks/paired.py, against tables of Student's t, conlleval and exact enumeration."""

import itertools

import numpy as np
import pytest

from benchmarks import paired
from bert.system.errors import UserError
from train import conlleval

TAGGED = """\
Ann B-PER B-PER
Lee I-PER I-PER
in O O
Rome B-LOC B-ORG

to O O
Oslo B-LOC B-LOC
now O B-LOC

nothing O O

"""


@pytest.fixture
def tagged(tmp_path):
    path = tmp_path / "label_test.txt"
    path.write_text(TAGGED)
    return str(path)


@pytest.mark.parametrize(
    "t, freedom, p", [(12.706, 1, 0.05), (4.303, 2, 0.05), (63.657, 1, 0.01), (5.841, 3, 0.01), (2.776, 4, 0.05),
                      (4.032, 5, 0.01), (2.228, 10, 0.05), (1.699, 29, 0.10), (0.0, 4, 1.0), (0.0, 5, 1.0)]
)  # fmt: skip
def test_student_s_t_is_that_of_the_tables(t, freedom, p):
    assert 1 - paired.t_within(t, freedom) == pytest.approx(p, abs=1e-4)


def test_a_paired_t_test():
    # Differences 1, 2, 3: mean 2, deviation 1, so t is 2 sqrt 3 with 2 degrees of freedom.
    expected = 1 - 2 * 3**0.5 / (12 + 2) ** 0.5
    assert paired.paired_t([5, 5, 5], [6, 7, 8]) == pytest.approx(expected)
    assert paired.paired_t([6, 7, 8], [5, 5, 5]) == pytest.approx(expected)
    assert paired.paired_t([1, 2], [1, 2]) == 1
    assert paired.paired_t([1, 2], [2, 3]) == 0
    assert paired.paired_t([1], [2]) is None


def test_the_spread_is_that_of_a_sample():
    assert paired.spread([1.0, 2.0, 3.0]) == 1
    assert paired.spread([1.0]) == 0


def test_entities_are_counted_as_conlleval_counts_them(tagged):
    counts = paired.entity_counts(tagged)
    assert counts.tolist() == [[1, 2, 2], [1, 2, 1], [0, 0, 0]]
    whole = conlleval.evaluate(TAGGED.splitlines())
    assert counts.sum(0).tolist() == [whole.correct_chunk, whole.found_guessed, whole.found_correct]
    assert paired.f1(counts.sum(0)) == pytest.approx(100 * conlleval.metrics(whole)[0].fscore)
    assert paired.f1(np.zeros(3)) == 0


def test_a_scheme_that_conlleval_does_not_read_is_recognised(tmp_path):
    path = tmp_path / "label_test.txt"
    path.write_text("a\tB-PER\tB-PER\nb\tL-PER\tL-PER\nc\tU-PER\tU-PER\nd\tU-PER\tO")
    assert paired.entity_counts(str(path)).tolist() == [[2, 2, 3]]


def test_a_word_may_have_spaces_and_a_line_break_of_unicode(tmp_path):
    path = tmp_path / "label_test.txt"
    path.write_bytes("1 000\tB-NUM\tO\r\n\u2028\tO\tO\r\n\r\n".encode())
    assert paired.read_tagged(str(path)) == [(["B-NUM", "O"], ["O", "O"])]
    path.write_text("a O O\nb O\n")
    with pytest.raises(UserError, match=":2: expected word, gold and predicted"):
        paired.read_tagged(str(path))


def test_randomisation_gives_the_share_of_all_swaps():
    first = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1], [1, 2, 1], [0, 1, 1], [0, 0, 1]])
    second = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1], [0, 0, 1], [1, 1, 1]])
    found = abs(paired.f1(first.sum(0)) - paired.f1(second.sum(0)))
    extreme = []
    for swapped in itertools.product([False, True], repeat=len(first)):
        mask = np.array(swapped)[:, None]
        sides = np.where(mask, second, first).sum(0), np.where(mask, first, second).sum(0)
        extreme.append(abs(paired.f1(sides[0]) - paired.f1(sides[1])) >= found - 1e-9)
    assert paired.randomised(first, second) == pytest.approx(np.mean(extreme), abs=0.02)
    assert paired.randomised(first, first, rounds=100) == 1
    assert paired.randomised(first, second) == paired.randomised(first, second), "not the same again"
    with pytest.raises(UserError, match="6 and 5 tagged sentences"):
        paired.randomised(first, second[1:])
