"""TFRecord files of encoded windows, and the input pipelines that read them.

Each record is a tf.train.Example with the int64 lists `input_ids`, `input_mask`, `segment_ids` and `label_ids`, all of
length max_seq_length, 0 where padded. Beside each file lies its fingerprint, see bert/records.py.
"""

import numpy as np
import tensorflow.compat.v1 as tf

from bert import records
from bert.files import sha256
from train.labels import CLS, PIECE, SEP

FIELDS = ("input_ids", "input_mask", "segment_ids", "label_ids")
FORMAT = 1  # raised when the content of a record changes, so that files written before are rebuilt


def fingerprint(data_file, vocab_file, labels, do_lower_case, max_seq_length):
    """What a record file depends on, as a JSON value."""
    return {
        "format": FORMAT,
        "data": sha256(data_file),
        "vocab": sha256(vocab_file),
        "labels": list(labels),
        "do_lower_case": bool(do_lower_case),
        "max_seq_length": max_seq_length,
    }


def write_records(path, encoded, max_seq_length, made_from):
    """Writes windows to a TFRecord file and its fingerprint beside it; returns how many there are.

    Args:
      encoded: iterable of features.Encoded.
      made_from: JSON value, see `fingerprint`.
    """
    return records.write_records(path, (_example(window, max_seq_length) for window in encoded), made_from)


def _example(window, max_seq_length):
    length = len(window.input_ids)
    values = {
        "input_ids": window.input_ids,
        "input_mask": [1] * length,
        "segment_ids": [0] * length,
        "label_ids": window.label_ids,
    }
    padding = [0] * (max_seq_length - length)
    return records.make_example({name: value + padding for name, value in values.items()})


def file_based_input_fn_builder(
    input_file,
    seq_length,
    is_training,
    drop_remainder,
    label_ids,
    batch_size,
    seed=None,
    start_step=0,
    trim=True,
    bucket=False,
    coarse=False,
):
    """An input function over a record file.

    Training goes on for ever, every record once an epoch in an order that depends on the seed and the epoch alone, so
    a run that stopped after `start_step` batches goes on with the records it would have seen next.

    Args:
      input_file: path of the record file.
      seq_length: max_seq_length of the file.
      is_training: shuffle and repeat.
      drop_remainder: leave out a last batch that is not full, for static shapes.
      label_ids: dict from label to id.
      batch_size: windows a batch; a `batch_size` in the estimator's params goes before.
      seed: int, of the shuffle.
      start_step: batches of training to leave out at the start.
      trim: cut each batch to its longest window.
      bucket: in training, make batches of windows of about the same length.
      coarse: with trim, let fewer different lengths occur, see bert/records.py.

    Returns:
      input_fn(params) giving batches of features: the four fields, int32 [batch, seq_len], and `word_start`, 1 at the
      first piece of each word.
    """
    columns = {name: tf.io.FixedLenFeature([seq_length], tf.int64) for name in FIELDS}
    not_a_word = np.array([0] + [label_ids[label] for label in (PIECE, CLS, SEP)])

    def parse(serialized):
        features = records.parse_batch(serialized, columns)
        is_word = tf.reduce_all(tf.not_equal(features["label_ids"][:, :, None], not_a_word), axis=-1)
        features["word_start"] = tf.cast(is_word, tf.int32)
        return features

    def input_fn(params=None):
        size = (params or {}).get("batch_size", batch_size)
        return records.batches(
            input_file,
            parse,
            size,
            is_training,
            seed,
            start_step,
            drop_remainder,
            trimmed=FIELDS + ("word_start",) if trim else (),
            bucket=bucket,
            coarse=coarse,
        )

    return input_fn
