"""Record files of SQuAD windows: written for training and for prediction, and read as the model's input.

Each record holds the int64 lists input_ids, input_mask, segment_ids, of max_seq_length and 0 where padded, unique_ids,
and for training start_positions, end_positions and is_impossible.
"""

import collections
import json
import logging

import tensorflow.compat.v1 as tf
from tqdm import tqdm

from bert.data import batches, records
from bert.data import pairs as data_pairs
from bert.squad.windows import align_questions, features_of, make_windows, pieces_of, target_of
from bert.system.errors import UserError

log = logging.getLogger(__name__)
FORMAT = 1  # raised when the content of a record changes, so that files written before are rebuilt
FIRST_UNIQUE_ID = 1000000000

# How a question and its context are cut into windows: the flags of these names, see windows.make_windows.
WindowSettings = collections.namedtuple("WindowSettings", ["max_seq_length", "doc_stride", "max_query_length"])


def input_fn_builder(path, max_seq_length, is_training, static=False, reading=batches.PLAIN):
    """An input function over a record file; a batch is as long as its longest window.

    Args:
      path: record file of `write_training` or `write_prediction`.
      max_seq_length: length of the lists in the file.
      is_training: shuffle and repeat without end, with the features start_positions and end_positions, int [batch].
      static, reading: as of batches.input_fn_builder.

    Returns:
      input_fn(params) giving dicts: unique_ids int32 [batch], and input_ids, input_mask, segment_ids int32
      [batch, seq_len].
    """
    numbers = ("unique_ids", "start_positions", "end_positions") if is_training else ("unique_ids",)
    columns = {name: tf.io.FixedLenFeature([max_seq_length], tf.int64) for name in data_pairs.FIELDS}
    columns.update({name: tf.io.FixedLenFeature([], tf.int64) for name in numbers})
    return batches.input_fn_builder(path, columns, data_pairs.FIELDS, is_training, static, reading)


def write_training(path, questions, tokenizer, settings, made_from, data_file, verbose=False):
    """Writes the windows of training questions, unless the file is up to date.

    A question whose answer cannot be had from the pieces is left out, and the log says how many were.

    Args:
      path: record file to write.
      questions: list of questions.Question with spans.
      tokenizer: FullTokenizer.
      settings: WindowSettings.
      made_from: JSON value, for the file's fingerprint.
      data_file: path of the file that the questions are from, for messages.
      verbose: log each answer that is left out or not met exactly.

    Returns:
      The number of windows.

    Raises:
      UserError: nothing is left.
    """
    seen = collections.Counter()

    def examples():
        for question, aligned in align_questions(_with_bar(questions, path), tokenizer):
            pieces, kinds = _answer_pieces(question, aligned)
            seen.update(kinds)
            for kind in kinds if verbose else ():
                answer = json.dumps(question.context[slice(*question.span)])
                log.warning("%s: question %s: answer %s: %s", data_file, question.id, answer, kind)
            if question.span is not None and pieces is None:
                continue
            for window in make_windows(question, aligned, tokenizer, *settings):
                start, end = target_of(window, pieces)
                values = _values(window, aligned, seen["windows"], tokenizer, settings.max_seq_length)
                values.update(start_positions=[start], end_positions=[end], is_impossible=[int(question.span is None)])
                seen["windows"] += 1
                seen["without answer"] += end == 0
                yield records.make_example(values)
        if not seen["windows"]:
            raise UserError(f"{data_file}: none of its answers can be had from word pieces; nothing to train on")

    count = records.made(path, made_from, examples)
    if not seen:
        return count
    skipped, without_answer = seen["skipped"], seen["without answer"]
    log.info("%d questions, %d windows, %d of them without the answer", len(questions) - skipped, count, without_answer)
    for kind, consequence in (
        ("skipped", "cannot be recovered from the word pieces of the context: LEFT OUT of training"),
        ("other white space", "differ from the context in white space: trained on as the context has them"),
        ("wider", "begin or end inside a word piece: trained on with the whole piece"),
    ):
        if seen[kind]:
            hint = "" if verbose else " (-verbose_logging lists them)"
            log.warning("warning: %d of %d answers %s%s", seen[kind], len(questions), consequence, hint)
    return count


def _answer_pieces(question, aligned):
    """The pieces of the answer, and in what they differ from the answer in the file.

    Returns:
      (pieces, kinds): (first, last) piece of the answer, None where there is none; list of "skipped", "other white
      space", "wider".
    """
    if question.span is None:
        return None, []
    start, end = question.span
    pieces = pieces_of(aligned, start, end)
    if pieces is None:
        return None, ["skipped"]
    kinds = ["other white space"] if question.context[start:end] != question.answers[0].strip() else []
    if (aligned.starts[pieces[0]], aligned.ends[pieces[1]]) != (start, end):
        kinds.append("wider")
    return pieces, kinds


def write_prediction(path, questions, tokenizer, settings, made_from):
    """Writes the windows of questions to be answered, unless the file is up to date.

    Args:
      path: record file to write.
      questions: list of questions.Question.
      tokenizer: FullTokenizer.
      settings: WindowSettings.
      made_from: JSON value, for the file's fingerprint.

    Returns:
      list of (AlignedText, windows), one for each question.
    """
    contents = []
    for question, aligned in align_questions(_with_bar(questions, path), tokenizer):
        contents.append((aligned, make_windows(question, aligned, tokenizer, *settings)))
    pairs = [(window, aligned) for aligned, windows in contents for window in windows]
    examples = (
        records.make_example(_values(window, aligned, number, tokenizer, settings.max_seq_length))
        for number, (window, aligned) in enumerate(pairs)
    )
    records.made(path, made_from, examples, what=f"windows of {len(questions)} questions")
    return contents


def _with_bar(questions, path):
    """The questions, with a progress bar where standard error is a terminal."""
    return tqdm(questions, desc=path, unit=" questions", disable=None, leave=False)


def _values(window, aligned, number, tokenizer, max_seq_length):
    """The lists of a record, each of max_seq_length, except unique_ids."""
    values = data_pairs.padded(features_of(window, aligned, tokenizer), max_seq_length)
    values["unique_ids"] = [FIRST_UNIQUE_ID + number]
    return values
