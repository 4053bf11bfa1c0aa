"""The optimizer against numpy float64: one update, the schedule, clipping, whole trainings, accumulation."""

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import optimization
from bert.encoder import kernels
from bert.optimization import StepOptions
from tests.bert import test_modeling

kind_of_variables = test_modeling.kind_of_variables

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-6
SLOTS = ("adam_m", "adam_v")
KERNELS = [kernels.PLAIN, kernels.FUSED] if kernels.can_fuse() else [kernels.PLAIN]

# A linear model whose variables have names of each sort: decaying, a bias, and the output layer's.
START = {
    "bert/dense/kernel": np.array([[0.5, -1.0], [2.0, 0.3], [-0.7, 1.1]]),
    "bert/dense/bias": np.array([0.2, -0.4]),
    "head/kernel": np.array([[1.5], [-0.8]]),
}


def inputs_and_targets(examples):
    """(float32 [examples, 3], float32 [examples, 1]): targets far away, so that gradients are large."""
    rng = np.random.RandomState(2)
    return rng.normal(size=[examples, 3]).astype("f"), rng.normal(loc=5, size=[examples, 1]).astype("f")


def linear_loss(inputs, targets):
    """Mean squared error of the linear model, its variables starting at START."""
    variables = {name: tf.get_variable(name, initializer=value.astype("f")) for name, value in START.items()}
    hidden = tf.matmul(inputs, variables["bert/dense/kernel"]) + variables["bert/dense/bias"]
    return tf.reduce_mean(tf.square(tf.matmul(hidden, variables["head/kernel"]) - targets))


def numpy_gradients(weights, inputs, targets):
    """The loss's gradients, worked out by hand."""
    hidden = inputs @ weights["bert/dense/kernel"] + weights["bert/dense/bias"]
    error = 2 * (hidden @ weights["head/kernel"] - targets) / len(inputs)  # [examples, 1]
    back = error @ weights["head/kernel"].T  # [examples, 2]
    return {"bert/dense/kernel": inputs.T @ back, "bert/dense/bias": back.sum(0), "head/kernel": hidden.T @ error}


def numpy_norm(gradients):
    return np.sqrt(sum((gradient**2).sum() for gradient in gradients.values()))


def numpy_adam(state, name, gradient, rate, decay, t=None):
    """One update of `state[name]` and its two moments, in place; t: its number, from 1, for bias correction."""
    m = state[name + "/adam_m"] = BETA_1 * state[name + "/adam_m"] + (1 - BETA_1) * gradient
    v = state[name + "/adam_v"] = BETA_2 * state[name + "/adam_v"] + (1 - BETA_2) * gradient**2
    if t is not None:
        m, v = m / (1 - BETA_1**t), v / (1 - BETA_2**t)
    state[name] = state[name] - rate * (m / (np.sqrt(v) + EPSILON) + decay * state[name])


def numpy_state(weights):
    """Weights and empty moments, float64, by their names in a checkpoint."""
    state = {name: np.array(value, np.float64) for name, value in weights.items()}
    state.update({f"{name}/{slot}": np.zeros(np.shape(value)) for name, value in weights.items() for slot in SLOTS})
    return state


def numpy_rate(step, init_lr, num_train_steps, num_warmup_steps):
    if step < num_warmup_steps:
        return init_lr * step / num_warmup_steps
    return init_lr * max(0.0, (num_train_steps - step) / num_train_steps)


def numpy_training(batches, init_lr, num_train_steps, num_warmup_steps, clip_norm=1.0, factors=None, corrected=False):
    """Trains the linear model on whole batches, one update each.

    Args:
      factors: dict from variable to the factor on its rate; 0 leaves it out of training and of the norm.
      corrected: whether Adam's bias is corrected.

    Returns:
      (state as numpy_state, gradient norms before clipping).
    """
    factors = factors or dict.fromkeys(START, 1.0)
    state, norms = numpy_state(START), []
    for step, (inputs, targets) in enumerate(batches):
        gradients = numpy_gradients(state, inputs.astype(np.float64), targets.astype(np.float64))
        gradients = {name: gradient for name, gradient in gradients.items() if factors[name]}
        norms.append(numpy_norm(gradients))
        rate = numpy_rate(step, init_lr, num_train_steps, num_warmup_steps)
        for name, gradient in gradients.items():
            clipped = gradient * min(1.0, clip_norm / norms[-1])
            decay = 0.0 if "bias" in name else 0.01
            numpy_adam(state, name, clipped, rate * factors[name], decay, step + 1 if corrected else None)
    return state, norms


def values_of_all(evaluate):
    """Every global variable's value by name, the global step aside."""
    values = evaluate({var.op.name: var for var in tf.global_variables()})
    return {name: value for name, value in values.items() if name != "global_step"}


def assert_same_state(found, expected, tolerance=1e-5):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance / 10, err_msg=name)


def consecutive(inputs, targets, size):
    """The data in batches."""
    return [(inputs[i : i + size], targets[i : i + size]) for i in range(0, len(inputs), size)]


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


