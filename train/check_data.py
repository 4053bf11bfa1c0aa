"""What is to be known of a data set before a tagger is trained on it: a table, and what may go wrong.

    python -m train.check_data -data_dir my_data -bert_dir my_bert [-html page.html]

In: train, dev and test of -data_dir, as far as they are there. Out: a table of sentences, words, entities by type, and
what the splits share; with -bert_dir also words that its vocabulary does not know, and sentences of several windows.
The exit code is 0 unless run.py would refuse the data: then it is 2, and standard error says why. Loads no TensorFlow.
"""

import logging
import os
import tempfile

from bert.runtime import release
from bert.system import filesystem
from bert.system.errors import UserError, run_program, shown_list
from bert.system.files import atomic_open
from bert.system.flags import FlagParser, positive_int
from bert.system.log import log_to_stderr
from bert.tokenization import FullTokenizer
from train.data import overview as overviews
from train.data.annotated import find_file
from train.data.corpus import read_sentences, summarize
from train.data.flags import add_reading_flags, given_format
from train.data.labels import label_list
from train.data.splits import fit_split, read_split
from train.data.splitting import describe
from train.mymetrics import aligned
from train.pages import tables
from train.pages.spans import escape, page_end, page_start, type_name

log = logging.getLogger("train.check_data")

SPLITS = ("train", "dev", "test")
_STYLE = "table{margin:1rem 0}th,td{padding:.15rem .8rem;text-align:right}th[scope=row]{text-align:left}"


def main(argv=None):
    args = parse_flags(argv)
    log_to_stderr()
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = load_tokenizer(args, folder)
    said = Messages()
    with said:
        corpus, splits, problems = read_splits(args.data_dir, given_format(args), args.tag_scheme)
    found = {
        split: overviews.overview(sentences, scheme, tokenizer, args.max_seq_length)
        for split, (sentences, scheme) in splits.items()
    }
    rows = table_rows(found, args.max_seq_length)
    notes = list(find_notes(corpus, found, has_vocabulary=tokenizer is not None))
    if found:
        print("\n".join(aligned([["", *found]] + rows)))
    for note in notes:
        print(f"\n{note}")
    if args.html:
        with atomic_open(args.html) as writer:
            writer.write(page(args.data_dir, list(found), rows, said.lines + notes, problems))
    if problems:
        for problem in problems[:-1]:
            log.error("error: %s", problem)
        raise UserError(problems[-1])


