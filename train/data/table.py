"""The first rows of a CoNLL-style file as columns, and what each of them looks like.

In: a survey.Survey. Out: Table; layout.py and comments.py decide by it. Loads no TensorFlow.
"""

import collections
import re

from train.data.columns import BRACKETS, TAG, split_columns
from train.data.schemes import OUTSIDE

DECIMAL = re.compile(r"[-+]?\d*[.,]?\d+(e[-+]?\d+)?")
_PHRASES = frozenset("NP VP PP ADJP ADVP SBAR PRT CONJP INTJ LST UCP".split())  # types of chunks, no entities


class Table:
    """The first rows of a file as columns.

    Args:
      seen: survey.Survey.
      separator: TAB or SPACE.

    Attributes:
      seen, separator: the arguments.
      width: the commonest number of columns.
      regular, odd: (number, line) of the first rows with this number of columns, and of those with another, in order.
      odd_rows: how many odd rows the file has.
      sentences: lists of (number, columns) of the regular rows among the survey's first rows.
    """

    def __init__(self, seen, separator):
        self.seen, self.separator = seen, separator
        widths = seen.widths[separator]
        self.width = max(widths, key=lambda width: (widths[width][0], -widths[width][1][0][0]))
        self.regular = widths[self.width][1]
        self.odd = sorted(line for width in widths if width != self.width for line in widths[width][1])
        self.odd_rows = seen.rows - widths[self.width][0]
        self.sentences = [[]]
        for number, line in seen.head:
            columns = split_columns(line, separator) if line is not None else []
            if line is None:
                self.sentences += [[]] if self.sentences[-1] else []
            elif len(columns) == self.width:
                self.sentences[-1].append((number, columns))

    def rows(self):
        """(number, columns) of the rows in `sentences`."""
        return [row for sentence in self.sentences for row in sentence]

    def values(self, index):
        """Counter of the values of a column."""
        return collections.Counter(columns[index] for _, columns in self.rows())

    def looks_like_tags(self, index):
        """Whether half of a column's values are O or begin as B-PER does; chunks of phrases are none."""
        values = self.values(index)
        tagged = sum(count for value, count in values.items() if value == OUTSIDE or TAG.match(value))
        types = {value[2:] for value in values if TAG.match(value)}
        return 2 * tagged >= sum(values.values()) and not (types and types <= _PHRASES)

    def has_brackets(self, index):
        """Whether a column's values are entities in brackets, as in CoNLL-2012: `(PER*`, `*`, `*)`."""
        values = self.values(index)
        return all(map(BRACKETS.fullmatch, values)) and any("*" in value for value in values)

    def likeliest_word(self):
        """The index of the column after the first that has the most different values that are no numbers."""
        counts = [len([v for v in self.values(i) if not DECIMAL.fullmatch(v)]) for i in range(1, self.width)]
        return 1 + counts.index(max(counts))
