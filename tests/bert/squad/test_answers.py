"""The n-best answers against a search that looks at every span there is, and the rules one by one."""

import json
import math

import numpy as np
import pytest

from bert.squad.answers import answer_question
from bert.squad.windows import AlignedText, ContextWindow, cut_spans, length_of, most_context

OFFSET = 4  # [CLS], two pieces of the question, [SEP]


def aligned_text(text):
    """Every character but spaces is a piece."""
    places = [i for i, char in enumerate(text) if char != " "]
    return AlignedText(text, [text[i] for i in places], places, [i + 1 for i in places])


def windows_of(aligned, max_length, doc_stride):
    spans = cut_spans(len(aligned.pieces), max_length, doc_stride)
    best = most_context(spans, len(aligned.pieces))
    windows = []
    for number, (first, count) in enumerate(spans):
        shown_best = [best[i] == number for i in range(first, first + count)]
        windows.append(ContextWindow(["q", "q"], OFFSET, first, count, shown_best))
    return windows


def logits_of(windows, starts, ends, padding=3):
    """Logits from dicts {(window, position in the sequence): logit}, -10 elsewhere."""
    result = []
    for number, window in enumerate(windows):
        pair = []
        for chosen in (starts, ends):
            values = np.full(length_of(window) + padding, -10.0, np.float32)
            for (at, position), value in chosen.items():
                if at == number:
                    values[position] = value
            pair.append(values)
        result.append(tuple(pair))
    return result


def by_brute_force(aligned, windows, logits, n_best_size, max_answer_length):
    """[(text, score)]: all pairs of positions, from the rules as the README of BERT's SQuAD code has them."""
    found = []
    for number, (window, (start_logits, end_logits)) in enumerate(zip(windows, logits)):
        length = length_of(window)
        # A position is looked at if fewer than n_best_size have a higher logit.
        highest = [
            {p for p in range(length) if sum(values[q] > values[p] for q in range(length)) < n_best_size}
            for values in (start_logits, end_logits)
        ]
        for start in range(window.count):
            for end in range(window.count):
                if (
                    OFFSET + start in highest[0]
                    and OFFSET + end in highest[1]
                    and 0 <= end - start < max_answer_length
                    and window.is_max_context[start]
                ):
                    score = float(start_logits[OFFSET + start]) + float(end_logits[OFFSET + end])
                    first, last = aligned.starts[window.first + start], aligned.ends[window.first + end]
                    found.append((score, aligned.text[first:last], number))
    found.sort(reverse=True)
    best = {}
    for score, text, _ in found:
        if text not in best and len(best) < n_best_size:
            best[text] = score
    return sorted(best.items(), key=lambda item: -item[1])


@pytest.mark.parametrize("seed", range(25))
def test_n_best_by_brute_force(seed):
    rng = np.random.RandomState(seed)
    text = "".join(rng.choice(list("abc  "), 30))
    aligned = aligned_text(text)
    windows = windows_of(aligned, rng.randint(4, 12), rng.randint(2, 8))
    logits = [tuple(rng.randn(2, length_of(window) + 2).astype(np.float32)) for window in windows]
    n_best_size, max_answer_length = rng.randint(2, 12), rng.randint(1, 5)
    answer = answer_question(aligned, windows, logits, n_best_size, max_answer_length)
    expected = by_brute_force(aligned, windows, logits, n_best_size, max_answer_length)
    assert answer.null_odds is None
    if not expected:
        expected = [("empty", 0.0)]
    assert [entry["text"] for entry in answer.n_best] == [text for text, _ in expected]
    scores = np.array([entry["start_logit"] + entry["end_logit"] for entry in answer.n_best])
    np.testing.assert_allclose(scores, [score for _, score in expected], rtol=1e-6)
    assert answer.best == expected[0][0]
    powers = np.exp(scores)
    np.testing.assert_allclose([entry["probability"] for entry in answer.n_best], powers / powers.sum(), rtol=1e-6)
    # The layout of nbest_predictions.json, of values that JSON takes.
    assert [list(entry) for entry in answer.n_best] == [["text", "probability", "start_logit", "end_logit"]] * len(
        expected
    )
    json.dumps(answer)


def test_nothing_outside_the_context_or_in_padding():
    aligned = aligned_text("a b c")
    windows = windows_of(aligned, 10, 5)
    outside = {(0, 0): 9, (0, 1): 8, (0, OFFSET + 3): 8, (0, OFFSET + 4): 50, (0, OFFSET + 5): 50}
    starts, ends = dict(outside), dict(outside)
    starts[0, OFFSET + 1] = ends[0, OFFSET + 2] = 1.0
    answer = answer_question(aligned, windows, logits_of(windows, starts, ends), 20, 30)
    assert answer.best == "b c"
    assert {entry["text"] for entry in answer.n_best} == {"a", "b", "c", "a b", "b c", "a b c"}


