"""CoNLL-style files: one token and its tag per line, a blank line between sentences.

A file is read whole or block by block; a block is a range of bytes, about 256 KB, that holds whole sentences. Before it
is read, layout.py says by a survey of all of it which columns are the word and the tag.
"""

import collections
import io
import logging

from bert.system.errors import UserError, shorten, shown_list
from bert.system.lines import decode, numbered, open_bytes
from train.data import uniform
from train.data.columns import (
    DOCSTART,
    FIRST_AND_LAST,
    TAB,
    Format,
    is_comment,
    is_divider,
    is_wordless,
    pick,
    split_columns,
)
from train.data.labels import PADDING, SPECIAL
from train.data.layout import description, resolve
from train.data.survey import Survey

log = logging.getLogger(__name__)


class Sentence(
    collections.namedtuple(
        "Sentence",
        ["words", "tags", "line", "comments", "begins_document", "before", "after"],
        defaults=[(), False, (), ()],
    )
):
    """A sentence of a file.

    Fields:
      words, tags: lists of str of one length.
      line: number of the first word's line in the file.
      comments: numbers of the lines inside the sentence that are passed over: comments, and rows without a word.
      begins_document: whether a -DOCSTART- line stands before it and after the sentence before it.
      before, after: the words around it in its document, where context.with_neighbours has set them.
    """

    __slots__ = ()

    def line_of(self, index):
        """The number of the line of the word with this index."""
        line = self.line + index
        for comment in self.comments:
            line += comment <= line
        return line


# path: the file; offset, size: bytes; line: number of its first line; begins_document: whether a -DOCSTART- line stands
# at the end of what is before it.
Block = collections.namedtuple("Block", ["path", "offset", "size", "line", "begins_document"], defaults=[False])
BLOCK_BYTES = 1 << 18
_OWN = frozenset(SPECIAL + (PADDING,))  # tags of the model's own


def read_conll(path, form=None):
    """Reads the sentences of a file.

    Lines end at LF or CRLF and nowhere else, so U+2028 may be a word. A line that begins with -DOCSTART- is no
    word; it begins a document.

    Args:
      path: a UTF-8 file, with or without BOM.
      form: columns.Format, as the flags or `inspect` give it; default: the first column is the word, the last its tag.

    Returns:
      list of Sentence, never empty.

    Raises:
      UserError: naming file and line, where the file cannot be read, a line is not UTF-8 or lacks its tag, a tag is
        one of the model's own labels, the columns cannot be right, or there is no sentence at all.
    """
    sentences = list(read_sentences(path, form))
    if not sentences:
        raise no_sentence(path)
    return sentences


def read_sentences(path, form=None):
    """Yields the sentences of a file, see `read_conll`; there may be none."""
    if form is None or form.separator is None or form.columns is None:
        form, _ = inspect(path, form or Format())
    for block in find_blocks(path, form.comment):
        yield from read_block(block, form)


def inspect(path, given):
    """Looks at a whole file, and says in the log what is worth saying of how it is read.

    Args:
      path: CoNLL file.
      given: Format of the flags.

    Returns:
      (Format to read it with, survey.Survey).

    Raises:
      UserError: as `read_conll`.
    """
    return settle(path, given, (survey_block(given.comment, block) for block in find_blocks(path)))


def settle(path, given, surveys):
    """As `inspect`, from the Surveys of the file's blocks, in order."""
    seen = Survey(given.comment)
    for part in surveys:
        seen.merge(part)
    form = resolve(given, seen, path)
    said = description(form, seen)
    if said:
        log.info("%s: %s", path, said)
    return form, seen


def no_sentence(path):
    """The UserError for a file without a sentence."""
    return UserError(f"{path}: no sentence in it; expected one word and its tag per line")


def find_blocks(path, comment=None):
    """Cuts a file into blocks, each ending at a blank line or at the file's end.

    Args:
      path: CoNLL file.
      comment: what comment lines begin with, or None; only `begins_document` of the blocks depends on it.

    Yields:
      Block, in order; their content is not checked.

    Raises:
      UserError: the file cannot be read.
    """
    with open_bytes(path) as stream:
        offset, line, begins_document = 0, 1, False
        while True:
            pieces = [
                stream.read(BLOCK_BYTES),
                stream.readline(),
                stream.readline(),
            ]  # a block ends in the middle of a line
            while pieces[-1] and not _is_blank(pieces[-1]):
                pieces.append(stream.readline())
            size = sum(map(len, pieces))
            if not size:
                return
            yield Block(path, offset, size, line, begins_document)
            begins_document = _ends_in_divider(b"".join(pieces), comment, begins_document)
            offset += size
            line += sum(piece.count(b"\n") for piece in pieces)


