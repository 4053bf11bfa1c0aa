"""Words of plain text and their offsets, against a second implementation and against the tokenizer itself."""

import json
import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert.tokenization import BasicTokenizer
from train.data.text import (
    ANYWHERE,
    MARKS,
    PAUSE,
    SENTENCE_END,
    Splitter,
    cut_places,
    sections,
    split_words,
)
from train.data.text import (
    CHARACTERS as SPELLED,
)

# What offsets go wrong at: marks, joined emoji, right to left, ligatures, line ends, what the tokenizer drops, what
# changes its length in lower case or when it is taken apart, ideographs beyond the first plane.
ODD = (
    "\u0301\u0323\u20e3\u0903\ufe0f \U0001f468\u200d\U0001f469 \U0001f1e9\U0001f1ea \ufb01\ufb03\ufdfa \r\n\u2028"
    "\u2029\x85\x0b\t\u05e9\u05c1\u05dc\u05d5 \u0645\u0631\u0652 \u00a0\u3000\u200b\u200e\u2066\ufeff\x00\x01\x7f\ufffd"
    "\u00adİßẞǅ한글각 é\u00e9≠\u1fef \u4e2d\U00020000\uf900。，！？…“”（）.,'-_$^|Ａ１\u0663Ⅷ\ud800"
)
CHARACTERS = st.one_of(st.text(max_size=3), st.sampled_from(ODD), st.sampled_from("ab 12中文。."))
texts = st.lists(CHARACTERS).map("".join)
# Marks of every kind, in one place and in several.
JOINED = Splitter("together", inner="-'.|_,", leading="@'#(_|^]", trailing="_+'\u2026)$|]")
SPLITTERS = [MARKS, SPELLED, JOINED]
marked_texts = st.lists(CHARACTERS | st.sampled_from("".join(JOINED[1:]) * 2 + "ab中\u0301\u200b ")).map("".join)


def kind(char):
    """Of the definition in DESIGN.md, section 4: the class of a character."""
    category = unicodedata.category(char)
    if char in "\t\n\r\u2028\u2029" or category == "Zs":
        return "space"
    if char in "\x00\ufffd" or category in ("Cc", "Cf"):
        return "nothing"
    blocks = "[\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f]"
    if category[0] == "P" or re.match(blocks, char) or re.match("[!-/:-@[-`{-~]", char):
        return "alone"
    return "mark" if category[0] == "M" else "letter"


def words_by_hand(text, splitter=MARKS):
    """Character by character, then mark by mark."""
    words, open_word, takes_letters = [], False, False
    for i, char in enumerate(text):
        what = kind(char)
        if what == "space":
            open_word = False
        elif what == "nothing":
            pass
        elif open_word and (what == "mark" or (what == "letter" and takes_letters)):
            words[-1] = (words[-1][0], i + 1)
        else:
            words.append((i, i + 1))
            open_word, takes_letters = True, what != "alone" and splitter != SPELLED
    return joined_by_hand(text, words, splitter)


@given(texts | marked_texts, st.sampled_from(SPLITTERS))
def test_words_against_a_second_implementation(text, splitter):
    words = split_words(text, splitter)
    assert words == words_by_hand(text, splitter)
    assert all(start < end for start, end in words)
    assert all(one[1] <= other[0] for one, other in zip(words, words[1:]))


