"""SQuAD 1.1 and 2.0 files: JSON in, questions out, every question checked as it is read.

A file is {"data": [{"paragraphs": [{"context": ..., "qas": [{"id": ..., "question": ..., "answers": [{"text": ...,
"answer_start": ...}], "is_impossible": ...}]}]}]}. `is_impossible` belongs to SQuAD 2.0; the answers to an unanswerable
question are an empty list.
"""

import collections
import logging

from bert.system.errors import UserError, shorten
from bert.system.files import read_json

log = logging.getLogger(__name__)

# id, text, context: str; answers: tuple of str, None where the file says nothing of them; span: (start, end) of the
# first answer in the context, in characters and without white space at its ends; None for an unanswerable question.
Question = collections.namedtuple("Question", ["id", "text", "context", "answers", "span"])

LISTED = 10  # questions that are passed over have a line each in the log, up to so many
_KINDS = {str: "a string", int: "a whole number", list: "a list", bool: "true or false"}


def read_training(path, with_negative):
    """The questions of a training file, with the span of the first answer, or None for an unanswerable question.

    A question whose answer is not in the context at its answer_start is passed over, and the log says so; differences
    in white space do not count.

    Args:
      path: a SQuAD file.
      with_negative: whether questions may be unanswerable, as in SQuAD 2.0.

    Returns:
      list of Question, those of a paragraph sharing one context.

    Raises:
      UserError: the file is not of this form, or no question with an answer at its answer_start is in it.
    """

    questions, misplaced = [], []
    for question, qa, where in read_all(path):
        if with_negative and field(qa, "is_impossible", bool, where):
            questions.append(question)
            continue
        answers = field(qa, "answers", list, where)
        if not answers:
            hint = "" if with_negative else ", or -version_2_with_negative for a file of SQuAD 2.0"
            raise UserError(f"{where}: no answer; expected one{hint}")
        text = field(answers[0], "text", str, where)
        if not text.strip():
            raise UserError(f"{where}: the answer is empty; expected a text")
        start = field(answers[0], "answer_start", int, where)
        span = _locate(text, start, question.context)
        if span is None:
            found = question.context[start : start + len(text)] if start >= 0 else ""
            misplaced.append(f"{where}: expected the answer {_shown(text)} at its answer_start {start}, found "
                             f"{_shown(found)}")  # fmt: skip
        else:
            questions.append(question._replace(answers=(text,), span=span))
    if misplaced and not any(question.span for question in questions):
        raise UserError(f"{misplaced[0]}; no question is left: expected answers at their answer_start")
    for line in misplaced[:LISTED]:
        log.warning("%s: passed over", line)
    if misplaced:
        more = f", the first {LISTED} above" if len(misplaced) > LISTED else ""
        log.warning("%s: %d questions passed over, whose answer is not at its answer_start%s; %d are left", path,
                    len(misplaced), more, len(questions))  # fmt: skip
    return questions


def read_prediction(path):
    """The questions of a file to be answered; answers in it serve for scoring only.

    Returns:
      list of Question without spans, those of a paragraph sharing one context.

    Raises:
      UserError: the file is not of this form, or two questions have the same id.
    """

    seen = set()
    questions = []
    for question, qa, where in read_all(path):
        if question.id in seen:
            raise UserError(f"{path}: two questions have the id {question.id}; expected each once")
        seen.add(question.id)
        if "answers" in qa:
            answers = field(qa, "answers", list, where)
            question = question._replace(answers=tuple(field(answer, "text", str, where) for answer in answers))
        questions.append(question)
    return questions


def read_all(path):
    """The questions of a SQuAD file.

    Yields:
      (Question without answers and span, its JSON object, its place for error messages).

    Raises:
      UserError: the file is not of this form.
    """
    found = False
    for i, article in enumerate(field(read_json(path), "data", list, path)):
        for j, paragraph in enumerate(field(article, "paragraphs", list, f"{path}: data[{i}]")):
            place = f"{path}: data[{i}] paragraphs[{j}]"
            context = field(paragraph, "context", str, place)
            for qa in field(paragraph, "qas", list, place):
                name = field(qa, "id", str, place)
                where = f"{path}: question {name}"
                found = True
                yield Question(name, field(qa, "question", str, where), context, None, None), qa, where
    if not found:
        raise UserError(f"{path}: no question in it; expected at least one")


def _locate(text, start, context):
    """(start, end) of an answer in the context, in characters, white space at its ends left out; None if not there."""
    stripped = text.strip()
    if start >= 0:
        if context.startswith(text, start):
            start += text.index(stripped)
            return start, start + len(stripped)
        return _same_but_for_space(text, start, context)
    return None


def _same_but_for_space(text, start, context):
    """(start, end) of a text that stands in the context from `start` on, but for white space; None if it does not.

    White space at the ends is left out.
    """
    begin = end = _behind_space(context, min(start, len(context)))
    for char in "".join(text.split()):
        end = _behind_space(context, end)
        if context[end : end + 1] != char:
            return None
        end += 1
    return begin, end


def _behind_space(text, place):
    """The first place from `place` on that has no white space."""
    while text[place : place + 1].isspace():
        place += 1
    return place


def field(holder, name, kind, where):
    """holder[name]; UserError where it is missing or not of the expected type."""
    if not isinstance(holder, dict) or name not in holder:
        raise UserError(f"{where}: expected an object with '{name}', as in a SQuAD file")
    value = holder[name]
    if type(value) is not kind:  # True is an int too
        raise UserError(f"{where}: '{name}' is {_shown(value)}; expected {_KINDS[kind]}")
    if kind is str:
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UserError(f"{where}: '{name}' has half a surrogate pair at {error.start}; expected whole characters")
    return value


def _shown(value):
    return shorten(repr(value), 40)
