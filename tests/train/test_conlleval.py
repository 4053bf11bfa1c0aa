"""train/conlleval.py and train/conlleval.pl: against reports worked out by hand, against each other, regular
expressions, chunk sets and seqeval. Perl is needed: without it these tests fail."""

import doctest
import io
import itertools
import os
import re
import subprocess
import sys
import types

import pytest
import seqeval.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from bert.system.errors import UserError
from tests.paths import REPOSITORY
from train import chunks, conlleval

COMMANDS = {
    "python": [sys.executable, "-m", "train.conlleval"],
    "perl": ["perl", os.path.join(REPOSITORY, "train", "conlleval.pl")],
}


def run(language, *flags, text="", env=None):
    """Runs one of the two programs; `text` is str or bytes, the process's output bytes."""
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    env = dict(os.environ, **env) if env else None
    return subprocess.run(
        COMMANDS[language] + list(flags),
        input=data,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=REPOSITORY,
        env=env,
    )


def python_report(text, **options):
    counts = conlleval.evaluate(io.StringIO(text, newline="\n"), types.SimpleNamespace(**options))
    return "".join(conlleval.report_notprint(counts))


def perl_report(text, *flags):
    done = run("perl", *flags, text=text)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode("utf-8")


# --- reports worked out by hand -----------------------------------------------------------------------------

# Gold PER 1-2, LOC 4, GEO-WATER 6-7, LOC 9; predicted PER 1-2, ORG 4, GEO-WATER 6, LOC 9.
# Correct: PER and the second LOC. Tags differ at tokens 4 and 7: 7 of 9 are right.
NAMES = """\
Ada NN B-PER B-PER
Byron NN I-PER I-PER
left VB O O
London NN B-LOC B-ORG
. . O O

Lake NN B-GEO-WATER B-GEO-WATER
Como NN I-GEO-WATER O
and CC O O
Milan NN B-LOC B-LOC
"""

TWO_COLUMNS = re.sub(r"(?m)^\S+ \S+ ", "", NAMES)

NAMES_REPORT = """\
processed 9 tokens with 4 phrases; found: 4 phrases; correct: 2.
accuracy:  77.78%; precision:  50.00%; recall:  50.00%; FB1:  50.00
        GEO-WATER: precision:   0.00%; recall:   0.00%; FB1:   0.00  1
              LOC: precision: 100.00%; recall:  50.00%; FB1:  66.67  1
              ORG: precision:   0.00%; recall:   0.00%; FB1:   0.00  1
              PER: precision: 100.00%; recall: 100.00%; FB1: 100.00  1
"""

NAMES_LATEX = r"""        & Precision &  Recall  & F$_{\beta=1} \\\hline
GEO-WATER &    0.00\% &   0.00\% &   0.00 \\
LOC     &  100.00\% &  50.00\% &  66.67 \\
ORG     &    0.00\% &   0.00\% &   0.00 \\
PER     &  100.00\% & 100.00\% & 100.00 \\\hline
Overall &   50.00\% &  50.00\% &  50.00 \\\hline
"""

# Raw tags with NIL outside: gold DT, N-P, V; predicted DT, N-P, N-P; the first and the third token agree.
# The fourth, an empty word, is outside in both.
RAW = """\
the|DT|DT
big|NIL|N-P
cat|N-P|N-P
|NIL|NIL

sat|V|NIL
"""

RAW_REPORT = """\
processed 5 tokens with 3 phrases; found: 3 phrases; correct: 2.
accuracy:  60.00%; precision:  66.67%; recall:  66.67%; FB1:  66.67
               DT: precision: 100.00%; recall: 100.00%; FB1: 100.00  1
              N-P: precision:  50.00%; recall: 100.00%; FB1:  66.67  2
                V: precision:   0.00%; recall:   0.00%; FB1:   0.00  0
"""

# IOE1 by line: gold A 1-2, A 3, A 5, A 7 (lines 4 and 6 divide); predicted A 1, A 2-3, A 5, A 7.
IOE = """\
x I-A E-A
y E-A I-A
z I-A E-A
-X- O O
u I-A I-A
-X- I-A O
v I-A I-A
"""

