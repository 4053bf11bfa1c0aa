"""Classification tasks as data, and the reader of their tab-separated files.

The tasks are GLUE's with the file layouts of its download, XNLI as Google BERT reads it, and `tsv`, any file of
`text<TAB>label` or `text<TAB>text<TAB>label`. There is no quoting in any of these files: columns split at tabs only,
lines end at LF or CRLF only.
"""

import collections
import logging
import os

from bert.system import lines
from bert.system.errors import UserError, shorten, shown_list

log = logging.getLogger(__name__)

# The layout of a task's file; columns count from 0, negative ones from the line's end.
#   file: name in the data directory; header: whether the first line names the columns;
#   text_a, text_b, label: their columns, None where there is none; part: "" or the name of a second such file;
#   language: None, or the value of column 0 in the lines that are read;
#   skip_broken: skip lines with a wrong number of columns, with a warning, instead of refusing the file.
Layout = collections.namedtuple(
    "Layout", ["file", "header", "text_a", "text_b", "label", "part", "language", "skip_broken"]
)

# name: as -task_name has it, lower case; splits: dict from train, dev, test to a list of Layout;
# labels: in the order of their ids, None for regression; metrics: beside accuracy (in regression: alone), see
# metrics.py; aliases: dict from a label in a file to the label of the task.
Task = collections.namedtuple("Task", ["name", "splits", "labels", "metrics", "aliases"])

# text_b: None for a single text; label: str, float for regression, None where the file has none.
Example = collections.namedtuple("Example", ["text_a", "text_b", "label"])

NLI = ("contradiction", "entailment", "neutral")
ENTAILMENT = ("entailment", "not_entailment")
BINARY = ("0", "1")
REGRESSION_LABELS = 1  # the outputs of a regression model
TSV = "tsv"
FEW_EXAMPLES = 10  # a file of fewer may have a label for each text
SHOWN = 40  # characters of a label in a message


def _layout(file, text_a, text_b=None, label=None, header=True, part="", language=None, skip_broken=False):
    return Layout(file, header, text_a, text_b, label, part, language, skip_broken)


def _task(name, labels, train, dev, test, metrics=(), aliases=None):
    splits = {"train": [train], "dev": dev, "test": test}
    return Task(name, splits, labels, metrics, aliases or {})


def _pair_task(name, labels, train_columns, test_columns, metrics=(), skip_broken=False):
    """A task of text pairs in train.tsv, dev.tsv and test.tsv; columns are those of text a, text b and label."""
    train, dev = (_layout(file, *train_columns, skip_broken=skip_broken) for file in ("train.tsv", "dev.tsv"))
    return _task(name, labels, train, [dev], [_layout("test.tsv", *test_columns)], metrics)


def _mnli_files(split):
    for part in ("", "mismatched"):
        label = -1 if split == "dev" else None
        yield _layout(f"{split}_{part or 'matched'}.tsv", 8, 9, label, part=part)


def _xnli_file(split, label):
    # The language is filled in by `find_task`.
    return _layout(f"xnli.{split}.tsv", 6, 7, label, language="{}")


TASKS = {
    task.name: task
    for task in (
        _task(
            "cola",
            BINARY,
            _layout("train.tsv", 3, label=1, header=False),
            [_layout("dev.tsv", 3, label=1, header=False)],
            [_layout("test.tsv", 1)],
            ("matthews",),
        ),
        _task("mnli", NLI, _layout("train.tsv", 8, 9, -1), list(_mnli_files("dev")), list(_mnli_files("test"))),
        _pair_task("mrpc", BINARY, (3, 4, 0), (3, 4), ("f1",)),
        _pair_task("qnli", ENTAILMENT, (1, 2, 3), (1, 2)),
        # GLUE's download of QQP has a few lines that a line break in a question has cut in two.
        _pair_task("qqp", BINARY, (3, 4, 5), (1, 2), ("f1",), skip_broken=True),
        _pair_task("rte", ENTAILMENT, (1, 2, 3), (1, 2)),
        _task(
            "sst-2",
            BINARY,
            _layout("train.tsv", 0, label=1),
            [_layout("dev.tsv", 0, label=1)],
            [_layout("test.tsv", 1)],
        ),
        _pair_task("sts-b", None, (7, 8, 9), (7, 8), ("pearson", "spearman")),
        _pair_task("wnli", BINARY, (1, 2, 3), (1, 2)),
        _task(
            "xnli",
            NLI,
            _layout("multinli/multinli.train.{}.tsv", 0, 1, 2),
            [_xnli_file("dev", 1)],
            [_xnli_file("test", None)],
            aliases={"contradictory": "contradiction"},
        ),
    )
}


