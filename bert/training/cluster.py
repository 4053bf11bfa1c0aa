"""The tasks of a run on several machines: which task this process is, and how the others wait for the chief.

Input is the environment variable TF_CONFIG, JSON as TensorFlow defines it:

    {"cluster": {"chief": ["host:port"], "worker": [...], "ps": [...], "evaluator": ["host:port"]},
     "task": {"type": "worker", "index": 0}}

Without it a run has one task, the chief. The chief prepares the run - labels, record files, run.json - while the others
wait at its barrier; only then does any of them read -output_dir, which all of them share.
"""

import contextlib
import json
import logging
import os
import re
import socket
import time

from bert.system.errors import UserError, shown_list
from bert.system.files import parse_json

log = logging.getLogger(__name__)

CHIEF, WORKER, PS, EVALUATOR = TYPES = ("chief", "worker", "ps", "evaluator")
HELLO = "bert task"  # begins every message at the barrier; whoever sends something else is not a task of ours
WAIT_FOR_OTHERS = 600.0  # seconds between the first task of a run and the last


class Task:
    """One process of a run.

    Args:
      type: one of TYPES.
      index: number among the tasks of its type, from 0.
      addresses: dict from type to list of "host:port"; {} for a run of one process.
    """

    def __init__(self, type=CHIEF, index=0, addresses=None):
        self.type = type
        self.index = index
        self.addresses = addresses or {}

    def __str__(self):
        return f"{self.type} {self.index}"

    @property
    def trainers(self):
        """The tasks that train: list of (type, index), the chief first."""
        return [(type, i) for type in (CHIEF, WORKER) for i in range(len(self.addresses.get(type, ())))]

    @property
    def is_chief(self):
        """Whether this task writes the files of the run: the chief, or worker 0 if there is no chief."""
        return not self.addresses or (self.type, self.index) == self.trainers[0]

    @property
    def is_evaluator(self):
        return self.type == EVALUATOR

    @property
    def has_evaluator(self):
        """Whether a task other than the chief scores the dev set during training."""
        return EVALUATOR in self.addresses

    @property
    def is_one_of_many(self):
        return bool(self.addresses)

    @property
    def number(self):
        """Index among the tasks that train, from 0."""
        return self.trainers.index((self.type, self.index)) if (self.type, self.index) in self.trainers else 0


def task():
    """The Task that TF_CONFIG makes this process; UserError if TF_CONFIG is not valid."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = parse_json(text or "{}")
        addresses = {type: list(given) for type, given in config.get("cluster", {}).items() if given}
        given = config.get("task", {})
        type, index = given.get("type", CHIEF), int(given.get("index", 0))
        if not all(isinstance(name, str) for name in [type, *sum(addresses.values(), [])]):
            raise TypeError
    except (ValueError, TypeError, AttributeError, OverflowError):  # the last of them for Infinity
        raise UserError(
            f'TF_CONFIG: expected {{"cluster": {{...}}, "task": {{"type": ..., "index": ...}}}}, got {text}'
        )
    unknown = sorted(set(addresses) - set(TYPES))
    if unknown:
        raise UserError(f"TF_CONFIG: task type {unknown[0]}; expected {', '.join(TYPES)}")
    if sum(map(len, addresses.values())) < 2 and type != EVALUATOR:
        return Task()
    if not 0 <= index < len(addresses.get(type, ())):
        known = f"; the cluster has {', '.join(f'{len(tasks)} {name}' for name, tasks in sorted(addresses.items()))}"
        hint = ", and every task has to know of an evaluator" if type == EVALUATOR else ""
        raise UserError(f"TF_CONFIG: task {type} {index}{known}{hint}")
    for type_of_one in (CHIEF, EVALUATOR):
        if len(addresses.get(type_of_one, ())) > 1:
            raise UserError(f"TF_CONFIG: {len(addresses[type_of_one])} of {type_of_one}; expected one at most")
    found = Task(type, index, addresses)
    if not found.trainers:
        raise UserError("TF_CONFIG: neither chief nor worker in the cluster; expected one that trains")
    return found


class Barrier:
    """A barrier at which the other tasks wait for the chief; if the chief ends, they learn of it at once.

    It listens on the port of the chief's own address, which TensorFlow's server takes over once all are released.

    Args:
      task: the chief's Task.
    """

    def __init__(self, task):
        self._task = task
        type, index = task.trainers[0]
        _, port = _split(task.addresses[type][index])
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("", port))
        except OSError as error:
            raise UserError(f"TF_CONFIG: {task} cannot listen on port {port}: {error.strerror}")
        self._socket.listen(128)

    def release(self, message, patience=WAIT_FOR_OTHERS):
        """Waits until every other task, parameter servers aside, has arrived, and sends each of them a message.

        Args:
          message: JSON value.
          patience: seconds to wait for them.

        Raises:
          UserError: one of them did not arrive.
        """
        missing = {
            f"{type} {i}" for type in (CHIEF, WORKER, EVALUATOR) for i in range(len(self._task.addresses.get(type, ())))
        } - {str(self._task)}
        deadline = time.time() + patience
        with contextlib.ExitStack() as stack:
            stack.callback(self._socket.close)
            arrived = {}
            while missing - set(arrived):
                self._socket.settimeout(max(deadline - time.time(), 0.01))
                try:
                    peer, _ = self._socket.accept()
                except socket.timeout:
                    absent = shown_list(sorted(missing - set(arrived)))
                    raise UserError(f"TF_CONFIG: waited {patience:.0f} seconds for {absent}; expected every task")
                peer.settimeout(5.0)
                try:
                    said = peer.makefile("r").readline().strip()
                except (OSError, ValueError):
                    said = ""
                if not said.startswith(HELLO):
                    peer.close()
                    continue
                stack.callback(peer.close)
                arrived[said[len(HELLO) :].strip()] = peer
            for peer in arrived.values():
                with contextlib.suppress(OSError):
                    peer.sendall((json.dumps(message) + "\n").encode("utf-8"))
                    # The others close first: a port whose own side closes first stays in use for a while.
                    peer.recv(1)


def wait_for_chief(task, patience=WAIT_FOR_OTHERS):
    """Waits until the chief releases this task; returns the chief's message, a JSON value.

    Args:
      task: Task other than the chief.
      patience: seconds to wait until there is a chief; its preparations may take any time.

    Raises:
      UserError: there is no chief, or it ended before it released this task.
    """
    type, index = task.trainers[0]
    host, port = _split(task.addresses[type][index])
    deadline = time.time() + patience
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=10.0)
            break
        except OSError as error:
            if time.time() > deadline:
                raise UserError(f"TF_CONFIG: {task} finds no {type} {index} at {host}:{port}: {error}")
            time.sleep(0.1)
    with connection:
        connection.settimeout(None)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.sendall(f"{HELLO} {task}\n".encode())
            answer = connection.makefile("rb").readline()
            if answer:
                try:
                    return json.loads(answer.decode("utf-8"))
                except ValueError:
                    raise UserError(f"TF_CONFIG: what answers at {host}:{port} is no {type} of this program")
    raise UserError(f"{type} {index} at {host}:{port} ended before it let {task} in; its own log says why")


def _split(address):
    """(host, port) of "host:port"."""
    host, _, port = address.rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise UserError(f"TF_CONFIG: address {address}; expected host:port")
    return host.strip("[]"), int(port)
