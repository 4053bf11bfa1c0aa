"""Makes examples for pre-training (masked LM and next-sentence prediction) from plain text.

In: text files, one sentence per line, a blank line between documents. Out: TFRecord files for run_pretraining.py, in
Google BERT's format: int64 `input_ids`, `input_mask`, `segment_ids`, `masked_lm_positions`, `masked_lm_ids`,
`next_sentence_labels`, float `masked_lm_weights`.

    python -m bert.create_pretraining_data --input_file=bert/sample_text.txt --output_file=tf_examples.tfrecord \\
        --vocab_file=.../vocab.txt

Memory does not grow with the corpus: while the program runs, token ids are in a scratch file beside the output, four
bytes each. The same -random_seed gives the same files with any number of processes.
"""

import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file: its own directory is no place to import from
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
elif not __package__:  # imported as `create_pretraining_data`, by a script in this folder
    sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bert.system import startup  # noqa: I001  before TensorFlow

import contextlib
import itertools
import logging
import tempfile

from tqdm import tqdm

from bert.pretraining import corpus, examples
from bert.pretraining.instances import (  # noqa: F401  for scripts that import them from here
    MaskedLmInstance,
    TrainingInstance,
    create_float_feature,
    create_instances_from_document,
    create_int_feature,
    create_masked_lm_predictions,
    create_training_instances,
    truncate_seq_pair,
    write_instance_to_example_files,
)
from bert.system import filesystem, signals
from bert.system.errors import UserError, run_program, shown_list
from bert.system.files import find_files, make_dir
from bert.system.flags import FlagParser, non_negative_int, positive_int, proportion, require
from bert.system.workers import Workers
from bert.tokenization import FullTokenizer

log = logging.getLogger("bert.create_pretraining_data")  # the same however it is started


def main():
    args = parse_flags()
    inputs, outputs, tokenizer = check(args)
    settings = examples.make_settings(
        tokenizer.vocab,
        args.vocab_file,
        max_seq_length=args.max_seq_length,
        max_predictions_per_seq=args.max_predictions_per_seq,
        masked_lm_prob=args.masked_lm_prob,
        short_seq_prob=args.short_seq_prob,
        do_whole_word_mask=args.do_whole_word_mask,
        random_seed=args.random_seed,
    )
    # A remote path has loaded TensorFlow, and a process that has it loaded is not to be forked.
    fresh = any(map(filesystem.is_remote, [*inputs, *outputs, args.vocab_file]))
    with _scratch_file(outputs[0]) as scratch:
        blocks = tokenize(inputs, tokenizer, scratch, args.num_processes, fresh)
        count = write_examples(blocks, settings, scratch.name, outputs, args.dupe_factor, args.num_processes, fresh)
    # Only here, because this loads TensorFlow, which every worker process would have to hold too.
    startup.set_up_program()
    documents = blocks[-1].last_document + 1
    log.info("wrote %d examples from %d documents to %s", count, documents, shown_list(outputs))


def parse_flags(argv=None):
    """The flags as a Namespace."""
    parser = FlagParser(
        prog="create_pretraining_data.py",
        description="Makes examples for pre-training, masked LM and next-sentence prediction, from plain text: "
        "one sentence per line, a blank line between documents.",
    )
    flag, switch = parser.flag_group("files")
    flag("input_file", help="text files: patterns, a comma between them, as 'wiki/*.txt,books.txt'")
    flag("output_file", help="TFRecord files to write, a comma between them; examples are dealt out to all")
    flag("vocab_file", help="word pieces of the encoder, one per line")

    flag, switch = parser.flag_group("examples")
    switch("do_lower_case", True, help="lower-case and strip accents; false for a cased vocabulary")
    switch("do_whole_word_mask", False, help="mask all pieces of a word or none")
    flag("max_seq_length", type=positive_int, default=128, help="pieces, [CLS] and [SEP] included")
    flag("max_predictions_per_seq", type=positive_int, default=20, help="most pieces masked in an example")
    flag("masked_lm_prob", type=proportion, default=0.15, help="share of the pieces that is masked")
    flag("short_seq_prob", type=proportion, default=0.1, help="share of the documents cut into shorter examples")
    flag("dupe_factor", type=positive_int, default=10, help="times through the text, each with other masks and pairs")
    flag("random_seed", type=non_negative_int, default=12345, help="the same seed gives the same files")

    flag, _ = parser.flag_group("other")
    flag("num_processes", type=positive_int, default=os.cpu_count(), help="processes; the files do not depend on it")
    return parser.parse_args(argv)


