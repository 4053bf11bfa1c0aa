"""A corpus of plain text, one sentence per line and a blank line between documents, as a file of token ids.

Several processes tokenize the text once, some hundred kilobytes at a time. The ids go to a scratch file, in blocks that
can be read in any order; only the place of each block stays in memory.
"""

import array
import collections
import os

import numpy as np

from bert.system import lines

RANGE_BYTES = 1 << 17  # of text in a block
LONGEST_LINE = 1 << 20  # bytes; a file with longer lines does not have one sentence per line

# Where a block is in the scratch file, in bytes, and the numbers of the documents that its sentences belong to.
Block = collections.namedtuple("Block", "offset size first_document last_document")

# content: bytes of int32: each sentence's length and ids, 0 between documents; documents: how many it has sentences of;
# broken_before, broken_after: whether a document ends before its first sentence, and after its last one.
_Range = collections.namedtuple("_Range", "content documents broken_before broken_after")


def ranges(files):
    """Cuts files into ranges of bytes: list of (path, start, end), not aligned with lines.

    Raises:
      UserError: a file cannot be read.
    """
    found = []
    for path in files:
        with lines.open_bytes(path) as stream:
            size = stream.seek(0, os.SEEK_END)
        found.extend((path, start, min(start + RANGE_BYTES, size)) for start in range(0, size, RANGE_BYTES))
    return found


def tokenize_range(tokenizer, path_start_end):
    """Tokenizes the lines that begin in a range.

    Args:
      tokenizer: FullTokenizer.
      path_start_end: one of `ranges`.

    Returns:
      _Range.

    Raises:
      UserError: naming the line, where it is not UTF-8 or no sentence for its length.
    """
    path, start, end = path_start_end
    content = array.array("i")
    documents = 0
    broken_before, broken = False, start == 0  # documents do not go on from one file to the next
    for line in lines.read_range(path, start, end, LONGEST_LINE, "one sentence per line"):
        if not line.strip():
            broken = True
            continue
        ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(line))
        if not ids:
            continue
        if not documents:
            broken_before = broken
            documents = 1
        elif broken:
            content.append(0)
            documents += 1
        broken = False
        content.append(len(ids))
        content.extend(ids)
    return _Range(content.tobytes(), documents, broken_before, broken)


def write_blocks(tokenized, writer):
    """Writes tokenized ranges to the scratch file.

    Args:
      tokenized: iterable of what `tokenize_range` gives, in the order of `ranges`.
      writer: file open for writing bytes.

    Returns:
      list of Block. Documents are numbered from 0, in order.
    """
    blocks, offset, last_document, broken = [], 0, -1, True
    for content, documents, broken_before, broken_after in tokenized:
        if not documents:
            broken = broken or broken_after
            continue
        first_document = last_document + 1 if broken or broken_before else last_document
        last_document = first_document + documents - 1
        blocks.append(Block(offset, len(content), first_document, last_document))
        writer.write(content)
        offset += len(content)
        broken = broken_after
    writer.flush()
    return blocks


def read_block(path, block):
    """A block of the scratch file: list of (document's number, its sentences as lists of ids)."""
    values = np.fromfile(path, np.int32, block.size // 4, offset=block.offset).tolist()
    documents = [(block.first_document, [])]
    position = 0
    while position < len(values):
        length = values[position]
        position += 1
        if length:
            documents[-1][1].append(values[position : position + length])
            position += length
        else:
            documents.append((documents[-1][0] + 1, []))
    return documents
