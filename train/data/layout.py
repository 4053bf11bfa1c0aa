"""How a CoNLL-style file is read, decided by what its lines look like.

In: a survey.Survey of the file and the flags. Out: columns.Format, or one line that says why the file cannot be right
and which flag reads it. Loads no TensorFlow, as every process that reads data would load it too.
"""

import re

from bert.system.errors import UserError
from train.data import comments
from train.data.columns import (
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
from train.data.schemes import OUTSIDE
from train.data.survey import MARKS
from train.data.table import DECIMAL, Table

FEW_WORDLESS = 0.01  # of the rows may have no word: annotators' white space, in tweets for one
FEW = 30  # so many different values in a column may always be tags
_COUNT = re.compile(r"\d+([-.]\d+)?")  # 3, and of a CoNLL-U file 3-4 and 3.1
_NUMBER = re.compile(r"\d{1,9}")
_MANY = 20  # rows, or pairs of neighbouring words, that show what a column is
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]+)?:(?=.)")  # as WikiAnn has it before each word
_LIKE_TAG = re.compile(r"[0oO\u041e\u043e]|\w[-_:/.|].+|.+[-_:/.|]\w")  # also in another spelling, see recognition.py


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
    table = Table(seen, separator)
    comment = comments.find(table, given, columns)
    if given.columns is None:
        _check_first_column(table, comment, path, needs_tag)
    _check_widths(table, given, comment, path, needs_tag)
    if comment:
        raise UserError(comments.message(table, comment, path))
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


def _check_first_column(table, comment, path, needs_tag):
    """UserError where the first column cannot be of words: it counts, or says which text a line or a word is of."""
    sentences = [[(n, c[0]) for n, c in sentence if c[0][0] not in MARKS] for sentence in table.sentences]
    rows = [row for sentence in sentences for row in sentence]
    if table.width < 2 or not rows:
        return
    first = shown(", ".join(value for _, value in rows[:3]))
    pairs = [(a[1], b[1]) for sentence in sentences for a, b in zip(sentence, sentence[1:])]
    are_numbers = _are_numbers([value for _, value in rows], pairs, table.width)
    if are_numbers:
        what, word = f"of numbers ({first})", 2
    elif table.width > 2 and len(pairs) >= _MANY and sum(a == b for a, b in pairs) >= 0.9 * len(pairs):
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
        count, number = comments.marked(table, comment)
        begin = f", and {count} lines begin with {comment!r} (line {number})"
    raise UserError(
        f"{path}:{rows[0][0]}: the first of {table.width} columns is {what}{begin}; expected {flags} "
        f"(-columns word=1,tag=last: {'numbers' if are_numbers else 'these'} are the words)"
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
    if found and len(rows) >= _MANY and all(word.startswith(found.group()) for _, word in rows):
        code = found.group()
        raise UserError(
            f"{path}:{rows[0][0]}: each word begins with {code!r} ({shown(rows[0][1])}), as in WikiAnn; expected the "
            f"word alone (sed 's/^{code}//' OLD > NEW writes such a file; -columns word=1,tag=last takes it as it is)"
        )


def _check_widths(table, given, comment, path, needs_tag):
    """UserError where rows have different numbers of columns, or lack those they need."""
    resolved = given._replace(columns=given.columns or FIRST_AND_LAST, separator=table.separator)
    cut = _cut_tag(table, comment) if needs_tag else None
    if cut:
        raise UserError(
            f"{path}:{cut[0]}: the tag {shown(cut[1])} has spaces, and spaces separate the columns; expected a tab "
            f"between columns, or no space in tags"
        )
    if needs_tag and not given.columns and table.width == 1:
        check_separator(path, table.regular)
        if not table.odd and table.seen.rows > 1:
            raise no_tags(path, table.regular)
    for number, line in sorted(table.odd + table.regular[:1]):
        if is_comment(line, comment):
            continue
        found = split_columns(line, table.separator)
        if given.columns or (needs_tag and len(found) == 1):
            pick(found, resolved, path, number, needs_tag)
        elif len(found) != table.width:
            remedy = "word=1,tag=last takes the first and the last" if needs_tag else "word=1 takes the first"
            raise UserError(
                f"{path}:{number}: {counted(found)} ({shown(line)}), but {table.width} in line {table.regular[0][0]} "
                f"and most others ({table.odd_rows} differ); expected as many in each. -columns {remedy} of any number"
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
    rows = [(number, split_columns(line)) for number, line in longer if not is_comment(line, comment)]
    if last < 1 or not rows or any(not TAG.match(columns[last]) for _, columns in rows):
        return None
    number, columns = rows[0]
    return number, " ".join(columns[last:])


def _check_last_column(table, path):
    """UserError where the last column cannot be of tags."""
    values, rows = table.values(-1), table.rows()
    others = [i for i in range(table.width - 1) if table.looks_like_tags(i)]
    has_many = len(values) > FEW and 2 * len(values) >= len(table.values(0)) and not table.looks_like_tags(-1)
    if not has_many and not (others and _is_less_like_tags(table, others)):
        return
    first = ", ".join(columns[-1] for _, columns in rows[:3])
    flag = "word=1,tag=N says where it is"
    if others:
        flag = f"word={2 if others[0] == 0 else 1},tag={others[0] + 1} reads them"
    raise UserError(
        f"{path}:{rows[0][0]}: the last of {table.width} columns ({shown(first)}) has {_times(len(values), 'value')} "
        f"in {_times(len(rows), 'line')}; expected the tag there. -columns {flag}"
    )


def _is_less_like_tags(table, others):
    """Whether the tags are in one of these other columns, which all look like tags, and not in the last one."""
    values, rows = table.values(-1), table.rows()
    if all(map(DECIMAL.fullmatch, values)):
        return True
    if set(values) == {OUTSIDE}:
        return len(table.values(0)) > 1 and len(rows) >= _MANY
    if OUTSIDE in values or table.looks_like_tags(-1):
        return False
    is_constant = len(values) == 1 and len(rows) > 1
    has_more = len(values) > 2 * max(len(table.values(i)) for i in others)
    return is_constant or has_more or not any(map(_LIKE_TAG.fullmatch, values))


def _times(count, noun):
    return f"{count} {noun}" + ("s" if count != 1 else "")
