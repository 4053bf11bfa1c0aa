"""Reads record files for pre-training: checks and counts them, then feeds them to an Estimator."""

import tensorflow.compat.v1 as tf

from bert.data import batches
from bert.data.shards import count_by_length
from bert.system.errors import UserError, shown_list

LOOKED_AT = 20  # number of records in each file that are checked before training


def columns(max_seq_length, max_predictions_per_seq):
    """The features of a record, as tf.io.parse_example takes them."""
    sequence = tf.io.FixedLenFeature([max_seq_length], tf.int64)
    predictions = tf.io.FixedLenFeature([max_predictions_per_seq], tf.int64)
    return {
        "input_ids": sequence,
        "input_mask": sequence,
        "segment_ids": sequence,
        "masked_lm_positions": predictions,
        "masked_lm_ids": predictions,
        "masked_lm_weights": tf.io.FixedLenFeature([max_predictions_per_seq], tf.float32),
        "next_sentence_labels": tf.io.FixedLenFeature([1], tf.int64),
    }


def count_records(files, max_seq_length, max_predictions_per_seq, vocab_size):
    """The number of records in all files.

    Raises:
      UserError: a file is no TFRecord file or cut off; its first records are not for pre-training, have other lengths
        or ids outside the vocabulary; or there is no record.
    """
    expected = columns(max_seq_length, max_predictions_per_seq)
    total = 0
    for path in files:
        total += count_by_length(path)  # first: TensorFlow's process ends by a length far beyond the end of the file
        for content in _first_records(path):
            _check(path, content, expected, vocab_size)
    if not total:
        raise UserError(f"{shown_list(files)}: no record; expected what create_pretraining_data writes")
    return total


def _first_records(path):
    try:
        for count, content in enumerate(tf.io.tf_record_iterator(path), 1):
            yield content
            if count == LOOKED_AT:
                return
    except tf.errors.OpError as error:
        raise UserError(f"{path}: expected a TFRecord file of create_pretraining_data: {error.message}")


def _check(path, content, expected, vocab_size):
    try:
        features = tf.train.Example.FromString(content).features.feature
    except Exception as error:  # protobuf's own DecodeError differs between its implementations
        raise UserError(f"{path}: expected records of create_pretraining_data: {error}")
    for name, column in expected.items():
        values = features[name].float_list.value if column.dtype == tf.float32 else features[name].int64_list.value
        if len(values) == column.shape[0]:
            continue
        flag = "-max_seq_length" if column.shape == expected["input_ids"].shape else "-max_predictions_per_seq"
        raise UserError(f"{path}: its records have {len(values)} {name}; expected {column.shape[0]}, see {flag}")
    largest = max(max(features["input_ids"].int64_list.value), max(features["masked_lm_ids"].int64_list.value))
    if largest >= vocab_size:
        raise UserError(
            f"{path}: made with another vocabulary: piece {largest} in it; expected ids below {vocab_size}, "
            f"the config's vocab_size"
        )


def input_fn_builder(files, max_seq_length, max_predictions_per_seq, is_training=False, reading=batches.PLAIN):
    """An input function over record files.

    Args:
      files: list of paths.
      max_seq_length, max_predictions_per_seq: of the records.
      is_training: repeats without end, every record once per epoch, in a new order each epoch, in batches of one shape.
        Otherwise: all records once, in order.
      reading: batches.Reading, not by length.

    Returns:
      input_fn(params) giving batches of params["batch_size"]: dict from name to int32, or float32 for the weights,
      [batch, length].
    """
    parsed = columns(max_seq_length, max_predictions_per_seq)
    return batches.input_fn_builder(files, parsed, (), is_training, is_training, reading)
