"""What is fitted on the dev set, a temperature and a map of entity scores; how often summaries are written."""

import doctest
import logging
import re

import numpy as np
import pytest

from train.data.conll import Sentence
from train.finetuning import calibration, evaluation, loop
from train.tagger.calibration import UNCALIBRATED

pytestmark = pytest.mark.one_tensorflow  # Python alone


def tagged_at(logits, temperatures):
    """Files of entities of one word each, whose probability is a sigmoid of these logits at the temperatures."""
    tags = [["B-A"] for _ in logits]
    scores = [[[float(1 / (1 + np.exp(-logit / t)))] for logit in logits] for t in temperatures]
    return [evaluation.Tagged(tags, 0.0, each, each) for each in scores]


@pytest.mark.parametrize("expected", [0.7, 1.0, 1.9, 5.0])
def test_it_finds_the_temperature_of_the_data(expected):
    rng = np.random.RandomState(0)
    logits = rng.normal(2.0, 2.0, 8000) * expected
    right = rng.rand(len(logits)) < 1 / (1 + np.exp(-logits / expected))
    sentences = [Sentence(["w"], ["B-A" if is_right else "O"], i + 1) for i, is_right in enumerate(right)]
    found = calibration.fit(sentences, tagged_at(logits, calibration.TEMPERATURES), "BIO")
    np.testing.assert_allclose(found.temperature, expected, rtol=0.06)
    # Nothing is left for the map to mend but what the temperature is off.
    np.testing.assert_allclose(found.slope / found.temperature, 1 / expected, rtol=0.06)
    np.testing.assert_allclose([found.offset, found.offsets["A"]], 0, atol=0.12)


def test_few_entities_that_are_all_right_make_nothing_certain():
    logits = np.full([20], 8.0)
    sentences = [Sentence(["w"], ["B-A"], i + 1) for i in range(20)]
    found = calibration.fit(sentences, tagged_at(logits, calibration.TEMPERATURES), "BIO")
    assert 0.9 < sigmoid(8.0 / found.temperature) < 0.97  # 21 of 22
    assert 0.9 < sigmoid(8.0 / found.temperature * found.slope + found.offsets["A"]) < 0.985


def test_no_entity_was_found(caplog):
    tagged = [evaluation.Tagged([["O"]], 0.0, [[0.9]], [[0.9]]) for _ in calibration.TEMPERATURES]
    assert calibration.fit([Sentence(["w"], ["B-A"], 1)], tagged, "BIO") == UNCALIBRATED
    assert "no entity was found in the dev set" in caplog.text


def random_entities(number, offsets, slope=1.0, seed=0):
    """(logits, right, types) of entities that are right as often as the slope and the offsets of types say."""
    rng = np.random.RandomState(seed)
    logits, types = rng.normal(1.0, 2.0, number), rng.choice(sorted(offsets), number)
    right = rng.rand(number) < sigmoid(slope * logits + np.array([offsets[kind] for kind in types]))
    return logits, right, list(types)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("number", [1, 7, 400])
def test_the_map_is_most_likely(number):
    """The gradient of the penalised likelihood, by differences, is zero there; a plain sum over the entities."""
    logits, right, types = random_entities(number, {"A": 1.0, "B": -1.0, "C": 0.0}, 0.5)
    features = np.stack([logits, np.ones(number)] + [np.array(types) == name for name in "ABC"], 1).astype(float)
    mean, precision = np.array([1.0, 0, 0, 0, 0]), np.array([10.0, 1, 10, 10, 10])

    def loss(weights):
        chances = [sigmoid(sum(w * x for w, x in zip(weights, row))) for row in features]
        found = [np.log(p if is_right else 1 - p) for p, is_right in zip(chances, right)]
        return -sum(found) + sum(precision * (weights - mean) ** 2) / 2

    best = calibration.penalised_regression(features, right, mean, precision)
    for step in 1e-5 * np.eye(5):
        assert abs(loss(best + step) - loss(best - step)) / 2e-5 < 1e-4
        assert loss(best) < min(loss(best + 1e3 * step), loss(best - 1e3 * step))
    fitted = calibration.fit_map(logits, right, types)
    np.testing.assert_allclose([fitted.slope, fitted.offset], best[:2], atol=1e-4)
    names = sorted(set(types))
    assert sorted(fitted.offsets) == names and fitted.temperature == 1.0
    expected = [best[1] + best[2 + "ABC".index(name)] for name in names]
    np.testing.assert_allclose(list(fitted.offsets.values()), expected, atol=2e-4)