def check(args):
    """Checks the flags before any text is read.

    Returns:
      (list of input files, list of output files, tokenizer).

    Raises:
      UserError: a flag is missing or not valid.
    """
    require(args, "input_file", "output_file", "vocab_file")
    if args.max_seq_length < examples.SHORTEST_SEQUENCE:
        raise UserError(f"-max_seq_length {args.max_seq_length}: expected {examples.SHORTEST_SEQUENCE} or more")
    inputs = find_files(args.input_file)
    outputs = [path for path in args.output_file.split(",") if path]
    for path in outputs:
        if outputs.count(path) > 1:
            raise UserError(f"-output_file {path}: named twice; expected each file once")
        if filesystem.realpath(path) in map(filesystem.realpath, inputs):
            raise UserError(f"-output_file {path}: it is an input file; expected another")
        if filesystem.isdir(path):
            raise UserError(f"-output_file {path}: it is a directory; expected a file to write")
    tokenizer = FullTokenizer(args.vocab_file, do_lower_case=args.do_lower_case)
    for path in outputs:
        make_dir(os.path.dirname(path) or ".")
    return inputs, outputs, tokenizer


def tokenize(inputs, tokenizer, scratch, num_processes, fresh=False):
    """Writes the token ids of the corpus to the scratch file; returns a list of corpus.Block.

    Raises:
      UserError: a file is not text, or there are fewer than two documents. Next-sentence prediction needs two: a random
        sentence is taken from another document.
    """
    ranges = corpus.ranges(inputs)
    with Workers(num_processes, tokenizer, fresh) as workers:
        tokenized = workers.map(corpus.tokenize_range, ranges)
        blocks = corpus.write_blocks(tqdm(tokenized, "tokenizing", len(ranges), disable=None), scratch)
    documents = blocks[-1].last_document + 1 if blocks else 0
    if documents < 2:
        names = inputs[0] if len(inputs) == 1 else f"{inputs[0]} and {len(inputs) - 1} more"
        found = "one document" if documents else "no text"
        raise UserError(f"{names}: {found} in it; expected two documents or more, with a blank line between them")
    return blocks


def write_examples(blocks, settings, scratch, outputs, dupe_factor, num_processes, fresh=False):
    """Writes the examples of all blocks in turn to the output files; returns the number of examples."""
    groups = examples.groups(blocks, dupe_factor, settings.random_seed)
    total = examples.groups_each_time(blocks) * dupe_factor
    count = 0
    with Workers(num_processes, (settings, scratch), fresh) as workers, contextlib.ExitStack() as stack:
        made = workers.map(examples.make_records, groups)
        first = next(made)
        # Only after the worker processes have started, because it loads TensorFlow, which each would have to hold too.
        from bert.data.records import record_writer

        writers = [stack.enter_context(record_writer(path)) for path in outputs]
        for records in tqdm(itertools.chain([first], made), "writing", total, disable=None):
            for record in records:
                writers[count % len(writers)].write(record)
                count += 1
    return count


@contextlib.contextmanager
def _scratch_file(output_file):
    """A temporary binary file in the folder of the output file, deleted when it is closed."""
    directory = os.path.dirname(output_file) or "."
    if filesystem.is_remote(directory):  # it is read at many places, so it has to lie on this machine
        directory = tempfile.gettempdir()
    try:
        scratch = tempfile.NamedTemporaryFile(dir=directory, prefix=".pretraining-", suffix=".tmp")  # noqa: SIM115
        with signals.cleanup_on_exit(scratch.close):
            yield scratch
    except OSError as error:
        raise UserError(f"{directory}: cannot be written: {error.strerror}")


if __name__ == "__main__":
    run_program(main)
