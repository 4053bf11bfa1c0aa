"""From tagged words to entities, with offsets into the text they stand in.

Tags are read as conlleval reads them (`train.chunks`), well-formed or not: an entity begins at B- or S-, where the
type changes, and at an I- or E- with no entity before it; it ends at E- or S-, and where the next begins or O stands.
Schemes with other prefixes are read by what these stand for, see train/data/schemes.py.
"""

import collections

from train.data import schemes

# A word: text == the whole text[start:end]; score: how probable the model holds the tag it chose, 0 to 1.
Token = collections.namedtuple("Token", ["text", "start", "end", "tag", "score"])
# text == the whole text[start:end]; score: how probable the model holds exactly this entity, 0 to 1.
Entity = collections.namedtuple("Entity", ["type", "text", "start", "end", "score"])
# A tagged text. tokens: list of Token, or None where they were not kept; entities: list of Entity; left_out: how many
# entities had too low a score.
Tagging = collections.namedtuple("Tagging", ["text", "tokens", "entities", "left_out"])


SCORE_DECIMALS = 4


def entity_values(entity):
    """An Entity as a JSON value: its fields, the score rounded."""
    return dict(entity._asdict(), score=rounded(entity.score))


def rounded(score):
    """A score as it is written: with few enough decimals to be the same on most machines."""
    return round(float(score), SCORE_DECIMALS)


def entities(text, tokens, scheme=None, scores=None):
    """The entities of a text.

    Args:
      text: str.
      tokens: list of Token, the words of this text in order.
      scheme: name of the scheme their tags are written in, a key of schemes.SCHEMES, or None.
      scores: for each word the probability of the entity that it is part of, see decoding.Decoded. It is the same for
        all words of an entity, unless the entity was put together from two windows: then the least counts. Default:
        the scores of the words, of which the least is no less than the probability of all.

    Returns:
      list of Entity, in order, never overlapping.

    >>> words = [Token("Ann", 0, 3, "I-PER", 0.9), Token("Lee", 4, 7, "I-PER", 0.7), Token("ran", 8, 11, "O", 0.99)]
    >>> entities("Ann Lee ran", words, scores=[0.6, 0.6, 0.99])
    [Entity(type='PER', text='Ann Lee', start=0, end=7, score=0.6)]
    """
    scores = [token.score for token in tokens] if scores is None else scores
    found = []
    for kind, first, stop in schemes.entities([token.tag for token in tokens], scheme):
        start, end = tokens[first].start, tokens[stop - 1].end
        found.append(Entity(kind, text[start:end], start, end, min(scores[first:stop])))
    return found


def tagging(text, tokens, scheme=None, scores=None, min_score=0.0):
    """The Tagging of a text, without the entities that have a lower score than wanted.

    The words of an entity that is left out are O, and the score of each is the probability that it has another tag
    than the one left out.

    Args:
      text, tokens, scheme, scores: as `entities`.
      min_score: the least score of an entity, 0 to 1.

    >>> words = [Token("Ann", 0, 3, "B-PER", 0.75), Token("ran", 4, 7, "O", 1.0)]
    >>> tagging("Ann ran", words, "BIO", min_score=0.8).tokens[0]
    Token(text='Ann', start=0, end=3, tag='O', score=0.25)
    """
    found = entities(text, tokens, scheme, scores)
    kept = [entity for entity in found if entity.score >= min_score]
    if len(kept) == len(found):
        return Tagging(text, tokens, found, 0)
    before = [token.tag for token in tokens]
    tags, word_scores = list(before), [token.score for token in tokens]
    for entity, (_, first, stop) in zip(found, schemes.entities(before, scheme)):
        if entity.score < min_score:
            tags[first:stop] = [schemes.OUTSIDE] * (stop - first)
            word_scores[first:stop] = [1.0 - score for score in word_scores[first:stop]]
    if scheme and schemes.well_formed(before, scheme) and not schemes.well_formed(tags, scheme):
        tags = schemes.retag(tags, scheme)  # as where B-PER said only that the word before is another entity
    tokens = [token._replace(tag=tag, score=score) for token, tag, score in zip(tokens, tags, word_scores)]
    return Tagging(text, tokens, kept, len(found) - len(kept))


class TaggingInParts:
    """The Tagging of a text whose words come a part at a time, as `tagging` gives it for all of them at once.

    Args:
      text: str.
      min_score: as of `tagging`.
      keep_tokens: false for a result without tokens; then the memory is that of one part, and of the entities.
    """

    __slots__ = ("_text", "_min_score", "_keep_tokens", "_tokens", "_scores", "_scheme", "_entities", "_left_out")

    def __init__(self, text, min_score=0.0, keep_tokens=True):
        self._text = text
        self._min_score = min_score
        self._keep_tokens = keep_tokens
        self._tokens, self._scores, self._scheme = [], [], None  # of the words whose entities are not known yet
        self._entities, self._left_out = [], 0

    def add(self, tokens, scores, scheme):
        """Takes the next words; arguments as those of `tagging`."""
        self._tokens += tokens
        self._scores += scores
        self._scheme = scheme
        if not self._keep_tokens:
            # Every entity ends where a word is outside; one that reaches the end of these words may go on.
            last = next((i for i in reversed(range(len(self._tokens))) if self._tokens[i].tag == schemes.OUTSIDE), -1)
            self._close(last + 1)

    def _close(self, stop):
        """Finds the entities of the words before `stop`, and forgets these words."""
        found = entities(self._text, self._tokens[:stop], self._scheme, self._scores[:stop])
        kept = [entity for entity in found if entity.score >= self._min_score]
        self._entities += kept
        self._left_out += len(found) - len(kept)
        self._tokens, self._scores = self._tokens[stop:], self._scores[stop:]

    def result(self):
        """The Tagging; nothing can be added afterwards."""
        if self._keep_tokens:
            return tagging(self._text, self._tokens, self._scheme, self._scores, self._min_score)
        self._close(len(self._tokens))
        return Tagging(self._text, None, self._entities, self._left_out)
