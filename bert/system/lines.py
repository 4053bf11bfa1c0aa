"""UTF-8 lines of files and streams, with their numbers: every reader of text in this project goes through here.

A line ends at LF or CRLF and nowhere else: U+2028, a line separator to Python, may stand within one. A byte order mark
at the beginning of a file is passed over. What cannot be read is a UserError that names file, line and byte.
"""

import contextlib
import re

from bert.system import filesystem
from bert.system.errors import UserError

UTF_8 = "a UTF-8 file"
_COUNTED_AT_ONCE = 1 << 20  # bytes
# How files of other encodings begin: with a mark, or with two characters of ASCII.
_WIDE = {
    "UTF-32": re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff|[^\0]\0\0\0|\0\0\0[^\0]", re.DOTALL),
    "UTF-16": re.compile(rb"\xff\xfe|\xfe\xff|[^\0]\0[^\0]\0|\0[^\0]\0[^\0]", re.DOTALL),
}
# How files begin that hold no text, what they are, and what helps.
_NO_TEXT = (
    (b"\x1f\x8b", "a gzip file", "gunzip unpacks it"),
    (b"PK\x03\x04", "a zip file, as those of spreadsheets are too", "its text has to be saved as UTF-8"),
    (b"version https://git-lfs.", "a pointer of Git LFS", "git lfs pull fetches the file itself"),
)


@contextlib.contextmanager
def reading(name, expected=None):
    """An OSError in this block becomes a UserError: `name` cannot be read, `expected` should have been there."""
    try:
        yield
    except OSError as error:
        remedy = f"; expected {expected}" if expected else ""
        raise UserError(f"{name}: cannot be read: {error.strerror}{remedy}")


@contextlib.contextmanager
def open_bytes(path, expected=None):
    """A file as a binary stream; UserError where it cannot be opened or read, see `reading`."""
    with reading(path, expected), filesystem.open_file(path, "rb") as stream:
        yield stream


def decode(content, name, number=1, expected=UTF_8):
    """Decodes bytes that begin where a line begins; line ends stay as they are.

    Args:
      content: bytes of one line or of several.
      name: what an error calls the file.
      number: number of the first of these lines in its file, from 1.
      expected: what an error says should have been there.

    Returns:
      str, without the byte order mark.

    Raises:
      UserError: a byte is not UTF-8.
    """
    if number == 1:
        _check_encoding(content, name, expected)
    try:
        return _text(content, number == 1)
    except UnicodeDecodeError as error:
        raise _not_utf8(error, name, number, expected)


def decode_line(raw, name, number=1, expected=UTF_8):
    """Decodes one line and drops its end; arguments and errors as of `decode`.

    >>> decode_line(b"two words\\r\\n", "train.txt", 7)
    'two words'
    """
    return _without_end(decode(raw, name, number, expected))


def numbered(stream, name, first=1, expected=UTF_8):
    """The lines of a binary stream, read one at a time.

    Args:
      stream: binary stream that stands where a line begins.
      name, expected: as of `decode`.
      first: number of the first line.

    Yields:
      (number, str without the line end).

    Raises:
      UserError: a line is not UTF-8.
    """
    for number, raw in enumerate(stream, first):
        yield number, decode_line(raw, name, number, expected)


def read(path, expected=UTF_8):
    """As `numbered`, of a file by its path; UserError, too, where it cannot be read."""
    with open_bytes(path, expected) as stream:
        yield from numbered(stream, path, expected=expected)


def count(path, expected):
    """Reads a file to its end, so that what is wrong with it shows before the work begins.

    Args:
      path: of the file.
      expected: what a line should be, such as "one text per line".

    Returns:
      The number of lines; None for a pipe.

    Raises:
      UserError: the file cannot be read, is empty or is not UTF-8.
    """
    if is_pipe(path):
        return None
    lines = sum(1 for _ in read(path, f"{expected}, in UTF-8"))
    if not lines:
        raise UserError(f"{path}: the file is empty; expected {expected}")
    return lines


def is_pipe(path):
    """Whether this is a pipe or a device, which can be read only once."""
    return filesystem.exists(path) and not filesystem.isfile(path) and not filesystem.isdir(path)


def read_range(path, start, end, longest, expected):
    """The lines of a file whose first byte lies in a range; little more than these is read.

    Args:
      path: of the file.
      start, end: bytes; the end is not in the range.
      longest: most bytes in a line, its end included.
      expected: what a line should be, such as "one sentence per line".

    Yields:
      str, without the line end.

    Raises:
      UserError: a line is longer, or is not UTF-8.
    """
    with open_bytes(path) as stream:
        if start:
            # The line that byte start - 1 belongs to is another range's.
            stream.seek(start - 1)
            stream.readline(end - start + 1)
        while stream.tell() < end:
            offset = stream.tell()
            raw = stream.readline(longest + 1)
            if not raw:
                return
            if len(raw) > longest:
                number = _number_at(path, offset)
                raise UserError(f"{path}:{number}: longer than {longest} bytes; expected {expected}")
            try:
                line = _without_end(_text(raw, offset == 0))
            except UnicodeDecodeError as error:
                raise _not_utf8(error, path, _number_at(path, offset), f"{expected}, in UTF-8")
            yield line


def _text(content, begins_file):
    text = content.decode("utf-8")
    return text[1:] if begins_file and text.startswith("\ufeff") else text


def _check_encoding(content, name, expected):
    """UserError where the beginning of a file shows that it is no text, or that its characters have several bytes."""
    kind = next((kind for kind, starts in _WIDE.items() if starts.match(content)), None)
    if kind:
        raise UserError(f"{name}: a {kind} file; expected {expected} (iconv -f {kind} -t UTF-8 OLD > NEW writes one)")
    for start, found, remedy in _NO_TEXT:
        if content.startswith(start):
            raise UserError(f"{name}: {found}; expected {expected} ({remedy})")


def _without_end(line):
    if line.endswith("\n"):
        return line[:-2] if line.endswith("\r\n") else line[:-1]
    return line


def _not_utf8(error, name, number, expected):
    """The UserError for a UnicodeDecodeError in content that begins at line `number`."""
    content, position = error.object, error.start
    number += content.count(b"\n", 0, position)
    byte = position - content.rfind(b"\n", 0, position)
    remedy = " (iconv -f GB18030 -t UTF-8 OLD > NEW writes one)" if _is_chinese(content) else ""
    return UserError(f"{name}:{number}: byte {byte} of the line is not UTF-8; expected {expected}{remedy}")


def _is_chinese(content):
    """Whether bytes read as Chinese in GB18030, which GBK is a part of, and hardly any of them in UTF-8."""
    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError:
        return False
    wide = [char for char in text if char >= "\x80"]
    in_utf8 = sum(char >= "\u0800" for char in content.decode("utf-8", "ignore"))  # those of three bytes
    return len(wide) > max(1, 4 * in_utf8) and all(
        "\u3000" <= char <= "\u9fff" or "\uff00" <= char <= "\uffef" for char in wide
    )


def _number_at(path, offset):
    """The number of the line that begins at this byte of the file."""
    number = 1
    with open_bytes(path) as stream:
        while offset:
            content = stream.read(min(offset, _COUNTED_AT_ONCE))
            number += content.count(b"\n")
            offset -= len(content)
    return number
