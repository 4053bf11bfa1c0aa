"""Remote stores for tests: TensorFlow's own in-memory one, and file://, which is this machine through TensorFlow."""

import itertools
import os

import pytest
import tensorflow.compat.v1 as tf

from bert.system import filesystem

HAS_MEMORY = "ram" in getattr(tf.io.gfile, "get_registered_schemes", list)()
needs_memory = pytest.mark.skipif(not HAS_MEMORY, reason="this TensorFlow has no ram://")
_numbers = itertools.count()


def memory():
    """A directory of ram:// that no other test has; it lives as long as this process, and only in it."""
    return f"ram://test-{next(_numbers)}"


def upload(directory, target):
    """Copies a local directory, a pathlib.Path, to a store; returns the target."""
    for folder, _, names in os.walk(str(directory)):
        for name in names:
            path = os.path.join(folder, name)
            copy = "/".join([target, *os.path.relpath(path, str(directory)).split(os.sep)])
            filesystem.makedirs(os.path.dirname(copy))
            filesystem.copyfile(path, copy)
    return target


def read(path):
    """The bytes of a file anywhere."""
    with filesystem.open_file(path, "rb") as reader:
        return reader.read()


def write(path, content):
    """Writes bytes to a file anywhere."""
    filesystem.makedirs(os.path.dirname(path))
    with filesystem.open_file(path, "wb") as writer:
        writer.write(content)


def files(root):
    """The paths, from root, of all files below it: sorted list."""
    found = [f"{folder}/{name}" for folder, _, names in filesystem.walk(root) for name in names]
    return sorted(path[len(root.rstrip("/")) + 1 :].lstrip("/") for path in found)
