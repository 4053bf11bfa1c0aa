"""The Estimator: the project's own against TensorFlow's where there is one, and both against what is documented.

Model and input functions are written as for tf.estimator, in the styles that are in use.
"""

import glob
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.runtime import estimator as chosen

if tf.__version__.startswith("1."):
    pytest.skip("from TensorFlow 2.16 on, and tested on 2.15 beside TensorFlow's", allow_module_level=True)

from bert.runtime import estimator_types, own_estimator
from bert.runtime import train_and_evaluate as own_loop


class Own:
    """The names of bert/runtime/estimator.py, all from the project."""

    Estimator = own_estimator.Estimator
    EstimatorSpec = estimator_types.EstimatorSpec
    EvalSpec = estimator_types.EvalSpec
    ModeKeys = estimator_types.ModeKeys
    RunConfig = estimator_types.RunConfig
    TrainSpec = estimator_types.TrainSpec
    train_and_evaluate = staticmethod(own_loop.train_and_evaluate)


KINDS = [Own, chosen] if chosen.IS_TENSORFLOWS else [Own]
RNG = np.random.RandomState(0)
X = RNG.randn(64, 5).astype(np.float32)
Y = X.dot(np.arange(5, dtype=np.float32))
BATCH, RATE = 16, 0.05
LABELS = {"kind": lambda kind: "own" if kind is Own else "tensorflow"}


@pytest.fixture(params=KINDS, ids=LABELS["kind"])
def kind(request):
    return request.param


def training_input(params):
    return tf.data.Dataset.from_tensor_slices(({"x": X}, Y)).repeat().batch(params["batch_size"])


def evaluation_input():
    return tf.data.Dataset.from_tensor_slices(({"x": X}, Y)).batch(10)


def linear(features):
    weights = tf.get_variable("weights", [5], initializer=tf.zeros_initializer())
    return tf.linalg.matvec(features["x"], weights)


def model_fn_of(kind, **more):
    """A model function in Google's style; `more` goes into its EstimatorSpecs, by mode."""

    def model_fn(features, labels, mode, params):
        predicted = linear(features)
        if mode == kind.ModeKeys.PREDICT:
            return kind.EstimatorSpec(mode, predictions={"y": predicted, "twice": 2.0 * predicted})
        loss = tf.reduce_mean(tf.square(predicted - labels))
        if mode == kind.ModeKeys.EVAL:
            error = tf.metrics.mean_absolute_error(labels, predicted)
            return kind.EstimatorSpec(mode, loss=loss, eval_metric_ops={"error": error}, **more.get("evaluation", {}))
        step = tf.train.get_global_step()
        train_op = tf.train.GradientDescentOptimizer(RATE).minimize(loss, global_step=step)
        return kind.EstimatorSpec(mode, loss=loss, train_op=train_op, **more.get("training", {}))

    return model_fn


def make(kind, directory, **config):
    return kind.Estimator(
        model_fn_of(kind), str(directory), kind.RunConfig(**config) if config else None, params={"batch_size": BATCH}
    )


def descended(steps):
    """The weights after steps of gradient descent, and the losses before each, in float64."""
    weights, losses = np.zeros(5), []
    for step in range(steps):
        rows = slice(step * BATCH % len(X), step * BATCH % len(X) + BATCH)
        x, error = X[rows].astype(np.float64), X[rows].dot(weights) - Y[rows]
        losses.append(np.mean(error**2))
        weights = weights - RATE * 2.0 * x.T.dot(error) / BATCH
    return weights, losses


def scalars(directory):
    """dict from tag to the steps and values in a directory's events."""
    found = {}
    for path in sorted(glob.glob(os.path.join(str(directory), "events.*"))):
        for event in tf.train.summary_iterator(path):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_training_descends_and_saves_at_the_start_at_intervals_and_at_the_end(kind, tmp_path):
    weights, losses = descended(25)
    made = make(kind, tmp_path, save_checkpoints_steps=10, save_summary_steps=5)
    assert made.train(training_input, max_steps=25) is made
    np.testing.assert_allclose(made.get_variable_value("weights"), weights, rtol=1e-5)
    assert sorted(made.get_variable_names()) == ["global_step", "weights"]
    saved = sorted(int(path.split("-")[-1][: -len(".index")]) for path in glob.glob(f"{tmp_path}/*.index"))
    assert saved == [0, 10, 20, 25]
    assert made.latest_checkpoint() == f"{tmp_path}/model.ckpt-25"
    written = scalars(tmp_path)["loss"]
    assert 5 <= len(written) <= 6
    for step, value in written:  # the step is read while the training operation adds 1 to it
        assert any(value == pytest.approx(loss, rel=1e-5) for loss in losses[max(step - 1, 0) : step + 1])


