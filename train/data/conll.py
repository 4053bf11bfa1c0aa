"""CoNLL-style files: one token and its tag per line, a blank line between sentences.

A file is read whole or block by block; a block is a range of bytes, about 256 KB, that holds whole sentences.
"""

import collections
import io

from bert.system.errors import UserError
from bert.system.lines import numbered, open_bytes
from train.data.labels import PADDING, SPECIAL

# words, tags: lists of str of one length; line: number of the first word's line in the file.
Sentence = collections.namedtuple("Sentence", ["words", "tags", "line"])
# path: the file; offset, size: bytes; line: number of its first line.
Block = collections.namedtuple("Block", ["path", "offset", "size", "line"])
BLOCK_BYTES = 1 << 18


def read_conll(path):
    """Reads the sentences of a file.

    Columns are split at spaces and tabs; the first is the word, the last its tag. Lines end at LF or CRLF and nowhere
    else, so U+2028 may be a word. Lines that begin with -DOCSTART- are skipped.

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
      Block, in order; their content is not checked.

    Raises:
      UserError: the file cannot be read.
    """
    with open_bytes(path) as stream:
        offset, line = 0, 1
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
            yield Block(path, offset, size, line)
            offset += size
            line += sum(piece.count(b"\n") for piece in pieces)


def read_block(block):
    """The sentences of a block; see `read_conll`."""
    path = block.path
    with open_bytes(path) as stream:
        stream.seek(block.offset)
        content = stream.read(block.size)
    if content.endswith(b"\r"):
        content += b"\n"  # a line end that was cut off with the file

    words, tags = [], []
    for number, line in numbered(io.BytesIO(content), path, block.line):
        columns = split_columns(line)
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


def _is_blank(raw):
    """Whether a line, its end included, is an empty one."""
    return raw.endswith(b"\n") and not (raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]).strip(b" \t")


def split_columns(line):
    """The columns of a line: they are separated by spaces and tabs, and by no other white space."""
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
