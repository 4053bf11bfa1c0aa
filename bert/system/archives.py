"""Reads zip files that nobody vouches for: what is wrong with one, or strange in it, is a UserError."""

import contextlib
import os
import struct
import zipfile
import zlib

from bert.system import filesystem
from bert.system.errors import UserError

# Weights hardly compress. A zip that unpacks to more than this is no model, and could fill a disk or a memory.
MOST_GROWTH = 10
ALWAYS_FINE = 32 << 20  # bytes
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 1  # bit of a member's flags


@contextlib.contextmanager
def opened(path, file=None):
    """A zipfile.ZipFile of a path, or of the open file at that path; what fails in the block is a UserError.

    Raises:
      UserError: the file cannot be read, is no zip file, or is damaged.
    """
    try:
        with contextlib.ExitStack() as stack:
            if file is None and filesystem.is_remote(path):
                file = stack.enter_context(filesystem.open_file(path, "rb"))
            yield stack.enter_context(zipfile.ZipFile(file or path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}")
    except NotImplementedError as error:  # of a later version of the format
        raise UserError(f"{path}: cannot be unpacked: {error}")
    except (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, OverflowError, struct.error, zlib.error) as error:
        raise UserError(f"{path}: damaged, or no zip file: {error or 'cut off'}; expected it whole")


def check_members(path, archive, members):
    """Checks what members of an archive say of themselves, before any of them is unpacked.

    Args:
      path: of the archive.
      archive: zipfile.ZipFile.
      members: list of zipfile.ZipInfo.

    Raises:
      UserError: one is encrypted or compressed in an uncommon way, or they unpack to far more than the file's size.
    """
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise UserError(f"{path}: cannot be unpacked: {member.filename} is encrypted; expected no password")
        if member.compress_type not in _METHODS:
            method = zipfile.compressor_names.get(member.compress_type, f"method {member.compress_type}")
            raise UserError(
                f"{path}: cannot be unpacked: {member.filename} is compressed by {method}; expected deflate"
            )
    archive.fp.seek(0, os.SEEK_END)
    size, unpacked = archive.fp.tell(), sum(member.file_size for member in members)
    if sum(member.compress_size for member in members) > size:
        raise UserError(f"{path}: damaged, or no zip file: it has {size} bytes, and its files say to have more")
    if unpacked > MOST_GROWTH * size + ALWAYS_FINE:
        raise UserError(
            f"{path}: has {size} bytes and unpacks to {unpacked}; expected at most {MOST_GROWTH} times as much, as of "
            f"weights"
        )
