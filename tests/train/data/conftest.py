"""A data file that is written and read, and the line by which it is refused."""

import pytest

from bert.system.errors import UserError
from train.data.columns import format_of_flags
from train.data.conll import read_conll


@pytest.fixture
def path(tmp_path):
    """pathlib.Path of the file that `read` writes."""
    return tmp_path / "data.txt"


@pytest.fixture
def read(path):
    """`read(content, **flags)`: the sentences of a file with this content, str or bytes, read with these flags."""

    def write_and_read(content, **flags):
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return read_conll(str(path), format_of_flags(**flags))

    return write_and_read


@pytest.fixture
def refused(read, path):
    """`refused(content, **flags)`: the message for a file, without its name."""

    def message(content, **flags):
        with pytest.raises(UserError) as caught:
            read(content, **flags)
        text = str(caught.value)
        assert text.startswith(f"{path}:") and len(text) - len(str(path)) < 280 and "\n" not in text
        return text[len(str(path)) + 1 :]

    return message
