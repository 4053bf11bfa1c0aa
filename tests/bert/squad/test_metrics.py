"""Scores against hand-computed ones and, for the thresholds, against trying them all."""

import doctest

import numpy as np
import pytest

from bert.squad import metrics
from bert.squad.questions import Question


def question(name, *answers):
    return Question(name, "?", "", answers, None)


def test_the_example_of_the_module():
    assert doctest.testmod(metrics).failed == 0


@pytest.mark.parametrize(
    "text,normal",
    [
        ("The  Eiffel Tower!", "eiffel tower"),
        ("a.b-c", "abc"),
        ("An apple, a day", "apple day"),
        ("theatre and another", "theatre and another"),
        ("the", ""),
        ("“Nice”", "“nice”"),  # only ASCII marks go
        ("北京。", "北京。"),
        ("\tCafé\n au\u00a0lait ", "café au lait"),
        ("the-cat", "thecat"),  # marks go before articles do
        ("$5", "5"),
    ],
)
def test_normalize(text, normal):
    assert metrics.normalize(text) == normal


def test_one_pair():
    assert metrics.exact_match("Denver Broncos", "the denver broncos.") == 1.0
    assert metrics.exact_match("Denver", "Denver Broncos") == 0.0
    # Common: denver. Precision 1/1, recall 1/2.
    assert metrics.f1("Denver", "The Denver Broncos") == pytest.approx(2 / 3)
    # Common: x, x of x x y and x x x. Precision 2/3, recall 2/3.
    assert metrics.f1("x x y", "x x x") == pytest.approx(2 / 3)
    assert metrics.f1("Paris", "London") == 0.0
    assert metrics.f1("", "") == 0.0


def test_v1_by_hand():
    questions = [
        question("a", "Denver Broncos", "The Broncos", "Broncos"),
        question("b", "in the year 1969"),
        question("c", "blue whale", "whale"),
        question("d", "x"),
    ]
    predictions = {"a": "the broncos", "b": "1969", "c": "a big whale", "d": "y"}
    # a: exact; b: P 1, R 1/3, F1 1/2; c: against "whale" P 1/2, R 1, F1 2/3; d: nothing.
    scores = metrics.score_v1(questions, predictions)
    assert scores["exact_match"] == 25.0
    assert scores["f1"] == pytest.approx(100 * (1 + 1 / 2 + 2 / 3) / 4)
    assert set(scores) == {"exact_match", "f1"}


def test_v2_by_hand():
    questions = [
        question("a", "Broncos"),  # right
        question("b", "in 1969"),  # half right
        question("c", "x"),  # left unanswered
        question("d"),  # rightly left unanswered
        question("e"),  # answered, though unanswerable
        question("f", "the"),  # an answer that is nothing after normalisation
    ]
    predictions = {"a": "the Broncos", "b": "1969", "c": "", "d": "", "e": "y", "f": ""}
    null_odds = {"a": -5.0, "b": -3.0, "c": 2.0, "d": 4.0, "e": -1.0, "f": 0.5}
    scores = metrics.score_v2(questions, predictions, null_odds)
    f1_of_b = 2 / 3
    assert scores["exact"] == pytest.approx(100 * 3 / 6)  # a, d, f
    assert scores["f1"] == pytest.approx(100 * (3 + f1_of_b) / 6)
    assert scores["total"] == 6
    assert scores["HasAns_exact"] == pytest.approx(100 * 2 / 4)  # a, f of a, b, c, f
    assert scores["HasAns_f1"] == pytest.approx(100 * (2 + f1_of_b) / 4)
    assert scores["HasAns_total"] == 4
    assert scores["NoAns_exact"] == scores["NoAns_f1"] == 50.0
    assert scores["NoAns_total"] == 2
    # None answered: d, e, 2 points. Answer a: 3. b: 3 + exact 0 or F1 2/3. e: one less. f: one more. c, d: nothing.
    assert scores["best_exact"] == pytest.approx(100 * 3 / 6) and scores["best_exact_thresh"] == -5.0
    assert scores["best_f1"] == pytest.approx(100 * (3 + f1_of_b) / 6) and scores["best_f1_thresh"] == -3.0


def test_v2_without_one_of_the_kinds():
    scores = metrics.score_v2([question("a")], {"a": ""}, {"a": 1.0})
    assert scores["exact"] == 100.0 and "NoAns_exact" in scores and "HasAns_exact" not in scores
    assert (scores["best_exact"], scores["best_exact_thresh"]) == (100.0, 0.0)
    scores = metrics.score_v2([question("a", "x")], {"a": "x"}, {"a": -1.0})
    assert scores["exact"] == 100.0 and "HasAns_exact" in scores and "NoAns_exact" not in scores
    assert (scores["best_exact"], scores["best_exact_thresh"]) == (100.0, -1.0)


@pytest.mark.parametrize("seed", range(20))
def test_best_threshold_by_trying_all(seed):
    rng = np.random.RandomState(seed)
    words = "red green blue black".split()
    questions, predictions, null_odds = [], {}, {}
    for i in range(12):
        name = str(i)
        answers = [" ".join(rng.choice(words, 2))] if rng.rand() < 0.6 else []
        questions.append(question(name, *answers))
        predictions[name] = " ".join(rng.choice(words, rng.randint(0, 3)))
        null_odds[name] = float(rng.randn())
    scores = metrics.score_v2(questions, predictions, null_odds)
    tried = {"exact": [], "f1": []}
    for threshold in [-np.inf] + sorted(null_odds.values()):
        kept = {name: text if null_odds[name] <= threshold else "" for name, text in predictions.items()}
        for name, values in tried.items():
            values.append(metrics.score_v2(questions, kept, null_odds)[name])
    for name, values in tried.items():
        assert scores["best_" + name] == pytest.approx(max(values))
        at = {odds: i + 1 for i, odds in enumerate(sorted(null_odds.values()))}.get(scores[f"best_{name}_thresh"], 0)
        assert values[at] == pytest.approx(max(values))