def test_what_is_calibrated_stays():
    fitted = calibration.fit_map(*random_entities(20000, {"A": 0.0, "B": 0.0}))
    np.testing.assert_allclose([fitted.slope, 1 + fitted.offsets["A"], 1 + fitted.offsets["B"]], 1, atol=0.06)


def test_types_that_are_trusted_too_much_and_too_little_are_found():
    wanted = {"A": 0.8, "B": -0.6, "C": 0.0}
    fitted = calibration.fit_map(*random_entities(20000, wanted, 0.7))
    np.testing.assert_allclose(fitted.slope, 0.7, atol=0.04)
    np.testing.assert_allclose([fitted.offsets[name] for name in wanted], list(wanted.values()), atol=0.12)


@pytest.mark.parametrize("right", [True, False])
def test_few_entities_move_little(right):
    """However sure the tagger was, and however wrong."""
    fitted = calibration.fit_map(np.array([13.8, -13.8, 2.0]), [right] * 3, ["A", "A", "B"])
    found = np.array([fitted.slope - 1, fitted.offset, *fitted.offsets.values()])
    assert 0 < np.abs(found).max() < 1.2
    far = calibration.fit_map(np.full([3000], 13.8), [False] * 3000, ["A"] * 3000)
    assert 0 < sigmoid(far.slope * 13.8 + far.offsets["A"]) < 0.01


def test_scores_that_say_nothing_leave_the_slope(caplog):
    """Where entities with higher scores are right less often, the offsets alone are fitted."""
    logits, right, types = random_entities(4000, {"A": 0.0, "B": 1.0}, -1.0)
    fitted = calibration.fit_map(logits, right, types)
    assert fitted.slope == 1.0 and "so the slope is 1" in caplog.text
    of_a = np.array(types) == "A"
    for name, chosen in (("A", of_a), ("B", ~of_a)):  # as many are right as the scores say, but for the prior
        said = sigmoid(logits[chosen] + fitted.offsets[name]).mean()
        np.testing.assert_allclose(said, right[chosen].mean(), atol=0.02)


def test_the_map_is_fitted_at_the_temperature():
    """Between two of the candidates too; the log says all of it in one line."""
    place = calibration._logits_at(5.3, [[(sigmoid(3.0 / t), True)] for t in calibration.TEMPERATURES])
    np.testing.assert_allclose(place, 3.0 / (0.5 * 2 ** (5.3 / 4)), rtol=5e-3)


def test_the_log_says_what_was_fitted(caplog):
    caplog.set_level(logging.INFO)
    logits, right, _ = random_entities(3000, {"A": 0.0})
    kinds = ["B-LOC" if i % 3 else "B-PER" for i in range(3000)]
    sentences = [Sentence(["w"], [kind if is_right else "O"], 1) for kind, is_right in zip(kinds, right)]
    tagged = [each._replace(tags=[[kind] for kind in kinds]) for each in tagged_at(logits, calibration.TEMPERATURES)]
    found = calibration.fit(sentences, tagged, "BIO")
    assert list(found.offsets) == ["LOC", "PER"]
    said = r"the 3000 entities found in the dev set: temperature [\d.]+, slope [\d.]+, offsets LOC [-+]\S+, PER [-+]"
    assert re.search(said, caplog.text)


def test_a_run_has_enough_summaries():
    for most, last_step in ((500, 10), (500, 49), (500, 99), (500, 1000), (500, 30000), (7, 100000)):
        steps = loop.summary_steps(most, last_step)
        assert 1 <= steps <= most and last_step // steps >= min(last_step, loop.LEAST_SUMMARIES)
    assert loop.summary_steps(500, 10**6) == 500


def test_examples():
    assert doctest.testmod(calibration).failed == 0
