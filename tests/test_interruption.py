"""Signals: what they do to a program, at once and put off, once and twice."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from bert import interruption
from bert.errors import UserError, run_program

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def send(signum=signal.SIGTERM):
    os.kill(os.getpid(), signum)


def end_of(main, capsys):
    """(exit code, standard error) of a program that does `main`."""
    with pytest.raises(SystemExit) as ended:
        run_program(main)
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize("signum,name,code", [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGINT, "SIGINT", 130)])
def test_a_signal_ends_the_program_where_it_stands(signum, name, code, capsys):
    cleaned = []

    def main():
        try:
            send(signum)
            time.sleep(30)
        except Exception:
            cleaned.append("taken for an error")
        finally:
            cleaned.append("cleaned up")

    assert end_of(main, capsys) == (
        code, f"stopped by {name}; what is written is whole, and the same command goes on from there\n"
    )  # fmt: skip
    assert cleaned == ["cleaned up"]


def library(body):
    """The function `f(send, call)` of that body, in a file that counts as a library's."""
    namespace = {"__name__": "library"}
    source = "import time\ndef f(send=None, call=None):\n" + "".join(f"    {line}\n" for line in body)
    exec(compile(source, os.path.join(os.path.dirname(contextlib.__file__), "library.py"), "exec"), namespace)
    return namespace["f"]


send_from_library = library(["import os, signal", "os.kill(os.getpid(), signal.SIGTERM)"])


@pytest.mark.parametrize("ending", ["return None", "raise KeyError", "call(None)"])
def test_a_signal_waits_until_a_library_has_done_its_work(ending, capsys):
    """A library that would lose the exception, as C++ code and finalizers do."""
    done = []
    body = [
        "try:", "    send()", "    for _ in range(100): pass", "except BaseException:", "    call('lost')",
        "time.sleep(0.01)", ending,
    ]  # fmt: skip

    def call(what):
        done.append(what)

    def main():
        try:
            library(body)(send_from_library, call)
        except KeyError:
            done.append("dealt with its error")
        done.append("went on")

    assert end_of(main, capsys)[0] == 143
    assert not done and sys.gettrace() is None


def test_a_signal_does_not_wait_for_ever(capsys):
    def main():
        library(["send()", "time.sleep(30)"])(send_from_library, None)

    before = time.monotonic()
    assert end_of(main, capsys)[0] == 143
    assert time.monotonic() - before < 15 and sys.gettrace() is None


class Scope:
    def __init__(self, done):
        self._done = done

    def __enter__(self):
        pass

    def __exit__(self, *exception):
        self._done.append("cleaned up")


@contextlib.contextmanager
def generated_scope(done):
    try:
        yield
    finally:
        done.append("cleaned up")


def in_class_scope(done, call):
    with Scope(done):
        call(send_from_library, None)


def in_generated_scope(done, call):
    with generated_scope(done):
        call(send_from_library, None)


def in_try_finally(done, call):
    try:
        call(send_from_library, None)
    finally:
        done.append("cleaned up")


@pytest.mark.parametrize("scope", [in_class_scope, in_generated_scope, in_try_finally])
@pytest.mark.parametrize("ending", ["return None", "raise KeyError"])
def test_what_was_begun_is_cleaned_up(scope, ending, capsys):
    """Where a library's call is the last of a `with` or a `try`, which the next line is no longer in."""
    done = []

    def main():
        scope(done, library(["send()", "for _ in range(100): pass", ending]))
        done.append("went on")

    assert end_of(main, capsys)[0] == 143
    assert done == ["cleaned up"]


def test_a_second_signal_soon_after_waits_too(capsys):
    done = []
    body = ["send()", "time.sleep(0.3)", "send()", "for _ in range(100): pass", "call.append('whole')"]

    def main():
        library(body)(send_from_library, done)
        done.append("went on")

    assert end_of(main, capsys)[0] == 143
    assert done == ["whole"]


def test_a_process_forked_by_a_library_knows_nothing_of_a_signal_that_waits(capsys):
    statuses = []
    body = [
        "import os, signal", "send()", "child = os.fork()", "if child == 0:",
        "    os._exit(signal.getsignal(signal.SIGTERM) != signal.SIG_DFL or signal.set_wakeup_fd(-1) != -1)",
        "call.append(os.waitpid(child, 0)[1])",
    ]  # fmt: skip
    code, printed = end_of(lambda: library(body)(send_from_library, statuses), capsys)
    assert code == 143 and statuses == [0] and "Traceback" not in printed


def test_an_error_that_is_its_own_cause(capsys):
    def main():
        error = KeyError("x")
        raise error from error

    with pytest.raises(KeyError):
        run_program(main)


@contextlib.contextmanager
def nesting_scope():
    """As TensorFlow's variable scopes do when they are left before they are whole."""
    try:
        yield
    finally:
        raise RuntimeError("Improper nesting of variable_scope.")


@contextlib.contextmanager
def translating_scope():
    """As TensorFlow's C++ code does with an exception of Python code that it called."""
    try:
        yield
    except BaseException as error:
        raise SystemError("returned a result with an error set") from error


