"""Predictions come in the order of the records, whatever batches and pools they were sorted into."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.data import batches, records
from bert.runtime import prediction
from bert.runtime.estimator import EstimatorSpec, ModeKeys

LENGTH = 8
COLUMNS = {name: tf.io.FixedLenFeature([LENGTH], tf.int64) for name in ("input_ids", "input_mask")}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """(record file, checkpoint prefix with a factor of 3, the ids of each record)."""
    folder = tmp_path_factory.mktemp("prediction")
    rng = np.random.RandomState(1)
    ids = [rng.randint(1, 100, size=rng.randint(1, LENGTH + 1)).tolist() for _ in range(23)]
    padded = [{"input_ids": row, "input_mask": [1] * len(row)} for row in ids]
    examples = [{name: row + [0] * (LENGTH - len(row)) for name, row in values.items()} for values in padded]
    path = str(folder / "records")
    records.write_records(path, [records.make_example(values) for values in examples], "test")
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("factor", initializer=3)
        session.run(tf.global_variables_initializer())
        prefix = tf.train.Saver().save(session, str(folder / "model.ckpt"))
    return path, prefix, ids


def model_fn(features, labels, mode, params):
    assert mode == ModeKeys.PREDICT and set(features) == set(COLUMNS) and labels is None
    factor = tf.get_variable("factor", [], tf.int32)
    total = tf.reduce_sum(features["input_ids"] * features["input_mask"], axis=1)
    return EstimatorSpec(mode, predictions={"total": total * factor, "ids": features["input_ids"]})


def predict(given, batch_size):
    path, prefix, _ = given

    def input_fn(params):
        return batches.batches_once(
            path,
            lambda serialized: batches.parse_batch(serialized, COLUMNS),
            params["batch_size"],
            batches.Reading(by_length=True),
            trimmed=tuple(COLUMNS),
        )

    return prediction.predict(prefix, model_fn, input_fn, batch_size)


ONCE = pytest.mark.one_tensorflow


@pytest.mark.parametrize("batch_size", [1, 4, pytest.param(23, marks=ONCE), pytest.param(50, marks=ONCE)])
@pytest.mark.parametrize("pool_batches", [pytest.param(1, marks=ONCE), 2, pytest.param(128, marks=ONCE)])
def test_in_the_order_of_the_records(batch_size, pool_batches, given, monkeypatch):
    monkeypatch.setattr(batches, "POOL_BATCHES", pool_batches)
    found = list(predict(given, batch_size))
    assert [each["total"] for each in found] == [3 * sum(ids) for ids in given[2]]
    for each, ids in zip(found, given[2]):
        assert each["ids"].tolist() == ids + [0] * (len(each["ids"]) - len(ids))


def test_as_many_as_are_wanted(given):
    """The caller's graph stays the default one in between."""
    with tf.Graph().as_default() as graph:
        results = predict(given, 4)
        assert next(results)["total"] == 3 * sum(given[2][0])
        assert tf.get_default_graph() is graph
        results.close()
        assert tf.get_default_graph() is graph and not graph.get_operations()
