"""Which lines of a CoNLL-style file are comments, where -comment does not say it.

In: a table.Table. Out: the text that these lines begin with, and what is said of it. Loads no TensorFlow.
"""

import re

from train.data.columns import TAG, is_comment, shown
from train.data.schemes import OUTSIDE
from train.data.survey import HEAD_ROWS, MARKS

_NO_TAG = re.compile(r"[^\w-]|\d")


def find(table, given, columns):
    """What comment lines begin with, where lines are surely no words; None where none are, or -comment is given.

    Args:
      table: table.Table.
      given: columns.Format of the flags.
      columns: indices of the word and of the tag.
    """
    if given.comment is not None or columns[1] >= table.width:
        return None
    marked = [line for _, line in table.odd if line[0] in MARKS]
    if marked:
        return _prefix(marked)
    if given.columns is None and table.odd:
        return _other_mark(table)
    return _mark_of_regular_rows(table, columns[1])


def _other_mark(table):
    """Another mark than survey.MARKS that all odd rows begin with, and no other row; None where there is none."""
    marks = {_prefix([line]) for _, line in table.odd}
    mark = min(marks, key=len)
    if len(table.odd) < 2 or not mark.strip() or not all(other.startswith(mark.rstrip()) for other in marks):
        return None
    return None if mark[0] in [columns[0][0] for _, columns in table.rows()] else mark


def _mark_of_regular_rows(table, tag):
    """What comments begin with that have as many columns as other rows; None where there are none.

    Each begins a sentence, and their tags, in the column `tag`, are no other row's and unlike tags.
    """
    if table.width == 1:
        return None
    begins = [sentence[0] for sentence in table.sentences if sentence and sentence[0][1][0][0] in MARKS]
    tags = {columns[tag] for _, columns in begins}
    numbers = {number for number, _ in begins}
    others = {columns[tag] for number, columns in table.rows() if number not in numbers}
    unlike_tags = len(tags) > max(1, len(begins) / 2) or (tags and all(map(_NO_TAG.search, tags)))
    if not unlike_tags or tags & (others | {OUTSIDE}) or any(map(TAG.match, tags)):
        return None
    lines = dict(table.seen.head)
    return _prefix([lines[number] for number in sorted(numbers)])


def _prefix(lines):
    """The marks that all of these lines begin with, and the space after them; empty where they begin with letters."""
    found = [re.match(r"[^\w\s]*[ \t]?", line).group().replace("\t", " ") for line in lines]
    shortest = min(found, key=len)
    return shortest if all(each.startswith(shortest) for each in found) else shortest[:1]


def marked(table, comment):
    """(how many lines begin with this comment mark, in words; the number of the first)."""
    found = sorted({number for number, line in table.seen.head + table.odd if line and is_comment(line, comment)})
    more = " or more" if len(table.seen.head) == HEAD_ROWS else ""
    return f"{len(found)}{more}", found[0]


def message(table, comment, path):
    """The text of the error for a file with such comments."""
    count, first = marked(table, comment)
    lines = dict(table.seen.head + table.odd)
    return (
        f"{path}:{first}: {shown(lines[first])} is a comment, as {count} lines begin with {comment!r}; expected a "
        f"word and its tag. -comment '{comment}' passes over such lines, -comment '' reads them as words"
    )