def joined_by_hand(text, words, splitter):
    """The words by MARKS, those put together that the splitter says: by its description, pair by pair."""

    def touch(i, j):
        """Whether both words are there, and no space is between."""
        return 0 <= i < j < len(words) and all(kind(char) == "nothing" for char in text[words[i][1] : words[j][0]])

    def is_letters(i):
        return kind(text[words[i][0]]) in ("letter", "mark")

    def joins(i):
        """Whether word i belongs to word i - 1."""
        if not touch(i - 1, i):
            return False
        one, other = text[words[i - 1][0]], text[words[i][0]]
        if is_letters(i - 1) and not is_letters(i):
            letters_follow = touch(i, i + 1) and is_letters(i + 1)
            both = other in splitter.inner or (other in splitter.leading and other in splitter.trailing)
            return other in splitter.trailing or (both and letters_follow)
        if not is_letters(i - 1) and is_letters(i):
            letters_before = touch(i - 2, i - 1) and is_letters(i - 2)
            return one in splitter.leading or (one in splitter.inner and letters_before)
        return False

    joined = []
    for i, word in enumerate(words):
        if joins(i):
            joined[-1] = (joined[-1][0], word[1])
        else:
            joined.append(word)
    return joined


@given(texts, st.booleans())
def test_what_lies_between_words_is_nothing_to_the_tokenizer(text, do_lower_case):
    words = split_words(text)
    ends = [0] + [end for _, end in words]
    starts = [start for start, _ in words] + [len(text)]
    for end, start in zip(ends, starts):
        assert BasicTokenizer(do_lower_case).tokenize(text[end:start]) == []


@given(texts, st.booleans())
def test_tokens_of_the_words_are_those_of_the_text(text, do_lower_case):
    text = text.replace("Σ", "")  # its lower case depends on the next word
    tokenize = BasicTokenizer(do_lower_case).tokenize
    words = [text[start:end] for start, end in split_words(text)]
    tokens = [token for word in words for token in tokenize(word)]
    assert tokens == tokenize(" ".join(words))
    marked_alone = [word for word in words if kind(word[0]) == "alone" and len(word) > 1]
    if not marked_alone:
        assert tokens == tokenize(text)


@pytest.mark.parametrize(
    "text,words",
    [
        ("ab\u200bcd \u200bx\u200b", ["ab\u200bcd", "x"]),
        ("北京 2008年", ["北", "京", "2008", "年"]),
        ("e\u0301a 中\u0301b \u0301", ["e\u0301a", "中\u0301", "b", "\u0301"]),
        ("#\ufe0f\u20e3b", ["#\ufe0f\u20e3", "b"]),
        ("\U0001f468\u200d\U0001f469 !", ["\U0001f468\u200d\U0001f469", "!"]),
        ("a\r\nb\u2028c\x85d", ["a", "b", "c\x85d"]),
        ("שלום, عالم", ["שלום", ",", "عالم"]),
        ("ﬁn \u00adsoft\u00adhyphen", ["ﬁn", "soft\u00adhyphen"]),
        ("\ufffd\x00 \ufeff", []),
        ("", []),
    ],
)
def test_words_by_hand(text, words):
    assert [text[start:end] for start, end in split_words(text)] == words


@given(marked_texts)
def test_a_part_of_whole_words_is_cut_as_the_whole_text_is(text):
    """As the client of a server relies on, which sends parts of a long text."""
    words = split_words(text, JOINED)
    for i in range(len(words)):
        for j in range(i, len(words)):
            start = words[i][0]
            expected = [(one - start, other - start) for one, other in words[i : j + 1]]
            assert split_words(text[start : words[j][1]], JOINED) == expected


@pytest.mark.parametrize(
    "text,words",
    [
        ("Groß-Gerau - x-", ["Groß-Gerau", "-", "x", "-"]),
        ("RT @ann_lee: @ bob_ #MH17. #", ["RT", "@ann_lee", ":", "@", "bob_", "#MH17", ".", "#"]),
        ("-a _b a-中 中-a", ["-", "a", "_b", "a", "-", "中", "中", "-", "a"]),
        ("a-b-c a--b @@a a__b", ["a-b-c", "a", "-", "-", "b", "@", "@a", "a_", "_b"]),
    ],
)
def test_marks_that_join(text, words):
    splitter = Splitter("together", inner="-", leading="@#_", trailing="_")
    assert [text[start:end] for start, end in split_words(text, splitter)] == words


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_a_splitter_in_json(splitter):
    value = json.loads(json.dumps(splitter.to_json()))
    assert Splitter.from_json(value) == splitter
    assert (value == "marks", value == "characters") == (splitter == MARKS, splitter == SPELLED)


