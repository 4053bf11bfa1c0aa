"""The encoder's elementwise work: plain functions against numpy in float64, fused kernels against the plain ones."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from scipy import special, stats

from bert.encoder import kernels, masks

ROWS, WIDTH, HEADS = 12, 8, 2
BATCH, SEQ_LEN = 3, 4
# Largest error relative to the largest value: float32's own rounding, and half a unit of bfloat16's last place.
TOLERANCE = {tf.float32: 1e-5, tf.bfloat16: 2.0**-8}

fused_only = pytest.mark.skipif(not kernels.can_fuse(), reason="TensorFlow 1.15 has no fused kernels")


def random(*shape):
    return np.random.RandomState(sum(shape)).normal(size=shape)


def assert_close(found, expected, tolerance):
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(np.abs(expected).max(), 1e-30))


def normalized(x, gamma, beta):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12) * gamma + beta


def gelu(x):
    return x * stats.norm.cdf(x)


def softmax(x):
    return special.softmax(x, axis=-1)


# name: (function of Kernels, arrays, numpy in float64). Rate 0: what dropout does is tested below.
x, wide_bias = random(ROWS, WIDTH) * 2, random(WIDTH)
residual, gamma, beta = random(ROWS, WIDTH) + 0.5, random(WIDTH) + 1, random(WIDTH) - 0.2
scores = random(BATCH, HEADS, SEQ_LEN, SEQ_LEN) * 3
mask_scores = np.array([[0, 0, 0, 0], [0, 0, 0, -10000], [0, -10000, -10000, -10000]], np.float64)[:, None, None, :]
CASES = {
    "bias_gelu": (lambda k: k.bias_gelu, [x, wide_bias], lambda x, bias: gelu(x + bias)),
    "bias_to_heads": (
        lambda k: lambda x, bias: k.bias_to_heads(x, bias, SEQ_LEN, HEADS),
        [x, wide_bias],
        lambda x, bias: (x + bias).reshape(BATCH, SEQ_LEN, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3),
    ),
    "attention_weights": (
        lambda k: lambda scores: k.attention_weights(scores, tf.constant(mask_scores, tf.float32), 0.25, 0.0, None),
        [scores],
        lambda scores: softmax(scores * 0.25 + mask_scores),
    ),
    "residual_norm": (
        lambda k: lambda *inputs: k.residual_norm(*inputs, rate=0.0, seed=None),
        [x, wide_bias, residual, gamma, beta],
        lambda x, bias, residual, gamma, beta: normalized(x + bias + residual, gamma, beta),
    ),
}
# Which inputs are activations, of the type computed in; the others are float32 variables.
ACTIVATIONS = {"bias_gelu": [0], "bias_to_heads": [0], "attention_weights": [0], "residual_norm": [0, 2]}


def build(name, which, dtype):
    """(inputs, result, upstream gradient, gradients) of a case as tensors; arrays as the dtype rounds them."""
    function, arrays, _ = CASES[name]
    inputs = [
        tf.cast(tf.constant(array, tf.float32), dtype if i in ACTIVATIONS[name] else tf.float32)
        for i, array in enumerate(arrays)
    ]
    result = function(which)(*inputs)
    upstream = tf.cast(tf.constant(random(*result.shape.as_list()), tf.float32), dtype)
    return inputs, result, upstream, tf.gradients(result, inputs, upstream)


def as_float64(tensors):
    return [tf.cast(tensor, tf.float64) for tensor in tensors]


def numeric_gradients(function, arrays, upstream):
    """Central differences of sum(function(arrays) * upstream) in float64."""
    gradients = []
    for i, array in enumerate(arrays):
        gradient = np.zeros_like(array)
        for index in np.ndindex(*array.shape):
            sums = []
            for step in (1e-6, -1e-6):
                moved = [other.copy() for other in arrays]
                moved[i][index] += step
                sums.append((function(*moved) * upstream).sum())
            gradient[index] = (sums[0] - sums[1]) / 2e-6
        gradients.append(gradient)
    return gradients


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("which", ["PLAIN", pytest.param("FUSED", marks=fused_only)])
@pytest.mark.parametrize("name", sorted(CASES))
def test_value_and_gradient_against_float64(name, which, dtype, evaluate):
    if dtype == tf.bfloat16 and not kernels.can_fuse():
        dtype = tf.float32  # TensorFlow 1.15 computes in float32 only
    inputs, result, upstream, gradients = build(name, getattr(kernels, which), dtype)
    assert result.dtype == dtype
    assert [gradient.dtype for gradient in gradients] == [tensor.dtype for tensor in inputs]
    arrays, found, upstream, gradients = evaluate(
        [as_float64(inputs), as_float64([result]), tf.cast(upstream, tf.float64), as_float64(gradients)]
    )
    function = CASES[name][2]
    assert_close(found[0], function(*arrays), TOLERANCE[dtype])
    # A sum over rows of rounded terms is off by more than one term's rounding.
    for gradient, expected in zip(gradients, numeric_gradients(function, arrays, upstream)):
        assert_close(gradient, expected, 4 * TOLERANCE[dtype])


@fused_only
@pytest.mark.parametrize("name", sorted(CASES))
def test_fused_equals_plain_in_float32(name, evaluate):
    both = [build(name, which, tf.float32) for which in (kernels.PLAIN, kernels.FUSED)]
    plain, fused = evaluate([[result] + gradients for _, result, _, gradients in both])
    for found, expected in zip(fused, plain):
        assert_close(found, expected, 1e-5)


def murmur_mask(count, rate, seed):
    """The kernels' mask in numpy's unsigned arithmetic: murmur3's finalizer of the element's number and the seed."""
    with np.errstate(over="ignore"):
        h = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(seed)
        h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        h ^= h >> np.uint32(16)
    return h.view(np.int32) >= np.int64(round(rate * 2**32)) - 2**31


@fused_only
@pytest.mark.parametrize("seed", [0, 77, 2**31 - 2])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_fused_dropout_drops_the_same_forward_and_backward(rate, seed, evaluate):
    """Against float64 with the mask computed apart: in the value and in every gradient."""
    dy = random(ROWS, WIDTH)
    keep = murmur_mask(ROWS * WIDTH, rate, seed).reshape(ROWS, WIDTH) / (1 - rate)

    def function(x, bias, residual, gamma, beta):
        return normalized((x + bias) * keep + residual, gamma, beta)

    arrays = CASES["residual_norm"][1]
    inputs = [tf.constant(array, tf.float32) for array in arrays]
    result = kernels.FUSED.residual_norm(*inputs, rate=rate, seed=tf.constant(seed))
    found, gradients = evaluate([result, tf.gradients(result, inputs, tf.constant(dy, tf.float32))])
    assert_close(found, function(*arrays), 1e-5)
    for gradient, expected in zip(gradients, numeric_gradients(function, arrays, dy)):
        assert_close(gradient, expected, 1e-5)


@fused_only
def test_fused_attention_dropout_against_float64(evaluate):
    rate, seed, dy = 0.25, 5, random(*scores.shape)
    keep = murmur_mask(scores.size, rate, seed).reshape(scores.shape) / (1 - rate)

    def function(scores):
        return softmax(scores * 0.25 + mask_scores) * keep

    given = tf.constant(scores, tf.float32)
    result = kernels.FUSED.attention_weights(given, tf.constant(mask_scores, tf.float32), 0.25, rate, tf.constant(seed))
    found, gradient = evaluate([result, tf.gradients(result, [given], tf.constant(dy, tf.float32))[0]])
    assert_close(found, function(scores), 1e-5)
    assert_close(gradient, numeric_gradients(function, [scores], dy)[0], 1e-5)


@fused_only
def test_kernels_take_any_shape_at_run_time(evaluate):
    """One graph, batches of several lengths: each compiled at its first use."""
    given = tf.placeholder(tf.float32, [None, WIDTH])
    result = kernels.FUSED.bias_gelu(given, tf.zeros([WIDTH]))
    for rows in (1, 5, 3, 5):
        value = random(rows, WIDTH)
        assert_close(evaluate(result, {given: value}), gelu(value), 1e-5)


def test_recomputed_has_the_same_value_and_gradient(evaluate):
    arrays = [tf.constant(random(4, 3), tf.float32), tf.constant(random(3, 5), tf.float32)]
    seed = masks.new_seeds(1)[0]
    calls = []

    def function(x, w):
        calls.append(x)
        return tf.tanh(kernels.dropout(tf.matmul(x, w), 0.5, seed))

    plain, recomputed = function(*arrays), kernels.recomputed(function)(*arrays)
    assert len(calls) == 2
    gradients = [tf.gradients(result, arrays) for result in (plain, recomputed)]
    assert len(calls) == 3  # the backward pass computed it once more
    (value, value_again), (expected, found) = evaluate([[plain, recomputed], gradients])
    np.testing.assert_array_equal(value, value_again)
    for one, other in zip(expected, found):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
