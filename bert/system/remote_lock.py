"""One run at a time in a directory of a remote store: a lock that is a file with signs of life.

A store has no locks, and keeps nothing in step with a process. So the file says who holds the lock and when that run
was last heard of, which it writes anew every minute. A lock that nobody has been heard of for five minutes is one that
a killed run left. Two runs that begin in the same second are told apart as far as the store keeps the order of writes.
"""

import contextlib
import datetime
import getpass
import logging
import os
import socket
import threading
import time
import uuid

from bert.system import filesystem, signals
from bert.system.errors import UserError
from bert.system.files import read_json, write_json
from bert.system.portable import has_ended

log = logging.getLogger(__name__)
BEAT_SECONDS = 60.0  # from one sign of life to the next
FRESH_SECONDS = 300.0  # after the last one the lock counts so long
SETTLE_SECONDS = 1.0  # after which a run looks whether another has taken the lock at the same time


@contextlib.contextmanager
def locked(path):
    """Holds the lock that a remote file stands for; its directory exists.

    Args:
      path: of the file.

    Raises:
      UserError: another run holds it, or it cannot be written.
    """
    lock = _Lock(path)
    lock.acquire()
    with signals.cleanup_on_exit(lock.release):
        yield


class _Lock:
    def __init__(self, path):
        self._path = path
        self._mine = dict(_this_process(), run=uuid.uuid4().hex)
        self._ended = threading.Event()
        self._writing = threading.Lock()
        self._beat = threading.Thread(target=self._show_life, daemon=True)

    def acquire(self):
        self._refuse(_read(self._path))
        self._write()
        time.sleep(SETTLE_SECONDS)
        self._refuse(_read(self._path))
        self._beat.start()

    def _refuse(self, found):
        """UserError where what the file holds says that another run has the lock."""
        if found is None or found["run"] == self._mine["run"]:
            return
        silent = max(time.time() - found["heard"], 0.0)
        is_of_here = found["machine"] == self._mine["machine"]
        if silent < FRESH_SECONDS and not (is_of_here and has_ended(found["pid"])):
            who, minutes = f"{found['owner']}, process {found['pid']} on {found['host']}", FRESH_SECONDS / 60
            raise UserError(
                f"{self._path}: another run ({who}) writes there, heard of {silent:.0f} s ago; expected that to end, "
                f"or another -output_dir. The lock of a killed run ends {minutes:.0f} minutes after it was heard of"
            )

    def _write(self):
        write_json(self._path, dict(self._mine, heard=time.time()))

    def _show_life(self):
        while not self._ended.wait(BEAT_SECONDS):
            try:
                with self._writing:
                    if self._ended.is_set():
                        return
                    found = _read(self._path)
                    if found is not None and found["run"] != self._mine["run"]:
                        log.warning("%s: taken by process %s on %s", self._path, found["pid"], found["host"])
                        return
                    self._write()
            except (UserError, OSError) as error:  # the next one may succeed
                log.warning("%s", error)

    def release(self):
        self._ended.set()
        # A store that hangs must not keep a signal from ending the process; then the lock ends by itself.
        if self._writing.acquire(timeout=BEAT_SECONDS):
            with contextlib.suppress(UserError, OSError):
                found = _read(self._path)
                if found is not None and found["run"] == self._mine["run"]:
                    filesystem.remove(self._path)


def _read(path):
    """What the file of a lock says, a dict; None where there is none."""
    if not filesystem.exists(path):
        return None
    try:
        found = read_json(path)
        if type(found["pid"]) is int and isinstance(found["heard"], (int, float)):
            return {**dict.fromkeys(("owner", "host", "machine", "run"), "unknown"), **found}
    except (UserError, TypeError, KeyError):
        pass
    raise UserError(f"{path}: expected what a run writes of itself; remove it where no run writes to its directory")


def _this_process():
    """Who this is: owner, host, process, since when; and the machine, by what differs between containers on it too."""
    machine = [socket.gethostname()]
    with contextlib.suppress(OSError):
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as reader:
            machine.append(reader.read().strip())
        machine.append(os.readlink("/proc/self/ns/pid"))
    owner = "unknown"
    with contextlib.suppress(Exception):  # of a number that no user has
        owner = getpass.getuser()
    since = datetime.datetime.now().isoformat(" ", "seconds")
    return {"owner": owner, "host": machine[0], "machine": " ".join(machine), "pid": os.getpid(), "since": since}
