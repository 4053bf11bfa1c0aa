"""What a full disk leaves: an error that names the file, nothing half-written, and a run that can go on."""

import contextlib
import glob
import os
import re
import shutil

import pytest
import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint
from bert.system.errors import UserError
from bert.training import stopping
from tests.train.finetuning.faults import (
    assert_as,
    assert_nothing_half_written,
    contents,
    graphs_in_events,
    largest_file,
    train,
)
from train.finetuning import checkpoints, loop


@pytest.mark.one_tensorflow
def test_a_disk_too_full_for_the_graph_keeps_the_checkpoint(short_run, whole, tmp_path, monkeypatch):
    """And the next start gets on with less: a graph at each would use up whatever has been freed in between."""
    output, full, write = str(tmp_path / "output"), contextlib.ExitStack(), tf.summary.FileWriter.add_graph

    def add_graph(*args):
        full.enter_context(largest_file(100000))
        write(*args)

    monkeypatch.setattr(tf.summary.FileWriter, "add_graph", add_graph)
    with full, pytest.raises(UserError) as caught:
        train(short_run, output)
    monkeypatch.undo()
    assert str(caught.value).endswith("cannot be written: File too large")
    assert checkpoint.latest(output)
    train(short_run, output)
    assert graphs_in_events(output) == 0
    assert_as(whole, output, short_run)


@pytest.mark.parametrize(
    "file", ["model.ckpt-12", pytest.param(r"best/model.ckpt-4\.\S+", marks=pytest.mark.one_tensorflow)]
)
def test_a_full_disk_when_a_checkpoint_is_saved(file, short_run, whole, stopped, monkeypatch):
    size = os.path.getsize(os.path.join(stopped, "model.ckpt-10.data-00000-of-00001"))
    full = contextlib.ExitStack()
    monkeypatch.setattr(loop, "KEPT_CHECKPOINTS", 5)  # as the run before it
    if file.startswith("best"):
        shutil.rmtree(stopped)  # the first evaluation is the best so far, whatever it finds
        # Where there are no links, best/ is a copy, and needs the space for it.
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1, "Operation not permitted")))
        keep = checkpoints.keep_as_best
        monkeypatch.setattr(
            checkpoints, "keep_as_best", lambda *args: (full.enter_context(largest_file(size - 1)), keep(*args))
        )
    else:
        save = stopping.CheckpointSaver._save

        def save_on_full_disk(self, session, step_of_checkpoint):
            if step_of_checkpoint == 12:
                full.enter_context(largest_file(size - 1))
            return save(self, session, step_of_checkpoint)

        monkeypatch.setattr(stopping.CheckpointSaver, "_save", save_on_full_disk)
    before = contents(stopped)
    with full, pytest.raises(UserError) as caught:
        train(short_run, stopped)
    monkeypatch.undo()
    assert re.match(rf"{re.escape(stopped)}/{file}: cannot be written: File too large$", str(caught.value))
    assert_nothing_half_written(stopped)
    found = contents(stopped)
    for path, content in before.items():
        if not path.endswith((".meta", "run.json", "checkpoint")):  # written anew
            assert found[path] == content, path
    train(short_run, stopped)
    assert_as(whole, stopped, short_run)


@pytest.mark.one_tensorflow
def test_a_full_disk_when_records_are_written(short_run, whole, tmp_path):
    output = str(tmp_path / "output")
    with largest_file(3000), pytest.raises(UserError) as caught:
        train(short_run, output)
    assert str(caught.value) == f"{output}/train.tf_record: cannot be written: File too large"
    assert_nothing_half_written(output)
    assert not glob.glob(os.path.join(output, "*.tf_record"))
    train(short_run, output)
    assert_as(whole, output, short_run)


@pytest.fixture
def exported(whole, tmp_path):
    """(a copy of the whole run's directory with something in export/, its contents)."""
    output = tmp_path / "output"
    shutil.copytree(whole, str(output))
    (output / "export" / "1700000000").mkdir(parents=True)
    (output / "export" / "1700000000" / "saved_model.pb").write_bytes(b"an older export")
    return str(output), contents(str(output))


def test_a_full_disk_when_the_export_is_written(short_run, exported):
    output, before = exported
    only_export = ["-do_train=false", "-do_eval=false", "-do_predict=false", "-do_export"]
    with largest_file(20000), pytest.raises(UserError) as caught:
        train(short_run, output, *only_export)
    assert str(caught.value).startswith(os.path.join(output, "export"))
    assert str(caught.value).endswith("cannot be written: File too large")
    assert {path: content for path, content in contents(output).items() if path in before} == before
    assert os.listdir(os.path.join(output, "export")) == ["1700000000"]
    assert_nothing_half_written(output)


@pytest.mark.one_tensorflow
def test_a_full_disk_when_reports_are_written(short_run, whole, exported):
    output, before = exported
    full = largest_file(os.path.getsize(os.path.join(output, "label_test.txt")) - 1)
    with full, pytest.raises(UserError) as caught:
        train(short_run, output, "-do_train=false")
    assert str(caught.value).endswith(".txt: cannot be written: File too large")
    assert {path: content for path, content in contents(output).items() if path in before} == before
    assert_nothing_half_written(output)
    train(short_run, output, "-do_export")
    assert len(os.listdir(os.path.join(output, "export"))) == 2
    assert_as(whole, output, short_run)
