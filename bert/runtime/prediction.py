"""Predictions of a trained model for a record file, with weights as constants and batches by length.

In: a checkpoint, a model function, an input function. Out: a dict of numpy values for each record, in their order.
"""

import contextlib

import tensorflow.compat.v1 as tf

from bert.runtime import devices
from bert.runtime.estimator import ModeKeys
from bert.runtime.saved_model import frozen_weights


def predict(prefix, model_fn, input_fn, batch_size):
    """Yields the predictions for every record of a file, in order.

    Args:
      prefix: checkpoint prefix; it has every variable of the model.
      model_fn: an Estimator's model function; its predictions have the batch as their first dimension.
      input_fn: function from params to a dataset of features, `position` among them, as batches.batches_once gives
        it by length.
      batch_size: records in a batch.

    Yields:
      dict from the name of each prediction to its value for one record, padded as its batch was.
    """
    params = {"batch_size": batch_size}
    with tf.Graph().as_default() as graph:
        features = tf.data.make_one_shot_iterator(input_fn(params)).get_next()
        position = features.pop("position")
        with frozen_weights(prefix):
            predictions = model_fn(features, None, ModeKeys.PREDICT, params).predictions
    with contextlib.closing(tf.Session(graph=graph, config=devices.session_config())) as session:
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
