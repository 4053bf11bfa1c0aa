"""The optimizer against numpy float64: one update, the schedule, clipping, whole trainings, accumulated batches."""

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import optimization
from bert.optimization import StepOptions
from tests.bert.linear_training import (
    SLOTS,
    START,
    assert_same_state,
    consecutive,
    inputs_and_targets,
    linear_loss,
    numpy_adam,
    numpy_norm,
    numpy_rate,
    numpy_state,
    numpy_training,
    values_of_all,
)


def test_updates_equal_numpy(kind_of_variables, evaluate):
    rng = np.random.RandomState(0)
    decaying = {"dense/kernel": True, "dense/bias": False, "LayerNorm/gamma": False, "a/layer_norm/x": False, "w": True}
    start = {name: rng.normal(size=[2, 3]) for name in decaying}
    variables = [tf.get_variable(name, initializer=value.astype("f")) for name, value in start.items()]
    gradients = [tf.placeholder(tf.float32, [2, 3]) for _ in variables]
    optimizer = optimization.AdamWeightDecayOptimizer(
        0.1, weight_decay_rate=0.3, exclude_from_weight_decay=optimization.NO_WEIGHT_DECAY
    )
    train_op = optimizer.apply_gradients(zip(gradients, variables))
    state = numpy_state(start)
    for _ in range(5):
        fed = {name: rng.normal(scale=3, size=[2, 3]).astype("f") for name in start}
        evaluate(train_op, dict(zip(gradients, fed.values())))
        for name, gradient in fed.items():
            numpy_adam(state, name, gradient.astype(np.float64), 0.1, 0.3 if decaying[name] else 0.0)
        assert_same_state(values_of_all(evaluate), state)


def test_constants_of_the_update_can_be_chosen(evaluate):
    w = tf.get_variable("bias", initializer=[1.0, -2.0])
    optimizer = optimization.AdamWeightDecayOptimizer(0.5, weight_decay_rate=0.1, beta_1=0.5, beta_2=0.75, epsilon=1.0)
    evaluate(optimizer.apply_gradients([(tf.constant([4.0, 0.0]), w)]))
    # m = 2, v = 4; nothing is excluded from the decay unless asked for.
    np.testing.assert_allclose(evaluate(w), [1 - 0.5 * (2 / 3 + 0.1), -2 + 0.5 * 0.1 * 2], rtol=1e-6)


def test_slots_have_their_names_in_a_checkpoint(kind_of_variables, evaluate, tmp_path):
    loss = linear_loss(*map(tf.constant, inputs_and_targets(4)))
    train_op = optimization.create_optimizer(loss, 0.1, 10, 2, False)
    evaluate(train_op)
    prefix = tf.train.Saver().save(evaluate.session, os.path.join(str(tmp_path), "model.ckpt"))
    expected = {name: list(value.shape) for name, value in numpy_state(START).items()}
    expected["global_step"] = []
    assert dict(tf.train.list_variables(prefix)) == expected


@pytest.mark.parametrize("clip_norm", [0.5, 1e6])
def test_rows_that_occur_twice_in_a_sparse_gradient_add_up(clip_norm, kind_of_variables, evaluate):
    rng = np.random.RandomState(4)
    start, scale = rng.normal(size=[5, 2]), rng.normal(size=[4, 2])
    table = tf.get_variable("table", initializer=start.astype("f"))
    rows = [1, 3, 1, 1]
    loss = tf.reduce_sum(tf.gather(table, rows) * tf.constant(scale, tf.float32))
    assert isinstance(tf.gradients(loss, table)[0], tf.IndexedSlices)
    step = optimization.build_train_step(loss, 0.1, 10, 0, StepOptions(clip_norm))
    dense = np.zeros([5, 2])
    np.add.at(dense, rows, scale)
    norm = numpy_norm({"table": dense})
    state = numpy_state({"table": start})
    for i in range(3):
        np.testing.assert_allclose(evaluate([step.gradient_norm, step.train_op])[0], norm, rtol=1e-6)
        numpy_adam(state, "table", dense * min(1, clip_norm / norm), numpy_rate(i, 0.1, 10, 0), 0.01)
        assert_same_state(values_of_all(evaluate), state)


def test_apply_gradients_takes_sparse_gradients(kind_of_variables, evaluate):
    start = np.arange(8.0).reshape(4, 2)
    table = tf.get_variable("table", initializer=start.astype("f"))
    gradient = tf.IndexedSlices(tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), tf.constant([2, 0, 2]), [4, 2])
    train_op = optimization.AdamWeightDecayOptimizer(0.1, 0.01).apply_gradients([(gradient, table)])
    state = numpy_state({"table": start})
    for _ in range(3):
        evaluate(train_op)
        numpy_adam(state, "table", np.array([[3.0, 4], [0, 0], [6, 8], [0, 0]]), 0.1, 0.01)
    assert_same_state(values_of_all(evaluate), state)


