"""Which steps are evaluated, how many there are, and when training stops early."""

import pytest

from train.finetuning.schedule import Schedule, make_schedule

SCHEDULE = Schedule(first_step=0, last_step=10, warmup_steps=1, eval_every=4, early_stop=2)


def test_due_are_the_multiples_and_the_last_step():
    assert [step for step in range(13) if SCHEDULE.is_due(step)] == [4, 8, 10, 12]


@pytest.mark.parametrize(
    "evaluated,step,due", [(0, 3, False), (0, 5, True), (4, 7, False), (4, 8, True), (8, 8, False)]
)
def test_a_late_checkpoint_is_scored_for_a_due_step_before_it(evaluated, step, due):
    assert SCHEDULE.is_due_since(evaluated, step) == due


def state(*f1):
    evaluations = [{"step": 4 * i, "f1": value} for i, value in enumerate(f1, 1)]
    return {"evaluations": evaluations, "best": max(evaluations, key=lambda scores: scores["f1"], default=None)}


@pytest.mark.parametrize(
    "f1,stops", [((), False), ((0.5,), False), ((0.5, 0.4), False), ((0.5, 0.4, 0.5), True), ((0.1, 0.1, 0.2), False)]
)
def test_training_stops_after_evaluations_without_a_better_f1(f1, stops):
    assert SCHEDULE.should_stop(state(*f1)) == stops
    assert not SCHEDULE._replace(early_stop=None).should_stop(state(*f1))


def test_it_is_complete_at_its_last_step_or_when_it_stops():
    assert not SCHEDULE.is_complete(state(0.5)) and SCHEDULE.is_complete(state(0.5, 0.4, 0.4))
    assert SCHEDULE._replace(first_step=10).is_complete(state(0.5))


def test_made_from_the_number_of_windows():
    made = make_schedule(100, 5, batch_size=8, num_train_epochs=2, warmup_proportion=0.1, eval_every=None, early_stop=3)
    assert made == Schedule(first_step=5, last_step=25, warmup_steps=2, eval_every=12, early_stop=3)
    assert made.steps_left == 20
    tiny = make_schedule(
        1, 0, batch_size=64, num_train_epochs=1, warmup_proportion=0.1, eval_every=None, early_stop=None
    )
    assert (tiny.last_step, tiny.eval_every) == (1, 1)
    assert make_schedule(100, 0, 8, 2, 0.1, 7, None).eval_every == 7
