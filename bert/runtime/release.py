"""Unpacks a Google release as downloaded: a zip with a checkpoint, bert_config.json and vocab.txt."""

import logging
import os
import posixpath
import re
import shutil

from bert.runtime.checkpoint_files import is_hugging_face_directory, not_ours
from bert.system import archives, filesystem
from bert.system.directories import complete_directory
from bert.system.errors import UserError, shown_list

log = logging.getLogger(__name__)


def is_zip(path):
    """Whether a path has the name of a zip file."""
    return path.lower().endswith(".zip") and not filesystem.isdir(path)


def unpack(path, elsewhere=None):
    """Unpacks a release, unless that was done before, to a directory beside the zip with its name without .zip.

    Returns the directory.

    Only the files of the folder with the checkpoint are unpacked. Files that are there already with the
    same names and sizes are kept.

    Args:
      path: the zip file.
      elsewhere: directory to unpack to if nothing can be written beside the zip; default: none.

    Raises:
      UserError: the file is no zip or damaged, has no checkpoint or several, or has a path that leads out of the
        directory; or nothing can be written.
    """
    folder, name = os.path.split(filesystem.abspath(path))
    if elsewhere and not filesystem.can_write(folder):
        folder = elsewhere
    target = os.path.join(folder, name[: -len(".zip")])
    with archives.opened(path) as archive:
        members = _members(path, archive)
        if all(_size(os.path.join(target, file)) == member.file_size for file, member in members.items()):
            return target
        archives.check_members(path, archive, list(members.values()))
        log.info("unpacks %s to %s", path, target)
        remedy = f"expected what {path} holds, or no such directory"
        with complete_directory(target, remedy=remedy) as temporary:
            for file, member in members.items():
                with archive.open(member) as source, filesystem.open_file(
                    os.path.join(temporary, file), "wb"
                ) as writer:
                    shutil.copyfileobj(source, writer, 1 << 20)
    return target


def _members(path, archive):
    """The files of the archive in the folder of the checkpoint: dict from file name to ZipInfo."""
    files = [info for info in archive.infolist() if not info.filename.endswith("/")]
    for info in files:
        parts = re.split(r"[/\\]", info.filename)
        if ".." in parts or not parts[0] or ":" in parts[0]:
            raise UserError(f"{path}: it has a file '{info.filename}', outside of it; expected none such")
    files = [info for info in files if not info.filename.startswith("__MACOSX/")]
    indexes = [info.filename for info in files if info.filename.endswith(".index")]
    if not indexes and is_hugging_face_directory([posixpath.basename(info.filename) for info in files]):
        raise not_ours(path, "a model of Hugging Face, no TensorFlow checkpoint in it")
    if len(indexes) != 1:
        found = shown_list(sorted(indexes)) or "none"
        raise UserError(f"{path}: expected one checkpoint in it, as bert_model.ckpt.index; found {found}")
    folder = posixpath.dirname(indexes[0])
    return {posixpath.basename(info.filename): info for info in files if posixpath.dirname(info.filename) == folder}


def _size(path):
    return filesystem.getsize(path) if filesystem.isfile(path) else None
