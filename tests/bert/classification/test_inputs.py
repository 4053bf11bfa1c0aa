"""The task that a classifier was trained for, read back from the file beside it."""

import json

import pytest

from bert.classification import inputs, tasks
from bert.system.errors import UserError

pytestmark = pytest.mark.one_tensorflow


@pytest.mark.parametrize("pair", [True, False])
def test_there_and_back(pair, tmp_path):
    task = tasks.tsv_task(["no", "yes"], pair, False)
    inputs.write_task(str(tmp_path), task)
    assert inputs.read_task(str(tmp_path / inputs.TASK_FILE), None, False) == task


@pytest.mark.parametrize(
    "wrong",
    [
        {"labels": None}, {"labels": []}, {"labels": ["a"]}, {"labels": ["a", "a"]}, {"labels": ["a", 1]},
        {"labels": "ab"}, {"labels": {"a": 1, "b": 2}}, {"pair": 1}, {"pair": None}, {"pair": "true"},
    ],
)  # fmt: skip
def test_a_task_that_no_run_wrote(wrong, tmp_path):
    path = tmp_path / inputs.TASK_FILE
    path.write_text(json.dumps(dict({"task_name": "tsv", "labels": ["a", "b"], "pair": False}, **wrong)))
    with pytest.raises(UserError, match="expected two or more labels, and pair true or false"):
        inputs.read_task(str(path), None, False)
    for other in ([], {}, {"task_name": "tsv"}, 5):
        path.write_text(json.dumps(other))
        with pytest.raises(UserError, match="expected a JSON object with task_name, labels and pair"):
            inputs.read_task(str(path), None, False)
