"""How far probabilities can be trusted: bins against numpy's, and what counts as right."""

import doctest

import numpy as np

from train.data.conll import Sentence
from train.report import calibration


def test_words_are_counted_by_the_probability_of_their_tag():
    rng = np.random.RandomState(0)
    scores = np.round(rng.rand(300), 2).tolist() + [0.0, 0.5, 0.99, 1.0, None]
    gold, predicted = ([["O", "B-A", "."][i] for i in rng.randint(0, 3, len(scores))] for _ in range(2))
    sentence = Sentence(["w"] * len(scores), gold, 1)
    outside, entity = calibration.word_bins([sentence], [predicted], [scores])
    for is_entity, bins in enumerate((outside, entity)):
        rows = [
            (score, one == other) for score, one, other in zip(scores, gold, predicted)
            if score is not None and (other == "B-A") == is_entity
        ]  # fmt: skip
        edges = np.array(calibration.WORD_EDGES)
        expected, _ = np.histogram([score for score, _ in rows], edges)  # numpy's last bin has both ends too
        right, _ = np.histogram([score for score, same in rows if same], edges)
        assert [b.count for b in bins] == expected.tolist() and [b.right for b in bins] == right.tolist()
        np.testing.assert_allclose(sum(b.score for b in bins), sum(score for score, _ in rows))
        assert (*[b.low for b in bins], 1.0) == calibration.WORD_EDGES


def test_expected_calibration_error():
    """Against numpy's histogram, whose last bin has both ends too."""
    rng = np.random.RandomState(0)
    found = list(zip(np.round(rng.rand(500), 2).tolist() + [0.0, 1.0], (rng.rand(502) < 0.6).tolist()))
    edges = np.arange(calibration.NUM_BINS + 1) / calibration.NUM_BINS
    scores, right = map(np.array, zip(*found))
    sums = [np.histogram(scores, edges, weights=weights)[0] for weights in (None, scores, right.astype(float))]
    assert [each.count for each in calibration.bins(found)] == sums[0].tolist()
    expected = np.abs(sums[1] - sums[2]).sum() / len(found)
    np.testing.assert_allclose(calibration.expected_calibration_error(found), expected)
    assert calibration.expected_calibration_error([]) == 0.0


def test_an_entity_is_right_if_conlleval_counts_it():
    sentence = Sentence(["w"] * 5, ["B-A", "I-A", "O", "B-B", "O"], 1)
    tags, scores = ["B-A", "I-A", "O", "B-A", "B-B"], [0.8, 0.7, 0.5, 0.6, None]
    assert calibration.outcomes([sentence], [tags], [scores]) == [(0.7, True), (0.6, False), (1.0, False)]


def test_examples():
    assert doctest.testmod(calibration).failed == 0