def survey_block(comment, block):
    """The survey.Survey of a block; comment: as of Format."""
    content = _content(block)
    whole = None if comment else _uniform(content, block)
    if whole:
        return uniform.survey(whole, block.line)
    seen = Survey(comment)
    for number, line in _lines(content, block):
        seen.add(number, line)
    return seen


def read_block(block, form):
    """The sentences of a block.

    Args:
      block: Block.
      form: Format that `inspect` gave for the file.

    Yields:
      Sentence.

    Raises:
      UserError: as `read_conll`.
    """
    path = block.path
    spelling = form.spelling or {}
    content = _content(block)
    whole = None if form.comment else _uniform(content, block)
    if whole and _fits(whole, form):
        begins_document = block.begins_document
        for words, tags, first, divided in uniform.sentences(whole, block.line, *form.columns):
            tags = [spelling.get(tag, tag) for tag in tags] if spelling else tags
            if not _OWN.isdisjoint(tags):
                index = next(i for i, tag in enumerate(tags) if tag in _OWN)
                raise _own_tag(path, first + index, tags[index])
            yield Sentence(words, tags, first, begins_document=begins_document or divided)
            begins_document = False
        return
    words, tags, first, comments, begins_document = [], [], None, [], block.begins_document
    for number, line in _lines(content, block):
        if is_comment(line, form.comment) or is_wordless(line):
            comments += [number] if words else []
            continue
        columns = split_columns(line, form.separator)
        if is_divider(columns):
            if words:
                yield _sentence(words, tags, first, comments, begins_document)
                words, tags, comments, begins_document = [], [], [], False
            begins_document = begins_document or bool(columns)
            continue
        word, tag = pick(columns, form, path, number)
        tag = spelling.get(tag, tag)
        if tag in _OWN:
            raise _own_tag(path, number, tag)
        first = first if words else number
        words.append(word)
        tags.append(tag)
    if words:
        yield _sentence(words, tags, first, comments, begins_document)


def _sentence(words, tags, first, comments, begins_document):
    last = first + len(words) - 1  # moved on by each comment line before it
    inside = []
    for comment in comments:
        if comment <= last:
            inside.append(comment)
            last += 1
    return Sentence(words, tags, first, tuple(inside), begins_document)


def _own_tag(path, number, tag):
    return UserError(f"{path}:{number}: the tag {tag!r} is the model's own; expected another name")


def _content(block):
    """The bytes of a block."""
    with open_bytes(block.path) as stream:
        stream.seek(block.offset)
        content = stream.read(block.size)
    return content + b"\n" if content.endswith(b"\r") else content  # a line end that was cut off with the file


def _lines(content, block):
    """The (number, line) pairs of a block."""
    return numbered(io.BytesIO(content), block.path, block.line)


def _uniform(content, block):
    """The block as uniform.Uniform, or None."""
    return uniform.uniform(decode(content, block.path, block.line))


def _fits(whole, form):
    """Whether each row of a uniform.Uniform has the columns that a Format expects."""
    if whole.separator == " " and form.separator == TAB:
        return False
    needed = 2 if form.columns == FIRST_AND_LAST else max(*form.columns, 0) + 1
    return whole.width >= needed and form.width in (None, whole.width)


def _ends_in_divider(content, comment, before):
    """Whether the last of the rows that are not passed over is a -DOCSTART- line; `before`, where there is no such row.

    Args:
      content: bytes of whole lines.
      comment: as of `find_blocks`.
      before: bool.
    """
    end = len(content)
    while end > 0:
        start = content.rfind(b"\n", 0, end - 1) + 1
        row = content[start:end].decode("utf-8", "replace").rstrip("\r\n")
        if row.strip(" \t") and not (is_comment(row, comment) or is_wordless(row)):
            return split_columns(row)[0] == DOCSTART
        end = start
    return before


def _is_blank(raw):
    """Whether a line, its end included, is an empty one."""
    return raw.endswith(b"\n") and not (raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]).strip(b" \t")


def check_tags(path, sentences, labels):
    """UserError, naming the line, where a sentence has a tag that is not among `labels`."""
    known = set(labels)
    for sentence in sentences:
        for index, tag in enumerate(sentence.tags):
            if tag not in known:
                expected = shown_list([label for label in labels if label not in SPECIAL], longest=100)
                raise UserError(
                    f"{path}:{sentence.line_of(index)}: the tag {shorten(repr(tag), 60)} was not seen in training; "
                    f"expected {expected}; to train with it, put it into train.txt or -label_list"
                )
