"""Which task a process is by TF_CONFIG, and how the others wait at the chief's barrier."""

import json
import socket
import threading

import pytest

from bert.system.errors import UserError
from bert.training import cluster

ADDRESSES = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "evaluator": ["d:1"]}


@pytest.fixture
def config(monkeypatch):
    """`config(type, index, addresses)` makes this process that task."""

    def config(type, index=0, addresses=ADDRESSES):
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": addresses, "task": {"type": type, "index": index}}))
        return cluster.task()

    return config


@pytest.mark.parametrize("text", [None, "", "{}", '{"cluster": {}}', '{"cluster": {"chief": ["a:1"]}}'])
def test_without_a_cluster_a_process_is_the_chief(text, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    task = cluster.task()
    assert task.is_chief and not (task.is_one_of_many or task.is_evaluator or task.has_evaluator)
    assert task.number == 0 and str(task) == "chief 0"


@pytest.mark.parametrize(
    "type,index,is_chief,number", [("chief", 0, True, 0), ("worker", 0, False, 1), ("worker", 1, False, 2)]
)
def test_tasks_that_train(type, index, is_chief, number, config):
    task = config(type, index)
    assert (task.is_chief, task.number, str(task)) == (is_chief, number, f"{type} {index}")
    assert task.is_one_of_many and task.has_evaluator and not task.is_evaluator
    assert task.trainers == [("chief", 0), ("worker", 0), ("worker", 1)]


def test_the_first_worker_is_the_chief_where_there_is_none(config):
    addresses = {"worker": ["b:1", "c:1"]}
    assert config("worker", 0, addresses).is_chief
    second = config("worker", 1, addresses)
    assert not second.is_chief and second.number == 1


def test_the_evaluator(config):
    task = config("evaluator")
    assert task.is_evaluator and not task.is_chief


@pytest.mark.parametrize(
    "type,index,addresses,expected",
    [
        ("worker", 2, ADDRESSES, "task worker 2; the cluster has 1 chief, 1 evaluator, 2 worker"),
        ("ps", 0, ADDRESSES, "task ps 0; the cluster has"),
        ("evaluator", 0, {"chief": ["a:1"], "worker": ["b:1"]}, "every task has to know of an evaluator"),
        ("chief", 0, {"chief": ["a:1"], "boss": ["b:1"]}, "task type boss; expected chief, worker, ps, evaluator"),
        ("chief", 0, {"chief": ["a:1", "b:1"]}, "2 of chief; expected one at most"),
        ("ps", 0, {"ps": ["a:1", "b:1"]}, "neither chief nor worker"),
    ],
)
def test_what_makes_no_sense_is_refused(type, index, addresses, expected, config):
    with pytest.raises(UserError, match=expected):
        config(type, index, addresses)


@pytest.mark.parametrize("port", ["", "x", "0", "-1", "65536", "\u00b2", "1" * 5000])
def test_an_address_without_a_port_is_refused(port, config):
    config("chief", 0, {"chief": [f"localhost:{port}"], "worker": ["b:1"]})
    with pytest.raises(UserError, match="expected host:port"):
        cluster.Barrier(cluster.task())


@pytest.mark.parametrize(
    "text",
    ["{", "[" * 3000, "[]", '{"cluster": 3}', '{"task": {"index": "x"}}', '{"cluster": {"worker": 3}}']
    + ['{"cluster": {"chief": [1234], "worker": ["b:1"]}}', '{"task": {"type": ["chief"]}}']
    + ['{"task": {"index": Infinity}}', '{"task": {"index": NaN}}'],
)
def test_what_is_no_tf_config_is_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG: expected"):
        cluster.task()


def tasks_of(types):
    """{name: Task} of a cluster on free ports."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    addresses = {type: [f"127.0.0.1:{port}"] * count for type, count in types.items()}
    tasks = [cluster.Task(type, i, addresses) for type, count in types.items() for i in range(count)]
    return {str(task): task for task in tasks}


def test_nobody_comes_in_before_the_chief_is_ready():
    tasks = tasks_of({"chief": 1, "worker": 2, "evaluator": 1, "ps": 1})
    is_ready, heard = threading.Event(), {}

    def wait(name):
        heard[name] = (cluster.wait_for_chief(tasks[name]), is_ready.is_set())

    waiting = [threading.Thread(target=wait, args=(name,)) for name in ("worker 0", "worker 1", "evaluator 0")]
    waiting[0].start()  # one comes before there is a barrier
    barrier = cluster.Barrier(tasks["chief 0"])
    for thread in waiting[1:]:
        thread.start()
    with socket.create_connection(("127.0.0.1", int(tasks["chief 0"].addresses["chief"][0].split(":")[1]))) as stranger:
        stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
        is_ready.set()
        barrier.release({"step": 3})
    for thread in waiting:
        thread.join(10)
    assert heard == {name: ({"step": 3}, True) for name in ("worker 0", "worker 1", "evaluator 0")}
    # TensorFlow's server can have the port at once.
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(tasks["chief 0"].addresses["chief"][0].split(":")[1])))


def test_a_chief_that_ends_is_noticed_at_once():
    tasks = tasks_of({"chief": 1, "worker": 1})
    barrier = cluster.Barrier(tasks["chief 0"])
    threading.Timer(0.2, barrier._socket.close).start()
    with pytest.raises(UserError, match="chief 0 at .* ended before it let worker 0 in"):
        cluster.wait_for_chief(tasks["worker 0"])


def test_another_server_in_the_chief_s_place():
    tasks = tasks_of({"chief": 1, "worker": 1})
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", int(tasks["chief 0"].addresses["chief"][0].split(":")[1])))
        listener.listen(1)

        def answer():
            peer, _ = listener.accept()
            peer.sendall(b"HTTP/1.0 400 \xff\r\n")
            peer.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(UserError, match="TF_CONFIG: what answers at 127.0.0.1:.* is no chief of this program"):
            cluster.wait_for_chief(tasks["worker 0"])
        thread.join()


def test_no_chief_at_all():
    with pytest.raises(UserError, match="worker 0 finds no chief 0 at 127.0.0.1:"):
        cluster.wait_for_chief(tasks_of({"chief": 1, "worker": 1})["worker 0"], patience=0.2)


def test_a_task_that_does_not_come():
    barrier = cluster.Barrier(tasks_of({"chief": 1, "worker": 2})["chief 0"])
    with pytest.raises(UserError, match="waited 0 seconds for worker 0, worker 1; expected every task"):
        barrier.release({}, patience=0.2)


def test_a_port_that_is_taken():
    tasks = tasks_of({"chief": 1, "worker": 1})
    barrier = cluster.Barrier(tasks["chief 0"])
    with pytest.raises(UserError, match="chief 0 cannot listen on port"):
        cluster.Barrier(tasks["chief 0"])
    del barrier


@pytest.mark.parametrize("address", ["here", "host:", ":1", "host:x", "host:0", "host:99999"])
def test_addresses_are_host_and_port(address):
    with pytest.raises(UserError, match="expected host:port"):
        cluster.wait_for_chief(cluster.Task("worker", 0, {"chief": [address], "worker": ["b:1"]}))
