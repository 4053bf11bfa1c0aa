"""Our metrics against scikit-learn's and scipy's."""

import math
import warnings

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from bert.classification import metrics


def pairs(values):
    """Two lists of one length."""
    return st.lists(st.tuples(values, values), min_size=2, max_size=40).map(lambda rows: list(zip(*rows)))


@given(pairs(st.integers(0, 1)))
def test_binary(both):
    assert metrics.accuracy(*both) == pytest.approx(sklearn.metrics.accuracy_score(*both))
    assert metrics.f1(*both) == pytest.approx(sklearn.metrics.f1_score(*both, zero_division=0))


@given(pairs(st.integers(0, 3)))
def test_matthews(both):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sklearn.metrics.matthews_corrcoef(*both)
    assert metrics.matthews(*both) == pytest.approx(expected, abs=1e-12)


# Few distinct values, so that ties are the rule.
@given(pairs(st.sampled_from([0.0, 0.2, 1.0, 2.5, 3.8, 5.0])))
def test_correlations(both):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = scipy.stats.pearsonr(*both)[0], scipy.stats.spearmanr(*both)[0]
    found = metrics.pearson(*both), metrics.spearman(*both)
    if len(set(both[0])) == 1 or len(set(both[1])) == 1:
        assert all(math.isnan(value) for value in found)
    else:
        assert found == pytest.approx(expected, abs=1e-12)


def test_float32_as_predicted():
    rng = np.random.RandomState(0)
    expected = rng.uniform(0, 5, 200)
    predicted = (expected + rng.normal(0, 1, 200)).astype(np.float32)
    assert metrics.pearson(expected, predicted) == pytest.approx(scipy.stats.pearsonr(expected, predicted)[0], abs=1e-7)
    spearman = scipy.stats.spearmanr(expected, predicted)[0]
    assert metrics.spearman(list(expected), predicted) == pytest.approx(spearman, abs=1e-12)


def test_by_hand():
    assert metrics.accuracy([0, 1, 1, 1], [0, 1, 0, 1]) == 0.75
    assert metrics.f1([0, 1, 1, 1], [0, 1, 0, 1]) == pytest.approx(2 * 1.0 * (2 / 3) / (1 + 2 / 3))
    assert metrics.spearman([1, 2, 3], [10, 100, 1000]) == pytest.approx(1.0)
    assert metrics.pearson([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    assert metrics.matthews([0, 0, 0], [0, 1, 0]) == 0.0
