"""train/conlleval.py and train/conlleval.pl against reports worked out by hand and against each other; bad input.

Perl is needed: without it these tests fail.
"""

import doctest
import io
import itertools
import re
import subprocess
import sys
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert.system.errors import UserError
from tests.paths import REPOSITORY
from tests.train.conlleval_reports import (
    BY_HAND,
    COLUMN_TAGS,
    COMMANDS,
    NAMES,
    NAMES_LATEX,
    NAMES_REPORT,
    OUTSIDE_REPORT,
    perl_report,
    python_report,
    run,
)
from train import chunks, conlleval


@pytest.mark.parametrize("language", sorted(COMMANDS))
@pytest.mark.parametrize("case", sorted(BY_HAND))
def test_report_by_hand(case, language):
    flags, text, expected = BY_HAND[case]
    done = run(language, *flags, text=text)
    assert done.stderr == b""
    assert done.returncode == 0
    assert done.stdout.decode("utf-8") == expected


@pytest.mark.parametrize("language", sorted(COMMANDS))
def test_report_of_a_named_file(language, tmp_path):
    path = tmp_path / "predicted.txt"
    path.write_bytes(NAMES.encode("utf-8"))
    assert run(language, str(path), "-l").stdout.decode("utf-8") == NAMES_LATEX


def test_percentages_round_as_100_times_the_count_does():
    # 100 * 23 / 160 is 14.375, which prints as 14.38; 100 * (23 / 160) is a hair below.
    text = "w B-A B-A\n" * 23 + "w B-A O\n" * 137
    assert "recall:  14.38%" in python_report(text)
    assert perl_report(text) == python_report(text)


WORDS = st.sampled_from(["w", "我", "a\u2028b", "\u3000", "-DOCSTART-", "\x0b", "\x85", "-"])


@st.composite
def tagged_texts(draw, delimiter):
    gold = COLUMN_TAGS[draw(st.sampled_from(sorted(COLUMN_TAGS)))]
    # Half of the tokens agree, or hardly any chunk would be correct.
    token = st.one_of(gold.map(lambda tag: (tag, tag)), st.tuples(gold, gold))
    rows = draw(st.lists(st.one_of(st.none(), st.just("-X-"), st.tuples(WORDS, token)), max_size=30))
    lines = []
    for row in rows:
        if row is None:
            lines.append("")
        elif row == "-X-":
            lines.append(delimiter.join(["-X-", "B-A", "B-A"]))
        else:
            lines.append(delimiter.join([row[0], row[1][0], row[1][1]]))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n"]))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_perl_and_python_give_the_same_bytes(data):
    delimiter = data.draw(st.sampled_from([" ", "\t", "|"]))
    raw, latex = data.draw(st.booleans()), data.draw(st.booleans())
    otag = data.draw(st.sampled_from(["O", "B-PER", "."]))
    text = data.draw(tagged_texts(delimiter))
    flags = ["-d", delimiter, "-o", otag] + ["-r"] * raw + ["-l"] * latex
    expected = python_report(text, delimiter=delimiter, raw=raw, latex=latex, otag=otag)
    assert perl_report(text, *flags) == expected


def test_perl_and_python_read_the_same_chunks_in_every_three_tags():
    """Against each chunk that three tokens can have, as a type of its own: the counts then tell all spans."""
    patterns = ["B O O", "B I O", "B I I", "O B O", "O B I", "O O B"]
    lines, kinds = [], 0
    tags = ["O", ".", "B-a", "I-a", "E-a", "S-a", "[-a", "]-a", "M-a", ".-a", "I-b", "E-b", "X-b"]
    for gold in itertools.product(tags, repeat=3):
        for pattern in patterns:
            kinds += 1
            for tag, letter in zip(gold, pattern.split()):
                tag, dash, name = tag.partition("-")
                guess = "O" if letter == "O" else f"{letter}-a{kinds}"
                lines.append(f"w {tag}{dash}{name and name + str(kinds)} {guess}\n")
            lines.append("\n")
    text = "".join(lines)
    assert perl_report(text) == python_report(text)
    assert f"processed {3 * kinds} tokens" in python_report(text)


