"""A system without the POSIX modules, as Windows: here they are hidden from a process of its own."""

import subprocess
import sys
import textwrap

import pytest

from bert.system import portable
from tests.paths import REPOSITORY

HIDE = """
import concurrent.futures, logging, multiprocessing, os, random, signal, sys, tempfile, threading  # with POSIX still
for name in ("fcntl", "termios", "resource", "grp", "pwd", "readline"):
    sys.modules[name] = None  # importing it is an ImportError
del os.register_at_fork, signal.set_wakeup_fd
logging.basicConfig(format="%(message)s", stream=sys.stdout)
"""


def run_without_posix(code, *arguments):
    command = [sys.executable, "-c", HIDE + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")


def test_all_modules_without_tensorflow_are_imported():
    code = """
    import glob, importlib
    sys.modules["tensorflow"] = None
    for folder in ("bert/system", "bert/data", "train/data", "train/bulk", "train/pages", "train/inference"):
        for path in sorted(glob.glob(folder + "/*.py")):
            try:
                importlib.import_module(path[:-3].replace("/", "."))
            except ImportError as error:
                assert "tensorflow" in str(error) or "apache_beam" in str(error), (path, error)
    """
    done = run_without_posix(code)
    assert done.returncode == 0, done.stderr


def test_a_run_goes_on_without_a_lock_and_says_so(tmp_path):
    code = """
    from bert.system.errors import run_program
    from bert.system.files import atomic_open
    from bert.system.run_lock import locked
    from train.bulk.resumable import ResumableFile

    def main():
        with locked(sys.argv[1]), locked(sys.argv[1]):
            with atomic_open(sys.argv[1] + "/file") as writer:
                writer.write("content")

    run_program(main)
    """
    done = run_without_posix(code, tmp_path / "output")
    assert done.returncode == 0, done.stderr
    warning = f"{tmp_path}/output: no locks on this system; no second run may use it now"
    assert done.stdout.splitlines() == [warning, warning]
    assert [path.name for path in (tmp_path / "output").iterdir()] == ["file"]


def test_ctrl_c_is_one_line():
    code = """
    from bert.system.errors import run_program

    run_program(lambda: signal.raise_signal(signal.SIGINT) if hasattr(signal, "raise_signal")
                else os.kill(os.getpid(), signal.SIGINT))
    """
    done = run_without_posix("signal.signal(signal.SIGINT, signal.default_int_handler)\n" + textwrap.dedent(code))
    assert (done.returncode, done.stderr) == (130, "stopped by Ctrl-C\n")


def test_no_process_is_asked_whether_it_runs_where_that_would_end_it(monkeypatch):
    class Windows:
        name = "nt"

        @staticmethod
        def kill(*_):
            pytest.fail("a signal was sent")

    monkeypatch.setattr(portable, "os", Windows)
    assert not portable.has_ended(12345)
