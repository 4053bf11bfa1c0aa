"""The encoder in numpy float64, and small models that are held against it."""

import math

import numpy as np
import tensorflow.compat.v1 as tf

from bert import modeling

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