def test_perl_and_python_read_the_same_chunks_in_tags_without_a_type():
    sequences = list(itertools.product("OBIE", repeat=3))
    for gold in sequences:
        assert chunks.chunks(gold) == [("", start, end) for start, end in _spans(gold)]
    rows = ["\n".join(f"w {a} {b}" for a, b in zip(*pair)) for pair in itertools.product(sequences, repeat=2)]
    text = "\n\n".join(rows) + "\n"
    assert perl_report(text) == python_report(text)


def _spans(tags):
    """The chunks of tags of one type by a regular expression: B begins one, E ends one."""
    return [match.span() for match in re.finditer("B?I*E|BI*|I+", "".join(tags))]


def test_default_columns():
    """Python takes any run of spaces and tabs, Perl single spaces; neither any other white space."""
    text = " Ada \t B-PER  B-PER \n \t \n\u3000\tO O\nx\u2028y O\tO\n"
    assert python_report(text).startswith("processed 3 tokens with 1 phrases; found: 1 phrases; correct: 1.")
    assert run("perl", text="a  O O\nb O O\n").stderr == b"unexpected number of features: 3 (4)\n"


def test_lines_with_and_without_their_ends():
    for lines in (NAMES.splitlines(True), NAMES.splitlines(False), NAMES.replace("\n", "\r\n").split("\n")):
        assert "".join(conlleval.report_notprint(conlleval.evaluate(iter(lines)))) == NAMES_REPORT


def test_counts():
    counts = conlleval.evaluate(NAMES.splitlines())
    assert (counts.correct_chunk, counts.found_correct, counts.found_guessed) == (2, 4, 4)
    assert (counts.correct_tags, counts.token_counter) == (7, 9)
    assert counts.t_correct_chunk == {"PER": 1, "LOC": 1}
    assert counts.t_found_correct == {"PER": 1, "LOC": 2, "GEO-WATER": 1}
    assert counts.t_found_guessed == {"PER": 1, "ORG": 1, "GEO-WATER": 1, "LOC": 1}


def test_report_to_a_stream_and_to_standard_output(capsys):
    counts = conlleval.evaluate(NAMES.splitlines())
    out = io.StringIO()
    conlleval.report(counts, out)
    assert out.getvalue() == NAMES_REPORT
    assert conlleval.report_notprint(counts, out) == NAMES_REPORT.splitlines(True)
    assert capsys.readouterr().out == ""
    conlleval.report(counts)
    assert capsys.readouterr().out == NAMES_REPORT


def test_options_may_be_partial():
    text = NAMES.replace("\n\n", "\n*** NN O O\n")
    options = types.SimpleNamespace(boundary="***", delimiter=None, latex=True)
    counts = conlleval.evaluate(text.splitlines(), options)
    out = io.StringIO()
    conlleval.report(counts, out)
    assert out.getvalue() == NAMES_LATEX


def test_return_report(tmp_path):
    path = tmp_path / "label_test.txt"
    path.write_bytes(("\ufeff" + NAMES).encode("utf-8"))
    assert conlleval.return_report(str(path)) == NAMES_REPORT.splitlines(True)


def test_the_docstrings_example():
    assert doctest.testmod(chunks) == (0, 2)


BAD_INPUT = {
    "too few": (b"a B-X O\nb O\n", "line 2: unexpected number of features: 2 (3)"),
    "too many": (b"a O\n\nb B-X O\n", "line 3: unexpected number of features: 3 (2)"),
    "short boundary": (b"a B-X O\n-X-\n", "line 2: unexpected number of features: 1 (3)"),
    "one column": (b"\nword\n", "line 2: 1 column found, expected the gold and"),
}


@pytest.mark.parametrize("case", sorted(BAD_INPUT))
def test_bad_input(case, tmp_path):
    text, message = BAD_INPUT[case]
    path = tmp_path / "bad.txt"
    path.write_bytes(text)
    for done, name in ((run("python", text=text), "standard input"), (run("python", str(path)), str(path))):
        assert done.returncode == 2
        assert done.stdout == b""
        assert done.stderr.decode("utf-8").startswith(f"error: {name}, {message}")
        assert done.stderr.count(b"\n") == 1
    with pytest.raises(UserError, match=re.escape(message)):
        conlleval.evaluate(io.StringIO(text.decode("utf-8")))
    with pytest.raises(UserError, match=re.escape("bad.txt, " + message)):
        conlleval.return_report(str(path))
    done = run("perl", text=text)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.decode("utf-8").strip().split(",")[0] in message


