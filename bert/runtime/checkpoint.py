"""Checkpoints: finds them, checks them before a model is built, reads and writes them."""

import contextlib
import logging
import os
import re

import numpy as np
import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint_files, release
from bert.system import filesystem, signals
from bert.system.errors import UserError, cannot_be_written, first_line, shown_list
from bert.system.files import atomic_open, check_no_pattern, is_leftover

log = logging.getLogger(__name__)
OPTIMIZER_SLOTS = ("/adam_m", "/adam_v")
# The checkpoint reader's exceptions differ between TensorFlow releases.
READ_ERRORS = (tf.errors.OpError, RuntimeError, ValueError, IndexError)
# Temporary names of TensorFlow's saver: shards, parts of them, and small files.
UNFINISHED_FOLDER = re.compile(r"model\.ckpt-\d+_temp(_[0-9a-f]{32})?$")
UNFINISHED_SHARD = re.compile(r"part-\d{5}-of-\d{5}\.")
UNFINISHED_FILE = re.compile(
    r"(model\.ckpt-\d+\.(index|data-\d{5}-of-\d{5})\.tempstate\d+|(checkpoint|model\.ckpt.*\.meta)\.tmp[0-9a-f]{32})$"
)
FILE_OF_STEP = re.compile(r"(model\.ckpt-(\d+))\.(index|meta|data-\d{5}-of-\d{5})$")
FILE = re.compile(r".+\.(index|meta|data-\d{5}-of-\d{5})$")


def resolve(path, output_dir=None):
    """The prefix of the checkpoint that a user means.

    Args:
      path: the prefix itself; or a directory, for the newest checkpoint by its file `checkpoint`, else the only one;
        or the zip of a Google release, which is unpacked beside it. None and "" give None.
      output_dir: where a release is unpacked if nothing can be written beside it.

    Raises:
      UserError: the directory or zip has no checkpoint, only a piece of one, or several and none is named; or it is
        known what the path is instead, such as a file of Hugging Face. Whether there is a checkpoint of that prefix is
        for `open_checkpoint`.
    """
    if not path:
        return None
    if filesystem.exists(path + ".index"):
        return path
    if release.is_zip(path):
        path = release.unpack(path, output_dir)
    if not filesystem.isdir(path):
        checkpoint_files.check_no_foreign_file(path)
        return path
    path = path.rstrip("/") or "/"
    named = _named(path)
    if named and tf.train.checkpoint_exists(named):
        return named
    return os.path.join(path, checkpoint_files.the_one(path, filesystem.listdir(path)))


def open_checkpoint(prefix):
    """A checkpoint reader; UserError if there is no checkpoint of that prefix or its index is damaged."""
    one_file = re.match(r"(.+)\.(index|meta|data-\d+-of-\d+)$", prefix)
    if one_file:
        raise UserError(
            f"{prefix}: one file of a checkpoint; expected the common beginning of its files, {one_file.group(1)}"
        )
    check_no_pattern(prefix)
    no_such = UserError(
        f"{prefix}: no checkpoint of that name; expected the common beginning of its files, "
        f"as in bert_model.ckpt for bert_model.ckpt.index"
    )
    if not prefix:  # TensorFlow 1.15 would search everything below the working directory for it
        raise no_such
    try:
        if filesystem.exists(prefix + ".index"):  # TensorFlow may take the prefix for a directory, as in ram://
            return tf.train.NewCheckpointReader(prefix)
        return tf.train.load_checkpoint(prefix)
    except READ_ERRORS as error:
        # TensorFlow 1.15 raises another error where the directory is missing.
        if isinstance(error, tf.errors.NotFoundError) or not filesystem.isdir(os.path.dirname(prefix) or "."):
            raise no_such
        checkpoint_files.check_no_pointer(prefix)
        raise UserError(f"{prefix}: cannot be read as a checkpoint: {first_line(error)}")


def check_whole(prefix, finite=()):
    """Reads every tensor once.

    Args:
      prefix: checkpoint prefix.
      finite: names of the tensors whose values have to be numbers.

    Raises:
      UserError: the checkpoint is missing, cut off or damaged, or a value is not a number or infinite.
    """
    reader = open_checkpoint(prefix)
    for name in sorted(reader.get_variable_to_shape_map()):
        value = read_tensor(reader, prefix, name)
        if name in finite and not np.isfinite(np.asarray(value).astype(np.float32, copy=False)).all():
            raise UserError(
                f"{prefix}: {name} has values that are not numbers (NaN or infinity), as a training that failed leaves "
                f"them; expected an earlier checkpoint, or another one"
            )


def is_whole(prefix):
    """Whether `check_whole` finds nothing wrong."""
    try:
        check_whole(prefix)
    except UserError:
        return False
    return True


def check_shapes(prefix, shapes):
    """UserError, naming both shapes, if a variable of the checkpoint has another shape than in the model.

    Args:
      prefix: checkpoint prefix.
      shapes: dict from variable name to list of ints; variables that the checkpoint lacks are skipped.
    """
    found = open_checkpoint(prefix).get_variable_to_shape_map()
    for name, shape in shapes.items():
        if name in found and list(found[name]) != list(shape):
            raise UserError(
                f"{prefix}: {name} has the shape {list(found[name])}; the model of these settings expects {list(shape)}"
            )


