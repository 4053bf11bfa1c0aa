"""What goes into the classifier: the task, the examples of a split, and the record files made from them."""

import collections
import os

import tensorflow.compat.v1 as tf
from tqdm import tqdm

from bert import modeling
from bert.classification import model, tasks
from bert.data import batches, pairs, records
from bert.runtime import checkpoint
from bert.system import filesystem
from bert.system.errors import LONGEST, UserError, shorten
from bert.system.files import read_json, sha256, write_json

TASK_FILE = "task.json"  # in -output_dir: what the classifier there was trained for
FORMAT = 1  # raised when the content of a record changes, so that files written before are rebuilt
RECORD_FILES = {"train": "train.tf_record", "dev": "eval.tf_record", "test": "predict.tf_record"}

# task: tasks.Task; files: EncoderFiles; config: BertConfig; tokenizer: FullTokenizer; data: dict from the splits that
# are read to lists of Data; init_checkpoint: prefix that the model starts from, None for random weights or the
# checkpoint in -output_dir; start: init_weights.StartWeights of training, or None.
TaskInputs = collections.namedtuple(
    "TaskInputs", ["task", "files", "config", "tokenizer", "data", "init_checkpoint", "start"]
)
# layout: tasks.Layout; examples: list of tasks.Example.
Data = collections.namedtuple("Data", ["layout", "examples"])


def description(task):
    """The task of a classifier as a JSON value."""
    labels = None if task.labels is None else list(task.labels)
    return {"task_name": task.name, "labels": labels, "pair": tasks.is_pair(task)}


def write_task(output_dir, task):
    """Writes TASK_FILE to -output_dir: what prediction needs beside the checkpoint."""
    write_json(os.path.join(output_dir, TASK_FILE), description(task))


def read_task(path, expected, header):
    """The task that a classifier was trained for, as `write_task` wrote it.

    Args:
      path: TASK_FILE of the classifier.
      expected: tasks.Task that the classifier is used for; None for files of the user's own.
      header: whether files of the user's own begin with a line of column names.

    Returns:
      tasks.Task.

    Raises:
      UserError: the file cannot be read, or the classifier was trained for another task.
    """
    known = read_json(path)
    if expected is None:
        return _own_task(path, known, header)
    if known != description(expected):
        was, wanted = (shorten(task, LONGEST // 3) for task in (known, description(expected)))
        raise UserError(f"{path}: the classifier was trained for {was}; expected {wanted}")
    return expected


def _own_task(path, known, header):
    """The tasks.Task of the user's own files that the JSON value `known` of a TASK_FILE describes."""
    if not isinstance(known, dict) or not {"task_name", "labels", "pair"} <= set(known):
        raise UserError(f"{path}: expected a JSON object with task_name, labels and pair")
    name, labels, pair = (known[key] for key in ("task_name", "labels", "pair"))
    if name != tasks.TSV:
        raise UserError(f"{path}: the classifier was trained for -task_name {shorten(name, 60)}; expected {tasks.TSV}")
    are_names = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    if not are_names or len(set(labels)) < max(len(labels), 2) or type(pair) is not bool:
        found = shorten(f"labels {labels!r}, pair {pair!r}", 100)
        raise UserError(f"{path}: {found}; expected two or more labels, and pair true or false")
    return tasks.tsv_task(labels, pair, header)


def read_split(task, split, data_dir):
    """A list of Data, one for each file of the split; its second part may be missing."""
    data = []
    for layout in task.splits[split]:
        if layout.part and not filesystem.exists(os.path.join(data_dir, layout.file)):
            continue
        data.append(Data(layout, tasks.read_examples(task, layout, data_dir)))
    return data


def check_trained(prefix, task, config):
    """UserError unless the checkpoint is a whole classifier of this task and this encoder."""
    shapes = dict(model.head_shapes(config, tasks.num_outputs(task)), **modeling.encoder_shapes(config))
    checkpoint.check_model(prefix, shapes, missing="expected a trained classifier; {} is not in it")


def make_records(inputs, split, data, data_dir, output_dir):
    """The record file of a part of the data, written anew unless it was made from just this; returns its path.

    Each record has `input_ids`, `input_mask` and `segment_ids`, int64 [max_seq_length], and where the data has labels
    `label_ids`, the label's id, or its value as a float.

    Args:
      inputs: TaskInputs.
      split: "train", "dev" or "test".
      data: Data, one file of the split.
      data_dir, output_dir: directories of the data file and of the record file.
    """
    path = model.output_file(output_dir, RECORD_FILES[split], data.layout.part)
    made_from = {
        "format": FORMAT,
        "data": sha256(os.path.join(data_dir, data.layout.file)),
        "layout": list(data.layout),
        "task": description(inputs.task),
        "vocab": sha256(inputs.files.vocab_file),
        "do_lower_case": inputs.files.do_lower_case,
        "max_seq_length": inputs.files.max_seq_length,
    }

    def examples():
        # Without a bar where standard error is no terminal.
        shown = tqdm(data.examples, desc=data.layout.file, unit=" examples", disable=None, leave=False)
        return (_record(inputs, example) for example in shown)

    records.made(path, made_from, examples, what="examples")
    return path


def _record(inputs, example):
    max_seq_length = inputs.files.max_seq_length
    features = pairs.encode(inputs.tokenizer, example.text_a, example.text_b, max_seq_length)
    values = pairs.padded(features, max_seq_length)
    if example.label is not None:
        values["label_ids"] = [label_id(inputs.task, example.label)]
    return records.make_example(values)


def label_id(task, label):
    """The number that a model is trained on for a label: its id, or the label itself in regression."""
    return label if task.labels is None else task.labels.index(label)


def input_fn_builder(path, max_seq_length, label_type, is_training=False, static=False, reading=batches.PLAIN):
    """An input function over a record file of `make_records`.

    Args:
      path: record file.
      max_seq_length: length of the lists in the file.
      label_type: tf.int64 or tf.float32; None for a file without labels.
      is_training, static, reading: as of batches.input_fn_builder.

    Returns:
      input_fn(params) giving batches of params["batch_size"] features, each as long as its longest text.
    """
    columns = {name: tf.io.FixedLenFeature([max_seq_length], tf.int64) for name in pairs.FIELDS}
    if label_type is not None:
        columns["label_ids"] = tf.io.FixedLenFeature([], label_type)
    return batches.input_fn_builder(path, columns, pairs.FIELDS, is_training, static, reading)
