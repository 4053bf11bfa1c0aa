"""How a CoNLL-style file is read, decided by what its lines look like.

In: a survey.Survey of the file and the flags. Out: columns.Format, or one line that says why the file cannot be right
and which flag reads it. Loads no TensorFlow, as every process that reads data would load it too.
"""

import collections
import re

from bert.system.errors import UserError
from train.data.columns import (
    BRACKETS,
    FIRST_AND_LAST,
    SPACE,
    TAB,
    TAG,
    Format,
    check_separator,
    counted,
    is_comment,
    no_tags,
    pick,
    shown,
    spelled,
    split_columns,
)
from train.data.survey import HEAD_ROWS, MARKS

OUTSIDE = "O"
FEW_WORDLESS = 0.01  # of the rows may have no word: annotators' white space, in tweets for one
FEW = 30  # so many different values in a column may always be tags
_COUNT = re.compile(r"\d+([-.]\d+)?")  # 3, and of a CoNLL-U file 3-4 and 3.1
_NUMBER = re.compile(r"\d{1,9}")
_MANY_PAIRS = 20  # pairs of neighbouring words that show what a column is
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]+)?:(?=.)")  # as WikiAnn has it before each word
_LIKE_TAG = re.compile(r"[0oO\u041e\u043e]|\w[-_:/.|].+|.+[-_:/.|]\w")  # also in another spelling, see recognition.py
_DECIMAL = re.compile(r"[-+]?\d*[.,]?\d+(e[-+]?\d+)?")
_NO_TAG = re.compile(r"[^\w-]|\d")
_PHRASES = frozenset("NP VP PP ADJP ADVP SBAR PRT CONJP INTJ LST UCP".split())  # types of chunks, no entities


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
        raise _other_line_ends(path, *seen.returned_line)
    _check_rows(seen, path)
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


def _other_line_ends(path, number, mark):
    """The UserError for a file whose lines end at a mark of survey.LINE_ENDS; number: of the first such line."""
    if mark == "\r":
        name, remedy = "CR", r"tr '\r' '\n'"
    else:
        name, remedy = f"U+{ord(mark):04X}", rf"perl -CSD -pe 's/\x{{{ord(mark):X}}}/\n/g'"
    return UserError(
        f"{path}:{number}: its lines end at {name} alone; expected LF or CRLF ({remedy} < OLD > NEW writes such a file)"
    )


def _check_rows(seen, path):
    """UserError where the file is JSON, or each row is a sentence, a tab, and the tags of all its words."""
    number, line = next((number, line) for number, line in seen.head if line is not None)
    if line.lstrip(" \t").startswith(('{"', '[{"', '[["')) and line.rstrip(" \t")[-1] in "}],":
        raise UserError(
            f"{path}:{number}: JSON, {shown(line)}; expected one word and its tag per line. Annotated texts are read "
            f"from a file whose name ends with .jsonl"
        )
    if set(seen.widths[TAB]) != {2}:
        return
    rows = [(number, split_columns(line, TAB)) for number, line in seen.widths[TAB][2][1]]
    pairs = [(split_columns(words), split_columns(tags)) for _, (words, tags) in rows]
    tags = [tag for _, of_row in pairs for tag in of_row]
    if len(tags) == len(rows) or any(len(words) != len(of_row) for words, of_row in pairs):
        return
    if all(tag == OUTSIDE or TAG.match(tag) for tag in tags):
        number, (words, tags) = next(row for row, (_, of_row) in zip(rows, pairs) if len(of_row) > 1)
        raise UserError(
            f"{path}:{number}: a whole sentence ({shown(words)}) and the tags of all its words ({shown(tags)}); "
            f"expected one word and its tag per line, an empty line between sentences"
        )


