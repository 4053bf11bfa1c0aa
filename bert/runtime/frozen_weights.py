"""The weights of a model that is not trained: variables, filled once from a checkpoint.

A session holds such a weight once. A constant is held several times: in the graph, in the session's copies of the graph
and by the operation that gives its value. Matmuls are as fast with either: TensorFlow does not rearrange the weights of
a plain matmul.
"""

import re

import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint, devices

# Kernels of the encoder's layers, which are read by matmuls only.
_LAYER_KERNEL = re.compile(r"(.*/)?encoder/layer_\d+/.*/kernel$")
# Weights are fed in groups of about this size: each group costs TensorFlow some milliseconds, and some memory.
_GROUP_BYTES = 64e6


class FrozenWeights:
    """The weights of one graph. It is built within `scope`; `load` fills them in a session.

    Args:
      dtype: the type in which the encoder computes. The kernels of its layers are held in this type, so that they need
        not be cast for each batch.
    """

    def __init__(self, dtype=tf.float32):
        self._dtype = dtype
        self._variables = {}  # by name
        self._tensors = {}  # their values, by name

    def scope(self):
        """A variable scope in which tf.get_variable gives the weights, as tensors.

        A weight that is requested twice, as when a graph is built twice, is the same tensor both times.
        """
        return tf.variable_scope("", custom_getter=self._get)

    def _get(self, getter, name, shape=None, dtype=None, **kwargs):
        if name not in self._variables:
            dtype = self._dtype if _LAYER_KERNEL.match(name) else dtype or tf.float32
            zeros = tf.zeros_initializer()
            self._variables[name] = getter(name, shape, dtype, initializer=zeros, trainable=False, use_resource=True)
            self._tensors[name] = tf.convert_to_tensor(self._variables[name])
        return self._tensors[name]

    def open_session(self, prefix, unused=(), names=None):
        """A session of the default graph with the weights in it; arguments and errors as `load`."""
        session = tf.Session(config=devices.session_config())
        try:
            self.load(session, prefix, unused, names)
        except BaseException:
            session.close()
            raise
        return session

    def load(self, session, prefix, unused=(), names=None):
        """Fills the weights in a session of their graph.

        Args:
          session: tf.Session.
          prefix: checkpoint prefix.
          unused: names of variables that no output depends on; the checkpoint may lack them.
          names: dict from the names of variables to those in the checkpoint, where they are others.

        Raises:
          UserError: the checkpoint is damaged, or a weight is not in it.
        """
        reader = checkpoint.open_checkpoint(prefix)
        waiting, size = {}, 0
        for name, variable in self._variables.items():
            there = (names or {}).get(name, name)
            if name in unused and not reader.has_tensor(there):
                waiting[name] = None  # zeros
                continue
            value = checkpoint.read_tensor(reader, prefix, there)
            waiting[name] = value.astype(variable.dtype.base_dtype.as_numpy_dtype, copy=False)
            size += value.nbytes
            if size > _GROUP_BYTES:
                self._assign(session, waiting)
                waiting, size = {}, 0
        self._assign(session, waiting)

    def _assign(self, session, values):
        """Runs the initializers of variables with other values than their zeros: dict from name to array, or None."""
        initializers = [self._variables[name].initializer for name in values]
        # The second input of an assignment is its value.
        fed = {op.inputs[1]: value for op, value in zip(initializers, values.values()) if value is not None}
        session.run(initializers, fed)
