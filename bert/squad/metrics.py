"""Exact match and F1 of predicted answers, as SQuAD's official evaluation scripts (v1.1 and v2.0) compute them.

All scores are percentages.

>>> exact_match("the Cat!", "cat"), f1("a black cat", "cat sat")
(1.0, 0.5)
"""

import collections
import re
import string

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalize(text):
    """The text in lower case, without ASCII punctuation and English articles, single spaces between words."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction, answer):
    """1.0 where both are the same after `normalize`, else 0.0."""
    return float(normalize(prediction) == normalize(answer))


def f1(prediction, answer):
    """Harmonic mean of precision and recall of words after `normalize`, 0.0 where no word is common."""
    predicted, expected = normalize(prediction).split(), normalize(answer).split()
    common = sum((collections.Counter(predicted) & collections.Counter(expected)).values())
    return 2.0 * common / (len(predicted) + len(expected)) if common else 0.0


def _f1_or_none(prediction, answer):
    """f1, but 1.0 where neither text has a word, as v2.0 scores two missing answers."""
    if not normalize(prediction) or not normalize(answer):
        return exact_match(prediction, answer)
    return f1(prediction, answer)


def score_v1(questions, predictions):
    """Scores of SQuAD 1.1: each question counts with the answer that fits the prediction best.

    Args:
      questions: list of questions.Question, each with at least one answer.
      predictions: dict from question id to text.

    Returns:
      dict: exact_match, f1.
    """
    exact, overlap = [], []
    for question in questions:
        prediction = predictions[question.id]
        exact.append(max(exact_match(prediction, answer) for answer in question.answers))
        overlap.append(max(f1(prediction, answer) for answer in question.answers))
    return {"exact_match": _percentage(exact), "f1": _percentage(overlap)}


def score_v2(questions, predictions, null_odds):
    """Scores of SQuAD 2.0, where the empty text is the answer to an unanswerable question.

    Args:
      questions: list of questions.Question with answers; one with none is unanswerable.
      predictions: dict from question id to text, empty for no answer.
      null_odds: dict from question id to float, higher where no answer is likelier.

    Returns:
      dict: exact, f1, total; the same with the prefixes HasAns_ and NoAns_, where there are such questions; and
      best_exact and best_f1, the scores if questions whose null_odds are above best_exact_thresh and
      best_f1_thresh were left unanswered.
    """
    exact, overlap = {}, {}
    for question in questions:
        prediction = predictions[question.id]
        answers = [answer for answer in question.answers if normalize(answer)] or [""]
        exact[question.id] = max(exact_match(prediction, answer) for answer in answers)
        overlap[question.id] = max(_f1_or_none(prediction, answer) for answer in answers)
    answerable = {question.id: bool(question.answers) for question in questions}
    results = {}
    for prefix, ids in (
        ("", list(answerable)),
        ("HasAns_", [name for name in answerable if answerable[name]]),
        ("NoAns_", [name for name in answerable if not answerable[name]]),
    ):
        if ids:
            results[prefix + "exact"] = _percentage([exact[name] for name in ids])
            results[prefix + "f1"] = _percentage([overlap[name] for name in ids])
            results[prefix + "total"] = len(ids)
    for name, scores in (("exact", exact), ("f1", overlap)):
        best, threshold = _best_threshold(scores, answerable, predictions, null_odds)
        results["best_" + name], results[f"best_{name}_thresh"] = best, threshold
    return results


def _best_threshold(scores, answerable, predictions, null_odds):
    """The best score and its threshold, when the questions with null_odds above a threshold are left unanswered.

    It begins with no question answered, which is right for the unanswerable ones, and then answers them one by one.
    """
    total = best = float(sum(not has_answer for has_answer in answerable.values()))
    threshold = 0.0
    for name in sorted(answerable, key=null_odds.get):
        if answerable[name]:
            total += scores[name]
        elif predictions[name]:
            total -= 1.0
        if total > best:
            best, threshold = total, null_odds[name]
    return 100.0 * best / len(scores), threshold


def _percentage(scores):
    return 100.0 * sum(scores) / len(scores)