def test_training_goes_on_by_steps_and_ends_at_max_steps(kind, tmp_path):
    made = make(kind, tmp_path)
    made.train(training_input, steps=3)
    made.train(training_input, steps=4)
    assert made.get_variable_value("global_step") == 7
    made.train(training_input, max_steps=7)  # nothing is left to do
    assert made.get_variable_value("global_step") == 7
    for wrong in ({"steps": 1, "max_steps": 9}, {"steps": 0}, {"max_steps": 0}):
        with pytest.raises(ValueError):
            made.train(training_input, **wrong)


def test_evaluation_takes_all_batches_or_some_and_writes_summaries(kind, tmp_path):
    made = make(kind, tmp_path)
    untrained = make(kind, tmp_path / "empty")
    assert untrained.evaluate(evaluation_input)["error"] == pytest.approx(np.mean(np.abs(Y)), rel=1e-5)
    with pytest.raises(ValueError):
        untrained.get_variable_names()
    made.train(training_input, max_steps=5)
    error = X.dot(descended(5)[0]) - Y
    results = made.evaluate(evaluation_input)
    assert set(results) == {"loss", "error", "global_step"} and results["global_step"] == 5
    batches = [error[i : i + 10] for i in range(0, len(error), 10)]
    assert results["loss"] == pytest.approx(np.mean([np.mean(batch**2) for batch in batches]), rel=1e-5)
    assert results["error"] == pytest.approx(np.mean(np.abs(error)), rel=1e-5)
    part = made.evaluate(evaluation_input, steps=2, name="part")
    assert part["error"] == pytest.approx(np.mean(np.abs(error[:20])), rel=1e-5)
    for name, values in (("eval", results), ("eval_part", part)):
        assert scalars(tmp_path / name)["error"] == [(5, pytest.approx(values["error"]))]
    first = made.evaluate(evaluation_input, checkpoint_path=f"{tmp_path}/model.ckpt-0")
    assert first["loss"] == pytest.approx(np.mean([np.mean(Y[i : i + 10] ** 2) for i in range(0, 64, 10)]), rel=1e-5)


def test_predictions_by_example_by_batch_by_key_and_as_one_tensor(kind, tmp_path):
    made = make(kind, tmp_path)
    made.train(training_input, max_steps=5)
    expected = X.dot(descended(5)[0])
    examples = list(made.predict(evaluation_input))
    assert len(examples) == 64 and set(examples[0]) == {"y", "twice"}
    np.testing.assert_allclose([example["y"] for example in examples], expected, rtol=1e-4, atol=1e-5)
    batches = list(made.predict(evaluation_input, predict_keys=["twice"], yield_single_examples=False))
    assert [set(batch) for batch in batches] == [{"twice"}] * 7 and len(batches[-1]["twice"]) == 4
    with pytest.raises(ValueError):
        next(made.predict(evaluation_input, predict_keys=["none"]))

    def single(features, mode):
        return kind.EstimatorSpec(mode, predictions=linear(features))

    values = list(kind.Estimator(single, str(tmp_path)).predict(lambda: evaluation_input().map(lambda x, y: x)))
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


class Recorder(tf.train.SessionRunHook):
    def __init__(self):
        self.runs = self.ended = 0

    def after_run(self, run_context, run_values):
        self.runs += 1

    def end(self, session):
        self.ended += 1


def test_hooks_run_in_their_modes(kind, tmp_path):
    hooks = {name: Recorder() for name in ("training_hooks", "training_chief_hooks", "evaluation_hooks", "given")}
    training = {name: [hooks[name]] for name in ("training_hooks", "training_chief_hooks")}
    model_fn = model_fn_of(kind, training=training, evaluation={"evaluation_hooks": [hooks["evaluation_hooks"]]})
    made = kind.Estimator(model_fn, str(tmp_path), params={"batch_size": BATCH})
    made.train(training_input, hooks=[hooks["given"]], max_steps=3)
    made.evaluate(evaluation_input, steps=2)
    runs = {name: (hook.runs, hook.ended) for name, hook in hooks.items()}
    once = (3, 1)
    assert runs == {"training_hooks": once, "training_chief_hooks": once, "given": once, "evaluation_hooks": (2, 1)}


def test_a_loss_that_is_no_number_ends_training(kind, tmp_path):
    def model_fn(features, labels, mode):
        loss = tf.reduce_mean(tf.log(linear(features) - 1.0))
        train_op = tf.assign_add(tf.train.get_global_step(), 1)
        return kind.EstimatorSpec(mode, loss=loss, train_op=train_op)

    with pytest.raises(tf.train.NanLossDuringTrainingError):
        kind.Estimator(model_fn, str(tmp_path)).train(lambda: evaluation_input(), max_steps=3)


def test_a_scaffold_initializes_and_saves(kind, tmp_path):
    def model_fn(features, labels, mode):
        loss = tf.reduce_mean(linear(features))
        weights = tf.global_variables()[-1]
        scaffold = tf.train.Scaffold(
            init_fn=lambda scaffold, session: weights.load(np.full(5, 3.0, np.float32), session),
            saver=tf.train.Saver([weights, tf.train.get_global_step()], max_to_keep=1),
        )
        train_op = tf.assign_add(tf.train.get_global_step(), 1)
        return kind.EstimatorSpec(mode, loss=loss, train_op=train_op, scaffold=scaffold)

    made = kind.Estimator(model_fn, str(tmp_path), kind.RunConfig(save_checkpoints_steps=1))
    made.train(evaluation_input, max_steps=3)
    np.testing.assert_array_equal(made.get_variable_value("weights"), np.full(5, 3.0))
    assert len(glob.glob(f"{tmp_path}/*.index")) == 1


