"""From TFRecord files to batches for an input function: shuffled, by length, shared out among processes.

In: what data/records.py wrote, or any TFRecord files of tf.train.Example. Out: a tf.data.Dataset of dicts of tensors.
"""

import collections

import numpy as np
import tensorflow.compat.v1 as tf

from bert.data.records import count_records
from bert.data.shards import count_by_length, find_shards, is_set
from bert.system.errors import UserError

SHUFFLE_BUFFER = 100000  # records held for shuffling, some 2 KB each
POOL_BATCHES = 128  # batches sorted by length together, at most: the padding within one is then about 1 %
# Shards read at a time. Each holds a fair sample of all records, so few of them at a time mix more than all would.
SHARDS_AT_ONCE = 4

# What one process of a run reads. count: replicas of the whole run, one for each device that computes a share of the
# batch; index: number of the first one this process feeds; replicas: how many it feeds, which take turns; by_file:
# whether it reads files of its own instead of a part of every batch, see `training_batches`.
Share = collections.namedtuple("Share", ["count", "index", "replicas", "by_file"], defaults=[1, False])
WHOLE = Share(1, 0)

# How records are read.
#   seed: int, of the shuffle; start_step: batches of training to leave out at the start.
#   by_length: make batches of examples of about the same length; round_lengths: see `trim`.
#   share: Share, what this process reads.
#   deterministic: false lets several threads read shards in training and pass records on as they arrive: faster where
#     files are slow to come, but no two runs are the same. Processes that share out by batch need one order and do
#     without.
Reading = collections.namedtuple(
    "Reading",
    ["seed", "start_step", "by_length", "round_lengths", "share", "deterministic"],
    defaults=[0, 0, False, False, WHOLE, True],
)
PLAIN = Reading()


def read_records(files, epoch=None, seed=0, deterministic=True):
    """The serialized records of some files.

    Args:
      files: list of paths.
      epoch: None for one file after the other, or of a set of shards the order in which `write_records` dealt the
        records out; a number (int64, may be a tensor) for training: the files in an order that depends on seed and
        epoch, a few of them interleaved.
      seed: int.
      deterministic: false lets several threads read, and records come as they arrive.

    Returns:
      tf.data.Dataset of strings.
    """
    if len(files) == 1:
        return tf.data.TFRecordDataset(files)
    names = tf.data.Dataset.from_tensor_slices(files)
    at_once = len(files) if is_set(files) else 1
    if epoch is not None:
        names = names.shuffle(len(files), seed=(seed or 0) + epoch, reshuffle_each_iteration=False)
        at_once = min(len(files), SHARDS_AT_ONCE)
    if deterministic:
        return names.interleave(tf.data.TFRecordDataset, at_once, block_length=1)
    return names.apply(tf.data.experimental.parallel_interleave(tf.data.TFRecordDataset, at_once, sloppy=True))


def shuffled_epochs(dataset, records, seed=0, first_record=0):
    """Goes through a dataset for ever, every record once an epoch.

    The order depends on the seed and the number of the epoch alone, so a run that has seen `first_record` records goes
    on with those it would have seen next.

    Args:
      dataset: tf.data.Dataset, or a function to one from the number of the epoch.
      records: how many it has.
      seed: int.
      first_record: records, over all epochs, to leave out at the start.

    Returns:
      tf.data.Dataset without end.
    """
    first_epoch, seen = divmod(first_record, records)

    def epoch(number):
        shuffled = (dataset(number) if callable(dataset) else dataset).shuffle(
            min(records, SHUFFLE_BUFFER), seed=(seed or 0) + number, reshuffle_each_iteration=False
        )
        return shuffled.skip(tf.where(tf.equal(number, first_epoch), tf.cast(seen, tf.int64), 0))

    return tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max).flat_map(epoch)


def parse_batch(serialized, columns):
    """A batch of serialized examples as a dict of tensors; integers come as int32, which a TPU takes."""
    parsed = tf.io.parse_example(serialized, columns)
    return {name: tf.cast(value, tf.int32) if value.dtype == tf.int64 else value for name, value in parsed.items()}


