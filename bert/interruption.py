"""Ending a program from outside: by SIGTERM, as schedulers of clusters send it, or by Ctrl-C.

The first signal raises `Interrupted` where the program stands, or is put off where work has to be brought to a good end
first, as a step of training and its checkpoint (bert/stopping.py). The second ends the process at once. Either way the
exit code is 128 and the signal's number: 143 for SIGTERM, 130 for Ctrl-C. No TensorFlow here.

It is raised in the project's own code: TensorFlow half-way through an operation keeps its locks, loses the exception or
crashes. Where a library is at work the exception waits until that returns to its caller or calls us, or for PATIENCE;
it is raised once, and what swallows it then, as a finalizer, leaves it to a second signal to end the program.
"""

import contextlib
import inspect
import logging
import os
import re
import select
import signal
import sys
import sysconfig
import threading
import time

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Some send one signal twice, to the process and to its group, as coreutils' timeout does: that is one.
SAME_SIGNAL_SECONDS = 1.0
PATIENCE = 1.0  # seconds that an exception waits for a library to come to its end
_LOOK = 0.1  # seconds between two looks at whether that is over
_INSTALLED = re.compile(r"[/\\](site|dist)-packages[/\\]")
_STANDARD_LIBRARY = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})


class Interrupted(BaseException):
    """A signal asked for the end; like KeyboardInterrupt no Exception, as it is no error to be dealt with on the way.

    Args:
      signum: the signal's number.
      text: one line for the user: where the program stopped, how to go on.
    """

    def __init__(self, signum, text=None):
        self.signum = signum
        super().__init__(
            text or f"stopped by {name(signum)}; what is written is whole, and the same command goes on from there"
        )

    @property
    def exit_code(self):
        return 128 + self.signum


_received = None  # number of the signal that came
_is_put_off = False
_awaited_since = None  # time.monotonic() since which an Interrupted waits for a library


def name(signum):
    """SIGTERM for 15."""
    return signal.Signals(signum).name


def received():
    """The number of the signal that was put off, or None."""
    return _received


def hear_of_another(signum=signal.SIGTERM):
    """Another task of the run had a signal that was put off there: as if it had come here too."""
    global _received
    _received = _received or signum


def put_off(value):
    """Whether a signal from now on only makes itself known by `received`, instead of raising Interrupted."""
    global _is_put_off
    _is_put_off = value


@contextlib.contextmanager
def not_put_off():
    """Within it a signal raises Interrupted, at its beginning if one came before."""
    was_put_off = _is_put_off
    put_off(False)
    try:
        if _received:
            raise Interrupted(_received)
        yield
    finally:
        put_off(was_put_off)


@contextlib.contextmanager
def unchanged():
    """An Interrupted comes out of it as it is, whatever a library made of it.

    TensorFlow's scopes raise an error of their own where they are left at an unlucky moment, and so does its C++ code
    that called Python just then.
    """
    try:
        yield
    except Exception as error:
        stop = _interruption_behind(error)
        if stop is None:
            raise
        raise stop


def _interruption_behind(error):
    """The Interrupted that an exception was raised from or while dealing with, or None."""
    seen, to_see = set(), [error]
    while to_see:
        error = to_see.pop()
        if isinstance(error, Interrupted):
            return error
        if error is not None and id(error) not in seen:  # `raise x from x` makes a circle
            seen.add(id(error))
            to_see += [error.__context__, error.__cause__]
    return None


def silence_tensorflow():
    """Of a graph left half-built TensorFlow would report, when that is collected, what was never used."""
    logging.getLogger("tensorflow").setLevel(logging.CRITICAL + 1)


