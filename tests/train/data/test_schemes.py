"""The tagging schemes against their definitions: every way to write entities in a few words, and every few tags."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.chunks import READINGS, chunks
from train.data import schemes

WORDS = 4
SHAPES = {  # first, middle, last and only word of an entity, where nothing touches it
    "BIO": "BIIB", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES",
    "IO": "IIII", "IOB1": "IIII", "IOE1": "IIII", "IOE2": "IIEE",
}  # fmt: skip


def write(scheme, entities, length):
    """Writes entities as tags, by the definition of each scheme; None where it cannot tell two of them apart."""
    first, middle, last, only = SHAPES[scheme]
    tags = ["O"] * length
    for kind, start, stop in entities:
        letters = [only] if stop - start == 1 else [first] + [middle] * (stop - start - 2) + [last]
        if any(other[0] == kind and other[2] == start for other in entities):  # touches the one before it
            if scheme == "IO":
                return None
            letters[0] = "B" if scheme == "IOB1" else letters[0]
        if scheme == "IOE1" and any(other[:2] == (kind, stop) for other in entities):
            letters[-1] = "E"
        tags[start:stop] = [f"{letter}-{kind}" for letter in letters]
    return tags


def ways(length, start=0):
    """Every list of entities of the types A and B in so many words."""
    if start == length:
        yield []
        return
    for rest in ways(length, start + 1):
        yield rest
    for stop in range(start + 1, length + 1):
        for rest in ways(length, stop):
            for kind in "AB":
                yield [(kind, start, stop)] + rest


@pytest.mark.parametrize("scheme", SHAPES)
def test_every_way_to_write_entities_is_well_formed_and_nothing_else_is(scheme):
    assert set(schemes.SCHEMES) == set(READINGS)
    tags = ["O"] + [f"{letter}-{kind}" for letter in schemes.prefixes(scheme)[1:] for kind in "AB"]
    for length in range(WORDS):
        written = {tuple(write(scheme, each, length) or ()): each for each in ways(length)}
        written.update({(): []} if length == 0 else {})
        for sentence in itertools.product(tags, repeat=length):
            is_one = sentence in written and len(sentence) == length
            assert schemes.well_formed(list(sentence), scheme) == is_one, sentence
            found = schemes.entities(list(sentence), scheme)
            assert not is_one or found == written[sentence], sentence
            again = schemes.retag(list(sentence), scheme)
            assert again == (list(sentence) if is_one else write(scheme, found, length)), sentence


def test_types_alone_are_read_as_runs():
    tags = "PER PER O WORK-OF-ART WORK-OF-ART LOC I-LOC".split()
    assert schemes.entities(tags, "IO") == [("PER", 0, 2), ("WORK-OF-ART", 3, 5), ("LOC", 5, 7)]
    assert schemes.well_formed(tags, "IO") and schemes.retag(tags, "IO") == tags


@pytest.mark.parametrize("scheme", list(SHAPES) + [None])
def test_a_word_cut_into_units_keeps_its_entities(scheme):
    """The units' tags are those of the same entities over more words, and go back to what they were."""
    tags = ["O"] + [
        f"{letter}-{kind}" for letter in (schemes.prefixes(scheme)[1:] if scheme else "BIES") for kind in "AB"
    ]
    sizes = (1, 3, 2)
    for sentence in itertools.product(tags, repeat=3):
        units = [schemes.spread(tag, size, scheme) for tag, size in zip(sentence, sizes)]
        assert [schemes.gather(of_word, scheme) for of_word in units] == list(sentence)
        if scheme and not schemes.well_formed(list(sentence), scheme):
            continue
        flat = [tag for of_word in units for tag in of_word]
        starts = [0, 1, 4, 6]
        expected = [(kind, starts[a], starts[b]) for kind, a, b in schemes.entities(list(sentence), scheme)]
        assert schemes.entities(flat, scheme) == expected
        assert scheme is None or schemes.well_formed(flat, scheme)


