"""A long output file that another run can complete if this one is killed.

While it is written, two files lie beside it: FILE.partial has the output so far, and FILE.partial.json says how many
bytes of it are complete, where in the input they end, and what they were made from. The output is on the disk before
the state mentions it. So at any moment the two files are a beginning that another run can continue.
"""

import contextlib
import os
import time

from bert.system import portable, signals
from bert.system.errors import UserError, cannot_be_written
from bert.system.files import read_json, write_json

PARTIAL = ".partial"
STATE = ".partial.json"
SECONDS_BETWEEN_RECORDS = 1.0  # a record waits for the disk, and groups may be small


class ResumableFile:
    """The output of one run. Use in a `with` statement; without `finish`, what was recorded stays for a later run.

    Args:
      path: final name.
      made_from: JSON dict of everything the content depends on, from a name for messages to its value.
      resume: continue what an earlier run left; without it such files are an error, and never overwritten.
      can_resume: whether a later run can continue this one; it cannot where the input is a pipe.
      is_progress: function that tells whether a JSON value is one that `record` is given; default: any is.

    Attributes:
      progress: the value that an earlier run last gave to `record`; None where there is nothing to continue.
      complete: whether an earlier run had written everything, and only the last steps of `finish` were missing.

    Raises:
      UserError: the file cannot be written; another run is writing it; there are files of an earlier run, and `resume`
        is false or `made_from` differs.
    """

    def __init__(self, path, made_from, resume=False, can_resume=True, is_progress=None):
        self.path = path
        self.progress = None
        self.complete = False
        self._made_from = made_from
        self._can_resume = can_resume
        self._is_progress = is_progress or (lambda value: True)
        self._partial, self._state = path + PARTIAL, path + STATE
        self._recorded_at = 0.0
        if os.path.exists(path) and not os.path.isfile(path):  # not even a device: it would be replaced
            kind = "a directory" if os.path.isdir(path) else "no regular file"
            raise UserError(f"{path}: {kind}; expected the name of a file to write")
        if self._was_complete():
            return
        try:
            self._file = open(self._partial, "ab")  # noqa: SIM115  closed by __exit__
        except OSError as error:
            raise cannot_be_written(path, error)
        try:
            self._lock()
            if not os.path.exists(self._partial) or not os.path.samefile(self._file.fileno(), self._partial):
                # It had its final name by then, and this is the finished file.
                raise UserError(f"{self._partial}: another run was writing it, and has finished")
            self._continue(resume)
        except BaseException:
            self._file.close()
            raise

    def _was_complete(self):
        """Whether a run was killed after it had renamed the file; if so, the state it left is removed."""
        if os.path.exists(self._partial) or not os.path.exists(self.path) or not os.path.exists(self._state):
            return False
        if self._read_state()["complete"]:
            self.complete = True
            os.remove(self._state)
        return self.complete

    def _lock(self):
        try:
            portable.lock(self._file)
        except OSError:
            raise UserError(f"{self._partial}: another run is writing it")

    def _continue(self, resume):
        """Cuts the partial file after the last byte that the state vouches for."""
        begun = os.path.exists(self._state)
        if not begun:
            if not resume and os.path.getsize(self._partial):
                raise UserError(f"{self._partial}: left by an unfinished run that cannot be gone on with; remove it")
            self._file.truncate(0)
            return
        if not resume:
            raise UserError(f"{self._partial}: left by an unfinished run; -resume goes on with it, {self._afresh()}")
        state = self._read_state()
        if os.path.getsize(self._partial) < state["bytes"]:
            raise UserError(f"{self._partial}: expected {state['bytes']} bytes or more, as {self._state} says; "
                            + self._afresh())  # fmt: skip
        self._file.truncate(state["bytes"])
        self.progress = state["progress"]
        if state["complete"]:
            self._take_name()

    def _read_state(self):
        state = read_json(self._state)
        if not self._is_state(state):
            raise self.damaged()
        for name in sorted(set(self._made_from) | set(state["made_from"])):
            before, now = state["made_from"].get(name), self._made_from.get(name)
            if before != now:
                raise UserError(
                    f"{self._partial}: {name} changed{_from_to(before, now)} since that run began; {self._afresh()}"
                )
        return state

    def _is_state(self, state):
        """Whether a JSON value is what `record` writes."""
        if not isinstance(state, dict) or set(state) != {"made_from", "progress", "bytes", "complete"}:
            return False
        if type(state["bytes"]) is not int or state["bytes"] < 0 or type(state["complete"]) is not bool:
            return False
        return isinstance(state["made_from"], dict) and self._is_progress(state["progress"])

    def damaged(self):
        """The UserError for a state that no run wrote."""
        return UserError(f"{self._state}: expected what an unfinished run wrote; {self._afresh()}")

    def _afresh(self):
        return f"remove it and {self._state} to start afresh"

    def __enter__(self):
        self._at_exit = contextlib.ExitStack()
        self._at_exit.enter_context(signals.cleanup_on_exit(self._leave))
        return self

    def __exit__(self, *_):
        self._at_exit.close()

    def _leave(self):
        if self.complete:
            return
        if not os.path.exists(self._state):  # no later run could continue it
            os.remove(self._partial)
        self._file.close()

    def write(self, data):
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise self._failed(error)

    def record(self, progress, complete=False):
        """Records that everything written so far is complete.

        Args:
          progress: JSON value, which a later run finds as `progress`.
          complete: whether the output ends here.
        """
        if not self._can_resume or (time.time() - self._recorded_at < SECONDS_BETWEEN_RECORDS and not complete):
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error)
        size = os.fstat(self._file.fileno()).st_size
        state = {"made_from": self._made_from, "progress": progress, "bytes": size, "complete": complete}
        write_json(self._state, state)
        self._recorded_at = time.time()

    def finish(self, progress):
        """Gives the file its final name."""
        self.record(progress, complete=True)
        self._take_name()

    def _take_name(self):
        try:
            os.fsync(self._file.fileno())
            os.replace(self._partial, self.path)
            if os.path.exists(self._state):
                os.remove(self._state)
        except OSError as error:
            raise self._failed(error)
        self._file.close()
        self.complete = True

    def _failed(self, error):
        hope = "; -resume goes on from what was written" if os.path.exists(self._state) else ""
        return UserError(f"{cannot_be_written(self.path, error)}{hope}")


def _from_to(before, now):
    """Describes a change if that is short: the two values, or for dicts the names whose values differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        return " (" + ", ".join(name for name in now if before.get(name) != now[name]) + ")"
    return f", from {before} to {now}" if len(f"{before}{now}") < 80 else ""
