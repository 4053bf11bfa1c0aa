"""The weights that training starts from: found in a checkpoint, checked, and given to the variables of a model.

`find` settles before a graph is built which tensor of a checkpoint each variable starts from. `starting_from` makes
the variables of a model function start there. The checkpoint is read when the variables are initialised, wherever a
distribution strategy or a parameter server puts them; nothing is copied.
"""

import collections
import contextlib
import copy
import logging

import numpy as np
import tensorflow.compat.v1 as tf

from bert import modeling
from bert.runtime import checkpoint, weight_names
from bert.system.errors import UserError

log = logging.getLogger(__name__)
_FLOATS = (tf.float16, tf.bfloat16, tf.float32, tf.float64)


class Tensor(collections.namedtuple("Tensor", ["name", "dtype", "shape", "rows", "axes"])):
    """Where the value of one variable comes from.

    Fields:
      name, dtype, shape: of the tensor in the checkpoint.
      rows: None for the tensor as it is; else for each index along `axes` of the variable the index in the checkpoint
        that is carried over, or -1 for values of the variable's own initializer.
      axes: the axes that `rows` is about.
    """


class StartWeights(collections.namedtuple("StartWeights", ["prefix", "tensors"])):
    """The weights that a model starts from: the checkpoint's prefix, and a dict from variable name to Tensor."""

    def with_rows(self, rows, axes):
        """The same, with only some rows of some variables carried over.

        Args:
          rows: list of ints, as the field of Tensor.
          axes: dict from the name of each variable in question to its axes; those not in the checkpoint are left out.
        """
        changed = {
            name: self.tensors[name]._replace(rows=list(rows), axes=axes[name]) for name in axes if name in self.tensors
        }
        return self._replace(tensors=dict(self.tensors, **changed))


def model_variables(config, head=(), head_name="the head", uses_pooler=True):
    """The weight_names.Model of an encoder with something on it.

    Args:
      config: BertConfig.
      head: dict from the names of the other variables to their shapes.
      head_name: what stands on the encoder, in words; "" for nothing.
      uses_pooler: whether an output depends on the encoder's pooler.
    """
    encoder = modeling.encoder_shapes(config)
    unused = [] if uses_pooler else [name for name in encoder if name.startswith("bert/pooler/")]
    return weight_names.Model(encoder, dict(head), head_name, unused, head_remedy="")


def find(prefix, model, partial=False, whole=False):
    """The StartWeights of a model in a checkpoint; one line in the log says what comes from there and what does not.

    Args:
      prefix: checkpoint prefix.
      model: weight_names.Model.
      partial: whether variables of the encoder may be missing.
      whole: read every tensor, too, to find damage and values that are not numbers.

    Raises:
      UserError: there is no such checkpoint, or it does not fit, see weight_names.match; or a tensor holds no weights,
        or values that are not numbers; or it is damaged.
    """
    reader = checkpoint.open_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    found = weight_names.match(prefix, shapes, model, partial)
    types = {name: tf.as_dtype(dtype) for name, dtype in reader.get_variable_to_dtype_map().items()}
    for name in found.names.values():
        if types[name] not in _FLOATS:
            raise UserError(f"{prefix}: {name} is of type {types[name].name}; expected weights, of float32")
    tensors = {name: Tensor(there, types[there], shapes[there], None, ()) for name, there in found.names.items()}
    if whole:
        unused = {found.names.get(name) for name in model.unused}
        checkpoint.check_whole(prefix, finite=set(found.names.values()) - unused)
    log.info("%s", _announcement(prefix, model, found, tensors))
    return StartWeights(prefix, tensors)


def of_prefix(init_checkpoint, model):
    """The StartWeights of a model function that a script of the user's own builds, or None without a checkpoint.

    Args:
      init_checkpoint: checkpoint prefix, None or "".
      model: weight_names.Model. Variables may be missing in the checkpoint, as in Google's functions.
    """
    return find(init_checkpoint, model, partial=True) if init_checkpoint else None