def is_pair(task):
    """Whether the task's examples have two texts."""
    return task.splits["train"][0].text_b is not None


def num_outputs(task):
    """The `num_labels` of a model for the task: the number of its labels, or 1 for regression."""
    return REGRESSION_LABELS if task.labels is None else len(task.labels)


def find_task(name, language="zh"):
    """The GLUE task or XNLI of this name.

    Args:
      name: str in any case, hyphens optional, as "MRPC", "SST-2", "sts_b".
      language: of XNLI's files.

    Raises:
      UserError: there is no such task; the message lists the tasks.
    """
    wanted = _plain(name)
    for task in TASKS.values():
        if _plain(task.name) == wanted:
            splits = {split: [_in_language(file, language) for file in files] for split, files in task.splits.items()}
            return task._replace(splits=splits)
    raise UserError(f"-task_name {name}: expected one of {', '.join(sorted(list(TASKS) + [TSV]))}")


def is_tsv(name):
    """Whether -task_name means the user's own files."""
    return _plain(name) == TSV


def _plain(name):
    return name.lower().replace("-", "").replace("_", "")


def _in_language(layout, language):
    return layout._replace(
        file=layout.file.format(language), language=layout.language and layout.language.format(language)
    )


def tsv_task(labels, pair, header):
    """The task of a user's own files.

    Args:
      labels: in the order of their ids.
      pair: whether the lines are text, text, label instead of text, label.
      header: whether the files begin with a line of column names.
    """
    columns = (0, 1, 2) if pair else (0, None, 1)
    train, dev = (_layout(file, *columns, header=header) for file in ("train.tsv", "dev.tsv"))
    return _task(TSV, tuple(labels), train, [dev], [_layout("test.tsv", *columns[:2], header=header)])


def tsv_task_of(data_dir, header):
    """The task of a user's train.tsv: its labels in sorted order; its columns say whether it is of texts or pairs.

    Raises:
      UserError: the file cannot be read, does not have two or three columns, has only one label or one for nearly each
        text, or begins with a line that looks like a header.
    """
    path = os.path.join(data_dir, "train.tsv")
    rows = read_rows(path)
    first = rows[0][1]
    if len(first) not in (2, 3):
        raise UserError(f"{path}:1: {_columns(first)}; expected 2 (text, label) or 3 (text, text, label), tabs between")
    examples = rows[1:] if header else rows
    _check_widths(path, examples, len(first))
    counts = collections.Counter(columns[-1].strip() for _, columns in examples)
    if "" in counts:
        number = next(number for number, columns in examples if not columns[-1].strip())
        raise UserError(f"{path}:{number}: no label; expected one in the last column")
    _check_labels(path, examples, counts)
    if not header and counts[first[-1].strip()] == 1 and 2 < len(counts) < len(examples):
        raise UserError(
            f"{path}:1: the label {first[-1]!r} is on this line only; expected an example (-tsv_header passes over a "
            f"line of column names)"
        )
    if len(counts) < 2:
        labels = [shorten(label, SHOWN) for label in counts]
        raise UserError(f"{path}: found the labels {labels}; expected at least two")
    return tsv_task(sorted(counts), len(first) == 3, header)