def check_model(prefix, shapes, optional=(), missing="{} is not in it", whole=True):
    """Checks that a checkpoint fits a model, before the model is built.

    Args:
      prefix: checkpoint prefix.
      shapes: dict from the name of each variable of the model to its shape, a list of ints; the names that tell best
        what is missing come first.
      optional: names of variables that the checkpoint may lack.
      missing: what the error says of a variable that is missing; {} stands for its name.
      whole: read every tensor, too, to find damage; false where that has been done or comes later.

    Raises:
      UserError: a variable is missing or has another shape, or the checkpoint is damaged.
    """
    found = open_checkpoint(prefix).get_variable_to_shape_map()
    for name in shapes:
        if name not in found and name not in optional:
            raise UserError(f"{prefix}: {missing.format(name)}")
    check_shapes(prefix, shapes)
    if whole:
        check_whole(prefix)


def write_without_slots(prefix, target):
    """Copies a checkpoint to `target` without the optimizer's slots, which leaves a third of the size."""
    names = open_checkpoint(prefix).get_variable_to_shape_map()
    write(target, read(prefix, [name for name in names if not name.endswith(OPTIMIZER_SLOTS)]))


def read(prefix, names):
    """The values of these variables: dict from name to array; UserError if the checkpoint is damaged."""
    reader = open_checkpoint(prefix)
    return {name: read_tensor(reader, prefix, name) for name in sorted(names)}


def write(target, values):
    """Writes a dict from name to array as the checkpoint `target`.

    An older checkpoint of that name stays whole until the new files are complete. The index gets its final name last:
    without it there is no checkpoint of that name.
    """
    check_no_pattern(target)
    names = sorted(values)
    for file in filesystem.beginning_with(target + ".tmp-"):
        if is_leftover(file):
            filesystem.remove(file)
    temporary = f"{target}.tmp-{os.getpid()}"

    def files():
        return sorted(filesystem.beginning_with(temporary + "."))  # .data-..., .index

    def clean_up():
        for file in files():
            filesystem.remove(file)

    with signals.cleanup_on_exit(clean_up):
        try:
            with tf.Graph().as_default(), tf.Session() as session:
                # Values are fed, as a graph with them in it might exceed 2 GB.
                tensors = [tf.placeholder(tf.as_dtype(np.asarray(values[name]).dtype)) for name in names]
                save = tf.raw_ops.SaveV2(
                    prefix=temporary, tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors
                )
                session.run(save, {tensor: values[name] for tensor, name in zip(tensors, names)})
            written = files()
            for file in written:
                filesystem.sync(file)
            with contextlib.suppress(FileNotFoundError):
                filesystem.remove(target + ".index")
            for file in written:
                filesystem.replace(file, target + file[len(temporary) :])
        except (tf.errors.OpError, OSError) as error:
            raise cannot_be_written(target, error)


def latest(directory):
    """The prefix of the newest checkpoint: the one in the file `checkpoint`, else the one of the last step; or None."""
    named = _named(directory)
    if named and tf.train.checkpoint_exists(named):
        return named
    return next(iter(_by_step(directory)), None)


def newest_whole(directory):
    """The prefix of the newest checkpoint of a run that is not damaged; None if there is no checkpoint.

    A newer one that a crash cut off stays where it is. A warning names both, and the whole one is written into the file
    `checkpoint`, so that TensorFlow continues from it, too.

    Raises:
      UserError: there are checkpoints and none is whole.
    """
    named, others = _named(directory), _by_step(directory)
    damage = None
    if named and (others or tf.train.checkpoint_exists(named)):
        others = [named] + [prefix for prefix in others if prefix != named]
    for prefix in others:
        try:
            check_whole(prefix)
        except UserError as error:
            damage = damage or error
            continue
        if damage:
            log.warning("%s; goes on from %s, the newest that is whole", damage, prefix)
        if prefix != named:
            make_latest(prefix)
        return prefix
    if damage:
        raise UserError(f"{damage}; no other checkpoint in {directory} is whole")
    return None


def make_latest(prefix, older=()):
    """Writes a checkpoint's name, as the newest, into the file `checkpoint` beside it.

    Args:
      prefix: checkpoint prefix.
      older: prefixes or names of the other checkpoints that a saver is to know, from the oldest to the newest.
    """
    names = [os.path.basename(each) for each in (*older, prefix)]
    with atomic_open(os.path.join(os.path.dirname(prefix), "checkpoint")) as writer:
        writer.write(f'model_checkpoint_path: "{names[-1]}"\n')
        writer.writelines(f'all_model_checkpoint_paths: "{name}"\n' for name in names)


