"""The encoder against an implementation in numpy float64, and what checkpoints and callers rely on."""

import json
import math
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import modeling
from bert.encoder import kernels, masks
from bert.system.errors import UserError

BATCH, SEQ_LEN = 3, 7
MASK = np.array([[1] * 7, [1] * 4 + [0] * 3, [1] + [0] * 6], np.int32)


def small_config(**changes):
    values = {
        "vocab_size": 23,
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 20,
        "max_position_embeddings": 9,
        "type_vocab_size": 4,
    }
    values.update(changes)
    return modeling.BertConfig(**values)


def random_inputs(config, batch=BATCH, seq_len=SEQ_LEN):
    """(ids, segment ids), int32 [batch, seq_len]."""
    rng = np.random.RandomState(5)
    ids = rng.randint(0, config.vocab_size, [batch, seq_len]).astype(np.int32)
    return ids, rng.randint(0, config.type_vocab_size, [batch, seq_len]).astype(np.int32)


def set_random_weights(evaluate, seed=0):
    """Gives every trainable variable random values, large enough that nothing is nearly linear; dict of float64."""
    evaluate(tf.no_op())  # initialises
    rng = np.random.RandomState(seed)
    weights = {}
    for var in tf.trainable_variables():
        value = rng.normal(scale=0.5, size=var.shape.as_list()).astype(np.float32)
        var.load(value, evaluate.session)
        weights[var.op.name] = value.astype(np.float64)
    return weights


def outputs_of(model):
    """Every output of the encoder under a name."""
    outputs = {f"layer_{i}": layer for i, layer in enumerate(model.get_all_encoder_layers())}
    outputs["embedding"] = model.get_embedding_output()
    outputs["sequence"] = model.get_sequence_output()
    outputs["pooled"] = model.get_pooled_output()
    return outputs


NUMPY_ACTIVATIONS = {
    "gelu": lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "gelu_new": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "linear": lambda x: x,
}


def numpy_layer_norm(x, beta, gamma):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12) * gamma + beta


def numpy_encoder(config, weights, ids, mask, segments):
    """The encoder sentence by sentence, head by head and query by query, in float64: {name: array} as `outputs_of`."""

    def dense(x, scope):
        return x @ weights[scope + "/kernel"] + weights[scope + "/bias"]

    def norm(x, scope):
        return numpy_layer_norm(x, weights[scope + "/LayerNorm/beta"], weights[scope + "/LayerNorm/gamma"])

    size = config.hidden_size // config.num_attention_heads
    collected = []
    for b in range(len(ids)):
        table = "bert/embeddings/{}_embeddings".format
        x = np.array(
            [
                weights[table("word")][ids[b, t]]
                + weights[table("position")][t]
                + weights[table("token_type")][segments[b, t]]
                for t in range(ids.shape[1])
            ]
        )
        x = norm(x, "bert/embeddings")
        found = {"embedding": x}
        for i in range(config.num_hidden_layers):
            layer = f"bert/encoder/layer_{i}"
            query, key, value = (dense(x, f"{layer}/attention/self/{name}") for name in ("query", "key", "value"))
            context = np.zeros_like(x)
            for head in range(config.num_attention_heads):
                part = slice(head * size, (head + 1) * size)
                for t in range(len(x)):
                    scores = np.array([query[t, part] @ key[s, part] / math.sqrt(size) for s in range(len(x))])
                    scores = scores - 10000.0 * (1 - mask[b])
                    attention = np.exp(scores - scores.max())
                    context[t, part] = (attention / attention.sum()) @ value[:, part]
            attended = norm(x + dense(context, f"{layer}/attention/output/dense"), f"{layer}/attention/output")
            widened = NUMPY_ACTIVATIONS[config.hidden_act](dense(attended, f"{layer}/intermediate/dense"))
            x = norm(attended + dense(widened, f"{layer}/output/dense"), f"{layer}/output")
            found[f"layer_{i}"] = x
        found["sequence"] = x
        found["pooled"] = np.tanh(dense(x[0], "bert/pooler/dense"))
        collected.append(found)
    return {name: np.stack([found[name] for found in collected]) for name in collected[0]}


