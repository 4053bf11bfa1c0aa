"""Zip files that are damaged, strange or made to fill a disk."""

import struct
import zipfile

import pytest

from bert.system import archives
from bert.system.errors import UserError


def write(path, method=zipfile.ZIP_DEFLATED, size=1000, count=1):
    with zipfile.ZipFile(str(path), "w", method) as archive:
        for i in range(count):
            archive.writestr(f"top/file{i}", b"a" * size)
    return str(path)


def read_all(path):
    with archives.opened(path) as archive:
        archives.check_members(path, archive, archive.infolist())
        return [archive.read(member) for member in archive.infolist()]


def patch(path, signature, offset, value):
    """Sets two bytes of each header that begins with a signature."""
    with open(path, "rb") as reader:
        content = bytearray(reader.read())
    place = content.find(signature)
    while place >= 0:
        content[place + offset : place + offset + 2] = struct.pack("<H", value)
        place = content.find(signature, place + 4)
    with open(path, "wb") as writer:
        writer.write(content)


LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


def test_what_is_fine(tmp_path):
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        assert read_all(write(tmp_path / "a.zip", method)) == [b"a" * 1000]
    assert len(read_all(write(tmp_path / "a.zip", size=30 << 20))[0]) == 30 << 20  # packed to a thousandth


@pytest.mark.parametrize("size, count", [(40 << 20, 1), (4 << 20, 10)])
def test_a_zip_that_unpacks_to_far_more_than_its_size(size, count, tmp_path):
    path = write(tmp_path / "bomb.zip", size=size, count=count)
    with pytest.raises(UserError, match=r"bomb.zip: has \d+ bytes and unpacks to 4\d+; expected at most 10 times"):
        read_all(path)


def test_files_that_say_to_be_larger_than_the_zip(tmp_path):
    path = write(tmp_path / "a.zip", zipfile.ZIP_STORED)
    patch(path, CENTRAL, 22, 0x800)  # 128 MB, for which zipfile would make room
    with pytest.raises(UserError, match=r"a.zip: damaged, or no zip file: it has \d+ bytes, and its files say"):
        read_all(path)


def test_uncommon_methods(tmp_path):
    for method, name in ((zipfile.ZIP_LZMA, "lzma"), (zipfile.ZIP_BZIP2, "bzip2")):
        with pytest.raises(UserError, match=f"top/file0 is compressed by {name}; expected deflate"):
            read_all(write(tmp_path / "a.zip", method))
    path = write(tmp_path / "a.zip")
    patch(path, CENTRAL, 10, 77)
    with pytest.raises(UserError, match="is compressed by method 77"):
        read_all(path)


def test_later_versions_and_passwords(tmp_path):
    path = write(tmp_path / "a.zip")
    patch(path, CENTRAL, 6, 99)  # the version that is needed
    with pytest.raises(UserError, match=r"a.zip: cannot be unpacked: zip file version 9\.9"):
        read_all(path)
    path = write(tmp_path / "a.zip")
    patch(path, CENTRAL, 8, 1)
    with pytest.raises(UserError, match="top/file0 is encrypted; expected no password"):
        read_all(path)


def test_names_that_are_none(tmp_path):
    path = write(tmp_path / "a.zip")
    for header, flags, name in ((LOCAL, 6, 30), (CENTRAL, 8, 46)):
        patch(path, header, flags, 0x800)  # the name is said to be UTF-8
        patch(path, header, name, 0xFFFF)
    with pytest.raises(UserError, match="a.zip: damaged, or no zip file"):
        read_all(path)


def test_cut_off_anywhere(tmp_path):
    path = write(tmp_path / "a.zip", count=3)
    with open(path, "rb") as reader:
        content = reader.read()
    for length in range(0, len(content), 7):
        with open(path, "wb") as writer:
            writer.write(content[:length])
        with pytest.raises(UserError, match="a.zip: damaged, or no zip file: "):
            read_all(path)
