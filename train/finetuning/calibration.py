"""Calibration of a trained tagger on the dev set: a temperature for all probabilities, and a map of entity scores.

The temperature divides the CRF's scores before they become probabilities, so tags do not depend on it. The one is taken
under which the dev set's entities, right ones and wrong ones, are most likely (Guo et al., "On Calibration of Modern
Neural Networks", 2017). As the tagger knows its training data better than the dev set, it is mostly above 1.

One temperature cannot mend a tagger that is too sure of one type and not sure enough of another. So the slope and the
offsets of calibration.Calibration are fitted next, by logistic regression on the same entities with a Gaussian prior
around the identity: few entities move little.
"""

import logging
import math

import numpy as np

from train.chunks import chunks
from train.report.calibration import outcomes
from train.tagger.calibration import LEAST, UNCALIBRATED, Calibration

log = logging.getLogger(__name__)

# From 0.5 to 8, four to an octave; 1 is one of them.
TEMPERATURES = [2.0 ** (i / 4) for i in range(-4, 13)]
CANDIDATES = [Calibration(temperature) for temperature in TEMPERATURES]
# One over the variance of the prior, of the slope around 1 and of the offsets around 0. Of 50, 150, 500 and 2,000 dev
# sentences, with five taggers, these gave test scores that were never worse than those of the temperature alone.
SLOPE_PRECISION, OFFSET_PRECISION, TYPE_PRECISION = 10.0, 1.0, 10.0
MOST_STEPS, LEAST_STEP = 100, 1e-10  # of Newton's method
DECIMALS = 4


def fit(sentences, tagged, scheme):
    """The calibration that fits the entities of a tagged file best; the log says so.

    Args:
      sentences: list of conll.Sentence.
      tagged: list of evaluation.Tagged, of the same tags and with the scores of each of the CANDIDATES.
      scheme: the tags' scheme, or None.

    Returns:
      calibration.Calibration; UNCALIBRATED where no entity was found.
    """
    found = [outcomes(sentences, each.tags, each.entity_scores, scheme) for each in tagged]
    if not found[0]:
        log.warning("no entity was found in the dev set, so probabilities stay as they are: temperature 1")
        return UNCALIBRATED
    place = lowest_place([negative_log_likelihood(each) for each in found])
    temperature = round(TEMPERATURES[0] * (TEMPERATURES[1] / TEMPERATURES[0]) ** place, 3)
    right = [is_right for _, is_right in found[0]]
    types = [kind for tags in tagged[0].tags for kind, _, _ in chunks(tags, scheme)]
    fitted = fit_map(_logits_at(place, found), right, types)._replace(temperature=temperature)
    log.info(
        "calibrated on the %d entities found in the dev set: temperature %g, slope %g, offsets %s",
        len(right),
        temperature,
        fitted.slope,
        fitted.shown_offsets,
    )
    return fitted


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


def _logits_at(place, found):
    """The log-odds of the outcomes at a place between two of the TEMPERATURES, on the line between those of both.

    That is within half a percent of the log-odds at the temperature itself, and saves tagging the dev set once more.

    Args:
      place: float, as `lowest_place` gives it.
      found: for each of TEMPERATURES the outcomes, a list of (score, bool).

    Returns:
      float64 [entities].
    """
    low = min(int(place), len(found) - 2)
    scores = np.array([[score for score, _ in each] for each in found[low : low + 2]], np.float64)  # [2, entities]
    scores = np.clip(scores, LEAST, 1 - LEAST)
    below, above = np.log(scores / (1 - scores))
    return below + (place - low) * (above - below)


def fit_map(logits, right, types):
    """The map of entity scores that is most likely, after the prior, for the outcomes of entities.

    A slope that is not above 0 would mean that scores say nothing about which entities are right. It is 1 then, and the
    log says so.

    Args:
      logits: float64 [entities], log-odds of their scores.
      right: bool [entities].
      types: list of their types.

    Returns:
      calibration.Calibration of temperature 1.
    """
    names = sorted(set(types))
    indicators = [np.array([kind == name for kind in types], np.float64) for name in names]
    features = np.stack([logits, np.ones_like(logits)] + indicators, axis=1)  # [entities, 2 + types]
    mean = np.array([1.0, 0.0] + [0.0] * len(names))
    precision = np.array([SLOPE_PRECISION, OFFSET_PRECISION] + [TYPE_PRECISION] * len(names))
    weights = penalised_regression(features, right, mean, precision)
    if round(weights[0], DECIMALS) <= 0:
        log.warning("the scores of the dev set's entities do not rise with the share of right ones, so the slope is 1")
        free = penalised_regression(features[:, 1:], right, mean[1:], precision[1:], logits)
        weights = np.concatenate([[1.0], free])
    slope, offset, *of_types = weights
    offsets = {name: round(offset + of_type, DECIMALS) for name, of_type in zip(names, of_types)}
    return Calibration(1.0, round(slope, DECIMALS), round(offset, DECIMALS), offsets)


def penalised_regression(features, right, mean, precision, base=0.0):
    """The weights w that minimise the logistic loss of base + features w plus precision / 2 * (w - mean)^2.

    By Newton's method, with steps that are halved until the loss does not rise.

    Args:
      features: float64 [examples, weights].
      right: bool [examples].
      mean, precision: float64 [weights].
      base: float64 [examples], log-odds to which those of the features are added.

    Returns:
      float64 [weights].
    """
    right = np.asarray(right, np.float64)

    def loss(weights):
        logits = base + features @ weights
        return np.sum(np.logaddexp(0, logits) - right * logits) + 0.5 * np.sum(precision * (weights - mean) ** 2)

    weights = mean
    for _ in range(MOST_STEPS):
        shares = 0.5 * (1 + np.tanh(0.5 * (base + features @ weights)))  # the sigmoid, without overflow
        gradient = features.T @ (shares - right) + precision * (weights - mean)
        curvature = (features.T * (shares * (1 - shares))) @ features + np.diag(precision)
        step = np.linalg.solve(curvature, gradient)
        while np.abs(step).max() > LEAST_STEP and loss(weights - step) > loss(weights):
            step = step / 2
        weights = weights - step
        if np.abs(step).max() <= LEAST_STEP:
            break
    return weights
