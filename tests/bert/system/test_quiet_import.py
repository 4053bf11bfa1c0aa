"""Standard error of a process that imports a module named tensorflow, here one of the test's own."""

import os
import subprocess
import sys

import pytest

from tests.paths import REPOSITORY

MODULE = """
import os
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
os.write(2, b"I0000 00:00:1795845987.391941    5785 port.cc:153] oneDNN custom operations are on.\\n")
os.write(2, b"E0000 00:00:1795845987.391941    5785 port.cc:153] an error\\n")
os.write(2, b"something else\\n")
"""


def stderr_of(directory, module, code="import tensorflow, sys; sys.stderr.write('after\\n')", **more):
    (directory / "tensorflow.py").write_text(module)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(directory), REPOSITORY]))
    command = [sys.executable, "-c", f"from bert.system import startup; {code}"]
    return subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, **more).stderr


def test_chatter_is_kept_back_and_all_else_is_shown(tmp_path):
    lines = stderr_of(tmp_path, MODULE).splitlines()
    assert [line[:5] for line in lines] == ["E0000", "somet", "after"]


def test_an_import_that_fails_shows_its_traceback(tmp_path):
    shown = stderr_of(tmp_path, MODULE + "raise ImportError('no such library')")
    assert "something else" in shown and shown.endswith("ImportError: no such library\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no shell to close it")
def test_standard_error_may_be_closed(tmp_path):
    assert stderr_of(tmp_path, MODULE, "import os; os.close(2); import tensorflow") == ""
