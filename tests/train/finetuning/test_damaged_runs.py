"""Checkpoints and states that are damaged or lost, and what the next start makes of them."""

import glob
import os
import shutil

import pytest
import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint
from bert.system.errors import UserError
from bert.training import distribution
from tests.train.finetuning.faults import DAMAGES, assert_as, break_links, contents, cut, read, step_of, train
from train import run_dir
from train.finetuning import checkpoints


def test_an_evaluator_reads_of_a_lost_best_checkpoint(short_run, stopped, monkeypatch):
    """What run.json says of it is mended before the other tasks go on."""
    shutil.rmtree(os.path.join(stopped, "best"))
    for path in glob.glob(os.path.join(stopped, "model.ckpt-[48].*")):
        os.remove(path)
    found = []

    def release(self, output_dir, trains=True):
        found.append(run_dir.read_state(output_dir)["best"])
        raise UserError("far enough")

    monkeypatch.setattr(distribution.Distribution, "release_others", release)
    with pytest.raises(UserError, match="far enough"):
        train(short_run, stopped)
    assert found == [None]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_gives_way_to_the_newest_whole_one(damage, stopped, short_run, warnings):
    newest, before = (os.path.join(stopped, f"model.ckpt-{step}") for step in (10, 9))
    DAMAGES[damage](newest)
    assert checkpoints.checkpoint_to_resume_from(stopped) == before
    assert len(warnings) == 1 and warnings[0].startswith(f"{newest}: ")
    assert warnings[0].endswith(f"; goes on from {before}, the newest that is whole")
    assert tf.train.latest_checkpoint(stopped) == before  # TensorFlow sees it so too
    assert checkpoints.checkpoint_to_resume_from(stopped) == before and len(warnings) == 1


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'model_checkpoint_path: "model.ckpt', None])
def test_a_damaged_list_of_checkpoints(content, stopped, warnings):
    path = os.path.join(stopped, "checkpoint")
    os.remove(path)
    if content is not None:
        with open(path, "wb") as writer:
            writer.write(content)
    newest = os.path.join(stopped, "model.ckpt-10")
    assert checkpoint.latest(stopped) == newest
    assert checkpoints.checkpoint_to_resume_from(stopped) == newest
    assert tf.train.latest_checkpoint(stopped) == newest and not warnings


@pytest.mark.one_tensorflow
def test_falling_back_behind_evaluations(short_run, whole, stopped, warnings):
    """The evaluations behind the checkpoint that is left are made again, none twice; the best so far stays."""
    for step in (8, 9, 10):
        DAMAGES["not there"](os.path.join(stopped, f"model.ckpt-{step}"))
    state = run_dir.read_state(stopped)
    assert [scores["step"] for scores in state["evaluations"]] == [4, 8]
    train(short_run, stopped)
    (line,) = warnings
    assert "model.ckpt-10: no checkpoint of that name" in line and line.endswith("-6, the newest that is whole")
    assert_as(whole, stopped, short_run)


def test_the_two_newest_checkpoints_and_the_best_are_kept(whole):
    kept = glob.glob(os.path.join(whole, "model.ckpt-*.index"))
    assert sorted(checkpoint.step_of(path[: -len(".index")]) for path in kept) == [9, 12]
    assert len(glob.glob(os.path.join(whole, "best", "*.index"))) == 1


def test_every_checkpoint_has_the_graph(whole):
    """The first one's file is written again for all; a session checks that names are those of the weights."""
    contents = {read(path) for path in glob.glob(os.path.join(whole, "model.ckpt-*.meta"))}
    assert len(glob.glob(os.path.join(whole, "model.ckpt-*.meta"))) == 2 and len(contents) == 1
    with tf.Graph().as_default(), tf.Session() as session:
        saver = tf.train.import_meta_graph(checkpoint.latest(whole) + ".meta")
        saver.restore(session, checkpoint.latest(whole))
        assert session.run(tf.train.get_global_step()) == step_of(whole)


def test_only_the_best_checkpoint_is_left(stopped, warnings):
    break_links(stopped)
    best = checkpoint.latest(os.path.join(stopped, "best"))
    for file in glob.glob(os.path.join(stopped, "model.ckpt-*.index")):
        cut(file)
    taken = checkpoints.checkpoint_to_resume_from(stopped)
    assert taken == os.path.join(stopped, os.path.basename(best)) and len(warnings) == 1
    checkpoint.check_whole(taken)
    checkpoint.check_whole(best)
    cut(best + ".index")
    cut(taken + ".index")
    with pytest.raises(UserError, match=r"model\.ckpt-\d+: .*is whole; to start afresh remove"):
        checkpoints.checkpoint_to_resume_from(stopped)


@pytest.mark.one_tensorflow
def test_a_best_checkpoint_that_is_lost(short_run, stopped, warnings):
    """In training it is taken again from beside it, else the best of what follows takes its place."""
    state = run_dir.read_state(stopped)
    best = state["best"]
    beside = os.path.join(stopped, f"model.ckpt-{best['step']}")
    break_links(stopped)
    cut(checkpoint.latest(os.path.join(stopped, "best")) + ".data-00000-of-00001")
    checkpoints.match_state(stopped, state)
    assert state["best"] == best and not warnings
    checkpoint.check_whole(checkpoint.latest(os.path.join(stopped, "best")))
    cut(beside + ".data-00000-of-00001")  # the same file by another name
    train(short_run, stopped)
    (line,) = warnings
    assert f"of step {best['step']} with F1" in line and "is lost" in line
    state = run_dir.read_state(stopped)
    assert state["best"] == state["evaluations"][-1]  # the only one since


def test_prediction_never_takes_another_checkpoint_unasked(short_run, stopped):
    break_links(stopped)
    best = checkpoint.latest(os.path.join(stopped, "best"))
    cut(best + ".data-00000-of-00001")
    before = contents(stopped)
    with pytest.raises(UserError, match=r"best/.*; .*/model\.ckpt-10 is whole and used when .*/best is removed"):
        train(short_run, stopped, "-do_train=false")
    assert contents(stopped) == before
    shutil.rmtree(os.path.join(stopped, "best"))
    assert set(train(short_run, stopped, "-do_train=false")) == {"dev", "test"}


@pytest.mark.parametrize("content", ["", '{"model": ', "[]", '{"model": {}}'])
def test_a_damaged_state(content, short_run, stopped):
    with open(os.path.join(stopped, "run.json"), "w") as writer:
        writer.write(content)
    before = contents(stopped)
    for more in ([], ["-do_train=false"], ["-clean"]):
        with pytest.raises(UserError, match=r"run\.json: damaged .*expected the state of a run"):
            train(short_run, stopped, *more)
    assert contents(stopped) == before
