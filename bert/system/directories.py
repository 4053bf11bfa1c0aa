"""Directories whose files appear together: none is half-written, none is overwritten unless that was asked for."""

import contextlib
import filecmp
import glob
import os
import shutil
import tempfile
import time

from bert.system import filesystem, signals
from bert.system.errors import UserError, cannot_be_written
from bert.system.files import is_leftover, make_dir, sha256, sync_tree

# A process number may be that of another machine, which shares the file system. A directory that a process there is
# still filling is younger than this.
LEFTOVER_SECONDS = 3600


@contextlib.contextmanager
def complete_directory(path, overwrite=False, remedy="expected another directory"):
    """Gives a temporary directory; the files written there are moved to `path` when nothing went wrong.

    A directory that is new appears with all its files at once. In one that exists, and in a remote store, the files
    appear one by one, the index of a checkpoint after its data. What a killed process left of its temporary directory
    is removed when it is an hour old.

    Args:
      path: the directory to make or to add to.
      overwrite: whether files there that have other contents are replaced.
      remedy: the end of the error's text where there are such files.

    Raises:
      UserError: a file is there with another content and `overwrite` is false, or nothing can be written.
    """
    path = filesystem.abspath(path)
    if filesystem.is_remote(path):
        make_dir(path)
        temporary = tempfile.mkdtemp()
        with signals.cleanup_on_exit(lambda: shutil.rmtree(temporary, ignore_errors=True)):
            yield temporary
            _upload(temporary, path, overwrite, remedy)
        return
    is_new = not os.path.lexists(path)
    make_dir(os.path.dirname(path) if is_new else path)
    # An existing directory may be a mount point, and nothing outside it can then be renamed into it.
    temporary = f"{path}.tmp-{os.getpid()}" if is_new else os.path.join(path, f".tmp-{os.getpid()}")
    _remove_leftovers(temporary)
    with signals.cleanup_on_exit(lambda: shutil.rmtree(temporary, ignore_errors=True)):
        try:
            os.mkdir(temporary)
            yield temporary
            sync_tree(temporary)
            if is_new and not os.path.lexists(path):
                os.rename(temporary, path)
            else:
                _merge(temporary, path, overwrite, remedy)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror or error}")


def _remove_leftovers(temporary):
    for folder in glob.glob(glob.escape(temporary.rpartition("-")[0]) + "-*"):
        with contextlib.suppress(OSError):
            if is_leftover(folder) and os.path.getmtime(folder) < time.time() - LEFTOVER_SECONDS:
                shutil.rmtree(folder)


def _merge(source, target, overwrite, remedy):
    names = sorted(os.listdir(source))
    same = set(filecmp.cmpfiles(source, target, names, shallow=False)[0])
    changed = [name for name in names if name not in same]
    _check_none_there(target, changed, overwrite, remedy)
    for name in changed:
        os.replace(os.path.join(source, name), os.path.join(target, name))


def _upload(source, target, overwrite, remedy):
    """As `_merge`, for a target in a remote store."""

    def is_same(name):
        file = os.path.join(target, name)
        return filesystem.exists(file) and sha256(file) == sha256(os.path.join(source, name))

    try:
        changed = [name for name in sorted(os.listdir(source)) if not is_same(name)]
        _check_none_there(target, changed, overwrite, remedy)
        for name in sorted(changed, key=lambda name: (name.endswith(".index"), name)):
            filesystem.copyfile(os.path.join(source, name), os.path.join(target, name))
    except OSError as error:
        raise cannot_be_written(target, error)


def _check_none_there(target, names, overwrite, remedy):
    for name in names:
        if filesystem.lexists(os.path.join(target, name)) and not overwrite:
            raise UserError(f"{os.path.join(target, name)}: exists with another content; {remedy}")
