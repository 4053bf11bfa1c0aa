"""The encoder's work between its matmuls: each operation as a plain function and as a fused kernel.

A plain function is ordinary TensorFlow. It is the readable definition, it runs on any device, and tests compare the
kernels with it. Its fused kernel computes the same in one pass over memory. XLA compiles it; its gradient is written by
hand and keeps less of the forward pass than TensorFlow would. Matmuls are not part of a kernel, because the CPU's own
library is faster at them than XLA. TensorFlow 1.15 cannot compile single functions, so it has the plain ones only.

All arithmetic is float32, whatever the type of the arguments; results have the type of the first argument. In shapes,
rows = batch * seq_len. Dropout takes a seed, int32 []. The same seed gives the same mask, so a gradient drops what the
forward pass dropped, and so does a layer that is computed twice to save memory.
"""

import collections
import functools
import math

import tensorflow.compat.v1 as tf

from bert.encoder import masks

LAYER_NORM_EPSILON = 1e-12

# One implementation of each operation; the plain functions document them. PLAIN: the plain functions. FUSED: kernels
# with gradients. COMPILED: kernels for graphs that are not trained, which keep nothing for a backward pass.
Kernels = collections.namedtuple("Kernels", ["bias_gelu", "bias_to_heads", "attention_weights", "residual_norm"])


class Compute(collections.namedtuple("Compute", ["dtype", "kernels", "recompute", "packed"], defaults=[False])):
    """How the encoder computes.

    Attributes:
      dtype: type of activations and matmuls; variables are always float32.
      kernels: Kernels.
      recompute: keep only each layer's input for the backward pass and compute the layer again there.
      packed: compute tokens alone, not padding, see packing.py.
    """

    @property
    def is_compiled(self):
        """Whether XLA compiles the kernels, anew for each length of batch."""
        return self.kernels is not PLAIN


def can_fuse():
    """Whether this TensorFlow compiles single functions with XLA."""
    return tf.__version__.startswith("2.")


def dropout(x, rate, seed=None):
    """Sets a fraction `rate` of the elements to 0 and scales the others by 1 / (1 - rate).

    Args:
      x: float tensor.
      rate: fraction from 0 to below 1; None or 0 returns the tensor itself.
      seed: int32 []; default: a new one.
    """
    if not rate:
        return x
    keep = masks.random_mask(tf.shape(x), rate, masks.new_seeds(1)[0] if seed is None else seed)
    return tf.where_v2(keep, x * tf.cast(1.0 / (1.0 - rate), x.dtype), tf.zeros([], x.dtype))


def gelu(x):
    """Gaussian error linear unit in its exact form, x * Phi(x) (Hendrycks and Gimpel, 2016)."""
    return x * (0.5 * (1.0 + tf.math.erf(x / math.sqrt(2.0))))  # in this order: one temporary less


def gelu_tanh(x):
    """The tanh form of gelu, an approximation from the same paper; Google BERT's code has it since 2019."""
    return x * 0.5 * (1.0 + tf.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * tf.pow(x, 3))))


def normalize(x, gamma, beta):
    """LayerNorm (Ba et al., 2016): mean 0 and variance 1 in the last dimension, then scale by gamma and shift by beta.

    Args:
      x: float [..., width].
      gamma, beta: float [width].

    Returns:
      float [..., width].
    """
    return _standardize(x, _row_mean)[0] * gamma + beta


def bias_gelu(x, bias):
    """gelu(x + bias); x: [rows, width], bias: float32 [width]."""
    return tf.cast(gelu(_float(x) + bias), x.dtype)


def bias_to_heads(x, bias, seq_len, heads):
    """x + bias, split into attention heads.

    Args:
      x: [rows, hidden].
      bias: float32 [hidden].
      seq_len: int or int32 [].
      heads: int.

    Returns:
      [batch, heads, seq_len, head_size].
    """
    return split_heads(tf.cast(_float(x) + bias, x.dtype), seq_len, heads)


def split_heads(x, seq_len, heads):
    """The rows [rows, hidden] of all heads, side by side, as [batch, heads, seq_len, head_size]."""
    head_size = x.shape.as_list()[-1] // heads
    split = tf.reshape(x, [-1, seq_len, heads, head_size])  # [batch, seq_len, heads, head_size]
    return tf.transpose(split, [0, 2, 1, 3])  # [batch, heads, seq_len, head_size]