def test_input_functions_give_tensors_and_take_what_they_name(kind, tmp_path):
    seen = {}

    def input_fn(mode, params, config):
        seen.update(mode=mode, params=params, config=config)
        return {"x": tf.constant(X)}, tf.constant(Y)

    made = make(kind, tmp_path, tf_random_seed=5)
    made.train(input_fn, max_steps=1)
    assert seen["mode"] == kind.ModeKeys.TRAIN and seen["params"] == {"batch_size": BATCH}
    assert seen["config"].tf_random_seed == 5 and seen["config"].model_dir == str(tmp_path)
    made.train(lambda: tf.data.make_one_shot_iterator(evaluation_input()).get_next(), max_steps=2)
    with pytest.raises(ValueError):
        made.train(lambda: (X, Y, Y), max_steps=3)


def test_the_end_of_the_input_ends_training(kind, tmp_path):
    made = make(kind, tmp_path)
    made.train(evaluation_input, max_steps=100)
    assert made.get_variable_value("global_step") == 7


def test_training_and_evaluation_in_turn(kind, tmp_path):
    made = make(kind, tmp_path, save_checkpoints_steps=10)
    spec = kind.EvalSpec(evaluation_input, steps=None, throttle_secs=0)
    result, exported = kind.train_and_evaluate(made, kind.TrainSpec(training_input, max_steps=25), spec)
    assert exported == [] and result["global_step"] == 25
    assert [step for step, _ in scalars(tmp_path / "eval")["loss"]] == [10, 20, 25]


@pytest.mark.parametrize("replicas", [2, 4])
def test_mirrored_training_is_training_on_one_device(kind, replicas, tmp_path):
    strategy = tf.distribute.MirroredStrategy([f"/cpu:{i}" for i in range(replicas)])
    session_config = tf.ConfigProto(device_count={"CPU": replicas})
    config = kind.RunConfig(str(tmp_path), train_distribute=strategy, session_config=session_config)
    made = kind.Estimator(model_fn_of(kind), config=config, params={"batch_size": BATCH // replicas})
    made.train(training_input, max_steps=10)
    np.testing.assert_allclose(made.get_variable_value("weights"), descended(10)[0], rtol=1e-5)


def test_seeds_decide_initial_values(kind, tmp_path):
    def model_fn(features, labels, mode):
        loss = tf.reduce_sum(tf.get_variable("random", [3]))
        return kind.EstimatorSpec(mode, loss=loss, train_op=tf.assign_add(tf.train.get_global_step(), 1))

    values = []
    for number, seed in enumerate([1, 1, 2]):
        made = kind.Estimator(model_fn, str(tmp_path / str(number)), kind.RunConfig(tf_random_seed=seed))
        values.append(made.train(evaluation_input, max_steps=1).get_variable_value("random").tolist())
    assert values[0] == values[1] != values[2]


def test_wrong_specs_are_refused(kind):
    with tf.Graph().as_default():
        loss = tf.constant(1.0)
        for wrong in (
            {"mode": kind.ModeKeys.TRAIN, "loss": loss},
            {"mode": kind.ModeKeys.EVAL},
            {"mode": kind.ModeKeys.PREDICT},
            {"mode": kind.ModeKeys.EVAL, "loss": tf.constant([1.0, 2.0])},
            {"mode": kind.ModeKeys.EVAL, "loss": loss, "eval_metric_ops": {"one": loss}},
        ):
            with pytest.raises((ValueError, TypeError)):
                kind.EstimatorSpec(**wrong)


@pytest.mark.skipif(not chosen.IS_TENSORFLOWS, reason="no Estimator in this TensorFlow to compare with")
def test_defaults_are_those_of_tensorflows_estimator():
    ours, theirs = Own.RunConfig(), chosen.RunConfig()
    for name in estimator_types.RunConfig._fields:
        if name not in ("session_config", "experimental_distribute", "train_distribute", "eval_distribute"):
            public = name.replace("experimental_distribute", "_distribute")
            assert getattr(ours, name) == getattr(theirs, public, getattr(theirs, f"_{name}", None)), name
    steps = Own.RunConfig(save_checkpoints_steps=5)
    assert (steps.save_checkpoints_steps, steps.save_checkpoints_secs) == (5, None)
    with pytest.raises(ValueError):
        Own.RunConfig(save_checkpoints_steps=5, save_checkpoints_secs=5)
    with pytest.raises(ValueError, match="warm_start_from"):
        Own.Estimator(model_fn_of(Own), warm_start_from="model.ckpt")
