"""The choice of a splitter, and the counts that it rests on."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert.system.workers import Workers
from tests.train.data.test_text import JOINED, SPLITTERS
from tests.train.data.test_units import LABELS, cut_tags, tagged
from train.data import splitting, units
from train.data.conll import Sentence
from train.data.text import CHARACTERS, MARKS, Splitter


def counts_of(*words):
    return splitting.WordCounts.of([Sentence(list(words), ["O"] * len(words), 1)])


@pytest.mark.parametrize(
    "words, splitter",
    [
        ("1 9 9 7 年 北 京", CHARACTERS),
        ("北 京 ， 2008 年", MARKS),
        ("A 股 上 涨 1 2 点 , IBM", CHARACTERS),
        ("I am a man .", MARKS),
        ("北 京", MARKS),
        ("", MARKS),
    ],
)
def test_letters_apart(words, splitter):
    assert counts_of(*words.split()).splitter() == splitter


@pytest.mark.parametrize(
    "words, inner, leading, trailing",
    [
        ("a-b c-d Groß-Gerau - x", "-", "", ""),
        ("a-b c-d x y", "", "", ""),  # twice is no custom
        ("a-b c-d e-f " + "gg - hh " * 60, "", "", ""),  # hyphens are words of their own here
        ("@ann ab @bob ab @user @ x", "", "@", ""),
        ("ab user_ ab user_ ab c_ d", "", "", "_"),
        ("ab_cd ef_gh ij_kl", "_", "", ""),
        ("U.S. U.K. U.N. ab . cd .", ".", "", ""),  # a full stop at a word's end is never part of it
        ("do n't ca n't wo n't Ann 's", "", "", ""),  # Ann's would come out as one word
        ("do n't ca n't wo n't O'Hara O'Neill", "'", "", ""),
        ("(a (b (c 'a 'b 'c a) b) c) \"x \"y \"z", "", "", ""),  # brackets and quotes never
        ("a-中 b-中 c-中 中-d 中-e 中-f", "", "-", "-"),
    ],
)
def test_marks_that_join(words, inner, leading, trailing):
    assert counts_of(*words.split()).splitter() == Splitter("together", inner, leading, trailing)


@given(st.lists(st.lists(tagged("BIOES"), max_size=3), max_size=3))
def test_counts_of_blocks_add_up(blocks):
    whole = splitting.WordCounts.of([sentence for block in blocks for sentence in block])
    added = splitting.WordCounts()
    for block in blocks:
        added.update(splitting.WordCounts.of(block))
    assert added == whole
    words = [word for block in blocks for sentence in block for word in sentence.words]
    assert whole.words == len(words)
    for splitter in [*SPLITTERS, whole.splitter()]:
        assert whole.several(splitter) == sum(len(units.units_of(word, splitter)) > 1 for word in words)
        cutting = units.Cutting(splitter, "BIOES", tuple(LABELS))
        cut = {tag for block in blocks for sentence in cut_tags(block, cutting) for tag in sentence.tags}
        tags = {tag for block in blocks for sentence in block for tag in sentence.tags}
        assert cut <= tags | whole.unit_tags(splitter, "BIOES")


def test_counts_travel_between_processes():
    with Workers(1, None, fresh=True) as workers:
        (found,) = workers.map(_counts, [("a-b", "c")])
    assert found == counts_of("a-b", "c")


def _counts(_, words):
    return counts_of(*words)


@pytest.mark.parametrize(
    "words, splitter, word_units, said",
    [
        ("Ann ran", MARKS, "text", "f: plain text cuts 0 of 2 words into several"),
        (
            "U.S. don't " + "x-" * 30,
            *(MARKS, "text"),
            "f: plain text cuts 3 of 3 words into several, such as U.S. don't; the model learns their parts, as text "
            "has them (-word_units text)",
        ),
        (
            *("U.S.", MARKS, "words"),
            "f: plain text cuts 1 of 1 words into several, such as U.S.; the model learns them whole, unlike text "
            "(-word_units words)",
        ),
        (
            *("1 9 ab", CHARACTERS, "text"),
            "f: plain text cuts 1 of 3 words into several; the model learns their parts, as text has them (-word_units "
            "text); letters and digits are cut apart, as 2 of 3 words of them are single characters here",
        ),
        (
            *("a-b U.S @x", Splitter("together", "-_", "@", ""), "text"),
            "f: plain text cuts 1 of 3 words into several, such as U.S; the model learns their parts, as text has them "
            "(-word_units text); it leaves words whole at these marks, as the file does: inner -_, leading @",
        ),
    ],
)
def test_what_the_log_says(words, splitter, word_units, said):
    assert splitting.describe(counts_of(*words.split()), "f", splitter, word_units) == said


def test_white_space_in_a_word_parts_it():
    """As in files with tabs between columns: New York is one word there and two in text."""
    counts = splitting.WordCounts.of([Sentence(["New York", "ran"], ["B-LOC", "O"], 1)])
    assert counts.several(MARKS) == 1 and counts.unit_tags(MARKS, "BIO") == {"B-LOC", "I-LOC"}
    # A mark with spaces on both sides of it joins nothing.
    assert counts_of(*["a - b"] * 9).splitter() == MARKS
    assert counts_of(*["a-b c"] * 9).splitter() == Splitter("together", "-", "", "")


def test_a_text_joined_as_people_write_it_gives_the_words_of_the_file():
    """But for those that are cut finer, as training does too."""
    words = "RT @ann_lee Groß-Gerau in 3.5 U.S. -ed user_ #tag ."
    splitter = counts_of(*(words + " ").split() * 4).splitter()
    expected = [unit for word in words.split() for unit in units.units_of(word, splitter)]
    assert expected == ["RT", "@ann_lee", "Groß-Gerau", "in", "3.5", "U.S", ".", "-ed", "user_", "#tag", "."]
    assert list(units.units_of("RT @ann_lee Groß-Gerau in 3.5 U.S. -ed user_ #tag.", splitter)) == expected
    assert splitter != JOINED


def test_a_huge_word_takes_little_more_than_its_size_and_is_not_kept():
    """Its parts are not all looked at, and no function remembers it."""
    size = 200_000
    for word in ("a" * size, "北" * size, "a-" * (size // 2)):
        tracemalloc.start()
        try:
            assert counts_of(word, "ab").words == 2
            kept, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 20 * size and kept < size + (1 << 16), word[:2]