IOE_REPORT = """\
processed 5 tokens with 4 phrases; found: 4 phrases; correct: 2.
accuracy:  40.00%; precision:  50.00%; recall:  50.00%; FB1:  50.00
                A: precision:  50.00%; recall:  50.00%; FB1:  50.00  4
"""

# BIOES: gold PER 1-3, LOC 4, LOC 5, ORG 6-7; predicted PER 1-2, PER 3 (E ends one), LOC 4, LOC 5, ORG 6-7.
BIOES = """\
a B-PER B-PER
b I-PER E-PER
c E-PER E-PER
d S-LOC S-LOC
e S-LOC B-LOC
f B-ORG B-ORG
g E-ORG I-ORG
"""

BIOES_REPORT = """\
processed 7 tokens with 4 phrases; found: 5 phrases; correct: 3.
accuracy:  57.14%; precision:  60.00%; recall:  75.00%; FB1:  66.67
              LOC: precision: 100.00%; recall: 100.00%; FB1: 100.00  2
              ORG: precision: 100.00%; recall: 100.00%; FB1: 100.00  1
              PER: precision:   0.00%; recall:   0.00%; FB1:   0.00  2
"""

# Columns at tabs: a word may hold spaces, and a line of tabs is blank.
PLACES = "New York\tB-LOC\tB-LOC\n\t\t\n x \tO\tO\n"

PLACES_REPORT = """\
processed 2 tokens with 1 phrases; found: 1 phrases; correct: 1.
accuracy: 100.00%; precision: 100.00%; recall: 100.00%; FB1: 100.00
              LOC: precision: 100.00%; recall: 100.00%; FB1: 100.00  1
"""

EMPTY_REPORT = "processed 0 tokens with 0 phrases; found: 0 phrases; correct: 0.\n"

OUTSIDE_REPORT = """\
processed 2 tokens with 0 phrases; found: 0 phrases; correct: 0.
accuracy: 100.00%; precision:   0.00%; recall:   0.00%; FB1:   0.00
"""

EMPTY_LATEX = r"""        & Precision &  Recall  & F$_{\beta=1} \\\hline\hline
Overall &    0.00\% &   0.00\% &   0.00 \\\hline
"""

BY_HAND = {
    "plain": ([], NAMES, NAMES_REPORT),
    "latex": (["-l"], NAMES, NAMES_LATEX),
    "raw": (["-r", "-o", "NIL", "-d", "|"], RAW, RAW_REPORT),
    "ioe": ([], IOE, IOE_REPORT),
    "bioes": ([], BIOES, BIOES_REPORT),
    "tabs": (["-d", "\t"], NAMES.replace(" ", "\t"), NAMES_REPORT),
    "tabs spelled": (["-d", "\\t"], NAMES.replace(" ", "\t"), NAMES_REPORT),
    "words with spaces": (["-d", "\t"], PLACES, PLACES_REPORT),
    "delimiter beyond ASCII": (["-d", "、"], NAMES.replace(" ", "、"), NAMES_REPORT),
    "crlf": ([], NAMES.replace("\n", "\r\n"), NAMES_REPORT),
    "byte order mark": ([], "\ufeff" + TWO_COLUMNS, NAMES_REPORT),
    "no last line end": ([], NAMES.rstrip("\n"), NAMES_REPORT),
    "blank lines around": ([], "\n \n" + NAMES + "\n\n", NAMES_REPORT),
    "two columns": ([], TWO_COLUMNS, NAMES_REPORT),
    "empty": ([], "", EMPTY_REPORT),
    "empty latex": (["-l"], "", EMPTY_LATEX),
    "only boundaries": ([], "\n-X- O O\n\n", EMPTY_REPORT),
    "all outside": ([], "a O O\n\nb O O\n", OUTSIDE_REPORT),
}


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


