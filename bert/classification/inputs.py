"""What comes into the classifier: everything the user gave, checked first, and the record files made from it."""

import collections
import logging
import os

import tensorflow.compat.v1 as tf
from tqdm import tqdm

from bert import modeling
from bert.classification import model, tasks
from bert.data import batches, pairs, records
from bert.runtime import checkpoint, devices, encoder_files
from bert.system.errors import UserError
from bert.system.files import make_dir, read_json, sha256, write_json
from bert.system.flags import require

log = logging.getLogger(__name__)
TASK_FILE = "task.json"  # in -output_dir: what the classifier there was trained for
FORMAT = 1  # raised when the content of a record changes, so that files written before are rebuilt
RECORD_FILES = {"train": "train.tf_record", "dev": "eval.tf_record", "test": "predict.tf_record"}

# task: tasks.Task; config: BertConfig; tokenizer: FullTokenizer; data: dict from the splits to be read to lists of
# Data; init_checkpoint: prefix that the model starts from, None for random weights or the checkpoint in -output_dir.
Inputs = collections.namedtuple("Inputs", ["task", "config", "tokenizer", "data", "init_checkpoint"])
# layout: tasks.Layout; examples: list of tasks.Example.
Data = collections.namedtuple("Data", ["layout", "examples"])


def load_inputs(args):
    """Reads and checks everything before anything is written.

    Args:
      args: Namespace of run_classifier's flags.

    Returns:
      Inputs.

    Raises:
      UserError: something given is not as expected.
    """
    splits = [split for split, wanted in _wanted(args).items() if wanted]
    if not splits and not args.do_export:
        raise UserError("nothing to do: expected -do_train, -do_eval, -do_predict or -do_export")
    require(args, "task_name", "bert_config_file", "vocab_file", "output_dir")
    devices.check_possible(args.precision, args.xla)
    if splits:
        require(args, "data_dir")
    trained = encoder_files.trained_checkpoint(args.output_dir, args.do_train)
    if not trained:
        args.init_checkpoint = checkpoint.resolve(args.init_checkpoint, args.output_dir)
    task = _find_task(args, trained)
    files = encoder_files.EncoderFiles.from_dict(vars(args))
    config, tokenizer = encoder_files.load_encoder(files, pairs.shortest_length(tasks.is_pair(task)))
    if tasks.is_pair(task) and config.type_vocab_size < 2:
        raise UserError(f"{args.bert_config_file}: type_vocab_size is 1; pairs of texts need an encoder with 2")
    data = {split: _read(task, split, args.data_dir) for split in splits}
    init_checkpoint = None if trained else args.init_checkpoint
    if trained or not args.do_train:
        _check_trained(args, trained or init_checkpoint, task, config)
    elif init_checkpoint:
        head_shapes = model.head_shapes(config, tasks.num_outputs(task))
        encoder_files.check_init_checkpoint(init_checkpoint, config, args.do_lower_case, head_shapes=head_shapes)
    make_dir(args.output_dir)
    return Inputs(task, config, tokenizer, data, init_checkpoint)


def description(task):
    """What a classifier was trained for, as a JSON value."""
    labels = None if task.labels is None else list(task.labels)
    return {"task_name": task.name, "labels": labels, "pair": tasks.is_pair(task)}


def write_task(output_dir, task):
    """Writes to -output_dir what prediction has to know and the checkpoint does not hold."""
    write_json(os.path.join(output_dir, TASK_FILE), description(task))


def _wanted(args):
    return {"train": args.do_train, "dev": args.do_eval, "test": args.do_predict}


def _find_task(args, trained):
    """The task of -task_name; for files of the user's own, as train.tsv or the trained classifier has it."""
    is_own = tasks.is_tsv(args.task_name)
    task = None if is_own else tasks.find_task(args.task_name, args.xnli_language)
    if is_own and args.do_train:
        task = tasks.tsv_task_of(args.data_dir, args.tsv_header)
    is_used_from_elsewhere = args.init_checkpoint and not trained and not args.do_train
    path = os.path.join(os.path.dirname(args.init_checkpoint) if is_used_from_elsewhere else args.output_dir, TASK_FILE)
    if not os.path.exists(path) or (args.do_train and not trained):
        if task is None:
            raise UserError(f"{path}: no such file; expected it beside a trained classifier, or -do_train")
        return task
    known = read_json(path)
    if task is None:
        return _own_task(path, known, args.tsv_header)
    if known != description(task):
        raise UserError(f"{path}: the classifier was trained for {known}; expected {description(task)}")
    return task


