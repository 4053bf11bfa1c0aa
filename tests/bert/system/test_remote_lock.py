"""The lock of a directory in a store: one run at a time, and what a killed run leaves ends by itself."""

import json
import os
import subprocess
import time

import pytest

from bert.system import filesystem, remote_lock, run_lock
from bert.system.errors import UserError, fit_message
from tests import stores


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(remote_lock, "SETTLE_SECONDS", 0.0)


@pytest.fixture
def directory(tmp_path):
    return f"file://{tmp_path}/new/output"


def held_by(directory, **changes):
    """Writes the lock of another run, as that would have it."""
    with run_lock.locked(directory):
        found = json.loads(stores.read(f"{directory}/run.lock").decode("utf-8"))
    found = dict(found, run="another", host="elsewhere", machine="elsewhere", **changes)
    stores.write(f"{directory}/run.lock", json.dumps(found).encode("utf-8"))
    return found


def test_one_run_at_a_time(directory):
    with run_lock.locked(directory):
        found = json.loads(stores.read(f"{directory}/run.lock").decode("utf-8"))
        assert found["pid"] == os.getpid() and time.time() - found["heard"] < 60
        with pytest.raises(UserError) as caught, run_lock.locked(directory):
            pass
        message = str(caught.value)
        assert message.startswith(f"{directory}/run.lock: another run ({found['owner']}, process {os.getpid()} on ")
        assert "expected that to end, or another -output_dir" in fit_message(message)
        assert len(fit_message(message)) <= 300
        with run_lock.locked(directory, wanted=False):
            pass
        assert filesystem.exists(f"{directory}/run.lock")
    assert not filesystem.exists(directory) and not filesystem.exists(os.path.dirname(directory))
    with run_lock.locked(directory):
        stores.write(f"{directory}/file", b"")
    assert stores.files(directory) == ["file"]


def test_the_lock_of_another_machine(directory):
    stores.write(f"{directory}/file", b"")
    held_by(directory, owner="Ann", pid=7)
    with pytest.raises(UserError, match=r"run.lock: another run \(Ann, process 7 on elsewhere\)"), run_lock.locked(
        directory
    ):
        pass
    assert filesystem.exists(f"{directory}/run.lock")  # it is still the other's


@pytest.mark.parametrize("ago, holds", [(0, True), (-100, True), (200, True), (301, False), (10**6, False)])
def test_how_long_a_lock_counts(directory, ago, holds):
    stores.write(f"{directory}/file", b"")
    found = held_by(directory)
    stores.write(f"{directory}/run.lock", json.dumps(dict(found, heard=time.time() - ago)).encode("utf-8"))
    if holds:
        with pytest.raises(UserError, match="another run"), run_lock.locked(directory):
            pass
    else:
        with run_lock.locked(directory):
            assert json.loads(stores.read(f"{directory}/run.lock").decode("utf-8"))["run"] != "another"
        assert stores.files(directory) == ["file"]


def test_a_killed_run_of_this_machine_holds_nothing(directory):
    ended = subprocess.Popen(["true"])
    ended.wait()
    stores.write(f"{directory}/file", b"")
    here = remote_lock._this_process()
    lock = dict(here, run="another", pid=ended.pid, heard=time.time())
    for machine, holds in (("elsewhere", True), (here["machine"], False)):
        stores.write(f"{directory}/run.lock", json.dumps(dict(lock, machine=machine)).encode("utf-8"))
        if holds:
            with pytest.raises(UserError, match="another run"), run_lock.locked(directory):
                pass
        else:
            with run_lock.locked(directory):
                pass
    assert stores.files(directory) == ["file"]


def test_signs_of_life(directory, monkeypatch):
    monkeypatch.setattr(remote_lock, "BEAT_SECONDS", 0.01)
    with run_lock.locked(directory):
        first = json.loads(stores.read(f"{directory}/run.lock").decode("utf-8"))
        deadline = time.time() + 30
        while json.loads(stores.read(f"{directory}/run.lock").decode("utf-8")) == first:
            assert time.time() < deadline
            time.sleep(0.01)


def test_a_lock_that_was_taken_is_left_to_the_other(directory, monkeypatch):
    warnings = []
    monkeypatch.setattr(remote_lock.log, "warning", lambda text, *values: warnings.append(text % values))
    monkeypatch.setattr(remote_lock, "BEAT_SECONDS", 0.01)
    stores.write(f"{directory}/file", b"")
    with run_lock.locked(directory):
        found = json.loads(stores.read(f"{directory}/run.lock").decode("utf-8"))
        deadline = time.time() + 30
        while not warnings and time.time() < deadline:
            other = dict(found, run="another", pid=7, host="elsewhere")
            stores.write(f"{directory}/run.lock", json.dumps(other).encode("utf-8"))
            time.sleep(0.05)
    assert warnings[-1] == f"{directory}/run.lock: taken by process 7 on elsewhere"
    assert stores.files(directory) == ["file", "run.lock"]


def test_two_runs_at_once(directory, monkeypatch):
    """Both see no lock and write one: the one that wrote later has it."""

    def other_writes(_):
        found = json.loads(stores.read(f"{directory}/run.lock").decode("utf-8"))
        other = dict(found, run="another", machine="elsewhere")
        stores.write(f"{directory}/run.lock", json.dumps(other).encode("utf-8"))

    monkeypatch.setattr(remote_lock.time, "sleep", other_writes)
    with pytest.raises(UserError, match="another run"), run_lock.locked(directory):
        pass
    assert stores.files(directory) == ["run.lock"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "1", "heard": 1}', b'{"pid": 1}', b"\xff"])
def test_a_file_that_is_no_lock(directory, content):
    stores.write(f"{directory}/run.lock", content)
    with pytest.raises(UserError, match="run.lock: expected what a run writes of itself; remove it"), run_lock.locked(
        directory
    ):
        pass
    assert stores.read(f"{directory}/run.lock") == content


def test_a_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UserError, match="file/output: expected a directory that can be written: Not a directory"
    ), run_lock.locked(f"file://{tmp_path}/file/output"):
        pass