# --- the reading of tags ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tags, expected",
    [
        ("", []),
        ("O O", []),
        ("I-A I-A B-A", [("A", 0, 2), ("A", 2, 3)]),
        ("B-A I-B I-B", [("A", 0, 1), ("B", 1, 3)]),
        ("B-A-B I-A-B I-A", [("A-B", 0, 2), ("A", 2, 3)]),
        ("I-A E-A E-A I-A", [("A", 0, 2), ("A", 2, 3), ("A", 3, 4)]),
        ("S-A", [("A", 0, 1)]),
        ("S-A S-A I-A", [("A", 0, 1), ("A", 1, 2), ("A", 2, 3)]),
        ("B-A S-A E-A", [("A", 0, 1), ("A", 1, 2), ("A", 2, 3)]),
        ("B-A I-A E-A B-A E-A", [("A", 0, 3), ("A", 3, 5)]),
        ("O E-A O", [("A", 1, 2)]),
        ("I-A [-A I-B .", [("A", 0, 1), ("A", 1, 2), ("B", 2, 3)]),
        ("B I O B", [("", 0, 2), ("", 3, 4)]),
        ("B-0 I-", [("", 0, 2)]),
    ],
)
def test_chunks_by_hand(tags, expected):
    assert conlleval.chunks(tags.split()) == expected


# Two types, each tag one letter: what a chunk looks like in IOB, IOE and BIOES, leftmost longest.
LETTERS = {"O": "O"}
for upper, name in ((False, "A"), (True, "C")):
    for prefix in "bies":
        LETTERS[prefix.upper() if upper else prefix] = prefix.upper() + "-" + name
CHUNK = re.compile("s|bi*e?|i+e?|e|S|BI*E?|I+E?|E")


def test_chunks_equal_a_regular_expression_over_every_short_sequence():
    for length in range(5):
        for letters in itertools.product(sorted(LETTERS), repeat=length):
            tags = [LETTERS[letter] for letter in letters]
            expected = [
                ("A" if match.group().islower() else "C", match.start(), match.end())
                for match in CHUNK.finditer("".join(letters))
            ]
            assert conlleval.chunks(tags) == expected, tags


def test_the_letters_cover_two_types():
    assert len(LETTERS) == 9
    assert set(LETTERS.values()) == {"O"} | {p + "-" + t for p in "BIES" for t in "AC"}


TYPES = ["PER", "LOC", "A-B", "very-long-name-of-a-type", "人名"]

# Sentences as they are made: stretches of one chunk, or of tokens outside (None), with their lengths.
STRETCHES = st.lists(st.tuples(st.sampled_from([None] + TYPES), st.integers(1, 3)), max_size=8)


def spans_of(stretches):
    spans, position = [], 0
    for name, length in stretches:
        if name is not None:
            spans.append((name, position, position + length))
        position += length
    return spans, position


def encode(scheme, spans, length):
    """Writes chunks as tags, by the definition of each scheme."""
    tags = ["O"] * length
    touching = {(name, start) for name, start, _ in spans} & {(name, end) for name, _, end in spans}
    for name, start, end in spans:
        letters = ["I"] * (end - start)
        if scheme == "IOB2" or (scheme == "IOB1" and (name, start) in touching):
            letters[0] = "B"
        elif scheme == "IOE2" or (scheme == "IOE1" and (name, end) in touching):
            letters[-1] = "E"
        elif scheme == "BIOES":
            letters[0], letters[-1] = "B", "E"
            letters = letters if end - start > 1 else ["S"]
        tags[start:end] = [letter + "-" + name for letter in letters]
    return tags


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "IOE1", "IOE2", "BIOES"])
@settings(deadline=None)
@given(stretches=STRETCHES)
def test_chunks_read_back_what_a_scheme_wrote(scheme, stretches):
    spans, length = spans_of(stretches)
    assert conlleval.chunks(encode(scheme, spans, length)) == spans


# --- Perl and Python ----------------------------------------------------------------------------------------


def tag_strategy(prefixes, names):
    typed = st.builds("{}-{}".format, st.sampled_from(prefixes), st.sampled_from(names))
    return st.one_of(st.just("O"), typed)