# ---- how it is computed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulation_steps,corrected", [(1, False), (2, False), (1, True), (2, True)])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float16])
@pytest.mark.parametrize("which", KERNELS)
def test_the_update_is_the_same_however_it_is_computed(which, dtype, accumulation_steps, corrected, evaluate):
    """In float16 the loss is scaled."""
    data = consecutive(*inputs_and_targets(36), size=6)
    inputs, targets = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [None, 1])
    step = optimization.build_train_step(
        linear_loss(inputs, targets),
        0.1,
        8,
        2,
        StepOptions(clip_norm=0.7, accumulation_steps=accumulation_steps, bias_correction=corrected),
        kernels.Compute(dtype, which, False),
    )
    expected, norms = numpy_training(data, 0.1, 8, 2, 0.7, corrected=corrected)
    for i, batch in enumerate(data):
        for part in consecutive(*batch, size=6 // accumulation_steps):
            norm = evaluate(step, dict(zip((inputs, targets), part)))[2]
        np.testing.assert_allclose(norm, norms[i], rtol=1e-5)
        assert evaluate(tf.train.get_global_step()) == i + 1
    assert_same_state(values_of_all(evaluate), expected)


def scaled_step(accumulation_steps=1, which=kernels.PLAIN):
    """(inputs, targets, TrainStep, the loss's factor) of the linear model; an infinite input spoils the gradient."""
    inputs, targets = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [None, 1])
    options, compute = StepOptions(accumulation_steps=accumulation_steps), kernels.Compute(tf.float16, which, False)
    step = optimization.build_train_step(linear_loss(inputs, targets), 0.1, 100, 0, options, compute)
    (factor,) = [var for var in tf.local_variables() if var.op.name == "loss_scale/factor"]
    return inputs, targets, step, factor


@pytest.mark.parametrize("spoiled", [[True], [True, False], [False, True], [True, True]])
@pytest.mark.parametrize("which", KERNELS)
def test_gradients_that_are_not_finite_change_nothing(spoiled, which, kind_of_variables, evaluate):
    """Whichever of the accumulated batches they are from; the next ones are as if it had not been."""
    good = inputs_and_targets(6)
    bad = good[0].copy(), good[1]
    bad[0][2, 1] = np.inf
    inputs, targets, step, factor = scaled_step(len(spoiled), which)

    def run(batch):
        evaluate(step, dict(zip((inputs, targets), batch)))

    for _ in range(2 * len(spoiled)):
        run(good)
    before = values_of_all(evaluate)
    assert evaluate(factor) == 2.0**15
    for halvings in (1, 2):
        for is_bad in spoiled:
            assert evaluate(factor) == 2.0 ** (16 - halvings)
            run(bad if is_bad else good)
        after = values_of_all(evaluate)
        assert all((after[name] == value).all() for name, value in before.items())
        assert evaluate(factor) == 2.0 ** (15 - halvings) and evaluate(tf.train.get_global_step()) == 2
    for _ in range(3 * len(spoiled)):
        run(good)
    assert evaluate(tf.train.get_global_step()) == 5
    assert_same_state(values_of_all(evaluate), numpy_training([good] * 5, 0.1, 100, 0)[0])


@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_the_loss_s_factor(accumulation_steps, kind_of_variables, evaluate, monkeypatch):
    """Halved by each bad step, doubled by two good ones in a row, never below 1 or above where it began."""
    monkeypatch.setattr(optimization, "LOSS_SCALE_GROWS_AFTER", 2)
    good = inputs_and_targets(6)
    bad = good[0] * np.inf, good[1]
    inputs, targets, step, factor = scaled_step(accumulation_steps)

    def exponents(kinds):
        found = []
        for kind in kinds:
            for _ in range(accumulation_steps):
                evaluate(step, dict(zip((inputs, targets), good if kind == "g" else bad)))
            found.append(int(np.log2(evaluate(factor))))
        return found

    assert exponents("ggg") == [15, 15, 15]
    assert exponents("bb") == [14, 13]
    assert exponents("gbg") == [13, 12, 12]  # the good ones are not in a row
    assert exponents("ggggggggg") == [13, 13, 14, 14, 15, 15, 15, 15, 15]
    assert exponents("b" * 17) == list(range(14, -1, -1)) + [0, 0]
    assert exponents("gg") == [0, 1]


def test_scaling_saves_gradients_too_small_for_float16(evaluate):
    w = tf.get_variable("w", initializer=[1.0, 2.0])
    # The gradient, 1e-8, is below the smallest number there is in float16.
    loss = tf.cast(tf.reduce_sum(tf.cast(w, tf.float16) * tf.constant(1e-4, tf.float16)), tf.float32) * 1e-4
    plain, scaled = (
        optimization.build_train_step(
            loss, 0.1, 8, 0, compute=kernels.Compute(dtype, kernels.PLAIN, False)
        ).gradient_norm
        for dtype in (tf.float32, tf.float16)
    )
    found = evaluate([plain, scaled])
    assert found[0] == 0
    np.testing.assert_allclose(found[1], 1e-8 * np.sqrt(2), rtol=1e-3)


def test_the_factor_is_in_no_checkpoint(kind_of_variables, graph):
    scaled_step()
    assert {var.op.name for var in tf.global_variables()} == set(numpy_state(START)) | {"global_step"}
    assert {var.op.name for var in tf.local_variables()} == {"loss_scale/factor", "loss_scale/good_steps"}


@pytest.mark.parametrize(
    "dtype,which,expected",
    [
        (tf.float32, kernels.PLAIN, (False, False)),
        (tf.bfloat16, kernels.PLAIN, (False, False)),
        (tf.float16, kernels.PLAIN, (False, True)),
    ]
    + ([(tf.float32, kernels.FUSED, (True, False)), (tf.float16, kernels.FUSED, (True, True))] * kernels.can_fuse()),
)
def test_what_the_compute_decides(dtype, which, expected, graph, monkeypatch):
    """(Whether the update is compiled, whether the loss is scaled.)"""
    compiled = []
    monkeypatch.setattr(kernels, "compiled", lambda function: compiled.append(function) or function)
    loss = linear_loss(*map(tf.constant, inputs_and_targets(4)))
    optimization.build_train_step(loss, 0.1, 8, 0, compute=kernels.Compute(dtype, which, False))
    is_scaled = "loss_scale/factor" in {var.op.name for var in tf.local_variables()}
    assert (len(compiled) == 1, is_scaled) == expected
