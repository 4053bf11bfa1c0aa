"""The layers of the encoder and of the heads on it: dense, LayerNorm, dropout, activations, initialisation."""

import six
import tensorflow.compat.v1 as tf

from bert.encoder import kernels
from bert.encoder.kernels import gelu


def dense(rows, units, name, initializer_range, activation=None):
    """`activation(rows @ kernel + bias)`; rows: [n, inputs], result: [n, units]."""
    with tf.variable_scope(name):
        kernel = tf.get_variable(
            "kernel", [rows.shape.as_list()[-1], units], initializer=create_initializer(initializer_range)
        )
        bias = tf.get_variable("bias", [units], initializer=tf.zeros_initializer())
        result = tf.nn.bias_add(tf.matmul(rows, kernel), bias)
    return result if activation is None else activation(result)


def layer_norm(input_tensor, name=None):
    """Normalises the last dimension to mean 0 and variance 1, then scales and shifts (Ba et al., 2016).

    Args:
      input_tensor: float [..., size].
      name: variable scope; default "LayerNorm", with variables `beta` and `gamma` of [size].
    """
    size = input_tensor.shape.as_list()[-1]
    with tf.variable_scope(name, default_name="LayerNorm"):
        beta = tf.get_variable("beta", [size], initializer=tf.zeros_initializer())
        gamma = tf.get_variable("gamma", [size], initializer=tf.ones_initializer())
    return kernels.normalize(input_tensor, gamma, beta)


def dropout(input_tensor, dropout_prob):
    """Sets a fraction `dropout_prob` of the elements to 0 and scales the rest by 1 / (1 - dropout_prob).

    A probability of None or 0 returns the tensor itself.
    """
    return kernels.dropout(input_tensor, dropout_prob)


def get_activation(activation):
    """The function that `hidden_act` names: gelu, relu or tanh; None for linear or no name; a function stays as it is.

    Raises:
      ValueError: another name.
    """
    if not activation or callable(activation):
        return activation or None
    named = {"linear": None, "relu": tf.nn.relu, "gelu": gelu, "tanh": tf.tanh}
    try:
        return named[str(activation).lower()]
    except KeyError:
        raise ValueError(f"hidden_act is '{activation}'; expected one of {sorted(named)}")


def create_initializer(initializer_range=0.02):
    """Truncated normal with standard deviation `initializer_range`."""
    return tf.truncated_normal_initializer(stddev=initializer_range)


def get_shape_list(tensor, expected_rank=None, name=None):
    """The shape as a list: for each dimension an int where the graph knows it, else a scalar int32 tensor.

    Args:
      tensor: a tensor of known rank.
      expected_rank: int, or collection of ints, that the rank has to be (one of).
      name: what to call the tensor in the error.

    Raises:
      ValueError: the rank is not as expected.
    """
    static = tensor.shape.as_list()
    if expected_rank is not None:
        allowed = [expected_rank] if isinstance(expected_rank, six.integer_types) else list(expected_rank)
        if len(static) not in allowed:
            raise ValueError(
                "tensor {} has rank {} (shape {}); expected rank {}".format(
                    name or tensor.name, len(static), static, " or ".join(map(str, allowed))
                )
            )
    if None not in static:
        return static
    dynamic = tf.shape(tensor)
    return [dynamic[i] if size is None else size for i, size in enumerate(static)]
