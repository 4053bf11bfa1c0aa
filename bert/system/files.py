"""Writing files so that no half-written one is ever seen under its final name."""

import contextlib
import hashlib
import json
import logging
import os
import re
import time

from bert.system import filesystem, signals
from bert.system.errors import UserError, cannot_be_written
from bert.system.portable import has_ended

log = logging.getLogger(__name__)

REMOTE_LEFTOVER_SECONDS = 24 * 3600.0
LONGEST_INT = 100  # digits of a number in JSON; to read one of a million takes seconds


@contextlib.contextmanager
def atomic_path(path):
    """Gives a temporary name beside `path`; the file written there is renamed to `path` if nothing went wrong.

    It is renamed only when it is on the disk: a power cut leaves the old content or the new. A store keeps the old file
    until it has the whole new one. What a killed process left under its temporary name is removed.
    """
    _remove_leftovers(path)
    temporary = f"{path}.tmp-{os.getpid()}"

    def clean_up():
        with contextlib.suppress(OSError):
            filesystem.remove(temporary)

    with signals.cleanup_on_exit(clean_up):
        try:
            yield temporary
            filesystem.sync(temporary)
            filesystem.replace(temporary, path)
        except OSError as error:
            raise cannot_be_written(path, error)


@contextlib.contextmanager
def atomic_open(path):
    """A UTF-8 text file to write, line ends as given, that appears under its name when complete."""
    with atomic_path(path) as temporary, filesystem.open_file(temporary, "w") as writer:
        yield writer


def _remove_leftovers(path):
    for file in filesystem.beginning_with(path + ".tmp-"):
        if is_leftover(file):
            with contextlib.suppress(OSError):
                filesystem.remove(file)


def is_leftover(path):
    """Whether this is a temporary name, `<name>.tmp-<pid>`, that no process writes to any more.

    In a store the process may be one of another machine: what it left there is known by its age. `<name>` may be that
    of a checkpoint, whose files have an ending behind the number.
    """
    temporary = re.match(r".*\.tmp-(\d+)(\.index|\.data-\d{5}-of-\d{5})?$", path, re.DOTALL)
    if temporary is None:
        return False
    if filesystem.is_remote(path):
        written = filesystem.getmtime(path)
        return written is not None and written < time.time() - REMOTE_LEFTOVER_SECONDS
    return has_ended(int(temporary.group(1)))


def sync_tree(directory):
    """Returns when all files in a directory, and in those in it, are on the disk."""
    for folder, _, files in filesystem.walk(directory):
        for path in [os.path.join(folder, name) for name in files] + [folder]:
            filesystem.sync(path)


def write_json(path, value):
    """Writes a JSON value, indented, in UTF-8; the file appears when it is complete."""
    with atomic_open(path) as writer:
        json.dump(value, writer, ensure_ascii=False, indent=2)
        writer.write("\n")


def write_results(path, results):
    """Writes `key = value` lines, keys sorted, as Google BERT's eval_results.txt; logs them too."""
    with atomic_open(path) as writer:
        for key in sorted(results):
            log.info("  %s = %s", key, results[key])
            writer.write(f"{key} = {results[key]}\n")


def parse_json(content):
    """The JSON value in a str or in UTF-8 bytes; ValueError where there is none, or one that nothing here writes."""
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        return _parse(text[text.startswith("\ufeff") :])  # a byte order mark may begin it
    except RecursionError:
        raise ValueError("too many brackets")


def _parse(text, deeper=200):
    """Parses JSON so many calls deeper: what is nested almost too deep to be read would be too deep to be shown."""
    return _parse(text, deeper - 1) if deeper else json.loads(text, parse_int=_whole_number)


def _whole_number(digits):
    if len(digits) > LONGEST_INT:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def read_json(path):
    """The JSON value in a file; UserError if there is no such file or it is not JSON."""
    try:
        with filesystem.open_file(path, "rb") as reader:
            return parse_json(reader.read())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}")
    except ValueError as error:
        raise UserError(f"{path}: expected JSON: {error}")


def is_path(value):
    """Whether a JSON value is a str that can be the path of a file: JSON may hold NUL and halves of surrogate pairs."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def check_no_pattern(path):
    """UserError for a path at which TensorFlow finds no checkpoint, though it writes one there."""
    found = re.search(r"[*?\[\\]", path)
    if found:
        raise UserError(
            f"{path}: TensorFlow takes a path of checkpoints with {found.group()} in it for a pattern; "
            f"expected one without *, ?, [ and \\"
        )


def make_dir(path):
    """Makes a directory, and those above it, if there is none; UserError if it cannot be made or written to."""
    check_no_pattern(path)
    try:
        filesystem.makedirs(path)
    except OSError as error:
        raise UserError(f"{path}: expected a directory that can be written: {error.strerror}")
    if not filesystem.can_write(path):
        raise UserError(f"{path}: expected a directory that can be written: permission denied")


def check_output(output_file, input_file):
    """UserError where it is known beforehand that the output cannot be written, or would be written over the input.

    Args:
      output_file: path.
      input_file: path, or None.
    """
    if filesystem.isdir(output_file):
        raise UserError(f"{output_file}: a directory; expected the name of a file to write")
    folder = os.path.dirname(filesystem.abspath(output_file))
    if not filesystem.is_remote(folder) and not filesystem.isdir(folder):  # a store has no directories to be made
        raise UserError(f"{output_file}: cannot be written: there is no such directory")
    if input_file and filesystem.realpath(output_file) == filesystem.realpath(input_file):
        raise UserError(f"{output_file}: input and output are the same file")


def find_files(patterns):
    """The files of a comma-separated list of names and patterns: list of paths, those of a pattern sorted, each once.

    UserError where one of them, as `wiki/*.txt`, finds no file.
    """
    found = []
    for pattern in filter(None, patterns.split(",")):
        matches = [pattern] if filesystem.exists(pattern) else sorted(filesystem.glob(pattern))
        matches = [path for path in matches if not filesystem.isdir(path)]
        if not matches:
            raise UserError(f"{pattern}: no such file")
        found.extend(path for path in matches if path not in found)
    if not found:
        raise UserError(f"'{patterns}': expected names of files, a comma between them")
    return found


def sha256(path):
    """Hex digest of a file's content."""
    digest = hashlib.sha256()
    with filesystem.open_file(path, "rb") as reader:
        for block in iter(lambda: reader.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
