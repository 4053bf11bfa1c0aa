"""Work spread over processes whose results come in the order of the tasks, however many processes there are."""

import collections
import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import types
from concurrent.futures.process import BrokenProcessPool

from bert.system.errors import UserError

_state = None  # in a worker process: what every task of it uses
PARENT_LOOK = 1.0  # seconds after which a worker looks again whether its parent is still there


def cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class Workers:
    """A pool of processes; with one process the work is done in this one.

    Example:
      with Workers(4, tokenizer) as workers:
          for pieces in workers.map(FullTokenizer.tokenize, lines):
              ...

    Args:
      num_processes: how many.
      state: first argument of every call; sent to each process once.
      fresh: start processes that share nothing with this one and import only what the tasks need. To be used where
        TensorFlow is loaded: a forked process has its locks but none of its threads, and may wait for ever.
    """

    def __init__(self, num_processes, state, fresh=False):
        self._num_processes = num_processes
        self._own_state = state
        self._executor = None
        self._pending = collections.deque()
        self._starting = _without_main if fresh else contextlib.nullcontext
        if num_processes > 1:
            self._executor = concurrent.futures.ProcessPoolExecutor(
                num_processes,
                multiprocessing.get_context("spawn" if fresh else None),
                initializer=_start_worker,
                initargs=(state, os.getpid()),
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # The few tasks that wait are done, not cancelled: Python 3.7 may wait for ever for cancelled ones.
        if self._executor:
            self._executor.shutdown()

    def map(self, function, tasks):
        """Yields function(state, task) for each task, in order.

        Only a few tasks are taken in advance, so memory grows neither with the tasks nor with results not yet used.

        Args:
          function: a function of a module, so that it can be sent to a process.
          tasks: iterable.

        Raises:
          UserError: a process was killed from outside; what `function` raises.
        """
        if not self._executor:
            for task in tasks:
                yield function(self._own_state, task)
            return
        try:
            for task in tasks:
                with self._starting():
                    self._pending.append(self._executor.submit(_call, function, task))
                if len(self._pending) > 2 * self._num_processes:
                    yield self._pending.popleft().result()
            while self._pending:
                yield self._pending.popleft().result()
        except BrokenProcessPool:
            raise UserError("a worker process was killed, for want of memory perhaps; try fewer processes")


@contextlib.contextmanager
def _without_main():
    """A process started in here does not run the program's main module first, which may load TensorFlow."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _start_worker(state, parent):
    global _state
    _state = state
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the first process's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent):
    """Ends this process soon after its parent: one that was killed could not do it."""
    while os.getppid() == parent:
        time.sleep(PARENT_LOOK)
    os._exit(1)


def _call(function, task):
    return function(_state, task)
