"""Tagging at a prompt, on a terminal and off one."""

import contextlib
import os
import re
import signal
import subprocess
import sys

import pytest

from tests.paths import REPOSITORY
from train.inference import prompt
from train.inference.entities import Entity

pytestmark = pytest.mark.one_tensorflow
ANN = Entity("PER", "Ann", 3, 6, 0.98765)


def test_text_at_the_prompt():
    assert prompt.marked("hi Ann!", [ANN]) == "hi [Ann PER 0.99]!"
    assert prompt.marked("hi Ann", [ANN._replace(type="")]) == "hi [Ann 0.99]"
    coloured = prompt.marked("hi Ann!", [ANN], ["LOC", "PER"], colours=True)
    assert re.sub("\x1b\\[[0-9;]*m", "", coloured) == "hi  Ann PER 0.99 !"
    assert coloured != prompt.marked("hi Ann!", [ANN], ["PER"], colours=True)
    assert prompt.marked("\x1b[31m\x07", []) == "\ufffd[31m\ufffd"


def test_colours_are_for_terminals_that_want_them():
    class Terminal:
        def isatty(self):
            return True

    assert prompt.wants_colours(Terminal(), {"TERM": "xterm"})
    assert prompt.wants_colours(Terminal(), {"TERM": "xterm", "NO_COLOR": ""})
    assert not prompt.wants_colours(Terminal(), {"TERM": "xterm", "NO_COLOR": "1"})
    assert not prompt.wants_colours(Terminal(), {"TERM": "dumb"})
    assert not prompt.wants_colours(Terminal(), {})
    with open(os.devnull) as stream:
        assert not prompt.wants_colours(stream, {"TERM": "xterm"})


def test_prompt_on_a_terminal(place):
    pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")
    termios = pytest.importorskip("termios")

    def talk(interrupt=False, **environment):
        """What a terminal shows for two lines and Ctrl-D, or a signal; it is as before behind them."""
        own, other = pty.openpty()
        before = termios.tcgetattr(own)
        environment = dict(os.environ, PYTHONPATH=REPOSITORY, TERM="xterm", **environment)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fake_predictor", "-model_dir", "model", "-interactive"],
            stdin=other, stdout=other, stderr=other, env=environment, close_fds=True,
        )  # fmt: skip
        shown = b""
        for answer in (b"hi Ann\n", b"\n", b"\x04"):
            while not shown.endswith(b"> "):
                shown += os.read(own, 1000)
            if interrupt and answer == b"\x04":
                process.send_signal(signal.SIGINT)
            else:
                os.write(own, answer)
            shown += b"|"
        assert process.wait(30) == (130 if interrupt else 0)
        assert termios.tcgetattr(own) == before
        os.close(other)
        with contextlib.suppress(OSError):  # raised where there is no more
            while True:
                shown += os.read(own, 1000)
        os.close(own)
        return shown.decode()

    assert "\x1b[48;5;220;38;5;16m Ann \x1b[1mPER 1.00 \x1b[0m" in talk()
    plain = talk(NO_COLOR="1")
    assert "hi [Ann PER 1.00]" in plain and "\x1b[48" not in plain
    assert talk(interrupt=True).endswith("|\r\n\r\x1b[Kstopped by SIGINT\r\n")