def assert_same(found, expected, tolerance=1e-5):
    assert set(found) == set(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.fixture(params=["reference variables", "resource variables"])
def kind_of_variables(request):
    before = tf.resource_variables_enabled()
    (tf.enable_resource_variables if request.param.startswith("resource") else tf.disable_resource_variables)()
    yield request.param
    (tf.enable_resource_variables if before else tf.disable_resource_variables)()


@pytest.mark.parametrize("one_hot", [False, True])
def test_outputs_equal_numpy(one_hot, kind_of_variables, evaluate):
    config = small_config()
    ids, segments = random_inputs(config)
    model = modeling.BertModel(
        config,
        is_training=False,
        input_ids=tf.constant(ids),
        input_mask=tf.constant(MASK),
        token_type_ids=tf.constant(segments),
        use_one_hot_embeddings=one_hot,
    )
    weights = set_random_weights(evaluate)
    assert_same(evaluate(outputs_of(model)), numpy_encoder(config, weights, ids, MASK, segments))
    table = evaluate(model.get_embedding_table())
    np.testing.assert_array_equal(table, weights["bert/embeddings/word_embeddings"].astype(np.float32))


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_act": "relu"},
        {"hidden_act": "tanh", "intermediate_size": 5},
        {"hidden_act": "gelu_new"},
        {"hidden_act": "linear", "num_attention_heads": 1},
        {"hidden_act": "gelu", "num_attention_heads": 12, "num_hidden_layers": 3, "type_vocab_size": 2},
    ],
    ids=lambda changes: changes["hidden_act"],
)
def test_other_sizes_and_activations_equal_numpy(changes, evaluate):
    config = small_config(**changes)
    ids, segments = random_inputs(config)
    model = modeling.BertModel(config, False, tf.constant(ids), tf.constant(MASK), tf.constant(segments))
    weights = set_random_weights(evaluate)
    assert_same(evaluate(outputs_of(model)), numpy_encoder(config, weights, ids, MASK, segments))


def test_without_mask_and_segments_every_token_counts_and_is_of_segment_0(evaluate):
    config = small_config()
    ids, _ = random_inputs(config)
    model = modeling.BertModel(config, False, tf.constant(ids))
    weights = set_random_weights(evaluate)
    expected = numpy_encoder(config, weights, ids, np.ones_like(ids), np.zeros_like(ids))
    assert_same(evaluate(outputs_of(model)), expected)


@pytest.mark.parametrize("one_hot", [False, True])
def test_sizes_known_only_at_run_time_give_the_same(one_hot, evaluate):
    config = small_config()
    ids, mask, segments = (tf.placeholder(tf.int32, [None, None]) for _ in range(3))
    model = modeling.BertModel(config, False, ids, mask, segments, use_one_hot_embeddings=one_hot)
    assert model.get_sequence_output().shape.as_list() == [None, None, 12]
    assert model.get_pooled_output().shape.as_list() == [None, 12]
    weights = set_random_weights(evaluate)
    for batch, seq_len in ((3, 7), (1, 1), (2, 9)):
        fed = random_inputs(config, batch, seq_len)
        all_ones = np.ones([batch, seq_len], np.int32)
        expected = numpy_encoder(config, weights, fed[0], all_ones, fed[1])
        assert_same(evaluate(outputs_of(model), {ids: fed[0], mask: all_ones, segments: fed[1]}), expected)
    with pytest.raises(tf.errors.InvalidArgumentError):  # 10 tokens; the encoder has 9 positions
        evaluate(model.get_sequence_output(), {t: np.zeros([1, 10], np.int32) for t in (ids, mask, segments)})


def test_mask_and_segments_default_with_sizes_known_only_at_run_time(evaluate):
    config = small_config()
    placeholder = tf.placeholder(tf.int32, [None, None])
    model = modeling.BertModel(config, False, placeholder)
    weights = set_random_weights(evaluate)
    ids, _ = random_inputs(config)
    expected = numpy_encoder(config, weights, ids, np.ones_like(ids), np.zeros_like(ids))
    assert_same(evaluate(outputs_of(model), {placeholder: ids}), expected)


