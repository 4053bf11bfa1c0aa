"""Writes one vector per sentence, of a file or of standard input.

In: one text per line, or a pair `text ||| second text`; a line with a tab is an id and its text. Out: for each line, in
the same order, id, text and values, with tabs between. Values have 6 decimals and commas between.

    python -m bert.sentence2vec --config=bert/sentence2vec.json --input_file=input.txt --output_file=vectors.tsv
"""

import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file: its own directory is no place to import from
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
elif not __package__:  # imported as `sentence2vec`, by a script in this folder
    sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bert.system import startup  # noqa: I001  before TensorFlow
from bert.runtime.vector_flags import parse_sentence_flags as parse_flags
from bert.runtime.vector_flags import sentence_config
from bert.system.errors import run_program

if __name__ == "__main__":  # before TensorFlow is loaded, which takes seconds
    run_program(lambda: sentence_config(parse_flags()))

import contextlib
import io
import itertools
import logging

from tqdm import tqdm

from bert.runtime import devices
from bert.sentence2veclib import Sentence2Vec
from bert.system import filesystem, lines
from bert.system.files import atomic_open, check_output

log = logging.getLogger("bert.sentence2vec")  # the same however it is started


def main():
    args = parse_flags()
    config = sentence_config(args)
    devices.prepare(args.device_map)
    startup.set_up_program(args.verbose)
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
        with filesystem.open_file(path, "rb") as reader:
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
