"""What a server's answer has to be: one check for REST and gRPC, before anything is made of an answer.

A server may be of another kind or version, be broken, or mean harm. What does not fit the request is a ValueError.
"""

import collections
import math
import reprlib

from train.data.schemes import SCHEMES
from train.data.windows import Prediction
from train.serving.errors import ServingError

# The answer for a text: for each of its words spans (start, end), tags, scores, entity_scores and pieces; whether it is
# too_long, how many pieces the model takes, and the scheme of the tags or "" for none. Of an export of an earlier
# version entity_scores is None.
Answer = collections.namedtuple("Answer", "spans tags scores entity_scores pieces too_long max_pieces scheme")

# The outputs of the two signatures that are read.
OF_TEXTS = ("starts", "ends", "tags", "scores", "pieces", "word_count", "too_long", "max_pieces", "scheme")
OF_WINDOWS = ("pred_ids", "scores")
ENTITY_SCORES = "entity_scores"  # of both, where the export is not of an earlier version
LONGEST_WINDOW = 1 << 20  # pieces that a model may take; no encoder has so many positions
_MEGABYTE = 1 << 20
# Most of an answer is its words, of a few hundred bytes each. A request of so many words may be answered by as much as
# the limit allows, a smaller one by as much less, but for the least share.
_WORDS_AT_LIMIT, _LEAST_WORDS = 1 << 16, 1 << 10
_SLACK = 0.01  # how far from 0 to 1 rounding may put a probability


def size_of(inputs):
    """(rows, widest) of a request: how many rows, and how many words or pieces a row of its answer has at most.

    Args:
      inputs: dict from name to list of str, or to numpy array [rows, seq_len].
    """
    rows = next(iter(inputs.values()))
    return len(rows), max([1, *map(len, rows)])


def most_bytes(size, max_answer_mb):
    """The bytes that are read of the answer to a request, at most.

    Args:
      size: that of the request, see `size_of`.
      max_answer_mb: megabytes of the largest answer.
    """
    rows, widest = size
    words = min(max(rows * widest, _LEAST_WORDS), _WORDS_AT_LIMIT)
    return int(max_answer_mb * _MEGABYTE * words / _WORDS_AT_LIMIT)


def too_much(server, most, max_answer_mb):
    """The ServingError for an answer of more than `most` bytes."""
    return ServingError(
        f"{server}: an answer of more than {most} bytes; expected no more for this request while -max_answer_mb is "
        f"{max_answer_mb:g}"
    )


def check_outputs(outputs, names, rows):
    """ValueError unless each of these outputs is there, a list with so many rows.

    Args:
      outputs: dict from name to value.
      names: of the outputs that are needed.
      rows: how many.
    """
    for name in names:
        values = outputs.get(name)
        if not isinstance(values, list) or len(values) != rows:
            raise ValueError(f"expected {name} of {rows} texts; found {reprlib.repr(sorted(outputs, key=str))}")


def text_answers(outputs, lengths):
    """The answers to a request of texts.

    Args:
      outputs: dict from each of OF_TEXTS, and maybe ENTITY_SCORES, to a list with a row for every text.
      lengths: how many characters each text has.

    Returns:
      list of Answer.

    Raises:
      ValueError: the outputs do not describe words of such texts.
    """
    names = OF_TEXTS + _entity_scores(outputs)
    check_outputs(outputs, names, len(lengths))
    rows = zip(*(outputs[name] for name in names))
    return [_text_answer(length, dict(zip(names, row))) for length, row in zip(lengths, rows)]


def _entity_scores(outputs):
    return (ENTITY_SCORES,) if ENTITY_SCORES in outputs else ()


def _text_answer(length, row):
    count, too_long, max_pieces, scheme = (row[name] for name in ("word_count", "too_long", "max_pieces", "scheme"))
    _check("word_count", count, _is_int(count, 0, length), f"0 to {length}")
    _check("too_long", too_long, type(too_long) is bool, "true or false")
    _check("max_pieces", max_pieces, _is_int(max_pieces, 1, LONGEST_WINDOW), "a whole number above 0")
    _check("scheme", scheme, isinstance(scheme, str) and scheme in ("", *SCHEMES), "a tagging scheme")
    starts, ends, tags, scores, pieces = (_column(name, row[name], count) for name in OF_TEXTS[:5])
    before = 0
    for start, end in zip(starts, ends):
        fits = _is_int(start, before, length) and _is_int(end, start + 1, length)
        _check("starts and ends", (start, end), fits, f"words one after another in {length} characters")
        before = end
    for tag in tags:
        # What is beyond the model's length has no tag yet.
        _check("tags", tag, _is_text(tag) and (tag or too_long), "a tag")
    _check_scores(scores)
    entity_scores = None
    if ENTITY_SCORES in row:
        entity_scores = _column(ENTITY_SCORES, row[ENTITY_SCORES], count)
        _check_scores(entity_scores, ENTITY_SCORES)
    for number in pieces:
        _check("pieces", number, _is_int(number, 0, max_pieces), f"0 to {max_pieces}")
    return Answer(list(zip(starts, ends)), tags, scores, entity_scores, pieces, too_long, max_pieces, scheme)


def predictions(outputs, rows, seq_len, num_labels):
    """The answers to a request of windows.

    Args:
      outputs: dict from each of OF_WINDOWS, and maybe ENTITY_SCORES, to a list with a row for every window.
      rows, seq_len: of the request.
      num_labels: label ids that there are, padding's included.

    Returns:
      list of windows.Prediction.

    Raises:
      ValueError: the outputs are no label ids and probabilities of such windows.
    """
    names = OF_WINDOWS + _entity_scores(outputs)
    check_outputs(outputs, names, rows)
    found = []
    for row in zip(*(outputs[name] for name in names)):
        for name, column in zip(names, row):
            if len(_column(name, column, seq_len)) != len(column):
                raise ValueError(f"{name}: {len(column)} in a row; expected {seq_len}")
        label_ids, *of_pieces = row
        for label_id in label_ids:
            _check("pred_ids", label_id, _is_int(label_id, 0, num_labels - 1), f"0 to {num_labels - 1}")
        for name, scores in zip(names[1:], of_pieces):
            _check_scores(scores, name)
        found.append(Prediction(label_ids, of_pieces[0], None, *of_pieces[1:]))
    return found


def _column(name, values, count):
    """The first `count` of a row's values; ValueError where it has less."""
    if not isinstance(values, list) or len(values) < count:
        found = len(values) if isinstance(values, list) else reprlib.repr(values)
        raise ValueError(f"{name}: {found} in a row; expected {count}")
    return values[:count]


def _check_scores(scores, name="scores"):
    for score in scores:
        fits = type(score) in (int, float) and math.isfinite(score) and -_SLACK <= score <= 1 + _SLACK
        _check(name, score, fits, "a probability")


def _check(name, value, fits, expected):
    if not fits:
        raise ValueError(f"{name}: {reprlib.repr(value)}; expected {expected}")


def _is_int(value, least, most):
    return type(value) is int and least <= value <= most


def _is_text(value):
    """Whether a value is a str that can be written in UTF-8: JSON may hold halves of surrogate pairs."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)
