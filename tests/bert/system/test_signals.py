"""What a first and a second signal do to a program, deferred or not."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from bert.system import signals
from bert.system.errors import UserError, run_program
from tests.paths import REPOSITORY

AGAIN = "what is written is whole, and the same command can be given again\n"


def send(signum=signal.SIGTERM):
    os.kill(os.getpid(), signum)


def start(body, **kwargs):
    """A process that runs `body`, a list of lines of Python, as a program."""
    lines = [
        "import contextlib, ctypes, os, signal, sys, time",
        f"sys.path.insert(0, {REPOSITORY!r})",
        "from bert.system import signals",
        "from bert.system.errors import run_program",
        "def send(signum=signal.SIGTERM): os.kill(os.getpid(), signum)",
        "def ready(): open('ready', 'w').close()",
        "def main():",
        *["    " + line for line in body],
        "run_program(main)",
    ]
    return subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        **kwargs
    )  # fmt: skip


def start_until_ready(body, place):
    """As `start`; returns when the program has called `ready()`."""
    process = start(body, cwd=str(place))
    deadline = time.time() + 300
    while not (place / "ready").exists() and time.time() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    return process


def end_of(body, **kwargs):
    """(exit code, standard output, standard error) of a program that runs `body`."""
    process = start(body, **kwargs)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


@pytest.mark.parametrize("signum,name,code", [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGINT, "SIGINT", 130)])
def test_a_signal_ends_the_program_where_it_stands(signum, name, code):
    """Without an exception, which `except` could catch."""
    body = [
        "try:",
        "    print('before')",
        f"    send({int(signum)})",
        "    time.sleep(30)",
        "except BaseException:",
        "    print('an exception')",
    ]
    assert end_of(body) == (code, "before\n", f"stopped by {name}; {AGAIN}")


def test_a_signal_ends_a_program_in_a_library_that_does_not_return():
    """As in a long operation of TensorFlow."""
    body = [
        "import threading",
        "threading.Timer(0.2, send).start()",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])",  # in this thread, which it would wake
        "with signals.cleanup_on_exit(lambda: os.write(1, b'cleaned up')):",
        "    ctypes.CDLL(None).sleep(3600)",
    ]
    assert end_of(body) == (143, "cleaned up", f"stopped by SIGTERM; {AGAIN}")


def test_cleanups_are_called_from_the_latest_to_the_first():
    body = [
        "with contextlib.ExitStack() as stack:",
        "    for number in range(3):",
        "        stack.enter_context(signals.cleanup_on_exit(lambda number=number: print(number)))",
        "    stack.enter_context(signals.cleanup_on_exit(lambda: 1 / 0))",
        "    with signals.cleanup_on_exit(lambda: print('left')):",
        "        pass",
        "    send()",
    ]
    assert end_of(body) == (143, "left\n2\n1\n0\n", f"stopped by SIGTERM; {AGAIN}")


def test_unfinished_files_are_removed(tmp_path):
    body = [
        "from bert.system.directories import complete_directory",
        "from bert.system.files import atomic_open",
        "from bert.create_pretraining_data import _scratch_file",
        "from train.bulk.resumable import ResumableFile",
        "with atomic_open('kept') as writer: writer.write('whole')",
        "with contextlib.ExitStack() as stack:",
        "    one, two = stack.enter_context(atomic_open('kept')), stack.enter_context(complete_directory('two'))",
        "    three, _ = stack.enter_context(ResumableFile('three', {})), stack.enter_context(_scratch_file('x'))",
        "    one.write('x')",
        "    open(two + '/file', 'w').close()",
        "    three.write(b'x')",
        "    print(len(os.listdir('.')))",
        "    send()",
    ]
    assert end_of(body, cwd=str(tmp_path)) == (143, "5\n", f"stopped by SIGTERM; {AGAIN}")
    assert os.listdir(str(tmp_path)) == ["kept"] and (tmp_path / "kept").read_text() == "whole"


def test_cleanup_without_a_signal():
    done = []
    with signals.cleanup_on_exit(lambda: done.append(1)):
        assert not done
    with pytest.raises(KeyError), signals.cleanup_on_exit(lambda: done.append(2)):
        raise KeyError
    assert done == [1, 2] and not signals._cleanups


@pytest.mark.parametrize("description,text", [("f'at {signum}'", "at 15\n"), ("1 / 0", f"stopped by SIGTERM; {AGAIN}")])
def test_exit_message(description, text):
    body = [f"with signals.exit_message(lambda signum: {description}):", "    send()"]
    assert end_of(body) == (143, "", text)


def test_a_deferred_signal_only_sets_received():
    body = [
        "signals.defer_signals(True)",
        "assert signals.received() is None",
        "send()",
        "send()",  # the same once more within the second, as coreutils' timeout sends it
        "print(signals.received())",
        "time.sleep(signals.PATIENCE + 0.3)",
        "print('still here')",
        "with signals.signals_not_deferred():",
        "    print('never')",
    ]
    assert end_of(body) == (
        143, "15\nstill here\n",
        f"SIGTERM: ends after this step and its checkpoint; once more ends at once\nstopped by SIGTERM; {AGAIN}",
    )  # fmt: skip


def test_interrupted_after_a_deferred_signal(capsys):
    def main():
        signals.defer_signals(True)
        send(signal.SIGINT)
        signals.defer_signals(False)
        raise signals.Interrupted(signals.received(), "at step 7")

    with pytest.raises(SystemExit) as ended:
        run_program(main)
    assert ended.value.code == 130 and capsys.readouterr().err == "at step 7\n"


def test_a_deferred_signal_that_was_handled_leaves_the_end_to_the_program():
    """However long that takes after the step, its line is printed, the one that names the step."""
    body = [
        "signals.defer_signals(True)",
        "send()",
        "signals.defer_signals(False)",
        "time.sleep(signals.PATIENCE + 0.3)",
        "raise signals.Interrupted(signals.received(), 'at step 7')",
    ]
    deferred = "SIGTERM: ends after this step and its checkpoint; once more ends at once\n"
    assert end_of(body) == (143, "", deferred + "at step 7\n")


def test_signals_are_deferred_again_after_signals_not_deferred():
    with signals.handle_signals():
        signals.defer_signals(True)
        with signals.signals_not_deferred():
            pass
        send()
        assert signals.received() == signal.SIGTERM
    assert signals.received() is None


def test_handlers_threads_and_descriptors_are_restored():
    before = [signal.getsignal(signum) for signum in signals.SIGNALS]
    threads = threading.active_count()
    with pytest.raises(UserError), signals.handle_signals():
        raise UserError("x")
    assert [signal.getsignal(signum) for signum in signals.SIGNALS] == before
    assert threading.active_count() == threads and signal.set_wakeup_fd(-1) == -1


def test_a_signal_ignored_before_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as of a job in the background of a script
    try:
        with signals.handle_signals():
            send(signal.SIGINT)
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGINT, before)


def test_only_the_main_thread_handles_signals():
    found = []

    def main():
        with signals.handle_signals():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


def test_a_second_signal_ends_at_once(tmp_path):
    """Even if the main thread never returns to Python, as in a long step of TensorFlow."""
    body = ["signals.defer_signals(True)", "ready()", "while True: ctypes.CDLL(None).sleep(3600)"]
    process = start_until_ready(body, tmp_path)
    process.send_signal(signal.SIGTERM)
    time.sleep(signals.SAME_SIGNAL_SECONDS + signals.PATIENCE + 0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(300) == 130
    assert process.stderr.read().endswith("ended at once by a second SIGINT\n")


def assert_two_signals_end(process):
    """Sends SIGTERM twice, each time leaving time to handle it."""
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(max(signals.PATIENCE, signals.SAME_SIGNAL_SECONDS) + 0.3)
    assert process.wait(300) == 143


def test_a_second_signal_ends_a_program_that_hangs_in_a_cleanup(tmp_path):
    body = [
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])",
        "with signals.cleanup_on_exit(lambda: time.sleep(3600)):",
        "    ready()",
        "    ctypes.CDLL(None).sleep(3600)",
    ]
    assert_two_signals_end(start_until_ready(body, tmp_path))


def test_a_second_signal_ends_a_program_whose_standard_error_is_full(tmp_path):
    body = [
        "signals.defer_signals(True)",
        "os.set_blocking(2, False)",
        "with contextlib.suppress(BlockingIOError):",
        "    while True: os.write(2, b'x' * 100)",
        "os.set_blocking(2, True)",
        "ready()",
        "while True: time.sleep(1)",
    ]
    assert_two_signals_end(start_until_ready(body, tmp_path))


def test_what_is_being_removed_gets_no_final_name(tmp_path):
    """Even if the main thread, in a library when the signal came, returns before everything is removed."""
    body = [
        "import shutil, threading",
        "from bert.system.directories import complete_directory",
        "real = shutil.rmtree",
        "def slow(path, **kwargs): os.remove(path + '/0'); time.sleep(2); real(path, **kwargs)",
        "shutil.rmtree = slow",
        "threading.Timer(0.2, send).start()",
        "with complete_directory('final') as folder:",
        "    for number in range(3): open(folder + f'/{number}', 'w').close()",
        "    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])",
        "    ctypes.CDLL(None).usleep(1500000 + 200000)",
        "    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])",
    ]
    assert end_of(body, cwd=str(tmp_path))[0] == 143
    assert os.listdir(str(tmp_path)) == []


def test_a_signal_during_a_cleanup(tmp_path):
    body = [
        "def clean_up():",
        "    for name in sorted(os.listdir('.')):",
        "        os.remove(name)",
        "        if name == '5': send()",
        "with signals.cleanup_on_exit(clean_up):",
        "    for number in range(9): open(str(number), 'w').close()",
    ]
    assert end_of(body, cwd=str(tmp_path))[0] == 143
    assert os.listdir(str(tmp_path)) == []


def test_a_forked_child_dies_of_its_signal_and_the_parent_goes_on(tmp_path):
    body = [
        "with signals.cleanup_on_exit(lambda: open('cleaned', 'a').write('x')):",
        "    child = os.fork()",
        "    if child == 0: time.sleep(60)",
        "    time.sleep(0.1)",
        "    os.kill(child, signal.SIGTERM)",
        "    status = os.waitpid(child, 0)[1]",
        "    assert os.WTERMSIG(status) == signal.SIGTERM and not os.path.exists('cleaned')",
        "    ready()",
        "    time.sleep(30)",
    ]
    process = start_until_ready(body, tmp_path)
    time.sleep(signals.SAME_SIGNAL_SECONDS + 0.1)
    process.send_signal(signal.SIGTERM)  # the parent's first
    assert process.wait(300) == 143
    assert "at once" not in process.stderr.read() and (tmp_path / "cleaned").read_text() == "x"


def test_a_full_disk_in_a_file_opened_without_a_helper(capsys):
    def main():
        with open("/dev/full", "w") as writer:
            writer.write("x")

    with pytest.raises(SystemExit) as ended:
        run_program(main)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: standard output: cannot be written: No space left on device\n"