@contextlib.contextmanager
def handled():
    """Within it SIGTERM and SIGINT do what this module says; a signal that was ignored before stays so, as for nohup.

    Outside of the main thread, which alone may handle signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    before = {signum: handler for signum, handler in before.items() if handler != signal.SIG_IGN}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    _forget()
    # A handler of Python's waits until the main thread is back from TensorFlow; this pipe hears of signals at once.
    descriptor_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reading, threading.get_ident()), daemon=True)
    watcher.start()
    for signum in before:
        signal.signal(signum, _handle)
    try:
        with unchanged():
            yield
    finally:
        signal.set_wakeup_fd(descriptor_before)
        os.close(writing)  # which ends the watcher
        watcher.join()  # while its signal does no harm
        os.close(reading)
        for signum, handler in before.items():
            signal.signal(signum, handler)
        _forget()


def _forget():
    global _received
    _received = None
    put_off(False)
    if _awaited_since is not None:
        _stop_waiting()


def _handle(signum, frame):
    global _received
    if _received:
        if _has_waited_enough():
            _stop_waiting()
            raise Interrupted(_received)
        return
    _received = signum
    if _is_put_off:
        # Not by sys.stderr, which the main thread may be writing to just now.
        os.write(2, f"{name(signum)}: ends after this step and its checkpoint; once more ends at once\n".encode())
        return
    silence_tensorflow()
    if _is_ours(frame) or sys.gettrace():  # a debugger's, which is not to be disturbed
        raise Interrupted(signum)
    _wait_for_our_code(frame)


def _is_ours(frame):
    """Whether this is the project's code, this module's aside: no library's."""
    file, module = frame.f_code.co_filename, frame.f_globals
    if module is globals():  # _handle, when another signal comes while an exception waits
        return False
    if module.get("__name__") == "__main__":
        return True
    return not file.startswith(("<", *_STANDARD_LIBRARY)) and not _INSTALLED.search(file)


def _wait_for_our_code(frame):
    """Lets an Interrupted be raised as soon as our code goes on: that which called the library, or is called by it."""
    global _awaited_since
    _awaited_since = time.monotonic()
    while frame:
        if _is_ours(frame):
            frame.f_trace, frame.f_trace_opcodes = _raise_if_ours, True
        frame = frame.f_back
    sys.settrace(_raise_if_ours)


def _raise_if_ours(frame, event, arg):
    """Trace function: called before each function, and in a frame that has it as f_trace before each instruction.

    Not before each line: the first line behind the library's may be that of a `finally`, which would be left out.
    """
    if not _is_ours(frame):
        return None
    if event == "call" and frame.f_code.co_flags & inspect.CO_GENERATOR:
        # Raised here it would end the generator on Python 3.7 as if it had no `finally`; raised in it, it does not.
        frame.f_trace_opcodes = True
        return _raise_if_ours
    _stop_waiting()
    raise Interrupted(_received)


def _has_waited_enough():
    since = _awaited_since  # which another thread may set to None
    return since is not None and time.monotonic() - since >= PATIENCE


def _stop_waiting():
    global _awaited_since
    _awaited_since = None
    sys.settrace(None)


def _watch(reading, main_thread):
    """Reads the numbers of signals from the pipe until that is closed.

    At a second one it ends the process; to an exception that has waited long enough it helps by a signal of its own,
    which wakes the main thread from a sleep too.
    """
    first, has_helped, own_is_to_come = None, False, False
    while True:
        if not select.select([reading], [], [], None if first is None or has_helped else _LOOK)[0]:
            if _has_waited_enough():
                has_helped = own_is_to_come = True
                signal.pthread_kill(main_thread, _received)
            continue
        numbers = os.read(reading, 1)
        if not numbers:
            return
        if numbers[0] not in [int(signum) for signum in SIGNALS]:
            continue
        now = time.monotonic()
        if first is None:
            first = now
        elif own_is_to_come:
            own_is_to_come = False
        elif now - first >= SAME_SIGNAL_SECONDS:
            os.write(2, f"ended at once by a second {name(numbers[0])}; the same command goes on\n".encode())
            os._exit(128 + numbers[0])


def _forget_in_child():
    """A forked process dies of its signals as any other, and does not tell its parent of them."""
    if _awaited_since is not None:
        _stop_waiting()
    for signum in SIGNALS:
        if signal.getsignal(signum) is _handle:
            signal.signal(signum, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget_in_child)
