"""How the encoder is computed: compiled by XLA, fused, recomputed, and with no operation that nothing uses."""

import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import modeling
from bert.encoder import kernels, masks
from tests.bert.encoder_in_numpy import (
    BATCH,
    MASK,
    SEQ_LEN,
    outputs_of,
    random_inputs,
    set_random_weights,
    small_config,
)

fused_only = pytest.mark.skipif(not kernels.can_fuse(), reason="TensorFlow 1.15 has no fused kernels, nor bfloat16")


def compile_with_xla(function, inputs):
    """`function(*inputs)` compiled as one XLA program, whatever else XLA may do."""
    return tf.xla.experimental.compile(function, inputs)


def test_what_xla_cannot_compile_is_noticed(evaluate):
    """The check on the next test: the compiler is really there."""
    x = tf.placeholder(tf.float32, [2])
    compiled = compile_with_xla(lambda x: tf.strings.to_number(tf.as_string(x)), [x])
    with pytest.raises(tf.errors.InvalidArgumentError):
        evaluate(compiled, {x: [1, 2]})


@pytest.mark.parametrize("one_hot", [False, pytest.param(True, marks=pytest.mark.one_tensorflow)])
def test_forward_and_gradient_compile_under_xla(one_hot, evaluate):
    config = small_config(num_hidden_layers=1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    ids, segments = random_inputs(config)
    inputs = [tf.placeholder(tf.int32, [BATCH, SEQ_LEN]) for _ in range(3)]

    def outputs_and_gradients(*inputs):
        # Variables are resources: XLA takes no others.
        with tf.variable_scope("model", reuse=tf.AUTO_REUSE, use_resource=True):
            model = modeling.BertModel(config, True, *inputs, use_one_hot_embeddings=one_hot, scope="bert")
        outputs = outputs_of(model)
        outputs = [outputs[name] for name in sorted(outputs)]
        loss = tf.add_n([tf.reduce_sum(tf.sin(output)) for output in outputs])
        gradients = tf.gradients(loss, tf.trainable_variables())
        return outputs + [tf.convert_to_tensor(gradient) for gradient in gradients]

    plain = outputs_and_gradients(*inputs)
    compiled = compile_with_xla(outputs_and_gradients, inputs)
    set_random_weights(evaluate)
    feed = dict(zip(inputs, (ids, MASK, segments)))
    for found, expected in zip(evaluate(compiled, feed), evaluate(plain, feed)):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_training_with_dropout_compiles_under_xla(evaluate):
    with tf.variable_scope("model", use_resource=True):
        config = small_config(num_hidden_layers=1)
        ids = tf.constant(random_inputs(config)[0])
        compiled = compile_with_xla(lambda ids: modeling.BertModel(config, True, ids).get_pooled_output(), [ids])
    assert np.isfinite(evaluate(compiled)).all()


def unreachable_ops(graph, fetched, initialisers):
    """The ops that have a tensor going in or out which nothing fetched needs and no initialiser touches.

    A variable's initialisation counts as reached with the variable. Control edges do not count.
    """
    initialiser_of = {op.inputs[0].name: op for op in initialisers}
    seen, stack = set(), list(fetched)
    while stack:
        tensor = stack.pop()
        if tensor.name in seen:
            continue
        seen.add(tensor.name)
        for op in (tensor.op, initialiser_of.get(tensor.name)):
            if op is not None:
                stack.extend(op.inputs)
                stack.extend(op.outputs)
    return [
        op
        for op in graph.get_operations()
        if not seen.issuperset([tensor.name for tensor in list(op.inputs) + list(op.outputs)])
    ]


@pytest.mark.parametrize(  # each two of them in every way
    "is_training,one_hot,masked",
    [(False, False, False), (True, True, False), (True, False, True), (False, True, True)],
)
def test_no_op_is_made_that_nothing_uses(is_training, one_hot, masked, kind_of_variables, graph):
    config = small_config()
    inputs = [tf.constant(MASK) for _ in range(3 if masked else 1)]
    model = modeling.BertModel(config, is_training, *inputs, use_one_hot_embeddings=one_hot)
    initialisers = [var.initializer for var in tf.global_variables()]
    unused = unreachable_ops(graph, outputs_of(model).values(), initialisers)
    if kind_of_variables.startswith("resource"):
        # A resource variable comes with these, whether or not anybody asks for them.
        its_own = ("/IsInitialized/VarIsInitializedOp", "/Read/ReadVariableOp")
        unused = [op for op in unused if not op.name.endswith(its_own)]
    assert [op.name for op in unused] == []


@functools.lru_cache(maxsize=None)
def gradients_with(compute, tokens_only=False, seed=3):
    """(sequence output, gradient of every variable) of a model in training, all of it random but the same each time.

    The graph knows no sizes of the batch. tokens_only: the loss depends on the output at tokens, not at padding.
    """
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(seed)
        config = small_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        ids, segments = random_inputs(config)
        inputs = [tf.placeholder_with_default(value.astype(np.int32), [None, None]) for value in (ids, MASK, segments)]
        model = modeling.BertModel(config, True, *inputs, compute=compute)
        output = model.get_sequence_output()
        upstream = np.random.RandomState(0).normal(size=[*MASK.shape, config.hidden_size]).astype(np.float32)
        upstream *= MASK[:, :, None] if tokens_only else 1
        variables = [var for var in tf.trainable_variables() if "pooler" not in var.name]
        gradients = [tf.convert_to_tensor(gradient) for gradient in tf.gradients(output, variables, upstream)]
        session.run(tf.global_variables_initializer())
        values = np.random.RandomState(1)
        for var in tf.trainable_variables():
            var.load(values.normal(scale=0.3, size=var.shape.as_list()) + ("gamma" in var.name), session)
        assert output.dtype == tf.float32
        return session.run([output, dict(zip([var.op.name for var in variables], gradients))])


def far_off(found, expected):
    """Length of the difference in units of the length of what was expected."""
    return np.linalg.norm(found - expected) / max(np.linalg.norm(expected), 1e-3)


def assert_same_gradients(found, expected, tolerance):
    for name, gradient in expected.items():
        if not name.endswith("key/bias"):  # 0 but for rounding: a softmax does not see what all scores share
            assert far_off(found[name], gradient) < tolerance, name


def test_recomputation_changes_no_gradient():
    output, gradients = gradients_with(kernels.REFERENCE)
    again, recomputed = gradients_with(kernels.REFERENCE._replace(recompute=True))
    assert far_off(again, output) < 1e-5
    assert_same_gradients(recomputed, gradients, 1e-5)


@fused_only
@pytest.mark.parametrize(
    "dtype,tolerance,recompute",
    [
        (tf.float32, 1e-5, False), pytest.param(tf.float32, 1e-5, True, marks=pytest.mark.one_tensorflow),
        pytest.param(tf.bfloat16, 0.1, False, marks=pytest.mark.one_tensorflow), (tf.bfloat16, 0.1, True),
    ],
)  # fmt: skip
def test_fused_model_has_the_plain_model_s_gradients(dtype, tolerance, recompute):
    output, gradients = gradients_with(kernels.REFERENCE)
    found, fused = gradients_with(kernels.Compute(dtype, kernels.FUSED, recompute))
    assert far_off(found, output) < tolerance
    assert_same_gradients(fused, gradients, tolerance)


@pytest.mark.parametrize("fused", [False, pytest.param(True, marks=fused_only)])
def test_packing_changes_no_token_and_no_gradient(fused):
    compute = kernels.REFERENCE._replace(kernels=kernels.FUSED, recompute=True) if fused else kernels.REFERENCE
    output, gradients = gradients_with(kernels.REFERENCE, True)
    found, packed = gradients_with(compute._replace(packed=True), True)
    is_token = MASK.astype(bool)
    assert 0 < is_token.sum() < MASK.size
    assert far_off(found[is_token], output[is_token]) < 1e-5
    assert_same_gradients(packed, gradients, 1e-5)


@pytest.mark.parametrize(("shape", "rows"), [([None, None], MASK.sum()), (list(MASK.shape), MASK.size)])
def test_packing_computes_no_padding(shape, rows, evaluate):
    """Where the graph knows all sizes, as on a TPU, nothing is packed: there sizes must not depend on values."""
    computed = []

    def recording(x, bias):
        computed.append(tf.shape(x)[0])
        return kernels.bias_gelu(x, bias)

    compute = kernels.REFERENCE._replace(kernels=kernels.PLAIN._replace(bias_gelu=recording), packed=True)
    ids, mask = (tf.placeholder_with_default(value, shape) for value in (np.ones_like(MASK), MASK))
    modeling.BertModel(small_config(), True, ids, mask, compute=compute)
    assert evaluate(computed) == [rows] * 2


@pytest.mark.one_tensorflow
def test_recomputed_layers_draw_no_new_seeds(monkeypatch, graph):
    """What is computed a second time takes the seeds of the first: with others it would drop other elements."""
    draws = []

    def constant_seeds(count):
        draws.append(count)
        return tf.range(count) + 100 * len(draws)

    monkeypatch.setattr(masks, "new_seeds", constant_seeds)
    config = small_config(hidden_dropout_prob=0.4, attention_probs_dropout_prob=0.4)
    ids, segments = random_inputs(config)
    found = []
    for recompute in (False, True):
        draws.clear()
        with tf.variable_scope("", reuse=tf.AUTO_REUSE):
            model = modeling.BertModel(
                config, True, tf.constant(ids), tf.constant(MASK), tf.constant(segments), scope="bert",
                compute=kernels.Compute(tf.float32, kernels.PLAIN, recompute),
            )  # fmt: skip
        loss = tf.reduce_sum(tf.square(model.get_sequence_output()))
        variables = [var for var in tf.trainable_variables() if "pooler" not in var.name]
        found.append([tf.convert_to_tensor(gradient) for gradient in tf.gradients(loss, variables)])
        assert draws == [1] + [3] * config.num_hidden_layers
    with tf.Session(graph=graph) as session:
        session.run(tf.global_variables_initializer())
        for kept, recomputed in zip(*session.run(found)):
            assert far_off(recomputed, kept) < 1e-5
