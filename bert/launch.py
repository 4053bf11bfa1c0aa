"""Starts all tasks of a training run on this machine, and starts them all again when one of them dies.

    python -m bert.launch -workers 2 -evaluator -- run.py -data_dir=... -output_dir=...

In: how many tasks, and behind `--` the command that each of them runs: a Python file, `-m` and a module, or a program.
Each task gets its TF_CONFIG, with free ports of the loopback interface. Out: their logs, each line with its task before
it; the chief's exit code.

A task of a cluster that has died cannot come back to the others: so all are ended and started again, and go on from the
last checkpoint. What the user has to mend (exit code 2) and what was asked to end (130, 143) is not started again.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from bert.cluster import CHIEF, EVALUATOR, PS, WORKER
from bert.errors import UserError, run_program
from bert.flags import FlagParser, non_negative_int, positive_int

POLL = 0.05  # seconds between two looks at the tasks
GRACE = 60.0  # seconds that the others have to end by themselves when the chief has come to its end
USER_ERROR = 2
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's prctl


def parse_args(argv=None):
    """(Namespace, command of a task); UserError for flags that are not known or a command that is missing."""
    argv = list(sys.argv[1:] if argv is None else argv)
    split = argv.index("--") if "--" in argv else len(argv)
    parser = FlagParser(
        prog="python -m bert.launch",
        usage="%(prog)s [flags] -- run.py [flags of run.py]",
        description="Starts the tasks of a training run on this machine; when one dies, all start again from the last "
        "checkpoint.",
    )
    flag, switch = parser.flag_group("tasks")
    flag("workers", type=positive_int, default=2, help="tasks that train; the first of them is the chief")
    flag("ps", type=non_negative_int, default=0, help="parameter servers, for -strategy parameter_server")
    switch("evaluator", False, help="a task that scores the dev set while the others train")
    flag("restarts", type=non_negative_int, default=10, help="times that all tasks are started again, at most")
    args = parser.parse_args(argv[:split])
    command = argv[split + 1 :]
    if not command:
        raise UserError("expected the command of a task behind --, as: -- run.py -data_dir=...")
    if command[0] == "-m" or command[0].endswith(".py"):
        command.insert(0, sys.executable)
    return args, command


def launch(args, command):
    """Runs the tasks until the chief has come to its end; returns its exit code.

    Args:
      args: Namespace with workers, ps, evaluator, restarts.
      command: list of strings.
    """
    counts = {CHIEF: 1, WORKER: args.workers - 1, PS: args.ps, EVALUATOR: int(args.evaluator)}
    restarts = 0
    while True:
        with _Tasks(counts, command) as tasks:
            exit_code = tasks.wait()
        if exit_code is not None:
            return exit_code
        if restarts == args.restarts:
            _say(f"{tasks.died}; started again {restarts} times already, see -restarts")
            return 1
        restarts += 1
        _say(f"{tasks.died}; all tasks start again from the last checkpoint ({restarts} of {args.restarts})")


class _Tasks:
    """The processes of one attempt, ended when the `with` statement is left.

    Attributes:
      died: in words, which task died of what.
    """

    def __init__(self, counts, command):
        self._command = command
        self._addresses = _free_addresses({type: count for type, count in counts.items() if count})
        self._processes = {}
        self._readers = []
        self._received = None
        self._handlers = {}
        self.died = None

    def __enter__(self):
        for signum in (signal.SIGTERM, signal.SIGINT):
            self._handlers[signum] = signal.signal(signum, self._forward)
        for type, addresses in self._addresses.items():
            for index in range(len(addresses)):
                self._start(type, index)
        return self

    def __exit__(self, *exception):
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        for reader in self._readers:
            reader.join()
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)

    def _start(self, type, index):
        config = {"cluster": self._addresses, "task": {"type": type, "index": index}}
        process = subprocess.Popen(
            self._command,
            env=dict(os.environ, TF_CONFIG=json.dumps(config), PYTHONUNBUFFERED="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C comes to them from here alone
            preexec_fn=_die_with_parent,
        )
        name = f"{type} {index}"
        self._processes[name] = process
        for source, target in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
            reader = threading.Thread(target=_copy_lines, args=(source, target, f"[{name}] "), daemon=True)
            reader.start()
            self._readers.append(reader)

    def _forward(self, signum, frame):
        """To the chief alone, which saves a checkpoint: without the others it would wait within a step for ever."""
        self._received = signum
        with contextlib.suppress(OSError, KeyError):  # it has ended, or not begun
            self._chief.send_signal(signum)

    @property
    def _chief(self):
        return self._processes[f"{CHIEF} 0"]

    def wait(self):
        """The exit code to end with; None where all tasks are to be started again."""
        while True:
            ended = {name: process.poll() for name, process in self._processes.items()}
            failed = {name: code for name, code in ended.items() if code}
            if self._chief.poll() == 0:
                return self._end_well()
            if self._received and self._chief.poll() is not None:
                return _exit_code(self._chief.poll())
            if failed:
                return self._judge()
            time.sleep(POLL)

    def _end_well(self):
        deadline = time.time() + GRACE
        others = [process for name, process in self._processes.items() if not name.startswith(PS)]
        while time.time() < deadline and any(process.poll() is None for process in others):
            time.sleep(POLL)
        return 0

    def _judge(self):
        """What follows from a task's failure."""
        time.sleep(10 * POLL)  # those that fail because another did
        codes = {name: process.poll() for name, process in self._processes.items()}
        failed = {name: code for name, code in codes.items() if code}
        crashed = {name: code for name, code in failed.items() if code not in (USER_ERROR, 130, 143)}
        if not crashed:
            return _exit_code(failed.get(f"{CHIEF} 0") or next(iter(failed.values())))
        self.died = ", ".join(f"{name} died of {_cause(code)}" for name, code in crashed.items())
        return None


def _free_addresses(counts):
    """{type: ["127.0.0.1:port", ...]}, of ports that nobody listens on."""
    with contextlib.ExitStack() as stack:

        def address():
            listener = stack.enter_context(contextlib.closing(socket.socket()))
            listener.bind(("127.0.0.1", 0))
            return f"127.0.0.1:{listener.getsockname()[1]}"

        return {type: [address() for _ in range(count)] for type, count in counts.items()}


def _copy_lines(source, target, prefix):
    """Writes each line of a process behind its name."""
    for line in source:
        target.write(prefix + line.decode("utf-8", "replace").rstrip("\n") + "\n")
        target.flush()


def _exit_code(code):
    return code if code >= 0 else 128 - code


def _cause(code):
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _say(text):
    sys.stderr.write(f"[launch] {text}\n")
    sys.stderr.flush()


# Loaded before any process is forked: in between nothing may be.
_LIBC = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


def _die_with_parent():
    """In a new process: let it be killed when this one ends, however that ends."""
    if _LIBC is not None:
        _LIBC.prctl(DEATH_SIGNAL, signal.SIGKILL)


if __name__ == "__main__":
    run_program(lambda: sys.exit(launch(*parse_args())))
