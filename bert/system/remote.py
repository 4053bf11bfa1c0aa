"""Remote stores, such as gs://bucket/folder, through the file systems of TensorFlow: filesystem.py is the door to them.

TensorFlow is loaded at the first use of such a path. Its errors become OSErrors that name the path.
"""

import contextlib
import errno
import io
import os
import posixpath
import re

from bert.system.errors import UserError, first_line

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # one letter is a drive of Windows
_ONE_SLASH = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(?!/)")
_HADOOP = ("hdfs", "viewfs", "har")  # which TensorFlow reads by a library that it loads at the first use


class StoreError(UserError, OSError):
    """A store cannot be reached, or refuses something. Where nobody expects an OSError, a program ends in one line.

    Args:
      errno, strerror, filename: as of OSError.
    """

    def __str__(self):
        return f"{self.filename}: {self.strerror}"


def is_remote(path):
    """Whether a path begins with a scheme, as gs://bucket."""
    return isinstance(path, str) and _SCHEME.match(path) is not None


def check_path(path, name):
    """UserError where a path has a scheme that this TensorFlow cannot read, or is a scheme's that was mistyped.

    Nothing is asked of the store itself, so this is as quick where there is no network.

    Args:
      path: what the user gave.
      name: what the message calls it, such as "-output_dir".
    """
    if is_remote(path):
        _check_scheme(path, name)
    mistyped = _ONE_SLASH.match(path)
    if mistyped and not os.path.exists(mistyped.group(1) + ":"):
        scheme = mistyped.group(1)
        raise UserError(f"{name} {path}: expected {scheme}://{path[mistyped.end() :]}, with two slashes")


def _check_scheme(path, name):
    scheme = _SCHEME.match(path).group(1)
    tf = _tensorflow()
    try:
        tf.io.gfile.exists(f"{scheme}://")
        if scheme in _HADOOP:
            tf.io.gfile.stat(path)
    except tf.errors.UnimplementedError:
        raise UserError(
            f"{name} {path}: this TensorFlow, {tf.__version__}, has no file system {scheme}://; "
            f"expected {_known(tf)} or a local path"
        )
    except tf.errors.OpError as error:  # most say only that the path is too short, or not there
        if re.search(r"\.so\b", error.message):
            raise UserError(f"{name} {path}: {scheme}:// cannot be read here: {first_line(error)}")
    if not path[len(scheme) + len("://") :].strip("/"):
        raise UserError(f"{name} {path}: expected more behind {scheme}://, such as a bucket")


def _known(tf):
    """The schemes that this TensorFlow reads, in words."""
    listed = getattr(tf.io.gfile, "get_registered_schemes", lambda: ("gs", "s3", "hdfs", "file"))()
    return ", ".join(f"{scheme}://" for scheme in sorted(filter(None, listed)))


def _tensorflow():
    import tensorflow.compat.v1 as tf

    return tf


@contextlib.contextmanager
def _as_os_error(path):
    """An error of TensorFlow in this block becomes the OSError that a local path would give."""
    tf = _tensorflow()
    try:
        yield tf.io.gfile
    except tf.errors.OpError as error:
        raise _os_error(tf, error, path)


def _os_error(tf, error, path):
    kinds = (
        (tf.errors.NotFoundError, errno.ENOENT),
        (tf.errors.AlreadyExistsError, errno.EEXIST),
        ((tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError), errno.EACCES),
    )
    number = next((number for kind, number in kinds if isinstance(error, kind)), errno.EIO)
    for words, said in (("is a directory", errno.EISDIR), ("not a directory", errno.ENOTDIR)):
        number = said if words in error.message.lower() else number
    if number in (errno.ENOENT, errno.EEXIST, errno.EISDIR, errno.ENOTDIR):
        return OSError(number, os.strerror(number), path)  # FileNotFoundError and the like
    reason = first_line(error) if error.message else os.strerror(number)
    return StoreError(number, reason.partition(path + "; ")[2] or reason, path)


