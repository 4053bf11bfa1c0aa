"""No message is longer than a few lines of a terminal, whatever the user gave."""

import ast
import glob
import logging
import os
import types

import pytest

from bert.system import flags, log
from bert.system.errors import LONGEST, UserError, fit_message, run_program, shorten, shown_list
from tests.paths import REPOSITORY

SPEAKERS = {"UserError", "ServingError", "info", "warning", "error"}


def test_a_list_shows_ten_and_says_how_many_more():
    assert shown_list([]) == "" and shown_list("abc") == "a, b, c"
    assert shown_list(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert shown_list(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert shown_list(label for label in "abc") == "a, b, c"


def test_long_items_leave_room_for_fewer():
    shown = shown_list([letter * 59 for letter in "abcdef"])
    assert shown == "a" * 59 + ", " + "b" * 59 + " and 4 more"
    assert shown_list(["a" * 1000, "b"], longest=20) == "aaaaaaaaa...aaaaaaaa and 1 more"


def test_the_first_items_of_a_longer_list():
    assert shown_list("ab", total=5) == "a, b and 3 more" and shown_list("ab", total=2) == "a, b"
    assert shown_list("ab", shown=1, total=5) == "a and 4 more"


@pytest.mark.parametrize("separator", ["; ", ". "])
@pytest.mark.parametrize("length", [10, 100, 190, 200, 250])
def test_the_last_clause_of_a_long_message_stays_whole(separator, length):
    remedy = "expected " + "x" * (length - 9)
    found = fit_message("a.txt:12: found " + "y" * 1000 + separator + remedy)
    assert len(found) == LONGEST and found.startswith("a.txt:12: found y")
    assert found.endswith(remedy) or length > LONGEST * 2 // 3
    assert fit_message("short" + separator) == "short" + separator


def test_long_paths_behind_the_first_one_are_cut_before_words_are():
    first, other = (f"/{'very_long_name/' * 6}{name}" for name in ("a", "b"))
    text = f"{first}: damaged; {other} is whole: {other} too"
    assert fit_message(text) == text.replace(other, "..." + other[-37:])
    assert fit_message(text, 1000) == text


@pytest.mark.parametrize("length", [8, 9, 10, 11, 100])
def test_shortened_texts_keep_both_ends(length):
    text = "begin " + "x" * 200 + " end"
    assert len(shorten(text, length)) == length and shorten(text, length)[-2:] == "nd"
    assert shorten("two\nlines", 20) == "two lines" and shorten(12) == "12"
    assert shorten("half \ud800 a pair") == "half \\ud800 a pair"


def test_errors_end_in_one_line_of_bounded_length(capsys):
    def main():
        raise UserError("file.txt: found " + "x " * 5000 + "expected less")

    with pytest.raises(SystemExit) as ended:
        run_program(main)
    line = capsys.readouterr().err
    assert ended.value.code == 2 and line.startswith("error: file.txt: found x") and line.endswith("expected less\n")
    assert line.count("\n") == 1 and len(line) < LONGEST + 10


def test_lines_of_the_log_are_bounded(capsys):
    handler = log._ProgressFriendlyHandler()
    handler.emit(logging.LogRecord("bert", logging.INFO, "", 0, "tags %s", ("B-X " * 500,), None))
    assert len(capsys.readouterr().err) <= LONGEST + 1


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
    found = []
    for folder in ("bert", "train"):
        for path in glob.glob(os.path.join(REPOSITORY, folder, "**", "*.py"), recursive=True):
            with open(path, encoding="utf-8") as reader:
                found += [(path, number) for number in lists_in_messages(reader.read())]
    assert not found
    assert list(lists_in_messages("raise UserError(f\"{', '.join(files)}: x\")")) == [1]
    assert not list(lists_in_messages("raise UserError(f\"expected {', '.join(CELLS)}\")"))


# Characters that a value in a message usually takes: of a call by the function, of others by the name.
CALLS = {
    "shown_list": 120,
    "shown": 45,
    "first_line": 100,
    "_places": 90,
    "counted": 10,
    "len": 6,
    "sum": 6,
    "min": 6,
    "max": 6,
}
NAMES = {"path": 60, "file": 60, "dir": 60, "directory": 60, "prefix": 60}


def usual_length(node, source):
    """About how many characters a message has, by its f-string; lists in it are as long as they can be."""
    if isinstance(node, ast.Constant):
        return len(str(node.value))
    if isinstance(node, ast.JoinedStr):
        return sum(usual_length(value, source) for value in node.values)
    if isinstance(node, ast.BinOp):
        return usual_length(node.left, source) + usual_length(node.right, source)
    if isinstance(node, ast.FormattedValue):
        return usual_length(node.value, source)
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        given = [word.value for word in node.keywords if word.arg == "longest"] + (node.args[1:2] * (name == "shorten"))
        bounds = [value.value for value in given if isinstance(value, ast.Constant)]
        return (bounds[0] if bounds else CALLS.get(name, 8)) + len(" and 100 more") * (name == "shown_list")
    text = ast.get_source_segment(source, node) if hasattr(ast, "get_source_segment") else ""
    return 4 if text.isupper() else NAMES.get(text.split(".")[-1].split("_")[-1], 7)


def messages(source):
    """The calls that say something to the user."""
    for call in ast.walk(ast.parse(source)):
        name = isinstance(call, ast.Call) and getattr(call.func, "id", getattr(call.func, "attr", ""))
        if name in SPEAKERS | {"NoTensorFlow"} and call.args:
            yield call


@pytest.mark.one_tensorflow
def test_no_message_is_too_long_with_values_of_a_usual_length():
    found = []
    for folder in ("bert", "train"):
        for path in glob.glob(os.path.join(REPOSITORY, folder, "**", "*.py"), recursive=True):
            with open(path, encoding="utf-8") as reader:
                source = reader.read()
            for call in messages(source):
                length = usual_length(call.args[0], source)
                if length > LONGEST:
                    found.append((os.path.relpath(path, REPOSITORY), call.lineno, length))
    assert not found
    call = "UserError(f'{path}: {shown_list(names)}; {n}')"
    assert [usual_length(message.args[0], call) > 180 for message in messages(call)] == [True]