def test_int64_inputs_as_records_hold_them(evaluate):
    config = small_config()
    ids, segments = random_inputs(config)
    inputs = [tf.constant(value, tf.int64) for value in (ids, MASK, segments)]
    model = modeling.BertModel(config, False, *inputs)
    weights = set_random_weights(evaluate)
    assert_same(evaluate(outputs_of(model)), numpy_encoder(config, weights, ids, MASK, segments))


def test_padding_changes_no_real_token(evaluate):
    config = small_config()
    ids, mask = tf.placeholder(tf.int32, [None, None]), tf.placeholder(tf.int32, [None, None])
    model = modeling.BertModel(config, False, ids, mask)
    set_random_weights(evaluate)
    tokens = np.array([[4, 8, 15, 16]], np.int32)
    alone = evaluate(outputs_of(model), {ids: tokens, mask: np.ones_like(tokens)})
    for filler in (0, 22):
        padded = np.concatenate([tokens, np.full([1, 5], filler, np.int32)], axis=1)
        found = evaluate(outputs_of(model), {ids: padded, mask: [[1] * 4 + [0] * 5]})
        for name, value in found.items():
            value = value if name == "pooled" else value[:, :4]
            np.testing.assert_allclose(value, alone[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_variables_are_those_of_released_checkpoints(graph):
    modeling.BertModel(small_config(), True, tf.zeros([2, 3], tf.int32))
    expected = {
        "bert/embeddings/word_embeddings": [23, 12],
        "bert/embeddings/token_type_embeddings": [4, 12],
        "bert/embeddings/position_embeddings": [9, 12],
        "bert/embeddings/LayerNorm/beta": [12],
        "bert/embeddings/LayerNorm/gamma": [12],
        "bert/pooler/dense/kernel": [12, 12],
        "bert/pooler/dense/bias": [12],
    }
    in_each_layer = {
        "attention/self/query/kernel": [12, 12],
        "attention/self/query/bias": [12],
        "attention/self/key/kernel": [12, 12],
        "attention/self/key/bias": [12],
        "attention/self/value/kernel": [12, 12],
        "attention/self/value/bias": [12],
        "attention/output/dense/kernel": [12, 12],
        "attention/output/dense/bias": [12],
        "attention/output/LayerNorm/beta": [12],
        "attention/output/LayerNorm/gamma": [12],
        "intermediate/dense/kernel": [12, 20],
        "intermediate/dense/bias": [20],
        "output/dense/kernel": [20, 12],
        "output/dense/bias": [12],
        "output/LayerNorm/beta": [12],
        "output/LayerNorm/gamma": [12],
    }
    for i in range(2):
        expected.update({f"bert/encoder/layer_{i}/{name}": shape for name, shape in in_each_layer.items()})
    variables = tf.trainable_variables()
    assert {var.op.name: var.shape.as_list() for var in variables} == expected
    assert modeling.encoder_shapes(small_config()) == expected
    assert tf.global_variables() == variables
    assert {var.dtype.base_dtype for var in variables} == {tf.float32}


def test_scopes(graph):
    for scope in (None, None, "other"):
        modeling.BertModel(small_config(num_hidden_layers=1), False, tf.zeros([2, 3], tf.int32), scope=scope)
    assert {var.op.name.split("/")[0] for var in tf.trainable_variables()} == {"bert", "bert_1", "other"}


def test_initial_values(evaluate):
    modeling.BertModel(small_config(vocab_size=500, initializer_range=0.3), False, tf.zeros([1, 2], tf.int32))
    for name, value in evaluate({var.op.name: var for var in tf.trainable_variables()}).items():
        if name.endswith(("beta", "bias")):
            assert not value.any(), name
        elif name.endswith("gamma"):
            assert (value == 1).all(), name
        else:
            assert np.abs(value).max() <= 0.6, name  # cut off at two standard deviations
            assert value.any(), name
    words = evaluate(tf.trainable_variables("bert/embeddings/word_embeddings")[0])
    # A normal cut off at two standard deviations has the standard deviation 0.8796 of the whole.
    np.testing.assert_allclose(words.std(), 0.3 * 0.8796, rtol=0.03)
    np.testing.assert_allclose(words.mean(), 0, atol=0.02)


def test_dropout_is_on_in_training_only(evaluate):
    config = small_config(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.0)
    ids = tf.constant(random_inputs(config)[0])
    with tf.variable_scope("model", reuse=tf.AUTO_REUSE):
        training = modeling.BertModel(config, True, ids, scope="bert").get_sequence_output()
        predicting = modeling.BertModel(config, False, ids, scope="bert").get_sequence_output()
        attention_only = small_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.3)
        attending = modeling.BertModel(attention_only, True, ids, scope="bert").get_sequence_output()
        no_dropout = small_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        undropped = modeling.BertModel(no_dropout, True, ids, scope="bert").get_sequence_output()
    np.testing.assert_array_equal(evaluate(predicting), evaluate(predicting))
    np.testing.assert_array_equal(evaluate(predicting), evaluate(undropped))
    for dropped in (training, attending):
        assert np.abs(evaluate(dropped) - evaluate(dropped)).max() > 1e-3
    assert config.hidden_dropout_prob == 0.2  # the caller's config is as it was


@pytest.mark.parametrize(("hidden", "attention", "places"), [(0.1, 0.1, 7), (0.1, 0.0, 5), (0.0, 0.1, 2)])
def test_where_dropout_is(hidden, attention, places, graph):
    """After the embeddings and, in each of two layers, after both sublayers and on the attention weights."""
    config = small_config(hidden_dropout_prob=hidden, attention_probs_dropout_prob=attention)
    modeling.BertModel(config, True, tf.zeros([2, 3], tf.int32))
    masks = [op for op in graph.get_operations() if op.type.startswith("StatelessRandomUniformInt")]
    assert len(masks) == places


def test_dropout_keeps_the_mean(evaluate):
    values = tf.constant(2.0, shape=[200, 200])
    found = evaluate(modeling.dropout(values, 0.3))
    np.testing.assert_allclose(np.unique(found), [0, 2 / 0.7], rtol=1e-6)
    np.testing.assert_allclose((found == 0).mean(), 0.3, atol=0.01)
    np.testing.assert_allclose(found.mean(), 2.0, atol=0.03)


@pytest.mark.parametrize("nothing", [None, 0, 0.0])
def test_dropout_of_nothing_is_the_tensor_itself(nothing, graph):
    values = tf.ones([2])
    assert modeling.dropout(values, nothing) is values


def test_gelu_is_exact(evaluate):
    x = np.linspace(-6, 6, 200)
    expected = [v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in x]
    np.testing.assert_allclose(evaluate(modeling.gelu(tf.constant(x))), expected, rtol=1e-7, atol=1e-12)
    # The tanh approximation is off by up to 5e-4.
    np.testing.assert_allclose(evaluate(modeling.gelu(tf.constant([2.0]))), [1.9544997], rtol=1e-6)


def test_get_activation(graph):
    assert modeling.get_activation("gelu") is modeling.gelu
    assert modeling.get_activation("ReLU") is tf.nn.relu
    assert modeling.get_activation("tanh") is tf.tanh
    assert modeling.get_activation("gelu_tanh") is modeling.get_activation("gelu_new") is not modeling.gelu
    assert modeling.get_activation(math.sin) is math.sin
    for nothing in ("linear", "", None):
        assert modeling.get_activation(nothing) is None
    for unknown in ("swish", 3):
        with pytest.raises(ValueError, match=f"{unknown}.*gelu.*linear.*relu.*tanh"):
            modeling.get_activation(unknown)


def test_layer_norm(evaluate):
    x = np.random.RandomState(0).normal(loc=50, scale=3, size=[4, 5, 6])
    normalised = modeling.layer_norm(tf.constant(x, tf.float32))
    modeling.layer_norm(tf.constant(x, tf.float32), name="named")
    names = ["LayerNorm/beta", "LayerNorm/gamma", "named/beta", "named/gamma"]
    assert [var.op.name for var in tf.trainable_variables()] == names
    weights = set_random_weights(evaluate)
    expected = numpy_layer_norm(x, weights["LayerNorm/beta"], weights["LayerNorm/gamma"])
    np.testing.assert_allclose(evaluate(normalised), expected, rtol=1e-4, atol=1e-4)


def test_epsilon_of_layer_norm(evaluate):
    x = np.array([[-2e-6, 2e-6]])  # of variance 4e-12, to which an epsilon of 1e-12 matters
    found = evaluate(modeling.layer_norm(tf.constant(x, tf.float32)))
    np.testing.assert_allclose(found, x / np.sqrt(5e-12), rtol=1e-4)


def test_get_shape_list(evaluate):
    tensor = tf.placeholder(tf.float32, [None, 3, None])
    first, second, third = modeling.get_shape_list(tensor, expected_rank=[2, 3])
    assert second == 3
    assert evaluate([first, third], {tensor: np.zeros([5, 3, 0])}) == [5, 0]
    assert modeling.get_shape_list(tf.zeros([2, 4]), expected_rank=2) == [2, 4]
    assert modeling.get_shape_list(tf.zeros([])) == []
    with pytest.raises(ValueError, match="scores.*rank 2.*expected rank 3"):
        modeling.get_shape_list(tf.zeros([2, 4]), expected_rank=3, name="scores")
    with pytest.raises(ValueError, match="rank 2.*expected rank 3 or 4"):
        modeling.get_shape_list(tf.zeros([2, 4]), expected_rank=(3, 4))


def test_what_does_not_fit_is_refused(graph):
    with pytest.raises(ValueError, match="10 tokens .* 9"):
        modeling.BertModel(small_config(), False, tf.zeros([1, 10], tf.int32))
    with pytest.raises(ValueError, match="hidden_size 12 .* 5"):
        modeling.BertModel(small_config(num_attention_heads=5), False, tf.zeros([1, 2], tf.int32))
    with pytest.raises(ValueError, match="rank 1"):
        modeling.BertModel(small_config(), False, tf.zeros([5], tf.int32))
    with pytest.raises(ValueError, match="'swish'"):
        modeling.BertModel(small_config(hidden_act="swish"), False, tf.zeros([1, 2], tf.int32))
    modeling.BertModel(small_config(), False, tf.zeros([1, 9], tf.int32), scope="as_long_as_may_be")


def test_config_round_trip(tmp_path):
    config = small_config(hidden_act="relu", initializer_range=0.05)
    config.layer_norm_eps = 1e-5
    path = tmp_path / "bert_config.json"
    path.write_text(config.to_json_string())
    again = modeling.BertConfig.from_json_file(str(path))
    assert again.to_dict() == config.to_dict() == modeling.BertConfig.from_dict(config.to_dict()).to_dict()
    assert config.to_json_string() == json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n"


def test_keys_that_mean_nothing_are_said_and_become_no_attributes(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("bert.encoder.config.log.info", lambda message, *values: said.append(message % values))
    values = small_config().to_dict()
    others = {"__class__": "x", "to_dict": 1, "directionality": "bidi", **{f"k{i}": i for i in range(20)}}
    path = tmp_path / "bert_config.json"
    path.write_text(json.dumps(dict(values, **others)))
    for config in (
        modeling.BertConfig.from_json_file(str(path)),
        modeling.BertConfig.from_dict(dict(values, **others)),
    ):
        assert type(config) is modeling.BertConfig and config.to_dict() == values and not hasattr(config, "k1")
    assert said[0].startswith(f"{path}: not used: __class__, directionality, k0, ") and " and 13 more" in said[0]
    assert len(said) == 2


def test_config_defaults_are_bert_base():
    assert modeling.BertConfig(30522).to_dict() == {
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 16,
        "initializer_range": 0.02,
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "JSON"),
        (b"{'vocab_size': 3}", "JSON"),
        (b'{"vocab_size": 3', "JSON"),
        (b'{"vocab_size": "\xff"}', "JSON"),
        (b"[1, 2]", "vocab_size"),
        (b'{"hidden_size": 8}', "vocab_size"),
        (b'{"vocab_size": "30"}', "vocab_size is '30'; expected a whole number of at least 1"),
        (b'{"vocab_size": true}', "vocab_size is True; expected a whole number"),
        (b'{"vocab_size": 30, "max_position_embeddings": 0}', "max_position_embeddings is 0; expected"),
        (b'{"vocab_size": 30, "type_vocab_size": 2.5}', "type_vocab_size is 2.5; expected"),
        (b'{"vocab_size": 30, "hidden_dropout_prob": 1}', "hidden_dropout_prob is 1; expected a number from 0 to"),
        (b'{"vocab_size": 30, "initializer_range": null}', "initializer_range is None; expected a number"),
        (b'{"vocab_size": 30, "num_attention_heads": 5}', "hidden_size 768 is not a multiple"),
        (b'{"vocab_size": 30, "hidden_act": "swish"}', "hidden_act is 'swish'; expected one of"),
        (b'{"vocab_size": 30, "hidden_act": 7}', "hidden_act is '7'; expected one of"),
        (b'{"vocab_size": 30, "hidden_act": []}', "hidden_act is '[]'; expected one of"),
        (b'{"vocab_size": 99999999}', "expected a whole number of at least 1 and at most 16777216"),
        (b'{"vocab_size": 16777216, "hidden_size": 65532}', " weights; expected at most 20000000000"),
        (b'{"vocab_size": 30, "initializer_range": NaN}', "initializer_range is nan; expected a number"),
        (b'{"vocab_size": 3, "x": ' + b"9" * 5000 + b"}", "a number of 5000 digits"),
        pytest.param(b"[" * 100000, "expected a BERT config in JSON", id="brackets"),
    ],
)
def test_a_config_that_is_none_is_the_users_to_mend(content, expected, tmp_path):
    path = tmp_path / "bert_config.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        modeling.BertConfig.from_json_file(str(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and expected in message and "\n" not in message