@pytest.mark.parametrize("num_warmup_steps", [0, None, 4, 20])
def test_schedule(num_warmup_steps, evaluate):
    step = tf.placeholder(tf.int64, [])
    rate = optimization.learning_rate_at(step, 0.3, 20, num_warmup_steps)
    found = [evaluate(rate, {step: i}) for i in range(24)]
    assert rate.dtype == tf.float32
    np.testing.assert_allclose(found, [numpy_rate(i, 0.3, 20, num_warmup_steps or 0) for i in range(24)], atol=1e-7)
    assert found[20:] == [0, 0, 0, 0]
    if num_warmup_steps == 4:
        # Counted from step 0: the decay does not start over when the warm-up ends.
        np.testing.assert_allclose(found[:6], [0, 0.075, 0.15, 0.225, 0.24, 0.225], rtol=1e-6)
    elif not num_warmup_steps:
        np.testing.assert_allclose(found[:2], [0.3, 0.285], rtol=1e-6)


@pytest.mark.parametrize("clip_norm", [0.7, 1e6])
def test_training_equals_numpy(clip_norm, kind_of_variables, evaluate):
    data = consecutive(*inputs_and_targets(36), size=6)
    inputs, targets = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [None, 1])
    step = optimization.build_train_step(linear_loss(inputs, targets), 0.1, 8, 2, StepOptions(clip_norm))
    expected, norms = numpy_training(data, 0.1, 8, 2, clip_norm)
    assert min(norms) > 0.7  # so that 0.7 is a bound that clips
    global_step = tf.train.get_global_step()
    for i, batch in enumerate(data):
        _, rate, norm, *_ = evaluate(step, dict(zip((inputs, targets), batch)))
        np.testing.assert_allclose(rate, numpy_rate(i, 0.1, 8, 2), rtol=1e-6)
        np.testing.assert_allclose(norm, norms[i], rtol=1e-5)
        assert evaluate(global_step) == i + 1
        if i == 0:  # the warm-up begins at a rate of 0
            found = values_of_all(evaluate)
            assert all((found[name] == value.astype("f")).all() for name, value in START.items())
            assert all(found[name + "/adam_m"].any() for name in START)
    assert_same_state(values_of_all(evaluate), expected)


def test_create_optimizer_clips_at_1(evaluate):
    data = inputs_and_targets(6)
    train_op = optimization.create_optimizer(linear_loss(*map(tf.constant, data)), 0.1, 8, 0, use_tpu=False)
    for _ in range(4):
        evaluate(train_op)
    assert evaluate(tf.train.get_global_step()) == 4
    assert_same_state(values_of_all(evaluate), numpy_training([data] * 4, 0.1, 8, 0)[0])


