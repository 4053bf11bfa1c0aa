"""What a CoNLL-style file looks like as a whole, and from that how to read it.

A file is looked at (`Survey`) before it is read: `resolve` says how to read it, or refuses it in one line that names
the flag that reads it. Loads no TensorFlow, as every process that reads data would load it too.
"""

import collections
import re

from bert.system.errors import UserError
from train.data.columns import (
    FIRST_AND_LAST,
    SPACE,
    TAB,
    TAG,
    Format,
    counted,
    is_comment,
    is_divider,
    is_wordless,
    no_tags,
    pick,
    shown,
    spelled,
    split_columns,
)

OUTSIDE = "O"
HEAD_ROWS = 5000  # rows whose columns are compared with each other
EXAMPLES = 20  # lines kept of each number of columns
FEW_WORDLESS = 0.01  # of the rows may have no word: annotators' white space, in tweets for one
FEW = 30  # so many different values in a column may always be tags
_COUNT = re.compile(r"\d+([-.]\d+)?")  # 3, and of a CoNLL-U file 3-4 and 3.1
_NUMBER = re.compile(r"\d{1,9}")
_NO_TAG = re.compile(r"[^\w-]|\d")
MARKS = ("#", "%")  # what comments begin with
_PHRASES = frozenset("NP VP PP ADJP ADVP SBAR PRT CONJP INTJ LST UCP".split())  # types of chunks, no entities


class Survey:
    """What the lines of a file look like; `resolve` decides by it.

    Attributes:
      rows: lines that are neither blank, -DOCSTART- nor comments.
      comments: comment lines passed over; comment_line: number of the first.
      wordless: rows without a word, see columns.is_wordless, passed over; wordless_line: number of the first.
      tabbed, spaced: rows with a tab between columns, and those of them with a space inside a column; plain: rows
        without a tab, even at their ends; spaced_line, plain_line: numbers of the first of them. Rows that begin with
        # or % do not count here.
      widths: dict from TAB and SPACE to dict from a number of columns to [rows, their first (number, line)].
      returned: lines that CR alone would end, returned_rows: those in lines where each of them has two columns;
        returned_line: number of the first line with such.
      head: (number, line) of the first rows, (number, None) for what divides sentences.
    """

    def __init__(self, comment=None):
        self.comment = comment
        self.rows = self.comments = self.wordless = self.tabbed = self.spaced = self.plain = 0
        self.returned = self.returned_rows = 0
        self.comment_line = self.wordless_line = self.spaced_line = self.plain_line = self.returned_line = None
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
        if "\r" in line:
            pieces = list(filter(None, map(split_columns, line.split("\r"))))
            if len(pieces) > 1:
                self.returned += len(pieces)
                self.returned_rows += len(pieces) if min(map(len, pieces)) > 1 else 0
                self.returned_line = self.returned_line or number

    def merge(self, later):
        """Adds a Survey of lines that follow these."""
        for name in ("rows", "comments", "wordless", "tabbed", "spaced", "plain", "returned", "returned_rows"):
            setattr(self, name, getattr(self, name) + getattr(later, name))
        for name in ("comment_line", "wordless_line", "spaced_line", "plain_line", "returned_line"):
            setattr(self, name, getattr(self, name) or getattr(later, name))
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


def resolve(given, seen, path, needs_tag=True):
    """How to read a file.

    Args:
      given: Format of the flags.
      seen: Survey of the file.
      path: the file's name, for errors.
      needs_tag: whether each word must have a tag.

    Returns:
      Format without None for `columns` and `separator`.

    Raises:
      UserError: the file cannot be right as it would be read. The message names the line and what reads it.
    """
    columns = given.columns or FIRST_AND_LAST
    if seen.wordless > FEW_WORDLESS * seen.rows:
        raise UserError(f"{path}:{seen.wordless_line}: a tab and O, and no word before it; expected a word and its tag")
    if not seen.rows:
        return given._replace(columns=columns, separator=given.separator or SPACE)
    if (seen.returned_rows if needs_tag else seen.returned) > seen.rows:
        raise UserError(
            f"{path}:{seen.returned_line}: its lines end at CR alone; expected LF or CRLF "
            f"(tr '\\r' '\\n' < OLD > NEW writes such a file)"
        )
    separator = given.separator or _separator(seen, path)
    table = _Table(seen, separator)
    comment = _comment_flag(table, given, columns)
    if given.columns is None:
        _check_first_column(table, comment, path, needs_tag)
    _check_widths(table, given, comment, path, needs_tag)
    if comment:
        raise UserError(_comments_message(table, comment, path))
    if given.columns is None and needs_tag:
        _check_last_column(table, path)
    return Format(columns, given.comment, separator, None if given.columns else table.width)


