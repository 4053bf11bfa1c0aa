"""Programs in processes that begin with TensorFlow loaded: forks of a process that has loaded it and does nothing else.

To load TensorFlow takes longer than most of what a test has a program do. So this is for tests that need a process, but
not a fresh one: of signals, kills, exit codes, two runs at once. What a program loads, or says in its start, needs
`subprocess`.
"""

import atexit
import ctypes
import json
import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import sys
import time
import traceback
import types

from tests.paths import REPOSITORY

# startup comes first, as in the programs.
PRELOADED = ["bert.system.startup", "bert.launch", "run", "train.bert_lstm_ner", "train.predictor", "bert.run_squad"]

# From Python 3.12 on a process crashes that finalizes Python within a function of multiprocessing.
CAN_FINALIZE = sys.version_info < (3, 12)

_context = multiprocessing.get_context("forkserver")


def start(function, *args, stdout=os.devnull, stderr=os.devnull, cwd=None):
    """Starts `function(*args)`, a function of a module, in a process of its own.

    Args:
      stdout, stderr: paths of files that what it prints is added to.
      cwd: its working directory; default: that of the tests.

    Returns:
      multiprocessing.Process. Its exit code is the program's, or minus the number of the signal that killed it.
    """
    _context.set_forkserver_preload(PRELOADED)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = REPOSITORY  # of the process that is forked, which is started with the first one
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    process = _context.Process(target=_call, args=(function, args, str(stdout), str(stderr), cwd and str(cwd)))
    process.start()
    return process


def run(function, *args, timeout=1200, **files):
    """As `start`; waits for the end and returns the exit code."""
    process = start(function, *args, **files)
    process.join(timeout)
    process.kill()
    process.join()
    return process.exitcode


def _call(function, args, stdout, stderr, cwd):
    _redirect(*(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666) for path in (stdout, stderr)))
    if cwd:
        os.chdir(cwd)
    function(*args)


def _redirect(stdout, stderr):
    """Has standard output and standard error lead to these descriptors."""
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.close(stdout)
    os.close(stderr)
    # New ones: the old ones remember whether what they were opened on can seek.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1, errors="backslashreplace")


def program(path, *flags):
    """Runs a Python file as a program."""
    sys.argv = [str(path), *flags]
    runpy.run_path(str(path), run_name="__main__")


def launcher(*flags):
    """Runs bert.launch; its tasks, Python files, are forks of it."""
    from bert import launch
    from bert.system.errors import run_program

    launch.subprocess = types.SimpleNamespace(Popen=Fork, PIPE=None, DEVNULL=None)
    sys.argv = ["launch", *flags]
    run_program(launch.main)


class Fork:
    """What bert.launch uses of subprocess.Popen, for a command `python FILE FLAGS`, in a fork of this process."""

    def __init__(self, command, env, preexec_fn=None, **same_always):
        (stdout, its_stdout), (stderr, its_stderr) = os.pipe(), os.pipe()
        sys.stdout.flush()
        self.returncode = None
        self._pid = os.fork()
        if not self._pid:
            _redirect(its_stdout, its_stderr)
            _become(command, env, preexec_fn)
        os.close(its_stdout)
        os.close(its_stderr)
        self.stdout, self.stderr = open(stdout, "rb"), open(stderr, "rb")

    def poll(self):
        if self.returncode is None:
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            if ended:
                self.returncode = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return self.returncode

    def wait(self):
        while self.poll() is None:
            time.sleep(0.01)

    def send_signal(self, signum):
        if self.poll() is None:
            os.kill(self._pid, signum)

    def kill(self):
        self.send_signal(9)


def _become(command, env, preexec_fn):
    """Makes a forked process a task; does not return. /proc/PID/comm says which, as "worker 0"."""
    code = 1
    try:
        os.closerange(3, 256)
        os.setsid()
        if preexec_fn:
            preexec_fn()
        os.environ.clear()
        os.environ.update(env)
        task = json.loads(env["TF_CONFIG"])["task"]
        with open("/proc/self/comm", "w") as writer:
            writer.write(f"{task['type']} {task['index']}")
        program(*command[1:])
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        end(code)


def end(code):
    """Ends a forked process as any Python ends, as far as this one can within multiprocessing; os._exit does not."""
    if CAN_FINALIZE:
        ctypes.pythonapi.Py_Exit(code)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)
