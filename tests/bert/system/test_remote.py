"""Paths of stores that this TensorFlow does not know, and mistyped ones: refused when the flags are read."""

import pytest
import tensorflow.compat.v1 as tf

from bert.system import remote
from bert.system.errors import UserError, fit_message
from bert.system.flags import FlagParser
from tests import stores


def parser(**kwargs):
    made = FlagParser(**kwargs)
    flag, switch = made.flag_group("files")
    for name in ("output_dir", "input_file", "tpu_name", "comment", "host"):
        flag(name)
    made.add_argument("files", nargs="*")
    return made


def refused(*argv, **kwargs):
    with pytest.raises(UserError) as caught:
        parser(**kwargs).parse_args(list(argv))
    assert len(fit_message(caught.value)) == len(str(caught.value)) <= 300
    return str(caught.value)


def test_a_scheme_that_tensorflow_does_not_know():
    message = refused("-output_dir", "foo://bucket/output")
    expected = (
        f"-output_dir foo://bucket/output: this TensorFlow, {tf.__version__}, has no file system foo://; expected "
    )
    assert message.startswith(expected) and "file://" in message and "gs://" in message and "or a local path" in message
    assert "-input_file foo://b/*.txt" in refused("--input_file=a.txt,foo://b/*.txt")
    assert "-files foo://b" in refused("a.txt", "foo://b")
    if not stores.HAS_MEMORY:
        assert "has no file system ram://" in refused("-output_dir", "ram://a")
        assert "libhdfs" in refused("-output_dir", "hdfs://host/a")
    else:
        assert "has no file system hdfs://" in refused("-output_dir", "hdfs://host/a")


def test_one_slash():
    message = refused("-output_dir", "gs:/bucket/output")
    assert message == "-output_dir gs:/bucket/output: expected gs://bucket/output, with two slashes"
    assert "expected hdfs://host:9000/a" in refused("a", "hdfs:/host:9000/a")


def test_a_directory_of_that_name_may_be_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gs:").mkdir()
    assert parser().parse_args(["-output_dir", "gs:/bucket"]).output_dir == "gs:/bucket"


@pytest.mark.parametrize("path", ["gs://", "gs:///", "file://"])
def test_a_scheme_alone(path):
    assert "expected more behind" in refused("-output_dir", path)


def test_what_is_no_path():
    given = ["-tpu_name", "grpc://host:8470", "-comment", "foo://", "-host", "http://host:8501"]
    args = parser(no_paths=["host"]).parse_args(given)
    assert (args.tpu_name, args.comment, args.host) == ("grpc://host:8470", "foo://", "http://host:8501")
    assert "-host http://host" in refused("-host", "http://host")


def test_known_paths_are_only_looked_at_by_their_scheme(tmp_path):
    """gs:// needs a network, and must not be asked for before the work begins."""
    argv = ["-output_dir", "gs://no-such-bucket/a", f"file://{tmp_path}", "c:/windows", "C:/windows", "a:b/c", "a://b"]
    args = parser().parse_args(argv)
    assert [args.output_dir, *args.files] == argv[1:]


def test_an_error_of_the_store_is_one_for_either_handler():
    with pytest.raises(OSError) as caught:
        remote.stat("foo://bucket/a")
    assert isinstance(caught.value, UserError) and caught.value.filename == "foo://bucket/a"
    assert str(caught.value) == f"foo://bucket/a: {caught.value.strerror}" and "foo" in caught.value.strerror