def _check_labels(path, examples, counts):
    """UserError where the last column has another label for nearly each text: it is no column of labels.

    Args:
      path: of the file.
      examples: list of (line number, columns).
      counts: Counter of the labels.
    """
    if len(examples) < FEW_EXAMPLES or 2 * len(counts) <= len(examples):
        return
    number, columns = examples[0]
    label = shorten(columns[-1], SHOWN)
    found = f"{path}:{number}: {len(counts)} different labels for {len(examples)} texts, as {label!r}"
    if all(_is_number(label) for label in counts):
        raise UserError(f"{found}; expected classes. Scores are for -task_name sts-b and its columns")
    begins = {columns[0].strip() for _, columns in examples}
    swapped = 2 * len(begins) <= len(examples)
    hint = f" (the first column has {len(begins)}: are the columns the other way round?)" if swapped else ""
    raise UserError(f"{found}{hint}; expected the text first and one of a few labels last")


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_examples(task, layout, data_dir):
    """Reads one file of a task.

    Args:
      task: Task.
      layout: Layout, one of the task's.
      data_dir: directory of the file.

    Returns:
      list of Example in the file's order, never empty.

    Raises:
      UserError: the file cannot be read, is not UTF-8, has a line with another number of columns than the first, has a
        label that the task does not have, or has no example. The message names file and line.
    """
    path = os.path.join(data_dir, layout.file)
    rows = read_rows(path)
    needed = 1 + max(column for column in (layout.text_a, layout.text_b, layout.label) if column is not None)
    width = len(rows[0][1])
    if task.name == TSV:
        # A file to be predicted may have its labels or not.
        if layout.label is None and width == needed + 1:
            needed = width
        if width != needed:
            raise UserError(f"{path}:1: {_columns(rows[0][1])}; expected {needed}, tabs between")
    elif width < needed:
        raise UserError(f"{path}:1: {_columns(rows[0][1])}; expected at least {needed} for {task.name}, tabs between")
    if layout.header:
        rows = rows[1:]
    rows = _without_broken(path, rows, width) if layout.skip_broken else rows
    _check_widths(path, rows, width)
    if layout.language is not None:
        rows = [(number, columns) for number, columns in rows if columns[0] == layout.language]
    if not rows:
        language = "" if layout.language is None else f" in the language {layout.language!r}"
        raise UserError(f"{path}: no example in it{language}; expected one per line")
    return [_example(task, layout, path, number, columns) for number, columns in rows]


def _example(task, layout, path, number, columns):
    text_b = None if layout.text_b is None else columns[layout.text_b]
    label = None if layout.label is None else _label(task, path, number, columns[layout.label])
    return Example(columns[layout.text_a], text_b, label)


def _label(task, path, number, text):
    if task.labels is None:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not abs(value) < float("inf"):
            raise UserError(f"{path}:{number}: the score {text!r}; expected a number")
        return value
    # Labels that a run of an earlier version has with a space at their end stay as they are.
    text = text if text in task.labels else text.strip()
    label = task.aliases.get(text, text)
    if label not in task.labels:
        expected = shown_list(shorten(label, SHOWN) for label in task.labels)
        raise UserError(f"{path}:{number}: the label {shorten(text, SHOWN)!r}; expected one of {expected}")
    return label


def read_rows(path):
    """[(line number, columns)] of a tab-separated file; empty lines at its end are left out."""
    with lines.open_bytes(path, "one example per line, in UTF-8") as stream:
        text = lines.decode(stream.read(), path).rstrip("\r\n")
    if not text:
        raise UserError(f"{path}: the file is empty; expected one example per line")
    return [(number, line.split("\t")) for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1)]


def _check_widths(path, rows, width):
    for number, columns in rows:
        if len(columns) != width:
            raise UserError(f"{path}:{number}: {_columns(columns)}; expected {width}, as in the first line")


def _without_broken(path, rows, width):
    whole = [(number, columns) for number, columns in rows if len(columns) == width]
    if len(whole) < len(rows):
        broken = next(number for number, columns in rows if len(columns) != width)
        log.warning(
            "%s: passes over %d lines not of %d columns, first line %d", path, len(rows) - len(whole), width, broken
        )
    return whole


def _columns(columns):
    return "1 column" if len(columns) == 1 else f"{len(columns)} columns"
