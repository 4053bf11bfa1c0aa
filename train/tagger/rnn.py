"""Bidirectional LSTM and GRU over sentences of differing lengths, with TensorFlow's cell formulas and names.

Both directions run in one loop. The matmul with the inputs does not depend on the state, so it is done before the
loop, for all steps at once. This takes several times fewer and larger matmuls than cell by cell.
"""

import tensorflow.compat.v1 as tf

FORGET_BIAS = 1.0


def bidirectional_rnn(inputs, lengths, cell, size, num_layers):
    """A stack of RNN layers in each direction; layer k > 0 reads its own direction only.

    Variables, within the current scope: `bidirectional_rnn/{fw,bw}/lstm_cell/{kernel,bias}`, or for several layers
    `bidirectional_rnn/{fw,bw}/multi_rnn_cell/cell_k/lstm_cell/...`; a GRU has `gru_cell/{gates,candidate}/...`.

    Args:
      inputs: float [batch, steps, width].
      lengths: int [batch]; what follows a sentence's end is not read.
      cell: "lstm" or "gru".
      size: units in each direction.
      num_layers: layers in each direction.

    Returns:
      float [batch, steps, 2 * size], forward then backward; 0 after a sentence's end.
    """
    layer = {"lstm": _lstm_layer, "gru": _gru_layer}[cell]
    by_time = tf.transpose(inputs, [1, 0, 2])  # [steps, batch, width]
    # The backward direction reads each sentence reversed, its padding still at the end.
    backwards = _backwards(lengths, tf.shape(by_time)[0])  # [steps * batch]
    directions = [by_time, _reordered(by_time, backwards)]  # each [steps, batch, width]
    with tf.variable_scope("bidirectional_rnn"):
        for k in range(num_layers):
            directions = layer(directions, size, f"multi_rnn_cell/cell_{k}/" if num_layers > 1 else "")
    outputs = tf.concat([directions[0], _reordered(directions[1], backwards)], axis=-1)  # [steps, batch, 2 * size]
    outputs = tf.transpose(outputs, [1, 0, 2])  # [batch, steps, 2 * size]
    return outputs * tf.sequence_mask(lengths, tf.shape(inputs)[1], dtype=outputs.dtype)[:, :, None]


def _lstm_layer(inputs, size, scope):
    """One LSTM layer in both directions: two of [steps, batch, width] to two of [steps, batch, size].

    With [i, j, f, o] = [x, h] @ kernel + bias (Hochreiter and Schmidhuber, 1997; TF's LSTMCell):
      c' = c * sigmoid(f + 1) + sigmoid(i) * tanh(j),  h' = tanh(c') * sigmoid(o)
    """
    projected, recurrent = _project(inputs, size, 4 * size, scope + "lstm_cell", tf.zeros_initializer())

    def step(state, gates_from_input):
        h, c = state  # each [2, batch, size]
        i, j, f, o = tf.split(gates_from_input + tf.matmul(h, recurrent), 4, axis=-1)  # each [2, batch, size]
        c = c * tf.sigmoid(f + FORGET_BIAS) + tf.sigmoid(i) * tf.tanh(j)
        return tf.tanh(c) * tf.sigmoid(o), c

    zeros = _zero_state(inputs, size)  # [2, batch, size]
    return tf.unstack(tf.scan(step, projected, initializer=(zeros, zeros))[0], 2, axis=1)


def _gru_layer(inputs, size, scope):
    """One GRU layer in both directions: two of [steps, batch, width] to two of [steps, batch, size].

    With the reset before the matmul (Cho et al., 2014; TF's GRUCell):
      [r, u] = sigmoid([x, h] @ gates),  c = tanh([x, r * h] @ candidate),  h' = u * h + (1 - u) * c
    """
    gates, gates_recurrent = _project(inputs, size, 2 * size, scope + "gru_cell/gates", tf.ones_initializer())
    candidate, candidate_recurrent = _project(inputs, size, size, scope + "gru_cell/candidate", tf.zeros_initializer())

    def step(h, from_input):
        gates_from_input, candidate_from_input = from_input
        r, u = tf.split(tf.sigmoid(gates_from_input + tf.matmul(h, gates_recurrent)), 2, axis=-1)  # [2, batch, size]
        c = tf.tanh(candidate_from_input + tf.matmul(r * h, candidate_recurrent))  # [2, batch, size]
        return u * h + (1.0 - u) * c

    return tf.unstack(tf.scan(step, (gates, candidate), initializer=_zero_state(inputs, size)), 2, axis=1)


def _project(inputs, size, units, scope, bias_initializer):
    """The inputs' share of `[x, h] @ kernel + bias` for all steps of both directions, and the state's kernel.

    Args:
      inputs: two of [steps, batch, width].

    Returns:
      ([steps, 2, batch, units], recurrent kernels [2, size, units]).
    """
    width = inputs[0].shape.as_list()[-1]
    steps, batch, _ = tf.unstack(tf.shape(inputs[0]))
    from_input, recurrent = [], []
    for sequence, direction in zip(inputs, ("fw", "bw")):
        with tf.variable_scope(f"{direction}/{scope}"):
            kernel = tf.get_variable("kernel", [width + size, units], initializer=tf.glorot_uniform_initializer())
            bias = tf.get_variable("bias", [units], initializer=bias_initializer)
        # Split, not sliced: the gradient of a slice is as large as the whole, and mostly zeros.
        of_input, of_state = tf.split(kernel, [width, size])  # [width, units], [size, units]
        rows = tf.matmul(tf.reshape(sequence, [-1, width]), of_input) + bias  # [steps * batch, units]
        from_input.append(tf.reshape(rows, [steps, batch, units]))
        recurrent.append(of_state)
    return tf.stack(from_input, axis=1), tf.stack(recurrent)


def _zero_state(inputs, size):
    return tf.zeros([2, tf.shape(inputs[0])[1], size], inputs[0].dtype)


def _backwards(lengths, steps):
    """The order that reverses each sentence and leaves its padding in place; applied twice, it changes nothing.

    Returns:
      int32 [steps * batch]: for each row of the result, the row of the input to take.
    """
    lengths = tf.cast(lengths, tf.int32)
    step, batch = tf.range(steps)[:, None], tf.shape(lengths)[0]
    source = tf.where_v2(step < lengths, lengths - 1 - step, step)  # [steps, batch]
    return tf.reshape(source * batch + tf.range(batch), [-1])


def _reordered(by_time, order):
    """The rows of [steps, batch, width] in another order, which must be its own inverse.

    It does what tf.reverse_sequence does, but copies whole rows and not single numbers, which is faster.
    """

    @tf.custom_gradient
    def reordered(x):
        width = x.shape.as_list()[-1]
        result = tf.reshape(tf.gather(tf.reshape(x, [-1, width]), order), tf.shape(x))
        result.set_shape(x.shape)
        return result, lambda dy: _reordered(dy, order)

    return reordered(by_time)
