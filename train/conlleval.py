"""Chunk precision, recall and FB1 with the report of the CoNLL-2000 shared task.

    python -m train.conlleval [-d CHAR] [-r] [-l] [-o TAG] [-s SCHEME] [-b WORD] [file]

Without a file it reads standard input.

In: one token per line, its last two columns the gold and the predicted tag; columns are separated by runs of
spaces or tabs, sentences by an empty line or by a line whose first column is `-X-`. UTF-8; a line ends at \\n
or \\r\\n and nowhere else.
Out: the report, as UTF-8.

    -d CHAR  columns are separated by this one character (`\\t`: a tab); two in a row enclose an empty column
    -r       raw tags: no B- or I- before the type, and each token that is not outside is a chunk of its own
    -o TAG   with -r, the tag that means outside, beside O
    -l       a LaTeX table instead of the plain report
    -s NAME  the scheme of the tags: BIO, IOB1, IOE1, IOE2 or BIOES, which are read alike; BILOU; BMES; or IO, where a
             tag may be a type alone. Without it the last three are recognised
    -b WORD  a line whose first column is this ends a sentence, in place of -X-; '': there is no such line

--delimiter, --otag and --boundary are the same as -d, -o and -b.

label_dev.txt and label_test.txt beside a run.json are read as the run read them: by its scheme, and -X- is a word.

chunks.py reads the tags. Source: the task and its measures, Tjong Kim Sang and Buchholz, "Introduction to the
CoNLL-2000 Shared Task: Chunking" (CoNLL 2000). conlleval.pl beside this file does the same in Perl.
"""

import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file, `python train/conlleval.py`
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import argparse
import getopt
from collections import Counter, namedtuple

from bert.system import filesystem
from bert.system.errors import UserError, run_program
from bert.system.files import read_json
from bert.system.lines import decode, reading
from train import chunks as reading_of_tags
from train.chunks import READINGS, chunks, ends_chunk, recognise, same_tag, starts_chunk

USAGE = "python -m train.conlleval [-d CHAR] [-r] [-l] [-o TAG] [-s SCHEME] [-b WORD] [file]"
STDIN = "standard input"
LONG = {"-b": "boundary", "-d": "delimiter", "-o": "otag"}
OF_RUNS = ("label_dev.txt", "label_test.txt")  # the tagged files in -output_dir

ANY_SPACE = "<SPACE>"  # as a delimiter: runs of spaces and tabs
BOUNDARY = "-X-"  # a line whose first column is this ends a sentence, as an empty line does

Options = namedtuple(
    "Options", "delimiter raw latex otag boundary scheme", defaults=[None, False, False, "O", BOUNDARY, None]
)

Metrics = namedtuple("Metrics", "tp fp fn prec rec fscore")


class FormatError(UserError):
    """A line is not in the format."""


class EvalCounts:
    """What a report is made of; numbers of chunks unless said otherwise.

    Attributes:
      correct_chunk, found_correct, found_guessed: chunks in both columns, in the gold, in the predicted one.
      t_correct_chunk, t_found_correct, t_found_guessed: the same by type, dicts that give 0 for other types.
      correct_tags, token_counter: tokens whose two tags agree, and all tokens.
      latex: bool, the form of report that was asked for.
    """

    def __init__(self, latex=False):
        self.correct_chunk = 0
        self.correct_tags = 0
        self.found_correct = 0
        self.found_guessed = 0
        self.token_counter = 0
        self.t_correct_chunk = Counter()
        self.t_found_correct = Counter()
        self.t_found_guessed = Counter()
        self.latex = latex

    def add_sentence(self, gold, guessed, scheme=None):
        """Adds one sentence: two lists of tags (str), of one length; scheme: as of `chunks`."""
        gold_chunks, guessed_chunks = chunks(gold, scheme), chunks(guessed, scheme)
        both = set(gold_chunks) & set(guessed_chunks)
        self.correct_chunk += len(both)
        self.found_correct += len(gold_chunks)
        self.found_guessed += len(guessed_chunks)
        self.t_correct_chunk.update(chunk_type for chunk_type, _, _ in both)
        self.t_found_correct.update(chunk_type for chunk_type, _, _ in gold_chunks)
        self.t_found_guessed.update(chunk_type for chunk_type, _, _ in guessed_chunks)
        self.correct_tags += sum(same_tag(a, b, scheme) for a, b in zip(gold, guessed))
        self.token_counter += len(gold)

    def by_type(self):
        """Yields (type, correct, guessed, gold) for each type of either column, sorted as UTF-8 bytes."""
        for name in sorted(set(self.t_found_correct) | set(self.t_found_guessed)):
            yield name, self.t_correct_chunk[name], self.t_found_guessed[name], self.t_found_correct[name]


