"""Starts all tasks of a training run on this machine, and restarts them all when one of them dies.

    python -m bert.launch -workers 2 -evaluator -- run.py -data_dir=... -output_dir=...

In: the number of tasks and, after `--`, the command that each of them runs: a Python file, `-m` and a module, or a
program. Each task gets its own TF_CONFIG, with free ports of the loopback interface. Out: the logs of all tasks, each
line with the name of its task in front; the exit code is the chief's.

A task that died cannot join its cluster again. So all tasks are ended and started again, and training goes on from the
last checkpoint. Two kinds of ends are not followed by a restart:

  - an error that the user has to fix (exit code 2);
  - SIGTERM or Ctrl-C, to the launcher or to any task. All tasks end, the chief after saving a checkpoint; the exit code
    is 143 or 130. A second signal to the launcher ends everything at once.
"""

import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file, `python bert/launch.py`
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import contextlib
import json
import signal
import socket
import subprocess
import threading
import time

from bert.system import children, signals
from bert.system.errors import UserError, run_program
from bert.system.flags import FlagParser, non_negative_int, positive_int
from bert.training.cluster import CHIEF, EVALUATOR, PS, WORKER

POLL = 0.05  # seconds between two checks of the tasks
GRACE = 60.0  # seconds that the other tasks have to end once the chief has finished
SAVING = 300.0  # seconds that the chief has to save a checkpoint after a signal
SHORT_GRACE = 10.0  # seconds that tasks with nothing to save have to end after a signal
USER_ERROR = 2
ASKED_TO_END = (128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGTERM, -signal.SIGINT)


def parse_args(argv=None):
    """Reads the command line.

    Returns:
      (Namespace of the launcher's flags, list of str: the command of a task).

    Raises:
      UserError: unknown flags, or no command.
    """
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
    """Runs the tasks until the chief has finished.

    Args:
      args: Namespace with workers, ps, evaluator, restarts.
      command: list of str.

    Returns:
      The exit code of the launcher.
    """
    counts = {CHIEF: 1, WORKER: args.workers - 1, PS: args.ps, EVALUATOR: int(args.evaluator)}
    restarts = 0
    while True:
        with _Tasks(counts, command) as tasks:
            exit_code = tasks.wait()
        if exit_code is not None:
            return exit_code
        if signals.received():
            return 128 + signals.received()
        if restarts == args.restarts:
            _say(f"{tasks.died}; started again {restarts} times already, see -restarts")
            return 1
        restarts += 1
        _say(f"{tasks.died}; all tasks start again from the last checkpoint ({restarts} of {args.restarts})")


