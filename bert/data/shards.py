"""The names of record files: one file, or a set of shards `<name>-00000-of-00016` that together stand for `<name>`.

Records are dealt out round-robin to the shards of a set: all have about the same size, and each is a fair sample.
"""

import fnmatch
import re
import struct

from bert.system import filesystem
from bert.system.errors import UserError

_SHARD = re.compile(r"(.*)-([0-9]{5,6})-of-([0-9]{5,6})$", re.DOTALL)  # a name may lie, so no set has a million shards
_NO_RECORDS = re.compile(r"(\.json|\.tmp-\d+)$")  # what lies beside record files: fingerprints, what a run is writing
# A TFRecord: length, checksum of the length, content, checksum of the content.
_LENGTH, _CHECKSUM_BYTES = struct.Struct("<Q"), 4


def shard_names(path, count):
    """The names of a record file's shards; one shard has the file's own name.

    >>> shard_names("train.tf_record", 2)
    ['train.tf_record-00000-of-00002', 'train.tf_record-00001-of-00002']
    """
    return [path] if count == 1 else list(_members(path, count))


def _members(path, count):
    """Yields the names of all shards of a set; other programs also write sets of one."""
    for number in range(count):
        yield f"{path}-{number:05d}-of-{count:05d}"


def find_shards(path):
    """The record files that a name stands for.

    Args:
      path: a file; a name of which there are shards; a pattern with `*`, `?` or `[]`; or a list of these.

    Returns:
      list of paths, those of a set or a pattern in order, each once.

    Raises:
      UserError: there is no such file; a shard is missing from the set, or from those a pattern takes in; a name has
        two sets of shards.
    """
    if not isinstance(path, str):
        return list(dict.fromkeys(file for part in path for file in find_shards(part)))
    if filesystem.exists(path):
        return [path]
    if any(char in path for char in "*?["):
        files = [file for file in sorted(filesystem.glob(path)) if not _NO_RECORDS.search(file)]
        names = (name for found in sets_of(files) for name in _members(*found) if fnmatch.fnmatchcase(name, path))
    else:
        sets = sets_of(filesystem.beginning_with(path + "-"), path)
        if len(sets) > 1:
            counts = " and ".join(str(count) for _, count in sets)
            raise UserError(f"{path}: found sets of {counts} shards; expected one set")
        files, names = [], _members(*sets[0]) if sets else ()
    there = []
    for name in names:  # one after another: a name that lies about the number of shards takes no room
        if not filesystem.exists(name):
            base, count = sets_of([name])[0]
            raise UserError(f"{name}: no such file; expected all {count} shards of {base}")
        there.append(name)
    files = files or there
    if not files:
        raise UserError(f"{path}: no such record file, and no shards of one")
    return files


def sets_of(files, base=None):
    """The sets of shards that some files belong to, of one name or of any: sorted list of (name, number of shards)."""
    matches = [match for match in map(_SHARD.match, files) if match]
    return sorted({(match.group(1), int(match.group(3))) for match in matches if base in (None, match.group(1))})


def is_set(files):
    """Whether these are all the shards of one set, in order."""
    sets = sets_of(files)
    return len(sets) == 1 and len(files) == sets[0][1] and list(files) == list(_members(*sets[0]))


def other_shards(path, count):
    """The files of this name that are not among its `count` shards: an earlier set of another size left them."""
    matches = filter(None, map(_SHARD.match, filesystem.beginning_with(path + "-")))
    names = {match.group() for match in matches if match.group(1) == path and int(match.group(2)) < int(match.group(3))}
    return sorted(filter(filesystem.exists, (names | {path}) - set(shard_names(path, count))))


def count_by_length(path):
    """The number of records in a TFRecord file, by their lengths alone: nothing of them is read.

    Raises:
      UserError: the file cannot be read, is no TFRecord file, or ends within a record.
    """
    count = position = 0
    try:
        with filesystem.open_file(path, "rb") as reader:
            size = filesystem.getsize(path)
            while position < size:
                header = reader.read(_LENGTH.size)
                if len(header) == _LENGTH.size:
                    position += _LENGTH.size + _LENGTH.unpack(header)[0] + 2 * _CHECKSUM_BYTES
                if len(header) < _LENGTH.size or position > size:
                    what = f"cut off in record {count + 1}" if count else "no TFRecord file, or cut off in record 1"
                    raise UserError(f"{path}: {what}; expected a whole TFRecord file")
                reader.seek(position)
                count += 1
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}")
    return count