ODD_TAGS = st.sampled_from(["B", "I", "E", "S", "X", "[CLS]", ".", "[", "]", "[-A", "]-A", "-A", "A-", "--"])
COLUMN_TAGS = {
    "IOB": tag_strategy("BI", TYPES),
    "IOE": tag_strategy("IE", TYPES),
    "BIOES": tag_strategy("BIES", TYPES + ["0", "00", "B-A"]),
    "anything": st.one_of(tag_strategy("BIESMUL", ["A", "0"]), ODD_TAGS),
}
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


@settings(max_examples=150, deadline=None)
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


def test_default_columns():
    """Python takes any run of spaces and tabs, Perl single spaces; neither any other white space."""
    text = " Ada \t B-PER  B-PER \n \t \n\u3000\tO O\nx\u2028y O\tO\n"
    assert python_report(text).startswith("processed 3 tokens with 1 phrases; found: 1 phrases; correct: 1.")
    assert run("perl", text="a  O O\nb O O\n").stderr == b"unexpected number of features: 3 (4)\n"


# --- the Python interface -----------------------------------------------------------------------------------


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


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(COLUMN_TAGS["BIOES"], COLUMN_TAGS["BIOES"]), max_size=6), max_size=4))
def test_metrics_equal_sets_of_chunks(sentences):
    counts = conlleval.EvalCounts()
    gold, guessed = set(), set()
    for i, pairs in enumerate(sentences):
        columns = [a for a, _ in pairs], [b for _, b in pairs]
        counts.add_sentence(*columns)
        gold |= {(i, *chunk) for chunk in conlleval.chunks(columns[0])}
        guessed |= {(i, *chunk) for chunk in conlleval.chunks(columns[1])}
    overall, by_type = conlleval.metrics(counts)
    assert set(by_type) == {chunk[1] for chunk in gold | guessed}
    for name, measured in [(None, overall)] + list(by_type.items()):
        a = {chunk for chunk in gold if name in (None, chunk[1])}
        b = {chunk for chunk in guessed if name in (None, chunk[1])}
        assert measured[:3] == (len(a & b), len(b - a), len(a - b))
        assert measured.prec == (len(a & b) / len(b) if b else 0)
        assert measured.rec == (len(a & b) / len(a) if a else 0)
        # F1 is the Dice coefficient of the two sets.
        assert measured.fscore == pytest.approx(2 * len(a & b) / (len(a) + len(b)) if a or b else 0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(STRETCHES, STRETCHES), min_size=1, max_size=5))
def test_metrics_equal_seqeval_on_well_formed_tags(sentences):
    counts = conlleval.EvalCounts()
    gold, guessed = [], []
    for stretches in sentences:
        (spans_a, length_a), (spans_b, length_b) = (spans_of(side) for side in stretches)
        length = max(length_a, length_b, 1)
        gold.append(encode("IOB2", spans_a, length))
        guessed.append(encode("IOB2", spans_b, length))
        counts.add_sentence(gold[-1], guessed[-1])
    overall, by_type = conlleval.metrics(counts)
    names = sorted(by_type)
    assert overall.prec == pytest.approx(seqeval.metrics.precision_score(gold, guessed, zero_division=0))
    assert overall.rec == pytest.approx(seqeval.metrics.recall_score(gold, guessed, zero_division=0))
    assert overall.fscore == pytest.approx(seqeval.metrics.f1_score(gold, guessed, zero_division=0))
    assert counts.correct_tags / counts.token_counter == seqeval.metrics.accuracy_score(gold, guessed)
    if names:
        table = seqeval.metrics.classification_report(gold, guessed, output_dict=True, zero_division=0)
        for name in names:
            assert by_type[name].prec == pytest.approx(table[name]["precision"])
            assert by_type[name].rec == pytest.approx(table[name]["recall"])
            assert by_type[name].fscore == pytest.approx(table[name]["f1-score"])


def test_the_docstrings_example():
    assert doctest.testmod(chunks) == (0, 2)


# --- bad input, and what surrounds the program --------------------------------------------------------------

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