def remove_outdated(directory, keep):
    """Removes the checkpoints of a run that a kill kept from being removed when newer ones took their place.

    Those that are left are listed in the file `checkpoint`, so that a saver removes them in their turn. What is newer
    than the newest that this file names stays.

    Args:
      directory: directory of the run.
      keep: how many checkpoints the run keeps.
    """
    _list_no_others(directory)
    newest = os.path.basename(_named(directory) or "")
    names = [os.path.basename(prefix) for prefix in _by_step(directory)]
    names = [name for name in names if FILE_OF_STEP.match(name + ".index")]
    if newest not in names:
        return
    kept = names[names.index(newest) :][:keep]
    listed = _state(directory).all_model_checkpoint_paths
    if {os.path.basename(prefix) for prefix in listed} != set(kept):
        make_latest(os.path.join(directory, newest), kept[:0:-1])
    step, removed = int(newest.rpartition("-")[2]), set()
    for file in sorted(filesystem.listdir(directory), reverse=True):  # the index before the data
        numbered = FILE_OF_STEP.match(file)
        if numbered and int(numbered.group(2)) < step and numbered.group(1) not in kept:
            filesystem.remove(os.path.join(directory, file))
            removed.add(numbered.group(1))
    if removed:
        log.info(
            "%s: removed what an interrupted run left of older checkpoints: %s", directory, shown_list(sorted(removed))
        )


def _list_no_others(directory):
    """Takes checkpoints of other directories off the list in the file `checkpoint`.

    A saver would go on from them, and remove them once they are old: in a copy of a run these are the original's.
    """
    state = _state(directory)
    paths = [state.model_checkpoint_path, *state.all_model_checkpoint_paths] if state else []
    here = filesystem.realpath(directory)
    others = [path for path in paths if filesystem.realpath(os.path.dirname(path)) != here]
    if not others:
        return
    names = list(dict.fromkeys(map(os.path.basename, paths[1:])))
    older = [name for name in names if filesystem.exists(os.path.join(directory, name + ".index"))]
    newest = os.path.basename(paths[0])
    make_latest(os.path.join(directory, newest), [name for name in older if name != newest])
    log.warning(
        "%s: named checkpoints of other places, which are left alone: %s",
        os.path.join(directory, "checkpoint"),
        shown_list(dict.fromkeys(others), longest=100),
    )


def remove_since(directory, step):
    """Removes a run's checkpoints of a step and of those after it.

    Args:
      directory: directory of the run.
      step: the first step whose checkpoint goes.

    Returns:
      The prefix of the newest checkpoint that is left, or None.
    """
    steps = _by_step(directory)
    removed = [prefix for prefix in steps if int(prefix.rpartition("-")[2]) >= step]
    kept = next((prefix for prefix in steps if prefix not in removed), None)
    if removed and kept:
        make_latest(kept)  # first: what the file names is always there
    elif removed:
        with contextlib.suppress(FileNotFoundError):
            filesystem.remove(os.path.join(directory, "checkpoint"))
    for prefix in removed:
        for file in sorted(filesystem.listdir(directory), reverse=True):  # the index before the data
            if file.startswith(os.path.basename(prefix) + ".") and FILE.match(file):
                filesystem.remove(os.path.join(directory, file))
    return kept


def _named(directory):
    """The prefix in the file `checkpoint`, or None; there need not be such a checkpoint.

    A name of another place is taken for one in this directory: a run was copied, or the file leads out of it.
    """
    state = _state(directory)
    return os.path.join(directory, os.path.basename(state.model_checkpoint_path)) if state else None


def _state(directory):
    """What the file `checkpoint` says, a CheckpointState; None where there is no such file or it is damaged."""
    try:
        return tf.train.get_checkpoint_state(directory)
    except (tf.errors.OpError, ValueError):
        return None


def _by_step(directory):
    """The prefixes of the checkpoints whose names end with their step, the last step first."""
    steps = {}
    for name in filesystem.listdir(directory) if filesystem.isdir(directory) else ():
        numbered = re.match(r"(.+-(\d+))\.index$", name)  # the file that is written last
        if numbered:
            steps[os.path.join(directory, numbered.group(1))] = int(numbered.group(2))
    return sorted(steps, key=steps.get, reverse=True)


def step_of(prefix):
    """The global step of a checkpoint; 0 if it has none, as a released encoder."""
    reader = open_checkpoint(prefix)
    return int(read_tensor(reader, prefix, "global_step")) if reader.has_tensor("global_step") else 0


def read_tensor(reader, prefix, name):
    """The value of a tensor; UserError if it is not in the checkpoint as the index says."""
    try:
        return reader.get_tensor(name)
    except READ_ERRORS as error:
        checkpoint_files.check_no_pointer(prefix)
        raise UserError(f"{prefix}: the checkpoint is cut off or damaged at {name}: {first_line(error)}")


def remove_unfinished(directory):
    """Removes the temporary files of a TensorFlow saver that was killed or found the disk full.

    Not to be called while a checkpoint is being saved in the directory.
    """
    for name in filesystem.listdir(directory):
        path = os.path.join(directory, name)
        if UNFINISHED_FOLDER.match(name) and all(UNFINISHED_SHARD.match(shard) for shard in filesystem.listdir(path)):
            filesystem.rmtree(path)
        elif UNFINISHED_FILE.match(name):
            with contextlib.suppress(OSError):
                filesystem.remove(path)
