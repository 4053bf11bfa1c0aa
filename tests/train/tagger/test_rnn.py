"""The RNN against the cells' formulas in numpy and against TensorFlow's own cells: values, gradients, checkpoints."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.runtime import estimator
from train.tagger.rnn import bidirectional_rnn

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated:UserWarning")  # TensorFlow's, of its cells

CELLS = [("lstm", 1), ("lstm", 2), ("gru", 1), ("gru", 2)]
WIDTH, SIZE = 3, 4
LENGTHS = np.array([5, 2, 0, 1, 4], np.int32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_rnn(inputs, lengths, cell, size, num_layers, variables):
    """Both directions, sentence by sentence, step by step, in float64.

    Args:
      inputs: [batch, steps, width].
      variables: dict from the name behind `bidirectional_rnn/` to value.

    Returns:
      [batch, steps, 2 * size].
    """

    def run(sequence, names):
        h, c = np.zeros(size), np.zeros(size)
        outputs = []
        for x in sequence:
            if cell == "lstm":
                z = np.concatenate([x, h]) @ variables[names + "lstm_cell/kernel"] + variables[names + "lstm_cell/bias"]
                i, j, f, o = np.split(z, 4)
                c = c * sigmoid(f + 1) + sigmoid(i) * np.tanh(j)
                h = np.tanh(c) * sigmoid(o)
            else:
                gates, candidate = (names + "gru_cell/" + part for part in ("gates", "candidate"))
                z = np.concatenate([x, h]) @ variables[gates + "/kernel"] + variables[gates + "/bias"]
                r, u = np.split(sigmoid(z), 2)
                new = np.concatenate([x, r * h]) @ variables[candidate + "/kernel"] + variables[candidate + "/bias"]
                h = u * h + (1 - u) * np.tanh(new)
            outputs.append(h)
        return np.array(outputs)

    result = np.zeros([len(inputs), inputs.shape[1], 2 * size])
    for b, length in enumerate(lengths):
        if length == 0:
            continue
        for part, direction, order in ((slice(0, size), "fw", 1), (slice(size, None), "bw", -1)):
            sequence = np.asarray(inputs[b, :length], np.float64)[::order]
            for k in range(num_layers):
                layer = f"multi_rnn_cell/cell_{k}/" if num_layers > 1 else ""
                sequence = run(sequence, f"{direction}/{layer}")
            result[b, :length, part] = sequence[::order]
    return result


needs_cells = pytest.mark.skipif(
    not estimator.IS_TENSORFLOWS, reason="from 2.16 on TensorFlow has neither Estimators nor RNN cells"
)


def tensorflow_rnn(inputs, lengths, cell, size, num_layers):
    """The same out of TensorFlow's cells, as the archive built it."""

    def stack():
        make = {"lstm": tf.nn.rnn_cell.LSTMCell, "gru": tf.nn.rnn_cell.GRUCell}[cell]
        layers = [make(size) for _ in range(num_layers)]
        return layers[0] if num_layers == 1 else tf.nn.rnn_cell.MultiRNNCell(layers)

    outputs, _ = tf.nn.bidirectional_dynamic_rnn(stack(), stack(), inputs, lengths, dtype=inputs.dtype)
    return tf.concat(outputs, axis=-1)


def names_and_shapes():
    return {var.op.name: tuple(var.shape.as_list()) for var in tf.trainable_variables()}


def load(values, session):
    """Gives the variables of the default graph these values, a dict by name."""
    variables = [var for var in tf.global_variables() if var.op.name in values]
    assert len(variables) == len(values)
    fed = {var.initializer.inputs[1]: values[var.op.name] for var in variables}
    session.run([var.initializer for var in variables], fed)


def random_values(seed=0):
    """A random value of standard deviation 1 for every variable, biases too: dict by name."""
    rng = np.random.RandomState(seed)
    return {
        var.op.name: rng.normal(size=var.shape.as_list()).astype(var.dtype.as_numpy_dtype)
        for var in sorted(tf.trainable_variables(), key=lambda var: var.op.name)
    }


