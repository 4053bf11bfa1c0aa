"""Programs in processes that begin with TensorFlow loaded: forks of a process that has loaded it and does nothing else.

To load TensorFlow takes longer than most of what a test has a program do. So this is for tests that need a process, but
not a fresh one: of signals, kills, exit codes, two runs at once. What a program loads, or says in its start, needs
`subprocess`.
"""

import contextlib
import ctypes
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import types

from tests.paths import REPOSITORY

# startup comes first, as in the programs.
PRELOADED = ["bert.system.startup", "bert.launch", "run", "train.bert_lstm_ner", "train.predictor", "bert.run_squad"]
READY = b"TensorFlow is loaded\n"


class Process:
    """A fork of the server that runs a function; what multiprocessing.Process has of it.

    Attributes:
      pid: its number.
      exitcode: its exit code, or minus the number of the signal that killed it; None while it runs.
    """

    def __init__(self, request):
        with tempfile.TemporaryDirectory() as folder:
            ends = os.path.join(folder, "ends")
            os.mkfifo(ends)
            _server().stdin.write(json.dumps([*request, ends]).encode() + b"\n")
            _server().stdin.flush()
            self._ends = open(ends, "rb", buffering=0)
        self.pid, self.exitcode = int(self._ends.readline()), None

    def join(self, timeout=None):
        """Waits for its end, at most so many seconds."""
        if self.exitcode is None and select.select([self._ends], [], [], timeout)[0]:
            self.exitcode = int(self._ends.readline())
            self._ends.close()

    def is_alive(self):
        self.join(0)
        return self.exitcode is None

    def kill(self):
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def start(function, *args, stdout=os.devnull, stderr=os.devnull, cwd=None):
    """Starts `function(*args)`, a function of a module, in a process of its own.

    Args:
      args: strings, or paths.
      stdout, stderr: paths of files that what it prints is added to.
      cwd: its working directory; default: that of the tests.

    Returns:
      Process.
    """
    where = [str(stdout), str(stderr), str(cwd or os.getcwd())]
    return Process([function.__module__, function.__name__, list(map(str, args)), *where])


def run(function, *args, timeout=1200, **files):
    """As `start`; waits for the end and returns the exit code."""
    process = start(function, *args, **files)
    process.join(timeout)
    process.kill()
    process.join()
    return process.exitcode


def _server(started=[]):  # noqa: B006  the one of this process
    """The process that has loaded TensorFlow and is forked; it ends when this one does."""
    if not started:
        program = f"import sys; sys.path.insert(0, {REPOSITORY!r}); from tests import forking; forking.serve()"
        server = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert server.stdout.readline() == READY
        started.append(server)
    return started[0]


def serve():
    """Runs what the lines on standard input ask for, each in a fork of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the tests
    for name in PRELOADED:
        importlib.import_module(name)
    os.write(1, READY)
    for line in iter(sys.stdin.buffer.readline, b""):
        if not os.fork():
            _keep(*json.loads(line.decode()))
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _keep(module, name, args, stdout, stderr, cwd, ends):
    """Forks once more, and writes the number of that process and then its end to the file `ends`."""
    try:
        pid = os.fork()
        if not pid:
            code = _code_of(_call, module, name, args, stdout, stderr, cwd)
            sys.stdout.flush()
            os._exit(code)
        with open(ends, "wb", buffering=0) as writer:
            writer.write(b"%d\n" % pid)
            writer.write(b"%d\n" % _exit_code(os.waitpid(pid, 0)[1]))
    finally:
        os._exit(0)


def _exit_code(status):
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _code_of(function, *args):
    """Calls a function as Python calls a program, and returns the exit code."""
    try:
        function(*args)
        return 0
    except SystemExit as ended:
        return ended.code or 0
    except BaseException:
        traceback.print_exc()
        return 1


def _call(module, name, args, stdout, stderr, cwd):
    """Runs a function of a module as a program; raises what that raises."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _redirect(*(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666) for path in (stdout, stderr)))
    os.chdir(cwd)
    getattr(importlib.import_module(module), name)(*args)


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
            code = _code_of(_become, command, env, preexec_fn)
            ctypes.pythonapi.Py_Exit(code)  # as any Python ends; os._exit does not
        os.close(its_stdout)
        os.close(its_stderr)
        self.stdout, self.stderr = open(stdout, "rb"), open(stderr, "rb")

    def poll(self):
        if self.returncode is None:
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            if ended:
                self.returncode = _exit_code(status)
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
    """Runs the task of a cluster in a forked process. /proc/PID/comm says which, as "worker 0"."""
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
