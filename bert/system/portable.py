"""What a POSIX system has and others, as Windows, lack: locks on files, signals that can be watched, forks.

Where something is missing, a run goes on without it: this module is the one place that knows.
"""

import os
import signal

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# Whether a signal can be read from a pipe by a thread; elsewhere Ctrl-C is Python's own KeyboardInterrupt.
HAS_SIGNAL_PIPES = os.name == "posix" and hasattr(signal, "set_wakeup_fd")
HAS_LOCKS = fcntl is not None


def lock(file):
    """Locks an open file until it is closed, by whatever ends the process.

    Args:
      file: a file or a descriptor.

    Raises:
      OSError: another process has locked it, or the file system has no locks. Without HAS_LOCKS nothing happens.
    """
    if HAS_LOCKS:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def call_in_forked_child(function):
    """Has `function()` called in every process that is forked from this one; a system without forks needs it not."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def has_ended(pid):
    """Whether it is certain that there is no process of this number; elsewhere than on POSIX it never is."""
    if os.name != "posix":
        return False  # there, os.kill(pid, 0) would send a Ctrl-C
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # another user's process, or not a process number
        pass
    return False


def sync(path):
    """Returns when a file's or directory's content is on the disk; Windows can say so of files alone."""
    is_posix = os.name == "posix"
    if os.path.isdir(path) and not is_posix:
        return
    descriptor = os.open(path, os.O_RDONLY if is_posix else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