def test_accumulated_batches_equal_one_large_batch(kind_of_variables, evaluate):
    large = consecutive(*inputs_and_targets(60), size=20)
    small = consecutive(*inputs_and_targets(60), size=5)
    inputs, targets = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [None, 1])
    step = optimization.build_train_step(linear_loss(inputs, targets), 0.1, 8, 1, StepOptions(accumulation_steps=4))
    expected, norms = numpy_training(large, 0.1, 8, 1)
    assert max(norms) > 1  # clipping is active
    before = values_of_all(evaluate)
    for i, batch in enumerate(small):
        _, rate, norm, *_ = evaluate(step, dict(zip((inputs, targets), batch)))
        np.testing.assert_allclose(rate, numpy_rate(i // 4, 0.1, 8, 1), rtol=1e-6)
        assert evaluate(tf.train.get_global_step()) == (i + 1) // 4
        if i % 4 < 3:  # not due: nothing moves
            after = values_of_all(evaluate)
            assert all((after[name] == value).all() for name, value in before.items())
        else:
            np.testing.assert_allclose(norm, norms[i // 4], rtol=1e-5)
            before = values_of_all(evaluate)
    assert_same_state(before, expected)


def test_accumulators_are_in_no_checkpoint(kind_of_variables, graph):
    optimization.build_train_step(
        linear_loss(*map(tf.constant, inputs_and_targets(4))), 0.1, 8, 1, StepOptions(accumulation_steps=2)
    )
    assert {var.op.name for var in tf.global_variables()} == set(numpy_state(START)) | {"global_step"}
    assert {var.op.name for var in tf.trainable_variables()} == set(START)
    accumulators = {"gradient_accumulation/" + name for name in ["calls"] + list(START)}
    assert {var.op.name for var in tf.local_variables()} == accumulators


@pytest.mark.parametrize("accumulation_steps", [1, 3])
def test_calls_are_counted_from_what_a_checkpoint_holds(accumulation_steps, kind_of_variables, evaluate):
    """A start anew has the step, and begins the accumulation of an update again."""
    calls = optimization.calls_so_far(accumulation_steps)
    w = tf.get_variable("w", initializer=[1.0])
    loss = tf.reduce_sum(tf.square(w)) * tf.cast(calls, tf.float32)  # a gradient depends on it, as on a mask
    step = optimization.build_train_step(loss, 0.1, 8, 0, StepOptions(accumulation_steps=accumulation_steps))
    last = 2 * accumulation_steps + 1
    assert [evaluate([calls, step])[0] for _ in range(last)] == list(range(last))
    evaluate(tf.variables_initializer(tf.local_variables()))
    begun = tf.train.get_global_step()
    again = int(evaluate(begun)) * accumulation_steps
    assert [evaluate([calls, step])[0] for _ in range(3)] == [again, again + 1, again + 2]


@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_rates_of_their_own_and_frozen_variables(accumulation_steps, kind_of_variables, evaluate):
    data = inputs_and_targets(6)
    loss = linear_loss(*map(tf.constant, data))
    factors = {"bert/dense/kernel": 0.25, "bert/dense/bias": 0, "head/kernel": 3.0}
    options = StepOptions(
        lr_multiplier=factors.get, is_frozen=lambda name: factors[name] == 0, accumulation_steps=accumulation_steps
    )
    step = optimization.build_train_step(loss, 0.1, 8, 0, options)
    expected, norms = numpy_training([data] * 4, 0.1, 8, 0, factors=factors)
    for i in range(4 * accumulation_steps):
        norm = evaluate(step)[2]
        if (i + 1) % accumulation_steps == 0:
            np.testing.assert_allclose(norm, norms[i // accumulation_steps], rtol=1e-5)
    for slot in SLOTS:  # what is not trained has none
        expected.pop("bert/dense/bias/" + slot)
    assert_same_state(values_of_all(evaluate), expected)
    np.testing.assert_array_equal(
        evaluate(tf.trainable_variables("bert/dense/bias")[0]), START["bert/dense/bias"].astype("f")
    )


def test_a_variable_the_loss_does_not_depend_on_stays(evaluate):
    used, unused = (tf.get_variable(name, initializer=[1.0, 2.0]) for name in ("used", "unused"))
    train_op = optimization.create_optimizer(tf.reduce_sum(tf.square(used)), 0.1, 8, 0, False)
    evaluate(train_op)
    assert (evaluate(unused) == [1, 2]).all() and (evaluate(used) < [1, 2]).all()
    assert not [var for var in tf.global_variables() if var.op.name.startswith("unused/")]


def test_classic_use(kind_of_variables, evaluate):
    """As the unit test of Google BERT's optimizer goes about it."""
    w = tf.get_variable("w", shape=[3], initializer=tf.constant_initializer([0.1, -0.2, -0.1]))
    target = np.array([0.4, 0.2, -0.5])
    loss = tf.reduce_mean(tf.square(tf.constant(target, tf.float32) - w))
    variables = tf.trainable_variables()
    global_step = tf.train.get_or_create_global_step()
    optimizer = optimization.AdamWeightDecayOptimizer(learning_rate=0.2)
    train_op = optimizer.apply_gradients(zip(tf.gradients(loss, variables), variables), global_step)
    for _ in range(100):
        evaluate(train_op)
    np.testing.assert_allclose(evaluate(w), target, rtol=1e-2, atol=1e-2)
    assert evaluate(global_step) == 0  # whoever builds the training op advances it, see the next test


def test_a_training_op_copied_from_googles_counts_each_step_once(kind_of_variables, evaluate):
    w = tf.get_variable("w", initializer=[3.0])
    global_step = tf.train.get_or_create_global_step()
    optimizer = optimization.AdamWeightDecayOptimizer(learning_rate=0.1)
    pairs = list(zip(tf.gradients(tf.square(w), [w]), [w]))
    applied = optimizer.apply_gradients(pairs, global_step=global_step)
    train_op = tf.group(applied, [global_step.assign(global_step + 1)])
    ours = optimization.create_optimizer(tf.reduce_sum(tf.square(w)), 0.1, 8, 0, False)
    for _ in range(3):
        evaluate(train_op)
    assert evaluate(global_step) == 3
    evaluate(ours)
    assert evaluate(global_step) == 4


def test_minimize_as_every_optimizer_has_it(evaluate):
    w = tf.get_variable("w", initializer=[3.0])
    rate = tf.placeholder(tf.float32, [])
    optimizer = optimization.AdamWeightDecayOptimizer(rate)
    assert isinstance(optimizer, tf.train.Optimizer)
    train_op = optimizer.minimize(tf.reduce_sum(tf.square(w)))
    evaluate(train_op, {rate: 0.5})
    np.testing.assert_allclose(evaluate(w), 3 - 0.5 * 0.1 * 6 / (np.sqrt(0.001) * 6 + 1e-6), rtol=1e-6)
    assert optimizer.get_slot_names() == ["m", "v"]
