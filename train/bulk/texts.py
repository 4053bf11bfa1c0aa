"""The input of the bulk taggers: files or a stream of bytes in, texts or lists of words out, in groups.

The texts of a group are tagged at once, in batches of similar length. Where a group ends depends on the input alone,
not on the run or the machine. So a run that resumes after a group, or a worker that tags a single group, gets the same
results as a run over everything.
"""

import collections
import itertools
import logging
import operator
import sys

from bert.system import filesystem
from bert.system.errors import UserError
from bert.system.files import sha256
from bert.system.lines import decode, decode_line, is_pipe, reading
from train.data import context
from train.data.columns import Format, is_comment, is_divider, is_wordless, pick, split_columns
from train.data.layout import description, resolve
from train.data.survey import Survey

log = logging.getLogger(__name__)

# How a file is cut into texts, and what it is expected to hold.
KINDS = {
    "lines": "one text per line",
    "words": "one sentence per line, spaces between its words",
    "conll": "one word per line, in the first column, and a blank line between sentences",
    "file": "one text per file",
}
# The kinds whose texts are sentences with neighbours, and what parts documents in them.
IN_CONTEXT = {"words": "an empty line", "conll": "a -DOCSTART- line"}
STANDARD_INPUT = "-"
GROUP_TEXTS = 2048
GROUP_CHARACTERS = 1 << 20
LOOKED_AT = 1 << 16  # bytes of what can be read only once, from which its columns are found

# How far the inputs have been read. file: index of the file; offset: bytes of it read; line: lines of it read.
Position = collections.namedtuple("Position", ["file", "offset", "line"])
START = Position(0, 0, 0)
# content: str or list of words; line: number of its first line in its file; next: the Position where reading goes on;
# begins_document, before, after: of words as context.Words has them.
Text = collections.namedtuple(
    "Text", ["content", "line", "next", "begins_document", "before", "after"], defaults=[False, (), ()]
)
# name: as given; count: how many texts; sha256: of the content, both None for what can be read only once, as a pipe;
# form: columns.Format of "conll", which is open as long as nothing was read of a pipe; said: what is worth saying of
# how the columns are read, or None.
Source = collections.namedtuple("Source", ["name", "count", "sha256", "form", "said"], defaults=[Format(), None])


def check_streams(names, to_standard_output):
    """Raises UserError where a needed standard stream was closed before the program started, as by <&- and >&-.

    Args:
      names: list of paths; "-" is standard input.
      to_standard_output: whether the results go to standard output.
    """
    if sys.stdin is None and STANDARD_INPUT in names:
        raise UserError("standard input: closed; expected texts")
    if sys.stdout is None and to_standard_output:
        raise UserError("standard output: closed; expected somewhere to write to")


def inspect(names, kind, fingerprint=False, given=None):
    """Reads all regular files to their end, so that errors in them show before the work begins.

    Args:
      names: list of paths; "-" is standard input.
      kind: key of KINDS.
      fingerprint: whether to compute sha256.
      given: Format of the flags, for "conll".

    Returns:
      list of Source.

    Raises:
      UserError: a file cannot be read, is not UTF-8 or has no text in it.
    """
    sources = []
    for name in names:
        if name == STANDARD_INPUT or is_pipe(name):
            sources.append(Source(name, None, None, given or Format()))
        else:
            form, said = given or Format(), None
            if kind == "conll":
                with reading(name), filesystem.open_file(name, "rb") as stream:
                    form, said = find_format(stream, name, form)
            count = sum(1 for _ in read([name], kind, forms=[form]))
            sources.append(Source(name, count, sha256(name) if fingerprint else None, form, said))
    return sources


def find_format(stream, name, given):
    """How to read a CoNLL-style file, whose tags are not needed.

    Args:
      stream: binary stream that begins where the file begins, or a list of lines.
      name: the file's name in error messages.
      given: Format of the flags.

    Returns:
      (Format to read it with, what is worth saying of it in the log or None).

    Raises:
      UserError: a byte is not UTF-8, or the columns cannot be right.
    """
    seen = Survey(given.comment)
    for line, position in _lines(stream, name, "conll", START):
        seen.add(position.line, line)
    form = resolve(given, seen, name, needs_tag=False)
    return form, description(form, seen)


def read(names, kind, start=START, forms=None):
    """The texts of files, one file after another.

    Args:
      names: list of paths; "-" is standard input.
      kind: key of KINDS.
      start: Position to begin at: START, or `next` of a text read before.
      forms: list of the Formats of the files, for "conll"; default: they are found out.

    Yields:
      Text.

    Raises:
      UserError: as `inspect`.
    """
    for file in range(start.file, len(names)):
        position = start if file == start.file else Position(file, 0, 0)
        name = "standard input" if names[file] == STANDARD_INPUT else names[file]
        form = forms[file] if forms else Format()
        with reading(name):
            if names[file] == STANDARD_INPUT:
                yield from read_stream(sys.stdin.buffer, name, kind, position, form)
            else:
                with filesystem.open_file(name, "rb") as stream:
                    yield from read_stream(stream, name, kind, position, form)


