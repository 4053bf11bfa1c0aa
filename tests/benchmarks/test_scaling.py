"""The arithmetic of benchmarks/scaling.py, against steps whose parts are known."""

import pytest

from benchmarks.scaling import expected_rate, ring

BATCH, COMPUTE, BYTE = 16, 0.5, 0.2  # examples a worker, its seconds a step, seconds of one time all gradients


def rate(workers):
    """Examples a second where cores and links are shared: both take the sum over the workers."""
    return workers * BATCH / (workers * COMPUTE + workers * ring(workers) * BYTE)


@pytest.mark.parametrize("few, many", [(2, 4), (2, 3), (3, 8)])
def test_the_formula_finds_a_rate_that_follows_it(few, many):
    measured = [(1, rate(1)), (few, rate(few))]
    assert expected_rate(measured, many, BATCH) == pytest.approx(rate(many))


@pytest.mark.parametrize("measured", [[], [(1, 30.0)], [(2, 30.0), (4, 25.0)], [(1, 30.0), (1, 31.0)]])
def test_too_few_measurements_give_no_expectation(measured):
    assert expected_rate(measured, 4, BATCH) is None


@pytest.mark.parametrize("members, times", [(1, 0.0), (2, 1.0), (4, 1.5)])
def test_what_goes_through_a_link_of_a_ring(members, times):
    assert ring(members) == times
