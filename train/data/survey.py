"""What the lines of a CoNLL-style file look like as a whole, counted before it is read.

layout.py decides by these counts how to read it. Loads no TensorFlow, as every process that reads data would load it
too.
"""

import re

from train.data.columns import SPACE, TAB, is_comment, is_divider, is_wordless, split_columns

HEAD_ROWS = 5000  # rows whose columns are compared with each other
EXAMPLES = 20  # lines kept of each number of columns
MARKS = ("#", "%")  # what comments begin with
# Characters other than LF at which other programs end lines, and a column as spreadsheets write it.
LINE_ENDS = re.compile("[\r\x85\u2028\u2029]")
QUOTED = re.compile(r'(?:^|\t)"[^\t\n]+"(?=\t|$)')


class Survey:
    """What the lines of a file look like; `layout.resolve` decides by it.

    Attributes:
      rows: lines that are neither blank, -DOCSTART- nor comments.
      comments: comment lines passed over; comment_line: number of the first.
      wordless: rows without a word, see columns.is_wordless, passed over; wordless_line: number of the first.
      tabbed, spaced: rows with a tab between columns, and those of them with a space inside a column; plain: rows
        without a tab, even at their ends; spaced_line, plain_line: numbers of the first of them. Rows that begin with
        # or % do not count here.
      widths: dict from TAB and SPACE to dict from a number of columns to [rows, their first (number, line)].
      quoted: rows with tabs and a column in quotation marks; quoted_line: number of the first.
      returned: lines that one of LINE_ENDS would end, returned_rows: those in lines where each of them has two columns;
        returned_line: (number, that character) of the first line with such.
      head: (number, line) of the first rows, (number, None) for what divides sentences.
    """

    def __init__(self, comment=None):
        self.comment = comment
        self.rows = self.comments = self.wordless = self.tabbed = self.spaced = self.plain = 0
        self.returned = self.returned_rows = self.quoted = 0
        self.comment_line = self.wordless_line = self.spaced_line = self.plain_line = self.returned_line = None
        self.quoted_line = None
        self.widths = {TAB: {}, SPACE: {}}
        self.head = []

    def __eq__(self, other):
        return vars(self) == vars(other)

    def add(self, number, line):
        """Counts a line, given without its end."""
        if self.comment and is_comment(line, self.comment):
            self.comments += 1
            self.comment_line = self.comment_line or number
            return
        if is_wordless(line):
            self.wordless += 1
            self.wordless_line = self.wordless_line or number
            return
        columns = split_columns(line)
        if is_divider(columns):
            if len(self.head) < HEAD_ROWS:
                self.head.append((number, None))
            return
        self.rows += 1
        if len(self.head) < HEAD_ROWS:
            self.head.append((number, line))
        by_tab = 1
        if "\t" in line:
            by_tabs = split_columns(line, TAB)
            by_tab = len(by_tabs)
            if QUOTED.search(line):
                self.quoted += 1
                self.quoted_line = self.quoted_line or number
        if line[0] in MARKS:
            pass  # perhaps a comment, which says nothing of the columns
        elif "\t" not in line:
            self.plain += 1
            self.plain_line = self.plain_line or number
        elif by_tab > 1:
            self.tabbed += 1
            if any(" " in column for column in by_tabs):
                self.spaced += 1
                self.spaced_line = self.spaced_line or number
        for widths, width in ((self.widths[TAB], by_tab), (self.widths[SPACE], len(columns))):
            if width not in widths:
                widths[width] = [0, []]
            of_width = widths[width]
            of_width[0] += 1
            if of_width[0] <= EXAMPLES:
                of_width[1].append((number, line))
        ended = LINE_ENDS.search(line)
        if ended:
            pieces = list(filter(None, map(split_columns, LINE_ENDS.split(line))))
            if len(pieces) > 1:
                self.returned += len(pieces)
                self.returned_rows += len(pieces) if min(map(len, pieces)) > 1 else 0
                self.returned_line = self.returned_line or (number, ended.group())

    def merge(self, later):
        """Adds a Survey of lines that follow these."""
        for name, value in vars(later).items():
            if name.endswith("_line"):
                setattr(self, name, getattr(self, name) or value)
            elif type(value) is int:
                setattr(self, name, getattr(self, name) + value)
        for separator, widths in later.widths.items():
            for width, (count, lines) in widths.items():
                of_width = self.widths[separator].setdefault(width, [0, []])
                of_width[0] += count
                of_width[1] += lines[: EXAMPLES - len(of_width[1])]
        self.head += later.head[: max(0, HEAD_ROWS - len(self.head))]


def survey(lines, comment=None):
    """The Survey of (number, line) pairs."""
    seen = Survey(comment)
    for number, line in lines:
        seen.add(number, line)
    return seen
