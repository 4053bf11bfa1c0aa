"""The lines of CoNLL-style files: what is a comment, where columns end, and which of them are the word and the tag.

layout.py finds out what the flags leave open. Loads no TensorFlow, as every process that reads data would load it too.
"""

import argparse
import collections
import re

from bert.system.errors import UserError
from train.data.schemes import OUTSIDE

TAB, SPACE = "tab", "space"  # columns end at tabs alone, or at any run of spaces and tabs
SEPARATORS = (TAB, SPACE)
FIRST_AND_LAST = (0, -1)
DOCSTART = "-DOCSTART-"

# How to read a file. columns: indices (of the word, of the tag), -1 for the last; None: first and last, checked.
# comment: the text that comment lines begin with; None and "": there are none. separator: TAB, SPACE or None: to be
# found out. width: how many columns each line must have, None for any number; only layout.resolve sets it. spelling:
# dict from a tag in the file to the tag it is read as, or None; see recognition.Reading.
Format = collections.namedtuple(
    "Format", ["columns", "comment", "separator", "width", "spelling"], defaults=[None, None, None, None, None]
)

BY_DEFAULT = Format(FIRST_AND_LAST, None, SPACE)

SHOWN = 40  # characters of a line or a word in a message
TAG = re.compile(r"[BIESLUMW]-\S")  # how the tag of an entity begins
BRACKETS = re.compile(r"(\([^()*]+)*\*\)*|(\([^()*]+)+\)+")  # tags as in CoNLL-2012: (PER* and * and *)
_FLAG = re.compile(r"(word|tag)=([1-9]\d{0,5}|last)")


def columns_flag(text):
    """The type of the flag -columns: returns the text, checked; ArgumentTypeError for what `parse_columns` refuses."""
    parse_columns(text)
    return text


def parse_columns(text):
    """The indices of the word's and the tag's column, such as (1, 2) of "word=2,tag=3".

    Args:
      text: `word=N,tag=N`, counted from 1, or `last`; what is left out is word=1, tag=last.

    Raises:
      ArgumentTypeError: it is something else.
    """
    found = {"word": 0, "tag": -1}
    parts = [_FLAG.fullmatch(part.strip(" ")) for part in text.split(",")]
    names = [part.group(1) for part in parts if part]
    if None not in parts and len(set(names)) == len(names):
        found.update({part.group(1): -1 if part.group(2) == "last" else int(part.group(2)) - 1 for part in parts})
        if found["word"] != found["tag"]:
            return found["word"], found["tag"]
    raise argparse.ArgumentTypeError(f"expected such as word=2,tag=3 (from 1, or last), got '{text}'")


def format_of_flags(columns=None, comment=None, separator=None):
    """The Format that the flags -columns, -comment and -separator ask for; each may be None."""
    return Format(parse_columns(columns) if columns else None, comment, separator)


def split_columns(line, separator=SPACE):
    """The columns of a line.

    Args:
      line: str without its end.
      separator: SPACE: columns end at any run of spaces and tabs, and at no other white space. TAB: they end at each
        tab; spaces inside a column stay, those at its ends go.

    Returns:
      list of str, empty for a blank line.
    """
    if separator == TAB:
        line = line.strip(" \t")
        return [column.strip(" ") for column in line.split("\t")] if line else []
    return [column for column in line.replace("\t", " ").split(" ") if column]


def is_comment(line, comment):
    """Whether a line is a comment: it begins with that text. A space in the text stands for a space or a tab."""
    return bool(comment) and line[: len(comment)].replace("\t", " ") == comment.replace("\t", " ")


def is_wordless(line):
    """Whether a row has white space or nothing where the word should be, a tab, and O: no word, and no entity."""
    before, tab, tag = line.partition("\t")
    return bool(tab) and not before.strip(" ") and tag.strip(" \t") == OUTSIDE


def is_divider(columns):
    """Whether the columns are of a line that ends a sentence: a blank line, or one that begins with -DOCSTART-."""
    return not columns or columns[0] == DOCSTART


def pick(columns, form, path, number, needs_tag=True):
    """The word and the tag of a row.

    Args:
      columns: list of str, see `split_columns`.
      form: Format that layout.resolve gave.
      path, number: of the line, for errors.
      needs_tag: whether there must be a tag.

    Returns:
      (word, tag); the tag is None where there need be none.

    Raises:
      UserError: a column is missing or empty, or the row has more or fewer than `form.width`.
    """
    word, tag = form.columns
    needed = max(word, tag if needs_tag else -1, 0) + 1
    if needs_tag and form.columns == FIRST_AND_LAST and len(columns) == 1:
        tabs = ", tabs between" if form.separator == TAB else ""
        if columns[0].isspace():
            remedy = r" (tr -d '\r' < OLD > NEW writes such a file)" if columns[0].strip("\r") == "" else ""
            raise UserError(
                f"{path}:{number}: a line with {shown(columns[0])} alone, which is no word; expected an empty line "
                f"between sentences{remedy}"
            )
        raise UserError(f"{path}:{number}: expected a word and its tag{tabs}, found only {shown(columns[0])}")
    if form.width is not None and len(columns) != form.width:
        raise UserError(
            f"{path}:{number}: {counted(columns)} ({shown(' '.join(columns))}), in the lines before it {form.width}; "
            f"expected as many in each, or -columns {spelled(form.columns)}"
        )
    if len(columns) < needed:
        raise UserError(
            f"{path}:{number}: {counted(columns)} ({shown(' '.join(columns))}); expected {needed} or more, "
            f"as -columns {spelled(form.columns)} says"
        )
    found = columns[word], columns[tag] if needs_tag else None
    if "" in found:
        which = ("the word", "the tag")[found.index("")]
        raise UserError(f"{path}:{number}: the column of {which} is empty; expected text in it")
    return found


def check_separator(path, lines):
    """UserError where another mark than a space or a tab stands before the tag in each of these lines.

    Args:
      path: the file.
      lines: (number, line) of the first rows of one column.
    """
    for separator in ",;|/_\uff0c\u00a0\u3000":
        tags = [line.rpartition(separator)[2] if separator in line else "" for _, line in lines]
        are_tags = [tag == OUTSIDE or TAG.match(tag) is not None for tag in tags]
        if all(are_tags) or (len(lines) > 2 and all(are_tags[1:])):  # the first line may be a header
            number, first = lines[0] if are_tags[0] else lines[1]
            raise UserError(
                f"{path}:{number}: {shown(first)}, with {separator!r} before the tag, as in other lines; expected a "
                f"space or a tab there"
            )


def no_tags(path, lines):
    """The UserError for a file each line of which is one column; arguments as of `check_separator`."""
    number, first = lines[0]
    return UserError(
        f"{path}:{number}: expected a word and its tag, found only {shown(first)}, and no tag in any line; words alone "
        f"are for python -m train.predict -input conll"
    )


def shown(text, longest=SHOWN):
    """The text as a Python literal, cut after some characters."""
    return repr(text if len(text) <= longest else text[:longest] + "...")


def spelled(columns):
    return "word={},tag={}".format(*("last" if index < 0 else index + 1 for index in columns))


def counted(columns):
    return "1 column" if len(columns) == 1 else f"{len(columns)} columns"
