"""CoNLL-style files: one token and its tag a line, a blank line between sentences."""

import collections

from bert.errors import UserError
from train.labels import PADDING, SPECIAL

# words, tags: lists of str of one length; line: number of the first word's line in the file.
Sentence = collections.namedtuple("Sentence", ["words", "tags", "line"])


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
    try:
        with open(path, "rb") as reader:
            content = reader.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}")
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]

    sentences = []
    words, tags = [], []
    for number, raw in enumerate(content.split(b"\n"), 1):
        if raw.endswith(b"\r"):
            raw = raw[:-1]
        columns = _columns(path, number, raw)
        if not columns or columns[0] == "-DOCSTART-":
            if words:
                sentences.append(Sentence(words, tags, number - len(words)))
                words, tags = [], []
            continue
        if len(columns) < 2:
            raise UserError(f"{path}:{number}: expected a word and its tag, found only {columns[0]!r}")
        if columns[-1] in SPECIAL + (PADDING,):
            raise UserError(f"{path}:{number}: the tag {columns[-1]!r} is the model's own; expected another name")
        words.append(columns[0])
        tags.append(columns[-1])
    if words:
        sentences.append(Sentence(words, tags, number - len(words) + 1))
    if not sentences:
        raise UserError(f"{path}: no sentence in it; expected a word and its tag a line")
    return sentences


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
