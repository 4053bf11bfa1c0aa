"""train/mymetrics.py against scikit-learn, tables made by hand, and entities counted by the test itself."""

import doctest
import warnings

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from train import mymetrics

LABELS = ["O", "B-PER", "I-PER", "B-LOC"]
PAIRS = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=60)


@settings(deadline=None)
@given(PAIRS, st.permutations([*LABELS, "B-ORG"]))
def test_confusion_matrix_equals_scikit_learn(pairs, labels):
    gold, predicted = zip(*pairs)
    matrix = mymetrics.confusion_matrix(gold, predicted, labels)
    np.testing.assert_array_equal(matrix, sklearn.metrics.confusion_matrix(gold, predicted, labels=labels))
    assert matrix.dtype == np.int64 and matrix.sum() == len(pairs)


@settings(deadline=None)
@given(PAIRS)
def test_label_accuracy_equals_scikit_learn(pairs):
    gold, predicted = zip(*pairs)
    labels = [*LABELS, "B-ORG"]
    _, recall, _, support = sklearn.metrics.precision_recall_fscore_support(
        gold, predicted, labels=labels, zero_division=0
    )
    scores = mymetrics.label_accuracy(gold, predicted, labels)
    assert list(scores) == labels
    assert [score.support for score in scores.values()] == support.tolist()
    np.testing.assert_allclose([score.accuracy for score in scores.values()], recall)
    assert sum(score.correct for score in scores.values()) == sum(g == p for g, p in pairs)
    assert scores["B-ORG"] == (0, 0, 0.0)


def test_ids_and_tags_give_the_same():
    names = dict(enumerate(LABELS, start=1))
    random = np.random.RandomState(0)
    gold, predicted = random.randint(1, 5, [2, 50])
    by_id = (gold, predicted, names)
    by_tag = ([names[index] for index in gold], [names[index] for index in predicted], LABELS)
    np.testing.assert_array_equal(mymetrics.confusion_matrix(*by_id), mymetrics.confusion_matrix(*by_tag))
    assert list(mymetrics.label_accuracy(*by_id)) == [1, 2, 3, 4]
    assert list(mymetrics.label_accuracy(*by_id).values()) == list(mymetrics.label_accuracy(*by_tag).values())
    assert mymetrics.label_table(*by_id) == mymetrics.label_table(*by_tag)
    assert mymetrics.confusion_table(*by_id) == mymetrics.confusion_table(*by_tag)


GOLD = ["O", "O", "O", "B-人名", "B-人名", "I-人名", "B-LOC"]
PREDICTED = ["O", "O", "B-LOC", "B-人名", "O", "I-人名", "O"]
NAMES = ["O", "B-人名", "I-人名", "B-LOC", "I-LOC"]


def test_label_table_by_hand():
    assert mymetrics.label_table(GOLD, PREDICTED, NAMES).split("\n") == [
        "label   support  correct  accuracy",
        "O             3        2    0.6667",
        "B-人名        2        1    0.5000",
        "I-人名        1        1    1.0000",
        "B-LOC         1        0    0.0000",
        "I-LOC         0        0    0.0000",
        "",
        "all           7        4    0.5714",
    ]


def test_confusion_table_by_hand():
    assert mymetrics.confusion_table(GOLD, PREDICTED, NAMES).split("\n") == [
        "gold \\ predicted  O  B-人名  I-人名  B-LOC  I-LOC",
        "O                 2       0       0      1      0",
        "B-人名            1       1       0      0      0",
        "I-人名            0       0       1      0      0",
        "B-LOC             1       0       0      0      0",
        "I-LOC             0       0       0      0      0",
    ]


def test_counts_wider_than_their_label():
    table = mymetrics.confusion_table(["O"] * 12345, ["O"] * 12345, ["O", "B"])
    assert [line.split() for line in table.split("\n")[1:]] == [["O", "12345", "0"], ["B", "0", "0"]]
    assert len({len(line) for line in table.split("\n")}) == 1


def test_no_words():
    assert mymetrics.confusion_matrix([], [], ["O", "B"]).tolist() == [[0, 0], [0, 0]]
    assert mymetrics.label_table([], [], ["O"]).split() == (
        ["label", "support", "correct", "accuracy"] + ["O", "0", "0", "0.0000"] + ["all", "0", "0", "0.0000"]
    )


@pytest.mark.parametrize(
    "gold, predicted, labels, message",
    [
        (["O", "O"], ["O"], ["O"], "2 gold labels and 1 predicted"),
        (["O"], ["X"], ["O"], "'X'"),
        ([0], [1], {1: "O"}, "0"),
        (["O"], ["O"], ["O", "O"], "each once"),
    ],
)
def test_bad_arguments(gold, predicted, labels, message):
    for function in (mymetrics.confusion_matrix, mymetrics.label_accuracy, mymetrics.label_table):
        with pytest.raises(ValueError, match=message):
            function(gold, predicted, labels)


