"""Programs that a program of ours starts: they end with it, whatever ends it."""

import ctypes
import signal
import sys

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's prctl
# Loaded here, because nothing may be loaded between fork and exec.
_LIBC = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


def _die_with_parent():
    """Runs in a new process: asks Linux to kill it when the thread that started it ends."""
    _LIBC.prctl(_DEATH_SIGNAL, signal.SIGKILL)


# The preexec_fn of subprocess.Popen; None where the system cannot do it.
DIE_WITH_PARENT = _die_with_parent if _LIBC else None


def cause(code):
    """Why a process ended, by its exit code as subprocess.Popen gives it: "exit code 2", "SIGKILL"."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
