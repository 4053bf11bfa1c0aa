"""The faults that tests/plant_faults.py plants can still be planted: each is a place in today's code."""

import os

import pytest

from tests import plant_faults

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.mark.parametrize("fault", plant_faults.FAULTS, ids=lambda fault: fault.name)
def test_a_fault_has_one_place(fault):
    with open(os.path.join(TREE, fault.file), encoding="utf-8") as reader:
        assert reader.read().count(fault.old) == 1
    assert fault.new != fault.old and os.path.exists(os.path.join(TREE, fault.test.split("::")[0]))
