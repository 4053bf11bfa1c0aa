"""Weights that are held once: in which type, filled with what, and what is said of a checkpoint that lacks them."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.runtime.frozen_weights import FrozenWeights
from bert.system.errors import UserError

KERNEL = "bert/encoder/layer_0/output/dense/kernel"


@pytest.fixture
def prefix(tmp_path):
    """A checkpoint with a kernel of the encoder, a bias and an integer."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable(KERNEL, initializer=np.float32([[1.5, 2.0], [3.0, 4.0]]))
        tf.get_variable("there/bias", initializer=np.float32([5.0, 6.0]))
        tf.get_variable("count", initializer=7)
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, str(tmp_path / "model.ckpt"), write_meta_graph=False)


def build(weights):
    """Requests the weights, each twice; the tensors by name."""
    with weights.scope():
        shapes = {KERNEL: [2, 2], "bias": [2], "pooler": [3]}
        made = {name: tf.get_variable(name, shape) for name, shape in shapes.items()}
        assert all(tf.get_variable(name, shape) is made[name] for name, shape in shapes.items())
        made["count"] = tf.get_variable("count", [], tf.int32)
    return made


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_held_once_and_filled(dtype, prefix):
    with tf.Graph().as_default():
        weights = FrozenWeights(dtype)
        made = build(weights)
        assert made[KERNEL].dtype == dtype and made["bias"].dtype == made["pooler"].dtype == tf.float32
        assert not tf.trainable_variables() and len(tf.global_variables()) == 4
        made[KERNEL] = tf.cast(made[KERNEL], tf.float32)
        with weights.open_session(prefix, unused=["pooler"], names={"bias": "there/bias"}) as session:
            found = session.run(made)
    assert found[KERNEL].tolist() == [[1.5, 2.0], [3.0, 4.0]] and found["bias"].tolist() == [5.0, 6.0]
    assert found["pooler"].tolist() == [0.0, 0.0, 0.0] and found["count"] == 7


def test_a_weight_that_is_not_there(prefix):
    with tf.Graph().as_default():
        weights = FrozenWeights()
        build(weights)
        with pytest.raises(UserError, match="pooler"):
            weights.open_session(prefix, names={"bias": "there/bias"})
