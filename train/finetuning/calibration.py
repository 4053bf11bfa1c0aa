"""Calibration of a trained tagger: one temperature, fitted on the dev set, for all of its probabilities.

The temperature divides the CRF's scores before they become probabilities, so tags do not depend on it. The one is taken
under which the dev set's entities, right ones and wrong ones, are most likely (Guo et al., "On Calibration of Modern
Neural Networks", 2017). As the tagger knows its training data better than the dev set, it is mostly above 1.
"""

import logging
import math

from train.report.calibration import outcomes

log = logging.getLogger(__name__)

# From 0.5 to 8, four to an octave; 1 is one of them.
TEMPERATURES = [2.0 ** (i / 4) for i in range(-4, 13)]
LEAST = 1e-6  # distance of a probability from 0 and 1, where float32 has no more digits


def fit(sentences, tagged, scheme):
    """The temperature that fits the entities of a tagged file best; the log says so.

    Args:
      sentences: list of conll.Sentence.
      tagged: list of evaluation.Tagged, of the same tags and with the scores at each of TEMPERATURES.
      scheme: the tags' scheme, or None.

    Returns:
      float; 1.0 where no entity was found.
    """
    found = [outcomes(sentences, each.tags, each.entity_scores, scheme) for each in tagged]
    if not found[0]:
        log.warning("no entity was found in the dev set, so probabilities stay as they are: temperature 1")
        return 1.0
    place = lowest_place([negative_log_likelihood(each) for each in found])
    temperature = round(TEMPERATURES[0] * (TEMPERATURES[1] / TEMPERATURES[0]) ** place, 3)
    log.info("calibrated on the %d entities found in the dev set: temperature %g", len(found[0]), temperature)
    return temperature


def lowest_place(values):
    """Where a smooth curve through these values is lowest: the place of the least, mended by a parabola through three.

    Args:
      values: list of floats, at the places 0, 1, 2 and so on.

    Returns:
      float.

    >>> lowest_place([4.0, 1.0, 0.0, 1.0]), lowest_place([2.25, 0.25, 0.25, 2.25]), lowest_place([0.0, 1.0])
    (2.0, 1.5, 0.0)
    """
    i = min(range(len(values)), key=values.__getitem__)
    if i in (0, len(values) - 1):
        return float(i)
    before, here, after = values[i - 1 : i + 2]
    bend = before - 2 * here + after
    return i + (0.5 * (before - after) / bend if bend > 0 else 0.0)


def negative_log_likelihood(found):
    """That of the outcomes, a list of (score, bool); float.

    Few entities that are all right would fit best with certainty. So right ones count as right with probability
    (n + 1) / (n + 2) and wrong ones with 1 / (n + 2), for n right and n wrong ones (Platt, "Probabilistic Outputs for
    Support Vector Machines", 1999).
    """
    number_right = sum(right for _, right in found)
    number_wrong = len(found) - number_right
    targets = {True: (number_right + 1) / (number_right + 2), False: 1 / (number_wrong + 2)}
    total = 0.0
    for score, right in found:
        score = min(max(score, LEAST), 1 - LEAST)
        total -= targets[right] * math.log(score) + (1 - targets[right]) * math.log(1 - score)
    return total
