"""Checkpoints: finding them, checking them before anything is built on them, and starting a model from one."""

import glob
import logging
import os

import tensorflow.compat.v1 as tf

from bert.errors import UserError
from bert.modeling import get_assignment_map_from_checkpoint
from bert.startup import LOGGER

log = logging.getLogger(LOGGER)
OPTIMIZER_SLOTS = ("/adam_m", "/adam_v")


def open_checkpoint(prefix):
    """A checkpoint reader; UserError when there is no checkpoint of that prefix or its index is damaged."""
    if not tf.train.checkpoint_exists(prefix):
        raise UserError(
            f"{prefix}: no checkpoint of that name; expected the common beginning of its files, "
            f"as in bert_model.ckpt for bert_model.ckpt.index"
        )
    try:
        return tf.train.load_checkpoint(prefix)
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise UserError(f"{prefix}: the checkpoint is damaged: {_first_line(error)}")


def check_whole(prefix):
    """Reads every tensor once; UserError when the checkpoint is missing, cut off or damaged."""
    reader = open_checkpoint(prefix)
    for name in sorted(reader.get_variable_to_shape_map()):
        try:
            reader.get_tensor(name)
        except (tf.errors.OpError, RuntimeError, ValueError) as error:
            raise UserError(f"{prefix}: the checkpoint is cut off or damaged at {name}: {_first_line(error)}")


def check_shapes(prefix, shapes):
    """UserError, naming both shapes, where a variable in the checkpoint has not the shape the model gives it.

    Args:
      prefix: checkpoint prefix.
      shapes: dict from variable name to list of ints; names the checkpoint lacks are passed over.
    """
    found = open_checkpoint(prefix).get_variable_to_shape_map()
    for name, shape in shapes.items():
        if name in found and list(found[name]) != list(shape):
            raise UserError(
                f"{prefix}: {name} has the shape {list(found[name])}; the model of these settings expects {list(shape)}"
            )


def init_from_checkpoint(prefix):
    """Makes every trainable variable of the default graph that the checkpoint has start from it.

    Call it when all variables have been made. What the checkpoint lacks is listed in the log.
    """
    variables = tf.trainable_variables()
    check_shapes(prefix, {var.op.name: var.shape.as_list() for var in variables})
    assignment_map, initialized = get_assignment_map_from_checkpoint(variables, prefix)
    tf.train.init_from_checkpoint(prefix, assignment_map)
    missing = sorted({var.op.name for var in variables} - set(initialized))
    log.info("%d of %d variables start from %s", len(assignment_map), len(variables), prefix)
    for name in missing:
        log.info("  not in the checkpoint, starts from random values: %s", name)


def write_without_slots(prefix, target):
    """Writes the checkpoint again as `target`, without the optimizer's slots: a third of the size.

    The new files take their names one after the other; what stood there before is whole until then.
    """
    reader = open_checkpoint(prefix)
    with tf.Graph().as_default(), tf.Session() as session:
        values, variables = {}, []
        for name, dtype in sorted(reader.get_variable_to_dtype_map().items()):
            if name.endswith(OPTIMIZER_SLOTS):
                continue
            # Fed, not built in: a graph may not exceed 2 GB.
            value = tf.placeholder(dtype, reader.get_variable_to_shape_map()[name])
            variables.append(tf.get_variable(name, initializer=value, use_resource=True))
            values[value] = reader.get_tensor(name)
        session.run([var.initializer for var in variables], values)
        temporary = f"{target}.tmp-{os.getpid()}"
        tf.train.Saver(variables).save(session, temporary, write_meta_graph=False, write_state=False)
    for file in sorted(glob.glob(glob.escape(temporary) + ".*")):
        os.replace(file, target + file[len(temporary) :])


def latest(directory):
    """The newest checkpoint's prefix by the directory's `checkpoint` file, or None."""
    return tf.train.latest_checkpoint(directory)


def step_of(prefix):
    """The global step in a checkpoint's name, model.ckpt-STEP."""
    return int(os.path.basename(prefix).rpartition("-")[2])


def _first_line(error):
    return str(getattr(error, "message", None) or error).splitlines()[0]
