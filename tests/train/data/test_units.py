"""Words to units and back: the units are those of plain text, and no tag is lost on the way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.data.test_text import SPLITTERS
from train.data import units
from train.data.conll import Sentence
from train.data.labels import PIECE
from train.data.schemes import SCHEMES, entities, prefixes, spread, well_formed
from train.data.text import MARKS, split_words

WORDS = st.sampled_from(
    ["Groß-Gerau", "U.S.", "don't", "'s", "...", "@user", "#MH17.", "3.5", "Ann", "x", "北京", "1997"]
    + ["\u200b", "e\u0301.", "New York", "Rio de\u00a0Janeiro - x", "a -"]
)
LABELS = ["O"] + [f"{prefix}-{kind}" for prefix in "BIESLUM" for kind in ("LOC", "PER")]
# How entities of one word and of several are written.
WRITTEN = {"BIO": "B BII", "BIOES": "S BIE", "BILOU": "U BIL", "BMES": "S BME", "IO": "I III", "IOE2": "E IIE"}
WRITTEN.update(IOB1="I III", IOE1="I III")


@st.composite
def tagged(draw, scheme):
    kinds = draw(st.lists(st.tuples(st.sampled_from([None, "LOC", "PER"]), st.integers(1, 3)), max_size=5))
    single, many = WRITTEN[scheme].split()
    tags, before = [], None
    for kind, length in kinds:
        prefixes = [single] if length == 1 else [many[0]] + [many[1]] * (length - 2) + [many[2]]
        if kind and kind == before and scheme == "IOB1":
            prefixes[0] = "B"
        if kind and kind == before and scheme == "IOE1":
            tags[-1] = f"E-{kind}"
        tags += [f"{prefix}-{kind}" if kind else "O" for prefix in prefixes]
        before = kind
    words = draw(st.lists(WORDS, min_size=len(tags), max_size=len(tags)))
    return Sentence(words, tags, 1)


def cut_tags(sentences, cutting):
    return list(units.cut_sentences(sentences, cutting))


@pytest.mark.parametrize("scheme", list(SCHEMES))
@pytest.mark.parametrize("splitter", SPLITTERS)
@settings(max_examples=25)  # of each scheme and each way to split
@given(st.data())
def test_from_words_to_units_and_back(scheme, splitter, data):
    sentences = data.draw(st.lists(tagged(scheme), max_size=3))
    cutting = units.Cutting(splitter, scheme, tuple(LABELS))
    cut = [units.cut(sentence.words, cutting) for sentence in sentences]
    of_units = cut_tags(sentences, cutting)
    assert [each.words for each in of_units] == [each.units for each in cut]
    back = units.word_tags(cut, [each.tags for each in of_units], scheme, False)
    for sentence, tags, each, here in zip(sentences, back, of_units, cut):
        text = " ".join(sentence.words)
        assert here.units == [text[start:end] for start, end in split_words(text, splitter)]
        has_units = [bool(units.units_of(word, splitter)) for word in sentence.words]
        assert tags == [tag if there else "O" for tag, there in zip(sentence.tags, has_units)]
        if all(has_units):  # the same entities, of all the units of their words
            assert well_formed(each.tags, scheme)
            found = entities(each.tags, scheme)
            places = [(kind, here.words[start], here.words[stop - 1] + 1) for kind, start, stop in found]
            assert places == entities(sentence.tags, scheme)


@pytest.mark.parametrize("scheme", list(SCHEMES))
@settings(max_examples=50)
@given(st.data())
def test_whatever_units_are_tagged_words_are_well_formed_where_they_have_to_be(scheme, data):
    words = data.draw(st.lists(WORDS, max_size=8))
    cut = units.cut(words, units.Cutting(MARKS, scheme, ()))
    labels = [label for label in LABELS if label[0] in prefixes(scheme)]
    count = len(cut.units)
    tags = data.draw(st.lists(st.sampled_from(labels), min_size=count, max_size=count))
    (found,) = units.word_tags([cut], [tags], scheme, True)
    assert len(found) == len(words) and well_formed(found, scheme)
    (free,) = units.word_tags([cut], [tags], None, False)
    first = [tags[cut.words.index(i)] if i in cut.words else "O" for i in range(len(words))]
    assert [tag.split("-")[1:] for tag in free] == [tag.split("-")[1:] for tag in first]  # the type is the first unit's


@pytest.mark.parametrize(
    "tag, scheme, expected",
    [
        ("B-LOC", "BIO", "B-LOC I-LOC I-LOC"),
        ("I-LOC", "BIO", "I-LOC I-LOC I-LOC"),
        ("S-LOC", "BIOES", "B-LOC I-LOC E-LOC"),
        ("B-LOC", "BIOES", "B-LOC I-LOC I-LOC"),
        ("E-LOC", "BIOES", "I-LOC I-LOC E-LOC"),
        ("O", "BIO", "O O O"),
        ("LOC", None, "LOC LOC LOC"),
        ("B-a-b", None, "B-a-b I-a-b I-a-b"),
    ],
)
def test_a_tag_over_three_units(tag, scheme, expected):
    assert spread(tag, 3, scheme) == expected.split()
    assert spread(tag, 1, scheme) == [tag]
    (sentence,) = cut_tags([Sentence(["U-S"], [tag], 1)], units.Cutting(MARKS, scheme, tuple(expected.split())))
    assert sentence.tags == expected.split() and sentence.words == ["U", "-", "S"]


def test_a_label_that_the_model_lacks():
    cutting = units.Cutting(MARKS, "BIO", ("O", "B-LOC"))
    (sentence,) = cut_tags([Sentence(["U-S", "Rome", "o-o"], ["B-LOC", "B-LOC", "O"], 1)], cutting)
    assert sentence.tags == ["B-LOC", PIECE, PIECE, "B-LOC", "O", "O", "O"]


def test_the_words_around_a_sentence_are_cut_too():
    cutting = units.Cutting(MARKS, "BIO", ("O",))
    given = Sentence(["x"], ["O"], 1, before=["Groß-Gerau", "\u200b"], after=["don't"])
    (cut,) = units.cut_sentences([given], cutting)
    assert (cut.words, cut.before, cut.after) == (["x"], ["Groß", "-", "Gerau"], ["don", "'", "t"])
    assert list(units.cut_sentences([given], None)) == [given]


def test_words_that_stay_whole():
    sentences = [Sentence(["U-S", "\u200b"], ["B-LOC", "O"], 1)]
    assert cut_tags(sentences, None) == sentences
    cut = units.cut(sentences[0].words, None)
    assert cut.units == sentences[0].words
    assert units.word_tags([cut], [["B-LOC", "O"]], "BIO", True) == [["B-LOC", "O"]]
    assert units.word_scores([cut], [[0.5, None]], None) == [[0.5, None]]


def test_a_word_is_as_sure_as_its_least_unit():
    cut = units.cut(["U-S", "\u200b", "Rome"], units.Cutting(MARKS, "BIO", ()))
    assert units.word_scores([cut], [[0.9, 0.5, 0.7, 0.8]]) == [[0.5, 1.0, 0.8]]
    assert units.word_scores([cut], [[0.9, None, 0.7, None]], None) == [[0.7, None, None]]