def evaluate(iterable, options=None, name="input"):
    """Counts the chunks of lines of tagged text.

    Args:
      iterable: yields lines (str), with or without their line ends; the module's docstring has the format.
      options: None, or an object with any of the attributes `delimiter` (one character; default: runs of
        spaces and tabs), `raw` (bool), `latex` (bool), `otag` ("O"), `boundary` ("-X-", the first column
        of a line that divides sentences; "": there is none) and `scheme` (key of READINGS). An attribute that is
        None counts as absent.
      name: what error messages call the input.

    Returns:
      EvalCounts.

    Raises:
      FormatError: a line has fewer than two columns or not as many as the first.
      UserError: the delimiter is not one character.
    """
    given = {field: getattr(options, field, None) for field in Options._fields}
    options = Options(**{field: value for field, value in given.items() if value is not None})
    counts = EvalCounts(options.latex)
    for gold, guessed in _sentences(iterable, options, name):
        counts.add_sentence(gold, guessed, options.scheme)
    return counts


def _sentences(lines, options, name):
    """Yields (gold tags, predicted tags) for each sentence, possibly empty ones."""
    if options.delimiter == ANY_SPACE:
        options = options._replace(delimiter=None)
    if options.delimiter is not None and len(options.delimiter) != 1:
        raise UserError(f"the delimiter is {options.delimiter!r}, expected one character")
    gold, guessed = [], []
    width = None
    for number, line in enumerate(lines, 1):
        columns = _split_columns(line, options.delimiter)
        if columns:
            width = width or len(columns)
            if len(columns) != width:
                raise FormatError(
                    f"{name}, line {number}: unexpected number of features: {len(columns)} ({width}), "
                    "expected as many columns as in the first line"
                )
        if not columns or columns[0] == options.boundary:
            yield gold, guessed
            gold, guessed = [], []
        elif len(columns) < 2:
            raise FormatError(f"{name}, line {number}: 1 column found, expected the gold and the predicted tag")
        else:
            gold.append(_chunk_tag(columns[-2], options))
            guessed.append(_chunk_tag(columns[-1], options))
    yield gold, guessed


def _split_columns(line, delimiter):
    """Returns the columns of a line; those left empty at its end do not count, so a blank line has none."""
    # Not str.split() or str.splitlines(): U+3000 or U+2028 may be a token.
    if line.endswith("\n"):
        line = line[:-1]
    if line.endswith("\r"):
        line = line[:-1]
    if delimiter is None:
        return [column for column in line.replace("\t", " ").split(" ") if column]
    columns = line.split(delimiter)
    while columns and not columns[-1]:
        columns.pop()
    return columns


def _chunk_tag(tag, options):
    if not options.raw:
        return tag
    return "O" if tag in ("O", options.otag) else "B-" + tag


def metrics(counts):
    """Returns (overall, by_type): a Metrics and a dict from type to Metrics.

    `tp`, `fp`, `fn` are numbers of chunks, `prec`, `rec`, `fscore` fractions from 0 to 1, 0 where undefined.
    """
    overall = calculate_metrics(counts.correct_chunk, counts.found_guessed, counts.found_correct)
    return overall, {name: calculate_metrics(*numbers) for name, *numbers in counts.by_type()}


