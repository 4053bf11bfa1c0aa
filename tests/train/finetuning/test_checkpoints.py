"""What best/ holds."""

import numpy as np
import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint
from train import run_dir
from train.finetuning import checkpoints

SCORES = dict.fromkeys(run_dir.SCORES, 0.5)


def test_the_best_checkpoint_replaces_the_one_before(tmp_path):
    for step in (5, 10):
        for end in (".index", ".data-00000-of-00001", ".meta"):
            (tmp_path / f"model.ckpt-{step}{end}").write_text(f"{step}{end}")
        (tmp_path / "best").mkdir(exist_ok=True)
        (tmp_path / "best" / "mine").write_text("mine")
        checkpoints.keep_as_best(str(tmp_path), str(tmp_path / f"model.ckpt-{step}"))
        kept = {path.name: path.read_text() for path in (tmp_path / "best").iterdir()}
        assert set(kept) == {f"model.ckpt-{step}{end}" for end in (".index", ".data-00000-of-00001", ".meta")} | {
            "checkpoint", "mine"
        }  # fmt: skip
        assert kept[f"model.ckpt-{step}.meta"] == f"{step}.meta" and f"model.ckpt-{step}" in kept["checkpoint"]


def test_a_kill_amid_the_replacement_of_the_best_checkpoint(tmp_path):
    """The next start removes the one before."""
    state = dict(run_dir.new_state(str(tmp_path), {}, {}), best={"step": 8, "f1": 0.5})
    for step in (4, 8):
        checkpoint.write(str(tmp_path / f"model.ckpt-{step}"), {"global_step": np.int64(step)})
    checkpoints.keep_as_best(str(tmp_path), str(tmp_path / "model.ckpt-4"))
    checkpoints._add_checkpoint(str(tmp_path / "best"), str(tmp_path / "model.ckpt-8"))
    checkpoints.match_state(str(tmp_path), state)
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == [
        "checkpoint", "model.ckpt-8.data-00000-of-00001", "model.ckpt-8.index"
    ]  # fmt: skip


def test_the_best_checkpoint_does_not_change_when_its_step_is_saved_again(graph, tmp_path):
    """TensorFlow writes into an index that is there already."""
    variable = tf.get_variable("v", initializer=tf.zeros([1000]))
    prefix = str(tmp_path / "model.ckpt-5")
    with tf.Session() as session:
        session.run(variable.initializer)
        saver = tf.train.Saver(sharded=True)
        saver.save(session, str(tmp_path / "model.ckpt"), 5)
        checkpoints.keep_as_best(str(tmp_path), prefix)
        variable.load(np.ones(1000), session)
        saver.save(session, str(tmp_path / "model.ckpt"), 5)
    best = checkpoint.latest(str(tmp_path / "best"))
    checkpoint.check_whole(best)
    assert not tf.train.load_variable(best, "v").any() and tf.train.load_variable(prefix, "v").all()


def test_what_is_forgotten_from_a_step_on(tmp_path):
    """The best checkpoint too; where it is from before, training goes on from it."""

    def forget(step):
        state = run_dir.new_state(str(tmp_path), {}, {})
        state["evaluations"] = [dict(SCORES, step=4, f1=0.5), dict(SCORES, step=8, f1=0.4)]
        state["best"] = state["evaluations"][0]
        for saved in (4, 8):
            checkpoint.write(str(tmp_path / f"model.ckpt-{saved}"), {"v": np.zeros(2, np.float32)})
        checkpoints.keep_as_best(str(tmp_path), str(tmp_path / "model.ckpt-4"))
        kept = checkpoints.forget_since(str(tmp_path), state, step)
        assert run_dir.read_state(str(tmp_path)) == state
        return kept, [scores["step"] for scores in state["evaluations"]], state["best"]

    assert forget(8) == (str(tmp_path / "model.ckpt-4"), [4], dict(SCORES, step=4, f1=0.5))
    assert forget(5)[0] == str(tmp_path / "model.ckpt-4")
    assert forget(4) == (None, [], None) and not list((tmp_path / "best").iterdir())
