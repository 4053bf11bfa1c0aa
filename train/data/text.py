"""Plain text to words: where each begins and ends, and where a text too long for the model is best cut.

In: a str. Out: character offsets into that str, as nothing is normalised before it is counted. The kinds of
characters are those of bert/tokenization.py.
"""

import re
import string

from bert.tokenization import ALONE, DROPPED, MARK, PART, SPACE, character_kinds

# Letters, with all that is dropped among them; or one ideograph or punctuation mark and the marks over it.
_WORD = re.compile(f"[{PART}{MARK}](?:[{PART}{MARK}{DROPPED}]*[{PART}{MARK}])?|{ALONE}(?:[{MARK}{DROPPED}]*{MARK})?")

# How good a place between two words is to cut a text at, see `cut_places`.
ANYWHERE, PAUSE, SENTENCE_END = 0, 1, 2
_SENTENCE_ENDS = frozenset("。｡！？!?.…؟۔।")
_CLOSING = frozenset("\"'”’」』）)】》〉]}›»")
_OPENING = frozenset("\"'“‘「『（(【《〈[{‹«")
_LINE_ENDS = re.compile("[\n\r\u2028\u2029]")


def split_words(text):
    """The words of a text as the tokenizer sees them.

    White space parts words; each ideograph and each punctuation mark is a word of its own; a combining mark belongs
    to the word before it. What the tokenizer drops (control and format characters, U+0000, U+FFFD) neither ends a
    word nor stands at its ends. The pieces of the words, each tokenized by itself, are those of the whole text, with
    two exceptions: a mark after an ideograph or a punctuation mark, which in the text would begin the next word, and a
    Greek sigma, whose lower case depends on what follows.

    Args:
      text: str.

    Returns:
      list of (start, end), character offsets, in order, never empty and never overlapping.

    >>> [text[start:end] for text in ["Bob's 北京\\u200b!"] for start, end in split_words(text)]
    ['Bob', "'", 's', '北', '京', '!']
    """
    return [match.span() for match in _WORD.finditer(character_kinds(text))]


def cut_places(text, words):
    """How good it would be to cut a text before each of its words.

    Args:
      text: str.
      words: list of (start, end), from `split_words`.

    Returns:
      list of int, one for each word: SENTENCE_END after the end of a sentence or of a line, PAUSE after other
      punctuation or a space, ANYWHERE else, as inside 3.14 or between a bracket and what it opens.
    """
    kinds = character_kinds(text)
    places = [ANYWHERE] * len(words)
    ended = False  # a sentence has ended, and nothing came since but what closes quotations and brackets
    for i in range(1, len(words)):
        before, gap, here = words[i - 1][0], slice(words[i - 1][1], words[i][0]), words[i][0]
        ended = text[before] in _SENTENCE_ENDS or (ended and text[before] in _CLOSING)
        if _LINE_ENDS.search(text[gap]):
            places[i] = SENTENCE_END
        elif SPACE in kinds[gap] or _parts(text, kinds, before, here):
            places[i] = SENTENCE_END if ended else PAUSE
    return places


def _parts(text, kinds, before, here):
    """Whether there is a pause between two adjacent words, which begin at these offsets: the first is punctuation."""
    if not _is_punctuation(text, kinds, before) or text[before] in _OPENING - _CLOSING:
        return False
    if _is_punctuation(text, kinds, here):
        return text[here] in _OPENING - _CLOSING
    return text[before] not in string.punctuation or kinds[here] == ALONE  # not 3.14, nor don't


def _is_punctuation(text, kinds, offset):
    return kinds[offset] == ALONE and not text[offset].isalnum()
