"""Annotated texts as a data file: train.jsonl, dev.jsonl, test.jsonl in the place of train.txt, dev.txt, test.txt.

In: JSON lines, or a JSON array, of the objects that documents.py knows. Out: sentences as conll.py gives them, one for
each text, with offsets: the text is cut into words as plain text is (text.split_words), and its spans become BIO tags.

A file is read block by block, as CoNLL files are: a block is a range of bytes that holds whole lines, or the whole of
an array. Loads no TensorFlow, as every process that reads data would load it too.
"""

import bisect
import collections
import io
import logging
import os

from bert.system import filesystem
from bert.system.errors import UserError, shown_list
from bert.system.files import parse_json
from bert.system.lines import decode, numbered, open_bytes
from train.data import schemes
from train.data.conll import BLOCK_BYTES, Block
from train.data.documents import read_document
from train.data.schemes import OUTSIDE
from train.data.spans import (
    CHOICES,
    EMPTY,
    IGNORED,
    MOVED,
    NOT_ANNOTATED,
    OVERLAPPING,
    REJECTED,
    SEVERAL,
    WORDLESS,
    Notes,
    bounds,
    shown_text,
)
from train.data.text import MARKS, split_words

log = logging.getLogger(__name__)

ENDINGS = (".jsonl", ".json")
OTHER_NAMES = {"train": ("training",), "dev": ("valid", "val", "validation", "development"), "test": ("testing",)}
SCHEME = "BIO"  # of the tags made of spans
_JSON = "a JSON object with a text and its entities on each line, or a JSON array of these"


class AnnotatedText(collections.namedtuple("AnnotatedText", ["words", "tags", "line", "text", "offsets"])):
    """A text with its annotation, which stands for a conll.Sentence.

    Fields:
      words, tags: lists of str of one length.
      line: number of the text's line in the file; of a JSON array the number of the text.
      text: str.
      offsets: for each word (start, end), characters of the text.
    """

    __slots__ = ()
    begins_document = True  # and ends it: each text is one
    before = after = ()

    def line_of(self, _):
        """The number of the line of a word."""
        return self.line


def is_annotated(path):
    """Whether a data file has annotated texts, by its name."""
    return path.endswith(ENDINGS)


def find_file(data_dir, split, is_needed=True):
    """The data file of a split: train.txt, or train.jsonl or train.json where that is there.

    Args:
      data_dir: directory.
      split: "train", "dev" or "test".
      is_needed: whether there must be one; else train.txt stands for none.

    Raises:
      UserError: there are several; or none, but one with another name; or none, in a directory that there is.
    """
    names = [f"{split}{ending}" for ending in (".txt",) + ENDINGS]
    found = [name for name in names if filesystem.exists(os.path.join(data_dir, name))]
    if len(found) > 1:
        raise UserError(
            f"{os.path.join(data_dir, found[0])}: {found[1]} is there too; expected one file for each split"
        )
    path = os.path.join(data_dir, (found or names)[0])
    if not found and filesystem.isdir(data_dir):
        stems = (split, *OTHER_NAMES[split])
        names = sorted(filesystem.listdir(data_dir))
        others = [name for name in names if name.lower().partition(".")[0] in stems]
        if others:
            raise UserError(f"{path}: no such file; expected that name, not {shown_list(others)}")
        if not is_needed:
            return path
        beside = f"not only {shown_list(names)}" if names else "and the directory is empty"
        raise UserError(f"{path}: no such file; expected {split}.txt or {split}.jsonl, {beside}")
    return path


def find_blocks(path):
    """Cuts a file into blocks: one for a JSON array, else each ending at a line's end.

    Yields:
      conll.Block, in order; their content is not checked.

    Raises:
      UserError: the file cannot be read.
    """
    with open_bytes(path) as stream:
        if begins_array(stream.read(1 << 10)):
            yield Block(path, 0, filesystem.getsize(path), 1)
            return
        stream.seek(0)
        offset, line = 0, 1
        while True:
            content = stream.read(BLOCK_BYTES)
            content += stream.readline()
            if not content:
                return
            yield Block(path, offset, len(content), line)
            offset += len(content)
            line += content.count(b"\n")


def begins_array(content):
    """Whether a file that begins so is a JSON array of texts; a line of its own may be an array too, ["text", ...]."""
    content = content.lstrip(b"\xef\xbb\xbf \t\r\n")
    return content.startswith(b"[") and not content[1:].lstrip(b" \t").startswith(b'"')