class RawFile(io.RawIOBase):
    """A remote file, without a buffer.

    Args:
      path: of the file.
      mode: it begins with "r", "w" or "a"; the content is bytes in any case.

    Raises:
      OSError: it cannot be opened.
    """

    def __init__(self, path, mode):
        super().__init__()
        self._path, self._reads = path, mode.startswith("r")
        with self._errors() as gfile:
            self._file = gfile.GFile(path, mode[0] + "b")
            # TensorFlow would open it at its first use only, and never make an empty file.
            if self._reads:
                found = gfile.stat(path)
                if found.is_directory:
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
                self._size = found.length
            else:
                if mode.startswith("w"):
                    _remove_from_memory(gfile, path)
                self._file.write(b"")

    def _errors(self):
        return _as_os_error(self._path)

    def readable(self):
        return self._reads

    def writable(self):
        return not self._reads

    def seekable(self):
        return self._reads

    def readinto(self, buffer):
        with self._errors():
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def write(self, content):
        with self._errors():
            self._file.write(bytes(content))
        return len(content)

    def seek(self, offset, whence=io.SEEK_SET):
        with self._errors():
            start = {io.SEEK_SET: 0, io.SEEK_CUR: self._file.tell(), io.SEEK_END: self._size}[whence]
            self._file.seek(start + offset)
        return start + offset

    def tell(self):
        with self._errors():
            return self._file.tell()

    def close(self):
        if not self.closed:
            try:
                with self._errors():
                    self._file.close()
            finally:
                super().close()


def exists(path):
    """Whether there is a file or directory."""
    try:
        stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def isdir(path):
    """Whether there is a directory, which in a store may be no more than the common beginning of names.

    TensorFlow's own `isdir` is false of a store that cannot be reached.
    """
    try:
        return stat(path).is_directory
    except (FileNotFoundError, NotADirectoryError):
        return False


def listdir(path):
    """The names in a directory; stores end those of directories with a slash, which is left out."""
    if not isdir(path):  # TensorFlow's own `listdir` says no more of a store that cannot be reached
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    with _as_os_error(path) as gfile:
        names = [name for name in (name.rstrip("/") for name in gfile.listdir(path)) if name]
        return [name for name in names if not _in_memory(path) or gfile.exists(f"{path.rstrip('/')}/{name}")]


def glob(pattern):
    """The paths that a pattern matches."""
    with _as_os_error(pattern) as gfile:
        try:
            return gfile.glob(pattern)
        except _tensorflow().errors.NotFoundError:  # TensorFlow 1.15, where there is not even the directory
            return []


def makedirs(path):
    """Makes a directory and those above it, where there are none."""
    with _as_os_error(path) as gfile:
        gfile.makedirs(path)


def replace(source, target):
    """Renames a file; many stores copy it and remove the first, each at once."""
    with _as_os_error(target) as gfile:
        gfile.rename(source, target, overwrite=True)


def copyfile(source, target):
    """Copies a file; a file of the new name is replaced."""
    with _as_os_error(source) as gfile:
        _remove_from_memory(gfile, target)
        gfile.copy(source, target, overwrite=True)


def remove(path):
    """Removes a file."""
    with _as_os_error(path) as gfile:
        gfile.remove(path)


def rmdir(path):
    """Removes a directory; OSError where something is in it."""
    if listdir(path):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
    with _as_os_error(path) as gfile:
        gfile.rmtree(path)


def rmtree(path):
    """Removes a directory with all that is in it, as far as that goes."""
    with contextlib.suppress(OSError), _as_os_error(path) as gfile:
        gfile.rmtree(path)


def stat(path):
    """TensorFlow's FileStatistics of a path, `length` and `mtime_nsec` among them."""
    with _as_os_error(path) as gfile:
        found = gfile.stat(path)
        if found.is_directory and _in_memory(path) and not _is_directory_in_memory(gfile, path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return found


def normalized(path):
    """A remote path in its shortest spelling.

    >>> normalized("gs://bucket/a//b/../c/")
    'gs://bucket/a/c'
    """
    scheme = _SCHEME.match(path).group()
    rest = path[len(scheme) :]
    return scheme + "/" * rest.startswith("/") + posixpath.normpath("/" + rest).lstrip("/")


# ---- ram://, TensorFlow's store in memory: what it does otherwise than all others ------------------------------------


def _in_memory(path):
    return path.startswith("ram://")


def _is_directory_in_memory(gfile, path):
    """Whether there is such a directory; TensorFlow takes the beginning of any name for one."""
    folder, name = posixpath.split(path.rstrip("/"))
    return folder == "ram:" or name in gfile.listdir(folder) or bool(gfile.glob(f"{path.rstrip('/')}/*"))


def _remove_from_memory(gfile, path):
    """Removes a file before it is written anew: the new content would go behind the old."""
    if _in_memory(path) and exists(path) and not isdir(path):
        gfile.remove(path)