def trim(features, names, round_lengths=False):
    """The features with those of these names, [batch, seq_len], cut to the batch's longest by `input_mask`.

    Args:
      features: dict of tensors.
      names: names of the features to cut.
      round_lengths: round the length up, by some 4 %, so that fewer different lengths occur: each costs a compilation.
    """
    longest = tf.reduce_max(tf.reduce_sum(features["input_mask"], axis=1))
    if round_lengths:
        step = tf.where(longest <= 128, 4, tf.where(longest <= 256, 8, 16))
        longest = (longest + step - 1) // step * step  # slicing stops at the end by itself
    return {name: value[:, :longest] if name in names else value for name, value in features.items()}


# The functions that are mapped are written in TensorFlow's operations: AutoGraph would read and rewrite their sources
# at each start, for seconds, and change nothing.
@tf.autograph.experimental.do_not_convert
def training_batches(path, parse, size, reading=PLAIN, trimmed=(), drop_remainder=False):
    """The parsed batches of a record file for training: shuffled and without end.

    A run of several processes can share out the records in two ways. By batch, the default: each process goes through
    all records in the same order and takes its rows of each batch, so the batches are those of a run of one process,
    whatever the cluster; it parses its own rows only (by length: all), but it reads all records. By file: of n
    processes each reads every n-th shard only (where there are fewer shards than processes, it keeps every n-th
    record only) and goes through those in epochs of its own, for corpora where reading everything everywhere costs too
    much; batches then depend on the cluster. Either way all processes together see every record once an epoch.

    Args:
      path: what `write_records` wrote: a file, the name of a set of shards, a pattern, or a list of these.
      parse: function from a batch of serialized examples to features, among them `input_mask`.
      size: examples in a batch, over all replicas of the run.
      reading: Reading. With a share, each batch has size / share.count examples, and of one batch of the whole run
        come share.replicas batches, one after another: that of replica k has the rows k, k + count, k + 2 count, ...
        By length, where rows are sorted, no replica then waits for one with longer texts.
      trimmed: names of the features to cut to the longest of their batch.
      drop_remainder: tell TensorFlow that all batches are full, for static shapes.

    Returns:
      tf.data.Dataset.

    Raises:
      ValueError: size is no multiple of share.count.
      UserError: a file is missing, or there are too few records.
    """
    seed, start_step, share = reading.seed, reading.start_step, reading.share
    own_size, files = _own_size(size, share), find_shards(path)
    if share.by_file:
        read, records = _own_epochs(files, seed, reading.deterministic, share)
        size, start_step, share = own_size, start_step * share.replicas, WHOLE
    else:
        one_order = reading.deterministic or share.count > share.replicas
        read, records = _epochs(files, seed, one_order), count_records(path)
    if reading.by_length:
        dataset = _shuffled_batches_by_length(read, records, parse, size, seed or 0, start_step)
        dataset = _own_rows(dataset, share)
    else:
        dataset = shuffled_epochs(read, records, seed, start_step * size)
        dataset = _own_rows(dataset.batch(size, drop_remainder=drop_remainder), share)
        dataset = dataset.map(parse, num_parallel_calls=2)
    return _finished(dataset, reading, trimmed)


@tf.autograph.experimental.do_not_convert
def batches_once(path, parse, size, reading=PLAIN, trimmed=(), drop_remainder=False):
    """The parsed batches of a record file, each record once.

    Args:
      path, parse, trimmed: as of `training_batches`.
      size: examples in a batch, over all replicas of the run.
      reading: Reading; the order of the records depends on by_length alone. Of n processes each gets every n-th record.
        By length, the features also have `position`, int64 [batch], each example's place in the file; a place is at
        most POOL_BATCHES batches off.
      drop_remainder: leave out a last batch that is not full; has no effect by length.

    Returns:
      tf.data.Dataset.

    Raises:
      ValueError: size is no multiple of share.count.
      UserError: a file is missing.
    """
    dataset, own_size = read_records(find_shards(path)), _own_size(size, reading.share)
    if reading.by_length:
        dataset = _batches_by_length(dataset, parse, own_size, reading.share)
    else:
        dataset = _own_records(dataset, reading.share).batch(own_size, drop_remainder=drop_remainder)
        dataset = dataset.map(parse, num_parallel_calls=2)
    return _finished(dataset, reading, trimmed)


