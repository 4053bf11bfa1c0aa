"""From tagged words to entities, with offsets into the text they stand in.

Tags are read as conlleval reads them (`conlleval.chunks`), in whatever scheme they are written and whether well-formed
or not: an entity begins at B- or S-, where the type changes, and at an I- or E- with no entity before it; it ends at
E- or S-, and where the next begins or O stands.
"""

import collections

from train.conlleval import chunks
from train.data.labels import split_tag

# A word: text == the whole text[start:end]; score: how probable the model holds the tag it chose, 0 to 1.
Token = collections.namedtuple("Token", ["text", "start", "end", "tag", "score"])
# text == the whole text[start:end]; score: the least of its words', which is no less than the probability of all.
Entity = collections.namedtuple("Entity", ["type", "text", "start", "end", "score"])


def entities(text, tokens):
    """The entities of a text.

    Args:
      text: str.
      tokens: list of Token, the words of this text in order.

    Returns:
      list of Entity, in order, never overlapping.

    >>> words = [Token("Ann", 0, 3, "I-PER", 0.9), Token("Lee", 4, 7, "I-PER", 0.7), Token("ran", 8, 11, "O", 0.99)]
    >>> entities("Ann Lee ran", words)
    [Entity(type='PER', text='Ann Lee', start=0, end=7, score=0.7)]
    """
    found = []
    for _, first, stop in chunks([token.tag for token in tokens]):
        start, end = tokens[first].start, tokens[stop - 1].end
        kind = split_tag(tokens[first].tag)[1]  # as it is written; conlleval takes a type 0 for none
        score = min(token.score for token in tokens[first:stop])
        found.append(Entity(kind, text[start:end], start, end, score))
    return found
