"""Work spread over processes whose results come in the order of the tasks, however many processes there are."""

import collections
import concurrent.futures
import signal
from concurrent.futures.process import BrokenProcessPool

from bert.errors import UserError

_state = None  # in a worker process: what every task of it uses


class Workers:
    """A pool of processes; with one process the work is done in this one.

    Example:
      with Workers(4, tokenizer) as workers:
          for pieces in workers.map(FullTokenizer.tokenize, lines):
              ...

    Args:
      num_processes: how many.
      state: first argument of every call; sent to each process once.
    """

    def __init__(self, num_processes, state):
        self._num_processes = num_processes
        self._own_state = state
        self._executor = None
        self._pending = collections.deque()
        if num_processes > 1:
            self._executor = concurrent.futures.ProcessPoolExecutor(
                num_processes, initializer=_start_worker, initargs=(state,)
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for future in self._pending:
            future.cancel()
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
                self._pending.append(self._executor.submit(_call, function, task))
                if len(self._pending) > 2 * self._num_processes:
                    yield self._pending.popleft().result()
            while self._pending:
                yield self._pending.popleft().result()
        except BrokenProcessPool:
            raise UserError("a worker process was killed, for want of memory perhaps; try a smaller -num_processes")


def _start_worker(state):
    global _state
    _state = state
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the first process's to handle


def _call(function, task):
    return function(_state, task)
