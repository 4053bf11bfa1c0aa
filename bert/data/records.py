"""Writes TFRecord files of examples, which every program here feeds its model with; data/batches.py reads them.

A file may lie in shards, see data/shards.py. Beside it lies `<file>.json`, one for all shards together: the number of
records and, as a JSON value, all that they were made from. They are used again only if that is still the same.
"""

import contextlib
import logging
import os

import tensorflow.compat.v1 as tf

from bert.data.shards import count_by_length, find_shards, other_shards, shard_names
from bert.system.errors import UserError, cannot_be_written
from bert.system.files import atomic_path, read_json, write_json

log = logging.getLogger(__name__)


def make_example(values):
    """A tf.train.Example of lists: {"input_ids": [2, 7, 3], "weights": [0.5]}; floats become float lists."""
    feature = {}
    for name, value in values.items():
        if any(isinstance(item, float) for item in value):
            feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
        else:
            feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
    return tf.train.Example(features=tf.train.Features(feature=feature))


def is_current(path, made_from, shards=1):
    """Whether the records exist, in this number of shards, and were made from exactly this."""
    if not all(map(os.path.exists, shard_names(path, shards))):
        return False
    try:
        found = read_json(_fingerprint_file(path))
        return found["made_from"] == made_from and found.get("shards", 1) == shards
    except (UserError, KeyError, TypeError, AttributeError):  # there is none, or it is damaged
        return False


def count_records(path):
    """The number of records that a name stands for: read from the fingerprint if there is one, else counted.

    Args:
      path: as of shards.find_shards.

    Raises:
      UserError: there is no such file, a shard is missing, or a file ends within a record.
    """
    if isinstance(path, str) and os.path.exists(_fingerprint_file(path)):
        return read_json(_fingerprint_file(path))["records"]
    return sum(map(count_by_length, find_shards(path)))


def made(path, made_from, examples, shards=1, what="windows"):
    """Sees to it that the records are there: those made from the same before are kept, others are written anew.

    Args:
      path, made_from, shards: as of `write_records`.
      examples: iterable as of `write_records`, or a function that returns one; used only where records are written.
      what: what the log calls the records.

    Returns:
      The number of records.

    Raises:
      UserError: as `write_records`.
    """
    if is_current(path, made_from, shards):
        count = count_records(path)
        log.info("%s is up to date, %d %s", path, count, what)
    else:
        count = write_records(path, examples() if callable(examples) else examples, made_from, shards)
        log.info("wrote %s: %d %s", path, count, what)
    return count


def write_records(path, examples, made_from, shards=1):
    """Writes examples to a TFRecord file, or round-robin to its shards, and the fingerprint beside it.

    Args:
      path: the file; shards are named as shards.shard_names says.
      examples: iterable of tf.train.Example, or of their bytes.
      made_from: JSON value.
      shards: how many files.

    Returns:
      The number of examples.

    Raises:
      UserError: a file cannot be written; what was there before is still whole.
    """
    if os.path.exists(_fingerprint_file(path)):
        os.remove(_fingerprint_file(path))  # first, so that it never stands beside records it does not describe
    count = 0
    with _record_writers(path, shard_names(path, shards)) as writers:
        for example in examples:
            content = example if isinstance(example, bytes) else example.SerializeToString()
            writers[count % shards].write(content)
            count += 1
    for file in other_shards(path, shards):
        os.remove(file)
    fingerprint = {"made_from": made_from, "records": count}
    if shards > 1:
        fingerprint["shards"] = shards
    write_json(_fingerprint_file(path), fingerprint)
    return count


@contextlib.contextmanager
def record_writer(path):
    """A tf.io.TFRecordWriter whose file appears under its name when complete; UserError where it cannot be written."""
    with _record_writers(path, [path]) as (writer,):
        yield writer


@contextlib.contextmanager
def _record_writers(path, files):
    """A tf.io.TFRecordWriter for each file; all are complete before the first appears under its name."""
    try:
        with contextlib.ExitStack() as names:
            temporaries = [names.enter_context(atomic_path(file)) for file in files]
            with contextlib.ExitStack() as writing:
                yield [writing.enter_context(tf.io.TFRecordWriter(temporary)) for temporary in temporaries]
    except tf.errors.OpError as error:
        raise cannot_be_written(path, error)


def _fingerprint_file(path):
    return path + ".json"
