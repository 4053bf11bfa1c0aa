"""How far the probabilities of predicted entities and tags can be trusted: bins, and the expected calibration error.

In: sentences with gold tags, their predicted tags, the probabilities of both. Out: counts. An entity is right where
conlleval counts it as correct.
"""

import bisect
import collections

from train.chunks import OUTSIDE_TAGS, chunks, parse_tag, same_tag

NUM_BINS = 10  # of entities, of equal width
WORD_EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)  # of the bins of words
# The entities or words whose score is from `low` up to below `high`, in the last bin up to and including it. count: how
# many; score: the sum of their scores; right: how many of them are right.
Bin = collections.namedtuple("Bin", ["low", "high", "count", "score", "right"])


def outcomes(sentences, tags, entity_scores, scheme=None):
    """The score of each predicted entity of a file and whether the entity is right.

    Args:
      sentences: list of conll.Sentence.
      tags: for each sentence the list of its words' predicted tags.
      entity_scores: for each sentence the list of its words' entity scores, see decoding.Decoded; None for a word that
        tokenizes to nothing.
      scheme: the tags' scheme, as of chunks.chunks.

    Returns:
      list of (score, bool).
    """
    found = []
    for sentence, predicted, scores in zip(sentences, tags, entity_scores):
        gold = set(chunks(sentence.tags, scheme))
        for chunk in chunks(predicted, scheme):
            known = [score for score in scores[chunk[1] : chunk[2]] if score is not None]
            found.append((min(known, default=1.0), chunk in gold))
    return found


def bins(found):
    """The outcomes in NUM_BINS bins of equal width: a list of Bin.

    >>> [tuple(each) for each in bins([(0.95, True), (1.0, False)]) if each.count]
    [(0.9, 1.0, 2, 1.95, 1)]
    """
    return _counted(found, [i / NUM_BINS for i in range(NUM_BINS + 1)])


def _counted(found, edges):
    """A Bin for every two neighbouring edges, of pairs (score, bool)."""
    sums = [[0, 0.0, 0] for _ in edges[1:]]
    for score, right in found:
        total = sums[bisect.bisect_right(edges, score, 1, len(edges) - 1) - 1]
        total[0] += 1
        total[1] += score
        total[2] += right
    return [Bin(*ends, *total) for ends, total in zip(zip(edges, edges[1:]), sums)]


def expected_calibration_error(found):
    """The mean distance between score and share of right entities, each of the `bins` weighted by its entities.

    Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning" (2015).

    Args:
      found: list of (score, bool).

    Returns:
      float from 0 to 1; 0 for no entities.

    >>> round(expected_calibration_error([(0.95, True), (0.95, False), (0.25, False), (0.25, True)]), 2)
    0.35
    """
    return sum(abs(each.score - each.right) for each in bins(found)) / max(len(found), 1)


def word_bins(sentences, tags, scores, scheme=None):
    """How often the tags of words are right, by the probability that the tagger gave them.

    Args:
      sentences: list of conll.Sentence.
      tags: for each sentence the list of its predicted tags.
      scores: for each sentence the list of the tags' probabilities; words with None are left out.
      scheme: the tags' scheme, as of chunks.chunks.

    Returns:
      (outside, entity): each a list of Bin by WORD_EDGES, of the words tagged as outside and as part of an entity.
    """
    found = [], []
    for sentence, predicted, probabilities in zip(sentences, tags, scores):
        for gold, tag, probability in zip(sentence.tags, predicted, probabilities):
            if probability is not None:
                is_entity = parse_tag(tag)[0] not in OUTSIDE_TAGS
                found[is_entity].append((probability, same_tag(gold, tag, scheme)))
    return tuple(_counted(each, WORD_EDGES) for each in found)
