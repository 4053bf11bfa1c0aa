"""train/tf_metrics.py against scikit-learn, over several batches, in a plain graph and in an Estimator."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from sklearn.metrics import precision_recall_fscore_support

from bert.runtime.estimator import Estimator, EstimatorSpec, RunConfig
from train import tf_metrics

NUM_CLASSES = 6


def random_batches(seed, batches=4):
    """Batches of (gold, predicted, weights), sizes [B, T] differ, classes are very unequal, one is unused."""
    random = np.random.RandomState(seed)
    share = [0.6, 0.2, 0.1, 0.07, 0.03, 0.0]
    result = []
    for size in range(1, batches + 1):
        shape = (size, 13)
        gold = random.choice(NUM_CLASSES, shape, p=share)
        predicted = np.where(random.rand(*shape) < 0.6, gold, random.choice(NUM_CLASSES, shape, p=share))
        weights = random.choice([0.0, 0.5, 1.0, 3.0], shape)
        result.append((gold, predicted, weights))
    return result


def expected_scores(batches, classes, average, beta=1.0, weighted=False):
    """Precision, recall, F-beta that scikit-learn gives for all of `batches` together."""
    gold, predicted, weights = (np.concatenate([batch[i].ravel() for batch in batches]) for i in range(3))
    return precision_recall_fscore_support(
        gold,
        predicted,
        beta=beta,
        labels=classes,
        average=average,
        sample_weight=weights if weighted else None,
        zero_division=0,
    )[:3]


@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
@pytest.mark.parametrize(
    "classes, weighted",
    [
        (None, False),
        pytest.param([1, 2, 3, 4, 5], False, marks=pytest.mark.one_tensorflow),
        ([1, 2, 3, 4, 5], True),
        pytest.param([4, 2], True, marks=pytest.mark.one_tensorflow),
        pytest.param([5], False, marks=pytest.mark.one_tensorflow),
    ],
)
def test_equals_scikit_learn_batch_after_batch(evaluate, average, classes, weighted):
    gold = tf.placeholder(tf.int32, [None, 13])
    predicted = tf.placeholder(tf.int64, [None, 13])
    weights = tf.placeholder(tf.float32, [None, 13])
    settings = {
        "num_classes": NUM_CLASSES,
        "pos_indices": classes,
        "weights": weights if weighted else None,
        "average": average,
    }
    metrics = [
        tf_metrics.precision(gold, predicted, **settings),
        tf_metrics.recall(gold, predicted, **settings),
        tf_metrics.f1(gold, predicted, **settings),
        tf_metrics.fbeta(gold, predicted, beta=2, **settings),
        tf_metrics.fbeta(gold, predicted, beta=0.5, **settings),
        tf_metrics.fbeta(gold, predicted, beta=0, **settings),
    ]
    values = [value for value, _ in metrics]
    updates = [update_op for _, update_op in metrics]
    for tensor in values + updates:
        assert tensor.dtype == tf.float32 and tensor.shape.as_list() == []
    np.testing.assert_array_equal(evaluate(values), np.zeros(len(metrics)))

    batches = random_batches(seed=3)
    labels = list(range(NUM_CLASSES)) if classes is None else classes
    for seen in range(1, len(batches) + 1):
        batch = batches[seen - 1]
        updated = evaluate(updates, dict(zip([gold, predicted, weights], batch)))
        p, r, f1 = expected_scores(batches[:seen], labels, average, weighted=weighted)
        f2, f_half, f0 = (
            expected_scores(batches[:seen], labels, average, beta, weighted)[2] for beta in (2.0, 0.5, 0.0)
        )
        np.testing.assert_allclose(updated, [p, r, f1, f2, f_half, f0], atol=1e-6)
        np.testing.assert_array_equal(evaluate(values), updated)


def test_averages_differ_on_unequal_classes(evaluate):
    """The data above would not tell one average from another if its classes were alike."""
    gold, predicted, _ = random_batches(seed=3)[-1]

    def updates(score):
        return [score(gold, predicted, 6, [1, 2, 3], average=average)[1] for average in tf_metrics.AVERAGES]

    scores = (tf_metrics.precision, tf_metrics.recall, tf_metrics.f1)
    precision, recall, f1 = evaluate([updates(score) for score in scores])
    for micro, macro, weighted in (precision, recall, f1):
        assert min(abs(micro - macro), abs(macro - weighted)) > 1e-3
    assert abs(precision[0] - precision[2]) > 1e-3 and abs(f1[0] - f1[2]) > 1e-3
    np.testing.assert_allclose(recall[0], recall[2], rtol=1e-6)  # an identity: gold counts cancel


def test_by_hand(evaluate):
    """Class 1: 1 of 2 predictions right, 1 of 3 found. Class 2: 1 of 1 and 1 of 1. Class 3: nothing."""
    gold = [1, 1, 1, 2, 0, 0]
    predicted = [1, 0, 0, 2, 1, 0]

    def scores(average):
        return [
            score(gold, predicted, 4, [1, 2, 3], average=average)[1]
            for score in (tf_metrics.precision, tf_metrics.recall, tf_metrics.f1)
        ]

    micro, macro, weighted = evaluate([scores("micro"), scores("macro"), scores("weighted")])
    np.testing.assert_allclose(micro, [2 / 3, 2 / 4, 4 / 7], rtol=1e-6)
    np.testing.assert_allclose(macro, [1.5 / 3, (4 / 3) / 3, (2 / 5 + 1) / 3], rtol=1e-6)
    np.testing.assert_allclose(weighted, [2.5 / 4, 2 / 4, (3 * 2 / 5 + 1) / 4], rtol=1e-6)


def test_weights_mask_and_broadcast(evaluate):
    gold = np.array([[1, 2, 1], [2, 2, 1]])
    predicted = np.array([[1, 1, 1], [1, 1, 2]])
    alike = [None, 1, [[1], [1]], 0.25]
    masks = [[[True], [False]], [[0, 1, 0]], 0]
    updates = [tf_metrics.precision(gold, predicted, 3, weights=weights)[1] for weights in alike + masks]
    np.testing.assert_allclose(evaluate(updates), [2 / 6] * 4 + [2 / 3, 0, 0], rtol=1e-6)


def test_shapes_do_not_matter(evaluate):
    gold, predicted, _ = random_batches(seed=5)[-1]
    flat = tf_metrics.f1(gold.ravel(), predicted.ravel(), NUM_CLASSES, [1, 2], average="macro")[1]
    deep = tf_metrics.f1(gold[..., None], predicted[..., None], NUM_CLASSES, [1, 2], average="macro")[1]
    scalars = tf_metrics.f1(2, 2, NUM_CLASSES, [1, 2])[1]
    flat, deep, scalars = evaluate([flat, deep, scalars])
    assert flat == deep and scalars == 1.0


def test_counts_are_local_metric_variables(graph):
    tf_metrics.f1([1], [1], 2)
    assert tf.global_variables() == [] and tf.trainable_variables() == []
    assert set(tf.local_variables()) == set(tf.get_collection(tf.GraphKeys.METRIC_VARIABLES)) != set()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"average": "samples"}, "micro, macro, weighted"),
        ({"average": None}, "micro, macro, weighted"),
        ({"pos_indices": [1, 3]}, "from 0 to 2"),
        ({"pos_indices": [-1]}, "from 0 to 2"),
        ({"pos_indices": [1, 1]}, "different"),
        ({"pos_indices": []}, "from 0 to 2"),
        ({"beta": -1}, "at least 0"),
        ({"predictions": [[1, 2]]}, "incompatible"),
    ],
)
def test_bad_arguments(graph, arguments, message):
    with pytest.raises(ValueError, match=message):
        tf_metrics.fbeta(**{"labels": [1, 2], "predictions": [1, 2], "num_classes": 3, **arguments})


# One replica is what every evaluation of a tagger has.
@pytest.mark.parametrize("replicas", [pytest.param(1, marks=pytest.mark.one_tensorflow), 2])
def test_in_an_estimator(tmp_path, replicas):
    """`evaluate` gives scikit-learn's scores, with the batches dealt out to one or two devices."""
    random = np.random.RandomState(0)
    gold = random.randint(0, 4, [48, 7])
    predicted = np.where(random.rand(48, 7) < 0.6, gold, random.randint(0, 4, [48, 7]))

    def input_fn():
        return tf.data.Dataset.from_tensor_slices(({"predicted": predicted}, gold)).batch(6)

    def model_fn(features, labels, mode):
        scores = {
            f"{score.__name__}_{average}": score(labels, features["predicted"], 4, [1, 2, 3], average=average)
            for score in (tf_metrics.precision, tf_metrics.recall, tf_metrics.f1)
            for average in tf_metrics.AVERAGES
        }
        loss = tf.get_variable("loss", [], initializer=tf.zeros_initializer())
        train_op = tf.assign_add(tf.train.get_global_step(), 1)
        return EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=scores)

    devices = [f"/cpu:{index}" for index in range(replicas)]
    config = RunConfig(
        model_dir=str(tmp_path),
        session_config=tf.ConfigProto(device_count={"CPU": replicas}),
        eval_distribute=tf.distribute.MirroredStrategy(devices) if replicas > 1 else None,
    )
    estimator = Estimator(model_fn, config=config)
    estimator.train(input_fn, steps=1)
    found = estimator.evaluate(input_fn)
    for average in tf_metrics.AVERAGES:
        expected = expected_scores([(gold, predicted, gold)], [1, 2, 3], average)
        actual = [found[f"{name}_{average}"] for name in ("precision", "recall", "f1")]
        np.testing.assert_allclose(actual, expected, rtol=1e-6)