def attention_weights(scores, mask_scores, scale, rate, seed):
    """dropout(softmax(scores * scale + mask_scores)); the softmax is over the keys.

    Args:
      scores: [batch, heads, seq_len of queries, seq_len of keys].
      mask_scores: float32 [batch, 1, 1, seq_len], 0 at tokens, very negative at padding.
      scale, rate: Python floats.
      seed: int32 [].

    Returns:
      [batch, heads, seq_len, seq_len].
    """
    weights = tf.nn.softmax(_float(scores) * scale + mask_scores)
    return tf.cast(dropout(weights, rate, seed), scores.dtype)


def residual_norm(x, bias, residual, gamma, beta, rate, seed):
    """normalize(dropout(x + bias) + residual).

    Args:
      x, residual: [rows, width].
      bias, gamma, beta: float32 [width].
      rate: Python float.
      seed: int32 [].

    Returns:
      [rows, width].
    """
    total = dropout(_float(x) + bias, rate, seed) + _float(residual)
    return tf.cast(normalize(total, gamma, beta), x.dtype)


def _float(x):
    return tf.cast(x, tf.float32)


def _row_mean(x):
    """Mean over the last dimension, [..., 1]."""
    return tf.reduce_mean(x, axis=-1, keepdims=True)


def _fast_row_mean(x):
    """As `_row_mean`, for kernels: XLA vectorises a sum of slices, but not a sum along a row."""
    width = x.shape.as_list()[-1]
    slices = tf.split(x, 8, axis=-1) if width % 8 == 0 else [x]  # 8 of [..., width / 8]
    return tf.reduce_sum(functools.reduce(tf.add, slices), axis=-1, keepdims=True) / width


def _standardize(x, row_mean):
    """(x with mean 0 and variance 1 in the last dimension, 1 / standard deviation [..., 1])."""
    centred = x - row_mean(x)  # [..., width]
    inverse = tf.rsqrt(row_mean(tf.square(centred)) + LAYER_NORM_EPSILON)  # [..., 1]
    return centred * inverse, inverse


def _drop(x, rate, seed):
    """Dropout inside a kernel."""
    return tf.where_v2(masks.hashed_mask(tf.shape(x), rate, seed), x * (1.0 / (1.0 - rate)), 0.0) if rate else x


def recomputed(function):
    """The function, whose backward pass computes it a second time (gradient checkpointing, Chen et al., 2016).

    So its intermediate results need not be kept between the forward pass and the backward pass.

    Args:
      function: from float tensors to one float tensor.
    """

    @tf.custom_gradient
    def with_gradient(*inputs):
        def gradient(dy):
            # Wait for dy: otherwise all layers would be computed again at the same time.
            with tf.control_dependencies([dy]):
                again = [tf.identity(x) for x in inputs]
            return tf.gradients(function(*again), again, dy)

        return function(*inputs), gradient

    return with_gradient


def compiled(function):
    """The function compiled by XLA, once for each shape; call only where `can_fuse`."""
    traced = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*args, **kwargs):
        # An optimizer colocates its ops with each variable. Calls with different colocations would be different
        # functions, and each would be compiled.
        with tf.colocate_with(None, ignore_existing=True):
            return traced(*args, **kwargs)

    return call


def _fused_bias_gelu():
    @compiled
    def forward(x, bias):
        z = _float(x) + bias  # [rows, width], as all below
        below = 0.5 * (1.0 + tf.math.erf(z / math.sqrt(2.0)))  # Phi(z)
        slope = below + z * tf.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)  # the derivative of gelu at z
        return tf.cast(z * below, x.dtype), tf.cast(slope, x.dtype)

    @compiled
    def backward(slope, dy):
        return tf.cast(_float(slope) * _float(dy), dy.dtype)

    @tf.custom_gradient
    def fused(x, bias):
        # The slope takes as much memory as x, and keeping it saves computing Phi twice.
        result, slope = forward(x, bias)

        def gradient(dy):
            dx = backward(slope, dy)
            return dx, _sum_rows(dx)

        return result, gradient

    return fused


def _fused_bias_to_heads():
    forward = compiled(bias_to_heads)

    def fused(x, bias, seq_len, heads):
        @tf.custom_gradient
        def with_gradient(x, bias):
            def gradient(dy):
                dx = tf.reshape(tf.transpose(dy, [0, 2, 1, 3]), tf.shape(x))  # [rows, hidden]
                return dx, _sum_rows(dx)

            return forward(x, bias, seq_len, heads), gradient

        return with_gradient(x, bias)

    return fused