def description(form, seen):
    """What is worth saying of how a file is read, or None: it is as by default."""
    found = []
    if form.columns != FIRST_AND_LAST:
        found.append(f"columns {spelled(form.columns)}")
    if form.separator == TAB and seen.spaced:
        found.append(f"columns end at tabs, spaces stay in them in {seen.spaced} lines (first {seen.spaced_line})")
    if seen.quoted:
        found.append(
            f"{seen.quoted} lines have a column in quotation marks, as spreadsheets write them (first "
            f"{seen.quoted_line}); the marks stay in the word"
        )
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

    def has_brackets(self, index):
        """Whether a column's values are entities in brackets, as in CoNLL-2012: `(PER*`, `*`, `*)`."""
        values = self.values(index)
        return all(map(BRACKETS.fullmatch, values)) and any("*" in value for value in values)

    def likeliest_word(self):
        """The index of the column after the first that has the most different values that are no numbers."""
        counts = [len([v for v in self.values(i) if not _DECIMAL.fullmatch(v)]) for i in range(1, self.width)]
        return 1 + counts.index(max(counts))


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
    """UserError where the first column cannot be of words: it counts, or says which text a line or a word is of."""
    sentences = [[(n, c[0]) for n, c in sentence if c[0][0] not in MARKS] for sentence in table.sentences]
    rows = [row for sentence in sentences for row in sentence]
    if table.width < 2 or not rows:
        return
    first = shown(", ".join(value for _, value in rows[:3]))
    pairs = [(a[1], b[1]) for sentence in sentences for a, b in zip(sentence, sentence[1:])]
    if _are_numbers([value for _, value in rows], pairs, table.width):
        what, word = f"of numbers ({first})", 2
    elif table.width > 2 and len(pairs) >= _MANY_PAIRS and sum(a == b for a, b in pairs) >= 0.9 * len(pairs):
        what, word = f"the same in all lines of a sentence ({first})", table.likeliest_word() + 1
    else:
        _check_no_language(rows, path)
        return
    flags = f"-comment '{comment}' " if comment else ""
    tags = [i for i in range(word, table.width) if table.looks_like_tags(i) or table.has_brackets(i)]
    also = "".join(f" or tag={i + 1}" for i in tags[1:3])
    if tags and needs_tag:
        flags += f"-columns word={word},tag={tags[0] + 1}{also}"
    else:
        flags += f"-columns word={word}" + (",tag=N" if needs_tag else "")
    begin = ""
    if comment:
        marked, number = _marked(table, comment)
        begin = f", and {marked} lines begin with {comment!r} (line {number})"
    raise UserError(
        f"{path}:{rows[0][0]}: the first of {table.width} columns is {what}{begin}; expected {flags} "
        f"(-columns word=1,tag=last: {'numbers' if word == 2 and 'numbers' in what else 'these'} are the words)"
    )


def _are_numbers(values, pairs, width):
    """Whether the values of a column, of `width`, count words or sentences; pairs: of neighbours in a sentence."""
    numbers = sum(_COUNT.fullmatch(value) is not None for value in values)
    counting = sum(bool(_NUMBER.fullmatch(a) and _NUMBER.fullmatch(b)) and int(b) == int(a) + 1 for a, b in pairs)
    counts_words = len(values) >= 4 and numbers >= 0.9 * len(values) and counting >= max(3, 0.8 * len(pairs))
    return counts_words or (len(values) >= 10 and numbers >= 0.99 * len(values) and width > 2)


def _check_no_language(rows, path):
    """UserError where each word begins with the code of its language; rows: (number, word)."""
    found = _LANGUAGE.match(rows[0][1])
    if found and len(rows) >= _MANY_PAIRS and all(word.startswith(found.group()) for _, word in rows):
        code = found.group()
        raise UserError(
            f"{path}:{rows[0][0]}: each word begins with {code!r} ({shown(rows[0][1])}), as in WikiAnn; expected the "
            f"word alone (sed 's/^{code}//' OLD > NEW writes such a file; -columns word=1,tag=last takes it as it is)"
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
    if needs_tag and not given.columns and table.width == 1:
        check_separator(path, table.seen.widths[table.separator][1][1])
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
    many = len(values) > FEW and 2 * len(values) >= len(words) and not last_is
    other = tags and not last_is and OUTSIDE not in values
    constant = len(values) == 1 and len(table.rows()) > 1
    unlike = constant or len(values) > 2 * max((len(table.values(i)) for i in tags), default=0)
    other = other and (unlike or not any(map(_LIKE_TAG.fullmatch, values)))
    numbers = tags and all(map(_DECIMAL.fullmatch, values))
    outside = tags and set(values) == {OUTSIDE} and len(words) > 1 and len(table.rows()) >= _MANY_PAIRS
    if not (many or other or numbers or outside):
        return
    number = table.rows()[0][0]
    first = ", ".join(columns[-1] for _, columns in table.rows()[:3])
    flag = "word=1,tag=N says where it is"
    if tags:
        flag = f"word={2 if tags[0] == 0 else 1},tag={tags[0] + 1} reads them"
    raise UserError(
        f"{path}:{number}: the last of {table.width} columns ({shown(first)}) has {_times(len(values), 'value')} in "
        f"{_times(len(table.rows()), 'line')}; expected the tag there. -columns {flag}"
    )


def _times(count, noun):
    return f"{count} {noun}" + ("s" if count != 1 else "")