def test_undecodable_byte_names_its_line(tmp_path):
    path = tmp_path / "latin1.txt"
    path.write_bytes(b"a O O\n\ncaf\xe9 O O\n")
    done = run("python", str(path))
    assert done.returncode == 2
    expected = f"error: {path}:3: byte 4 of the line is not UTF-8; expected a UTF-8 file\n"
    assert done.stderr.decode("utf-8") == expected
    # Perl passes bytes through, as the shared task's script does.
    assert run("perl", str(path)).stdout.decode("ascii") == OUTSIDE_REPORT


@pytest.mark.parametrize("language", sorted(COMMANDS))
@pytest.mark.parametrize(
    "flags",
    [["-x"], ["-d"], ["-o"], ["-d", ""], ["-d", "ab"], ["a.txt", "b.txt"], ["no/such/file"], [REPOSITORY]],
    ids=" ".join,
)
def test_bad_command_line(flags, language):
    done = run(language, *flags, text=NAMES)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b"error: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("language", sorted(COMMANDS))
def test_help(language):
    done = run(language, "--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"[-d CHAR] [-r] [-l] [-o TAG]" in done.stdout


@pytest.mark.parametrize("language", sorted(COMMANDS))
def test_output_is_utf8_in_any_locale(language):
    env = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run(language, text="王 B-人名 B-人名\n", env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    last = done.stdout.decode("utf-8").splitlines()[-1]
    assert last == " " * 15 + "人名: precision: 100.00%; recall: 100.00%; FB1: 100.00  1"


def test_tensorflow_is_not_loaded():
    program = "import sys, train.conlleval; sys.exit(any('tensorflow' in name for name in sys.modules))"
    assert subprocess.call([sys.executable, "-c", program], cwd=REPOSITORY) == 0


BILOU = "a B-A B-A\nb L-A L-A\nc U-A U-A\nd U-A O\n\n"


def test_schemes_that_the_script_does_not_read_are_recognised(tmp_path):
    for text, name in (
        (BILOU, b"BILOU"),
        ("a B-A B-A\nb M-A M-A\nc E-A E-A\nd S-A S-A\ne S-A O\n", b"BMES"),
        ("a PER PER\nb PER PER\nc LOC LOC\nd O O\ne PER O\n", b"IO"),
    ):
        done = run("python", text=text)
        assert done.stderr.startswith(b"standard input: the tags are read as " + name + b";")
        assert b" tokens with 3 phrases; found: 2 phrases; correct: 2." in done.stdout
        path = tmp_path / "tagged.txt"
        path.write_text(text, encoding="utf-8")
        assert run("python", str(path)).stdout == done.stdout
        named = run("python", "-s", name.decode(), text=text)
        assert (named.stdout, named.stderr) == (done.stdout, b"")
        as_it_stands = run("python", "-s", "BIO", text=text)
        assert (as_it_stands.stdout, as_it_stands.stderr) == (run("perl", text=text).stdout, b"")


def test_a_runs_file_is_read_as_the_run_read_it(tmp_path):
    text = "a\tPER\tPER\n-X-\tPER\tPER\nNew York\tLOC\tPER\n\n"
    (tmp_path / "label_test.txt").write_text(text, encoding="utf-8")
    (tmp_path / "run.json").write_text('{"model": {"scheme": "IO"}}', encoding="utf-8")
    done = run("python", str(tmp_path / "label_test.txt"))
    assert done.stderr == b"" and done.stdout.startswith(b"processed 3 tokens with 2 phrases; found: 1 phrases; ")


def test_the_boundary_is_an_option():
    text = "a B-A B-A\n-X- I-A I-A\nb I-A I-A\n"
    assert run("python", "-b", "", text=text).stdout.startswith(b"processed 3 tokens with 1 phrases")
    assert run("python", "-b", "a", text=text).stdout.startswith(b"processed 2 tokens with 1 phrases")
    assert run("python", text=text).stdout.startswith(b"processed 2 tokens with 2 phrases")
    wrong = run("python", "-s", "ZZ", text=text)
    assert wrong.returncode == 2 and b"-s ZZ: expected one of BIO, " in wrong.stderr
