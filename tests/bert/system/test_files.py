"""Files appear whole or not at all, and what cannot be written is the user's to mend."""

import hashlib
import os
import subprocess
import sys

import pytest

from bert.system import files, filesystem
from bert.system.errors import UserError


def test_a_finished_file_has_what_was_written(tmp_path):
    path = tmp_path / "out.txt"
    with files.atomic_open(str(path)) as writer:
        writer.write("a\r\nb\n\u2028\u4e2d")
        assert not path.exists()
    assert path.read_bytes() == "a\r\nb\n\u2028\u4e2d".encode("utf-8")
    assert os.listdir(str(tmp_path)) == ["out.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_content_and_nothing_else(tmp_path, error):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(error), files.atomic_open(str(path)) as writer:
        writer.write("new")
        writer.flush()
        raise error
    assert path.read_text() == "old"
    assert os.listdir(str(tmp_path)) == ["out.txt"]


def test_an_exception_leaves_no_new_file(tmp_path):
    with pytest.raises(RuntimeError), files.atomic_path(str(tmp_path / "out")) as temporary:
        with open(temporary, "w") as writer:
            writer.write("new")
        raise RuntimeError
    assert os.listdir(str(tmp_path)) == []


def test_a_directory_that_cannot_be_written(tmp_path, monkeypatch):
    def refused(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", path)

    path = tmp_path / "out.txt"
    path.write_text("old")
    # The superuser, whom tests may run as, is refused nothing: so the refusal is played.
    monkeypatch.setattr(filesystem, "open", refused, raising=False)
    with pytest.raises(UserError) as caught, files.atomic_open(str(path)):
        pass
    assert str(caught.value) == f"{path}: cannot be written: Permission denied"
    monkeypatch.undo()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UserError, match="can be written: permission denied"):
        files.make_dir(str(tmp_path / "new"))
    assert path.read_text() == "old"


def test_a_full_disk(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    os.symlink("/dev/full", f"{path}.tmp-{os.getpid()}")
    with pytest.raises(UserError, match="out.txt: cannot be written: No space left"), files.atomic_open(str(path)) as w:
        w.write("new")
    assert path.read_text() == "old"
    assert os.listdir(str(tmp_path)) == ["out.txt"]


def test_places_where_no_file_or_directory_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    for place in ("missing/out", "file/out"):
        path = str(tmp_path / place)
        with pytest.raises(UserError) as caught, files.atomic_open(path):
            pass
        assert str(caught.value).startswith(f"{path}: cannot be written: ")
    for place in ("file", "file/new"):
        with pytest.raises(UserError, match="expected a directory"):
            files.make_dir(str(tmp_path / place))
    files.make_dir(str(tmp_path / "a" / "b"))
    files.make_dir(str(tmp_path / "a" / "b"))
    assert (tmp_path / "a" / "b").is_dir()


def test_json(tmp_path):
    path = str(tmp_path / "value.json")
    value = {"\u6807\u7b7e": [1, None, "\u2028"], "a": {"b": 0.5}}
    files.write_json(path, value)
    assert files.read_json(path) == value
    with pytest.raises(TypeError):
        files.write_json(path, {"not JSON": {1}})
    assert files.read_json(path) == value
    assert os.listdir(str(tmp_path)) == ["value.json"]


@pytest.mark.parametrize("content", [b"", b'{"a": ', b'{"a": "\xff"}', b"[" * 100000], ids=range(4))
def test_what_is_no_json(tmp_path, content):
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        files.read_json(str(path))
    assert str(caught.value).startswith(f"{path}: expected JSON: ")
    with pytest.raises(UserError, match="cannot be read"):
        files.read_json(str(tmp_path / "missing"))


def test_sha256(tmp_path):
    path = tmp_path / "data"
    content = bytes(range(256)) * 10000  # some blocks, the last of them not full
    path.write_bytes(content)
    assert files.sha256(str(path)) == hashlib.sha256(content).hexdigest()


def dead_process():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_killed_process_was_writing_is_removed_by_the_next(tmp_path):
    path = tmp_path / "out.txt"
    left = tmp_path / f"out.txt.tmp-{dead_process()}"
    others = [
        tmp_path / f"out.txt.tmp-{os.getppid()}",  # alive
        tmp_path / "out.txt.tmp-of-mine",
        tmp_path / f"out.txt.tmp-{'9' * 30}",  # no process's number
        tmp_path / f"other.txt.tmp-{dead_process()}",
    ]
    for file in (left, *others):
        file.write_text("half")
    with files.atomic_open(str(path)) as writer:
        writer.write("new")
        assert not left.exists()
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])


@pytest.mark.parametrize("name", ["1795370567", "a.tmp-", ".tmp-x", "a.tmp-1-assets"])
def test_other_names_are_no_leftovers(name):
    assert not files.is_leftover(name)


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    """So that a power cut cannot leave an empty file where a whole one was."""
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (done.append(os.fstat(descriptor).st_size), fsync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("replace"), replace(*names)))
    with files.atomic_path(str(tmp_path / "out")) as temporary, open(temporary, "wb") as writer:
        writer.write(b"12345")
    assert done == [5, "replace"]


def test_json_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert files.read_json(str(tmp_path / "a.json")) == files.parse_json('\ufeff{"a": 1}') == {"a": 1}


def test_json_that_can_be_read_can_be_shown():
    """On a stack as deep as that of a program."""

    def deeper(frames, call):
        return deeper(frames - 1, call) if frames else call()

    for depth in range(500, 1100, 50):
        try:
            value = files.parse_json("[" * depth + "]" * depth)
        except ValueError as error:
            assert str(error) == "too many brackets"
        else:
            assert len(deeper(100, lambda: repr(value))) == 2 * depth  # noqa: B023  called at once
    with pytest.raises(ValueError, match="a number of 101 digits"):
        files.parse_json("9" * 101)


@pytest.mark.parametrize(
    "value, expected", [("a/b", True), ("", True), ("a\0", False), ("\ud800", False), (None, False)]
)
def test_what_can_be_a_path(value, expected):
    assert files.is_path(value) == expected
