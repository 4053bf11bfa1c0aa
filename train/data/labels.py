"""Labels: their ids, and the rules of constrained decoding.

Ids start at 1; 0 is padding. A label sequence the model sees is `[CLS]`, then for each word its tag on the first
piece and `X` on the others, then `[SEP]`.
"""

import collections
import re

import numpy as np

from bert.system import filesystem, lines
from bert.system.errors import UserError, shorten
from bert.system.files import read_json
from train.chunks import ends_chunk, parse_tag, reading_tag, starts_chunk
from train.data.schemes import OUTSIDE, may_follow

PADDING = "[PAD]"
PIECE = "X"
CLS = "[CLS]"
SEP = "[SEP]"
SPECIAL = (PIECE, CLS, SEP)  # never the tag of a word
_EXPECTED = "a file with one label per line, or a comma-separated list"
_NUMBERED = re.compile(r"\S.*[ \t]\d+|\d+[ \t]+\S.*")  # a line with a label and its id


def label_list(tags):
    """All labels of a corpus: O, its tags in sorted order, then X, [CLS], [SEP]; depends on the set of tags alone."""
    return [OUTSIDE] + sorted(set(tags) - {OUTSIDE}) + list(SPECIAL)


def read_label_list(spec):
    """The labels of `-label_list`: a file with one per line, or a comma-separated list; the order given is kept.

    O, X, [CLS] and [SEP] are added at the end where the list lacks them.

    Raises:
      UserError: the file cannot be read, there is no label, one occurs twice or is the padding's.
    """
    is_file = "," not in spec or filesystem.isfile(spec)
    labels = []
    found = _label_lines(spec) if is_file else spec.split(",")
    for number, label in enumerate(found, 1):
        label = label.strip(" \t\r")
        where = f"{spec}:{number}" if is_file else f"-label_list {shorten(spec, 100)}"
        if label == PADDING:
            raise UserError(f"{where}: {PADDING} is the padding's label, of id 0; expected the labels from id 1 on")
        if label in labels:
            raise UserError(f"{where}: the label {shorten(repr(label), 100)} is there twice; expected each label once")
        labels += [label] if label else []
    if not labels:
        raise UserError(f"{shorten(spec, 100)}: no label in it; expected {_EXPECTED}")
    return labels + [label for label in (OUTSIDE,) + SPECIAL if label not in labels]


def _label_lines(path):
    found = [line for _, line in lines.read(path, _EXPECTED)]
    filled = [line.strip(" \t\r") for line in found if line.strip(" \t\r")]
    if filled and filled[0].startswith(("{", '["')):
        raise UserError(f"{path}: JSON; expected {_EXPECTED}")
    if len(filled) > 1 and all(map(_NUMBERED.fullmatch, filled)):
        raise UserError(f"{path}: a number beside each label, as {shorten(repr(filled[0]), 60)}; expected {_EXPECTED}")
    return found


def label_ids(labels):
    """OrderedDict from label to id, from 1 in the order given."""
    return collections.OrderedDict((label, i) for i, label in enumerate(labels, 1))


def read_labels(path):
    """The labels in a file label2id.json, in the order of their ids.

    Raises:
      UserError: the file cannot be read, or its ids are not 1, 2, 3 and so on.
    """
    ids = read_json(path)
    numbers = list(ids.values()) if isinstance(ids, dict) else [None]
    if any(type(number) is not int for number in numbers) or sorted(numbers) != list(range(1, len(numbers) + 1)):
        raise UserError(f"{path}: expected a JSON object from label to id, ids from 1 without a gap")
    labels = sorted(ids, key=ids.get)
    wrong = problem(labels)
    if wrong:
        raise UserError(f"{path}: {wrong}")
    return labels


def problem(labels):
    """What is wrong with labels that a file says a model has: a text, or None where nothing is."""
    if type(labels) is not list or not labels or not all(type(label) is str for label in labels):
        return f"labels {shorten(labels, 100)}; expected a list of names"
    if len(set(labels)) < len(labels):
        label, _ = collections.Counter(labels).most_common(1)[0]
        return f"the label {shorten(repr(label), 60)} is there twice; expected each label once"
    try:
        "".join(labels).encode("utf-8")
    except UnicodeEncodeError:
        return "a label that cannot be written in UTF-8; expected a list of names"
    return None


# What constrained decoding adds to the scores of `num_labels` labels: 0 where allowed, FORBIDDEN where not.
Constraint = collections.namedtuple("Constraint", ["on_word", "first", "last", "follow", "piece", "cls", "sep"])
FORBIDDEN = -1e9


def constraint(labels, scheme_name):
    """The rules of well-formed label sequences as arrays, id by id.

    Args:
      labels: list of labels, ids from 1.
      scheme_name: key of schemes.SCHEMES, or None for a corpus without one: then only the special labels have rules.

    Returns:
      Constraint: on_word, first, last [num_labels]: what a word, the sentence's first and its last word may carry;
      follow [num_labels, num_labels]: what may follow a word of a given tag (row); piece, cls, sep: the ids of
      X, [CLS] and [SEP].
    """
    ids = label_ids(labels)
    tags = [label for label in labels if label not in SPECIAL]
    on_word = np.full([len(labels) + 1], FORBIDDEN, np.float32)
    on_word[[ids[tag] for tag in tags]] = 0
    first, last = np.zeros_like(on_word), np.zeros_like(on_word)
    follow = np.zeros([len(on_word)] * 2, np.float32)
    if scheme_name is not None:
        for tag in tags:
            if not may_follow(scheme_name, None, tag):
                first[ids[tag]] = FORBIDDEN
            if not may_follow(scheme_name, tag, None):
                last[ids[tag]] = FORBIDDEN
            for following in tags:
                if not may_follow(scheme_name, tag, following):
                    follow[ids[tag], ids[following]] = FORBIDDEN
    return Constraint(on_word, first, last, follow, ids[PIECE], ids[CLS], ids[SEP])


# How the labels of two neighbouring words divide a sentence into entities. starts, ends: bool [num_labels, num_labels],
# whether an entity begins at a word of the second label (column) after one of the first (row), and whether one that the
# first word is part of ends there. Row 0 stands for the beginning of a sentence too, column 0 for its end.
EntityRules = collections.namedtuple("EntityRules", ["starts", "ends"])


def entity_rules(labels, scheme_name):
    """The EntityRules of labels: entities are read as everywhere, see schemes.entities.

    Args:
      labels: list of labels, ids from 1; the special ones stand for no entity.
      scheme_name: key of schemes.SCHEMES, or None.
    """
    tags = [OUTSIDE] + [OUTSIDE if label in SPECIAL else label for label in labels]
    read = [parse_tag(reading_tag(tag, scheme_name)) for tag in tags]
    starts = np.array([[starts_chunk(one, other) for other in read] for one in read])
    ends = np.array([[ends_chunk(one, other) for other in read] for one in read])
    return EntityRules(starts, ends)
