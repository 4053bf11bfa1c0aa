"""Which checkpoint the files of a directory hold, told by their names. Loads no TensorFlow."""

import os
import re

from bert.system import filesystem
from bert.system.errors import UserError, shown_list

# Files of a SavedModel: its graph, without which a directory is none, and the checkpoint of its weights.
SAVED_MODEL = "saved_model.pb"
SAVED_WEIGHTS = "variables/variables"
CONVERTER = "python -m bert.convert_checkpoint"
# Weights of Hugging Face, whatever the framework they were saved from.
HUGGING_FACE_FILE = re.compile(
    r"(model.*\.safetensors|pytorch_model.*\.bin)(\.index\.json)?$|tf_model\.h5$|flax_model\.msgpack$"
)
# Weights of others again.
_OTHER_WEIGHTS = re.compile(
    re.escape(SAVED_MODEL) + r"$|.+\.(onnx|pt|pth|npz|h5|hdf5|keras|gguf|pdparams|msgpack|safetensors)$"
)
_PIECE = re.compile(r"(.+)\.data-\d{5}-of-\d{5}$")
_BEING_WRITTEN = re.compile(r"\.tmp-\d+(\.|$)|\.tempstate\d+|_temp(_[0-9a-f]+)?/")
# What a model of Hugging Face is called: an owner or none, then a name.
_HUGGING_FACE_NAME = re.compile(r"([\w.-]+/)?[\w.-]*(bert|electra)[\w.-]*$", re.IGNORECASE)
_LFS_POINTER = b"version https://git-lfs"
# How files of other frameworks begin.
_FOREIGN_FILES = (
    (b"PK\x03\x04", "a file of PyTorch"),
    (b"\x80\x02", "a file of PyTorch"),
    (b"\x89HDF", "weights of Keras (HDF5)"),
)


def prefixes(names):
    """(whole, pieces) of a directory's file names, each sorted.

    whole: prefixes of the checkpoints that have an index. pieces: names of data files without their index.
    """
    names = [name for name in names if not _BEING_WRITTEN.search(name)]
    whole = sorted(name[: -len(".index")] for name in names if name.endswith(".index"))
    data = [(_PIECE.match(name).group(1), name) for name in names if _PIECE.match(name)]
    return whole, sorted(name for prefix, name in data if prefix not in whole)


def has_weights(names):
    """Whether a directory's file names promise weights: a checkpoint, a piece of one, or another framework's."""
    whole, pieces = prefixes(names)
    return bool(whole or pieces) or any(HUGGING_FACE_FILE.match(name) or _OTHER_WEIGHTS.match(name) for name in names)


def is_hugging_face_directory(names):
    """Whether a directory's file names are those of a model of Hugging Face that has not been converted."""
    has_theirs = "config.json" in names and any(HUGGING_FACE_FILE.match(name) for name in names)
    return has_theirs and "bert_config.json" not in names


def the_one(directory, names):
    """The name of the one checkpoint among a directory's files.

    Args:
      directory: path of the directory, for the errors.
      names: names of its files.

    Raises:
      UserError: there is no checkpoint, there are several, or there is only a piece of one.
    """
    whole, pieces = prefixes(names)
    if len(whole) == 1:
        return whole[0]
    if whole:
        raise UserError(
            f"{directory}: several checkpoints in it; expected one of {shown_list(whole)} behind its name, "
            f"as -init_checkpoint"
        )
    if pieces:
        raise UserError(
            f"{directory}: only a piece of a checkpoint in it, {shown_list(pieces)}; expected its .index file too"
        )
    if any(HUGGING_FACE_FILE.match(name) for name in names):
        raise not_ours(directory, "a directory of Hugging Face, no TensorFlow checkpoint in it")
    others = sorted(filter(_OTHER_WEIGHTS.match, names))
    if others:
        raise UserError(
            f"{directory}: no TensorFlow checkpoint in it, but {shown_list(others)}; expected files as "
            f"bert_model.ckpt.index"
        )
    raise UserError(
        f"{directory}: no checkpoint in it; expected files as bert_model.ckpt.index, or a checkpoint's prefix"
    )


def not_ours(path, found):
    """The UserError for weights that the converter can read."""
    return UserError(f"{path}: {found}; expected what {CONVERTER} makes of it")


def check_no_foreign_file(path):
    """Refuses a path that is no checkpoint's prefix and can be recognised.

    Args:
      path: a path on this machine or elsewhere; it need not exist.

    Raises:
      UserError: it is a file of another framework, an archive, a model's name on Hugging Face, or there are only data
        files of that prefix.
    """
    if HUGGING_FACE_FILE.match(os.path.basename(path)):
        raise not_ours(path, "weights of Hugging Face, no TensorFlow checkpoint")
    if filesystem.isfile(path):
        if re.search(r"\.(tar|tar\.gz|tgz|tar\.xz)$", path):
            raise UserError(f"{path}: a packed archive; expected it unpacked, or a .zip")
        with filesystem.open_file(path, "rb") as file:
            start = file.read(4)
        for magic, found in _FOREIGN_FILES:
            if start.startswith(magic):
                raise UserError(
                    f"{path}: {found}, no TensorFlow checkpoint; expected a prefix as bert_model.ckpt, or the "
                    f"directory of a Hugging Face BERT turned into one by {CONVERTER}"
                )
        return
    if is_hugging_face_name(path):
        raise UserError(
            f"{path}: no such directory; a model of Hugging Face of that name is not downloaded: expected its "
            f"directory turned into a checkpoint by {CONVERTER}"
        )
    folder, name = os.path.split(path)
    if name and filesystem.isdir(folder or "."):
        _, pieces = prefixes(filesystem.listdir(folder or "."))
        pieces = [piece for piece in pieces if piece.startswith(name + ".data-")]
        if pieces:
            found = shown_list(pieces, longest=80)
            raise UserError(f"{path}: only a piece of a checkpoint, {found}; expected {name}.index too")


def check_no_pointer(prefix):
    """UserError where a file of a checkpoint is what `git clone` leaves of a large file without Git LFS."""
    for path in sorted(filesystem.beginning_with(prefix + ".")):
        if filesystem.isfile(path):
            with filesystem.open_file(path, "rb") as file:
                if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
                    raise UserError(
                        f"{path}: a pointer of Git LFS; expected the file itself, which git lfs pull fetches"
                    )


def is_hugging_face_name(path):
    """Whether a path that does not exist looks like a model's name there, such as bert-base-cased."""
    if not _HUGGING_FACE_NAME.match(path) or "ckpt" in path or filesystem.exists(path):
        return False
    folder = os.path.dirname(path)
    return not folder or not filesystem.exists(folder)
