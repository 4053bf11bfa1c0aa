"""Lines of files against a brute-force reading of their bytes; what is said of those that are not UTF-8."""

import gzip
import io
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bert.system import filesystem, lines
from bert.system.errors import UserError

MARK = b"\xef\xbb\xbf"
# All that could be taken for a line's end, for the byte order mark, or for no UTF-8.
PARTS = [
    b"\n",
    b"\r\n",
    b"\r",
    b"a",
    b"b c\t",
    "\u5317".encode(),
    "\u2028\u0085\x0b\x0c\x1c".encode(),
    MARK,
]
BAD = [b"\xff", b"\xe5\x8c", b"\x8c"]
content_of = st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join)


def brute_force(content):
    """The lines of a file, byte by byte: list of bytes."""
    found, line, position = [], b"", len(MARK) if content.startswith(MARK) else 0
    while position < len(content):
        for end in (b"\r\n", b"\n"):
            if content[position:].startswith(end):
                found.append(line)
                line = b""
                position += len(end)
                break
        else:
            line += content[position : position + 1]
            position += 1
    return found + [line] if line else found


def is_utf8(content):
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(tmp_path_factory.mktemp("lines") / "file.txt")


def write(path, content):
    with open(path, "wb") as writer:
        writer.write(content)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=content_of)
def test_lines_are_those_of_a_brute_force_reading(path, content):
    write(path, content)
    expected = [line.decode("utf-8") for line in brute_force(content)]
    if content == MARK:
        expected = [""]  # a line without a character, not a file without a line
    assert list(lines.read(path)) == list(enumerate(expected, 1))
    assert list(lines.numbered(io.BytesIO(content), "name")) == list(enumerate(expected, 1))
    if expected:
        assert lines.count(path, "one text per line") == len(expected)
    else:
        with pytest.raises(UserError, match="file.txt: the file is empty; expected one text per line$"):
            lines.count(path, "one text per line")
    assert lines.decode(content, "name") == (content[3:] if content.startswith(MARK) else content).decode("utf-8")


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=content_of, cuts=st.lists(st.integers(0, 60), max_size=4))
def test_ranges_together_give_each_line_once(path, content, cuts):
    write(path, content)
    ends = sorted({min(cut, len(content)) for cut in cuts} | {0, len(content)})
    found = [
        line for start, end in zip(ends, ends[1:]) for line in lines.read_range(path, start, end, 1000, "a sentence")
    ]
    assert found == [line for _, line in lines.read(path)]


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=content_of, bad=st.sampled_from(BAD), after=content_of, cut=st.integers(0, 60))
def test_what_is_not_utf8_is_named_with_line_and_byte(path, before, bad, after, cut):
    content = before + bad + b"-" + after
    write(path, content)
    number = before.count(b"\n") + 1
    byte = len(before.rpartition(b"\n")[2]) + 1
    message = f"{path}:{number}: byte {byte} of the line is not UTF-8; expected "

    def refuses(call, expected="a UTF-8 file"):
        with pytest.raises(UserError) as caught:
            call()
        assert str(caught.value) == message + expected

    refuses(lambda: list(lines.read(path)))
    refuses(lambda: lines.decode(content, path))
    refuses(lambda: lines.count(path, "one text per line"), "one text per line, in UTF-8")
    refuses(lambda: list(lines.numbered(io.BytesIO(content), path, expected="words")), "words")
    refuses(lambda: list(lines.read_range(path, 0, len(content), 1000, "words")), "words, in UTF-8")
    start = min(cut, len(before) - len(before.rpartition(b"\n")[2]))
    refuses(lambda: list(lines.read_range(path, start, len(content), 1000, "words")), "words, in UTF-8")
    # What comes before is given first.
    good = []
    with pytest.raises(UserError):
        good.extend(lines.read(path))
    assert len(good) == number - 1


def test_lines_in_the_middle_of_a_file_are_numbered_from_there():
    stream = io.BytesIO(MARK + b"a\r\nb\xff\n")
    found = lines.numbered(stream, "a.txt", first=7)
    assert next(found) == (7, "\ufeffa")  # no byte order mark there
    with pytest.raises(UserError, match="^a.txt:8: byte 2 of the line"):
        next(found)
    with pytest.raises(UserError, match="^a.txt:9: byte 1 of the line"):
        lines.decode(b"a\nb\n\xff", "a.txt", 7)


