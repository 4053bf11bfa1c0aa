"""Calibrations in files, and by the labels of a tagger."""

import json

import pytest

from bert.system.errors import UserError
from train import run_dir
from train.tagger.calibration import UNCALIBRATED, Calibration

pytestmark = pytest.mark.one_tensorflow  # Python alone

FULL = Calibration(1.25, 0.8, 0.1, {"PER": 0.5, "LOC": -0.25})


@pytest.mark.parametrize("calibration", [UNCALIBRATED, Calibration(0.7), Calibration(slope=1.1), FULL])
def test_it_comes_back_from_json(calibration):
    values = json.loads(json.dumps(calibration.to_json()))
    assert Calibration.from_json(dict(values, other=1), "x") == calibration


def test_only_what_was_calibrated_is_written():
    assert UNCALIBRATED.to_json() == {}
    assert Calibration(0.7).to_json() == {"temperature": 0.7}
    assert list(FULL.to_json()) == ["temperature", "entity_slope", "entity_offset", "entity_offsets"]


@pytest.mark.parametrize("name,wrong,expected", [
    ("temperature", [0, -1.0, 1e3, "2", True, None, float("nan")], "a number above 0"),
    ("entity_slope", [0, -1.0, 1e3, "2", True, None, float("nan")], "a number above 0"),
    ("entity_offset", [1e3, "2", False, None, float("nan")], "a number"),
    ("entity_offsets", [1.0, None, [0.5], {"A": "x"}, {"A": None}, {"A": float("inf")}], "a number for each type"),
])  # fmt: skip
def test_a_value_that_no_run_writes(name, wrong, expected):
    for value in wrong:
        with pytest.raises(UserError, match=f"^x: {name} .*; expected {expected}$"):
            Calibration.from_json(dict(FULL.to_json(), **{name: value}), "x")


def test_a_run_keeps_it_for_one_checkpoint(tmp_path):
    """In run.json; that of a run of an earlier version has a temperature alone, or nothing."""
    state = run_dir.new_state(str(tmp_path), {}, {})
    run_dir.write_state(str(tmp_path), state)

    def kept(prefix):
        return Calibration.of_run(str(tmp_path), run_dir.read_state(str(tmp_path)), str(tmp_path / prefix))

    assert kept("model.ckpt-3") == UNCALIBRATED
    for calibration in (FULL, Calibration(slope=0.9), Calibration(1.5)):
        run_dir.set_calibration(str(tmp_path), str(tmp_path / "best" / "model.ckpt-3"), calibration.to_json())
        assert kept("model.ckpt-3") == calibration and kept("model.ckpt-4") == UNCALIBRATED
    state["calibration"] = {"checkpoint": "model.ckpt-3", "temperature": 1.5}
    assert run_dir.read_state(str(tmp_path)) == state  # as earlier versions wrote it
    run_dir.set_calibration(str(tmp_path), "model.ckpt-3", {})
    assert "calibration" not in run_dir.read_state(str(tmp_path))
    state["calibration"]["entity_slope"] = -1
    run_dir.write_state(str(tmp_path), state)
    with pytest.raises(UserError, match="run.json: entity_slope -1; expected a number above 0"):
        kept("model.ckpt-3")


@pytest.mark.parametrize("scheme,labels", [
    ("BIO", ["O", "B-PER", "I-PER", "B-LOC", "I-ORG", "X", "[CLS]", "[SEP]"]),
    ("BILOU", ["O", "U-PER", "L-PER", "B-LOC", "I-ORG", "X", "[CLS]", "[SEP]"]),
    ("IO", ["O", "PER", "I-PER", "LOC", "ORG", "X", "[CLS]", "[SEP]"]),
    (None, ["O", "S-PER", "E-PER", "B-LOC", "B-ORG", "X", "[CLS]", "[SEP]"]),
])  # fmt: skip
def test_a_label_has_the_offset_of_its_type(scheme, labels):
    """A type that was not seen in dev has the common one."""
    by_label = FULL.of_labels(labels, scheme)
    assert by_label[:2] == (1.25, 0.8)
    assert by_label.offsets == (0.1, 0.1, 0.5, 0.5, -0.25, 0.1, 0.1, 0.1, 0.1)
    assert Calibration(1.5).of_labels(labels, scheme) == (1.5, 1.0, (0.0,) * 9)