class Messages(logging.Handler):
    """Within it, what the readers of data say in the log, a line each: for the page, as a terminal has it already."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())

    def __enter__(self):
        logging.getLogger("train.data").addHandler(self)
        return self

    def __exit__(self, *_):
        logging.getLogger("train.data").removeHandler(self)


def parse_flags(argv=None):
    """The flags as a Namespace."""
    parser = FlagParser(prog="check_data.py", description="What is to be known of a data set before training.")
    flag, switch = parser.flag_group("files")
    flag("data_dir", required=True, help="directory with train.txt, dev.txt and test.txt")
    flag("bert_dir", help="directory or zip with the encoder's vocab.txt")
    flag("vocab_file", help="word pieces of the encoder, one per line; default: vocab.txt in -bert_dir")
    flag("html", help="file to write the table and the notes to, as a page")
    add_reading_flags(flag)
    flag, switch = parser.flag_group("text")
    flag("max_seq_length", type=positive_int, default=128, help="pieces in a window")
    switch("do_lower_case", True, help="lower-case and strip accents; false for a cased vocabulary")
    return parser.parse_args(argv)


def load_tokenizer(args, folder):
    """The FullTokenizer of the flags, or None; a zip is unpacked to `folder` where nothing can be written beside it."""
    vocab_file = args.vocab_file
    if not vocab_file and args.bert_dir:
        is_zip = release.is_zip(args.bert_dir)
        vocab_file = os.path.join(release.unpack(args.bert_dir, folder) if is_zip else args.bert_dir, "vocab.txt")
    return FullTokenizer(vocab_file, args.do_lower_case) if vocab_file else None


def read_splits(data_dir, given, scheme=None):
    """Reads the files of a data directory as run.py does.

    Args:
      data_dir: directory.
      given: columns.Format of the flags.
      scheme: value of -tag_scheme, or None.

    Returns:
      (corpus.Corpus of train or None, dict from split to (its sentences, which may be readable only once; the scheme of
      its tags or None), list of what run.py would refuse, a line each).
    """
    if not filesystem.isdir(data_dir):
        raise UserError(f"{data_dir}: no such directory; expected one with train.txt, dev.txt and test.txt")
    corpus, splits, problems = None, {}, []
    for split in SPLITS:
        try:
            path = find_file(data_dir, split)
            if split == "train":
                corpus = summarize(path, None, given, scheme)
            if split == "train" or corpus is None:  # then each file is looked at by itself
                of_split = corpus or summarize(path, None, given, scheme)
                splits[split] = read_sentences(path, of_split.form), of_split.scheme
            else:
                splits[split] = _read_other(path, given, corpus), corpus.scheme
        except UserError as error:
            problems.append(str(error))
    return corpus, splits, problems


def _read_other(path, given, corpus):
    """The sentences of dev or test, as a run with that training data (corpus.Corpus) sees them."""
    split = read_split(path, given)
    return fit_split(split, label_list(corpus.tags), corpus.reading, corpus.words.splitter()).sentences


def table_rows(found, max_seq_length):
    """The table's rows: lists of str, the name and a value for each split; `found` is a dict from split to Overview."""
    columns = list(found.values())

    def of_all(name, value):
        return [name] + [f"{value(column):,}" for column in columns]

    rows = [of_all("sentences", lambda one: one.sentences)]
    if any(0 < one.documents < one.sentences for one in columns):  # each annotated text is one
        rows.append(of_all("documents that -DOCSTART- begins", lambda one: one.documents))
    rows.append(of_all("words", lambda one: one.words))
    rows.append(of_all("entities", lambda one: sum(one.entities.values())))
    for kind in sorted(set().union(*(one.entities for one in columns))):
        rows.append(of_all(f"  {type_name(kind)}", lambda one: one.entities[kind]))  # noqa: B023  called at once
    rows.append(of_all("words of the longest sentence", lambda one: one.longest))
    if columns and columns[0].windows is not None:
        rows.append(of_all(f"windows of {max_seq_length} pieces", lambda one: one.windows))
        rows.append(of_all("sentences of several windows", lambda one: one.cut))
        rows.append(of_all("words with an unknown piece", lambda one: sum(one.unknown.values())))
    if "train" in found:
        both = {split: overviews.shared(found["train"], one) for split, one in found.items() if split != "train"}
        for i, name in enumerate(("sentences of train here too", "  after case")):
            rows.append([name, ""] + [f"{both[split][i]:,}" for split in both])
    return rows


def find_notes(corpus, found, has_vocabulary):
    """Yields what is to be said beside the table, a line each; arguments as the functions above give them."""
    if corpus:
        yield from filter(None, corpus.said)
        yield describe(corpus.words, corpus.path, corpus.words.splitter(), "text")
        rare = overviews.rare_types(found["train"])
        if rare:
            shown = shown_list(f"{type_name(kind)} {number}" for kind, number in rare)
            yield f"types with fewer than {overviews.FEW} examples in train, which are hardly learnt: {shown}"
    for split, one in found.items():
        if split != "train" and not one.entities:
            yield f"no entity in {split}, so its F1 stays 0"
        if one.unknown:
            share = sum(one.unknown.values()) / one.words
            shown = shown_list(f"{word} {number}" for word, number in one.unknown.most_common())
            yield f"unknown words of {split}, {share:.2%} of all, the most frequent first: {shown}"
    if not has_vocabulary:
        yield "without -bert_dir nothing can be said of pieces and windows"


def page(data_dir, splits, rows, notes, problems):
    """The page of -html.

    Args:
      data_dir: name of the data.
      splits, rows: of the table.
      notes, problems: lists of str.

    Returns:
      HTML.
    """
    title = f"What is in {data_dir}"
    body = [f"<h1>{escape(title)}</h1>"]
    body += [f'<p class="off">refused: {escape(problem)}</p>' for problem in problems]
    if splits:
        html_rows = [tables.row(escape(name), map(escape, values)) for name, *values in rows]
        body.append(tables.table("What is in the data", ["", *splits], html_rows))
    body += [f"<p>{escape(note)}</p>" for note in notes]
    return page_start(title, _STYLE) + "\n".join(body) + page_end()


if __name__ == "__main__":
    run_program(main)
