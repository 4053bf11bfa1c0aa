"""Blocks that are read as a whole: what comes out is what reading line by line gives."""

import random

import pytest

from bert.system.errors import UserError
from train.data import conll, uniform
from train.data.columns import Format

WORDS = ["a", "New", "#1", "%", "-DOCSTART-", "x\u2028y", "x\u00a0y", "-DOCSTART-x", "\u4e2d", "O"]
TAGS = ["O", "B-PER", "I-PER"]
ODD = [
    "one",
    "a  O",
    " a O",
    "a O ",
    "a\tb c\tO",
    "\tO",
    " \tO",
    "# text",
    "a b c O",
    "a\rb O",
    " ",
    "a X",
    "[CLS] [CLS]",
]
FORMATS = [Format(), Format((0, 1)), Format((1, -1)), Format((0, -1), "#"), Format((0, -1), None, "tab")]


def random_text(seed):
    """A file as annotators write them: columns of one number and separator, now and then an odd line."""
    rng = random.Random(seed)
    separator, end = rng.choice([" ", "\t"]), rng.choice(["\n", "\n", "\r\n"])
    width = rng.choice([1, 2, 2, 2, 3, 4])
    odd = rng.choice([0, 0, 0, 0.1])
    lines = []
    for _ in range(rng.randrange(1, 40)):
        kind = rng.random()
        if kind < 0.2:
            lines += [""] * rng.randrange(1, 4)
        elif kind < 0.2 + odd:
            lines.append(rng.choice(ODD))
        else:
            lines.append(separator.join([rng.choice(WORDS) for _ in range(width - 1)] + [rng.choice(TAGS)]))
    return rng.choice(["", "\ufeff"]) + end.join(lines) + rng.choice(["", end, end * 2])


def outcome(path, form):
    """What reading the file gives: (Survey, Format, sentences), or the text of the error."""
    (block,) = list(conll.find_blocks(path)) or [None]
    seen = conll.survey_block(form.comment, block)
    try:
        found, _ = conll.inspect(path, form)
        return seen, found, list(conll.read_block(block, found))
    except UserError as error:
        return seen, str(error)


@pytest.mark.parametrize("seed", range(60))
def test_a_block_as_a_whole_is_as_its_lines_one_by_one(seed, tmp_path, monkeypatch):
    path = tmp_path / "train.txt"
    for part in range(5):
        path.write_bytes(random_text(100 * seed + part).encode("utf-8"))
        for form in FORMATS:
            monkeypatch.undo()
            found = outcome(str(path), form)
            monkeypatch.setattr(uniform, "uniform", lambda text: None)
            assert found == outcome(str(path), form)


@pytest.mark.parametrize(
    "text,separator,width",
    [
        ("a O\n\nb B-X\n", " ", 2),
        ("a\tO\r\n\r\nb\tB-X", "\t", 2),
        ("-DOCSTART- -X- -X- O\n\nEU NNP I-NP B-ORG\n-DOCSTART-\nx y z O", " ", 4),
        ("\n\n#1 O\n", " ", 2),
        ("one\n\ntwo\n", " ", 1),
    ],
)
def test_usual_files_are_uniform(text, separator, width):
    found = uniform.uniform(text)
    assert (found.separator, found.width) == (separator, width)


@pytest.mark.parametrize("text", ["", "\n\n", "a O\nb\n", "a O\nb  O\n", "a O\n \nb O\n", "a\tO\nb O\n", "a O\rb O\n"])
def test_other_texts_are_not(text):
    assert uniform.uniform(text) is None
