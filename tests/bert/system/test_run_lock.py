"""One run at a time in a directory, told by processes that try."""

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from bert.system import run_lock
from bert.system.errors import UserError
from tests.paths import REPOSITORY

HOLD = """
import os, sys, time
sys.path.insert(0, {repository!r})
from bert.system import run_lock
with run_lock.locked({directory!r}):
    {then}
    print("held", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def holder(directory, then="pass"):
    """Another process that holds the directory's lock."""
    code = HOLD.format(repository=REPOSITORY, directory=str(directory), then=then)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, encoding="utf-8") as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def hold(directory, **kwargs):
    return run_lock.locked(str(directory), **kwargs)


def test_the_second_is_refused_and_told_by_whom(tmp_path):
    with holder(tmp_path) as process:
        with pytest.raises(UserError) as caught, hold(tmp_path):
            pass
        message = str(caught.value)
        assert message.startswith(f"{tmp_path}: another run (process {process.pid} on {socket.gethostname()}, since 20")
        assert message.endswith(" writes to it; expected that to end, or another -output_dir")
        with hold(tmp_path, wanted=False):  # a reader minds nobody
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert os.listdir(str(tmp_path)) == [run_lock.LOCK_FILE]
        with hold(tmp_path):  # what died holds nothing
            assert json.loads((tmp_path / run_lock.LOCK_FILE).read_text())["pid"] == os.getpid()
    assert os.listdir(str(tmp_path)) == []


def test_a_process_forked_by_the_holder_does_not_hold_it(tmp_path):
    then = (  # the child has begun, and so closed what it inherited, before the parent can be killed
        "begun, begin = os.pipe(); child = os.fork() or (os.write(begin, b'.'), time.sleep(60)); os.read(begun, 1); "
        "open({!r}, 'w').write(str(child))".format(str(tmp_path / "child"))
    )
    directory = tmp_path / "output"
    directory.mkdir()
    with holder(directory, then) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        child = int((tmp_path / "child").read_text())
        try:
            with hold(directory):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


def test_within_one_process_too(tmp_path):
    with hold(tmp_path), pytest.raises(UserError, match=f"process {os.getpid()} "), hold(tmp_path):
        pass
    with pytest.raises(KeyError), hold(tmp_path):
        raise KeyError
    with hold(tmp_path):
        pass


def test_a_holder_that_has_not_said_who_it_is(tmp_path):
    with holder(tmp_path):
        (tmp_path / run_lock.LOCK_FILE).write_text("")
        with pytest.raises(UserError, match=": another run writes to it"), hold(tmp_path):
            pass


def test_a_directory_that_is_not_there_yet_is_made_and_locked(tmp_path):
    output = tmp_path / "above" / "output"
    with hold(output):
        assert os.listdir(str(output)) == [run_lock.LOCK_FILE]
        with pytest.raises(UserError, match="writes to it"), hold(output):
            pass
        (output / "result").write_text("")
    assert os.listdir(str(output)) == ["result"]


@pytest.mark.parametrize("above", [True, False])
def test_nothing_is_left_where_what_is_given_is_wrong(above, tmp_path):
    output = tmp_path / "above" / "output" if above else tmp_path / "output"
    with pytest.raises(UserError, match="wrong"), hold(output):
        raise UserError("wrong")
    assert os.listdir(str(tmp_path)) == []
    output.mkdir(parents=True)
    with pytest.raises(UserError, match="wrong"), hold(output):
        raise UserError("wrong")
    assert os.listdir(str(output)) == []  # it was there before


def test_without_a_directory_there_is_no_lock(tmp_path):
    with run_lock.locked(None), run_lock.locked(""), hold(tmp_path / "output", wanted=False):
        pass
    assert os.listdir(str(tmp_path)) == []


def test_where_no_directory_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "output"):
        with pytest.raises(UserError, match="expected a directory that can be written"), hold(output):
            pass
    assert os.listdir(str(tmp_path)) == ["file"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(number, tmp_path, monkeypatch):
    def refused(descriptor, operation):
        raise OSError(number, os.strerror(number))

    warnings = []
    monkeypatch.setattr(fcntl, "flock", refused)
    monkeypatch.setattr(run_lock.log, "warning", lambda text, *values: warnings.append(text % values))
    with hold(tmp_path), hold(tmp_path):
        pass
    assert len(warnings) == 2 and os.strerror(number) in warnings[0]
    assert os.listdir(str(tmp_path)) == []


def test_where_no_lock_file_can_be(tmp_path):
    (tmp_path / run_lock.LOCK_FILE).mkdir()
    with pytest.raises(UserError, match="expected a directory that can be written: Is a directory"), hold(tmp_path):
        pass


@pytest.mark.parametrize("is_there", [True, False])
def test_many_at_once_come_one_after_the_other(is_there, tmp_path):
    """Each adds 1 to a number in a file, reading and writing it apart; what is refused tries again.

    A directory that is not there is made and removed by each of them.
    """
    output = tmp_path / "output"
    if is_there:
        output.mkdir()
    code = f"""
import os, sys, time
sys.path.insert(0, {REPOSITORY!r})
from bert.system import run_lock
from bert.system.errors import UserError
done = 0
while done < 20:
    try:
        with run_lock.locked({str(output)!r}):
            path = {str(tmp_path / "count")!r}
            count = int(open(path).read()) if os.path.exists(path) else 0
            time.sleep(0.001)
            with open(path, "w") as writer:
                writer.write(str(count + 1))
            done += 1
    except UserError as error:
        assert " writes to it; " in str(error), error
        time.sleep(0.001)
"""
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    deadline = time.time() + 60
    assert [process.wait(max(deadline - time.time(), 1)) for process in processes] == [0] * 4
    assert (tmp_path / "count").read_text() == "80"


def test_a_lock_file_of_anything_else(tmp_path):
    """Whoever wrote it: the lock says that there is another run."""
    for content in (b"", b"{", b"[" * 4000, b'{"pid": 1}', b"\xff", b"9" * 4000):
        (tmp_path / run_lock.LOCK_FILE).write_bytes(content)
        with open(str(tmp_path / run_lock.LOCK_FILE), "rb") as reader:
            assert run_lock._holder(reader.fileno()) == "another run"
