"""Other settings than those of the run in -output_dir: which of them need another training."""

import pytest

from bert.system.errors import UserError
from train.finetuning import changes
from train.finetuning.schedule import Schedule

RECORDED = {
    "init_checkpoint": None, "batch_size": 8, "learning_rate": 0.01, "num_train_epochs": 3.0, "early_stop": None,
    "constrain": True, "seed": 42, "precision": "auto", "record_shards": 1, "bucket": True, "train_data": "a",
    "dev_data": "b",
}  # fmt: skip
FINISHED = {"finished": True, "training": RECORDED, "evaluations": [], "best": None}


@pytest.mark.parametrize(
    "given,texts",
    [
        ({}, []),
        ({"learning_rate": 0.1}, ["-learning_rate 0.1, not 0.01"]),
        ({"seed": 1, "bucket": False}, ["-bucket false, not true", "-seed 1, not 42"]),
        ({"early_stop": 2}, ["-early_stop 2, not none"]),
        ({"num_train_epochs": 2.0}, ["-num_train_epochs 2.0, not 3.0"]),
        ({"train_data": "c"}, ["other training data"]),
        ({"init_head": False}, ["-init_head false, not true"]),
        ({"init_checkpoint": "x"}, ["-init_checkpoint x"]),
        ({"constrain": False, "precision": "fp32", "record_shards": 4, "dev_data": "c"}, []),
        ({"of_a_later_version": 3}, []),
    ],
)
def test_what_needs_another_training(given, texts):
    assert changes.retrained(FINISHED, dict(RECORDED, **given)) == texts
    assert changes.retrained(dict(FINISHED, finished=False), dict(RECORDED, **given)) == []
    assert changes.retrained(None, dict(RECORDED, **given)) == []


def test_weights_that_were_moved_are_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.ckpt.index").write_text("")

    def texts(before, now):
        recorded = dict(RECORDED, init_checkpoint=before)
        return changes.retrained(dict(FINISHED, training=recorded), dict(RECORDED, init_checkpoint=now))

    assert texts("a.ckpt", "b.ckpt") == ["-init_checkpoint b.ckpt"]
    assert texts("a.ckpt", None) == ["-init_checkpoint none"]
    assert texts("a.ckpt", str(tmp_path / "a.ckpt")) == texts("gone/a.ckpt", "a.ckpt") == []


@pytest.mark.parametrize("first_step,early_stop,remedy", [(10, None, "more epochs"), (6, 1, "a greater -early_stop")])
def test_no_step_left_is_an_error(first_step, early_stop, remedy):
    evaluations = [{"step": 4, "f1": 0.5}, {"step": 6, "f1": 0.4}]
    state = {"evaluations": evaluations, "best": evaluations[0]}
    schedule = Schedule(first_step, 10, 1, 2, early_stop)
    given = dict(RECORDED, learning_rate=0.1)
    with pytest.raises(UserError, match=f"^out: its run ended at step {first_step}.*-clean.*-output_dir.*{remedy}"):
        changes.check_steps_left("out", FINISHED, given, schedule, state)
    changes.check_steps_left("out", FINISHED, given, schedule._replace(last_step=20, early_stop=None), state)
    changes.check_steps_left("out", FINISHED, RECORDED, schedule, state)
    changes.check_steps_left("out", None, given, schedule, state)
