"""Which steps are evaluated, how many there are, and when training stops early."""

import pytest

from train.finetuning.schedule import Schedule, best_of, is_better, make_schedule

SCHEDULE = Schedule(first_step=0, last_step=10, warmup_steps=1, eval_every=4, early_stop=2)


def test_due_are_the_multiples_and_the_last_step():
    assert [step for step in range(13) if SCHEDULE.is_due(step)] == [4, 8, 10, 12]


@pytest.mark.parametrize(
    "evaluated,step,due", [(0, 3, False), (0, 5, True), (4, 7, False), (4, 8, True), (8, 8, False)]
)
def test_a_late_checkpoint_is_scored_for_a_due_step_before_it(evaluated, step, due):
    assert SCHEDULE.is_due_since(evaluated, step) == due


def state(*f1, losses=None):
    losses = losses or [1.0] * len(f1)
    evaluations = [{"step": 4 * i, "f1": value, "loss": loss} for i, (value, loss) in enumerate(zip(f1, losses), 1)]
    return {"evaluations": evaluations, "best": best_of(evaluations)}


@pytest.mark.parametrize(
    "f1,stops",
    [
        ((), False), ((0.5,), False), ((0.5, 0.4), False), ((0.5, 0.4, 0.5), True), ((0.1, 0.1, 0.2), False),
        ((0.0, 0.0, 0.0, 0.0), False), ((0.0, 0.0, 0.0, 0.1), False), ((0.0, 0.0, 0.1, 0.0, 0.1), True),
    ],
)  # fmt: skip
def test_training_stops_after_evaluations_without_a_better_f1(f1, stops):
    assert SCHEDULE.should_stop(state(*f1)) == stops
    assert not SCHEDULE._replace(early_stop=None).should_stop(state(*f1))


def test_a_lower_loss_is_no_better_f1():
    """It makes a better checkpoint, and early stopping counts on."""
    scored = state(0.5, 0.5, 0.5, losses=[3.0, 2.0, 1.0])
    assert scored["best"]["step"] == 12 and SCHEDULE.should_stop(scored)


@pytest.mark.parametrize("losses,stops", [([3.0, 2.0, 1.0], False), ([1.0, 2.0, 1.0], True), ([2.0, 1.0, 2.0], False)])
def test_without_entities_the_loss_decides(losses, stops):
    assert SCHEDULE._replace(f1_can_rise=False).should_stop(state(0.0, 0.0, 0.0, losses=losses)) == stops


@pytest.mark.parametrize(
    "scores,best,better",
    [
        ((0.5, 9.0), None, True), ((0.5, 9.0), (0.4, 1.0), True), ((0.4, 1.0), (0.5, 9.0), False),
        ((0.5, 1.0), (0.5, 2.0), True), ((0.5, 2.0), (0.5, 2.0), False), ((0.5, 3.0), (0.5, 2.0), False),
        ((1.0, float("nan")), None, False), ((1.0, float("inf")), (0.0, 2.0), False),
        ((0.0, 2.0), (0.0, float("nan")), False), ((0.1, 2.0), (0.0, float("nan")), True),
    ],
)  # fmt: skip
def test_the_better_of_two_evaluations(scores, best, better):
    """(F1, loss). A run of an older version may have a loss that is no number as its best."""
    scores, best = (pair and dict(zip(("f1", "loss"), pair)) for pair in (scores, best))
    assert is_better(scores, best) == better


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
