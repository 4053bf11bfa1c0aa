"""Ending a program from outside: by SIGTERM, as schedulers of clusters send it, or by Ctrl-C.

The first signal ends the process where it stands: what it holds under temporary names is removed, one line says how to
go on. All that has its final name is whole at any moment, so nothing more has to be brought to an end. Only a step of
training and its checkpoint are: meanwhile the signal is put off (training/stopping.py). The second one ends the process
in any case. The exit code is 128 and the signal's number: 143 for SIGTERM, 130 for Ctrl-C. No TensorFlow here.

No exception is raised where the signal finds the program: TensorFlow, half-way through an operation, would lose it,
keep a lock for ever or crash.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Some send one signal twice, to the process and to its group, as coreutils' timeout does: that is one.
SAME_SIGNAL_SECONDS = 1.0
PATIENCE = 1.0  # seconds that the main thread has to come back from a library, before another thread ends the process


class Interrupted(BaseException):
    """A signal was put off, and what it waited for is done; like KeyboardInterrupt no Exception, as it is no error.

    Args:
      signum: the signal's number.
      text: one line for the user: where the program stopped, how to go on.
    """

    def __init__(self, signum, text):
        self.exit_code = 128 + signum
        super().__init__(text)


_received = None  # number of the signal that was put off
_is_deferred = False
_ending = {}  # "by": identifier of the thread that ends the process
_cleanups = []  # functions without arguments, the latest last
_descriptions = []  # functions from a signal's number to a line for the user, the latest last


def name(signum):
    """SIGTERM for 15."""
    return signal.Signals(signum).name


def received():
    """The number of the signal that was put off, or None."""
    return _received


def note_remote_signal(signum=signal.SIGTERM):
    """Another task of the run had a signal that was put off there: as if it had come here too."""
    global _received
    _received = _received or signum


def defer_signals(value):
    """Whether a signal from now on only makes itself known by `received`, instead of ending the process."""
    global _is_deferred
    _is_deferred = value


@contextlib.contextmanager
def signals_not_deferred():
    """Within it a signal ends the process, at its beginning if one came before."""
    was_put_off = _is_deferred
    defer_signals(False)
    if _received:
        _end(_received)
    try:
        yield
    finally:
        defer_signals(was_put_off)


@contextlib.contextmanager
def cleanup_on_exit(cleanup):
    """`cleanup()` is called when it is left, or before, when a signal ends the process in it."""
    _cleanups.append(cleanup)
    try:
        yield
    finally:
        try:
            cleanup()
        finally:
            _cleanups.remove(cleanup)  # not before: a signal may come while it is at work


@contextlib.contextmanager
def exit_message(describe):
    """Within it a signal that ends the process says `describe(signum)`: one line, where it stopped, how to go on."""
    _descriptions.append(describe)
    try:
        yield
    finally:
        _descriptions.remove(describe)


def describe(signum):
    """What is said of a signal where nothing else is to be."""
    return f"stopped by {name(signum)}; what is written is whole, and the same command can be given again"


@contextlib.contextmanager
def handle_signals():
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
    watcher = threading.Thread(target=_watch, args=(reading,), daemon=True)
    watcher.start()
    for signum in before:
        signal.signal(signum, _handle)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(descriptor_before)
        os.close(writing)  # which ends the watcher
        watcher.join()
        os.close(reading)
        _forget()


def _forget():
    global _received
    _received = None
    defer_signals(False)


def _handle(signum, frame):
    """In the main thread, as soon as that is in Python code."""
    global _received
    if _received:
        return  # the watcher knows whether it is the same once more or a second one
    if not _is_deferred:
        _end(signum)
        return
    _received = signum
    _say(f"{name(signum)}: ends after this step and its checkpoint; once more ends at once")


def _watch(reading):
    """Reads the numbers of signals from the pipe until that is closed; ends the process if the main thread does not."""
    first, since, is_awaited = None, None, False
    while True:
        if not select.select([reading], [], [], PATIENCE if is_awaited else None)[0]:
            is_awaited = False
            if not _is_deferred:
                # Not in this thread, which is to hear of a second signal even if this one never comes to its end.
                threading.Thread(target=_end, args=(first,), daemon=True).start()
            continue
        number = os.read(reading, 1)
        if not number:
            return
        signum = number[0]
        if signum not in SIGNALS:
            continue
        if first is None:
            first, since, is_awaited = signum, time.monotonic(), True
        elif time.monotonic() - since >= SAME_SIGNAL_SECONDS:
            _say(f"ended at once by a second {name(signum)}", patience=0)
            os._exit(128 + signum)


def _end(signum):
    """Ends the process with its one line, cleaned up after; does not return."""
    while _ending.setdefault("by", threading.get_ident()) != threading.get_ident():
        time.sleep(PATIENCE)  # another thread is at it: what that removes must not be given its final name meanwhile
    for cleanup in reversed(_cleanups):
        with contextlib.suppress(Exception):
            cleanup()
    text = describe(signum)
    with contextlib.suppress(Exception):
        text = _descriptions[-1](signum)
    if threading.current_thread() is threading.main_thread():  # another would wait for what that is writing
        with contextlib.suppress(Exception):
            sys.stdout.flush()
    _say(text)
    os._exit(128 + signum)


def _say(text, patience=PATIENCE):
    """One line on standard error; not by sys.stderr, which the main thread may be writing to just now.

    Where that is a pipe that nobody reads from for so many seconds, nothing is said.
    """
    with contextlib.suppress(OSError, ValueError):
        if not select.select([], [2], [], patience)[1]:
            return
        clear = b"\r\x1b[K" if os.isatty(2) else b""  # of a progress bar
        os.write(2, clear + text.encode() + b"\n")


def _forget_in_child():
    """A forked process dies of its signals as any other, and does not tell its parent of them."""
    _cleanups.clear()
    is_handled = [signum for signum in SIGNALS if signal.getsignal(signum) is _handle]
    for signum in is_handled:
        signal.signal(signum, signal.SIG_DFL)
    if is_handled:
        os.close(signal.set_wakeup_fd(-1))  # the watcher's pipe is at its end when no process can write to it


os.register_at_fork(after_in_child=_forget_in_child)
