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
from train.data.labels import OUTSIDE
from train.data.text import MARKS, split_words

log = logging.getLogger(__name__)

ENDINGS = (".jsonl", ".json")
OTHER_NAMES = {"train": ("training",), "dev": ("valid", "val", "validation", "development"), "test": ("testing",)}
SCHEME = "BIO"  # of the tags made of spans
LISTED = 10  # places of each kind in the log
_JSON = "a JSON object with a text and its entities on each line, or a JSON array of these"

# What happens to a span or a text that is not as it should be, by a key of `Notes.counts`.
MOVED = "cut a word, and are taken as the whole words"
OUTSIDE_TEXT = "lie outside the text or have no length, and are dropped"
WORDLESS = "have no word in them, and are dropped"
OVERLAPPING = "overlap a longer span or one before them, and are dropped"
OTHER_TEXT = "have another text than stands at their offsets, which count"
UTF_16 = "have offsets that count UTF-16 units, as JavaScript does, and are taken so"
CHOICES = "have several types, of which the first is taken"
NOT_ANNOTATED = "have no annotation, and are passed over"
EMPTY = "have no word in them, and are passed over"
SEVERAL = "have several annotations, of which the first is taken"
IGNORED = "have results that are no spans, such as relations, which are passed over"
OF_TEXTS = (NOT_ANNOTATED, EMPTY, SEVERAL, IGNORED)


class AnnotatedText(collections.namedtuple("AnnotatedText", ["words", "tags", "line", "text", "offsets"])):
    """A text with its annotation, which stands for a conll.Sentence.

    Fields:
      words, tags: lists of str of one length.
      line: number of the text's line in the file; of a JSON array the number of the text.
      text: str.
      offsets: for each word (start, end), characters of the text.
    """

    __slots__ = ()

    def line_of(self, _):
        """The number of the line of a word."""
        return self.line


class Notes:
    """What was not as it should be in annotated texts.

    Attributes:
      texts, entities: how many are taken.
      counts: Counter of the constants of this module; places: dict from these to their first places, list of str.
    """

    def __init__(self):
        self.texts = self.entities = 0
        self.counts = collections.Counter()
        self.places = collections.defaultdict(list)

    def __eq__(self, other):
        return vars(self) == vars(other)

    def add(self, kind, place):
        self.counts[kind] += 1
        if len(self.places[kind]) < LISTED:
            self.places[kind].append(place)

    def merge(self, later):
        """Adds the Notes of texts that follow these."""
        self.texts += later.texts
        self.entities += later.entities
        self.counts.update(later.counts)
        for kind, places in later.places.items():
            self.places[kind] += places[: LISTED - len(self.places[kind])]

    def lines(self):
        """Yields what is to be said, a line for each kind."""
        for kind, count in sorted(self.counts.items()):
            more = f" and {count - LISTED} more" if count > LISTED else ""
            what = "texts" if kind in OF_TEXTS else "spans"
            yield f"{what} that {kind}: {count} ({', '.join(self.places[kind])}{more})"


def is_annotated(path):
    """Whether a data file has annotated texts, by its name."""
    return path.endswith(ENDINGS)


def find_file(data_dir, split):
    """The data file of a split: train.txt, or train.jsonl or train.json where that is there.

    Raises:
      UserError: there are several; or none, but one with another name.
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
        others = sorted(name for name in filesystem.listdir(data_dir) if name.lower().partition(".")[0] in stems)
        if others:
            raise UserError(f"{path}: no such file; expected that name, not {shown_list(others)}")
    return path


def find_blocks(path):
    """Cuts a file into blocks: one for a JSON array, else each ending at a line's end.

    Yields:
      conll.Block, in order; their content is not checked.

    Raises:
      UserError: the file cannot be read.
    """
    with open_bytes(path) as stream:
        if _begins_array(stream.read(1 << 10)):
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


def _begins_array(content):
    return content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


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
            notes.add(NOT_ANNOTATED if document.spans is None else EMPTY, place)
            continue
        for span in document.choices:
            notes.add(CHOICES, f"{place} {_shown(span.type)}")
        tags = tag_words(document.text, offsets, document.spans, notes, place)
        words = [document.text[start:end] for start, end in offsets]
        texts.append(AnnotatedText(words, tags, number, document.text, offsets))
        notes.texts += 1
        notes.entities += sum(tag.startswith("B-") for tag in tags)
    return texts, notes


def _values(block):
    """Yields (number of its line or in its array, the same in words, JSON value) of the objects of a block."""
    with open_bytes(block.path) as stream:
        stream.seek(block.offset)
        content = stream.read(block.size)
    if block.offset == 0 and _begins_array(content):
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
        start, end = _bounds(text, span, notes, place)
        if start is None:
            continue
        where = f"{place} {_shown(text[start:end])}"
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


def _bounds(text, span, notes, place):
    """(start, end) of a span in characters; (None, None) where it is outside the text. Arguments as `tag_words`."""
    start, end = span.start, span.end
    is_whole = type(start) is int and type(end) is int and 0 <= start < end
    if is_whole and span.text is not None and span.text != text[start:end]:
        found = _of_utf_16(text, span)
        if found:
            notes.add(UTF_16, f"{place} {_shown(span.text)}")
            return found
    if not is_whole or end > len(text):
        notes.add(OUTSIDE_TEXT, f"{place} {start}-{end}"[:30])
        return None, None
    if span.text is not None and span.text != text[start:end]:
        notes.add(OTHER_TEXT, f"{place} {_shown(span.text)}")
    return start, end


def _of_utf_16(text, span):
    """(start, end) in characters, where the offsets of a span count UTF-16 units and fit its text so; else None."""
    units = text.encode("utf-16-le")
    try:
        before = units[: 2 * span.start].decode("utf-16-le")
        inside = units[2 * span.start : 2 * span.end].decode("utf-16-le")
    except UnicodeDecodeError:
        return None
    return (len(before), len(before) + len(inside)) if inside == span.text else None


def _shown(text):
    return repr(text if len(text) <= 10 else text[:8] + "...")


def report(path, notes):
    """Says in the log what was not as it should be.

    Raises:
      UserError: no text is left.
    """
    for line in notes.lines():
        log.warning("%s: %s", path, line)
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