def test_only_one_mark_is_passed_over():
    assert lines.decode_line(MARK + MARK + b"a", "a.txt") == "\ufeffa"


def test_lines_are_read_one_at_a_time():
    class Stream:
        """The first line of a file that has no end."""

        def __iter__(self):
            yield b"a\n"
            raise AssertionError("read on")

    assert next(lines.numbered(Stream(), "name")) == (1, "a")


def test_a_range_reads_little_more_than_itself(path, monkeypatch):
    write(path, b"0123456789\n" * 10)
    sizes = []

    class Counting(io.BufferedReader):
        def readline(self, size=-1):
            sizes.append(size)
            return super().readline(size)

    monkeypatch.setattr(filesystem, "open", lambda *_: Counting(io.FileIO(path)), raising=False)
    assert list(lines.read_range(path, 10, 30, 20, "words")) == ["0123456789"] * 2
    assert sizes == [21, 21, 21]  # never without a bound


def test_lines_that_are_too_long(path):
    write(path, b"a\n" + b"b" * 20 + b"\nc\n")
    assert list(lines.read_range(path, 0, 30, 21, "words")) == ["a", "b" * 20, "c"]
    found = lines.read_range(path, 0, 30, 20, "one sentence per line")
    assert next(found) == "a"
    with pytest.raises(UserError, match="file.txt:2: longer than 20 bytes; expected one sentence per line$"):
        next(found)


def test_files_that_cannot_be_read(tmp_path):
    missing = str(tmp_path / "none.txt")
    with pytest.raises(UserError, match="none.txt: cannot be read: No such file or directory; expected words$"):
        list(lines.read(missing, "words"))
    with pytest.raises(UserError, match="none.txt: cannot be read: No such file or directory$"):
        list(lines.read_range(missing, 0, 1, 1, "words"))
    with pytest.raises(UserError, match="cannot be read: Is a directory; expected words, in UTF-8$"):
        lines.count(str(tmp_path), "words")
    with pytest.raises(UserError, match="^standard input: cannot be read: Is a directory"), lines.reading(
        "standard input"
    ):
        open(str(tmp_path))


def test_a_pipe_is_not_counted(tmp_path):
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    assert lines.is_pipe(pipe) and lines.count(pipe, "words") is None
    assert not lines.is_pipe(str(tmp_path)) and not lines.is_pipe(str(tmp_path / "none"))


@pytest.mark.parametrize("encoding,kind", [
    ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32", "UTF-32"),
])  # fmt: skip
def test_wide_encodings_are_called_by_their_names(path, encoding, kind):
    write(path, "the O\nman O\n".encode(encoding))
    expected = f"file.txt: a {kind} file; expected a UTF-8 file \\(iconv -f {kind} -t UTF-8"
    for read in (lambda: list(lines.read(path)), lambda: lines.decode(open(path, "rb").read(), path)):
        with pytest.raises(UserError, match=expected):
            read()


def test_chinese_in_another_encoding_is_named(tmp_path):
    path = tmp_path / "a.txt"
    for text, remedy in (("在北京。", r" \(iconv -f GB18030 -t UTF-8 OLD > NEW writes one\)"), ("Tromsø, caf\xe9", "")):
        path.write_bytes(f"ok\n{text}\n".encode("gbk" if remedy else "latin-1"))
        with pytest.raises(UserError, match=rf":2: byte \d of the line is not UTF-8; expected a UTF-8 file{remedy}$"):
            list(lines.read(str(path)))


@pytest.mark.parametrize(
    "content,expected",
    [
        (gzip.compress(b"a O\n"), r"a gzip file; expected a UTF-8 file \(gunzip unpacks it\)"),
        (b"PK\x03\x04\x14\0", r"a zip file, as those of spreadsheets are too; expected a UTF-8 file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", r"a pointer of Git LFS; .*git lfs pull"),
    ],
)
def test_files_without_text_are_called_by_their_name(content, expected, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.txt: {expected}"):
        list(lines.read(str(path)))
