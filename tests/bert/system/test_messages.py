"""No message is longer than a few lines of a terminal, whatever the user gave."""

import logging
import types

import pytest

from bert.system import errors, flags, startup
from bert.system.errors import LIMIT, UserError, run_program, shorten, shown_list


def test_a_list_shows_ten_and_says_how_many_more():
    assert shown_list([]) == "" and shown_list("abc") == "a, b, c"
    assert shown_list(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert shown_list(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert shown_list(label for label in "abc") == "a, b, c"


def test_long_items_leave_room_for_fewer():
    shown = shown_list([letter * 60 for letter in "abcdef"])
    assert shown == "a" * 60 + ", " + "b" * 60 + " and 4 more"
    assert shown_list(["a" * 1000, "b"], longest=20) == "aaaaaaaaa...aaaaaaaa and 1 more"


@pytest.mark.parametrize("length", [8, 9, 10, 11, 100])
def test_shortened_texts_keep_both_ends(length):
    text = "begin " + "x" * 200 + " end"
    assert len(shorten(text, length)) == length and shorten(text, length)[-2:] == "nd"
    assert shorten("two\nlines", 20) == "two lines" and shorten(12) == "12"


def test_errors_end_in_one_line_of_bounded_length(capsys):
    def main():
        raise UserError("file.txt: found " + "x " * 5000 + "expected less")

    with pytest.raises(SystemExit) as ended:
        run_program(main)
    line = capsys.readouterr().err
    assert ended.value.code == 2 and line.startswith("error: file.txt: found x") and line.endswith("expected less\n")
    assert line.count("\n") == 1 and len(line) < LIMIT + 10


def test_lines_of_the_log_are_bounded(capsys):
    handler = startup._ProgressFriendlyHandler()
    handler.emit(logging.LogRecord("bert", logging.INFO, "", 0, "tags %s", ("B-X " * 500,), None))
    assert len(capsys.readouterr().err) <= LIMIT + 1


def test_all_missing_flags_at_once():
    args = types.SimpleNamespace(a=None, b="", c="given", d=None)
    for names, expected in [
        (["a", "c"], "-a is missing"),
        (["a", "b", "c"], "-a and -b are missing"),
        (["a", "b (or -x)", "d"], "-a, -b (or -x) and -d are missing"),
    ]:
        with pytest.raises(UserError) as caught:
            flags.require(args, *names)
        assert str(caught.value) == expected
    flags.require(args, "c")
    assert errors.LONGEST <= LIMIT
