"""CoNLL-style files: one token and its tag per line, a blank line between sentences.

A file is read whole or block by block; a block is a range of bytes, about 256 KB, that holds whole sentences.
"""

import collections
import contextlib

from bert.system.errors import UserError
from train.data.labels import PADDING, SPECIAL

# words, tags: lists of str of one length; line: number of the first word's line in the file.
Sentence = collections.namedtuple("Sentence", ["words", "tags", "line"])
# path: the file; offset, size: bytes; line: number of its first line.
Block = collections.namedtuple("Block", ["path", "offset", "size", "line"])
BLOCK_BYTES = 1 << 18


def read_conll(path):
    """Reads the sentences of a file.

    Columns are split at spaces and tabs, the first is the word, the last its tag. Lines end at LF or CRLF and nowhere
    else, so that U+2028 and its like are words as any other. Lines beginning with -DOCSTART- are skipped.

    Args:
      path: a UTF-8 file, with or without BOM.

    Returns:
      list of Sentence, never empty.

    Raises:
      UserError: naming file and line, where the file cannot be read, a line is not UTF-8 or lacks its tag, a tag is
        one of the model's own labels, or there is no sentence at all.
    """
    sentences = list(read_sentences(path))
    if not sentences:
        raise no_sentence(path)
    return sentences


def read_sentences(path):
    """Yields the sentences of a file, see `read_conll`; there may be none."""
    for block in find_blocks(path):
        yield from read_block(block)


def no_sentence(path):
    """The UserError for a file without a sentence."""
    return UserError(f"{path}: no sentence in it; expected one word and its tag per line")


def find_blocks(path):
    """Cuts a file into blocks, each ending at a blank line or at the file's end.

    Yields:
      Block, in order; what is in them is not looked at.

    Raises:
      UserError: the file cannot be read.
    """
    with _opened(path) as reader:
        offset, line = 0, 1
        while True:
            pieces = [reader.read(BLOCK_BYTES), reader.readline(), reader.readline()]  # the first line is a line's rest
            while pieces[-1] and not _is_blank(pieces[-1]):
                pieces.append(reader.readline())
            size = sum(map(len, pieces))
            if not size:
                return
            yield Block(path, offset, size, line)
            offset += size
            line += sum(piece.count(b"\n") for piece in pieces)


def read_block(block):
    """The sentences of a block; see `read_conll`."""
    path = block.path
    with _opened(path) as reader:
        reader.seek(block.offset)
        content = reader.read(block.size)
    if block.offset == 0 and content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]

    words, tags = [], []
    for number, raw in enumerate(content.split(b"\n"), block.line):
        if raw.endswith(b"\r"):
            raw = raw[:-1]
        columns = _columns(path, number, raw)
        if not columns or columns[0] == "-DOCSTART-":
            if words:
                yield Sentence(words, tags, number - len(words))
                words, tags = [], []
            continue
        if len(columns) < 2:
            raise UserError(f"{path}:{number}: expected a word and its tag, found only {columns[0]!r}")
        if columns[-1] in SPECIAL + (PADDING,):
            raise UserError(f"{path}:{number}: the tag {columns[-1]!r} is the model's own; expected another name")
        words.append(columns[0])
        tags.append(columns[-1])
    if words:
        yield Sentence(words, tags, number - len(words) + 1)


@contextlib.contextmanager
def _opened(path):
    try:
        with open(path, "rb") as reader:
            yield reader
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}")


def _is_blank(raw):
    """Whether a line, its end included, is an empty one."""
    return raw.endswith(b"\n") and not (raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]).strip(b" \t")


def _columns(path, number, raw):
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:{number}: byte {error.start + 1} of the line is not UTF-8; expected a UTF-8 file")
    return [column for column in line.replace("\t", " ").split(" ") if column]


def check_tags(path, sentences, labels):
    """UserError, naming the line, where a sentence has a tag that is not among `labels`."""
    known = set(labels)
    for sentence in sentences:
        for offset, tag in enumerate(sentence.tags):
            if tag not in known:
                expected = ", ".join(label for label in labels if label not in SPECIAL)
                raise UserError(
                    f"{path}:{sentence.line + offset}: the tag {tag!r} was not seen in training; expected {expected}"
                )
