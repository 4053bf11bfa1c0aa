"""TFRecord files of examples, and datasets that read them: what every program here feeds its model with.

Beside each file lies `<file>.json`: how many records it has and, as a JSON value, all that went into it, so that a file
is used again only if it was made from the same.
"""

import contextlib
import os

import numpy as np
import tensorflow.compat.v1 as tf

from bert.errors import UserError
from bert.files import atomic_path, read_json, write_json

SHUFFLE_BUFFER = 100000  # records held for shuffling, some 2 KB each
POOL_BATCHES = 128  # batches sorted by length together, at most: the padding within one is then about 1 %


def make_example(values):
    """A tf.train.Example of lists: {"input_ids": [2, 7, 3], "weights": [0.5]}; floats become float lists."""
    feature = {}
    for name, value in values.items():
        if any(isinstance(item, float) for item in value):
            feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
        else:
            feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
    return tf.train.Example(features=tf.train.Features(feature=feature))


def is_current(path, made_from):
    """Whether the record file is there and was made from just this."""
    if not os.path.exists(path):
        return False
    try:
        return read_json(_fingerprint_file(path))["made_from"] == made_from
    except (UserError, KeyError, TypeError):  # there is none, or it is damaged
        return False


def count_records(path):
    """Records in a file that `write_records` wrote."""
    return read_json(_fingerprint_file(path))["records"]


def write_records(path, examples, made_from):
    """Writes examples to a TFRecord file and its fingerprint beside it; returns how many there are.

    Args:
      examples: iterable of tf.train.Example.
      made_from: JSON value.

    Raises:
      UserError: the file cannot be written; one that was there before is still whole.
    """
    if os.path.exists(_fingerprint_file(path)):
        os.remove(_fingerprint_file(path))  # first, so that it never stands beside records it does not describe
    count = 0
    with record_writer(path) as writer:
        for example in examples:
            writer.write(example.SerializeToString())
            count += 1
    write_json(_fingerprint_file(path), {"made_from": made_from, "records": count})
    return count


@contextlib.contextmanager
def record_writer(path):
    """A tf.io.TFRecordWriter whose file appears under its name when complete; UserError where it cannot be written."""
    try:
        with atomic_path(path) as temporary, tf.io.TFRecordWriter(temporary) as writer:
            yield writer
    except tf.errors.OpError as error:
        raise UserError(f"{path}: cannot be written: {error.message}")


def _fingerprint_file(path):
    return path + ".json"


def shuffled_epochs(dataset, records, seed=0, first_record=0):
    """Goes through a dataset for ever, every record once an epoch.

    The order depends on the seed and the number of the epoch alone, so a run that has seen `first_record` records goes
    on with those it would have seen next.

    Args:
      dataset: tf.data.Dataset.
      records: how many it has.
      seed: int.
      first_record: records, over all epochs, to leave out at the start.

    Returns:
      tf.data.Dataset without end.
    """
    first_epoch, seen = divmod(first_record, records)

    def epoch(number):
        shuffled = dataset.shuffle(
            min(records, SHUFFLE_BUFFER), seed=(seed or 0) + number, reshuffle_each_iteration=False
        )
        return shuffled.skip(tf.where(tf.equal(number, first_epoch), tf.cast(seen, tf.int64), 0))

    return tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max).flat_map(epoch)


def parse_batch(serialized, columns):
    """A batch of serialized examples as a dict of tensors; integers come as int32, which a TPU takes."""
    parsed = tf.io.parse_example(serialized, columns)
    return {name: tf.cast(value, tf.int32) if value.dtype == tf.int64 else value for name, value in parsed.items()}


def trim(features, names, coarse=False):
    """The features with those of these names, [batch, seq_len], cut to the batch's longest by `input_mask`.

    Args:
      features: dict of tensors.
      names: names of the features to cut.
      coarse: round the length up, by 2 to 3 %, so that fewer different lengths occur: each costs a compilation.
    """
    longest = tf.reduce_max(tf.reduce_sum(features["input_mask"], axis=1))
    if coarse:
        step = tf.where(longest <= 128, 2, tf.where(longest <= 256, 4, 8))
        longest = (longest + step - 1) // step * step  # slicing stops at the end by itself
    return {name: value[:, :longest] if name in names else value for name, value in features.items()}


