"""The settings that a run was trained with: kept, compared, and refused where nothing is left to train with others."""

import json
import logging

import pytest

from bert.system.errors import UserError
from bert.training import changes

GIVEN = {"init_checkpoint": None, "learning_rate": 0.01, "num_train_epochs": 3.0, "train_data": "a", "bucket": True}


@pytest.fixture
def output(tmp_path):
    """A directory with a run of ten steps."""
    changes.go_on(str(tmp_path), GIVEN, 0, 10)
    return tmp_path


def kept(output):
    return json.loads((output / changes.FILE).read_text())


def test_the_same_settings_are_no_change(output, caplog):
    with caplog.at_level(logging.INFO, "bert"):
        changes.go_on(str(output), dict(GIVEN), 10, 10)
        changes.go_on(str(output), dict(GIVEN, of_a_later_version=1), 10, 10)
    assert [record.getMessage() for record in caplog.records] == [
        f"{output}: trained for 10 steps already, 10 are asked for"
    ] * 2
    assert kept(output) == GIVEN


@pytest.mark.parametrize(
    "other,text",
    [
        ({"learning_rate": 0.5}, "-learning_rate 0.5, not 0.01"),
        ({"num_train_epochs": 1.0, "bucket": False}, "-bucket false, not true, -num_train_epochs 1.0, not 3.0"),
        ({"train_data": "b"}, "other training data"),
        ({"init_checkpoint": "x"}, "-init_checkpoint x"),
    ],
)
def test_other_settings_without_a_step_left_are_refused(other, text, output):
    with pytest.raises(UserError) as caught:
        changes.go_on(str(output), dict(GIVEN, **other), 10, 10)
    assert str(caught.value) == (
        f"{output}: its run ended at step 10, and no step is left to train with {text}; "
        f"expected another -output_dir, or more steps (-num_train_epochs) to train on"
    )
    assert kept(output) == GIVEN


def test_other_settings_with_steps_left_are_said_and_kept(output, caplog):
    other = dict(GIVEN, learning_rate=0.5)
    with caplog.at_level(logging.INFO, "bert"):
        changes.go_on(str(output), other, 4, 10)
    assert caplog.messages == ["goes on with other settings than before: -learning_rate 0.5, not 0.01"]
    assert kept(output) == other


def test_a_run_of_an_older_version_goes_on_as_it_did(tmp_path):
    changes.go_on(str(tmp_path), GIVEN, 10, 10)
    assert not (tmp_path / changes.FILE).exists()
    changes.go_on(str(tmp_path), GIVEN, 10, 20)
    assert kept(tmp_path) == GIVEN


def test_settings_without_a_checkpoint_are_of_a_run_that_begins(output):
    other = dict(GIVEN, learning_rate=0.5)
    changes.go_on(str(output), other, 0, 10)
    assert kept(output) == other


def test_a_damaged_file_is_the_users_to_mend(output):
    for content in ("[1]", "{"):
        (output / changes.FILE).write_text(content)
        with pytest.raises(UserError, match=r"settings\.json: expected"):
            changes.go_on(str(output), GIVEN, 10, 10)
