"""From the words of a data file to the units that plain text is cut into, and back.

A word of a data file such as Groß-Gerau is three words in plain text. So that a model knows from training what it meets
in text, it sees these units in training too, each with its share of the word's tag: B-LOC is B-LOC I-LOC I-LOC then.
What it predicts for the units of words is taken back to one tag for each word. This module loads no TensorFlow.
"""

import collections

from train.data.kept import of_words
from train.data.labels import PIECE
from train.data.schemes import OUTSIDE, gather, retag, spread, well_formed
from train.data.text import split_words

# How words are cut into units. splitter: text.Splitter; scheme: tagging scheme of their tags, or None; labels:
# those of the model.
Cutting = collections.namedtuple("Cutting", ["splitter", "scheme", "labels"])
# The words of a sentence, cut. units: list of str; words: for each unit the index of its word; size: number of words.
Cut = collections.namedtuple("Cut", ["units", "words", "size"])


@of_words
def units_of(word, splitter):
    """The words that plain text is cut into where this word stands in it, a tuple of str; see text.split_words."""
    return tuple(word[start:end] for start, end in split_words(word, splitter))


def cut(words, cutting):
    """Cuts the words of a sentence.

    Args:
      words: list of str.
      cutting: Cutting; None leaves them as they are.

    Returns:
      Cut. A word of nothing but characters that the tokenizer drops has no unit.
    """
    if cutting is None:
        return Cut(words, range(len(words)), len(words))
    parts = [units_of(word, cutting.splitter) for word in words]
    numbers = [number for number, part in enumerate(parts) for _ in part]
    return Cut([unit for part in parts for unit in part], numbers, len(words))


def cut_sentences(sentences, cutting):
    """Cuts the words of tagged sentences.

    A label that the model lacks cannot be learnt: the word keeps its tag on its first unit then, and the others are
    labelled X as later pieces are.

    Args:
      sentences: iterable of conll.Sentence.
      cutting: Cutting; None leaves the words as they are.

    Yields:
      conll.Sentence, its words the units and its tags theirs; the words around it are units, too.
    """
    if cutting is None:
        yield from sentences
        return
    labels = set(cutting.labels)
    for sentence in sentences:
        units, tags = [], []
        for word, tag in zip(sentence.words, sentence.tags):
            parts = units_of(word, cutting.splitter)
            units += parts
            if len(parts) == 1:
                tags.append(tag)
            elif parts:
                spread_tags = spread(tag, len(parts), cutting.scheme)
                tags += spread_tags if labels.issuperset(spread_tags) else [tag] + [PIECE] * (len(parts) - 1)
        yield cut_around(sentence, cutting)._replace(words=units, tags=tags)


def cut_around(sentence, cutting):
    """A sentence with the words around it cut into their units.

    Args:
      sentence: named tuple, which need not have `before` and `after` where it is a document of its own.
      cutting: Cutting; None leaves them as they are.
    """
    around = {"before": sentence.before, "after": sentence.after}
    if cutting is None or not any(around.values()):
        return sentence
    return sentence._replace(**{name: cut(words, cutting).units for name, words in around.items()})


def word_tags(sentences, tags, scheme, required):
    """The tags of words from those of their units.

    Args:
      sentences: list of Cut.
      tags: for each sentence the list of its units' tags.
      scheme: tagging scheme, or None.
      required: whether the tags of each sentence have to be well-formed in it.

    Returns:
      list of lists of tags. Whether an entity begins at a word is said by its first unit, whether it ends there by its
      last, see schemes.gather. A word without units is O.
    """
    joined = []
    for sentence, of_units in zip(sentences, tags):
        parts = [[] for _ in range(sentence.size)]
        for word, tag in zip(sentence.words, of_units):
            parts[word].append(tag)
        of_words = [(gather(part, scheme) if len(part) > 1 else part[0]) if part else OUTSIDE for part in parts]
        is_right = scheme is None or not required or well_formed(of_words, scheme)
        joined.append(of_words if is_right else retag(of_words, scheme))
    return joined


def word_scores(sentences, scores, unseen=1.0):
    """The scores of words: the least of their units', `unseen` without any; arguments and result as `word_tags`."""
    joined = []
    for sentence, of_units in zip(sentences, scores):
        of_words = [unseen] * sentence.size
        known = set()
        for word, score in zip(sentence.words, of_units):
            if score is not None:
                of_words[word] = min(of_words[word], score) if word in known else score
                known.add(word)
        joined.append(of_words)
    return joined