def batches(
    path,
    parse,
    batch_size,
    is_training,
    seed=0,
    start_step=0,
    drop_remainder=False,
    trimmed=(),
    bucket=False,
    coarse=False,
):
    """The parsed batches of a record file: once, or for training shuffled and without end.

    Args:
      path: a file that `write_records` wrote.
      parse: function from a batch of serialized examples to features, among them `input_mask`.
      batch_size: examples in a batch.
      is_training: whether to shuffle and repeat.
      seed: int, of the shuffle.
      start_step: batches of training to leave out at the start.
      drop_remainder: leave out a last batch that is not full.
      trimmed: names of the features to cut to the longest of their batch.
      bucket: make batches of examples of about the same length. Without is_training the features then have
        `position`, int64 [batch], each example's place in the file; a place is at most POOL_BATCHES batches off.
      coarse: see `trim`.

    Returns:
      tf.data.Dataset.
    """
    dataset = tf.data.TFRecordDataset(path)
    if is_training and bucket:
        dataset = _shuffled_batches_by_length(dataset, count_records(path), parse, batch_size, seed or 0, start_step)
    elif bucket:
        dataset = _batches_by_length(dataset, parse, batch_size)
    else:
        if is_training:
            dataset = shuffled_epochs(dataset, count_records(path), seed, start_step * batch_size)
        dataset = dataset.batch(batch_size, drop_remainder=drop_remainder).map(parse, num_parallel_calls=2)
    if trimmed:
        dataset = dataset.map(lambda features: trim(features, trimmed, coarse))
    return dataset.prefetch(2)


def input_fn_builder(path, columns, trimmed, is_training, seed, start_step, bucket, coarse):
    """input_fn(params) giving `batches` of params["batch_size"] examples with these columns; arguments as there."""

    def input_fn(params):
        return batches(
            path,
            lambda serialized: parse_batch(serialized, columns),
            params["batch_size"],
            is_training,
            seed,
            start_step,
            trimmed=trimmed,
            bucket=bucket,
            coarse=coarse,
        )

    return input_fn


def _shuffled_batches_by_length(dataset, records, parse, batch_size, seed, start_step):
    """Batches of examples of about the same length, without end; each record once an epoch.

    The shuffled records are cut into pools, none of which reaches into the next epoch. A pool is sorted by length, cut
    into batches, and these are shuffled: short and long sentences still take turns, and what a pool gives depends on
    the seed and its number alone. An epoch has only full batches here; what is left of the records begins the next.
    """
    batches_an_epoch = max(records // batch_size, 1)
    pool_batches = -(-batches_an_epoch // -(-batches_an_epoch // POOL_BATCHES))
    pools_an_epoch = -(-batches_an_epoch // pool_batches)
    epoch, step = divmod(start_step, batches_an_epoch)
    first_batch = epoch * batches_an_epoch + step // pool_batches * pool_batches

    def pool_of(number, _):
        return number // batches_an_epoch * pools_an_epoch + number % batches_an_epoch // pool_batches

    def batches_in(pool):
        return tf.minimum(batches_an_epoch - pool % pools_an_epoch * pool_batches, pool_batches)

    def batches_of(pool, numbered):
        def shuffled(_, serialized):
            by_length = _sorted_batches(parse(tf.reshape(serialized, [-1])), batch_size)
            return by_length.shuffle(pool_batches, seed=seed + pool, reshuffle_each_iteration=False)

        return numbered.batch(pool_batches).flat_map(shuffled)

    shuffled = shuffled_epochs(dataset, records, seed, first_batch * batch_size).batch(batch_size)
    numbers = tf.data.Dataset.range(first_batch, np.iinfo(np.int64).max)
    pools = tf.data.experimental.group_by_window(pool_of, batches_of, window_size_func=batches_in)
    return tf.data.Dataset.zip((numbers, shuffled)).apply(pools).skip(start_step - first_batch)


def _batches_by_length(dataset, parse, batch_size):
    """Batches of examples of about the same length, once; the features have each example's `position` too."""
    positions = tf.data.Dataset.range(np.iinfo(np.int64).max)

    def batches_of(positions, serialized):
        return _sorted_batches(dict(parse(serialized), position=positions), batch_size)

    return tf.data.Dataset.zip((positions, dataset)).batch(POOL_BATCHES * batch_size).flat_map(batches_of)


def _sorted_batches(features, batch_size):
    """A dataset of the examples, [examples, ...], sorted by length and cut into batches."""
    # Examples of one length stay in their order, as the sort is stable.
    order = tf.argsort(tf.reduce_sum(features["input_mask"], axis=1), stable=True)
    by_length = {name: tf.gather(value, order) for name, value in features.items()}
    return tf.data.Dataset.from_tensor_slices(by_length).batch(batch_size)
