"""No message is longer than a few lines of a terminal, whatever the user gave."""

import ast
import glob
import logging
import os
import types

import pytest

from bert.system import errors, flags, log
from bert.system.errors import LIMIT, UserError, run_program, shorten, shown_list
from tests.paths import REPOSITORY

SPEAKERS = {"UserError", "ServingError", "info", "warning", "error"}


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
    handler = log._ProgressFriendlyHandler()
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


def lists_in_messages(source):
    """The numbers of the lines in which a message is made of a list that may be of any length.

    A list in capitals is one of the program's own.
    """
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or getattr(call.func, "id", getattr(call.func, "attr", "")) not in SPEAKERS:
            continue
        for inner in ast.walk(call):
            if isinstance(inner, ast.Call) and getattr(inner.func, "attr", "") == "join" and inner.args:
                names = [node.id for node in ast.walk(inner.args[0]) if isinstance(node, ast.Name)]
                if is_comma(inner.func.value) and not any(name.isupper() for name in names):
                    yield inner.lineno


def is_comma(node):
    try:
        return ast.literal_eval(node) in (", ", "; ", " and ", " or ")
    except ValueError:  # not a literal
        return False


def test_lists_in_messages_go_through_shown_list():
    """Not one of a user's length, such as the labels or the files that were given."""
    bounded = {("bert/training/cluster.py", "sorted(addresses.items())"), ("bert/training/distribution.py", "local")}
    bounded |= {("bert/launch.py", "asked"), ("bert/encoder/layers.py", "allowed")}
    found = []
    for folder in ("bert", "train"):
        for path in glob.glob(os.path.join(REPOSITORY, folder, "**", "*.py"), recursive=True):
            name = os.path.relpath(path, REPOSITORY).replace(os.sep, "/")
            with open(path, encoding="utf-8") as reader:
                source = reader.read()
            for number in lists_in_messages(source):
                line = source.splitlines()[number - 1]
                if not any(name == file and text in line for file, text in bounded):
                    found.append(f"{name}:{number}: {line.strip()}")
    assert not found
    assert list(lists_in_messages("raise UserError(f\"{', '.join(files)}: x\")")) == [1]
    assert not list(lists_in_messages("raise UserError(f\"expected {', '.join(CELLS)}\")"))