def randomise(evaluate, seed=0):
    """Gives the variables random values; returns these."""
    evaluate([])
    values = random_values(seed)
    load(values, evaluate.session)
    return values


def random_inputs(steps=5):
    return np.random.RandomState(1).normal(size=[len(LENGTHS), steps, WIDTH])


def behind(prefix, values):
    return {name[len(prefix) :]: value for name, value in values.items() if name.startswith(prefix)}


@pytest.mark.parametrize("cell,num_layers", CELLS)
def test_values(cell, num_layers, evaluate):
    inputs = random_inputs()
    with tf.variable_scope("rnn_layer", dtype=tf.float64, use_resource=num_layers > 1):
        outputs = bidirectional_rnn(tf.constant(inputs), LENGTHS, cell, SIZE, num_layers)
    variables = behind("rnn_layer/bidirectional_rnn/", randomise(evaluate))
    expected = numpy_rnn(inputs, LENGTHS, cell, SIZE, num_layers, variables)
    found = evaluate(outputs)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    for b, length in enumerate(LENGTHS):
        assert not found[b, length:].any() and found[b, :length].all()


@needs_cells
@pytest.mark.parametrize("cell,num_layers", CELLS)
def test_variables_are_those_of_tensorflows_cells(cell, num_layers):
    built = []
    for rnn in (bidirectional_rnn, tensorflow_rnn):
        with tf.Graph().as_default(), tf.variable_scope("rnn_layer"):
            rnn(tf.zeros([2, 5, WIDTH]), tf.constant([5, 2]), cell, SIZE, num_layers)
            built.append(names_and_shapes())
    assert built[0] == built[1]


def test_names_and_shapes_as_documented():
    expected = {
        ("lstm", 1): {"lstm_cell/kernel": (7, 16), "lstm_cell/bias": (16,)},
        ("gru", 1): {
            "gru_cell/gates/kernel": (7, 8),
            "gru_cell/gates/bias": (8,),
            "gru_cell/candidate/kernel": (7, 4),
            "gru_cell/candidate/bias": (4,),
        },
        ("lstm", 2): {
            "multi_rnn_cell/cell_0/lstm_cell/kernel": (7, 16),
            "multi_rnn_cell/cell_0/lstm_cell/bias": (16,),
            "multi_rnn_cell/cell_1/lstm_cell/kernel": (8, 16),
            "multi_rnn_cell/cell_1/lstm_cell/bias": (16,),
        },
    }
    for (cell, num_layers), variables in expected.items():
        with tf.Graph().as_default():
            with tf.variable_scope("rnn_layer"):
                bidirectional_rnn(tf.zeros([2, 5, WIDTH]), tf.constant([5, 2]), cell, SIZE, num_layers)
            assert names_and_shapes() == {
                f"rnn_layer/bidirectional_rnn/{direction}/{name}": shape
                for direction in ("fw", "bw")
                for name, shape in variables.items()
            }


def test_initial_values(evaluate):
    """Xavier kernels; biases 0 but for the gates of the GRU, which begin by keeping their state."""
    for cell in ("lstm", "gru"):
        with tf.variable_scope(cell):
            bidirectional_rnn(tf.zeros([1, 2, 30]), tf.constant([2]), cell, 20, 1)
    for var, value in zip(tf.trainable_variables(), evaluate(tf.trainable_variables())):
        if var.op.name.endswith("bias"):
            assert (value == ("gates" in var.op.name)).all(), var.op.name
        else:
            limit = np.sqrt(6 / sum(value.shape))
            assert 0.9 * limit < abs(value).max() <= limit
            assert abs(value.std() - limit / np.sqrt(3)) < 0.05 * limit


