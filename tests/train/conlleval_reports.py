"""Tagged texts with their reports, worked out by hand, and how both programs are run."""

import io
import os
import re
import subprocess
import sys
import types

from hypothesis import strategies as st

from tests.paths import REPOSITORY
from train import conlleval

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