def _announcement(prefix, model, found, tensors):
    """What comes from the checkpoint, and what does not, in a line."""
    there = [name for name in model.encoder if name in tensors]
    missing = [name for name in model.encoder if name not in tensors]
    notes = [found.naming] if found.naming else []
    casts = sorted({tensor.dtype.name for tensor in tensors.values() if tensor.dtype != tf.float32})
    if casts:
        notes.append(f"{' and '.join(casts)}, cast to float32")
    if found.layers_left_out:
        notes.append(f"{found.layers_left_out} more layers there are not used")
    text = f"{len(there)} of {len(model.encoder)} encoder variables from {prefix}"
    text += f" ({'; '.join(notes)})" if notes else ""
    head = [name for name in model.head if name in tensors]
    random = "starts from random weights"
    if missing:
        only = " (not used here)" if set(missing) <= set(model.unused) else ""
        text += f"; from random weights: {weight_names.grouped(missing)}{only}"
    if not model.head_name:
        return text
    if not head:
        return f"{text}; {model.head_name} {random}"
    if len(head) == len(model.head):
        return f"{text}; {model.head_name} from there too"
    rest = [name for name in model.head if name not in tensors]
    return (
        f"{text}; {len(head)} of {len(model.head)} variables of {model.head_name} too, not {weight_names.grouped(rest)}"
    )


@contextlib.contextmanager
def starting_from(weights):
    """Within it, the variables that are made start from these weights; the others from their own initializers.

    Args:
      weights: StartWeights, or None for nothing.
    """
    if weights is None:
        yield
        return

    def started(getter, name, *args, initializer=None, **kwargs):
        if name in weights.tensors:
            if initializer is not None and not callable(initializer):  # a value, which has the shape too
                kwargs["shape"], initializer = np.shape(initializer), None
            initializer = _Restored(weights.prefix, name, weights.tensors[name], initializer)
        return getter(name, *args, initializer=initializer, **kwargs)

    with tf.variable_scope(tf.get_variable_scope(), custom_getter=started):
        yield


class _Restored:
    """An initializer that reads a checkpoint.

    Args:
      prefix: checkpoint prefix.
      variable: name of the variable.
      tensor: Tensor.
      otherwise: initializer of what is not carried over, or None for TensorFlow's own.
    """

    def __init__(self, prefix, variable, tensor, otherwise):
        self._prefix = prefix
        self._variable = variable
        self._tensor = tensor
        self._otherwise = otherwise or tf.glorot_uniform_initializer()
        self.seed = getattr(self._otherwise, "seed", 0)  # strategies.make_estimator sets it where it is None

    def __call__(self, shape, dtype=None, partition_info=None):
        tensor = self._tensor
        expected = list(shape)
        for axis in tensor.axes:
            expected[axis] = tensor.shape[axis]
        weight_names.check_shapes(
            self._prefix, {tensor.name: tensor.shape}, {self._variable: expected}, {self._variable: tensor.name}
        )
        # No other device has a kernel that reads checkpoints; the machine is that of the variable.
        with tf.device("/cpu:0"):
            (value,) = tf.raw_ops.RestoreV2(
                prefix=self._prefix, tensor_names=[tensor.name], shape_and_slices=[""], dtypes=[tensor.dtype]
            )
            value.set_shape(tensor.shape)
            value = tf.cast(value, dtype or tf.float32)
        if tensor.rows is None:
            return value
        return self._carry_over(value, shape, dtype)

    def _carry_over(self, value, shape, dtype):
        """The rows of `value` that are carried over, among values of the variable's own initializer."""
        rows = np.asarray(self._tensor.rows)
        otherwise = copy.copy(self._otherwise)
        if getattr(otherwise, "seed", 0) is None:
            otherwise.seed = self.seed
        is_carried = np.ones(shape, bool)
        for axis in self._tensor.axes:
            value = tf.gather(value, np.maximum(rows, 0), axis=axis)
            along = [1] * len(shape)
            along[axis] = len(rows)
            is_carried &= (rows >= 0).reshape(along)
        return tf.where(tf.constant(is_carried), value, otherwise(shape, dtype=dtype or tf.float32))
