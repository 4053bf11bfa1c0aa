"""The record files of the train, dev and test split.

In: the checked inputs. Out: `*.tf_record` and token_test.txt in -output_dir.
"""

import collections
import logging
import os

from bert.data.records import count_records, is_current
from bert.system.files import atomic_open
from train import run_dir
from train.data.records import fingerprint, write_file, write_records
from train.data.windows import encode

log = logging.getLogger(__name__)

# path: the record file; encoded: its windows, a list of windows.Encoded, None for the train split, which may not fit in
# memory; count: number of windows.
Records = collections.namedtuple("Records", ["path", "encoded", "count"])


def make_records(output_dir, inputs, split, vocab_file, shards=1, processes=None):
    """Makes the record file of a split; one that was made from the same data with the same settings is kept.

    Args:
      output_dir: directory of the run.
      inputs: inputs.Inputs.
      split: "train", "dev" or "test".
      vocab_file: the vocabulary's file.
      shards: number of files that the train split is written to.
      processes: how many processes encode the train split, see corpus.summarize.

    Returns:
      Records.
    """
    path = os.path.join(output_dir, run_dir.RECORDS[split])
    max_seq_length, data_file = inputs.model["max_seq_length"], inputs.files[split]
    encoding = inputs.tokenizer, inputs.label_ids, max_seq_length
    made_from = fingerprint(data_file, vocab_file, inputs.labels, inputs.model["do_lower_case"], max_seq_length)
    is_train = split == "train"
    shards = shards if is_train else 1
    encoded = None if is_train else list(encode(inputs.sentences[split], *encoding))
    if is_current(path, made_from, shards):
        log.info("%s is up to date, %d windows", path, count_records(path))
    elif is_train:
        count = write_file(path, data_file, *encoding, made_from, shards, processes)
        log.info("wrote %s: %d sentences, %d windows", path, inputs.corpus.sentences, count)
    else:
        write_records(path, encoded, max_seq_length, made_from)
        log.info("wrote %s: %d sentences, %d windows", path, len(inputs.sentences[split]), len(encoded))
    if split == "test":
        _write_pieces(os.path.join(output_dir, run_dir.PIECES), encoded)
    return Records(path, encoded, count_records(path))


def _write_pieces(path, encoded):
    """Writes the word pieces of a split, one per line, with an empty line between sentences."""
    with atomic_open(path) as writer:
        sentence = None
        for window in encoded:
            if sentence not in (None, window.sentence):
                writer.write("\n")
            sentence = window.sentence
            writer.writelines(token + "\n" for token in window.tokens[window.own])