@pytest.mark.parametrize(
    "value", [None, "edges", [], {}, {"inner": "-"}, {"inner": "a", "leading": "", "trailing": ""},
              {"inner": ["-"], "leading": "", "trailing": ""}, {"inner": "中", "leading": "", "trailing": ""}]
)  # fmt: skip
def test_what_is_no_splitter(value):
    with pytest.raises(ValueError):
        Splitter.from_json(value)


def cuts(text):
    """The text with `|` where a pause is and `/` where a sentence ends."""
    words = split_words(text)
    sign = {ANYWHERE: "", PAUSE: "|", SENTENCE_END: "/"}
    return " ".join(sign[place] + text[start:end] for place, (start, end) in zip(cut_places(text, words), words))


@pytest.mark.parametrize(
    "text,expected",
    [
        ("我来了。你呢？！走吧", "我 来 了 。 /你 呢 ？ ！ /走 吧"),
        ("他说：“好。”然后，走了", "他 说 ： |“ 好 。 ” /然 后 ， |走 了"),
        ("3.14 or 1,000. Don't!", "3 . 14 |or |1 , 000 . /Don ' t !"),
        ('He said "yes." (She did.) So', 'He |said |" yes . " /( She |did . ) /So'),
        ("see example.org/a?b=c now", "see |example . org / a ? b = c |now"),
        ("一\n二\r\n三\u2028四", "一 /二 /三 /四"),
        ("你好.世界,再见", "你 好 . /世 界 , |再 见"),
        ("等等……对（好）的", "等 等 … … /对 （ 好 ） |的"),
        ("a - b", "a |- |b"),
    ],
)
def test_where_to_cut(text, expected):
    assert cuts(text) == expected


@given(texts)
def test_there_is_a_place_for_every_word(text):
    words = split_words(text)
    places = cut_places(text, words)
    assert len(places) == len(words) and set(places) <= {ANYWHERE, PAUSE, SENTENCE_END}
    assert places[:1] in ([], [ANYWHERE])
    for (_, end), (start, _), place in zip(words, words[1:], places[1:]):
        assert place == SENTENCE_END or "\n" not in text[end:start]
        assert place != ANYWHERE or " " not in text[end:start]


@pytest.mark.parametrize(
    "begin, repeated", [("", "\u200b"), ("a", "\u200b"), ("中", "\u0301\u200b"), ("", "a\u200b"), ("", ".")]
)
def test_a_long_text_takes_time_of_its_length(begin, repeated):
    """Ten times the text takes ten times as long, and not a hundred times."""

    def seconds(count):
        text = begin + repeated * count
        start = time.process_time()
        cut_places(text, split_words(text))
        return time.process_time() - start

    seconds(1000)  # what is computed once
    assert seconds(300000) < 40 * seconds(30000) + 0.2


def test_sections_end_at_sentences_and_are_the_whole_text():
    sentence = "Ann met Bob in Rome. "
    text = sentence * 1000
    found = sections(text, 5000)
    assert [start for start, _ in found[1:]] == [end for _, end in found[:-1]] and found[-1][1] == len(text)
    assert all(start % len(sentence) == 0 and end - start <= 5000 for start, end in found) and len(found) == 5
    assert sections("", 5000) == [(0, 0)] and sections(text) == [(0, len(text))]
    for other in ("北" * 12000, " " * 12000, "x" * 12000, "a " * 6000):  # where no sentence ends
        found = sections(other, 5000)
        assert 3 <= len(found) <= 15 and found[-1][1] == 12000
        words = [word for start, end in found for word in split_words(other[start:end])]
        assert len(words) == len(split_words(other)) or other[0] == "x"
