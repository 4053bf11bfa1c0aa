"""What the tokenizer makes of each character of Unicode, as tables for a graph.

They are filled by asking the very functions that the tokenizer in Python uses. A table is two int32 arrays, see
`_table`; `lookup` reads it inside the graph.
"""

import functools
import sys
import unicodedata

import numpy as np
import tensorflow.compat.v1 as tf

from bert import tokenization

CODE_POINTS = sys.maxunicode + 1
PAGE = 256  # code points that share a row of a table: most rows are alike and stored once

KINDS = [tokenization.PART, tokenization.MARK, tokenization.ALONE, tokenization.SPACE, tokenization.DROPPED]
PART, MARK, ALONE, SPACE, DROPPED = range(len(KINDS))
CASED, IGNORABLE = 1, 2  # as Unicode's rule for the final sigma sees a character
SIGMA, FINAL_SIGMA = "\u03a3", "\u03c2"
NOTHING = -(1 << 30)  # instead of the way to a code point: there is none


def lookup(table, code_points):
    """What a table says of code points, int32 of any shape: int32 of the same."""
    pages, page_of = (tf.constant(array) for array in table)
    return tf.gather(pages, tf.gather(page_of, code_points // PAGE) * PAGE + code_points % PAGE)


def _table(value_of):
    """`value_of(character)` of all Unicode as two int32 arrays: the different pages, end to end, and which each is."""
    rows, page_of = {}, []
    for codes in _pages():
        row = np.empty([PAGE], np.int32)
        row[:] = [value_of(chr(i)) for i in codes]
        page_of.append(rows.setdefault(row.tobytes(), len(rows)))
    return np.frombuffer(b"".join(rows), np.int32), np.array(page_of, np.int32)


@functools.lru_cache(maxsize=None)
def _pages():
    """The code points of each page; the first of them only where none is assigned, or all are for private use.

    They are most of Unicode, and alike in everything that is asked here.
    """
    categories = "".join(unicodedata.category(chr(i)) for i in range(CODE_POINTS))  # two letters each
    pages = []
    for start in range(0, CODE_POINTS, PAGE):
        alike = categories[2 * start : 2 * (start + PAGE)] in ("Cn" * PAGE, "Co" * PAGE)
        pages.append(range(start, start + 1 if alike else start + PAGE))
    return pages


@functools.lru_cache(maxsize=None)
def kinds():
    """What each code point is to the cutting into words: position in KINDS."""
    return _table(lambda character: KINDS.index(tokenization.character_kind(character)))


@functools.lru_cache(maxsize=None)
def decompositions():
    """Tables of how far from a code point those of its lower-cased NFD are: the first of them, the second, …

    NOTHING where there are no more.
    """

    parts = {chr(i): unicodedata.normalize("NFD", chr(i).lower()) for codes in _pages() for i in codes}

    def way(character, k):
        return ord(parts[character][k]) - ord(character) if k < len(parts[character]) else NOTHING

    return [_table(functools.partial(way, k=k)) for k in range(max(map(len, parts.values())))]


@functools.lru_cache(maxsize=None)
def combining_classes():
    return _table(unicodedata.combining)


@functools.lru_cache(maxsize=None)
def accents():
    """1 for the marks that go with lower-casing."""
    return _table(lambda character: unicodedata.category(character) == "Mn")


@functools.lru_cache(maxsize=None)
def sigma_contexts():
    """CASED, IGNORABLE or 0, as str.lower shows it: a sigma is final after the former, and through the latter."""

    def context(character):
        if (character + SIGMA).lower()[-1] == FINAL_SIGMA:
            return CASED
        return IGNORABLE if ("a" + character + SIGMA).lower()[-1] == FINAL_SIGMA else 0

    return _table(context)
