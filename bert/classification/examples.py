"""Classification with data of one's own in Google BERT's way: subclass DataProcessor, convert, feed.

The names, parameters and defaults are those of Google's run_classifier.py; the work is done by the modules beside this
one. The processors read what the tasks of the same names read, see tasks.py.
"""

import csv
import io
import logging

import tensorflow.compat.v1 as tf

from bert.classification import tasks
from bert.data import inputs, pairs, records
from bert.system import lines
from bert.system.errors import UserError

log = logging.getLogger(__name__)
LOGGED = 5  # examples that are shown in the log


class InputExample:
    """A text or a pair of texts, and its label.

    Args:
      guid: str, a name for the example.
      text_a: str.
      text_b: str, or None for a single text.
      label: str, or None where it is not known.
    """

    def __init__(self, guid, text_a, text_b=None, label=None):
        self.guid = guid
        self.text_a = text_a
        self.text_b = text_b
        self.label = label


class PaddingInputExample:
    """Fills up a last batch, where all batches have to be of one size; it counts in no metric."""


class InputFeatures:
    """An example as the model reads it: lists of max_seq_length ints, the label's id, and whether it counts."""

    def __init__(self, input_ids, input_mask, segment_ids, label_id, is_real_example=True):
        self.input_ids = input_ids
        self.input_mask = input_mask
        self.segment_ids = segment_ids
        self.label_id = label_id
        self.is_real_example = is_real_example


class DataProcessor:
    """Reads the examples of a task; a task of one's own is a subclass of it."""

    def get_train_examples(self, data_dir):
        """The InputExamples to train on, a list."""
        raise NotImplementedError()

    def get_dev_examples(self, data_dir):
        """The InputExamples to evaluate on, a list."""
        raise NotImplementedError()

    def get_test_examples(self, data_dir):
        """The InputExamples to predict, a list."""
        raise NotImplementedError()

    def get_labels(self):
        """The labels in the order of their ids, a list of str."""
        raise NotImplementedError()

    @classmethod
    def _read_tsv(cls, input_file, quotechar=None):
        """The lines of a tab-separated file as lists of columns; with `quotechar`, columns may be quoted by it."""
        if quotechar is None:
            return [columns for _, columns in tasks.read_rows(input_file)]
        with lines.open_bytes(input_file, "tab-separated columns, in UTF-8") as stream:
            text = lines.decode(stream.read(), input_file)
        return list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", quotechar=quotechar))


class _TaskProcessor(DataProcessor):
    """The DataProcessor of one of tasks.TASKS. Test examples carry the first label, as theirs are not known."""

    task_name = None
    language = "zh"

    def get_train_examples(self, data_dir):
        return self._read(data_dir, "train")

    def get_dev_examples(self, data_dir):
        return self._read(data_dir, "dev")

    def get_test_examples(self, data_dir):
        return self._read(data_dir, "test")

    def get_labels(self):
        return list(self._task().labels)

    def _task(self):
        return tasks.find_task(self.task_name, self.language)

    def _read(self, data_dir, split):
        task = self._task()
        layout = task.splits[split][0]
        first = 1 if layout.header else 0  # lines count from 0
        return [
            InputExample(f"{split}-{number}", example.text_a, example.text_b, example.label or task.labels[0])
            for number, example in enumerate(tasks.read_examples(task, layout, data_dir), first)
        ]


class XnliProcessor(_TaskProcessor):
    """XNLI, in the language of its attribute `language`."""

    task_name = "xnli"

    def __init__(self):
        self.language = "zh"


class MnliProcessor(_TaskProcessor):
    """MultiNLI, as GLUE has it; of dev and test the matched part."""

    task_name = "mnli"


class MrpcProcessor(_TaskProcessor):
    """MRPC, as GLUE has it."""

    task_name = "mrpc"


class ColaProcessor(_TaskProcessor):
    """CoLA, as GLUE has it."""

    task_name = "cola"


def convert_single_example(ex_index, example, label_list, max_seq_length, tokenizer):
    """An example as InputFeatures.

    Args:
      ex_index: number of the example; the log shows the first ones.
      example: InputExample or PaddingInputExample.
      label_list: labels in the order of their ids.
      max_seq_length: length of the lists.
      tokenizer: FullTokenizer.

    Raises:
      UserError: the label is not in the list.
    """
    if isinstance(example, PaddingInputExample):
        nothing = [0] * max_seq_length
        return InputFeatures(nothing, list(nothing), list(nothing), label_id=0, is_real_example=False)
    features = pairs.encode_if_any(tokenizer, example.text_a, example.text_b, max_seq_length)
    if example.label not in label_list:
        raise UserError(f"example {example.guid}: the label {example.label!r}; expected one of {list(label_list)}")
    label_id = list(label_list).index(example.label)
    if ex_index < LOGGED:
        log.info("%s: %s, label %s", example.guid, " ".join(features.tokens), example.label)
    return InputFeatures(label_id=label_id, **pairs.padded(features, max_seq_length))


def convert_examples_to_features(examples, label_list, max_seq_length, tokenizer):
    """A list of InputFeatures, one for each example; arguments as `convert_single_example`."""
    return [
        convert_single_example(number, example, label_list, max_seq_length, tokenizer)
        for number, example in enumerate(examples)
    ]


def file_based_convert_examples_to_features(examples, label_list, max_seq_length, tokenizer, output_file):
    """Writes the features of examples to a record file; other arguments as `convert_single_example`."""

    def converted():
        for number, example in enumerate(examples):
            features = convert_single_example(number, example, label_list, max_seq_length, tokenizer)
            values = {name: getattr(features, name) for name in pairs.FIELDS}
            values.update(label_ids=[features.label_id], is_real_example=[int(features.is_real_example)])
            yield records.make_example(values)

    records.write_records(output_file, converted(), made_from="examples of a DataProcessor")


def file_based_input_fn_builder(input_file, seq_length, is_training, drop_remainder):
    """An input function over a file of `file_based_convert_examples_to_features`.

    Args:
      input_file: record file.
      seq_length: its max_seq_length.
      is_training, drop_remainder: as of inputs.from_file.

    Returns:
      input_fn(params) giving batches of params["batch_size"]: int32 [batch, seq_length] `input_ids`, `input_mask`,
      `segment_ids`, and [batch] `label_ids` and `is_real_example`.
    """
    columns = {name: tf.io.FixedLenFeature([seq_length], tf.int64) for name in pairs.FIELDS}
    columns["label_ids"] = tf.io.FixedLenFeature([], tf.int64)
    columns["is_real_example"] = tf.io.FixedLenFeature([], tf.int64, default_value=1)  # not in files of 2018
    return inputs.from_file(input_file, columns, is_training, drop_remainder)


def input_fn_builder(features, seq_length, is_training, drop_remainder):
    """As `file_based_input_fn_builder`, from a list of InputFeatures in memory, and without `is_real_example`."""
    values = {name: [getattr(each, name)[:seq_length] for each in features] for name in pairs.FIELDS}
    values["label_ids"] = [each.label_id for each in features]
    return inputs.from_memory(values, is_training, drop_remainder)