def read_block(block, splitter=MARKS):
    """The texts of a block and what is to be said of them.

    Args:
      block: conll.Block.
      splitter: text.Splitter that cuts the texts into words.

    Returns:
      (list of AnnotatedText, Notes).

    Raises:
      UserError: naming file and line, where a line is not UTF-8 or is none of the objects that documents.py knows.
    """
    notes, texts = Notes(), []
    for number, place, value in _values(block):
        try:
            document = read_document(value)
        except ValueError as error:
            raise UserError(f"{block.path}: {place}: {error}")
        offsets = split_words(document.text, splitter)
        if document.several:
            notes.add(SEVERAL, place)
        if document.ignored:
            notes.add(IGNORED, place)
        if document.spans is None or not offsets:
            no_spans = REJECTED if document.is_rejected else NOT_ANNOTATED
            notes.add(no_spans if document.spans is None else EMPTY, place)
            continue
        for span in document.choices:
            notes.add(CHOICES, f"{place} {shown_text(span.type)}")
        tags = tag_words(document.text, offsets, document.spans, notes, place)
        words = [document.text[start:end] for start, end in offsets]
        texts.append(AnnotatedText(words, tags, number, document.text, offsets))
        notes.texts += 1
        notes.spans += len(document.spans)
        notes.entities += sum(tag.startswith("B-") for tag in tags)
    return texts, notes


def _values(block):
    """Yields (number of its line or in its array, the same in words, JSON value) of the objects of a block."""
    with open_bytes(block.path) as stream:
        stream.seek(block.offset)
        content = stream.read(block.size)
    if block.offset == 0 and begins_array(content):
        for number, value in enumerate(_array_values(decode(content, block.path), block.path), 1):
            yield number, f"text {number}", value
        return
    for number, line in numbered(io.BytesIO(content), block.path, block.line):
        if line.strip():
            try:
                value = parse_json(line)
            except ValueError as error:
                raise UserError(f"{block.path}:{number}: {_reason(error)}; expected {_JSON}")
            yield number, f"line {number}", value


def _array_values(text, path):
    """The list of the JSON values of an array."""
    try:
        return parse_json(text)
    except ValueError as error:
        raise UserError(f"{path}:{getattr(error, 'lineno', 1)}: {_reason(error)}; expected {_JSON}")


def _reason(error):
    return f"no JSON ({getattr(error, 'msg', error)})"


def tag_words(text, offsets, spans, notes, place):
    """BIO tags from spans.

    A span that cuts a word is taken as the whole words; white space at its ends does not count. Of spans that overlap,
    the longest stays, and the first of equals. A span that is outside the text, or has no word in it, is dropped.

    Args:
      text: str.
      offsets: for each word (start, end), in order.
      spans: list of documents.Span.
      notes: Notes to which all this is added.
      place: where the text is, for these, such as "line 7".

    Returns:
      list of tags, one for each word.
    """
    starts, ends = zip(*offsets)
    found = []
    for span in spans:
        start, end = bounds(text, span, notes, place)
        if start is None:
            continue
        where = f"{place} {shown_text(text[start:end])}"
        # The first word that ends behind the start, and the first that begins at the end or behind it.
        first, stop = bisect.bisect_right(ends, start), bisect.bisect_left(starts, end)
        if first >= stop:
            notes.add(WORDLESS, where)
            continue
        if starts[first] < start or ends[stop - 1] > end:
            notes.add(MOVED, where)
        found.append((first, stop, span.type, where))
    tags = [OUTSIDE] * len(offsets)
    taken = {}
    for first, stop, kind, where in sorted(found, key=lambda entity: entity[0] - entity[1]):
        if all(tag == OUTSIDE for tag in tags[first:stop]):
            tags[first:stop] = [f"B-{kind}"] + [f"I-{kind}"] * (stop - first - 1)
            taken[first, stop] = kind
        elif taken.get((first, stop)) != kind:  # else it is there twice
            notes.add(OVERLAPPING, where)
    return tags


def read_with(path, splitter):
    """The AnnotatedText of a file that `read_annotated` has read, cut into words by another text.Splitter: a list."""
    return [text for block in find_blocks(path) for text in read_block(block, splitter)[0]]


def rewrite_tags(text, labels, scheme_name):
    """An AnnotatedText with its tags in the scheme of a run whose train.txt has another.

    Args:
      text: AnnotatedText, in BIO.
      labels: list of the run's labels.
      scheme_name: key of schemes.SCHEMES, or None: then the tags stay as they are.
    """
    if scheme_name in (None, SCHEME):
        return text
    tags = schemes.write_tags(schemes.entities(text.tags, SCHEME), len(text.tags), scheme_name)
    # In the scheme IO a type may stand alone.
    return text._replace(tags=[tag[2:] if tag not in labels and tag[2:] in labels else tag for tag in tags])


def report(path, notes):
    """Says in the log what was not as it should be.

    Raises:
      UserError: no text is left, or most spans are wrong.
    """
    for line in notes.lines():
        log.warning("%s: %s", path, line)
    notes.check(path)
    if not notes.texts:
        raise UserError(f"{path}: no annotated text in it; expected {_JSON}")
    log.info("%s: %d annotated texts, %d entities", path, notes.texts, notes.entities)


def read_annotated(path):
    """Reads a whole file, and says in the log what was not as it should be.

    Returns:
      (list of AnnotatedText, never empty; Notes).

    Raises:
      UserError: as `read_block` and `report`.
    """
    texts, notes = [], Notes()
    for block in find_blocks(path):
        found, more = read_block(block)
        texts += found
        notes.merge(more)
    report(path, notes)
    return texts, notes
