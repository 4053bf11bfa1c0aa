"""Blocks of a CoNLL-style file whose rows all have as many columns with one separator between: nearly all blocks.

They are read by operations on the whole text, ten times as fast as line by line. What is not uniform is left to the
readers of lines; both give the same. Loads no TensorFlow, as every process that reads data would load it too.
"""

import collections
import functools
import itertools
import re

from train.data.columns import DOCSTART, SPACE, TAB
from train.data.survey import EXAMPLES, HEAD_ROWS, MARKS, QUOTED, Survey

# text: rows and empty lines, each ended by LF; separator: a space or a tab; width: columns of each row; dividers: the
# indices of the lines that were -DOCSTART- lines and are empty in the text.
Uniform = collections.namedtuple("Uniform", ["text", "separator", "width", "dividers"])

_DIVIDER = re.compile(rf"^{DOCSTART}(?:[ \t].*)?$", re.MULTILINE)
_ROW = re.compile(r"[^\n]+")


def uniform(text):
    """A block's text as Uniform, or None where a row is otherwise.

    Lines that divide sentences are empty in it, so lines keep their numbers.

    Args:
      text: str of whole lines, as it stands in the file.
    """
    text = text.replace("\r\n", "\n")
    if not text.endswith("\n"):
        text += "\n"
    dividers = []
    if DOCSTART in text:
        dividers = _line_indices(text, [match.start() for match in _DIVIDER.finditer(text)])
        text = _DIVIDER.sub("", text)
    first = _ROW.search(text)
    if first is None:
        return None
    separator = "\t" if "\t" in first.group() else " "
    width = first.group().count(separator) + 1
    return Uniform(text, separator, width, dividers) if _shape(separator, width).fullmatch(text) else None


def _line_indices(text, places):
    """The indices of the lines that hold these places of a text, which are in order."""
    indices, line, before = [], 0, 0
    for place in places:
        line += text.count("\n", before, place)
        before = place
        indices.append(line)
    return indices


@functools.lru_cache(maxsize=64)
def _shape(separator, width):
    """The pattern of a text of rows of this width and of empty lines."""
    column = r"[^ \t\r\n\x85\u2028\u2029]+"  # without what survey.LINE_ENDS looks for
    return re.compile(rf"(?:{column}{f'{separator}{column}' * (width - 1)}\n|\n)*")


def sentences(block, number, word, tag):
    """The sentences of a Uniform.

    Args:
      block: Uniform.
      number: number of its first line in the file.
      word, tag: indices of columns, -1 for the last.

    Yields:
      (words, tags, number of the first word's line, whether a -DOCSTART- line is before it and after the sentence
      before it); words and tags are lists of str.
    """
    width, separator = block.width, block.separator
    dividers = collections.deque(number + index for index in block.dividers)
    word, tag = word % width, tag % width
    for chunk in block.text.split("\n\n"):
        rows = chunk.strip("\n")
        if rows:
            columns = rows.replace("\n", separator).split(separator)
            first = number + len(chunk) - len(chunk.lstrip("\n"))
            begins_document = bool(dividers) and dividers[0] < first
            while dividers and dividers[0] < first:
                dividers.popleft()
            yield columns[word::width], columns[tag::width], first, begins_document
        number += chunk.count("\n") + 2


def survey(block, number):
    """What survey.Survey counts of the lines, one by one, of a Uniform; number: that of its first line."""
    seen = Survey()
    lines = block.text.split("\n")[:-1]
    seen.head = [(i, line or None) for i, line in enumerate(lines[:HEAD_ROWS], number)]
    seen.rows = len(lines) - lines.count("")
    first = list(itertools.islice(((i, line) for i, line in enumerate(lines, number) if line), EXAMPLES))
    seen.widths[SPACE][block.width] = [seen.rows, first]
    seen.widths[TAB][block.width if block.separator == "\t" else 1] = [seen.rows, list(first)]
    # Rows that may be comments say nothing of what separates columns.
    marked = sum(line.startswith(MARKS) for line in lines) if any(mark in block.text for mark in MARKS) else 0
    if block.separator == "\t":
        seen.tabbed = seen.rows - marked
        quoted = [i for i, line in enumerate(lines, number) if QUOTED.search(line)] if '"' in block.text else []
        seen.quoted, seen.quoted_line = len(quoted), quoted[0] if quoted else None
    elif seen.rows > marked:
        seen.plain = seen.rows - marked
        seen.plain_line = next(i for i, line in enumerate(lines, number) if line and not line.startswith(MARKS))
    return seen
