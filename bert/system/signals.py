"""What SIGTERM, as schedulers of clusters send it, and SIGINT (Ctrl-C) do to a program.

First signal: ends the process at once, or, during a training step, after that step and its checkpoint.
Second signal: ends the process at once, whatever hangs.

The first one removes files under temporary names and prints one line on standard error. Files under final names are
complete at any moment, so nothing else has to be finished. The exit code is 128 plus the number of the signal.

`_handle` does this in the main thread, where Python runs handlers of signals. While TensorFlow or another library
keeps the main thread busy, Python cannot run it. So the thread `_watch` reads from a pipe which signals came: it ends
the process when the main thread does not within PATIENCE, and at a second signal. Nothing is raised where the main
thread stands: an exception in the middle of TensorFlow gets lost, leaves a lock taken or crashes. No TensorFlow here.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time

from bert.system import portable

SIGNALS = (signal.SIGTERM, signal.SIGINT)
PATIENCE = 1.0  # seconds that the main thread has to return from a library and handle the first signal
# coreutils' timeout, for one, sends a signal to the process and again to its group: within this time it is the same.
SAME_SIGNAL_SECONDS = 1.0

_received = None  # number of the first signal, if it came while signals were deferred
_is_deferred = False
_ending = threading.RLock()  # taken for good by the thread that ends the process
_cleanups = []  # functions without arguments, the latest last
_descriptions = []  # functions from the number of a signal to one line for the user, the latest last


class Interrupted(BaseException):
    """A signal was deferred, and the step it waited for is done. No Exception, like KeyboardInterrupt: it is no error.

    Args:
      signum: the number of the signal.
      text: one line for the user: where the program stopped, how to go on.
    """

    def __init__(self, signum, text):
        self.exit_code = 128 + signum
        super().__init__(text)


def name(signum):
    """SIGTERM for 15."""
    return signal.Signals(signum).name


def describe(signum):
    """What a signal prints unless `exit_message` says it better."""
    return f"stopped by {name(signum)}; what is written is whole, and the same command can be given again"


@contextlib.contextmanager
def handle_signals():
    """Within it, SIGTERM and SIGINT do what this module says.

    A signal that was ignored stays ignored, as under nohup. Only the main thread can handle signals: in another thread
    this does nothing. Nor does it on a system where signals cannot be watched: Ctrl-C is a KeyboardInterrupt there.
    """
    if threading.current_thread() is not threading.main_thread() or not portable.HAS_SIGNAL_PIPES:
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    before = {signum: handler for signum, handler in before.items() if handler != signal.SIG_IGN}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    _forget()
    # The C part of Python writes the number of each signal here at once, whatever the main thread is doing.
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
        os.close(writing)  # ends the watcher
        watcher.join()
        os.close(reading)
        _forget()


def defer_signals(value):
    """From now on, whether the first signal only sets `received` (True) or ends the process (False)."""
    global _is_deferred
    _is_deferred = value


def received():
    """The number of the first signal, if it was deferred; else None."""
    return _received


def note_remote_signal(signum=signal.SIGTERM):
    """Sets `received`: the signal came to another task of the run, and was deferred there."""
    global _received
    _received = _received or signum


@contextlib.contextmanager
def signals_not_deferred():
    """Within it, signals are not deferred; one that was deferred before ends the process on entering."""
    was_deferred = _is_deferred
    defer_signals(False)
    if _received:
        _end(_received)
    try:
        yield
    finally:
        defer_signals(was_deferred)


@contextlib.contextmanager
def cleanup_on_exit(cleanup):
    """Calls `cleanup()` on leaving, or when a signal ends the process within."""
    _cleanups.append(cleanup)
    try:
        yield
    finally:
        try:
            cleanup()
        finally:
            _cleanups.remove(cleanup)  # last: a signal may come while it runs


@contextlib.contextmanager
def exit_message(describe):
    """Within it, a signal that ends the process prints `describe(signum)`: one line, where it stopped, how to go on."""
    _descriptions.append(describe)
    try:
        yield
    finally:
        _descriptions.remove(describe)


def _forget():
    global _received
    _received = None
    defer_signals(False)


def _handle(signum, frame):
    """The handler: runs in the main thread as soon as that is back in Python code."""
    global _received
    if _received:
        return  # `_watch` knows whether this is a second signal or the first one sent twice
    if not _is_deferred:
        _end(signum)
    _received = signum
    _say(f"{name(signum)}: ends after this step and its checkpoint; once more ends at once")


def _watch(reading):
    """The watching thread: reads numbers of signals, a byte each, until the pipe is closed."""
    fallback = None  # ends the process after the first signal, if the main thread does not
    for byte in iter(lambda: os.read(reading, 1), b""):
        signum = byte[0]
        if signum not in SIGNALS:
            continue
        if fallback is None:
            first_came = time.monotonic()
            # A thread of its own, so that this one hears of a second signal even while a cleanup hangs.
            fallback = threading.Timer(PATIENCE, _end_unless_handled, [signum])
            fallback.daemon = True
            fallback.start()
        elif time.monotonic() - first_came >= SAME_SIGNAL_SECONDS:
            _say(f"ended at once by a second {name(signum)}", patience=0)
            os._exit(128 + signum)
    if fallback:
        fallback.cancel()
        fallback.join()


def _end_unless_handled(signum):
    if not (_is_deferred or _received):
        _end(signum)


def _end(signum):
    """Cleans up, prints one line and ends the process; does not return.

    Called by the main thread and by the fallback of `_watch`. The later of the two is held here until the process
    ends, so that the main thread cannot rename what is being removed.
    """
    _ending.acquire()
    for cleanup in reversed(_cleanups):
        with contextlib.suppress(Exception):
            cleanup()
    text = describe(signum)
    with contextlib.suppress(Exception):
        text = _descriptions[-1](signum)
    if threading.current_thread() is threading.main_thread():  # another thread could wait for a lock of the main one
        with contextlib.suppress(Exception):
            sys.stdout.flush()
    _say(text)
    os._exit(128 + signum)


def _say(text, patience=PATIENCE):
    """Writes a line to standard error; nothing if that is a pipe that nobody empties within `patience` seconds.

    Not by sys.stderr, whose lock the main thread may hold.
    """
    with contextlib.suppress(OSError, ValueError):
        if not select.select([], [2], [], patience)[1]:
            return
        clear = b"\r\x1b[K" if os.isatty(2) else b""  # of a progress bar
        os.write(2, clear + text.encode() + b"\n")


def _forget_in_child():
    """A forked child is ended by signals as any process is, and does not report them to its parent."""
    _cleanups.clear()
    handled = [signum for signum in SIGNALS if signal.getsignal(signum) is _handle]
    for signum in handled:
        signal.signal(signum, signal.SIG_DFL)
    if handled:
        os.close(signal.set_wakeup_fd(-1))  # the parent's watcher waits until nobody can write to its pipe


portable.call_in_forked_child(_forget_in_child)
