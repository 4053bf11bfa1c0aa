"""The notebook: each of its cells runs, here on less data, and what it shows was made without an error."""

import json
import os

import pytest

from tests.paths import REPOSITORY
from tests.small_task import succeed_here
from train.sweeping import runs

pytestmark = pytest.mark.one_tensorflow

NOTEBOOK = "tune_model.ipynb"
SIZES = {"train": 60, "dev": 10, "test": 10}


def cells():
    with open(os.path.join(REPOSITORY, NOTEBOOK), encoding="utf-8") as reader:
        notebook = json.load(reader)
    assert notebook["nbformat"] == 4
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


class Here:
    """What the sweep uses of subprocess.Popen, for a run in this process, which has TensorFlow loaded."""

    returncode = 0

    def __init__(self, run, what):
        succeed_here(*run.flags, *what)

    def poll(self):
        return 0


def test_every_cell_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(runs, "_start", Here)
    monkeypatch.setattr(runs, "POLL", 0.0)
    first, *others = ("".join(cell["source"]) for cell in cells())
    given = {"OUTPUT": str(tmp_path), "SENTENCES": SIZES, "EPOCHS": 1, "SWEEP": ["-head", "crf"]}
    names = {}
    exec(compile(first, NOTEBOOK, "exec"), names)
    assert set(given) < set(names)
    names.update(given)
    for number, source in enumerate(others, 2):
        exec(compile(source, f"{NOTEBOOK}, code cell {number}", "exec"), names)
    names["session"].close()
    printed = capsys.readouterr().out
    for shown in (
        "tagging scheme: BIO",
        "99 % have at most",
        "logits",
        "transitions",
        "Viterbi",
        "FB1:",
        "report.html",
    ):
        assert shown in printed, shown
    assert names["compared"][0].scores
    assert names["Figure"](names["page"].scores_chart(names["scored"]))._repr_svg_().startswith("<svg")


def test_what_it_shows_was_made_in_order_and_without_an_error():
    made = [cell for cell in cells() if cell["outputs"]]
    if made:  # or all are cleared
        assert [cell["execution_count"] for cell in cells()] == list(range(1, len(cells()) + 1))
    outputs = [output for cell in made for output in cell["outputs"]]
    assert "error" not in [output["output_type"] for output in outputs]
    text = json.dumps(outputs)
    assert not [word for word in ("Traceback", "/home/", "/root/", "/tmp/", "/work/") if word in text]
