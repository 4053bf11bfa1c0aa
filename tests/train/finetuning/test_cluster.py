"""The evaluator and who waits for it: which checkpoints are scored, and when nothing more is to come."""

import os
import threading
import time

import numpy as np
import pytest

from bert.runtime import checkpoint
from train import run_dir
from train.finetuning import checkpoints, cluster
from train.finetuning.schedule import Schedule


@pytest.fixture
def output(tmp_path):
    """The directory of a run that has come to no evaluation yet."""
    write_state(tmp_path, [])
    return tmp_path


def write_state(output, steps):
    scores = [dict(dict.fromkeys(run_dir.SCORES, 0.5), step=step) for step in steps]
    state = run_dir.new_state(str(output), {}, {})
    state.update(evaluations=scores, best=scores[0] if scores else None)
    run_dir.write_state(str(output), state)
    if scores and not os.path.isdir(str(output / "best")):
        save(output, scores[0]["step"])
        checkpoints.keep_as_best(str(output), str(output / f"model.ckpt-{scores[0]['step']}"))


def save(output, step):
    checkpoint.write(str(output / f"model.ckpt-{step}"), {"v": np.zeros(1000, np.float32)})


class Evaluation:
    """Notes the steps it is to score."""

    def __init__(self):
        self.steps = []

    def after_save(self, session, step):
        self.steps.append(step)


def schedule(first_step, last_step):
    """Every fourth step is evaluated, and the last one."""
    return Schedule(first_step, last_step, warmup_steps=0, eval_every=4, early_stop=None)


def test_what_is_not_whole_is_waited_for(output):
    save(output, 4)
    data = str(output / "model.ckpt-4.data-00000-of-00001")
    whole = open(data, "rb").read()
    os.truncate(data, 100)
    evaluation = Evaluation()
    evaluator = threading.Thread(
        target=cluster.run_evaluator, args=(str(output), evaluation, schedule(2, 4)), daemon=True
    )
    evaluator.start()
    time.sleep(0.5)
    assert evaluation.steps == [] and evaluator.is_alive()
    with open(data, "wb") as writer:
        writer.write(whole)
    evaluator.join(30)
    assert evaluation.steps == [4]


def test_what_a_killed_run_left_is_scored_if_it_is_whole(output):
    for step in (4, 8, 12):
        save(output, step)
    os.truncate(str(output / "model.ckpt-4.index"), 0)
    evaluation = Evaluation()
    cluster.run_evaluator(str(output), evaluation, schedule(12, 12))
    assert evaluation.steps == [8, 12]


@pytest.mark.parametrize("first_step,last_step", [(8, 8), (12, 9), (12, 3)])
def test_nobody_waits_for_what_will_not_come(first_step, last_step, output):
    write_state(output, [4, 8])
    save(output, 12)
    state = cluster.wait_for_evaluator(str(output), schedule(first_step, last_step))
    assert [scores["step"] for scores in state["evaluations"]] == [4, 8]


def test_the_last_evaluation_is_waited_for(output):
    write_state(output, [4])
    threading.Timer(0.5, write_state, args=(output, [4, 8])).start()
    state = cluster.wait_for_evaluator(str(output), schedule(4, 8))
    assert [scores["step"] for scores in state["evaluations"]] == [4, 8]