def calculate_metrics(correct, guessed, total):
    """The Metrics of `correct` chunks of `guessed` ones, where the gold has `total`."""
    precision = correct / guessed if guessed else 0.0
    recall = correct / total if total else 0.0
    fscore = 2 * precision * recall / (precision + recall) if correct else 0.0
    return Metrics(correct, guessed - correct, total - correct, precision, recall, fscore)


def parse_tag(t):
    """(tag, type) of a label, ("B", "PER") of `B-PER`."""
    return reading_of_tags.parse_tag(t)


def start_of_chunk(prev_tag, tag, prev_type, type_):
    """Whether a chunk starts at a tag, such as B with the type PER, given its left neighbour."""
    return starts_chunk((prev_tag, prev_type), (tag, type_))


def end_of_chunk(prev_tag, tag, prev_type, type_):
    """Whether a chunk ends before a tag, given its left neighbour."""
    return ends_chunk((prev_tag, prev_type), (tag, type_))


def uniq(iterable):
    """A list of the different items, in the order in which they come first."""
    return list(dict.fromkeys(iterable))


def percentages(correct, guessed, gold):
    """Returns (precision, recall, FB1) in percent.

    Multiplied by 100 first: the other order rounds otherwise in the last printed digit.
    """
    precision = 100 * correct / guessed if guessed else 0.0
    recall = 100 * correct / gold if gold else 0.0
    fb1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return precision, recall, fb1


def report(counts, out=None):
    """Writes the report on `counts` to the text stream `out` (default: standard output)."""
    (sys.stdout if out is None else out).write("".join(report_notprint(counts)))


def report_notprint(counts, out=None):
    """Returns the report on `counts` as a list of lines (str), each with its line end.

    `out` is not used; it is there for callers of the archive's function.
    """
    return _latex_lines(counts) if counts.latex else _plain_lines(counts)


def _plain_lines(counts):
    lines = [
        f"processed {counts.token_counter} tokens with {counts.found_correct} phrases; "
        f"found: {counts.found_guessed} phrases; correct: {counts.correct_chunk}.\n"
    ]
    if counts.token_counter:
        accuracy = 100 * counts.correct_tags / counts.token_counter
        scores = _plain_scores(counts.correct_chunk, counts.found_guessed, counts.found_correct)
        lines.append(f"accuracy: {accuracy:6.2f}%; {scores}\n")
    for name, correct, guessed, gold in counts.by_type():
        lines.append(f"{name:>17}: {_plain_scores(correct, guessed, gold)}  {guessed}\n")
    return lines


def _plain_scores(correct, guessed, gold):
    precision, recall, fb1 = percentages(correct, guessed, gold)
    return f"precision: {precision:6.2f}%; recall: {recall:6.2f}%; FB1: {fb1:6.2f}"


def _latex_lines(counts):
    rows = [r"        & Precision &  Recall  & F$_{\beta=1} \\\hline"]
    rows += [f"{name:<7}" + _latex_scores(*numbers) for name, *numbers in counts.by_type()]
    rows[-1] += r"\hline"
    overall = _latex_scores(counts.correct_chunk, counts.found_guessed, counts.found_correct)
    rows.append("Overall" + overall + r"\hline")
    return [row + "\n" for row in rows]


def _latex_scores(correct, guessed, gold):
    precision, recall, fb1 = percentages(correct, guessed, gold)
    return rf" &  {precision:6.2f}\% & {recall:6.2f}\% & {fb1:6.2f} \\"


def return_report(input_file):
    """Returns the report on a UTF-8 file of tagged text, as `report_notprint` does.

    Raises:
      UserError: the file cannot be read, is not UTF-8, or is not in the format; the message names the line.
    """
    return report_notprint(evaluate(_read_lines(input_file, input_file), name=input_file))


