"""The words around a sentence in its document, which the model may read with it (-context).

In: sentences in the order of their file. Out: the same, each with the words before and after it. A document ends where
a sentence says that it begins one. Loads no TensorFlow, as every process that reads data would load it too.
"""

import collections
import itertools
import operator

MOST = 512  # the largest -context, so that what one group of sentences hands on to the next is short
# A sentence without tags. words: list of str; begins_document: whether what is before it is of another document;
# before, after: lists of the words around it.
Words = collections.namedtuple("Words", ["words", "begins_document", "before", "after"], defaults=[False, (), ()])


def with_neighbours(sentences, size, before=(), words_of=operator.attrgetter("words")):
    """Gives sentences the words around them.

    Sentences are read ahead only as far as it needs, so that a stream stays one.

    Args:
      sentences: iterable of named tuples with the fields `begins_document`, `before` and `after`. Those of which each
        is a document of its own need not have the last two.
      size: words on either side, at most; 0 leaves the sentences as they are.
      before: words before the first sentence, in its document.
      words_of: function that gives the words of a sentence, a list.

    Yields:
      the sentences, `before` and `after` set.
    """
    if not size:
        yield from sentences
        return
    source, ahead, before = iter(sentences), collections.deque(), list(before)[-size:]
    for sentence in _taking(ahead, source):
        if sentence.begins_document:
            before = []
        after = []
        for following in itertools.chain(ahead, _reading_into(ahead, source)):
            if following.begins_document:
                break
            after += words_of(following)[: size - len(after)]
            if len(after) == size:
                break
        around = {"before": before, "after": after}
        yield sentence._replace(**around) if any(around.values()) else sentence
        before = [*before, *words_of(sentence)[-size:]][-size:]


def described(documents, sentences, size):
    """What the log says of how the sentences of a file are read.

    Args:
      documents: how many of the sentences begin a document.
      sentences: how many there are.
      size: value of -context.
    """
    if documents == sentences:
        return f"each sentence is a document of its own, so -context {size} adds nothing"
    said = f"sentences are read with up to {size} pieces before and after them (-context)"
    if documents:
        return f"{said}; documents that -DOCSTART- lines begin: {documents}"
    return f"{said}, and all are one document: the file has no -DOCSTART- line"


def _taking(ahead, source):
    """Yields what is in the queue `ahead`, then what the iterator `source` gives."""
    while True:
        try:
            yield ahead.popleft() if ahead else next(source)
        except StopIteration:
            return


def _reading_into(ahead, source):
    """Yields what the iterator `source` gives, and puts it into the queue `ahead`."""
    for sentence in source:
        ahead.append(sentence)
        yield sentence


def fit_around(before, after, room):
    """Cuts the pieces on both sides of a sentence to the room that its window has for them.

    The nearest stay, as many on either side, and where one side has fewer, more on the other.

    Args:
      before, after: lists or tuples of pieces, in the order of the text.
      room: pieces.

    Returns:
      (before, after), of at most `room` pieces together.
    """
    kept = min(len(before), max(room // 2, room - len(after)))
    return before[len(before) - kept :], after[: room - kept]
