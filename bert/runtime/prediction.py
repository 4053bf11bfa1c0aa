"""Predictions of a trained model for a record file, with weights held once and batches by length.

In: a checkpoint, a model function, an input function. Out: a dict of numpy values for each record, in their order.
"""

import contextlib

import tensorflow.compat.v1 as tf

from bert.runtime.estimator import ModeKeys
from bert.runtime.frozen_weights import FrozenWeights


def predict(prefix, model_fn, input_fn, batch_size, dtype=tf.float32):
    """Yields the predictions for every record of a file, in order.

    Args:
      prefix: checkpoint prefix; it has every variable of the model.
      model_fn: an Estimator's model function; its predictions have the batch as their first dimension.
      input_fn: function from params to a dataset of features, `position` among them, as batches.batches_once gives
        it by length.
      batch_size: records in a batch.
      dtype: the type in which the encoder computes.

    Yields:
      dict from the name of each prediction to its value for one record, padded as its batch was.
    """
    params = {"batch_size": batch_size}
    with tf.Graph().as_default():
        features = tf.data.make_one_shot_iterator(input_fn(params)).get_next()
        position = features.pop("position")
        weights = FrozenWeights(dtype)
        with weights.scope():
            predictions = model_fn(features, None, ModeKeys.PREDICT, params).predictions
        session = weights.open_session(prefix)
    with contextlib.closing(session):
        waiting, due = {}, 0
        while True:
            try:
                positions, values = session.run([position, predictions])
            except tf.errors.OutOfRangeError:
                return
            for row, place in enumerate(positions):
                waiting[place] = {name: value[row] for name, value in values.items()}
            while due in waiting:
                yield waiting.pop(due)
                due += 1
