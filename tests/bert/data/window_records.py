"""What tests of record files of windows share: such files, and the batches that are read from them."""

import os

import tensorflow.compat.v1 as tf
from hypothesis import HealthCheck, settings

from bert.data import records as record_files
from bert.data.batches import Reading
from tests import selection
from train.data import corpus, records
from train.data.labels import label_ids
from train.data.windows import Encoded

NAMES = ["O", "B-A", "I-A", "X", "[CLS]", "[SEP]"]
IDS = label_ids(NAMES)
LENGTH = 8
FEW = settings(
    max_examples=4 if selection.is_reference() else 2, deadline=None, suppress_health_check=list(HealthCheck)
)


def window(number, size):
    """A window whose first piece after [CLS] has the id 100 + number."""
    labels = [IDS["[CLS]"]] + [IDS["B-A"], IDS["X"], IDS["O"], IDS["I-A"]][: size - 2] + [IDS["[SEP]"]]
    input_ids = [2, 100 + number] + list(range(10, 10 + size - 3)) + [3]
    return Encoded(["?"] * size, input_ids, None, labels, slice(1, 2), None)


def write(path, count, made_from="test"):
    windows = [window(number, 3 + number % 4) for number in range(count)]
    assert record_files.write_records(str(path), records.window_examples(windows, LENGTH), made_from) == count
    return windows


def batches(path, steps, is_training=False, graph_seed=None, label_ids=IDS, params=None, batch_size=4, **kwargs):
    """The first `steps` batches, or all up to the end; further arguments are fields of Reading."""
    reading = Reading(**{name: kwargs.pop(name) for name in Reading._fields if name in kwargs})
    kwargs.setdefault("drop_remainder", False)
    input_fn = records.file_based_input_fn_builder(
        path if isinstance(path, list) else str(path),
        LENGTH,
        is_training,
        label_ids=label_ids,
        batch_size=batch_size,
        reading=reading,
        **kwargs,
    )
    found = []
    with tf.Graph().as_default(), tf.Session() as session:
        if graph_seed is not None:
            tf.set_random_seed(graph_seed)
        features = tf.data.make_one_shot_iterator(input_fn(params)).get_next()
        assert all(value.dtype == tf.int32 for name, value in features.items() if name != "position")
        try:
            while len(found) != steps:
                found.append(session.run(features))
        except tf.errors.OutOfRangeError:
            pass
    return found


def numbers(found):
    """The numbers of the windows of some batches, one list."""
    return [int(number) - 100 for batch in found for number in batch["input_ids"][:, 1]]


def write_shards(path, count, shard_count, made_from="test"):
    """A set of shards of windows with the numbers 0 to count - 1."""
    examples = (corpus.record(window(number, 3 + number % 4), LENGTH) for number in range(count))
    assert record_files.write_records(str(path), examples, made_from, shard_count) == count


def contents(folder):
    return {name: (folder / name).read_bytes() for name in os.listdir(str(folder))}


def start_of_an_endless_record(directory):
    """The first bytes of a record whose length is some 10**18 and has the right checksum. TensorFlow's reader crashes.

    A record of eight bytes and its checksum are such a length and its checksum.
    """
    path = str(directory / "eight_bytes")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(b"12345678")
    with open(path, "rb") as reader:
        return reader.read()[12:] + bytes(1000)
