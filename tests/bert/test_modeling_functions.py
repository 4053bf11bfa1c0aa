"""The functions of Google's modeling that scripts call one by one: attention, embeddings, layers, shapes."""

import math

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import modeling
from tests.bert.encoder_in_numpy import MASK, outputs_of, random_inputs, set_random_weights, small_config


def numpy_softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("as_rows", [False, True])
def test_attention_layer_from_one_sequence_to_another(as_rows, evaluate):
    batch, from_len, to_len, heads, size = 2, 3, 4, 2, 5
    rng = np.random.RandomState(0)
    queries, keys = rng.normal(size=[batch, from_len, 6]), rng.normal(size=[batch, to_len, 7])
    mask = rng.randint(0, 2, [batch, from_len, to_len])
    mask[..., 0] = 1
    given = [tf.constant(values, tf.float32) for values in (queries, keys)]
    sizes = {"batch_size": batch, "from_seq_length": from_len, "to_seq_length": to_len} if as_rows else {}
    attended = modeling.attention_layer(
        *[modeling.reshape_to_matrix(tensor) if as_rows else tensor for tensor in given],
        attention_mask=tf.constant(mask),
        num_attention_heads=heads,
        size_per_head=size,
        value_act="tanh",
        do_return_2d_tensor=as_rows,
        **sizes,
    )
    assert [var.op.name for var in tf.trainable_variables()] == [
        f"{name}/{part}" for name in ("query", "key", "value") for part in ("kernel", "bias")
    ]
    weights = set_random_weights(evaluate)

    def split(x, name):  # [batch, heads, len, size]
        projected = x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]
        return projected.reshape(*x.shape[:2], heads, size).transpose(0, 2, 1, 3)

    scores = split(queries, "query") @ split(keys, "key").transpose(0, 1, 3, 2) / math.sqrt(size)
    scores += (1.0 - mask[:, None]) * -10000.0
    expected = (numpy_softmax(scores) @ np.tanh(split(keys, "value"))).transpose(0, 2, 1, 3)
    shape = [batch * from_len, heads * size] if as_rows else [batch, from_len, heads * size]
    np.testing.assert_allclose(evaluate(attended), expected.reshape(shape), rtol=1e-4, atol=1e-5)


def test_attention_layer_says_what_is_missing(graph):
    with pytest.raises(ValueError, match="expected batch_size, from_seq_length and to_seq_length"):
        modeling.attention_layer(tf.zeros([6, 4]), tf.zeros([6, 4]), batch_size=2)
    with pytest.raises(ValueError, match="rank 2, to_tensor 3"):
        modeling.attention_layer(tf.zeros([6, 4]), tf.zeros([2, 3, 4]))


def test_the_encoder_is_made_of_the_functions_that_scripts_call(evaluate):
    """Google's BertModel, put together again from its parts, gives what ours gives."""
    config = small_config()
    ids, segments = random_inputs(config)
    model = modeling.BertModel(config, False, tf.constant(ids), tf.constant(MASK), tf.constant(segments))
    with tf.variable_scope("bert", reuse=True):
        with tf.variable_scope("embeddings"):
            words, table = modeling.embedding_lookup(tf.constant(ids), config.vocab_size, config.hidden_size)
            embedded = modeling.embedding_postprocessor(
                words,
                use_token_type=True,
                token_type_ids=tf.constant(segments),
                token_type_vocab_size=config.type_vocab_size,
                max_position_embeddings=config.max_position_embeddings,
                dropout_prob=0.0,
            )
        with tf.variable_scope("encoder"):
            mask = modeling.create_attention_mask_from_input_mask(tf.constant(ids), tf.constant(MASK))
            layers = modeling.transformer_model(
                embedded,
                mask,
                config.hidden_size,
                config.num_hidden_layers,
                config.num_attention_heads,
                config.intermediate_size,
                modeling.get_activation(config.hidden_act),
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
                do_return_all_layers=True,
            )
    set_random_weights(evaluate)
    ours, parts = evaluate([outputs_of(model), {"embedding": embedded, "layers": layers, "table": table}])
    assert mask.shape.as_list() == [*ids.shape, ids.shape[1]]
    np.testing.assert_allclose(parts["embedding"], ours["embedding"], rtol=1e-5, atol=1e-6)
    for i, layer in enumerate(parts["layers"]):
        np.testing.assert_allclose(layer, ours[f"layer_{i}"], rtol=1e-4, atol=1e-5)


def test_a_token_sees_what_its_row_of_the_mask_allows(evaluate):
    """A mask of one's own, here a language model's: what comes later changes nothing."""
    given = tf.placeholder(tf.float32, [1, 3, 4])
    output = modeling.transformer_model(
        given, tf.linalg.band_part(tf.ones([1, 3, 3]), -1, 0), 4, 2, 2, 8, None, 0.0, 0.0
    )
    set_random_weights(evaluate)
    values = np.random.RandomState(0).normal(size=[1, 3, 4])
    changed = values + [[[0], [0], [1]]]
    before, after = evaluate(output, {given: values}), evaluate(output, {given: changed})
    np.testing.assert_allclose(before[:, :2], after[:, :2], rtol=1e-5)
    assert np.abs(before[:, 2] - after[:, 2]).max() > 1e-3
    with pytest.raises(ValueError, match="the input is 4 wide; expected hidden_size, 8"):
        modeling.transformer_model(tf.zeros([1, 3, 4]), hidden_size=8, num_attention_heads=2)


def test_embeddings_of_several_ids_a_token(evaluate):
    ids = np.array([[[0, 1], [2, 3]]])
    rows, table = modeling.embedding_lookup(tf.constant(ids), 5, 3)
    with tf.variable_scope("one_hot"):
        by_matmul, other = modeling.embedding_lookup(tf.constant(ids), 5, 3, use_one_hot_embeddings=True)
    rows, table, by_matmul, other = evaluate([rows, table, by_matmul, other])
    np.testing.assert_allclose(rows, table[ids].reshape(1, 2, 6), rtol=1e-6)
    np.testing.assert_allclose(by_matmul, other[ids].reshape(1, 2, 6), rtol=1e-6)
    with pytest.raises(ValueError, match="expected token_type_ids"):
        modeling.embedding_postprocessor(tf.zeros([1, 2, 3]), use_token_type=True)


def test_rows_and_back(graph):
    tensor = tf.zeros([2, 3, 4])
    rows = modeling.reshape_to_matrix(tensor)
    assert rows.shape.as_list() == [6, 4] and modeling.reshape_to_matrix(rows) is rows
    assert modeling.reshape_from_matrix(tf.zeros([6, 5]), [2, 3, 4]).shape.as_list() == [2, 3, 5]
    assert modeling.reshape_from_matrix(rows, [6, 4]) is rows
    with pytest.raises(ValueError, match="rank 1"):
        modeling.reshape_to_matrix(tf.zeros([3]))
    modeling.assert_rank(tensor, [2, 3])
    with pytest.raises(ValueError, match="has rank 3 .*; expected rank 2"):
        modeling.assert_rank(tensor, 2, "name")
