"""The choice of how plain text is cut into words, from the words of the training data.

Text should give the words that the model was trained on. Where it is cut finer than the data, training sees the finer
units too (see units.py). Where it is cut less fine, it gives words that no training has seen, so a mark must join words
nearly always to be left in them. A data file does not say where spaces were. They are taken to be where people write
them: a full stop, a closing bracket and an apostrophe stand right after the word before them, other marks apart.
"""

import collections
import itertools
import unicodedata

from bert.tokenization import ALONE, PART, SPACE, character_kinds
from train.data.kept import of_words
from train.data.schemes import spread
from train.data.text import CHARACTERS, JOINTS, MARKS, Splitter, find_words, is_punctuation, word_pattern
from train.data.units import units_of

EXAMPLES = 3  # words that the log shows
KEPT_EXAMPLES = 50
LONGEST_SHAPE = 16  # parts of a word that are looked at
FEWEST = 3  # words that a mark must join to be one that does
APART_SHARE = 20  # a mark that stands apart this many times for one that joins does not join
_QUOTES = frozenset("\"'`\u2018\u2019\u201c\u201d")
_CLOSING = frozenset(".,;:!?\u2026\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f")


@of_words
def shape_of(word):
    """A word as a str with one character for each of its parts by MARKS: PART for letters and digits, ALONE for an
    ideograph, a punctuation mark itself, and SPACE for white space between parts."""
    parts, end = [], 0
    for start, stop in itertools.islice(find_words(word, MARKS), LONGEST_SHAPE):
        if parts and SPACE in character_kinds(word[end:start]):
            parts.append(SPACE)
        begin = word[start]
        if is_punctuation(begin):
            parts.append(begin)
        else:
            parts.append(ALONE if character_kinds(begin) == ALONE else PART)
        end = stop
    return "".join(parts)


@of_words
def _characters(word):
    """The number of characters of a word, without those that the tokenizer drops; 3 for more."""
    return sum(1 for _ in itertools.islice(find_words(word, CHARACTERS), 3))


class WordCounts:
    """What has to be known of the words of a file to choose a splitter, and to say what each would cut.

    Attributes:
      words: number of words.
      spelled: of these the words with a letter or a digit, ideographs aside.
      single: of these again the words of one character.
      shapes: Counter of (shape, tag) of the words of several parts, see `shape_of`.
      characters: Counter of (number of characters, 3 for more, tag) of the words of several characters.
      joints: Counter of (joint, mark, what): how often a mark joins ("joined") as the field of that name of Splitter
        says, stands at its neighbour in the text and yet does not ("parted"), or stands apart ("apart").
      examples: the first different words of several parts, at most KEPT_EXAMPLES.
    """

    def __init__(self):
        self.words = self.spelled = self.single = 0
        self.shapes, self.characters, self.joints = (collections.Counter() for _ in range(3))
        self.examples = []

    @classmethod
    def of(cls, sentences):
        """The counts of an iterable of conll.Sentence."""
        counts = cls()
        words, tags = [], []
        for sentence in sentences:
            words += [*sentence.words, ""]  # nothing stands beside the ends of a sentence
            tags += [*sentence.tags, None]
        for (word, tag), times in collections.Counter(zip(words, tags)).items():
            if tag is not None:
                counts._add_word(word, tag, times)
        shapes = ["", *map(shape_of, words)]
        if any(SPACE in shape for shape in set(shapes)):  # what white space in a word parts is as if these were words
            shapes = [part for shape in shapes for part in shape.split(SPACE)]
        neighbours = collections.Counter(zip(shapes, shapes[1:], shapes[2:]))
        for shapes, times in neighbours.items():
            for key in _joints(*shapes):
                counts.joints[key] += times
        return counts

    def _add_word(self, word, tag, times):
        shape, characters = shape_of(word), _characters(word)
        self.words += times
        if PART in shape:
            self.spelled += times
            self.single += times * (characters == 1)
        if characters > 1:
            self.characters[characters, tag] += times
        if len(shape) > 1:
            self.shapes[shape, tag] += times
            self._keep_examples([word])

    def _keep_examples(self, words):
        new = [word for word in words if word not in self.examples]
        self.examples += new[: KEPT_EXAMPLES - len(self.examples)]

    def update(self, other):
        """Adds the counts of the words that follow in the file."""
        self.words += other.words
        self.spelled += other.spelled
        self.single += other.single
        for name in ("shapes", "characters", "joints"):
            getattr(self, name).update(getattr(other, name))
        self._keep_examples(other.examples)

    def respell(self, spelling):
        """Reads tags as others: dict from a tag to the one it is read as."""
        for name in ("shapes", "characters"):
            read = collections.Counter()
            for (what, tag), times in getattr(self, name).items():
                read[what, spelling.get(tag, tag)] += times
            setattr(self, name, read)

    def __eq__(self, other):
        return isinstance(other, WordCounts) and vars(self) == vars(other)

    def splitter(self):
        """The text.Splitter for a model trained on these words.

        CHARACTERS where most words with a letter or a digit are single characters: the corpus spells 1997 out as four
        words, and so has plain text to be cut. Else one by marks: a mark joins where it does so in the data, hardly
        ever fails to where it stands in the same place, and does not nearly always stand apart.
        """
        if self.single > self.spelled / 2:
            return CHARACTERS
        joining = dict.fromkeys(JOINTS, "")
        for joint, mark, what in sorted(self.joints):
            joined, parted, apart = (self.joints[joint, mark, each] for each in ("joined", "parted", "apart"))
            if what == "joined" and joined >= FEWEST and joined > APART_SHARE * parted and joined > apart / APART_SHARE:
                joining[joint] += mark
        return Splitter("together", **joining)

    def _cut(self, splitter):
        """Yields (number of units, 3 for more, tag, times) of the words that become several units."""
        if splitter.letters == "apart":
            for (count, tag), times in self.characters.items():
                yield count, tag, times
            return
        named = frozenset("".join(splitter[1:]) + PART + SPACE)
        for (shape, tag), times in self.shapes.items():
            kinds = "".join(part if part in named else ALONE for part in shape)
            count = len(word_pattern(splitter).findall(kinds))
            if count > 1:
                yield min(count, 3), tag, times

    def several(self, splitter):
        """The number of words that become several units."""
        return sum(times for _, _, times in self._cut(splitter))

    def unit_tags(self, splitter, scheme):
        """The set of the tags that the units of words of several units have, see schemes.spread."""
        return {unit_tag for count, tag, _ in self._cut(splitter) for unit_tag in spread(tag, count, scheme)}


