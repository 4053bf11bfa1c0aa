"""The encoder against an implementation in numpy float64, and what checkpoints and callers rely on."""

import math

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import modeling
from tests.bert.encoder_in_numpy import (
    MASK,
    assert_same,
    numpy_encoder,
    numpy_layer_norm,
    outputs_of,
    random_inputs,
    set_random_weights,
    small_config,
)


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
