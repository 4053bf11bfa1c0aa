"""Losses and weights that are not numbers end training with one line; the same command goes on from before them."""

import json
import math
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.encoder import kernels
from bert.optimization import StepOptions
from bert.runtime import checkpoint
from bert.runtime.estimator import ModeKeys
from bert.system.errors import UserError
from bert.training import distribution, divergence, loop, strategies
from tests import small_task
from train import bert_lstm_ner, run_dir
from train.train_helper import get_args_parser

STEPS = 100


def fitted(output, loss_of, steps=STEPS, learning_rate=1e-3, save_every=4, options=None, replicas=1):
    """Trains a table of two weights, of which the loss reads the first one.

    Args:
      output: directory.
      loss_of: function from that weight and the global step, tensors, to the loss.
    """

    def model_fn(features, labels, mode, params):
        assert mode == ModeKeys.TRAIN
        table = tf.get_variable("table", initializer=[[1.0], [1.0]])
        loss = loss_of(tf.gather(table, [0])[0, 0], tf.cast(tf.train.get_global_step(), tf.float32))
        training = strategies.Training(None, learning_rate, 1000, 0, 1)
        return strategies.training_spec(loss, training, kernels.REFERENCE, options=options or StepOptions())

    def input_fn(params):
        return tf.data.Dataset.from_tensors(({"x": [1.0]}, [1.0])).repeat()

    spread = distribution.Distribution()
    if replicas > 1:
        devices = [f"/cpu:{i}" for i in range(replicas)]
        spread = distribution.Distribution(distribution.MIRRORED, spread.task, devices, replicas, cpus=replicas)
    settings = loop.RunSettings(str(output), 1, save_every, 1, False, "bf16")
    estimator = loop.make_estimator(model_fn, settings, replicas, spread)
    loop.train(settings, estimator, spread, input_fn, steps, 0)


def nan_from(first):
    return lambda weight, step: weight * weight * tf.where(step >= first, math.nan, 1.0)


def steps_in(output):
    return sorted(int(path.name.split("-")[1].split(".")[0]) for path in output.glob("model.ckpt-*.index"))


def refused(output, *args, **kwargs):
    with pytest.raises(UserError) as error:
        fitted(output, *args, **kwargs)
    assert "\n" not in str(error.value) and len(str(error.value)) - len(str(output)) < 250
    return str(error.value)


@pytest.mark.parametrize(
    "options,replicas", [(StepOptions(), 1), (StepOptions(accumulation_steps=2), 1), (StepOptions(), 2)]
)
def test_training_goes_back_to_the_checkpoint_before_a_loss_that_is_none(options, replicas, tmp_path):
    """That of step 12 has the weights that gave it."""
    text = refused(tmp_path, nan_from(12), options=options, replicas=replicas)
    assert text.startswith("the loss is nan at step 12 (learning rate 0.000988); try a smaller -learning_rate")
    assert "-precision=fp32" in text and text.endswith(f"goes on from {tmp_path / 'model.ckpt-8'}")
    assert steps_in(tmp_path)[-1] == 8
    assert checkpoint.latest(str(tmp_path)) == str(tmp_path / "model.ckpt-8")


@pytest.mark.one_tensorflow
def test_the_same_command_goes_on(tmp_path):
    refused(tmp_path, nan_from(6))
    text = refused(tmp_path, nan_from(0))  # what it began with stays
    assert "before the first update" in text and steps_in(tmp_path) == [0, 4]
    fitted(tmp_path, nan_from(STEPS + 1), steps=8)
    assert steps_in(tmp_path) == [0, 4, 8]


@pytest.mark.one_tensorflow
def test_lost_weights_go_too(tmp_path):
    """The loss is far above the first one from step 10 on, and no number from step 40 on, after seven checkpoints."""

    def loss_of(weight, step):
        return nan_from(40)(weight, step) * tf.where(step >= 10, 1e6, 1.0)

    text = refused(tmp_path, loss_of)
    assert steps_in(tmp_path) == [8] and text.endswith("model.ckpt-8")


@pytest.mark.one_tensorflow
def test_a_loss_that_comes_down_again_has_lost_nothing(tmp_path):
    def loss_of(weight, step):
        return nan_from(40)(weight, step) * tf.where(tf.logical_and(step >= 10, step < 30), 1e6, 1.0)

    refused(tmp_path, loss_of)
    assert steps_in(tmp_path) == [24, 28, 32, 36]


@pytest.mark.one_tensorflow
@pytest.mark.parametrize("replicas", [1, 2])
def test_weights_that_no_loss_shows_are_not_saved(replicas, tmp_path):
    """Weight decay at a rate of 1000 makes weights nine times as large in each step, and the loss stays below 1."""
    text = refused(tmp_path, lambda weight, step: tf.tanh(weight), learning_rate=1e3, save_every=1, replicas=replicas)
    assert text.startswith("weights are not finite, table, at step ")
    for path in tmp_path.glob("model.ckpt-*.index"):
        prefix = str(path)[: -len(".index")]
        for values in checkpoint.read(prefix, ["table", "table/adam_m", "table/adam_v"]).values():
            assert np.isfinite(values).all()