def _own_size(size, share):
    """Examples of a batch for one replica."""
    if size % share.count:
        raise ValueError(f"a batch of {size} cannot be shared out evenly to {share.count} replicas")
    return size // share.count


def _finished(dataset, reading, trimmed):
    """The last steps for all batches: they are cut to their longest example and made ahead of time."""
    if trimmed:
        dataset = dataset.map(lambda features: trim(features, trimmed, reading.round_lengths))
    return _without_autotuning(dataset.prefetch(2))


def _without_autotuning(dataset):
    """Turns the tuner off: there is nothing to tune, and closing a session would wait for it, up to a minute."""
    options = tf.data.Options()
    if hasattr(options, "autotune"):
        options.autotune.enabled = False
    else:  # TensorFlow 1.15
        options.experimental_optimization.autotune = False
    return dataset.with_options(options)


def _epochs(files, seed, deterministic):
    """For `shuffled_epochs`: a function from the number of an epoch to a dataset of all records."""
    return lambda epoch: read_records(files, epoch, seed, deterministic)


def _own_epochs(files, seed, deterministic, share):
    """What this process reads by itself: (function as `_epochs` returns it, number of records)."""
    process, processes = _process(share)
    if len(files) >= processes:
        own = files[process::processes]
        read, records = _epochs(own, seed, deterministic), sum(map(count_by_length, own))
    else:
        # In one order everywhere, or the parts would overlap.
        read = _own_records_of(_epochs(files, seed, True), share)
        records = len(range(process, sum(map(count_by_length, files)), processes))
    if not records:
        raise UserError(f"{files[0]}: too few records; expected one or more for each of {processes} processes")
    return read, records


def _process(share):
    """(number, count): which of the run's processes this is."""
    return share.index // share.replicas, share.count // share.replicas


def _own_records_of(read, share):
    return lambda epoch: _own_records(read(epoch), share)


def _own_records(dataset, share):
    """This process's records: of n processes each gets every n-th."""
    process, processes = _process(share)
    return dataset.shard(processes, process) if processes > 1 else dataset


def _own_rows(dataset, share):
    """The rows of this process's replicas in each batch of the whole run: a batch for each replica."""
    if share.count == 1:
        return dataset

    def cut(batch):
        own = range(share.index, share.index + share.replicas)
        rows = tf.nest.map_structure(lambda value: tf.stack([value[k :: share.count] for k in own]), batch)
        return tf.data.Dataset.from_tensor_slices(rows)

    return dataset.flat_map(cut)


def input_fn_builder(path, columns, trimmed, is_training=False, static=False, reading=PLAIN):
    """An Estimator's input function over a record file.

    Args:
      path: as of `training_batches`.
      columns: what a record holds, as tf.io.parse_example takes it.
      trimmed: names of the columns to cut to the longest example of their batch.
      is_training: `training_batches`; else `batches_once`.
      static: batches of one shape that is known beforehand, as a TPU needs them: neither trimmed nor by length.
      reading: Reading.

    Returns:
      input_fn(params) giving a dataset of batches of params["batch_size"] examples.
    """
    if static:
        trimmed, reading = (), reading._replace(by_length=False)
    make_batches = training_batches if is_training else batches_once

    def parse(serialized):
        return parse_batch(serialized, columns)

    return lambda params: make_batches(path, parse, params["batch_size"], reading, trimmed, drop_remainder=static)


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


def _batches_by_length(dataset, parse, batch_size, share):
    """Batches of examples of about the same length, once; the features have each example's `position` too."""
    positions = tf.data.Dataset.range(np.iinfo(np.int64).max)

    def batches_of(positions, serialized):
        return _sorted_batches(dict(parse(serialized), position=positions), batch_size)

    numbered = _own_records(tf.data.Dataset.zip((positions, dataset)), share)
    return numbered.batch(POOL_BATCHES * batch_size).flat_map(batches_of)


def _sorted_batches(features, batch_size):
    """A dataset of the examples, [examples, ...], sorted by length and cut into batches."""
    # Examples of one length stay in their order, as the sort is stable.
    order = tf.argsort(tf.reduce_sum(features["input_mask"], axis=1), stable=True)
    by_length = {name: tf.gather(value, order) for name, value in features.items()}
    return tf.data.Dataset.from_tensor_slices(by_length).batch(batch_size)
