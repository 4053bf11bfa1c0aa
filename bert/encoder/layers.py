"""The layers of the encoder and of the heads on it: dense, LayerNorm, dropout, activations, initialisation."""

import six
import tensorflow.compat.v1 as tf

from bert.encoder import kernels
from bert.encoder.kernels import gelu, gelu_tanh


def dense(rows, units, name, initializer_range, activation=None):
    """A fully connected layer: `activation(rows @ kernel + bias)`.

    Args:
      rows: float [n, inputs].
      units: width of the result.
      name: variable scope, with variables `kernel` [inputs, units] and `bias` [units].
      initializer_range: standard deviation of the kernel's initialisation.
      activation: function, or None for a linear layer.

    Returns:
      float [n, units].
    """
    with tf.variable_scope(name):
        kernel = tf.get_variable(
            "kernel", [rows.shape.as_list()[-1], units], initializer=create_initializer(initializer_range)
        )
        bias = tf.get_variable("bias", [units], initializer=tf.zeros_initializer())
        result = tf.nn.bias_add(tf.matmul(rows, kernel), bias)  # [n, units]
    return result if activation is None else activation(result)


def layer_norm(input_tensor, name=None):
    """Normalises the last dimension to mean 0 and variance 1, then scales and shifts (Ba et al., 2016).

    Args:
      input_tensor: float [..., size].
      name: variable scope; default "LayerNorm", with variables `beta` and `gamma` of [size].

    Returns:
      float [..., size].
    """
    size = input_tensor.shape.as_list()[-1]
    with tf.variable_scope(name, default_name="LayerNorm"):
        beta = tf.get_variable("beta", [size], initializer=tf.zeros_initializer())
        gamma = tf.get_variable("gamma", [size], initializer=tf.ones_initializer())
    return kernels.normalize(input_tensor, gamma, beta)


def layer_norm_and_dropout(input_tensor, dropout_prob, name=None):
    """`layer_norm`, then `dropout`."""
    return dropout(layer_norm(input_tensor, name), dropout_prob)


def dropout(input_tensor, dropout_prob):
    """Sets a fraction `dropout_prob` of the elements to 0 and scales the rest by 1 / (1 - dropout_prob).

    A probability of None or 0 returns the tensor itself.
    """
    return kernels.dropout(input_tensor, dropout_prob)


def get_activation(activation_string):
    """The activation function that `hidden_act` names.

    Args:
      activation_string: "gelu", the exact form, which is that of the release; "gelu_new" or "gelu_tanh", the tanh form,
        which Google's code has since 2019; "relu", "tanh" or "linear"; None or "" as "linear"; or a function.

    Returns:
      The function; None for "linear".

    Raises:
      ValueError: the name is another one.
    """
    if not activation_string or callable(activation_string):
        return activation_string or None
    named = {
        "linear": None,
        "relu": tf.nn.relu,
        "gelu": gelu,
        "gelu_new": gelu_tanh,
        "gelu_tanh": gelu_tanh,
        "tanh": tf.tanh,
    }
    try:
        return named[str(activation_string).lower()]
    except KeyError:
        raise ValueError(f"hidden_act is '{activation_string}'; expected one of {sorted(named)}")


def create_initializer(initializer_range=0.02):
    """Truncated normal with standard deviation `initializer_range`."""
    return tf.truncated_normal_initializer(stddev=initializer_range)


def get_shape_list(tensor, expected_rank=None, name=None):
    """The shape of a tensor as a list.

    Args:
      tensor: a tensor of known rank.
      expected_rank: int, or collection of int: the ranks that are allowed.
      name: what to call the tensor in the error.

    Returns:
      List with an int for each dimension that the graph knows, and a scalar int32 tensor for each that it does not.

    Raises:
      ValueError: the rank is not allowed.
    """
    static = tensor.shape.as_list()
    if expected_rank is not None:
        assert_rank(tensor, expected_rank, name)
    if None not in static:
        return static
    dynamic = tf.shape(tensor)
    return [dynamic[i] if size is None else size for i, size in enumerate(static)]


def assert_rank(tensor, expected_rank, name=None):
    """ValueError unless a tensor has the expected rank; arguments as `get_shape_list`."""
    static = tensor.shape.as_list()
    allowed = [expected_rank] if isinstance(expected_rank, six.integer_types) else list(expected_rank)
    if len(static) not in allowed:
        raise ValueError(
            "tensor {} has rank {} (shape {}); expected rank {}".format(
                name or tensor.name, len(static), static, " or ".join(map(str, allowed))
            )
        )


def reshape_to_matrix(input_tensor):
    """A tensor [..., width] as rows, [n, width]; one that has them already stays as it is.

    Raises:
      ValueError: the tensor has fewer than two dimensions.
    """
    if input_tensor.shape.ndims < 2:
        raise ValueError(f"tensor {input_tensor.name} has rank {input_tensor.shape.ndims}; expected 2 or more")
    if input_tensor.shape.ndims == 2:
        return input_tensor
    return tf.reshape(input_tensor, [-1, input_tensor.shape.as_list()[-1]])


def reshape_from_matrix(output_tensor, orig_shape_list):
    """Rows [n, width] in the shape of the tensor that `reshape_to_matrix` made them from, but for the width.

    Args:
      output_tensor: [n, width].
      orig_shape_list: the shape of that tensor, see `get_shape_list`.
    """
    if len(orig_shape_list) == 2:
        return output_tensor
    width = get_shape_list(output_tensor, expected_rank=2)[-1]
    return tf.reshape(output_tensor, list(orig_shape_list[:-1]) + [width])
