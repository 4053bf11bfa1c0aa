"""The record files of the train, dev and test split.

In: the checked inputs. Out: `*.tf_record` and token_test.txt in -output_dir.
"""

import collections
import os

from bert.data import records
from bert.system.files import atomic_open
from train import run_dir
from train.data import units
from train.data.context import with_neighbours
from train.data.records import file_examples, fingerprint, window_examples
from train.data.windows import encode

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
    max_seq_length, data_file = inputs.settings.max_seq_length, inputs.files[split]
    encoding = inputs.tokenizer, inputs.label_ids, max_seq_length
    form, cutting, context = inputs.forms[split], inputs.settings.cutting, inputs.settings.context
    made_from = fingerprint(
        data_file,
        vocab_file,
        inputs.labels,
        inputs.settings.do_lower_case,
        max_seq_length,
        form,
        cutting.splitter if cutting else None,
        context,
    )
    if split == "train":
        examples = file_examples(data_file, *encoding, processes, form, cutting, context)
        what = f"windows of {inputs.corpus.sentences} sentences"
        return Records(path, None, records.made(path, made_from, examples, shards, what))
    sentences = units.cut_sentences(with_neighbours(inputs.sentences[split], context), cutting)
    encoded = list(encode(sentences, *encoding, context))
    what = f"windows of {len(inputs.sentences[split])} sentences"
    count = records.made(path, made_from, window_examples(encoded, max_seq_length), what=what)
    if split == "test":
        _write_pieces(os.path.join(output_dir, run_dir.PIECES), encoded)
    return Records(path, encoded, count)


def _write_pieces(path, encoded):
    """Writes the word pieces of a split, one per line, with an empty line between sentences."""
    with atomic_open(path) as writer:
        sentence = None
        for window in encoded:
            if sentence not in (None, window.part.sentence):
                writer.write("\n")
            sentence = window.part.sentence
            writer.writelines(token + "\n" for token in window.tokens[window.own])
