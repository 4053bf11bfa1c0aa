"""The temperature that is fitted on the dev set; how often summaries are written."""

import doctest

import numpy as np
import pytest

from train.data.conll import Sentence
from train.finetuning import calibration, evaluation, loop

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
    np.testing.assert_allclose(found, expected, rtol=0.06)


def test_few_entities_that_are_all_right_make_nothing_certain():
    logits = np.full([20], 8.0)
    sentences = [Sentence(["w"], ["B-A"], i + 1) for i in range(20)]
    temperature = calibration.fit(sentences, tagged_at(logits, calibration.TEMPERATURES), "BIO")
    assert 0.9 < 1 / (1 + np.exp(-8.0 / temperature)) < 0.97  # 21 of 22


def test_no_entity_was_found(caplog):
    tagged = [evaluation.Tagged([["O"]], 0.0, [[0.9]], [[0.9]]) for _ in calibration.TEMPERATURES]
    assert calibration.fit([Sentence(["w"], ["B-A"], 1)], tagged, "BIO") == 1.0
    assert "no entity was found in the dev set" in caplog.text


def test_a_run_has_enough_summaries():
    for most, last_step in ((500, 10), (500, 49), (500, 99), (500, 1000), (500, 30000), (7, 100000)):
        steps = loop.summary_steps(most, last_step)
        assert 1 <= steps <= most and last_step // steps >= min(last_step, loop.LEAST_SUMMARIES)
    assert loop.summary_steps(500, 10**6) == 500


def test_examples():
    assert doctest.testmod(calibration).failed == 0