def _read_lines(file, name):
    """Yields the lines (str) of a UTF-8 file; `file` is a path or the number of an open file."""
    with reading(name, "a file of tagged text"), _open(file) as stream:
        for number, raw in enumerate(stream, 1):
            yield decode(raw, name, number)


def _open(file):
    return open(file, "rb", closefd=False) if isinstance(file, int) else filesystem.open_file(file, "rb")


def _parse_command_line(arguments):
    """Returns (Options, path or None), or None where help was asked for."""
    try:
        flags, paths = getopt.gnu_getopt(arguments, "d:rlo:s:b:h", ["help", *(f"{name}=" for name in LONG.values())])
    except getopt.GetoptError as error:
        raise UserError(f"{error}; usage: {USAGE}") from error
    if len(paths) > 1:
        raise UserError(f"{len(paths)} files given, expected one at most; usage: {USAGE}")
    short = {f"--{name}": flag for flag, name in LONG.items()}
    given = {short.get(flag, flag): value for flag, value in flags}
    if "-h" in given or "--help" in given:
        return None
    delimiter = given.get("-d")
    options = Options(
        delimiter="\t" if delimiter == "\\t" else delimiter,
        raw="-r" in given,
        latex="-l" in given,
        otag=given.get("-o", "O"),
        boundary=given.get("-b"),
        scheme=given.get("-s"),
    )
    if options.scheme not in (None, *READINGS):
        raise UserError(f"-s {options.scheme}: expected one of {', '.join(READINGS)}")
    return options, paths[0] if paths else None


def parse_args(argv):
    """The command line, without the program's name, as a Namespace: `file`, None for standard input, and Options."""
    command = _parse_command_line(argv)
    if command is None:
        sys.stdout.write(__doc__)
        sys.exit(0)
    options, path = command
    delimiter = ANY_SPACE if options.delimiter is None else options.delimiter
    boundary = BOUNDARY if options.boundary is None else options.boundary
    return argparse.Namespace(file=path, **options._replace(delimiter=delimiter, boundary=boundary)._asdict())


def _of_run(path):
    """The model's settings in the run.json beside a file that a run tagged; None for any other file."""
    state_file = os.path.join(os.path.dirname(path), "run.json")
    if os.path.basename(path) not in OF_RUNS or not filesystem.isfile(state_file):
        return None
    state = read_json(state_file)
    model = state.get("model") if isinstance(state, dict) else None
    return model if isinstance(model, dict) and model.get("scheme") in (None, *READINGS) else None


def _settle(options, path, lines):
    """The Options of a file with the scheme and the boundary that it calls for; says so on standard error."""
    model = _of_run(path) if path and not options.raw else None
    if model is not None:
        boundary = "" if options.boundary is None else options.boundary
        has_tabs = "\t" in next(iter(lines), "")  # as the run writes it where words or tags have spaces
        delimiter = options.delimiter or ("\t" if has_tabs else None)
        return options._replace(boundary=boundary, scheme=options.scheme or model.get("scheme"), delimiter=delimiter)
    if options.boundary is None:
        options = options._replace(boundary=BOUNDARY)
    if options.raw or options.scheme:
        return options
    scheme = recognise({tag for pair in _sentences(lines, options, path or STDIN) for tags in pair for tag in tags})
    if scheme:
        sys.stderr.write(f"{path or STDIN}: the tags are read as {scheme}; -s BIO reads them as conlleval.pl does\n")
    return options._replace(scheme=scheme)


def main(argv=None):
    command = _parse_command_line((sys.argv if argv is None else argv)[1:])
    if command is None:
        sys.stdout.write(__doc__)
        return
    options, path = command
    name = path or STDIN
    lines = list(_read_lines(0, name)) if path is None else None
    options = _settle(options, path, _read_lines(path, name) if lines is None else lines)
    counts = evaluate(_read_lines(path, name) if lines is None else lines, options, name)
    # Bytes, because the locale must not decide how a type is written.
    sys.stdout.buffer.write("".join(report_notprint(counts)).encode("utf-8"))


if __name__ == "__main__":
    run_program(main)
