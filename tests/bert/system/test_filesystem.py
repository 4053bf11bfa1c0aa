"""The same functions on this machine, through TensorFlow (file://) and in memory (ram://): the same results."""

import os
import stat

import pytest

from bert.system import directories, files, filesystem, lines, remote
from bert.system.errors import UserError, run_program
from tests import stores


@pytest.fixture(params=["local", "file", pytest.param("ram", marks=stores.needs_memory)])
def root(request, tmp_path):
    if request.param == "ram":
        return stores.memory()
    return ("file://" if request.param == "file" else "") + str(tmp_path / "root")


CONTENT = "a\r\nb\n\u2028\u4e2d no end".encode("utf-8")


def test_files_and_directories(root):
    path = f"{root}/a/b/file"
    assert not filesystem.exists(root + "/a") and not filesystem.isdir(root + "/a") and not filesystem.isfile(path)
    filesystem.makedirs(f"{root}/a/b")
    filesystem.makedirs(f"{root}/a/b")
    stores.write(path, b"the old content")
    stores.write(path, CONTENT)
    assert filesystem.exists(path) and filesystem.lexists(path) and filesystem.isfile(path)
    assert not filesystem.isdir(path)
    assert filesystem.isdir(f"{root}/a/") and not filesystem.isfile(f"{root}/a")
    assert filesystem.getsize(path) == len(CONTENT)
    assert filesystem.listdir(f"{root}/a") == ["b"] and filesystem.listdir(f"{root}/a/b/") == ["file"]
    assert filesystem.can_write(root)
    stores.write(f"{root}/a/b/file-2", b"")
    assert filesystem.getsize(f"{root}/a/b/file-2") == 0
    assert filesystem.beginning_with(path) == [f"{root}/a/b/file-2"]
    assert filesystem.beginning_with(f"{root}/none/x") == []
    assert sorted(filesystem.glob(f"{root}/a/*/fi?e*")) == [path, path + "-2"]
    assert filesystem.glob(f"{root}/none/*") == []
    assert stores.files(root) == ["a/b/file", "a/b/file-2"]
    assert list(filesystem.walk(f"{root}/none")) == []
    with pytest.raises(OSError):
        filesystem.rmdir(f"{root}/a/b")
    filesystem.makedirs(f"{root}/a/b.c")
    stores.write(f"{root}/a/b.c/d", b"")
    assert filesystem.listdir(f"{root}/a/b") == ["file", "file-2"] and not filesystem.exists(f"{root}/a/b/fi")
    assert not filesystem.isdir(f"{root}/a/b/fi") and not filesystem.isdir(f"{root}/a/b/file-")
    filesystem.rmtree(f"{root}/a/b.c")
    filesystem.remove(path)
    filesystem.replace(path + "-2", path)
    filesystem.copyfile(path, f"{root}/copy")
    filesystem.copyfile(path, f"{root}/copy")  # over the one that is there
    assert stores.files(root) == ["a/b/file", "copy"]
    assert filesystem.samefile(path, f"{root}/a/b/../b//file") and not filesystem.samefile(path, f"{root}/copy")
    filesystem.rmtree(f"{root}/a")
    filesystem.rmtree(f"{root}/a")
    filesystem.remove(f"{root}/copy")
    assert stores.files(root) == []


def test_a_folder_can_be_left_out_of_a_walk(root):
    for name in ("a/x", "b/y", "z"):
        stores.write(f"{root}/{name}", b"")
    found = []
    for folder, folders, names in filesystem.walk(root):
        found.append((folder, sorted(folders), names))
        folders[:] = [name for name in folders if name != "a"]
    assert found == [(root, ["a", "b"], ["z"]), (f"{root}/b", [], ["y"])]


def test_what_is_not_there(root):
    filesystem.makedirs(root)
    for function in (filesystem.getsize, filesystem.remove, filesystem.open_file, stores.read):
        with pytest.raises(FileNotFoundError) as caught:
            function(f"{root}/missing")
        assert caught.value.strerror == "No such file or directory"
    with pytest.raises(FileNotFoundError):
        filesystem.listdir(f"{root}/missing")
    with pytest.raises(IsADirectoryError) as caught:
        stores.read(root)
    assert caught.value.strerror == "Is a directory"
    with pytest.raises(IsADirectoryError):
        filesystem.open_file(root, "wb")


def test_streams(root):
    path = f"{root}/file"
    stores.write(path, CONTENT)
    with filesystem.open_file(path, "rb") as stream:
        assert [stream.readline(), stream.read(2)] == [b"a\r\n", b"b\n"]
        assert stream.tell() == 5 and stream.seek(1) == 1 and stream.read(2) == b"\r\n"
        assert stream.seek(0, os.SEEK_END) == len(CONTENT) and stream.read() == b""
        stream.seek(0)
        assert list(stream) == CONTENT.splitlines(keepends=True)
        assert stream.closed is False
    assert stream.closed
    with filesystem.open_file(path) as stream:
        assert stream.read() == CONTENT.decode("utf-8")
    with filesystem.open_file(path, "w") as writer:
        writer.write("\u4e2d\r\n")
    with filesystem.open_file(path, "a") as writer:
        writer.write("more")
    with filesystem.open_file(path, "ab") as writer:
        writer.write(b"!")
    assert stores.read(path) == "\u4e2d\r\nmore!".encode("utf-8")
    assert [text for _, text in lines.read(path)] == ["\u4e2d", "more!"]