def read_stream(stream, name, kind, position=START, form=None):
    """The texts of one file.

    Lines end at LF or CRLF and nowhere else; a BOM is skipped.

    Args:
      stream: binary stream that begins where the file begins.
      name: the file's name in error messages.
      kind: key of KINDS.
      position: Position to begin at.
      form: Format of "conll"; where it is open, the file says it, or the beginning of a pipe.

    Yields:
      Text.

    Raises:
      UserError: a byte is not UTF-8, or there is no text at all.
    """
    if kind == "conll" and (form is None or form.columns is None or form.separator is None):
        if stream.seekable():
            begin = stream.tell()
            form, said = find_format(stream, name, form or Format())
            stream.seek(begin)
        else:
            beginning = stream.readlines(LOOKED_AT)
            form, said = find_format(beginning, name, form or Format())
            stream = itertools.chain(beginning, stream)
        if said:
            log.info("%s: %s", name, said)
    if position.offset:
        stream.seek(position.offset)
    if kind == "file":
        content = decode(stream.read(), name, expected=_expected(kind))
        yield Text(content, 1, Position(position.file + 1, 0, 0))
        return
    empty = position.offset == 0
    lines = _lines(stream, name, kind, position)
    for text in _sentences(lines, form, name, position) if kind == "conll" else _each_line(lines, kind):
        yield text._replace(begins_document=True) if empty else text  # the first of its file
        empty = False
    if empty:
        raise UserError(f"{name}: nothing in it; expected {KINDS[kind]}")


def _lines(stream, name, kind, position):
    """Yields (line without its end, Position after it)."""
    _, offset, number = position
    for raw in stream:
        offset += len(raw)
        number += 1
        yield decode_line(raw, name, number, _expected(kind)), Position(position.file, offset, number)


def _expected(kind):
    return f"{KINDS[kind]}, in UTF-8"


def _each_line(lines, kind):
    for line, position in lines:
        content = split_columns(line) if kind == "words" else line
        yield Text(content, position.line, position, not content)


def _sentences(lines, form, name, start):
    words, first, begins_document = [], None, False
    position = start
    for line, end_of_line in lines:
        start_of_line, position = position, end_of_line
        if is_comment(line, form.comment) or is_wordless(line):
            continue
        columns = split_columns(line, form.separator)
        if not is_divider(columns):
            words.append(pick(columns, form, name, position.line, needs_tag=False)[0])
            first = first or position.line
            continue
        if words:
            # A reader that goes on there has to meet the -DOCSTART- line.
            yield Text(words, first, start_of_line if columns else position, begins_document)
            words, first, begins_document = [], None, False
        begins_document = begins_document or bool(columns)
    if words:
        yield Text(words, first, position, begins_document)


def in_context(texts, kind, size, before=()):
    """Gives texts the words around them in their document, see context.with_neighbours.

    Args:
      texts: iterable of Text.
      kind: key of KINDS; those that are not in IN_CONTEXT stand alone.
      size: words on either side, at most.
      before: words before the first text, in its document, see `next_before`.

    Returns:
      iterable of Text.
    """
    size = size if kind in IN_CONTEXT else 0
    return context.with_neighbours(texts, size, before, operator.attrgetter("content"))


def next_before(group, before, size):
    """The words before the text that follows a group, in its document: a list, empty where texts stand alone.

    Args:
      group: list of Text.
      before: the words before the group's first text.
      size: words, at most.
    """
    if not size or isinstance(group[0].content, str):
        return []
    words = []
    for text in reversed(group):
        words = text.content[-size:] + words
        if text.begins_document or len(words) >= size:
            return words[-size:]
    return [*before, *words][-size:]


def groups(texts, kind):
    """Divides texts into the groups that are tagged at once.

    A group holds GROUP_TEXTS texts, or fewer once they have GROUP_CHARACTERS characters. It ends with its file, except
    where each file is one text. So the groups of a file do not depend on the files before it.

    Args:
      texts: iterable of Text.
      kind: key of KINDS.

    Yields:
      non-empty lists of Text.
    """
    group, size = [], 0
    for text in texts:
        if group and kind != "file" and text.next.file != group[-1].next.file:
            yield group
            group, size = [], 0
        group.append(text)
        size += length(text.content)
        if len(group) >= GROUP_TEXTS or size >= GROUP_CHARACTERS:
            yield group
            group, size = [], 0
    if group:
        yield group


def length(content):
    """The number of characters of a text, or of words with a space between them."""
    return len(content) if isinstance(content, str) else sum(map(len, content)) + len(content)