def checked(losses, first_step=0):
    """(LossCheck that has seen these losses, list of the steps it forgets from)."""
    forgotten = []
    check = divergence.LossCheck("it", lambda step: forgotten.append(step) or (f"kept-{step - 1}" if step else None))
    check._first_step = first_step
    for step, loss in enumerate(losses, first_step):
        check.after_run(None, tf.train.SessionRunValues({"loss": loss, "step": step}, None, None))
    return check, forgotten


@pytest.mark.parametrize(
    "losses,first_step,step,since",
    [
        ([3.0, 2.0, 4.0], 0, 3, 3),
        ([3.0, 40.0, 50.0], 0, 3, 1),
        ([3.0, 40.0, 3.0], 0, 3, 3),
        ([3.0, 40.0, 3.0, 31.0], 0, 4, 3),
        ([], 0, 0, 0),
        ([], 7, 7, 8),
        ([3.0, 40.0], 7, 9, 8),
    ],
)
def test_what_is_forgotten(losses, first_step, step, since):
    check, forgotten = checked(losses, first_step)
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(UserError, match=f"^the loss is {value} "):
            check.after_run(None, tf.train.SessionRunValues({"loss": value, "step": step}, None, None))
    assert forgotten == [since] * 3


@pytest.mark.parametrize(
    "losses,said",
    [
        ([3.0] + [40.0] * 11, "above ten times the first one (3) from step 1 on and ended at 40 in step 11; what usua"),
        ([3.0] + [40.0] * 10, None),
        ([3.0] + [40.0] * 20 + [29.0], None),
        ([3.0] * 30, None),
        ([], None),
    ],
)
def test_a_loss_that_ends_far_above_the_first_one_is_said(losses, said, caplog):
    checked(losses)[0].end(None)
    assert (said in caplog.text and "helps: it" in caplog.text) if said else not caplog.records


def test_the_line(monkeypatch):
    monkeypatch.setattr(divergence, "PATIENCE", 0.0)
    assert divergence.describe("the loss is nan", 7, 0.001, "it", "on") == (
        "the loss is nan at step 7 (learning rate 0.001); try it; on"
    )
    assert divergence.describe("the loss is nan", 7, None, "it", "on") == "the loss is nan at step 7; try it; on"
    assert "-init_checkpoint" in divergence.describe("the loss is nan", None, 0.001, "it", "on")
    assert divergence.remedies("-head_learning_rate", "fp32") == "a smaller -head_learning_rate or a longer warm-up"
    assert divergence.remedies(precision="fp16").endswith("or -precision=fp32")
    check, _ = checked([1.0])
    assert str(check.failure("the loss is nan", 1)).endswith("goes on from kept-0")
    assert str(divergence.LossCheck("it").failure("the loss is nan", 1)).endswith(
        "at step 1; the chief's line says what to try"
    )


@pytest.mark.one_tensorflow  # the training loop itself goes back on every one, see above
def test_a_tagger_at_a_rate_that_is_far_too_high_goes_on_at_a_better_one(tmp_path):
    """Summaries of each step, too, which do not take every value."""
    given = small_task.write_task(tmp_path, 20, 4, hidden_size=8, num_hidden_layers=1)
    output = str(tmp_path / "output")
    flags = [*given, "-output_dir", output, "-batch_size=8", "-lstm_size=4", "-num_train_epochs=15", "-eval_every=4"]
    flags += ["-save_checkpoints_steps=4", "-save_summary_steps=1", "-do_predict=false"]
    with pytest.raises(UserError, match="^the loss.* is (nan|inf) at step .*goes on from .*model.ckpt-0$"):
        bert_lstm_ner.train(get_args_parser([*flags, "-learning_rate=1e3"]))
    assert [name for name in sorted(os.listdir(output)) if name.endswith(".index")] == ["model.ckpt-0.index"]
    assert not os.listdir(os.path.join(output, run_dir.BEST))
    with open(os.path.join(output, run_dir.RUN_STATE), encoding="utf-8") as reader:
        state = json.load(reader)
    assert state["evaluations"] == [] and state["best"] is None and not state["finished"]
    dev = bert_lstm_ner.train(get_args_parser([*flags, "-learning_rate=1e-2", "-num_train_epochs=2"]))["dev"]
    assert math.isfinite(dev["loss"])
    with pytest.raises(UserError, match="-learning_rate 0.1, not 0.01; expected -clean.* another -output_dir.* epochs"):
        bert_lstm_ner.train(get_args_parser([*flags, "-learning_rate=0.1", "-num_train_epochs=2"]))
    with open(os.path.join(output, run_dir.RUN_STATE), encoding="utf-8") as reader:
        state = json.load(reader)
    assert state["finished"] and state["training"]["learning_rate"] == 1e-2
