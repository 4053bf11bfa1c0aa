"""SavedModels for serving: a graph that every TensorFlow loads, and its weights as variables beside it."""

import contextlib
import json
import os
import tempfile
import time

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import saved_model_pb2

from bert.runtime import devices
from bert.runtime.checkpoint_files import SAVED_MODEL, SAVED_WEIGHTS
from bert.system import filesystem, signals
from bert.system.errors import cannot_be_written
from bert.system.files import is_leftover, make_dir, sync_tree

ASSETS = "-assets"  # suffix of the directory in which assets lie until the SavedModel has copied them


def write_saved_model(export_dir, build_signatures, vocab_file, settings, write_extra=None):
    """Writes `export_dir/<timestamp>/`, complete or not at all.

    To a remote store it is copied when it is complete, the graph last: without it this is no SavedModel.

    Args:
      export_dir: directory of all exports.
      build_signatures: function from a session of the default graph. It builds the graph, fills its variables in the
        session, and returns the SignatureDefs by name.
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


def load_signature(session, directory, name):
    """Loads what one signature of a SavedModel needs, and no more, into a session and its graph.

    Other signatures would take memory and time.

    Args:
      session: tf.Session of an empty graph.
      directory: of the SavedModel.
      name: the signature's name.

    Returns:
      SignatureDef.

    Raises:
      tf.errors.OpError, KeyError, ValueError: what is there cannot be loaded.
    """
    saved = saved_model_pb2.SavedModel()
    with tf.gfile.GFile(os.path.join(directory, SAVED_MODEL), "rb") as reader:
        content = reader.read()
    try:
        saved.ParseFromString(content)
    except Exception as error:  # protobuf's own DecodeError differs between its implementations
        raise ValueError(f"{SAVED_MODEL} is damaged: {error}")
    serving = [meta for meta in saved.meta_graphs if tf.saved_model.tag_constants.SERVING in meta.meta_info_def.tags]
    if not serving:
        raise ValueError("no graph for serving in it")
    meta, saver = serving[0], serving[0].saver_def
    if name not in meta.signature_def:
        raise KeyError(f"signature {name}")
    signature = meta.signature_def[name]
    fetched = [info.name for infos in (signature.inputs, signature.outputs) for info in infos.values()]
    restoring = [saver.restore_op_name, saver.filename_tensor_name] if saver.restore_op_name else []
    with session.graph.as_default():
        tf.import_graph_def(_needed(meta.graph_def, fetched + restoring), name="")
    if restoring:
        prefix = os.path.join(directory, SAVED_WEIGHTS)
        session.run(saver.restore_op_name, {saver.filename_tensor_name: prefix})
    return signature


def _needed(graph_def, names):
    """The part of a GraphDef that these operations and tensors, by name, depend on."""
    nodes = {node.name: node for node in graph_def.node}
    kept, waiting = set(), [_op_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in kept:
            if name not in nodes:
                raise ValueError(f"its graph lacks {name}")
            kept.add(name)
            waiting += [_op_name(each) for each in nodes[name].input]
    part = tf.GraphDef(versions=graph_def.versions, library=graph_def.library)
    part.node.extend(node for node in graph_def.node if node.name in kept)
    return part


def _op_name(tensor):
    """The name of the operation of a tensor or of a control input, as "^name" or "name:0"."""
    return tensor.lstrip("^").partition(":")[0]


def _write_remotely(final, build_signatures, vocab_file, settings, write_extra):
    """As `write_saved_model`: makes the SavedModel on this machine and copies it to `final`, which it returns."""
    temporary = os.path.join(tempfile.mkdtemp(), os.path.basename(final))
    with signals.cleanup_on_exit(lambda: filesystem.rmtree(os.path.dirname(temporary))):
        try:
            with _written_to(temporary, build_signatures, vocab_file, settings, write_extra):
                filesystem.copytree(temporary, final, last=SAVED_MODEL)
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
        signatures = build_signatures(session)
        builder = tf.saved_model.Builder(directory)
        builder.add_meta_graph_and_variables(
            session,
            [tf.saved_model.tag_constants.SERVING],
            signatures,
            assets_collection=[tf.constant(path) for path in assets],
            strip_default_attrs=True,
        )
        _drop_new_attributes(builder.save())


def _drop_new_attributes(path):
    """Removes from a SavedModel's file what says nothing and what TensorFlow 1.15 does not know."""
    path = tf.compat.as_str(path)
    saved = saved_model_pb2.SavedModel()
    with open(path, "rb") as reader:
        saved.ParseFromString(reader.read())
    for node in saved.meta_graphs[0].graph_def.node:
        if node.op == "VarHandleOp" and "debug_name" in node.attr:
            del node.attr["debug_name"]
    with open(path, "wb") as writer:
        writer.write(saved.SerializeToString(deterministic=True))


def _write_assets(asset_dir, vocab_file, settings):
    """Writes what a client needs to turn texts into inputs, and outputs into words; returns the paths."""
    os.makedirs(asset_dir)
    filesystem.copyfile(vocab_file, os.path.join(asset_dir, "vocab.txt"))
    for name, value in settings.items():
        with open(os.path.join(asset_dir, name), "w", encoding="utf-8") as writer:
            json.dump(value, writer, ensure_ascii=False, indent=2)
    return sorted(os.path.join(asset_dir, name) for name in filesystem.listdir(asset_dir))
