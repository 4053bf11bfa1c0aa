"""Training under tf.distribute strategies against numpy and against one device on the whole batch.

The replicas are logical CPU devices, which every session makes for itself as its configuration says.
"""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import modeling, optimization
from bert.optimization import StepOptions
from bert.runtime import checkpoint, init_weights
from bert.runtime.estimator import Estimator, EstimatorSpec, RunConfig
from bert.runtime.init_weights import Tensor
from tests.bert.linear_training import (
    START,
    assert_same_state,
    consecutive,
    inputs_and_targets,
    linear_loss,
    numpy_training,
)

BATCH = 6  # examples over all replicas
UPDATES = 4
CLIP_NORM = 20.0


@pytest.fixture(autouse=True)
def resource_variables():
    """As the programs have them."""
    before = tf.resource_variables_enabled()
    tf.enable_resource_variables()
    yield
    if not before:
        tf.disable_resource_variables()


def two_replicas():
    return tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])


def two_computing_one_storing():
    return tf.distribute.experimental.CentralStorageStrategy(["/cpu:0", "/cpu:1"], "/cpu:0")


def one_device():
    return tf.distribute.OneDeviceStrategy("/cpu:0")


def train(model_fn, data, model_dir, strategy=None, updates=UPDATES):
    """Trains an Estimator on `data`, BATCH examples a step over all replicas; all that is in its checkpoint."""
    replicas = strategy.num_replicas_in_sync if strategy else 1

    def input_fn():
        return tf.data.Dataset.from_tensor_slices(data).batch(BATCH // replicas, drop_remainder=True).repeat()

    # Without soft placement an op of a replica whose device is not there fails.
    session_config = tf.ConfigProto(device_count={"CPU": 2}, allow_soft_placement=False)
    # Graphs that run a few steps take longer to optimize than to run.
    session_config.graph_options.rewrite_options.disable_meta_optimizer = True
    config = RunConfig(
        model_dir=str(model_dir), train_distribute=strategy, session_config=session_config, log_step_count_steps=None
    )
    estimator = Estimator(model_fn, config=config)
    estimator.train(input_fn, steps=updates)
    return {name: estimator.get_variable_value(name) for name in estimator.get_variable_names()}


def linear_model_fn(seen_names, options):
    """A model_fn of the linear model, whose head/kernel has half the learning rate.

    Variable names as the optimizer gives them are added to the set `seen_names`.
    """

    def multiplier(name):
        seen_names.add(name)
        return 0.5 if name == "head/kernel" else 1.0

    def model_fn(features, labels, mode):
        loss = linear_loss(features, labels)
        step = optimization.build_train_step(loss, 0.1, 8, 1, options._replace(lr_multiplier=multiplier))
        return EstimatorSpec(mode, loss=loss, train_op=step.train_op)

    return model_fn


ONCE = pytest.mark.one_tensorflow


@pytest.mark.parametrize(
    "strategy,accumulation_steps",
    [
        pytest.param(two_replicas, 1, marks=ONCE), (two_replicas, 3), pytest.param(two_computing_one_storing, 1),
        pytest.param(two_computing_one_storing, 3, marks=ONCE), pytest.param(one_device, 1, marks=ONCE),
        (one_device, 3),
    ],
)  # fmt: skip
def test_any_strategy_trains_as_numpy_does(strategy, accumulation_steps, tmp_path):
    data = inputs_and_targets(BATCH * UPDATES * accumulation_steps)
    names = set()
    model_fn = linear_model_fn(names, StepOptions(CLIP_NORM, accumulation_steps=accumulation_steps))
    found = train(model_fn, data, tmp_path, strategy())
    factors = {name: 0.5 if name == "head/kernel" else 1.0 for name in START}
    large_batches = consecutive(*data, size=BATCH * accumulation_steps)
    expected, norms = numpy_training(large_batches, 0.1, 8, 1, CLIP_NORM, factors)
    # A clipped gradient shows no factor that is wrong, one that is not clipped shows no clipping in the wrong place.
    assert min(norms) < 0.9 * CLIP_NORM and max(norms) > 1.1 * CLIP_NORM
    assert found.pop("global_step") == UPDATES
    assert_same_state(found, expected)
    assert names == set(START)


@pytest.mark.one_tensorflow
def test_two_replicas_train_an_encoder_as_one_does(evaluate, tmp_path):
    config = modeling.BertConfig(
        vocab_size=11,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=5,
        type_vocab_size=2,
        initializer_range=0.5,
    )
    modeling.BertModel(config, False, tf.zeros([1, 2], tf.int32))
    evaluate(tf.no_op())
    prefix = tf.train.Saver().save(evaluate.session, str(tmp_path / "bert_model.ckpt"))
    start = init_weights.find(prefix, init_weights.model_variables(config))
    rng = np.random.RandomState(7)
    count = BATCH * UPDATES * 2
    ids = rng.randint(0, config.vocab_size, [count, 5]).astype(np.int32)
    scores = rng.normal(size=[count]).astype("f")

    def model_fn(features, labels, mode):
        with init_weights.starting_from(start):
            model = modeling.BertModel(config, True, features)
        loss = tf.reduce_mean(tf.square(tf.reduce_sum(model.get_pooled_output(), axis=-1) - labels))
        step = optimization.build_train_step(loss, 0.01, 8, 0, StepOptions(0.5, accumulation_steps=2))
        return EstimatorSpec(mode, loss=loss, train_op=step.train_op)

    alone = train(model_fn, (ids, scores), tmp_path / "one")
    together = train(model_fn, (ids, scores), tmp_path / "two", two_replicas())
    assert alone["global_step"] == together["global_step"] == UPDATES
    assert len(alone) == 3 * len(modeling.encoder_shapes(config)) + 1
    for values in (alone, together):
        # It shifts all scores of a query alike, which the softmax undoes: its gradient is nothing but rounding.
        assert np.abs(values.pop("bert/encoder/layer_0/attention/self/key/bias")).max() < 1e-3
    assert_same_state(together, alone, tolerance=1e-4)


@pytest.mark.parametrize(
    "strategy", [two_replicas, *(pytest.param(each, marks=ONCE) for each in (two_computing_one_storing, one_device))]
)
def test_every_replica_starts_from_the_checkpoint(strategy, tmp_path):
    """From one of float16 and under another prefix; of the bias one row comes from there, from another place."""
    prefix = str(tmp_path / "bert_model.ckpt")
    given = {"electra/dense/kernel": START["bert/dense/kernel"] + 3, "bias": np.array([7.0, 8.0, 9.0])}
    checkpoint.write(prefix, {name: value.astype(np.float16) for name, value in given.items()})
    tensors = {
        "bert/dense/kernel": Tensor("electra/dense/kernel", tf.float16, [3, 2], None, ()),
        "bert/dense/bias": Tensor("bias", tf.float16, [3], [2, -1], (0,)),
    }

    def model_fn(features, labels, mode):
        with init_weights.starting_from(init_weights.StartWeights(prefix, tensors)):
            kernel = tf.get_variable("bert/dense/kernel", [3, 2])
            bias = tf.get_variable("bert/dense/bias", [2], initializer=tf.constant_initializer(0.5))
            head = tf.get_variable("head/kernel", initializer=START["head/kernel"].astype("f"))
        loss = tf.reduce_mean(tf.square(tf.matmul(tf.matmul(features, kernel) + bias, head) - labels))
        step = optimization.build_train_step(loss, 1e-9, 8, 0)  # what is saved is what training started from
        return EstimatorSpec(mode, loss=loss, train_op=step.train_op)

    found = train(model_fn, inputs_and_targets(BATCH), tmp_path / "two", strategy(), updates=1)
    np.testing.assert_allclose(found["bert/dense/kernel"], given["electra/dense/kernel"], atol=2e-3)
    np.testing.assert_allclose(found["bert/dense/bias"], [9.0, 0.5], atol=1e-6)
    np.testing.assert_allclose(found["head/kernel"], START["head/kernel"], atol=1e-6)