def description(form, seen):
    """What is worth saying of how a file is read, or None: it is as by default."""
    found = []
    if form.columns != FIRST_AND_LAST:
        found.append(f"columns {spelled(form.columns)}")
    if form.separator == TAB and seen.spaced:
        found.append(f"columns end at tabs, spaces stay in them in {seen.spaced} lines (first {seen.spaced_line})")
    if form.comment:
        first = f", first {seen.comment_line}" if seen.comments else ""
        found.append(f"{seen.comments} comment lines that begin with {form.comment!r}{first}")
    if seen.wordless:
        found.append(f"{seen.wordless} lines with O and no word before it are passed over, first {seen.wordless_line}")
    return "; ".join(found) or None


def _separator(seen, path):
    """TAB where the file is tab-separated and has spaces or nothing inside columns, else SPACE.

    Raises:
      UserError: tabs and spaces both separate columns, and which is meant cannot be told.
    """
    regular = {separator: len(widths) == 1 for separator, widths in seen.widths.items()}
    if not seen.tabbed or (not seen.spaced and regular[SPACE]):
        return SPACE  # the same either way
    if seen.plain:
        if not seen.spaced:
            return SPACE
        raise UserError(
            f"{path}:{seen.spaced_line}: a tab, and spaces inside a column; line {seen.plain_line} has no tab: "
            f"expected one separator. -separator space splits at both, tab at tabs alone"
        )
    if regular[TAB] and regular[SPACE]:
        raise UserError(
            f"{path}:{seen.spaced_line}: {min(seen.widths[TAB])} columns at tabs, {min(seen.widths[SPACE])} at tabs "
            f"and spaces, as in every line; expected -separator tab or -separator space to say which"
        )
    return SPACE if regular[SPACE] else TAB


class _Table:
    """The first rows of a file as columns.

    Attributes:
      separator: TAB or SPACE.
      width: the commonest number of columns; odd: (number, line) of rows that have another, in order; odd_rows: how
        many these are.
      sentences: lists of (number, columns) of the rows of that width that are no odd ones.
    """

    def __init__(self, seen, separator):
        self.seen, self.separator = seen, separator
        widths = seen.widths[separator]
        self.width = max(widths, key=lambda width: (widths[width][0], -widths[width][1][0][0]))
        self.odd = sorted(line for width in widths if width != self.width for line in widths[width][1])
        self.odd_rows = seen.rows - widths[self.width][0]
        self.first_line = widths[self.width][1][0][0]
        self.sentences = [[]]
        for number, line in seen.head:
            columns = split_columns(line, separator) if line is not None else []
            if line is None:
                self.sentences += [[]] if self.sentences[-1] else []
            elif len(columns) == self.width:
                self.sentences[-1].append((number, columns))

    def rows(self):
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


def _comment_flag(table, given, columns):
    """The text that lines which are surely no words begin with, or None; not where -comment is given."""
    if given.comment is not None:
        return None
    if columns[1] >= table.width:
        return None
    marked = [line for _, line in table.odd if line[0] in MARKS]
    if marked:
        return _prefix(marked)
    if given.columns is None and table.odd:
        # Of other marks, only where all odd lines have them and nothing else does.
        marks = {_prefix([line]) for _, line in table.odd}
        mark = min(marks, key=len)
        begin = [columns[0][0] for _, columns in table.rows()]
        if len(table.odd) > 1 and all(other.startswith(mark.rstrip()) for other in marks) and mark.strip():
            return mark if mark[0] not in begin else None
        return None
    # Lines as long as the others: each begins a sentence, and their tags are no other row's and unlike tags.
    begins = [sentence[0] for sentence in table.sentences if sentence and sentence[0][1][0][0] in MARKS]
    tags = {found[columns[1]] for _, found in begins}
    numbers = {number for number, _ in begins}
    others = {found[columns[1]] for number, found in table.rows() if number not in numbers}
    unlike_tags = len(tags) > max(1, len(begins) / 2) or (tags and all(map(_NO_TAG.search, tags)))
    if unlike_tags and not tags & (others | {OUTSIDE}) and not any(map(TAG.match, tags)) and table.width > 1:
        lines = dict(table.seen.head)
        return _prefix([lines[number] for number in sorted(numbers)])
    return None


def _prefix(lines):
    """The marks that all of these lines begin with, and the space after them; empty where they begin with letters."""
    found = [re.match(r"[^\w\s]*[ \t]?", line).group().replace("\t", " ") for line in lines]
    shortest = min(found, key=len)
    return shortest if all(each.startswith(shortest) for each in found) else shortest[:1]


def _marked(table, comment):
    """(how many lines begin with these marks, in words; the number of the first)."""
    found = sorted({number for number, line in table.seen.head + table.odd if line and is_comment(line, comment)})
    more = " or more" if len(table.seen.head) == HEAD_ROWS else ""
    return f"{len(found)}{more}", found[0]


def _comments_message(table, comment, path):
    marked, first = _marked(table, comment)
    lines = dict(table.seen.head + table.odd)
    return (
        f"{path}:{first}: {shown(lines[first])} is a comment, as {marked} lines begin with {comment!r}; expected a "
        f"word and its tag. -comment '{comment}' passes over such lines, -comment '' reads them as words"
    )