@pytest.mark.parametrize(
    "tags,scheme,expected",
    [
        ("B-A I-A O", "BIO", "B-A"),
        ("O B-A", "BIO", "O"),
        ("B-A E-A O", "BIOES", "S-A"),
        ("I-A I-B L-B", "BILOU", "I-A"),
        ("M-A E-A B-A", "BMES", "E-A"),
        ("PER O", "IO", "PER"),
        ("B I", "BIO", "B"),
    ],
)
def test_units_that_were_predicted_become_one_tag(tags, scheme, expected):
    assert schemes.gather(tags.split(), scheme) == expected


def test_spread_by_hand():
    assert schemes.spread("U-LOC", 3, "BILOU") == ["B-LOC", "I-LOC", "L-LOC"]
    assert schemes.spread("S", 3, "BMES") == ["B", "M", "E"]
    assert schemes.spread("LOC", 2, "IO") == ["LOC", "LOC"]
    assert schemes.spread("Q-LOC", 2, None) == ["Q-LOC", "Q-LOC"]


def test_may_follow():
    assert schemes.may_follow("BIO", "B-A-b", "I-A-b") and not schemes.may_follow("BIO", "B-A-b", "I-A-c")
    assert not schemes.may_follow("BIOES", "B-A", "O") and not schemes.may_follow("BIOES", "S-A", "E-A")
    assert not schemes.may_follow("BIO", None, "Q-A") and not schemes.may_follow("BIO", "Q-A", "O")
    assert not schemes.may_follow("BIO", "O", "-A") and not schemes.may_follow("BIO", "O", "OB-A")


ANY_TAGS = {
    "BIO": [prefix + kind for prefix in "BI" for kind in ("", "-A", "-B", "-A-B", "-0", "-1")] + ["O"],
    "BIOES": [prefix + kind for prefix in "BIES" for kind in ("", "-A", "-B", "-A-B", "-0", "-1")] + ["O"],
}
PATTERNS = {"BIO": "(O |B(%(k)s) (I(%(k)s) )*)*$", "BIOES": "(O |S(%(k)s) |B(%(k)s) (I(%(k)s) )*E(%(k)s) )*$"}


@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_spell(scheme, data):
    tags = data.draw(st.lists(st.sampled_from(ANY_TAGS[scheme]), max_size=12))
    spelled = schemes.retag(tags, scheme)
    assert chunks(spelled) == chunks(tags)
    assert schemes.well_formed(spelled, scheme)
    assert schemes.retag(spelled, scheme) == spelled
    if schemes.well_formed(tags, scheme) and not {"-0", ""} <= {tag[1:] for tag in tags if tag != "O"}:
        assert spelled == tags
    # The rules a second time, by regular expression, and no type but those that were there.
    kinds = sorted({tag[1:] for tag in tags if tag != "O"})
    assert {tag[1:] for tag in spelled if tag != "O"} <= set(kinds)
    one_kind = "|".join(
        PATTERNS[scheme].replace("$", "").replace("%(k)s", re.escape(kind)).replace("O |", "") for kind in kinds
    )
    assert re.match(f"(O |{one_kind})*$" if kinds else "(O )*$", "".join(tag + " " for tag in spelled))


@pytest.mark.parametrize(
    "tags,bio,bioes",
    [
        ("I-A I-A O I-B", "B-A I-A O B-B", "B-A E-A O S-B"),
        ("B-A I-B B-B", "B-A B-B B-B", "S-A S-B S-B"),
        ("B-A", "B-A", "S-A"),
        ("B-0 O I-0 I-0", "B-0 O B-0 I-0", "S-0 O B-0 E-0"),
        ("O O", "O O", "O O"),
        ("", "", ""),
    ],
)
def test_spell_by_hand(tags, bio, bioes):
    assert schemes.retag(tags.split(), "BIO") == bio.split()
    assert schemes.retag(tags.split(), "BIOES") == bioes.split()