@pytest.mark.parametrize("scopes", [(nesting_scope,), (translating_scope,), (translating_scope, nesting_scope)])
def test_a_signal_stays_one_whatever_a_library_makes_of_it(scopes, capsys):
    def main():
        with contextlib.ExitStack() as stack:
            for scope in scopes:
                stack.enter_context(scope())
            send()
            time.sleep(30)

    assert end_of(main, capsys) == (
        143, "stopped by SIGTERM; what is written is whole, and the same command goes on from there\n"
    )  # fmt: skip


def test_an_error_without_a_signal_stays_an_error(capsys):
    def main():
        with nesting_scope():
            raise KeyError("x")

    with pytest.raises(RuntimeError, match="nesting"):
        run_program(main)


def test_a_signal_that_is_put_off_only_makes_itself_known(capsys):
    done = []

    def main():
        interruption.put_off(True)
        assert interruption.received() is None
        send()
        send()  # the same once more within the second, as coreutils' timeout sends it
        done.append(interruption.received())
        with interruption.not_put_off():
            done.append("never")

    code, printed = end_of(main, capsys)
    assert code == 143 and done == [signal.SIGTERM]
    assert printed.endswith("same command goes on from there\n")


def test_it_is_put_off_again_behind_a_stretch_where_it_is_not():
    with interruption.handled():
        interruption.put_off(True)
        with interruption.not_put_off():
            pass
        send()
        assert interruption.received() == signal.SIGTERM
    assert interruption.received() is None


def test_everything_is_as_before_behind_it():
    before = [signal.getsignal(signum) for signum in interruption.SIGNALS]
    threads = threading.active_count()
    with pytest.raises(UserError), interruption.handled():
        raise UserError("x")
    assert [signal.getsignal(signum) for signum in interruption.SIGNALS] == before
    assert threading.active_count() == threads and signal.set_wakeup_fd(-1) == -1


def test_a_signal_ignored_before_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as of a job in the background of a script
    try:
        with interruption.handled():
            send(signal.SIGINT)
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_of_the_main_thread_nothing_is_handled():
    found = []

    def main():
        with interruption.handled():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


def program(body, tmp_path):
    """A started process that does `body` as a program and has written to `ready` when it is at its `wait()`."""
    ready = str(tmp_path / "ready")
    lines = [
        "import ctypes, os, signal, sys, time",
        f"sys.path.insert(0, {REPOSITORY!r})",
        "from bert import interruption",
        "from bert.errors import run_program",
        "def wait():",
        f"    open({ready!r}, 'w').close()",
        "    end = time.monotonic() + 30",
        "    while time.monotonic() < end: time.sleep(0.01)",
        "def main():",
        *["    " + line for line in body],
        "run_program(main)",
    ]
    process = subprocess.Popen([sys.executable, "-c", "\n".join(lines)], stderr=subprocess.PIPE, encoding="utf-8")
    deadline = time.time() + 30
    while not os.path.exists(ready) and time.time() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    return process


def test_a_second_signal_ends_at_once(tmp_path):
    """Even where the main thread never comes back to Python, as in a long step of TensorFlow's."""
    busy = "open(READY, 'w').close(); ctypes.CDLL(None).sleep(60)".replace("READY", repr(str(tmp_path / "ready")))
    process = program(["interruption.put_off(True)", "while True:", "    " + busy], tmp_path)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    time.sleep(interruption.SAME_SIGNAL_SECONDS + 0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert process.stderr.read().endswith("ended at once by a second SIGINT; the same command goes on\n")


def test_a_child_dies_of_its_signal_and_the_parent_hears_nothing(tmp_path):
    process = program(
        [
            "child = os.fork()",
            "if child == 0: time.sleep(60)",
            "time.sleep(0.1)",
            "os.kill(child, signal.SIGTERM)",
            "status = os.waitpid(child, 0)[1]",
            "assert os.WTERMSIG(status) == signal.SIGTERM and interruption.received() is None",
            "wait()",
        ],
        tmp_path,
    )
    time.sleep(interruption.SAME_SIGNAL_SECONDS + 0.1)
    process.send_signal(signal.SIGTERM)  # the parent's first
    assert process.wait(10) == 143
    assert "at once" not in process.stderr.read()


def test_a_disk_full_elsewhere_than_in_files_of_ours(capsys):
    def main():
        with open("/dev/full", "w") as writer:
            writer.write("x")

    code, printed = end_of(main, capsys)
    assert code == 2 and printed == "error: standard output: cannot be written: No space left on device\n"


def test_nothing_is_said_of_a_graph_left_half_built(tmp_path):
    """TensorFlow would report what it calls objects that were never used, after the one line."""
    process = program(
        [
            "from bert import startup",
            "import tensorflow.compat.v1 as tf",
            "with tf.Graph().as_default():",
            "    written = tf.TensorArray(tf.float32, 1).write(0, 1.0)",
            "    wait()",
        ],
        tmp_path,
    )
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert (
        process.stderr.read()
        == "stopped by SIGINT; what is written is whole, and the same command goes on from there\n"
    )