def _fused_attention_weights():
    @compiled
    def logits(scores, mask_scores, scale):
        return _float(scores) * scale + mask_scores

    dropped = compiled(lambda weights, rate, seed, dtype: tf.cast(_drop(weights, rate, seed), dtype))

    def forward(scores, mask_scores, scale, rate, seed):
        # XLA is slow at sums along short rows, so TensorFlow computes the softmax.
        weights = tf.nn.softmax(logits(scores, mask_scores, scale))  # [batch, heads, seq_len, seq_len]
        rounded = tf.cast(weights, scores.dtype)
        return (rounded, dropped(weights, rate, seed, scores.dtype)) if rate else (rounded,)

    @compiled
    def backward(weights, scale, rate, seed, dy):
        dtype = weights.dtype
        weights, dy = _float(weights), _drop(_float(dy), rate, seed)
        inner = dy - tf.reduce_sum(dy * weights, axis=-1, keepdims=True)  # [batch, heads, seq_len, seq_len]
        return tf.cast(weights * inner * scale, dtype)

    def fused(scores, mask_scores, scale, rate, seed):
        @tf.custom_gradient
        def with_gradient(scores):
            results = forward(scores, mask_scores, scale, rate, seed)

            def gradient(dy):
                return backward(results[0], scale, rate, seed, dy)

            return results[-1], gradient

        return with_gradient(scores)

    return fused


def _fused_residual_norm():
    @compiled
    def forward(x, bias, residual, gamma, beta, rate, seed):
        total = _drop(_float(x) + bias, rate, seed) + _float(residual)  # [rows, width]
        standardized, inverse = _standardize(total, _fast_row_mean)  # [rows, width], [rows, 1]
        return tf.cast(standardized * gamma + beta, x.dtype), tf.cast(standardized, x.dtype), inverse

    @compiled
    def backward(standardized, inverse, gamma, rate, seed, dy):
        dtype = dy.dtype
        standardized, dy = _float(standardized), _float(dy)
        scaled = dy * gamma  # [rows, width]
        along = _fast_row_mean(scaled * standardized)  # [rows, 1]
        dtotal = inverse * (scaled - _fast_row_mean(scaled) - standardized * along)  # [rows, width]
        return [tf.cast(x, dtype) for x in (_drop(dtotal, rate, seed), dtotal, dy * standardized)]

    def fused(x, bias, residual, gamma, beta, rate, seed):
        @tf.custom_gradient
        def with_gradient(x, bias, residual, gamma, beta):
            result, standardized, inverse = forward(x, bias, residual, gamma, beta, rate, seed)

            def gradient(dy):
                dx, dresidual, dgamma = backward(standardized, inverse, gamma, rate, seed, dy)
                return dx, _sum_rows(dx), dresidual, _sum_rows(dgamma), _sum_rows(dy)

            return result, gradient

        return with_gradient(x, bias, residual, gamma, beta)

    return fused


def _sum_rows(x):
    """Sum over rows, float32 [width]: a matmul with ones, as the CPU's fastest code is that of matmuls."""
    ones = tf.ones([1, tf.shape(x)[0]], x.dtype)  # [1, rows]
    return _float(tf.matmul(ones, x))[0]


def _compiled_residual_norm():
    """The kernel of `residual_norm` without a gradient."""

    @compiled
    def forward(x, bias, residual, gamma, beta, rate, seed):
        standardized, _ = _standardize(_drop(_float(x) + bias, rate, seed) + _float(residual), _fast_row_mean)
        return tf.cast(standardized * gamma + beta, x.dtype)

    return forward


PLAIN = Kernels(bias_gelu, bias_to_heads, attention_weights, residual_norm)
FUSED = COMPILED = None
if can_fuse():
    FUSED = Kernels(_fused_bias_gelu(), _fused_bias_to_heads(), _fused_attention_weights(), _fused_residual_norm())
    COMPILED = Kernels(compiled(bias_gelu), compiled(bias_to_heads), FUSED.attention_weights, _compiled_residual_norm())
REFERENCE = Compute(tf.float32, PLAIN, False)


def without_gradient(compute):
    """The Compute for the same encoder in a graph that is not trained."""
    return compute._replace(kernels=COMPILED if compute.kernels is FUSED else compute.kernels, recompute=False)
