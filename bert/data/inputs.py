"""Input functions with Google BERT's arguments: batches of one length, from a record file or from memory.

Our own programs read by data/batches.py directly, which cuts each batch to its longest text.
"""

import numpy as np
import tensorflow.compat.v1 as tf

from bert.data import batches

SHUFFLE_BUFFER = 100  # examples, of those in memory


def from_file(path, columns, is_training, drop_remainder):
    """An input function over a record file.

    Args:
      path: TFRecord file, or a list of them.
      columns: what a record holds, as tf.io.parse_example takes it.
      is_training: shuffle and repeat without end.
      drop_remainder: leave out a last batch that is not full.

    Returns:
      input_fn(params) giving a dataset of batches of params["batch_size"] examples, integers as int32.
    """

    def parse(serialized):
        return batches.parse_batch(serialized, columns)

    make_batches = batches.training_batches if is_training else batches.batches_once
    return lambda params: make_batches(path, parse, params["batch_size"], drop_remainder=drop_remainder)


def from_memory(values, is_training=False, drop_remainder=False):
    """An input function over examples in memory, which become constants of the graph.

    Args:
      values: dict from name to a list of ints, or of lists of ints of one length, one for each example.
      is_training, drop_remainder: as of `from_file`.

    Returns:
      input_fn(params), as of `from_file`.
    """
    arrays = {name: np.asarray(rows, np.int32) for name, rows in values.items()}

    def input_fn(params):
        dataset = tf.data.Dataset.from_tensor_slices(arrays)
        if is_training:
            dataset = dataset.repeat().shuffle(SHUFFLE_BUFFER)
        return dataset.batch(params["batch_size"], drop_remainder=drop_remainder)

    return input_fn
