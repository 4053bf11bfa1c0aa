"""Plain text to words: where each begins and ends, and where a text too long for the model is best cut.

In: a str. Out: character offsets into that str, as nothing is normalised before it is counted. The kinds of
characters are those of bert/tokenization.py.
"""

import collections
import functools
import re
import string

from bert.tokenization import ALONE, DROPPED, MARK, PART, SPACE, CharacterTable, character_kind, character_kinds


class Splitter(collections.namedtuple("Splitter", ["letters", "inner", "leading", "trailing"])):
    """How a text is cut into words: at white space, ideographs and punctuation marks, with exceptions.

    Fields:
      letters: "together", or "apart", which makes each letter and each digit a word of its own.
      inner: punctuation marks that join what stands on both sides of them where both are letters or digits: with `-`
        in it Groß-Gerau is one word.
      leading, trailing: punctuation marks that belong to the letters or digits right after, or right before them:
        @user, user_.
    """

    __slots__ = ()

    def to_json(self):
        """A JSON value: "marks", "characters", or a dict of the marks that join."""
        if self in (MARKS, CHARACTERS):
            return "characters" if self.letters == "apart" else "marks"
        return {name: getattr(self, name) for name in JOINTS}

    @classmethod
    def from_json(cls, value):
        """The Splitter of a value that `to_json` gave; ValueError for another."""
        if value in ("marks", "characters"):
            return CHARACTERS if value == "characters" else MARKS
        if not isinstance(value, dict) or sorted(value) != sorted(JOINTS):
            raise ValueError(value)
        for marks in value.values():
            if not isinstance(marks, str) or not all(map(is_punctuation, marks)):
                raise ValueError(value)
        return cls("together", **value)


JOINTS = ("inner", "leading", "trailing")
MARKS = Splitter("together", "", "", "")  # each punctuation mark is a word
CHARACTERS = Splitter("apart", "", "", "")  # each character is


def is_punctuation(character):
    """Whether a character is a punctuation mark, which is a word of its own to the tokenizer."""
    return character_kinds(character) == ALONE and not character.isalnum()


@functools.lru_cache(maxsize=None)
def word_pattern(splitter):
    """The regular expression of a word, for the text that `kinds_and_marks` gives."""
    over = f"(?:[{MARK}{DROPPED}]*{MARK})?(?![{MARK}{DROPPED}]*{MARK})"  # the marks over a character, all of them
    if splitter.letters == "apart":
        return re.compile(f"[{PART}{MARK}{ALONE}]{over}")
    letters = f"[{PART}{MARK}](?:[{PART}{MARK}{DROPPED}]*[{PART}{MARK}])?"
    marks = dict(splitter._asdict(), inner=splitter.inner + "".join(set(splitter.leading) & set(splitter.trailing)))
    inner, leading, trailing = (f"[{re.escape(marks[name])}]{over}" if marks[name] else None for name in JOINTS)
    word = letters
    if inner:
        word += f"(?:{DROPPED}*{inner}{DROPPED}*{letters})*"
    if leading:
        word = f"(?:{leading}{DROPPED}*)?" + word
    if trailing:
        word += f"(?:{DROPPED}*{trailing})?"
    return re.compile(f"{word}|[^{PART}{MARK}{SPACE}{DROPPED}]{over}")


@functools.lru_cache(maxsize=None)
def _kinds_and_marks(marks):
    return CharacterTable(lambda character: character if character in marks else character_kind(character))


def kinds_and_marks(text, splitter):
    """The kind of each character, see tokenization.character_kinds; the marks that the splitter names as they are."""
    return text.translate(_kinds_and_marks("".join(splitter[1:])))


# How good a place between two words is to cut a text at, see `cut_places`.
ANYWHERE, PAUSE, SENTENCE_END = 0, 1, 2
_SENTENCE_ENDS = frozenset("。｡！？!?.…؟۔।")
_CLOSING = frozenset("\"'”’」』）)】》〉]}›»")
_OPENING = frozenset("\"'“‘「『（(【《〈[{‹«")
_LINE_ENDS = re.compile("[\n\r\u2028\u2029]")


def split_words(text, splitter=MARKS):
    """The words of a text as the tokenizer sees them.

    White space parts words; each ideograph and each punctuation mark is a word of its own; a combining mark belongs
    to the word before it. What the tokenizer drops (control and format characters, U+0000, U+FFFD) neither ends a
    word nor stands at its ends. A splitter other than MARKS makes exceptions, see Splitter.

    The pieces of the words, each tokenized by itself, are those of the whole text (for CHARACTERS, of its characters),
    with two exceptions: a mark after an ideograph or a punctuation mark, which in the text would begin the next word,
    and a Greek sigma, whose lower case depends on what follows.

    Args:
      text: str.
      splitter: Splitter.

    Returns:
      list of (start, end), character offsets, in order, never empty and never overlapping.

    >>> [text[start:end] for text in ["Bob's 北京\\u200b!"] for start, end in split_words(text)]
    ['Bob', "'", 's', '北', '京', '!']
    >>> text = "@ann_lee's"
    >>> [text[start:end] for start, end in split_words(text, Splitter("together", inner="_", leading="@", trailing=""))]
    ['@ann_lee', "'", 's']
    """
    return list(find_words(text, splitter))


def find_words(text, splitter):
    """As `split_words`, one after another, so that the first words of a long text take no room for the others."""
    return (match.span() for match in word_pattern(splitter).finditer(kinds_and_marks(text, splitter)))


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


SECTION = 1 << 20  # characters; each takes some 250 bytes while its section is tagged
_LOOKED_AT = 1 << 12  # characters in which the end of a section is looked for


def sections(text, longest=SECTION):
    """Cuts a text that is too long to be tagged as a whole: at the last end of a sentence in reach, else at a pause.

    Args:
      text: str.
      longest: characters in a section at most, more than _LOOKED_AT.

    Returns:
      list of (start, end), one after another; a single one where the text is no longer than that.
    """
    found, start = [], 0
    while len(text) - start > longest:
        tail = start + longest - _LOOKED_AT
        words = split_words(text[tail : start + longest])
        places = cut_places(text[tail : start + longest], words)
        best = max(range(1, len(words)), key=lambda i: (places[i], i), default=None)
        end = start + longest if best is None else tail + words[best][0]
        found.append((start, end))
        start = end
    return found + [(start, len(text))]


def _parts(text, kinds, before, here):
    """Whether there is a pause between two adjacent words, which begin at these offsets: the first is punctuation."""
    if not _is_punctuation(text, kinds, before) or text[before] in _OPENING - _CLOSING:
        return False
    if _is_punctuation(text, kinds, here):
        return text[here] in _OPENING - _CLOSING
    return text[before] not in string.punctuation or kinds[here] == ALONE  # not 3.14, nor don't


def _is_punctuation(text, kinds, offset):
    return kinds[offset] == ALONE and not text[offset].isalnum()
