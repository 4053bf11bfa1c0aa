"""SQuAD in Google BERT's way: contexts as words, features for the model, and record files of them.

The names, parameters and defaults are those of Google's run_squad.py. An answer is a span of whole words here; our own
program knows every character, see windows.py.
"""

import logging

import tensorflow.compat.v1 as tf

from bert.data import inputs, pairs, records
from bert.squad import questions, windows
from bert.squad.records import FIRST_UNIQUE_ID

log = logging.getLogger(__name__)
SPACES = " \t\r\n\u202f"  # what parts the words of a context


class SquadExample:
    """A question, the words of its context, and the answer as a span of these words.

    Args:
      qas_id: str, the question's id.
      question_text: str.
      doc_tokens: list of str, the words of the context.
      orig_answer_text: str, "" for an unanswerable question; None where it is not known.
      start_position, end_position: first and last word of the answer, -1 for an unanswerable question; None where they
        are not known.
      is_impossible: whether the question is unanswerable.
    """

    def __init__(
        self,
        qas_id,
        question_text,
        doc_tokens,
        orig_answer_text=None,
        start_position=None,
        end_position=None,
        is_impossible=False,
    ):
        self.qas_id = qas_id
        self.question_text = question_text
        self.doc_tokens = doc_tokens
        self.orig_answer_text = orig_answer_text
        self.start_position = start_position
        self.end_position = end_position
        self.is_impossible = is_impossible

    def __repr__(self):
        text = f"qas_id: {self.qas_id}, question_text: {self.question_text}, doc_tokens: [{' '.join(self.doc_tokens)}]"
        if self.start_position is not None:
            text += f", start_position: {self.start_position}, end_position: {self.end_position}"
        return text + (", is_impossible: True" if self.is_impossible else "")


class InputFeatures:
    """A window of a context as the model reads it.

    Args:
      unique_id: int.
      example_index, doc_span_index: number of the example, and of the window among its windows.
      tokens: list of str, the pieces with [CLS] and [SEP].
      token_to_orig_map: dict from the position of each piece of the context to its word.
      token_is_max_context: dict from the position of each piece of the context to whether no other window shows it with
        more context.
      input_ids, input_mask, segment_ids: lists of max_seq_length ints.
      start_position, end_position: of the answer in the window, both 0 where it is not in it; None where not known.
      is_impossible: whether the question is unanswerable.
    """

    def __init__(
        self,
        unique_id,
        example_index,
        doc_span_index,
        tokens,
        token_to_orig_map,
        token_is_max_context,
        input_ids,
        input_mask,
        segment_ids,
        start_position=None,
        end_position=None,
        is_impossible=None,
    ):
        self.unique_id = unique_id
        self.example_index = example_index
        self.doc_span_index = doc_span_index
        self.tokens = tokens
        self.token_to_orig_map = token_to_orig_map
        self.token_is_max_context = token_is_max_context
        self.input_ids = input_ids
        self.input_mask = input_mask
        self.segment_ids = segment_ids
        self.start_position = start_position
        self.end_position = end_position
        self.is_impossible = is_impossible


def read_squad_examples(input_file, is_training, version_2_with_negative=False):
    """The examples of a SQuAD file, a list.

    Args:
      input_file: a file as questions.py reads it.
      is_training: whether examples have answers; one whose answer is not in its words is left out, with a warning.
      version_2_with_negative: whether questions may be unanswerable, as in SQuAD 2.0. Google's function takes it from
        its flag of this name.

    Raises:
      UserError: the file is not of this form.
      ValueError: a question of a training file does not have exactly one answer.
    """
    examples = []
    context = words = places = None
    for question, qa, where in questions.read_all(input_file):
        if question.context is not context:
            context = question.context
            words, places = _words(context)
        if not is_training:
            examples.append(SquadExample(question.id, question.text, words))
            continue
        if version_2_with_negative and questions.field(qa, "is_impossible", bool, where):
            examples.append(SquadExample(question.id, question.text, words, "", -1, -1, True))
            continue
        answers = questions.field(qa, "answers", list, where)
        if len(answers) != 1:
            raise ValueError(f"{where}: {len(answers)} answers; expected exactly one in a training file")
        text = questions.field(answers[0], "text", str, where)
        span = _span_of(text, questions.field(answers[0], "answer_start", int, where), words, places)
        if span is None:
            log.warning("%s: the answer %r is not at its answer_start: left out", where, text)
        else:
            examples.append(SquadExample(question.id, question.text, words, text, *span))
    return examples


def _words(context):
    """(words, places): the words of a context, and for each of its characters the number of the word it is in."""
    words, places, is_inside = [], [], False
    for char in context:
        if char in SPACES:
            is_inside = False
        elif is_inside:
            words[-1] += char
        else:
            words.append(char)
            is_inside = True
        places.append(len(words) - 1)
    return words, places