def test_a_missing_config_is_the_users_to_mend(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UserError) as caught:
            modeling.BertConfig.from_json_file(str(path))
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_assignment_map_holds_what_model_and_checkpoint_share(evaluate, tmp_path):
    for name in ("bert/a", "bert/b"):
        tf.get_variable(name, [2])
    evaluate(tf.no_op())
    prefix = tf.train.Saver().save(evaluate.session, os.path.join(str(tmp_path), "model.ckpt"))
    with tf.Graph().as_default():
        variables = [tf.get_variable(name, [2]) for name in ("bert/b", "bert/c", "bert/a")]
        assignment_map, initialized = modeling.get_assignment_map_from_checkpoint(variables, prefix)
    assert list(assignment_map.items()) == [("bert/b", "bert/b"), ("bert/a", "bert/a")]
    assert initialized == {"bert/a": 1, "bert/a:0": 1, "bert/b": 1, "bert/b:0": 1}


def compile_with_xla(function, inputs):
    """`function(*inputs)` compiled as one XLA program, whatever else XLA may do."""
    return tf.xla.experimental.compile(function, inputs)


def test_what_xla_cannot_compile_is_noticed(evaluate):
    """The check on the next test: the compiler is really there."""
    x = tf.placeholder(tf.float32, [2])
    compiled = compile_with_xla(lambda x: tf.strings.to_number(tf.as_string(x)), [x])
    with pytest.raises(tf.errors.InvalidArgumentError):
        evaluate(compiled, {x: [1, 2]})


@pytest.mark.parametrize("one_hot", [False, True])
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


@pytest.mark.parametrize("is_training", [False, True])
@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("masked", [False, True])
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


def gradients_with(compute, seed=3):
    """(sequence output, gradient of every variable) of a model in training, all of it random but the same each time."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(seed)
        config = small_config(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        ids, segments = random_inputs(config)
        model = modeling.BertModel(
            config, True, tf.constant(ids), tf.constant(MASK), tf.constant(segments), compute=compute
        )
        output = model.get_sequence_output()
        upstream = np.random.RandomState(0).normal(size=output.shape.as_list()).astype(np.float32)
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


@pytest.mark.skipif(not kernels.can_fuse(), reason="TensorFlow 1.15 has no fused kernels and computes in float32")
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 1e-5), (tf.bfloat16, 0.1)])
def test_fused_model_has_the_plain_model_s_gradients(dtype, tolerance, recompute):
    output, gradients = gradients_with(kernels.REFERENCE)
    found, fused = gradients_with(kernels.Compute(dtype, kernels.FUSED, recompute))
    assert far_off(found, output) < tolerance
    assert_same_gradients(fused, gradients, tolerance)


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