def test_an_answer_has_at_most_so_many_pieces_and_runs_forward():
    aligned = aligned_text("a b c d")
    windows = windows_of(aligned, 10, 5)
    logits = logits_of(windows, {(0, OFFSET + 1): 5}, {(0, OFFSET + 3): 5, (0, OFFSET): 6})
    assert answer_question(aligned, windows, logits, 20, 3).best == "b c d"
    assert answer_question(aligned, windows, logits, 20, 2).best in ("b", "b c", "c d", "d", "a")
    assert all(len(e["text"].split()) <= 2 for e in answer_question(aligned, windows, logits, 20, 2).n_best)


def test_a_start_counts_in_the_window_with_most_context():
    aligned = aligned_text("a b c d e f g h")
    windows = windows_of(aligned, 5, 3)  # a b c d e | d e f g h
    assert [window.is_max_context for window in windows] == [[True] * 4 + [False], [False] + [True] * 4]
    # The first window is surer of e, in which it has no context; the second is listened to.
    logits = logits_of(windows, {(0, OFFSET + 4): 9, (1, OFFSET + 1): 2}, {(0, OFFSET + 4): 9, (1, OFFSET + 2): 2})
    answer = answer_question(aligned, windows, logits, 20, 30)
    assert answer.best == "e f"
    assert answer.n_best[0]["start_logit"] == 2.0


def test_answers_at_the_edges_of_windows():
    aligned = aligned_text("a b c d e f g h")
    windows = windows_of(aligned, 4, 4)  # a b c d | e f g h
    last = logits_of(windows, {(0, OFFSET + 3): 9}, {(0, OFFSET + 3): 9})
    first = logits_of(windows, {(1, OFFSET): 9}, {(1, OFFSET): 9})
    whole = logits_of(windows, {(1, OFFSET): 9}, {(1, OFFSET + 3): 9})
    assert [answer_question(aligned, windows, each, 20, 30).best for each in (last, first, whole)] == [
        "d",
        "e",
        "e f g h",
    ]


def test_one_text_counts_once_with_its_best_score():
    aligned = aligned_text("x a x")
    windows = windows_of(aligned, 5, 3)
    logits = logits_of(windows, {(0, OFFSET): 1, (0, OFFSET + 2): 4}, {(0, OFFSET): 1, (0, OFFSET + 2): 4})
    answer = answer_question(aligned, windows, logits, 20, 1)
    assert [(entry["text"], entry["start_logit"]) for entry in answer.n_best] == [("x", 4.0), ("a", -10.0)]


def test_the_original_text_between_the_pieces_is_kept():
    aligned = AlignedText("Der  Café\tÜber", ["der", "cafe", "uber"], [0, 5, 10], [3, 9, 14])
    windows = windows_of(aligned, 5, 3)
    logits = logits_of(windows, {(0, OFFSET): 5}, {(0, OFFSET + 2): 5})
    assert answer_question(aligned, windows, logits, 20, 30).best == "Der  Café\tÜber"


def test_no_answer():
    aligned = aligned_text("a b c d e f")
    windows = windows_of(aligned, 3, 3)
    # [CLS] scores 4 + 1 in one window and 1 + 2 in the other: the lower counts, as the other may see no answer.
    starts = {(0, 0): 4, (1, 0): 1, (1, OFFSET + 1): 2}
    ends = {(0, 0): 1, (1, 0): 2, (1, OFFSET + 1): 0.5}
    logits = logits_of(windows, starts, ends)
    for threshold, best in ((0.0, ""), (0.49, ""), (0.5, "e"), (3.0, "e")):
        answer = answer_question(aligned, windows, logits, 20, 30, threshold)
        assert answer.null_odds == 3.0 - 2.5
        assert answer.best == best  # "" where null_odds is above the threshold
        assert [entry["text"] for entry in answer.n_best][:2] == ["", "e"]
        assert (answer.n_best[0]["start_logit"], answer.n_best[0]["end_logit"]) == (1.0, 2.0)


def test_no_answer_is_among_the_n_best_even_if_it_is_the_worst():
    aligned = aligned_text("a b c")
    windows = windows_of(aligned, 3, 3)
    scores = {(0, OFFSET + i): 0.0 for i in range(3)}
    scores[0, 0] = -50
    logits = logits_of(windows, scores, scores)
    answer = answer_question(aligned, windows, logits, 4, 30, 0.0)
    assert len(answer.n_best) == 5 and answer.n_best[-1]["text"] == ""
    assert answer.null_odds == -100.0


def test_where_no_span_is_valid():
    aligned = aligned_text("")
    windows = windows_of(aligned, 5, 3)
    logits = logits_of(windows, {(0, 0): 1}, {(0, 0): 2})
    answer = answer_question(aligned, windows, logits, 20, 30)
    assert (answer.best, len(answer.n_best), answer.n_best[0]["probability"]) == ("empty", 1, 1.0)
    answer = answer_question(aligned, windows, logits, 20, 30, 0.0)
    assert (answer.best, answer.null_odds) == ("", 3.0)
    assert [entry["text"] for entry in answer.n_best] == ["empty", ""]
    assert answer.n_best[1]["probability"] == pytest.approx(math.exp(3) / (1 + math.exp(3)))
