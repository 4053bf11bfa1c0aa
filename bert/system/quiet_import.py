"""Keeps what TensorFlow writes to standard error while it is loaded to itself.

TensorFlow from 2.17 on writes lines such as "I0000 ... oneDNN custom operations are on" when it is loaded, whatever
TF_CPP_MIN_LOG_LEVEL says. They come from its libraries, so they are kept back at the level of the file descriptor.
"""

import contextlib
import importlib.util
import os
import re
import sys
import tempfile

# Lines of information and warnings of the C++ log. Whatever else is written, and its errors, are shown.
_CHATTER = re.compile(rb"([IW]\d{4} |WARNING: All log messages before absl::InitializeLog)")


def install(check=lambda module: None):
    """The next import of tensorflow, whoever makes it, is a quiet one.

    Args:
      check: function that is called with the module once it is loaded, or with None where there is no tensorflow. What
        it raises is what the import raises.
    """
    if "tensorflow" not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(check))


class _Finder:
    """Finds the module tensorflow, once, as the other finders do, and has it loaded within `without_chatter`."""

    def __init__(self, check):
        self._check = check

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:  # no such package, or a folder of that name without code
            self._check(None)
        else:
            load = spec.loader.exec_module

            def exec_module(module):
                with without_chatter():
                    load(module)
                self._check(module)

            spec.loader.exec_module = exec_module
        return spec


@contextlib.contextmanager
def without_chatter():
    """Within it, standard error is a file; at the end its lines are written out, but for those of chatter."""
    try:
        sys.stderr.flush()
        shown = os.dup(2)
    except (AttributeError, OSError):  # standard error is closed
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(shown, 2)
            os.close(shown)
            kept.seek(0)
            for line in kept:
                if not _CHATTER.match(line):
                    os.write(2, line)
