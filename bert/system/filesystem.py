"""Files and directories by their paths, on this machine or in a remote store such as gs://bucket/folder.

A local path goes to the function of the same name in os, os.path, glob or shutil. A path with a scheme goes to
TensorFlow's file systems, see remote.py, and raises OSErrors as a local one does. Every module that reads or writes
what a user names does it through here.
"""

import glob as local_glob
import io
import os
import posixpath
import shutil

from bert.system import portable, remote, signals
from bert.system.remote import is_remote

_BUFFER = 1 << 20  # bytes that a remote file is read and written at a time


def open_file(path, mode="r"):
    """A file as `open` gives it; text is UTF-8 and its line ends stay as they are.

    Args:
      path: path, or a descriptor.
      mode: "r", "w", "a", "rb", "wb" or "ab".
    """
    is_text = "b" not in mode
    if not is_remote(path):
        return open(path, mode, encoding="utf-8", newline="") if is_text else open(path, mode)
    raw = remote.RawFile(path, mode)
    stream = (io.BufferedReader if mode.startswith("r") else io.BufferedWriter)(raw, _BUFFER)
    return io.TextIOWrapper(stream, encoding="utf-8", newline="") if is_text else stream


def exists(path):
    """Whether there is a file or directory; remotely too, where only a store that cannot be reached is an error."""
    return remote.exists(path) if is_remote(path) else os.path.exists(path)


def lexists(path):
    """As `exists`, and true of a symbolic link that leads nowhere."""
    return remote.exists(path) if is_remote(path) else os.path.lexists(path)


def isfile(path):
    """Whether there is a file of that name."""
    return remote.exists(path) and not remote.isdir(path) if is_remote(path) else os.path.isfile(path)


def isdir(path):
    """Whether there is a directory of that name."""
    return remote.isdir(path) if is_remote(path) else os.path.isdir(path)


def listdir(path):
    """The names in a directory."""
    return remote.listdir(path) if is_remote(path) else os.listdir(path)


def glob(pattern):
    """The paths that a pattern matches."""
    return remote.glob(pattern) if is_remote(pattern) else local_glob.glob(pattern)


def beginning_with(prefix):
    """The paths that begin with these characters and have at least one more in their last name."""
    if not is_remote(prefix):
        return local_glob.glob(local_glob.escape(prefix) + "?*")
    folder, start = posixpath.split(prefix)
    names = remote.listdir(folder) if remote.isdir(folder) else []
    return [posixpath.join(folder, name) for name in names if name.startswith(start) and name != start]


def walk(path):
    """(folder, names of folders, names of files) of a directory and of those in it; nothing where there is none.

    The list of folders can be changed, as os.walk's: those that are left out are not gone into.
    """
    if not is_remote(path):
        yield from os.walk(path)
        return
    if not remote.isdir(path):
        return
    names = sorted(remote.listdir(path))
    folders = [name for name in names if remote.isdir(posixpath.join(path, name))]
    yield path, folders, [name for name in names if name not in folders]
    for name in folders:
        yield from walk(posixpath.join(path, name))


def makedirs(path):
    """Makes a directory and those above it, where there are none."""
    return remote.makedirs(path) if is_remote(path) else os.makedirs(path, exist_ok=True)


def can_write(directory):
    """Whether a directory can be written to, as far as that can be told: a store tells it when it is written to."""
    return is_remote(directory) or os.access(directory, os.W_OK)


def replace(source, target):
    """Renames a file of the same file system; a file of the new name is replaced."""
    return remote.replace(source, target) if is_remote(target) else os.replace(source, target)


def copyfile(source, target):
    """Copies a file, from this machine or a store to either; a file of the new name is replaced."""
    if is_remote(source) and is_remote(target):
        remote.copyfile(source, target)
    elif is_remote(source) or is_remote(target):
        with open_file(source, "rb") as reader, open_file(target, "wb") as writer:
            shutil.copyfileobj(reader, writer, _BUFFER)
    else:
        shutil.copyfile(source, target)


def copytree(source, target, last):
    """Copies all files of a local directory to a remote one, which is complete once the last of them is there.

    Where it is not completed, what has been copied is removed.

    Args:
      source, target: directories.
      last: name of the file that is copied when all others are there.

    Raises:
      OSError: a file cannot be written.
    """
    files = [os.path.join(folder, name) for folder, _, names in os.walk(source) for name in names]
    files = [os.path.relpath(file, source).replace(os.sep, "/") for file in files]
    left = sorted(files, key=lambda file: (file == last, file))
    with signals.cleanup_on_exit(lambda: rmtree(target) if left else None):
        while left:
            path = posixpath.join(target, left[0])
            makedirs(posixpath.dirname(path))
            copyfile(os.path.join(source, left[0]), path)
            del left[0]


def remove(path):
    """Removes a file."""
    return remote.remove(path) if is_remote(path) else os.remove(path)


def rmdir(path):
    """Removes a directory; OSError where something is in it."""
    return remote.rmdir(path) if is_remote(path) else os.rmdir(path)


def rmtree(path):
    """Removes a directory with all that is in it, as far as that goes."""
    return remote.rmtree(path) if is_remote(path) else shutil.rmtree(path, ignore_errors=True)


def getsize(path):
    """Bytes of a file."""
    return remote.stat(path).length if is_remote(path) else os.path.getsize(path)


def getmtime(path):
    """When a file was last written, in seconds since 1970; None where the file system does not say."""
    return remote.stat(path).mtime_nsec / 1e9 or None if is_remote(path) else os.path.getmtime(path)


def abspath(path):
    """The path from the root; of a remote one, which begins with its scheme, the same in one spelling."""
    return remote.normalized(path) if is_remote(path) else os.path.abspath(path)


def realpath(path):
    """As `abspath`, with symbolic links followed."""
    return remote.normalized(path) if is_remote(path) else os.path.realpath(path)


def samefile(path, other):
    """Whether two paths of files that exist name one file."""
    if is_remote(path) or is_remote(other):
        return abspath(path) == abspath(other)
    return os.path.samefile(path, other)


def sync(path):
    """Returns when a file's or directory's content is on the disk; in a store it is there once it is closed."""
    if not is_remote(path):
        portable.sync(path)
