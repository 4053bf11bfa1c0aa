"""Logits in, answers out: the n-best spans of a question over all its windows, as text of the original context.

The rules are those of Google BERT's run_squad.py.
"""

import collections
import math

import numpy as np

from bert.squad.windows import length_of, text_of

# text: str, empty for no answer; start_logit, end_logit: float.
Candidate = collections.namedtuple("Candidate", ["text", "start_logit", "end_logit"])
# best: str; n_best: list of dicts as in nbest_predictions.json; null_odds: float, None without unanswerable questions.
Answer = collections.namedtuple("Answer", ["best", "n_best", "null_odds"])

# The answer where no span is valid.
NOTHING = Candidate("empty", 0.0, 0.0)


def answer_question(aligned, windows, logits, n_best_size, max_answer_length, null_threshold=None):
    """The answer to one question, cut exactly out of its context.

    Args:
      aligned: AlignedText of its context.
      windows: its windows.
      logits: for each of them (start, end), float [seq_len] each, seq_len at least the window's length.
      n_best_size, max_answer_length, null_threshold: as of `choose_answer`.

    Returns:
      Answer.
    """
    without_padding = []
    for window, (start_logits, end_logits) in zip(windows, logits):
        length = length_of(window)
        without_padding.append((start_logits[:length], end_logits[:length]))

    def text(first, last):
        return text_of(aligned, first, last)

    return choose_answer(windows, without_padding, text, n_best_size, max_answer_length, null_threshold)


def choose_answer(windows, logits, text_of_pieces, n_best_size, max_answer_length, null_threshold=None):
    """The answer to one question.

    Args:
      windows: its windows.
      logits: for each of them (start, end), float [seq_len] each; best positions are looked for in all of them.
      text_of_pieces: function from the first and the last piece of a span, numbered as the windows do, to its text.
      n_best_size: number of candidates kept, and of start and end positions tried in each window.
      max_answer_length: most pieces in an answer.
      null_threshold: the question is left unanswered where null_odds is above it; None where every question has an
        answer.

    Returns:
      Answer. Its null_odds is the lowest score of [CLS] in a window less the score of the best span; a score is the sum
      of start and end logit.
    """
    spans = []
    for window, (start_logits, end_logits) in zip(windows, logits):
        spans += _valid_spans(window, start_logits, end_logits, n_best_size, max_answer_length)
    null = None
    if null_threshold is not None:
        null = min((Candidate("", float(start[0]), float(end[0])) for start, end in logits), key=_score)
        spans.append((null.start_logit, null.end_logit, None))
    spans.sort(key=lambda span: span[0] + span[1], reverse=True)
    candidates = _distinct(text_of_pieces, spans, n_best_size)
    if null is not None and null not in candidates:
        candidates.append(null)
    if not any(candidate.text for candidate in candidates):
        candidates.insert(0, NOTHING)

    probabilities = _softmax([_score(candidate) for candidate in candidates])
    n_best = [
        collections.OrderedDict(
            text=candidate.text,
            probability=probability,
            start_logit=candidate.start_logit,
            end_logit=candidate.end_logit,
        )
        for candidate, probability in zip(candidates, probabilities)
    ]
    best = next(candidate for candidate in candidates if candidate.text)
    if null is None:
        return Answer(best.text, n_best, None)
    null_odds = _score(null) - best.start_logit - best.end_logit
    return Answer("" if null_odds > null_threshold else best.text, n_best, null_odds)


def _score(candidate):
    return candidate.start_logit + candidate.end_logit


def _valid_spans(window, start_logits, end_logits, n_best_size, max_answer_length):
    """The spans of a window that may be an answer: [(start logit, end logit, (first, last) piece of the context)]."""
    starts = [position - window.offset for position in _highest(start_logits, n_best_size)]
    ends = [position - window.offset for position in _highest(end_logits, n_best_size)]
    spans = []
    for start in starts:
        # A start that another window shows with more context is left to that window.
        if not 0 <= start < window.count or not window.is_max_context[start]:
            continue
        for end in ends:
            if start <= end < min(start + max_answer_length, window.count):
                start_logit = float(start_logits[window.offset + start])
                end_logit = float(end_logits[window.offset + end])
                spans.append((start_logit, end_logit, (window.first + start, window.first + end)))
    return spans


def _highest(logits, count):
    """Positions of the highest logits, the highest first; equal ones stay in order."""
    return np.argsort(-np.asarray(logits), kind="stable")[:count].tolist()


def _distinct(text_of_pieces, spans, n_best_size):
    """The first n_best_size candidates that differ in their text."""
    candidates = collections.OrderedDict()
    for start_logit, end_logit, pieces in spans:
        if len(candidates) == n_best_size:
            break
        text = text_of_pieces(*pieces) if pieces else ""
        candidates.setdefault(text, Candidate(text, start_logit, end_logit))
    return list(candidates.values())


def _softmax(scores):
    # Summed one by one, as Google's program does, so that the digits in the files are the same.
    powers = [math.exp(score - max(scores)) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]