def _span_of(text, start, words, places):
    """(first, last) word of an answer; None where those words do not hold it."""
    if not text or start < 0 or start + len(text) > len(places):
        return None
    first, last = max(places[start], 0), places[start + len(text) - 1]
    return (first, last) if " ".join(text.split()) in " ".join(words[first : last + 1]) else None


def convert_examples_to_features(
    examples, tokenizer, max_seq_length, doc_stride, max_query_length, is_training, output_fn
):
    """Cuts the contexts into windows and gives the features of each to `output_fn`.

    Args:
      examples: iterable of SquadExample.
      tokenizer: FullTokenizer.
      max_seq_length: length of the features' lists.
      doc_stride: pieces from one window of a long context to the next.
      max_query_length: pieces of a question, at most.
      is_training: whether the examples have answers.
      output_fn: function that takes an InputFeatures.
    """
    unique_id = FIRST_UNIQUE_ID
    for number, example in enumerate(examples):
        document = _Document(example.doc_tokens, tokenizer)
        answer = document.answer_pieces(example) if is_training and not example.is_impossible else None
        question = questions.Question(example.qas_id, example.question_text, None, None, None)
        cut = windows.make_windows(question, document, tokenizer, max_seq_length, doc_stride, max_query_length)
        for index, window in enumerate(cut):
            encoded = windows.features_of(window, document, tokenizer)
            start, end = windows.target_of(window, answer) if is_training else (None, None)
            positions = range(window.offset, window.offset + window.count)
            output_fn(
                InputFeatures(
                    unique_id,
                    number,
                    index,
                    encoded.tokens,
                    dict(zip(positions, document.words[window.first : window.first + window.count])),
                    dict(zip(positions, window.is_max_context)),
                    start_position=start,
                    end_position=end,
                    is_impossible=example.is_impossible,
                    **pairs.padded(encoded, max_seq_length),
                )
            )
            unique_id += 1


class _Document:
    """The pieces of a context that is a list of words.

    Attributes:
      pieces: list of str.
      words: the number of each piece's word.
    """

    def __init__(self, doc_tokens, tokenizer):
        self._tokenizer = tokenizer
        self.pieces, self.words = [], []
        self._first = []  # the first piece of each word
        for number, word in enumerate(doc_tokens):
            self._first.append(len(self.pieces))
            self.pieces += tokenizer.tokenize(word)
            self.words += [number] * (len(self.pieces) - len(self.words))
        self._first.append(len(self.pieces))

    def answer_pieces(self, example):
        """(first, last) piece of an example's answer: of its words, or the part of them that is just the answer."""
        first, last = self._first[example.start_position], self._first[example.end_position + 1] - 1
        wanted = " ".join(self._tokenizer.tokenize(example.orig_answer_text))
        for start in range(first, last + 1):
            for end in range(last, start - 1, -1):
                if " ".join(self.pieces[start : end + 1]) == wanted:
                    return start, end
        return first, last


class FeatureWriter:
    """Writes InputFeatures to a record file, which appears under its name when it is closed.

    Args:
      filename: record file.
      is_training: whether the features have answers.

    Attributes:
      num_features: features written so far.
    """

    def __init__(self, filename, is_training):
        self.filename = filename
        self.is_training = is_training
        self.num_features = 0
        self._file = records.record_writer(filename)
        self._writer = self._file.__enter__()

    def process_feature(self, feature):
        """Writes one InputFeatures."""
        self.num_features += 1
        values = {name: getattr(feature, name) for name in pairs.FIELDS}
        values["unique_ids"] = [feature.unique_id]
        if self.is_training:
            values["start_positions"] = [feature.start_position]
            values["end_positions"] = [feature.end_position]
            values["is_impossible"] = [int(bool(feature.is_impossible))]
        self._writer.write(records.serialized(records.make_example(values)))

    def close(self):
        self._file.__exit__(None, None, None)


def input_fn_builder(input_file, seq_length, is_training, drop_remainder):
    """An input function over a file of FeatureWriter.

    Args:
      input_file: record file.
      seq_length: length of its lists.
      is_training, drop_remainder: as of inputs.from_file.

    Returns:
      input_fn(params) giving batches of params["batch_size"]: int32 [batch] `unique_ids`, [batch, seq_length]
      `input_ids`, `input_mask`, `segment_ids`, and in training [batch] `start_positions` and `end_positions`.
    """
    columns = {name: tf.io.FixedLenFeature([seq_length], tf.int64) for name in pairs.FIELDS}
    for name in ("unique_ids", "start_positions", "end_positions") if is_training else ("unique_ids",):
        columns[name] = tf.io.FixedLenFeature([], tf.int64)
    return inputs.from_file(input_file, columns, is_training, drop_remainder)
