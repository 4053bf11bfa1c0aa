"""The record files of the train, dev and test split, each written when it is not there yet.

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

# path: record file; encoded: list of windows.Encoded, the windows in it, None for the train split, which need not fit
# in memory; count: how many windows.
Records = collections.namedtuple("Records", ["path", "encoded", "count"])


def make_records(args, inputs, split):
    """The split's record file, written anew unless it was made from just this data with just these settings."""
    path = os.path.join(args.output_dir, run_dir.RECORDS[split])
    data_file, encoding = inputs.files[split], (inputs.tokenizer, inputs.label_ids, args.max_seq_length)
    made_from = fingerprint(data_file, args.vocab_file, inputs.labels, args.do_lower_case, args.max_seq_length)
    is_train = split == "train"
    shards = args.record_shards if is_train else 1
    encoded = None if is_train else list(encode(inputs.sentences[split], *encoding))
    if is_current(path, made_from, shards):
        log.info("%s is up to date, %d windows", path, count_records(path))
    elif is_train:
        count = write_file(path, data_file, *encoding, made_from, shards, args.processes)
        log.info("wrote %s: %d sentences, %d windows", path, inputs.corpus.sentences, count)
    else:
        write_records(path, encoded, args.max_seq_length, made_from)
        log.info("wrote %s: %d sentences, %d windows", path, len(inputs.sentences[split]), len(encoded))
    if split == "test":
        _write_pieces(os.path.join(args.output_dir, run_dir.PIECES), encoded)
    return Records(path, encoded, count_records(path))


def _write_pieces(path, encoded):
    """The pieces of a file, one per line, an empty line between sentences."""
    with atomic_open(path) as writer:
        sentence = None
        for window in encoded:
            if sentence not in (None, window.sentence):
                writer.write("\n")
            sentence = window.sentence
            writer.writelines(token + "\n" for token in window.tokens[window.own])
