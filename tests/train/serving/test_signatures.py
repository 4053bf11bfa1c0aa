"""Which export is the newest of a directory."""

import os

import pytest

from train.serving import signatures

pytestmark = pytest.mark.one_tensorflow  # Python alone


@pytest.mark.parametrize(
    "names, newest",
    [
        (["1", "10", "9"], "10"),
        (["007", "6"], "007"),
        (["1", "\u00b2", "\u0663", "temp-5", "x"], "1"),  # no numbers, or not as TF Serving writes them
        (["\u00b2"], None),
        ([], None),
    ],
)
def test_the_highest_number_is_the_newest(names, newest, tmp_path):
    for name in names:
        os.makedirs(str(tmp_path / name / signatures.ASSETS))
    assert signatures.newest(str(tmp_path)) == (newest and str(tmp_path / newest))
