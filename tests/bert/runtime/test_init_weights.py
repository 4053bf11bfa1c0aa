"""What a model starts from: found in a checkpoint and said in one line, and then in the variables."""

import logging

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import modeling
from bert.runtime import checkpoint, init_weights
from bert.system.errors import UserError

CONFIG = modeling.BertConfig(
    vocab_size=7, hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6,
    max_position_embeddings=8, type_vocab_size=2,
)  # fmt: skip
HEAD = {"head/kernel": [4, 2], "head/bias": [2]}
MODEL = init_weights.model_variables(CONFIG, HEAD, "the head")
ALL = len(MODEL.encoder)


@pytest.fixture
def log_lines(caplog):
    """A function that gives the lines of our log so far."""
    caplog.set_level(logging.INFO, logger="bert")
    return lambda: caplog.messages


@pytest.fixture
def write(tmp_path):
    """`write(values)` writes a checkpoint and returns its prefix."""

    def written(values):
        checkpoint.write(str(tmp_path / "start.ckpt"), values)
        return str(tmp_path / "start.ckpt")

    return written


def values_of(shapes, dtype=np.float32):
    random = np.random.RandomState(0)
    return {name: random.randn(*shape).astype(dtype) for name, shape in shapes.items()}


def started(start):
    """The values of an encoder and a head that start so, by name."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        with init_weights.starting_from(start):
            modeling.BertModel(CONFIG, False, tf.zeros([1, 2], tf.int32))
            for name, shape in HEAD.items():
                tf.get_variable(name, shape, initializer=tf.ones_initializer())
        tf.get_variable("later", [1])
        step = tf.train.get_or_create_global_step()
        session.run(tf.global_variables_initializer())
        assert session.run(step) == 0  # training starts here; only resuming goes on counting
        return session.run({var.op.name: var for var in tf.trainable_variables()})


def test_the_encoder_alone(write, log_lines):
    values = dict(values_of(MODEL.encoder), global_step=np.int64(7))
    prefix = write(values)
    found = started(init_weights.find(prefix, MODEL))
    for name in MODEL.encoder:
        np.testing.assert_array_equal(found[name], values[name])
    assert (found["head/kernel"] == 1).all()
    assert log_lines() == [f"{ALL} of {ALL} encoder variables from {prefix}; the head starts from random weights"]


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_are_cast(dtype, write, log_lines):
    values = values_of(dict(MODEL.encoder, **HEAD), dtype)
    prefix = write(values)
    found = started(init_weights.find(prefix, MODEL))
    for name, value in values.items():
        np.testing.assert_array_equal(found[name], value.astype(np.float32))
    (line,) = log_lines()
    assert f"({np.dtype(dtype).name}, cast to float32); the head from there too" in line


@pytest.mark.one_tensorflow
def test_another_prefix_and_a_part(write, log_lines):
    values = {
        name.replace("bert/", "electra/"): value
        for name, value in values_of(MODEL.encoder).items()
        if "pooler" not in name
    }
    prefix = write(dict(values, **{"head/bias": np.zeros(2, np.float32)}))
    with pytest.raises(UserError, match=r"2 of 23 .* not in it: electra/pooler/dense/{kernel,bias}; -init_partial"):
        init_weights.find(prefix, MODEL)
    found = started(init_weights.find(prefix, MODEL, partial=True))
    np.testing.assert_array_equal(
        found["bert/embeddings/word_embeddings"], values["electra/embeddings/word_embeddings"]
    )
    (line,) = log_lines()
    assert line == (
        f"{ALL - 2} of {ALL} encoder variables from {prefix} (named electra/... there); from random weights: "
        "bert/pooler/dense/{kernel,bias}; 1 of 2 variables of the head too, not head/kernel"
    )
    without_pooler = init_weights.model_variables(CONFIG, uses_pooler=False)
    init_weights.find(prefix, without_pooler)
    assert "bert/pooler/dense/{kernel,bias} (not used here)" in log_lines()[-1]


@pytest.mark.one_tensorflow
def test_what_is_no_weight(write):
    values = dict(values_of(MODEL.encoder), **{"head/bias": np.array([1, 2])})
    with pytest.raises(UserError, match="head/bias is of type int64; expected weights"):
        init_weights.find(write(values), MODEL)


@pytest.mark.parametrize("dtype,value", [(np.float32, np.nan), (np.float16, np.inf)])
def test_values_that_are_not_numbers_are_refused(dtype, value, write):
    """Training from them would end at the first step, and the advice there is about the learning rate."""
    values = values_of(MODEL.encoder, dtype)
    values["bert/pooler/dense/kernel"][0, 0] = value
    prefix = write(values)
    with pytest.raises(UserError, match=r"bert/pooler/dense/kernel has values that are not numbers"):
        init_weights.find(prefix, MODEL, whole=True)
    init_weights.find(prefix, init_weights.model_variables(CONFIG, uses_pooler=False), whole=True)


@pytest.mark.one_tensorflow
def test_rows_that_are_carried_over(write):
    values = values_of(dict(MODEL.encoder, **{"head/kernel": [4, 3], "head/bias": [3]}))
    model = MODEL._replace(head={"head/kernel": [4, 3], "head/bias": [3]})
    start = init_weights.find(write(values), model).with_rows(
        [2, -1], {"head/kernel": (1,), "head/bias": (0,), "not/there": (0,)}
    )
    found = started(start)
    np.testing.assert_array_equal(found["head/kernel"][:, 0], values["head/kernel"][:, 2])
    assert (found["head/kernel"][:, 1] == 1).all()
    np.testing.assert_array_equal(found["head/bias"], [values["head/bias"][2], 1])


@pytest.mark.one_tensorflow
def test_a_model_of_another_shape_than_was_said(write):
    start = init_weights.find(write(values_of(MODEL.encoder)), MODEL)
    expected = pytest.raises(UserError, match=r"word_embeddings has the shape \[7, 4\].*\[8, 4\]")
    with tf.Graph().as_default(), init_weights.starting_from(start), expected:
        tf.get_variable("bert/embeddings/word_embeddings", [8, 4])


@pytest.mark.one_tensorflow
def test_nothing_to_start_from():
    assert init_weights.of_prefix(None, MODEL) is None and init_weights.of_prefix("", MODEL) is None
    assert (started(None)["head/kernel"] == 1).all()
