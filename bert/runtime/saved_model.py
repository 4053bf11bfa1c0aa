"""SavedModels for serving: the weights of a checkpoint as constants in a graph that both TensorFlows load.

A SavedModel with resource variables written by TensorFlow 2.15 does not load in 1.15; a graph of constants loads in
both, and runs faster, as the kernels may arrange constant weights once.
"""

import contextlib
import json
import os
import tempfile
import time

import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint, devices
from bert.system import filesystem, signals
from bert.system.errors import cannot_be_written
from bert.system.files import is_leftover, make_dir, sync_tree

MODEL = "saved_model.pb"
ASSETS = "-assets"  # suffix of the directory in which assets lie until the SavedModel has copied them


def frozen_weights(prefix, unused=(), names=None):
    """A variable scope in which every variable is a constant with its value in the checkpoint.

    A variable that is requested twice, as when a graph is built twice, is the same constant both times.

    Args:
      prefix: checkpoint prefix.
      unused: names of variables that no output depends on; the checkpoint may lack them.
      names: dict from the names of variables to those in the checkpoint, where they are others.
    """
    reader = checkpoint.open_checkpoint(prefix)
    made = {}

    def constant(getter, name, *args, **kwargs):
        if name not in made:
            there = (names or {}).get(name, name)
            missing = name in unused and not reader.has_tensor(there)
            made[name] = (
                tf.zeros(kwargs["shape"])
                if missing
                else tf.constant(checkpoint.read_tensor(reader, prefix, there), kwargs.get("dtype") or tf.float32)
            )
        return made[name]

    return tf.variable_scope("", custom_getter=constant)


def write_saved_model(export_dir, build_signatures, vocab_file, settings, write_extra=None):
    """Writes `export_dir/<timestamp>/`, complete or not at all.

    To a remote store it is copied when it is complete, saved_model.pb last: without that file it is no SavedModel.

    Args:
      export_dir: directory of all exports.
      build_signatures: function that builds the graph, within `frozen_weights`, in the default graph and returns its
        SignatureDefs by name.
      vocab_file: path of the vocabulary, an asset under the name vocab.txt.
      settings: dict from the file names of the other assets to their content, JSON values.
      write_extra: function that writes further files into the directory that it is given.

    Returns:
      The directory written.
    """
    make_dir(export_dir)
    timestamp = int(time.time())
    while filesystem.exists(os.path.join(export_dir, str(timestamp))):
        timestamp += 1
    final = os.path.join(export_dir, str(timestamp))
    if filesystem.is_remote(export_dir):
        return _write_remotely(final, build_signatures, vocab_file, settings, write_extra)
    for name in filesystem.listdir(export_dir):
        if is_leftover(name.replace(ASSETS, "")):
            filesystem.rmtree(os.path.join(export_dir, name))
    temporary = f"{final}.tmp-{os.getpid()}"  # not a number: no version for a server that watches
    try:
        with _written_to(temporary, build_signatures, vocab_file, settings, write_extra):
            sync_tree(temporary)
            return _publish(temporary, export_dir, timestamp)
    except (tf.errors.OpError, OSError) as error:
        raise cannot_be_written(final, error)


def _write_remotely(final, build_signatures, vocab_file, settings, write_extra):
    """As `write_saved_model`: makes the SavedModel on this machine and copies it to `final`, which it returns."""
    temporary = os.path.join(tempfile.mkdtemp(), os.path.basename(final))
    with signals.cleanup_on_exit(lambda: filesystem.rmtree(os.path.dirname(temporary))):
        try:
            with _written_to(temporary, build_signatures, vocab_file, settings, write_extra):
                filesystem.copytree(temporary, final, last=MODEL)
        except (tf.errors.OpError, OSError) as error:
            raise cannot_be_written(final, error)
    return final


@contextlib.contextmanager
def _written_to(directory, build_signatures, vocab_file, settings, write_extra):
    """Within it, a SavedModel is in this local directory, which is removed at the end; arguments as there."""
    asset_dir = directory + ASSETS

    def clean_up():
        filesystem.rmtree(directory)
        filesystem.rmtree(asset_dir)

    with signals.cleanup_on_exit(clean_up):
        assets = _write_assets(asset_dir, vocab_file, settings)
        _write_model(directory, build_signatures, assets)
        if write_extra:
            write_extra(directory)
        yield


def _publish(temporary, export_dir, number):
    """Renames a directory to the first number from this one on that is free; returns the new path.

    Another export of the same second may have taken a number that was free before.
    """
    while True:
        final = os.path.join(export_dir, str(number))
        try:
            os.rename(temporary, final)
            return final
        except OSError:
            if not filesystem.exists(final):
                raise
            number += 1


def _write_model(directory, build_signatures, assets):
    with tf.Graph().as_default(), tf.Session(config=devices.session_config()) as session:
        signatures = build_signatures()
        builder = tf.saved_model.Builder(directory)
        builder.add_meta_graph_and_variables(
            session,
            [tf.saved_model.tag_constants.SERVING],
            signatures,
            assets_collection=[tf.constant(path) for path in assets],
            strip_default_attrs=True,
        )
        builder.save()


def _write_assets(asset_dir, vocab_file, settings):
    """Writes what a client needs to turn texts into inputs, and outputs into words; returns the paths."""
    os.makedirs(asset_dir)
    filesystem.copyfile(vocab_file, os.path.join(asset_dir, "vocab.txt"))
    for name, value in settings.items():
        with open(os.path.join(asset_dir, name), "w", encoding="utf-8") as writer:
            json.dump(value, writer, ensure_ascii=False, indent=2)
    return sorted(os.path.join(asset_dir, name) for name in filesystem.listdir(asset_dir))