@needs_cells
@pytest.mark.parametrize("cell,num_layers", CELLS)
def test_a_checkpoint_of_tensorflows_cells_loads_by_name(cell, num_layers, tmp_path):
    """Trained there, restored here: equal outputs, and equal gradients of a loss over all of them."""
    inputs = random_inputs()
    weights = np.random.RandomState(2).normal(size=[len(LENGTHS), 5, 2 * SIZE])
    prefix = str(tmp_path / "model.ckpt")
    results = []
    for rnn in (tensorflow_rnn, bidirectional_rnn):
        with tf.Graph().as_default(), tf.Session() as session:
            fed = tf.constant(inputs)
            with tf.variable_scope("rnn_layer", dtype=tf.float64):
                outputs = rnn(fed, tf.constant(LENGTHS), cell, SIZE, num_layers)
            variables = sorted(tf.trainable_variables(), key=lambda var: var.op.name)
            gradients = tf.gradients(tf.reduce_sum(outputs * weights), [fed] + variables)
            saver = tf.train.Saver()
            if rnn is tensorflow_rnn:
                load(random_values(), session)
                saver.save(session, prefix)
                assert {name for name, _ in tf.train.list_variables(prefix)} == set(names_and_shapes())
            else:
                saver.restore(session, prefix)
            results.append(session.run([outputs] + gradients))
    for theirs, ours in zip(*results):
        assert np.abs(theirs).max() > 0.01
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("cell,num_layers", [("lstm", 2), ("gru", 1)])
def test_padding_changes_nothing(cell, num_layers, evaluate):
    """Neither its content nor its amount; sizes unknown until run time. Gradients too, and none reaches padding."""
    fed = tf.placeholder(tf.float64, [None, None, WIDTH])
    lengths = tf.placeholder(tf.int32, [None])
    with tf.variable_scope("rnn_layer", dtype=tf.float64):
        outputs = bidirectional_rnn(fed, lengths, cell, SIZE, num_layers)
    gradients = tf.gradients(tf.reduce_sum(tf.square(outputs)), [fed] + tf.trainable_variables())
    variables = behind("rnn_layer/bidirectional_rnn/", randomise(evaluate))
    clean = random_inputs()
    other = clean.copy()
    for b, length in enumerate(LENGTHS):
        other[b, length:] = 1e3
    longer = np.concatenate([other, np.full([len(LENGTHS), 4, WIDTH], -1e3)], axis=1)

    expected = numpy_rnn(clean, LENGTHS, cell, SIZE, num_layers, variables)
    results = [evaluate([outputs] + gradients, {fed: value, lengths: LENGTHS}) for value in (clean, other, longer)]
    for found, by_inputs, *by_variables in results:
        np.testing.assert_allclose(found[:, :5], expected, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(by_inputs[:, :5], results[0][1], rtol=1e-12, atol=1e-14)
        for b, length in enumerate(LENGTHS):
            assert not found[b, length:].any() and not by_inputs[b, length:].any()
        for one, reference in zip(by_variables, results[0][2:]):
            np.testing.assert_allclose(one, reference, rtol=1e-12, atol=1e-14)

    # Sentence by sentence, without any padding.
    for b, length in enumerate(LENGTHS):
        if length:
            alone = evaluate(outputs, {fed: clean[b : b + 1, :length], lengths: [length]})
            np.testing.assert_allclose(alone[0], expected[b, :length], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("cell,num_layers,steps", [("lstm", 1, 1), ("lstm", 2, None), ("gru", 1, None), ("gru", 2, 1)])
def test_sentences_of_one_step(cell, num_layers, steps, evaluate):
    fed = tf.placeholder(tf.float64, [None, steps, WIDTH])
    with tf.variable_scope("rnn_layer", dtype=tf.float64):
        outputs = bidirectional_rnn(fed, tf.constant([1, 0, 1], tf.int64), cell, SIZE, num_layers)
    assert outputs.shape.as_list()[-1] == 2 * SIZE
    variables = behind("rnn_layer/bidirectional_rnn/", randomise(evaluate))
    inputs = random_inputs(1)[:3]
    expected = numpy_rnn(inputs, [1, 0, 1], cell, SIZE, num_layers, variables)
    np.testing.assert_allclose(evaluate(outputs, {fed: inputs}), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("cell,num_layers", CELLS)
def test_static_shapes_stay_static(cell, num_layers, graph):
    outputs = bidirectional_rnn(tf.zeros([2, 5, WIDTH]), tf.constant([5, 2]), cell, SIZE, num_layers)
    assert outputs.shape.as_list() == [2, 5, 2 * SIZE]