class _Tasks:
    """The processes of one attempt; leaving the `with` statement kills those that still run.

    Attributes:
      died: which task died of what, in words; None if none did.
    """

    def __init__(self, counts, command):
        self._command = command
        self._addresses = _free_addresses({type: count for type, count in counts.items() if count})
        self._processes = {}
        self._readers = []
        self._has_forwarded = False
        self.died = None

    def __enter__(self):
        try:
            for type, addresses in self._addresses.items():
                for index in range(len(addresses)):
                    self._start(type, index)
        except OSError as error:
            self.__exit__()
            raise UserError(f"{self._command[0]}: cannot be started: {os.strerror(error.errno)}")
        return self

    def __exit__(self, *exception):
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        for reader in self._readers:
            reader.join()

    def _start(self, type, index):
        config = {"cluster": self._addresses, "task": {"type": type, "index": index}}
        process = subprocess.Popen(
            self._command,
            env=dict(os.environ, TF_CONFIG=json.dumps(config), PYTHONUNBUFFERED="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # the terminal sends Ctrl-C to the launcher only, which forwards it
            preexec_fn=children.DIE_WITH_PARENT,
        )
        name = f"{type} {index}"
        self._processes[name] = process
        for source, target in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
            reader = threading.Thread(target=_copy_lines, args=(source, target, f"[{name}] "), daemon=True)
            reader.start()
            self._readers.append(reader)

    def _forward(self):
        """Forwards a signal of the launcher to the training tasks: they end after the same step, the chief saves."""
        if signals.received() and not self._has_forwarded:
            self._has_forwarded = True
            self._send(signals.received(), CHIEF, WORKER)

    def _send(self, signum, *types):
        for name, process in list(self._processes.items()):
            if name.startswith(types):
                process.send_signal(signum)  # does nothing if the process has ended

    @property
    def _chief(self):
        return self._processes[f"{CHIEF} 0"]

    def wait(self):
        """Waits for the end of the attempt; returns the launcher's exit code, or None to start all tasks again."""
        while True:
            self._forward()
            failed = self._failed()
            if self._chief.poll() == 0:
                return self._end_well()
            if failed:
                return self._end_all(failed) if signals.received() else self._judge()
            time.sleep(POLL)

    def _failed(self):
        """Dict from names to exit codes, of the tasks that failed."""
        return {name: process.poll() for name, process in self._processes.items() if process.poll()}

    def _wait_for(self, names, seconds):
        """Waits until these tasks have ended, but at most `seconds`; returns whether they have."""
        deadline = time.monotonic() + seconds
        while any(self._processes[name].poll() is None for name in names):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL)
        return True

    def _end_well(self):
        self._wait_for([name for name in self._processes if not name.startswith(PS)], GRACE)
        return 0

    def _judge(self):
        """Decides what a task's failure means; returns as `wait`."""
        time.sleep(10 * POLL)  # other tasks may fail because of it
        failed = self._failed()
        crashed = {name: code for name, code in failed.items() if code not in (USER_ERROR, *ASKED_TO_END)}
        if crashed:
            self.died = ", ".join(f"{name} died of {children.cause(code)}" for name, code in crashed.items())
            return None
        asked = [name for name, code in failed.items() if code in ASKED_TO_END]
        if len(asked) < len(failed):
            return USER_ERROR
        if self._chief.poll() is None:
            _say(f"{', '.join(asked)}: asked to end, so all do; the same command goes on from the last checkpoint")
            self._send(signal.SIGTERM, CHIEF, WORKER)
        return self._end_all(failed)

    def _end_all(self, failed):
        """Gives the chief time to save, if the tasks that it needs for that are there, then ends all tasks."""
        is_crippled = any(name.startswith(PS) or code not in ASKED_TO_END for name, code in failed.items())
        if not self._wait_for([f"{CHIEF} 0"], SHORT_GRACE if is_crippled else SAVING):
            _say("chief 0 does not end and is killed; the same command goes on from the last checkpoint")
            self._chief.kill()
            self._chief.wait()
        self._send(signal.SIGTERM, EVALUATOR, PS)
        self._wait_for(self._processes, SHORT_GRACE)
        code = self._chief.poll()
        return _exit_code(code) if code != -signal.SIGKILL else 128 + (signals.received() or signal.SIGTERM)


def _free_addresses(counts):
    """{type: ["127.0.0.1:port", ...]}, with ports that are free.

    Args:
      counts: dict from a task's type to the number of its tasks.
    """
    with contextlib.ExitStack() as stack:

        def address():
            listener = stack.enter_context(contextlib.closing(socket.socket()))
            listener.bind(("127.0.0.1", 0))
            return f"127.0.0.1:{listener.getsockname()[1]}"

        return {type: [address() for _ in range(count)] for type, count in counts.items()}


def _copy_lines(source, target, prefix):
    """Copies the lines that a process writes, each with `prefix` in front."""
    for line in source:
        # If nobody reads the output any more, the task still goes on.
        with contextlib.suppress(OSError):
            target.buffer.write(prefix.encode() + line.rstrip(b"\n") + b"\n")
            target.buffer.flush()


def _exit_code(code):
    return code if code >= 0 else 128 - code


def _say(text):
    with contextlib.suppress(OSError):
        sys.stderr.write(f"[launch] {text}\n")
        sys.stderr.flush()


def main():
    args, command = parse_args()
    signals.defer_signals(True)  # a signal is forwarded to the tasks; the launcher ends after them
    sys.exit(launch(args, command))


if __name__ == "__main__":
    run_program(main)
