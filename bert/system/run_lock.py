"""One run at a time in an output directory: a lock that ends with the process that holds it, however that ends.

The lock is the operating system's, on the file `run.lock` in the directory; the file says who holds it. In a remote
store, which has no locks, it is the file itself: see remote_lock.py.
"""

import contextlib
import datetime
import errno
import json
import logging
import os
import socket

from bert.system import filesystem, portable, remote_lock, signals
from bert.system.errors import UserError
from bert.system.files import make_dir, parse_json

log = logging.getLogger(__name__)
LOCK_FILE = "run.lock"

_held = set()  # descriptors of the locks that this process holds


@contextlib.contextmanager
def locked(directory, wanted=True):
    """Holds a directory's lock. Whatever a run reads in the directory before it writes there, it reads inside.

    The directory is made if there is none. If it is still empty at the end, it is removed again, so that a run that is
    refused leaves nothing behind. A file system or an operating system without locks gets a warning and no protection.

    Args:
      directory: the output directory; None where that flag is missing: there is nothing to lock then.
      wanted: false for a run that writes nothing that another run writes: it takes no lock.

    Raises:
      UserError: another process holds the lock, or the directory cannot be written to.
    """
    if not (wanted and directory):
        yield
        return
    made = _missing(directory)
    with signals.cleanup_on_exit(lambda: _remove_empty(made)):
        if filesystem.is_remote(directory):
            make_dir(directory)
            with remote_lock.locked(os.path.join(directory, LOCK_FILE)):
                yield
            return
        descriptor = _acquire(directory)
        with signals.cleanup_on_exit(lambda: _release(directory, descriptor)):
            yield


def _missing(directory):
    """The directory and those above it, as far as there are none: a list of paths, the innermost first."""
    path, missing = filesystem.abspath(directory), []
    while not filesystem.isdir(path) and filesystem.is_remote(path) == filesystem.is_remote(directory):
        missing.append(path)
        path = os.path.dirname(path)
    return missing


def _remove_empty(directories):
    """Removes directories up to the first one, from the innermost on, that is not empty."""
    with contextlib.suppress(OSError):
        for path in directories:
            filesystem.rmdir(path)


def _acquire(directory):
    path = os.path.join(directory, LOCK_FILE)
    if not portable.HAS_LOCKS:
        make_dir(directory)
        log.warning("%s: no locks on this system; no second run may use it now", directory)
        return None
    while True:
        if not os.path.isdir(directory):
            make_dir(directory)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            if error.errno == errno.ENOENT and not os.path.islink(path):
                continue  # a run that was refused has just removed the directory
            raise UserError(f"{directory}: expected a directory that can be written: {error.strerror}")
        try:
            portable.lock(descriptor)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                holder = _holder(descriptor)
                os.close(descriptor)
                raise UserError(f"{directory}: {holder} writes to it; expected that to end, or another -output_dir")
            log.warning("%s: no locks on this file system (%s); no second run may use it now", path, error.strerror)
            return descriptor
        if _is_same_file(descriptor, path):
            break
        os.close(descriptor)  # its holder removed it between the two calls
    _held.add(descriptor)
    with contextlib.suppress(OSError):  # a full disk; the lock holds all the same
        since = datetime.datetime.now().isoformat(" ", "seconds")
        os.ftruncate(descriptor, 0)
        os.pwrite(
            descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}).encode(), 0
        )
    return descriptor


def _release(directory, descriptor):
    if descriptor is None:
        return
    _held.discard(descriptor)
    path = os.path.join(directory, LOCK_FILE)
    if _is_same_file(descriptor, path):
        with contextlib.suppress(OSError):
            os.remove(path)
    os.close(descriptor)


def _holder(descriptor):
    """Who holds the lock, in words."""
    try:
        holder = parse_json(os.pread(descriptor, 4096, 0))
        return f"another run (process {holder['pid']} on {holder['host']}, since {holder['since']})"
    except (OSError, ValueError, KeyError, TypeError):  # it has not written it yet, or could not
        return "another run"


def _is_same_file(descriptor, path):
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _close_in_child():
    """A forked process would otherwise keep the lock of a parent that was killed."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


portable.call_in_forked_child(_close_in_child)