def _own_task(path, known, header):
    try:
        name, labels, pair = known["task_name"], known["labels"], known["pair"]
        task = tasks.tsv_task(labels or [], pair, header)  # null are the labels of a regression
    except (KeyError, TypeError):
        raise UserError(f"{path}: expected a JSON object with task_name, labels and pair")
    if name != tasks.TSV:
        raise UserError(f"{path}: the classifier was trained for -task_name {name}; expected {tasks.TSV}")
    return task


def _read(task, split, data_dir):
    """A list of Data, one for each file of the split; a second part of it may be missing."""
    data = []
    for layout in task.splits[split]:
        if layout.part and not os.path.exists(os.path.join(data_dir, layout.file)):
            continue
        data.append(Data(layout, tasks.read_examples(task, layout, data_dir)))
    return data


def _check_trained(args, prefix, task, config):
    """UserError unless the checkpoint is a whole classifier of this task and this encoder."""
    if not prefix:
        raise UserError(f"{args.output_dir}: no checkpoint of a trained classifier in it; expected one, or -do_train")
    shapes = dict(model.head_shapes(config, tasks.num_outputs(task)), **modeling.encoder_shapes(config))
    checkpoint.check_model(prefix, shapes, missing="expected a trained classifier; {} is not in it")


def make_records(args, inputs, split, data):
    """The record file of a part of the data, written anew unless it was made from just this; returns its path.

    Each record has `input_ids`, `input_mask` and `segment_ids`, int64 [max_seq_length], and where the data has labels
    `label_ids`, the label's id, or its value as a float.
    """
    path = model.output_file(args.output_dir, RECORD_FILES[split], data.layout.part)
    made_from = {
        "format": FORMAT,
        "data": sha256(os.path.join(args.data_dir, data.layout.file)),
        "layout": list(data.layout),
        "task": description(inputs.task),
        "vocab": sha256(args.vocab_file),
        "do_lower_case": args.do_lower_case,
        "max_seq_length": args.max_seq_length,
    }
    if records.is_current(path, made_from):
        log.info("%s is up to date", path)
    else:
        # Without a bar where standard error is no terminal.
        shown = tqdm(data.examples, desc=data.layout.file, unit=" examples", disable=None, leave=False)
        count = records.write_records(path, (_record(args, inputs, example) for example in shown), made_from)
        log.info("wrote %s: %d examples", path, count)
    return path


def _record(args, inputs, example):
    features = pairs.encode(inputs.tokenizer, example.text_a, example.text_b, args.max_seq_length)
    values = pairs.padded(features, args.max_seq_length)
    if example.label is not None:
        values["label_ids"] = [label_id(inputs.task, example.label)]
    return records.make_example(values)


def label_id(task, label):
    """The number a model is trained on for a label: its id; in regression the label itself."""
    return label if task.labels is None else task.labels.index(label)


def input_fn_builder(path, max_seq_length, label_type, **reading):
    """An input function over a record file of `make_records`.

    Args:
      path: record file.
      max_seq_length: that of the file.
      label_type: tf.int64 or tf.float32; None for a file without labels.
      reading: further arguments of batches.input_fn_builder, by name: is_training, seed, start_step, bucket, ...

    Returns:
      input_fn(params) giving batches of params["batch_size"] features, each as long as its longest text.
    """
    columns = {name: tf.io.FixedLenFeature([max_seq_length], tf.int64) for name in pairs.FIELDS}
    if label_type is not None:
        columns["label_ids"] = tf.io.FixedLenFeature([], label_type)
    return batches.input_fn_builder(path, columns, pairs.FIELDS, **reading)
