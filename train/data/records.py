"""TFRecord files of encoded windows, and the input pipelines that read them.

Each record is a tf.train.Example with the int64 lists `input_ids`, `input_mask`, `segment_ids` and `label_ids`, all of
length max_seq_length, 0 where padded. Files may lie in shards, and beside them lies their fingerprint: see
bert/data/records.py.
"""

import tensorflow.compat.v1 as tf

from bert.data import batches
from bert.system.errors import UserError
from bert.system.files import sha256
from train.data import corpus
from train.data.columns import BY_DEFAULT
from train.data.labels import SPECIAL
from train.data.windows import FIELDS

FORMAT = 1  # raised when the content of a record changes, so that files written before are rebuilt


def fingerprint(data_file, vocab_file, labels, do_lower_case, max_seq_length, form=None, splitter=None, context=0):
    """What a record file depends on, as a JSON value.

    Args:
      data_file, vocab_file, labels, do_lower_case, max_seq_length: of the run.
      form: columns.Format that the data file is read with.
      splitter: how the words of the data are cut into units, text.Splitter; None where they are not.
      context: as of windows.encode.
    """
    made_from = {
        "format": FORMAT,
        "data": sha256(data_file),
        "vocab": sha256(vocab_file),
        "labels": list(labels),
        "do_lower_case": bool(do_lower_case),
        "max_seq_length": max_seq_length,
    }
    if form and form[:3] != BY_DEFAULT[:3]:  # else as in the files of earlier versions
        made_from["columns"] = [list(form.columns), form.comment, form.separator]
    if splitter:  # likewise
        made_from["splitter"] = splitter.to_json()
    if form and form.spelling:
        made_from["spelling"] = form.spelling
    if context:
        made_from["context"] = context
    return made_from


def window_examples(encoded, max_seq_length):
    """The records, as bytes, of an iterable of windows.Encoded."""
    return (corpus.record(window, max_seq_length) for window in encoded)


def file_examples(data_file, tokenizer, label_ids, max_seq_length, processes=None, form=None, cutting=None, context=0):
    """The records of a CoNLL file, which need not fit in memory.

    Args:
      data_file: CoNLL file whose tags are all in label_ids.
      tokenizer: FullTokenizer.
      label_ids: dict from label to id.
      max_seq_length: length of a record's lists.
      processes: how many encode, see corpus.summarize; the records do not depend on it.
      form: columns.Format to read the file with, as corpus.encoded_records.
      cutting: units.Cutting of the file's words, or None.
      context: as of windows.encode.

    Yields:
      bytes of tf.train.Example.

    Raises:
      UserError: there is no window.
    """
    is_empty = True
    encoding = tokenizer, label_ids, max_seq_length
    examples = corpus.encoded_records(data_file, *encoding, processes, form, cutting, context)
    for example in examples:
        is_empty = False
        yield example
    if is_empty:
        raise UserError(f"{data_file}: no word in it tokenizes to anything with this -vocab_file")


def file_based_input_fn_builder(
    input_file,
    seq_length,
    is_training,
    drop_remainder,
    label_ids=None,
    batch_size=None,
    trim=None,
    reading=batches.PLAIN,
):
    """An input function over a record file.

    Training goes on for ever, every record once an epoch in an order that depends on the seed and the epoch alone, so
    a run that stopped after `reading.start_step` batches goes on with the records it would have seen next.

    Args:
      input_file: the record file, the name of its shards, a pattern, or a list of these.
      seq_length: max_seq_length of the file.
      is_training: shuffle and repeat.
      drop_remainder: leave out a last batch that is not full, for static shapes.
      label_ids: dict from label to id; None, as in the archive: the features have no `word_start`.
      batch_size: windows a batch, over all replicas; a `batch_size` in the estimator's params goes before.
      trim: cut each batch to its longest window; default: where there are label_ids, as the archive never did.
      reading: batches.Reading.

    Returns:
      input_fn(params) giving batches of features: the four fields, int32 [batch, seq_len], and `word_start`, 1 at the
      first piece of each word.
    """
    trim = label_ids is not None if trim is None else trim
    columns = {name: tf.io.FixedLenFeature([seq_length], tf.int64) for name in FIELDS}
    make_batches = batches.training_batches if is_training else batches.batches_once
    names = FIELDS + (("word_start",) if label_ids else ())

    def parse(serialized):
        features = batches.parse_batch(serialized, columns)
        if label_ids:
            features["word_start"] = word_starts(features["label_ids"], label_ids)
        return features

    def input_fn(params=None):
        size = (params or {}).get("batch_size", batch_size)
        return make_batches(input_file, parse, size, reading, names if trim else (), drop_remainder)

    return input_fn


def word_starts(label_ids, ids):
    """Where a word begins, from the labels of pieces.

    Args:
      label_ids: int [batch, seq_len], 0 at padding.
      ids: dict from label to id.

    Returns:
      int32 [batch, seq_len], 1 at the first piece of each word.
    """
    not_a_word = [0] + [ids[label] for label in SPECIAL]
    return tf.cast(tf.reduce_all(tf.not_equal(label_ids[..., None], not_a_word), axis=-1), tf.int32)
