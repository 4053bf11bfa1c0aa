"""Files appear whole or not at all, and what cannot be written is the user's to mend."""

import hashlib
import os

import pytest

from bert import files
from bert.errors import UserError


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
    monkeypatch.setattr(files, "open", refused, raising=False)
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


@pytest.mark.parametrize("content", [b"", b'{"a": ', b'{"a": "\xff"}'])
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
