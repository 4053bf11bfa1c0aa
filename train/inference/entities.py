"""From tagged words to entities, with offsets into the text they stand in.

Tags are read as conlleval reads them (`train.chunks`), well-formed or not: an entity begins at B- or S-, where the
type changes, and at an I- or E- with no entity before it; it ends at E- or S-, and where the next begins or O stands.
Schemes with other prefixes are read by what these stand for, see train/data/schemes.py.
"""

import collections

from train.data import schemes

# A word: text == the whole text[start:end]; score: how probable the model holds the tag it chose, 0 to 1.
Token = collections.namedtuple("Token", ["text", "start", "end", "tag", "score"])
# text == the whole text[start:end]; score: the least of its words', which is no less than the probability of all.
Entity = collections.namedtuple("Entity", ["type", "text", "start", "end", "score"])


SCORE_DECIMALS = 4


def entity_values(entity):
    """An Entity as a JSON value: its fields, the score rounded."""
    return dict(entity._asdict(), score=rounded(entity.score))


def rounded(score):
    """A score as it is written: with few enough decimals to be the same on most machines."""
    return round(float(score), SCORE_DECIMALS)


def entities(text, tokens, scheme=None):
    """The entities of a text.

    Args:
      text: str.
      tokens: list of Token, the words of this text in order.
      scheme: name of the scheme their tags are written in, a key of schemes.SCHEMES, or None.

    Returns:
      list of Entity, in order, never overlapping.

    >>> words = [Token("Ann", 0, 3, "I-PER", 0.9), Token("Lee", 4, 7, "I-PER", 0.7), Token("ran", 8, 11, "O", 0.99)]
    >>> entities("Ann Lee ran", words)
    [Entity(type='PER', text='Ann Lee', start=0, end=7, score=0.7)]
    """
    found = []
    for kind, first, stop in schemes.entities([token.tag for token in tokens], scheme):
        start, end = tokens[first].start, tokens[stop - 1].end
        score = min(token.score for token in tokens[first:stop])
        found.append(Entity(kind, text[start:end], start, end, score))
    return found
