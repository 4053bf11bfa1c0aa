"""Directories that appear whole, and what is there already."""

import os
import subprocess
import sys
import time

import pytest

from bert.system.directories import LEFTOVER_SECONDS, complete_directory
from bert.system.errors import UserError


def fill(directory, **contents):
    for name, content in contents.items():
        with open(os.path.join(directory, name), "w") as writer:
            writer.write(content)


def contents(directory):
    return {path.name: path.read_text() for path in directory.iterdir()}


@pytest.mark.parametrize("slash", ["", os.sep])
def test_a_new_directory_appears_at_once(slash, tmp_path):
    target = tmp_path / "some" / "where"
    with complete_directory(str(target) + slash) as temporary:
        fill(temporary, a="1", b="2")
        assert not target.exists()
    assert contents(target) == {"a": "1", "b": "2"}
    assert os.listdir(str(target.parent)) == ["where"]


def test_nothing_is_left_of_what_went_wrong(tmp_path):
    for target in (tmp_path / "new", tmp_path):
        with pytest.raises(KeyError), complete_directory(str(target)) as temporary:
            fill(temporary, a="1")
            raise KeyError
    assert os.listdir(str(tmp_path)) == []


def test_a_directory_with_other_files_is_added_to(tmp_path):
    fill(str(tmp_path), mine="0", a="1")
    with complete_directory(str(tmp_path)) as temporary:
        fill(temporary, a="1", b="2")
    assert contents(tmp_path) == {"mine": "0", "a": "1", "b": "2"}


def test_another_content_is_overwritten_only_if_asked_for(tmp_path):
    fill(str(tmp_path), b="old")
    with pytest.raises(UserError) as caught, complete_directory(str(tmp_path), remedy="expected another") as temporary:
        fill(temporary, a="1", b="2")
    assert str(caught.value) == f"{tmp_path}/b: exists with another content; expected another"
    assert contents(tmp_path) == {"b": "old"}
    with complete_directory(str(tmp_path), overwrite=True) as temporary:
        fill(temporary, a="1", b="2")
    assert contents(tmp_path) == {"a": "1", "b": "2"}


def test_where_nothing_can_be_written(tmp_path):
    fill(str(tmp_path), file="")
    for target in (tmp_path / "file", tmp_path / "file" / "directory"):
        with pytest.raises(UserError, match="expected a directory"), complete_directory(str(target)):
            pass
    with pytest.raises(UserError) as caught, complete_directory(str(tmp_path / "full")):
        raise OSError(28, "No space left on device")
    assert str(caught.value) == f"{tmp_path}/full: cannot be written: No space left on device"
    assert contents(tmp_path) == {"file": ""}


def test_one_that_another_process_made_meanwhile(tmp_path):
    target = tmp_path / "new"
    with complete_directory(str(target)) as temporary:
        fill(temporary, a="1")
        target.mkdir()
        fill(str(target), a="1")
    assert contents(target) == {"a": "1"} and os.listdir(str(tmp_path)) == ["new"]


@pytest.mark.parametrize("is_new", [True, False])
def test_what_a_killed_process_left_is_removed_when_it_is_old(is_new, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    target = tmp_path / "target"
    beside = [tmp_path / f"target.tmp-{pid}" for pid in (process.pid, os.getppid())]
    if not is_new:
        target.mkdir()
        beside = [target / f".tmp-{pid}" for pid in (process.pid, os.getppid())]
    for folder in beside:
        folder.mkdir()
        fill(str(folder), half="1")
    with complete_directory(str(target)):
        assert beside[0].exists()  # another machine may be filling it
    if is_new:
        target.rmdir()
    long_ago = time.time() - 2 * LEFTOVER_SECONDS
    for folder in beside:
        os.utime(str(folder), (long_ago, long_ago))
    with complete_directory(str(target)):
        assert [folder.exists() for folder in beside] == [False, True]