def _joints(before, shape, behind):
    """Yields the keys of WordCounts.joints for a word, by the shapes of the words around it ("" for none)."""
    for i, mark in enumerate(shape):
        if mark in (PART, ALONE):
            continue
        left = shape[i - 1] if i else before[-1:]
        right = shape[i + 1] if i + 1 < len(shape) else behind[:1]
        opens, ends = i == 0, i + 1 == len(shape)
        if left == right == PART:
            what = "joined" if not (opens or ends) else "parted" if opens and not ends and _closes(mark) else "apart"
            yield "inner", mark, what
        if right == PART and (opens or left != PART) and not (_opens(mark) or mark in _QUOTES):
            if not ends:
                yield "leading", mark, "joined"
            elif opens:
                yield "leading", mark, "apart"
        if left == PART and (ends or right != PART) and not _closes(mark):
            if not opens:
                yield "trailing", mark, "joined"
            elif ends:
                yield "trailing", mark, "apart"


def _closes(mark):
    """Whether people write a mark right after the word before it: a full stop, a closing bracket, a quote."""
    return mark in _CLOSING or mark in _QUOTES or unicodedata.category(mark) in ("Pe", "Pf")


def _opens(mark):
    return unicodedata.category(mark) in ("Ps", "Pi")


def describe(counts, path, splitter, word_units):
    """A line on how many words of a file plain text would cut otherwise, and what is made of that.

    Args:
      counts: WordCounts of the file.
      path: of the file.
      splitter: text.Splitter by which plain text is cut.
      word_units: value of -word_units.

    Returns:
      str.
    """
    several = counts.several(splitter)
    said = f"{path}: plain text cuts {several} of {counts.words} words into several"
    if several:
        shown = [word for word in counts.examples if len(units_of(word, splitter)) > 1 and len(word) <= 20]
        such = f", such as {' '.join(shown[:EXAMPLES])}" if shown else ""
        learns = "learns their parts, as text has them" if word_units == "text" else "learns them whole, unlike text"
        said += f"{such}; the model {learns} (-word_units {word_units})"
    if splitter == CHARACTERS:
        share = f"{counts.single} of {counts.spelled}"
        said += f"; letters and digits are cut apart, as {share} words of them are single characters here"
    elif splitter != MARKS:
        joined = ", ".join(f"{name} {marks}" for name, marks in zip(JOINTS, splitter[1:]) if marks)
        said += f"; it leaves words whole at these marks, as the file does: {joined}"
    return said
