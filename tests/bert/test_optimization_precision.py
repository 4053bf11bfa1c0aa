"""The update as it is compiled, and in float16, where the loss is scaled."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import optimization
from bert.encoder import kernels
from bert.optimization import StepOptions
from tests.bert.linear_training import (
    START,
    assert_same_state,
    consecutive,
    inputs_and_targets,
    linear_loss,
    numpy_state,
    numpy_training,
    values_of_all,
)

KERNELS = [kernels.PLAIN, kernels.FUSED] if kernels.can_fuse() else [kernels.PLAIN]


ONCE = pytest.mark.one_tensorflow  # the same operations as of the others


@pytest.mark.parametrize(
    "accumulation_steps,corrected",
    [(1, False), pytest.param(2, False, marks=ONCE), pytest.param(1, True, marks=ONCE), (2, True)],
)
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


@pytest.mark.parametrize(
    "spoiled",
    [[True], pytest.param([True, False], marks=ONCE), [False, True], pytest.param([True, True], marks=ONCE)],
)
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
