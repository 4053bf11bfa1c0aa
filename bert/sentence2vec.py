"""Writes one vector per sentence, of a file or of standard input.

In: one text per line, or a pair `text ||| second text`; a line with a tab is an id and its text. Out: for each line, in
the same order, id, text and values, with tabs between. Values have 6 decimals and commas between.

    python -m bert.sentence2vec --config=bert/sentence2vec.json --input_file=input.txt --output_file=vectors.tsv
"""

import os
import sys

if not __package__:  # run as a file: its own directory is no place to import from
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bert.system import startup  # noqa: I001  before TensorFlow

import contextlib
import io
import itertools
import logging

from tqdm import tqdm

from bert.runtime import devices, flags
from bert.system import lines
from bert.system.errors import run_program
from bert.system.files import atomic_open, check_output
from bert.system.flags import FlagParser, positive_int
from bert.sentence2veclib import KEYS, POOLINGS, Sentence2Vec, read_config

log = logging.getLogger("bert.sentence2vec")  # the same however it is started
CONFIG_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sentence2vec.json")


def main():
    args = parse_flags()
    devices.prepare(args.device_map)
    startup.set_up_logging(args.verbose)
    config = read_config(args.config)
    config.update({key: getattr(args, key) for key in KEYS if getattr(args, key) is not None})
    if args.output_file:
        check_output(args.output_file, args.input_file)
    total = lines.count(args.input_file, "one text per line") if args.input_file else None

    with Sentence2Vec(config) as sentence2vec, _input(args.input_file) as reader:
        numbered = lines.numbered(reader, args.input_file or "standard input", expected="one text per line, in UTF-8")
        texts, again = itertools.tee(itertools.starmap(parse_line, numbered))
        vectors = sentence2vec.encode_each(text for _, text in texts)
        rows = tqdm(zip(again, vectors), total=total, unit="line", disable=None)
        with _output(args.output_file) as writer:
            for (name, text), vector in rows:
                values = ",".join([f"{value:.6f}" for value in vector.tolist()])
                writer.write(f"{name}\t{text}\t{values}\n")
    if args.output_file:
        log.info("wrote %s: %d numbers a line, %s", args.output_file, sentence2vec.size, config["pooling"])


def parse_flags(argv=None):
    """The flags as a Namespace; None for a flag whose value comes from the config."""
    parser = FlagParser(prog="sentence2vec.py", description="Writes one vector per sentence, pooled from an encoder.")
    flag, _ = parser.flag_group("files")
    flag("config", default=CONFIG_FILE, help="JSON file with the keys that the flags below have")
    flag("input_file", help="one text per line, or text ||| second text, each after an id and a tab if it has one; "
         "default: standard input")  # fmt: skip
    flag("output_file", help="file to write; default: standard output")

    flag, switch = parser.flag_group("instead of what the config says")
    flag("bert_config_file", help="sizes of the encoder, bert_config.json")
    flag("vocab_file", help="word pieces of the encoder, one per line")
    flag("init_checkpoint", help="the encoder's weights, as .../bert_model.ckpt")
    switch("do_lower_case", None, help="lower-case and strip accents; false for a cased vocabulary")
    flag("max_seq_length", type=positive_int, help="pieces, [CLS] and [SEP] included; longer texts are cut")
    flag("batch_size", type=positive_int, help="texts in a batch")
    flag("pooling", choices=list(POOLINGS), help="what becomes of a text's pieces; first is [CLS], last is [SEP]")
    flag("layer", type=int, help="layer that is pooled, from 0, the first, or back from -1")
    flags.add_compute_flags(flag, switch, precision=None, xla=None)

    flag, switch = parser.flag_group("other")
    flag("device_map", help="GPUs to use, as CUDA_VISIBLE_DEVICES; default: all there are")
    switch("verbose", False, help="show TensorFlow's own log too")
    return parser.parse_args(argv)


def parse_line(number, line):
    """(id, text) of a line: `id<TAB>text`, or a text whose id is its line number, from 1."""
    name, tab, text = line.partition("\t")
    if not tab:
        name, text = str(number), line
    # No tab or line break may stay inside a column, or the output would not have three columns and a line per text.
    return name.replace("\r", " "), text.replace("\t", " ").replace("\r", " ")


@contextlib.contextmanager
def _input(path):
    if path is None:
        yield sys.stdin.buffer
    else:
        with open(path, "rb") as reader:
            yield reader


@contextlib.contextmanager
def _output(path):
    if path is not None:
        with atomic_open(path) as writer:
            yield writer
        return
    # UTF-8 in any locale.
    writer = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
    try:
        yield writer
        writer.flush()
    except BrokenPipeError:  # the reader, say `head`, wants no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        writer.detach()


if __name__ == "__main__":
    run_program(main)
