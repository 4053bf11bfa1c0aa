"""The line on a run whose dev F1 stayed 0."""

import pytest

from train.finetuning.advice import what_helps

GIVEN = {
    "learning_rate": 5e-5, "head_learning_rate": 1e-2, "init_checkpoint": "bert.ckpt", "batch_size": 32,
    "freeze_layers": None,
}  # fmt: skip


def evaluations(*f1, every=1000):
    return [{"step": every * i, "f1": value} for i, value in enumerate(f1, 1)]


@pytest.mark.parametrize(
    "given,every,helps",
    [
        ({"learning_rate": 1e-5, "head_learning_rate": None}, 1000, "-head_learning_rate 0.001, as the head has 1e-05"),
        ({"learning_rate": 0.1}, 1000, "a smaller -learning_rate, as 5e-5, than 0.1"),
        ({"init_checkpoint": None}, 1000, "trained weights, by -bert_dir or -init_checkpoint"),
        ({}, 20, "more than 40 steps, by -num_train_epochs or a smaller -batch_size than 32"),
        ({"batch_size": 4}, 20, "more than 40 steps, by -num_train_epochs"),
        ({"freeze_layers": 2}, 1000, "no -freeze_layers"),
        ({}, 1000, "more epochs; another -learning_rate and -head_learning_rate"),
    ],
)
def test_it_fits_what_is_given(given, every, helps):
    line = what_helps(evaluations(0.0, 0.0, every=every), dict(GIVEN, **given))
    assert line == f"dev F1 stayed 0 in all 2 evaluations; what usually helps: {helps}"


def test_there_is_none_where_an_entity_was_found():
    assert what_helps(evaluations(0.0, 0.1, 0.0), GIVEN) is None and what_helps([], GIVEN) is None
