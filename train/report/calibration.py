"""How far the probabilities of predicted entities can be trusted: bins, and the expected calibration error.

In: sentences with gold tags, their predicted tags, the probabilities of the entities. Out: counts. An entity is right
where conlleval counts it as correct.
"""

import collections

from train.chunks import chunks

NUM_BINS = 10  # of equal width
# The entities whose score is from `low` up to below `high`, in the last bin up to and including it. entities: how many;
# score: the sum of their scores; right: how many of them are right.
Bin = collections.namedtuple("Bin", ["low", "high", "entities", "score", "right"])


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

    >>> [tuple(each) for each in bins([(0.95, True), (1.0, False)]) if each.entities]
    [(0.9, 1.0, 2, 1.95, 1)]
    """
    sums = [[0, 0.0, 0] for _ in range(NUM_BINS)]
    for score, right in found:
        total = sums[min(int(score * NUM_BINS), NUM_BINS - 1)]
        total[0] += 1
        total[1] += score
        total[2] += right
    return [Bin(i / NUM_BINS, (i + 1) / NUM_BINS, *total) for i, total in enumerate(sums)]


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
