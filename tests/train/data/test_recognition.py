"""Recognition of schemes: corpora written in each of them, with and without slips, and other ways to spell tags."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert.system.errors import UserError
from tests.train.data.test_schemes import SHAPES, write
from train import conlleval, mymetrics
from train.data import recognition, schemes, spelling
from train.data.conll import Sentence
from train.data.corpus import summarize
from train.inference.entities import Token, entities

TYPES = ["PER", "LOC", "A-B"]


def random_corpus(rng, sentences=80):
    """Sentences as (entities, length), with entities of one and of several words, some of which touch."""
    corpus = []
    for _ in range(sentences):
        found, at = [], 0
        for _ in range(rng.randint(0, 5)):
            at += rng.choice([0, 0, 1, 2])
            stop = at + rng.choice([1, 1, 2, 3, 4])
            found.append((rng.choice(TYPES), at, stop))
            at = stop
        corpus.append((found, at + rng.choice([1, 2])))
    return corpus


def separate(scheme, corpus):
    """The corpus without the entities that a scheme cannot write: IO joins those of one type that touch."""
    if scheme != "IO":
        return corpus
    kept = []
    for found, length in corpus:
        chosen = []
        for entity in found:
            if not chosen or (chosen[-1][0], chosen[-1][2]) != entity[:2]:
                chosen.append(entity)
        kept.append((chosen, length))
    return kept


def tagged(scheme, corpus):
    return [write(scheme, found, length) for found, length in separate(scheme, corpus)]


def sentences_of(tags):
    found, line = [], 1
    for of_sentence in tags:
        found.append(Sentence(["w"] * len(of_sentence), of_sentence, line))
        line += len(of_sentence) + 1
    return found


def recognise(tags, name=None):
    sentences = sentences_of(tags)
    transitions = recognition.count_transitions(tags)
    return recognition.recognise(transitions, lambda reading: recognition.slips(reading, sentences), "in", name)


@pytest.mark.parametrize("scheme", SHAPES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), bare=st.booleans())
def test_all_readers_agree_on_a_corpus_of_each_scheme(scheme, seed, bare):
    rng = random.Random(seed)
    corpus, other = random_corpus(rng), random_corpus(rng)
    corpus = separate(scheme, corpus)
    tags = tagged(scheme, corpus)
    if bare and scheme == "IO":
        tags = [[tag[2:] if tag != "O" else tag for tag in each] for each in tags]
    reading, found = recognise(tags)
    assert reading == recognition.Reading(scheme, {}, frozenset()) and found.count == 0
    # Predicted: the tags of other sentences, cut to the same lengths, so that they are often not well-formed.
    predicted = [(a + ["O"] * len(b))[: len(b)] for a, b in zip(tagged(scheme, other), tags)]
    counts, right, given, guessed = conlleval.EvalCounts(), 0, 0, 0
    for (expected, _), gold, guess in zip(corpus, tags, predicted):
        counts.add_sentence(gold, guess, scheme)
        assert schemes.entities(gold, scheme) == expected
        tokens = [Token("w", 2 * i, 2 * i + 1, tag, 1.0) for i, tag in enumerate(gold)]
        of_text = [(e.type, e.start // 2, e.end // 2 + 1) for e in entities(" ".join("w" * len(gold)), tokens, scheme)]
        assert of_text == expected
        guess = schemes.entities(guess, scheme)
        right, given, guessed = right + len(set(expected) & set(guess)), given + len(expected), guessed + len(guess)
    assert (counts.correct_chunk, counts.found_correct, counts.found_guessed) == (right, given, guessed)
    table = mymetrics.entity_table(tags, predicted, scheme)
    micro = [line.split() for line in table.split("\n") if "micro avg" in line][0]
    overall, _ = conlleval.metrics(counts)
    assert micro[2:] == [f"{overall.prec:.4f}", f"{overall.rec:.4f}", f"{overall.fscore:.4f}", str(given)]


LOOKS = {  # what a slip makes of a tag
    "lower-case prefix": lambda tag: tag[0].lower() + tag[1:],
    "zero": lambda tag: "0",
    "unknown prefix": lambda tag: "Q" + tag[1:],
    "no prefix": lambda tag: tag[2:],
    "underscore": lambda tag: tag.replace("-", "_", 1),
    "outside": lambda tag: "O",
    "noise": lambda tag: "?",
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("scheme", SHAPES)
def test_slips_of_any_look_are_tolerated_and_listed(scheme, look):
    rng = random.Random(7)
    tags = tagged(scheme, random_corpus(rng, 300))
    places = [(i, j) for i, each in enumerate(tags) for j, tag in enumerate(each) if tag != "O"]
    sentences = sentences_of(tags)
    for share in (0, 0.01, 0.02):
        chosen = sorted(rng.sample(places, int(share * len(places))))
        slipped = [list(each) for each in tags]
        for i, j in chosen:
            slipped[i][j] = LOOKS[look](tags[i][j])
        reading, found = recognise(slipped)
        assert reading.scheme == scheme
        lines = {sentences[i].line_of(j) for i, j in chosen}
        if look != "outside":  # which leaves well-formed tags at times
            assert found.count == len(chosen)
            assert {line for line, _ in found.first} == set(sorted(lines)[:10])
        read = {reading.spelling.get(tag, tag) for each in slipped for tag in each}
        assert read <= {"O"} | {f"{letter}-{kind}" for letter in schemes.prefixes(scheme)[1:] for kind in TYPES}


def test_more_than_a_few_slips_are_no_scheme():
    tags = [["B-A", "I-A", "O"]] * 90 + [["O", "I-A", "O"]] * 10
    assert recognise(tags)[0] == recognition.AS_THEY_STAND  # conlleval reads them in any order
    assert recognise(tags, "BIO")[0].scheme == "BIO"
    tags = [["B-A", "L-A", "U-B"]] * 90 + [["O", "L-A", "O"]] * 10
    with pytest.raises(UserError, match=r"in: the tags look like BILOU, but 10 of 280 break it \(:362 'L-A' after 'O'"):
        recognise(tags)
    assert recognise(tags, "BILOU")[0].scheme == "BILOU"
    assert recognise(tags, recognition.NONE)[0] == recognition.AS_THEY_STAND


PLAIN = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-LOC", "O"]] * 30


@pytest.mark.parametrize(
    "respell",
    [
        lambda tag: "0" if tag == "O" else tag,
        lambda tag: "\u041e" if tag == "O" else tag,
        lambda tag: "_" if tag == "O" else tag,
        lambda tag: "OTHER" if tag == "O" else tag,
        lambda tag: tag[0].lower() + tag[1:],
        lambda tag: "-".join(tag.split("-")[::-1]),
        lambda tag: "_".join(tag.split("-")[::-1]),
        lambda tag: tag.replace("-", "_"),
        lambda tag: tag.replace("B", "\u0412"),
    ],
)
def test_other_spellings_are_read_where_there_is_one_reading(respell):
    reading, found = recognise([[respell(tag) for tag in each] for each in PLAIN])
    assert reading.scheme == "BIO" and found.count == 0
    tags = {tag for each in PLAIN for tag in each}
    assert reading.spelling == {respell(tag): tag for tag in tags if respell(tag) != tag}


@pytest.mark.parametrize("tags", ["I-A B-B", "B-B", "I-A", "B-A B-B I-A", "E-E I-I O", "S-B S-S B-I E-I"])
def test_types_that_look_like_prefixes_are_types(tags):
    assert recognise([tags.split()] * 3)[0].spelling == {}


def test_bmewo_is_bmes_and_untyped_tags_are_a_scheme():
    reading, _ = recognise([["B-A", "M-A", "E-A", "W-A", "O"]] * 9)
    assert (reading.scheme, reading.spelling) == ("BMES", {"W-A": "S-A"})
    assert recognise([["B", "M", "E", "S", "B", "E"]] * 9)[0] == recognition.Reading("BMES", {}, frozenset())
    assert recognise([["B", "I", "O", "B"]] * 9)[0].scheme == "BIO"
    assert recognise([["O", "O"]])[0].scheme is None


@pytest.mark.parametrize("dash", "\u2010\u2011\u2013\u2212\uff0d")
def test_dashes_of_word_processors_are_hyphens(dash):
    tags = [[f"B{dash}A", f"I{dash}A", "O", f"B{dash}C"]] * 3
    reading, found = recognise(tags)
    assert reading.scheme == "BIO" and found.count == 0
    assert reading.spelling == {f"B{dash}A": "B-A", f"I{dash}A": "I-A", f"B{dash}C": "B-C"}


@pytest.mark.parametrize(
    "begin,inside",
    [("B{}", "I{}"), ("begin-{}", "inside-{}"), ("{}-begin", "{}-inner"), ("{}_start", "{}_in"), ("首{}", "中{}")],
)
def test_other_spellings_of_prefixes_are_no_types(begin, inside):
    """As types they would be counted as twice as many entities."""
    kinds = ["PER", "LOC"]
    tags = [[begin.format(kind), inside.format(kind), inside.format(kind), "O", begin.format(kind)] for kind in kinds]
    with pytest.raises(UserError, match="alone, like a prefix and a type") as caught:
        recognise(tags)
    assert f"(:7 {begin.format('LOC')!r}, :8 " in str(caught.value) and "-tag_scheme IO" in str(caught.value)
    assert recognise(tags, "IO")[0].scheme == "IO"


@pytest.mark.parametrize(
    "tags",
    [
        ["first-name last-name O", "O city O", "first-name last-name city O"],  # one such pair may be of types
        ["BLOC O ILOC", "BPER O IPER", "BLOC ILOC O"],
        ["BLOC ILOC O", "BLOC IPER O", "BPER ILOC IPER O"],
    ],
)
def test_types_that_stand_elsewhere_too_are_types(tags):
    assert recognise([each.split() for each in tags])[0] == recognition.Reading("IO", {}, frozenset())


def test_half_of_the_tags_with_prefixes_are_not_another_spelling():
    tags = [["PER", "O", "LOC", "O"]] * 9 + [["B-PER", "I-PER", "O", "B-LOC", "I-LOC"]] * 4
    with pytest.raises(UserError, match=r"the tags look like IO, but \d+ of \d+ break it"):
        recognise(tags)


def test_numbers_are_no_types():
    tags = [["3", "4", "0", "1"]] * 3
    with pytest.raises(UserError, match="4 tags of no scheme .*-tag_scheme IO if each is a type"):
        recognise(tags)
    assert recognise(tags, "IO")[0].scheme == "IO"


@pytest.mark.parametrize("separator", "|,/;+&#")
def test_several_tags_in_one_are_refused(separator):
    tags = [[f"B-A{separator}B-C", f"I-A{separator}I-C", "O", "B-A"]] * 3
    with pytest.raises(UserError, match="several tags in one .*expected one tag for each word"):
        recognise(tags)
    assert recognise(tags, "BIO")[0].scheme == "BIO"
    assert recognise([[f"B-A{separator}x", "O"]] * 3)[0] == recognition.Reading("BIO", {}, frozenset())


def test_a_column_of_words_is_refused_with_its_lines():
    rng = random.Random(0)
    tags = [[f"word{rng.randrange(300)}" for _ in range(8)] for _ in range(50)]
    with pytest.raises(UserError) as caught:
        recognise(tags)
    assert str(caught.value).startswith("in: ") and f"(:1 {tags[0][0]!r}, :2 {tags[0][1]!r}" in str(caught.value)
    assert "-tag_scheme IO" in str(caught.value) and len(str(caught.value)) <= 300
    assert recognise(tags, "IO")[0].scheme == "IO"


def test_the_scheme_and_the_slips_of_a_file(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("".join("a B-A\nb I-A\nc O\n\n" for _ in range(99)) + "a b-A\nb I-A\nc 0\n\n", encoding="utf-8")
    corpus = summarize(str(path))
    assert (corpus.scheme, corpus.tags) == ("BIO", {"B-A", "I-A", "O"})
    assert corpus.slips == (2, [(397, "'b-A' (read as B-A)"), (399, "'0' (read as O)")])
    slips = "2 tags break the scheme: :397 'b-A' (read as B-A), :399 '0' (read as O)"
    assert corpus.said == ("tagging scheme BIO; tags B-A, I-A", "", slips, "", "")


def test_dev_and_test_are_read_as_the_training_data(caplog):
    labels = ["O", "B-PER", "I-PER", "X", "[CLS]", "[SEP]"]
    reading = recognition.Reading("BIO", {"_": "O"}, frozenset())
    given = [Sentence(["a"] * 5, ["PER-B", "I-PER", "_", "0", "B-NEW"], 3)]
    read, found = spelling.spelled(given, labels, reading, "dev.txt")
    assert read[0].tags == ["B-PER", "I-PER", "O", "O", "B-NEW"]
    assert found == {"PER-B": "B-PER", "_": "O", "0": "O"}
    assert (
        "dev.txt: tags read as others: '0' (1) as O, 'PER-B' (1) as B-PER, '_' (1) as O, first in line 3" in caplog.text
    )
    assert spelling.spelled(given, labels, recognition.AS_THEY_STAND, "dev.txt") == (given, {})


def test_what_breaks_the_scheme_of_the_training_data_is_said(caplog):
    """A dev set in BIO beside BIOES: its tags are all known, and its entities are read, so only the log shows it."""
    reading = recognition.Reading("BIOES", {}, frozenset())
    labels = ["O", "B-PER", "I-PER", "E-PER", "S-PER", "X", "[CLS]", "[SEP]"]
    sentences = [Sentence(["a"] * 4, ["B-PER", "I-PER", "O", "B-PER"], 3)]
    assert spelling.spelled(sentences, labels, reading, "dev.txt") == (sentences, {})
    expected = "2 tags break the scheme BIOES of the training data: :5 'O' after 'I-PER', :6 'B-PER' at the end"
    assert [record.getMessage() for record in caplog.records] == [f"dev.txt: {expected}"]
    caplog.clear()
    spelling.spelled(sentences, labels, reading._replace(scheme="BIO"), "dev.txt")
    spelling.spelled([Sentence(["a"] * 2, ["B-NEW", "I-PER"], 3)], labels, reading, "dev.txt")  # it will be refused
    assert not caplog.records


def test_types_that_look_alike_are_said(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("a B-PER\nb I-per\n\nc B-LOC\u200b\nd B-LOC\ne O\nf B-ORG\n" * 9, encoding="utf-8")
    expected = "types that look alike are learnt as different ones: 'LOC' and 'LOC\\u200b', 'PER' and 'per'"
    assert expected in summarize(str(path)).said


@pytest.mark.parametrize(
    "given,model,expected",
    [
        (None, None, None),
        ("BIO", {"scheme": "IOB1"}, "BIO"),
        (None, {"scheme": "BIOES"}, "BIOES"),
        (None, {"scheme": None}, "none"),  # an older run of tags that had no scheme goes on as before
        (None, {"scheme": "BIO", "spelling": {"0": "O"}}, None),
    ],
)
def test_a_run_that_goes_on_keeps_its_scheme(given, model, expected):
    assert spelling.scheme_to_find(given, model) == expected


@pytest.mark.parametrize("text,expected", [("bio", "BIO"), ("IOB2", "BIO"), ("BMEO", "BMES"), ("None", "none")])
def test_the_flag_knows_other_names(text, expected):
    assert recognition.scheme_flag(text) == expected