def test_a_large_file_in_pieces(root):
    content = bytes(range(256)) * 10000  # larger than a buffer
    stores.write(f"{root}/large", content)
    with filesystem.open_file(f"{root}/large", "rb") as stream:
        for start in (2000001, 5, 1 << 20, 2559999):
            stream.seek(start)
            assert stream.read(1000) == content[start : start + 1000]


def test_files_appear_whole(root):
    filesystem.makedirs(root)
    path = f"{root}/value.json"
    files.write_json(path, {"a": 1})
    files.write_json(path, {"a": "\u4e2d"})
    with pytest.raises(RuntimeError), files.atomic_open(path) as writer:
        writer.write("half")
        raise RuntimeError
    assert files.read_json(path) == {"a": "\u4e2d"}
    assert stores.files(root) == ["value.json"]
    assert files.sha256(path) == files.sha256(path)
    with pytest.raises(UserError, match="missing: cannot be read: No such file or directory"):
        files.read_json(f"{root}/missing")


def test_a_directory_of_files_appears(root):
    target = f"{root}/new"
    order = []

    def fill(content, **options):
        with directories.complete_directory(target, **options) as temporary:
            order.append(temporary)
            for name in ("model.ckpt.index", "model.ckpt.data-00000-of-00001", "vocab.txt"):
                stores.write(os.path.join(temporary, name), content)
            assert not filesystem.exists(target) or filesystem.listdir(target) == []

    with pytest.raises(RuntimeError), directories.complete_directory(target):
        raise RuntimeError
    fill(b"1")
    names = ["new/model.ckpt.data-00000-of-00001", "new/model.ckpt.index", "new/vocab.txt"]
    assert stores.files(root) == names
    with pytest.raises(UserError, match="exists with another content; remedy"), directories.complete_directory(
        target, remedy="remedy"
    ) as temporary:
        stores.write(os.path.join(temporary, "vocab.txt"), b"2")
    with directories.complete_directory(target, overwrite=True) as temporary:
        stores.write(os.path.join(temporary, "vocab.txt"), b"2")
    assert stores.files(root) == names and stores.read(f"{target}/vocab.txt") == b"2"
    assert not os.path.exists(order[0])


def test_the_last_file_of_a_tree_is_the_marker(tmp_path, monkeypatch):
    """A copy that is broken off leaves nothing, and at no moment the marker without the rest."""
    for name in ("a/z", "marker", "x"):
        stores.write(str(tmp_path / "source" / name), b"1")
    target = f"file://{tmp_path}/target"
    copied = []
    copyfile = filesystem.copyfile

    def watch(source, path):
        assert copied[-1:] != ["marker"]
        if len(copied) == 2 and breaks:
            raise OSError(28, "No space left on device", path)
        copyfile(source, path)
        copied.append(os.path.basename(path))

    monkeypatch.setattr(filesystem, "copyfile", watch)
    breaks = True
    with pytest.raises(OSError):
        filesystem.copytree(str(tmp_path / "source"), target, last="marker")
    assert stores.files(target) == []
    breaks = False
    del copied[:]
    filesystem.copytree(str(tmp_path / "source"), target, last="marker")
    assert copied == ["z", "x", "marker"] and stores.files(target) == ["a/z", "marker", "x"]


def test_what_old_writers_left_in_a_store(tmp_path, monkeypatch):
    """The number of a process says nothing of one on another machine: the age of the file does."""
    root = f"file://{tmp_path}"
    names = ["out.tmp-999999", "model.ckpt.tmp-999999.index"]
    for name in names:
        stores.write(f"{root}/{name}", b"")
        assert not files.is_leftover(f"{root}/{name}")
        assert files.is_leftover(str(tmp_path / name))
        os.utime(str(tmp_path / name), (1, 1))
        assert files.is_leftover(f"{root}/{name}")
    assert not files.is_leftover(f"{root}/out.tmp-x")


def test_local_files_keep_their_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_json(str(tmp_path / "a.json"), 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(str(tmp_path / "a.json")).st_mode) == 0o640


@pytest.mark.parametrize(
    "path, expected",
    [
        ("gs://b/a//b/../c/", "gs://b/a/c"),
        ("gs://b", "gs://b"),
        ("gs://b/", "gs://b"),
        ("hdfs://host:9000/a/./b", "hdfs://host:9000/a/b"),
        ("file:///a/b/", "file:///a/b"),
    ],
)
def test_one_spelling_of_a_path(path, expected):
    assert filesystem.abspath(path) == filesystem.realpath(path) == expected
    assert filesystem.is_remote(path)


@pytest.mark.parametrize("path", ["a/b", "/a", "c://x", "gs:/b", "://x", "1s://x", "", None, 3, b"gs://b"])
def test_local_paths(path):
    assert not filesystem.is_remote(path)


def test_a_store_that_cannot_be_reached_ends_a_program_in_one_line(capsys):
    for use in (filesystem.exists, filesystem.isdir, filesystem.listdir, files.make_dir, stores.read):
        with pytest.raises(SystemExit) as caught:
            run_program(lambda use=use: use("foo://bucket/a"))
        assert caught.value.code == 2
        written = capsys.readouterr().err
        assert written.startswith("error: foo://bucket/a: ") and written.count("\n") == 1, written
    with pytest.raises(UserError):
        filesystem.exists("foo://bucket/a")
    assert issubclass(remote.StoreError, OSError)