def _check_first_column(table, comment, path, needs_tag):
    """UserError where the first column has numbers, which count the words or the sentences."""
    sentences = [[(n, c[0]) for n, c in sentence if c[0][0] not in MARKS] for sentence in table.sentences]
    rows = [row for sentence in sentences for row in sentence]
    if table.width < 2 or not rows:
        return
    numbers = sum(_COUNT.fullmatch(value) is not None for _, value in rows)
    pairs = [(a[1], b[1]) for sentence in sentences for a, b in zip(sentence, sentence[1:])]
    counting = sum(bool(_NUMBER.fullmatch(a) and _NUMBER.fullmatch(b)) and int(b) == int(a) + 1 for a, b in pairs)
    counts_words = len(rows) >= 4 and numbers >= 0.9 * len(rows) and counting >= max(3, 0.8 * len(pairs))
    if not counts_words and not (len(rows) >= 10 and numbers >= 0.99 * len(rows) and table.width > 2):
        return
    flags = f"-comment '{comment}' " if comment else ""
    tags = [i for i in range(2, table.width) if table.looks_like_tags(i)]
    also = "".join(f" or tag={i + 1}" for i in tags[1:3])
    if tags and needs_tag:
        flags += f"-columns word=2,tag={tags[0] + 1}{also}"
    else:
        flags += "-columns word=2" + (",tag=N" if needs_tag else "")
    begin = ""
    if comment:
        marked, first = _marked(table, comment)
        begin = f", and {marked} lines begin with {comment!r} (line {first})"
    first = ", ".join(value for _, value in rows[:3])
    raise UserError(
        f"{path}:{rows[0][0]}: the first of {table.width} columns is of numbers ({shown(first)}){begin}; expected "
        f"{flags} (-columns word=1,tag=last: numbers are the words)"
    )


def _check_widths(table, given, comment, path, needs_tag):
    """UserError where rows have different numbers of columns, or lack those they need."""
    columns = given.columns or FIRST_AND_LAST
    resolved = given._replace(columns=columns, separator=table.separator)
    cut = _cut_tag(table, comment) if needs_tag else None
    if cut:
        raise UserError(
            f"{path}:{cut[0]}: the tag {shown(cut[1])} has spaces, and spaces separate the columns; expected a tab "
            f"between columns, or no space in tags"
        )
    for number, line in sorted(table.odd + table.seen.widths[table.separator][table.width][1][:1]):
        if comment and is_comment(line, comment):
            continue
        found = split_columns(line, table.separator)
        if needs_tag and not given.columns and table.width == 1 and not table.odd and table.seen.rows > 1:
            raise no_tags(path, table.seen.widths[table.separator][1][1])
        if given.columns or (needs_tag and len(found) == 1):
            pick(found, resolved, path, number, needs_tag)
        elif len(found) != table.width:
            remedy = "word=1,tag=last takes the first and the last" if needs_tag else "word=1 takes the first"
            raise UserError(
                f"{path}:{number}: {counted(found)} ({shown(line)}), but {table.width} in line {table.first_line} and "
                f"most others ({table.odd_rows} differ); expected as many in each. -columns {remedy} of any number"
            )


def _cut_tag(table, comment):
    """(number, tag) of the first tag with spaces that a file without tabs has, or None.

    Where there are such, every row longer than the shortest has a tag's beginning where those have their tag.
    """
    if table.separator != SPACE or not table.odd:
        return None
    widths = table.seen.widths[SPACE]
    last = min(widths) - 1
    longer = sorted(line for width in widths if width > last + 1 for line in widths[width][1])
    rows = [(n, split_columns(line)) for n, line in longer if not (comment and is_comment(line, comment))]
    if last < 1 or not rows or any(not TAG.match(columns[last]) for _, columns in rows):
        return None
    number, columns = rows[0]
    return number, " ".join(columns[last:])


def _check_last_column(table, path):
    """UserError where the last column cannot be of tags."""
    values, words = table.values(-1), table.values(0)
    tags = [i for i in range(table.width - 1) if table.looks_like_tags(i)]
    last_is = table.looks_like_tags(table.width - 1)
    many = len(values) > FEW and 2 * len(values) >= len(words)
    constant = len(values) == 1 and len(table.rows()) > 1
    other = tags and not last_is and OUTSIDE not in values
    other = other and (constant or len(values) > 2 * max(len(table.values(i)) for i in tags))
    if not (many and not last_is) and not other:
        return
    number = table.rows()[0][0]
    first = ", ".join(columns[-1] for _, columns in table.rows()[:3])
    flag = "word=1,tag=N says where it is"
    if tags:
        flag = f"word={2 if tags[0] == 0 else 1},tag={tags[0] + 1} reads them"
    raise UserError(
        f"{path}:{number}: the last of {table.width} columns ({shown(first)}) has {len(values)} values in "
        f"{len(table.rows())} lines; expected the tag there. -columns {flag}"
    )