# --- entities


def entities(sentences):
    """{(type, sentence, first word, word behind the last)}; an I- that continues nothing begins an entity."""
    found = set()
    for index, tags in enumerate(sentences):
        start = 0
        while start < len(tags):
            end = start + 1
            if tags[start] != "O":
                while end < len(tags) and tags[end] == "I-" + tags[start][2:]:
                    end += 1
                found.add((tags[start][2:], index, start, end))
            start = end
    return found


def ratios(gold, predicted):
    correct = len(gold & predicted)
    p = correct / len(predicted) if predicted else 0.0
    r = correct / len(gold) if gold else 0.0
    return [p, r, 2 * p * r / (p + r) if p + r else 0.0]


def rows(table):
    """{name: [precision, recall, F1, support]} of a seqeval report."""
    lines = [line.split() for line in table.split("\n")[1:] if line.strip()]
    return {" ".join(line[:-4]): [float(number) for number in line[-4:]] for line in lines}


TAG = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-a-b"])
SENTENCES = st.lists(st.lists(st.tuples(TAG, TAG), max_size=8), max_size=4)


@settings(deadline=None)
@given(SENTENCES)
def test_entity_table_equals_own_count(sentences):
    gold = [[pair[0] for pair in sentence] for sentence in sentences]
    predicted = [[pair[1] for pair in sentence] for sentence in sentences]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = mymetrics.entity_table(gold, predicted)
    gold, predicted = entities(gold), entities(predicted)
    types = sorted({entity[0] for entity in gold | predicted})
    if not types:
        assert table.startswith("no entities") and table.count("\n") == 1
        return
    expected = {}
    for name in types:
        ours, theirs = ({entity for entity in part if entity[0] == name} for part in (gold, predicted))
        expected[name] = [*ratios(ours, theirs), len(ours)]
    expected["micro avg"] = [*ratios(gold, predicted), len(gold)]
    found = rows(table)
    assert list(found) == [*types, "micro avg", "macro avg", "weighted avg"]
    for name, numbers in expected.items():
        np.testing.assert_allclose(found[name], numbers, atol=5.1e-5)
    macro = np.mean([expected[name][:3] for name in types], axis=0)
    np.testing.assert_allclose(found["macro avg"][:3], macro, atol=5.1e-5)


def test_entity_table_text():
    gold = [["B-PER", "I-PER", "O"], ["B-LOC"], ("B-LOC", "O")]
    predicted = [["B-PER", "I-PER", "B-LOC"], ["B-LOC"], ("O", "O")]
    assert mymetrics.entity_table(gold, predicted).split("\n") == [
        "              precision    recall  f1-score   support",
        "",
        "         LOC     0.5000    0.5000    0.5000         2",
        "         PER     1.0000    1.0000    1.0000         1",
        "",
        "   micro avg     0.6667    0.6667    0.6667         3",
        "   macro avg     0.7500    0.7500    0.7500         3",
        "weighted avg     0.6667    0.6667    0.6667         3",
        "",
    ]


@pytest.mark.parametrize(
    "tags, well_formed",
    [
        (["O", "I-PER", "I-PER"], ["O", "B-PER", "I-PER"]),
        (["B-PER", "I-LOC", "I-LOC"], ["B-PER", "B-LOC", "I-LOC"]),
        (["I-PER", "B-PER", "I-PER"], ["B-PER", "B-PER", "I-PER"]),
    ],
)
def test_ill_formed_sequences_mean_what_the_docstring_says(tags, well_formed):
    """Scored against its well-formed equal, everything is found."""
    for row in rows(mymetrics.entity_table([well_formed], [tags])).values():
        assert row[:3] == [1.0, 1.0, 1.0]


def test_bioes():
    gold = [["S-PER", "B-LOC", "I-LOC", "E-LOC"]]
    predicted = [["S-PER", "B-LOC", "E-LOC", "S-LOC"]]
    found = rows(mymetrics.entity_table(gold, predicted))
    assert found["PER"] == [1.0, 1.0, 1.0, 1.0] and found["LOC"] == [0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("predicted", [[["O"], ["O"]], [["O", "O"]], []])
def test_sentences_must_match(predicted):
    with pytest.raises(ValueError, match="same words"):
        mymetrics.entity_table([["O", "B-PER"], ["O"]], predicted)


def test_docstring_examples():
    result = doctest.testmod(mymetrics)
    assert result.attempted and not result.failed
