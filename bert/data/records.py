"""Writes TFRecord files of examples, which every program here feeds its model with; data/batches.py reads them.

A file may lie in shards, see data/shards.py. Beside it lies `<file>.json`, one for all shards together: the number of
records and, as a JSON value, all that they were made from. They are used again only if that is still the same and the
checksum of every record is right.
"""

import collections
import contextlib
import logging

import tensorflow.compat.v1 as tf

from bert.data.shards import count_by_length, find_shards, other_shards, shard_names
from bert.system import filesystem
from bert.system.errors import UserError, cannot_be_written, shorten
from bert.system.files import atomic_path, read_json, write_json

log = logging.getLogger(__name__)

# What lies beside record files: a JSON value of all that they were made from, the numbers of records and of shards.
Fingerprint = collections.namedtuple("Fingerprint", "made_from records shards")


def make_example(values):
    """A tf.train.Example of lists: {"input_ids": [2, 7, 3], "weights": [0.5]}; floats become float lists."""
    feature = {}
    for name, value in values.items():
        if any(isinstance(item, float) for item in value):
            feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
        else:
            feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
    return tf.train.Example(features=tf.train.Features(feature=feature))


def serialized(example):
    """The bytes of a tf.train.Example, the same in every process of one version of protobuf: its features are sorted.

    Protobuf by itself may write them in an order of its own, so two runs on the same data would leave different files.
    """
    return example.SerializeToString(deterministic=True)


def is_current(path, made_from, shards=1):
    """Whether the records exist, in this number of shards, and were made from exactly this."""
    if not all(map(filesystem.exists, shard_names(path, shards))):
        return False
    try:
        found = read_fingerprint(path)
    except UserError:  # there is none, or it is damaged
        return False
    return found.made_from == made_from and found.shards == shards


def read_fingerprint(path):
    """The Fingerprint beside the records of this name; UserError where there is none, or it is damaged."""
    file = _fingerprint_file(path)
    found = read_json(file)
    if not isinstance(found, dict) or "made_from" not in found:
        raise UserError(f"{file}: expected what records were made from, made_from")
    for name, least in (("records", 0), ("shards", 1)):
        value = found.get(name, 1 if name == "shards" else None)
        if type(value) is not int or value < least:
            raise UserError(f"{file}: {name} is {shorten(repr(value), 60)}; expected a whole number from {least} on")
    return Fingerprint(found["made_from"], found["records"], found.get("shards", 1))


def count_records(path):
    """The number of records that a name stands for: as the fingerprint says if there is one, else counted.

    Args:
      path: as of shards.find_shards.

    Raises:
      UserError: there is no such file, a shard is missing, a file ends within a record, or the fingerprint is damaged.
    """
    if isinstance(path, str) and filesystem.exists(_fingerprint_file(path)):
        return read_fingerprint(path).records
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
        count = read_fingerprint(path).records
        damage = _damage(path, shards, count)
        if not damage:
            log.info("%s is up to date, %d %s", path, count, what)
            return count
        log.warning("%s; all records are written anew", damage)
    count = write_records(path, examples() if callable(examples) else examples, made_from, shards)
    log.info("wrote %s: %d %s", path, count, what)
    return count


def _damage(path, shards, count):
    """What is wrong with records that are to be so many: a text that names the file, or None where nothing is.

    All of them are read once: a checksum that is wrong would end training hours later.
    """
    found = 0
    for file in shard_names(path, shards):
        of_file = 0
        try:
            # First, as this alone sees what is less than a record at the end, and as TensorFlow's process ends by a
            # length far beyond the end of the file.
            count_by_length(file)
            for _ in tf.io.tf_record_iterator(file):
                of_file += 1
        except UserError as error:
            return str(error)
        except tf.errors.OpError:
            return f"{file}: record {of_file + 1} cannot be read"
        found += of_file
    return None if found == count else f"{path}: {found} records; expected {count}"


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
    if filesystem.exists(_fingerprint_file(path)):
        filesystem.remove(_fingerprint_file(path))  # first, so that it never stands beside records it does not describe
    count = 0
    with _record_writers(path, shard_names(path, shards)) as writers:
        for example in examples:
            content = example if isinstance(example, bytes) else serialized(example)
            writers[count % shards].write(content)
            count += 1
    for file in other_shards(path, shards):
        filesystem.remove(file)
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
