"""Reading CoNLL-style files: what counts as a line, a column, a sentence, and what each kind of bad input is told."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bert.system.errors import UserError
from train.data.columns import FIRST_AND_LAST, Format
from train.data.conll import Sentence, check_tags, read_conll

# Characters that Python's own line or word splitting would stumble over, each a word of some corpus.
ODD = [
    "\u2028",
    "\u2029",
    "\x85",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1d",
    "\x1e",
    "\u00a0",
    "\u3000",
    "\u200b",
    "\ufeff",
    "\x00",
]


@pytest.fixture
def read(tmp_path):
    """`read(content)`: the sentences of a file with these bytes, or this text in UTF-8."""

    def write_and_read(content):
        path = tmp_path / "data.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return read_conll(str(path))

    return write_and_read


def test_two_sentences(read):
    assert read("Ann B-PER\nleft O\n\nParis B-LOC\n\n") == [
        Sentence(["Ann", "left"], ["B-PER", "O"], 1),
        Sentence(["Paris"], ["B-LOC"], 4),
    ]


PLAIN = "Ann B-PER\nleft O\n\nParis B-LOC\n\n"


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        "\ufeff" + PLAIN.replace("\n", "\r\n"),
        PLAIN.replace(" ", "\t"),
        PLAIN.replace(" ", " \t  "),
        " Ann B-PER\n\tleft O \n\nParis B-LOC\t\n\n",
        "Ann NNP I-NP B-PER\nleft\tVBD\tO \tO\n\nParis NNP . B-LOC\n\n",
        PLAIN[:-1],
        PLAIN[:-2],
        PLAIN[:-2] + "\r",
        PLAIN.replace("\n\n", "\n   \n"),
        PLAIN.replace("\n\n", "\n\t \t\r\n"),
    ],
)
def test_the_same_in_other_spellings(content, read):
    assert read(content) == read(PLAIN)


def test_empty_lines_and_docstart_divide_and_nothing_more(read):
    content = "\n\n-DOCSTART- -X- O O\n\na O\n-DOCSTART-\nb O\n\n\n \n-DOCSTART- O\nc O\nd O"
    assert read(content) == [
        Sentence(["a"], ["O"], 5, begins_document=True),
        Sentence(["b"], ["O"], 7, begins_document=True),
        Sentence(["c", "d"], ["O", "O"], 12, begins_document=True),
    ]


def test_only_the_whole_word_is_docstart(read):
    assert read("-DOCSTART-s x O\na -DOCSTART- O\n") == [Sentence(["-DOCSTART-s", "a"], ["O", "O"], 1)]


@pytest.mark.parametrize("char", ODD)
def test_odd_characters_are_words(char, read):
    content = f"a O\n{char} B-X\n{char}b{char} I-X\n\nc O\n"
    expected = [Sentence(["a", char, f"{char}b{char}"], ["O", "B-X", "I-X"], 1), Sentence(["c"], ["O"], 5)]
    assert read(content) == expected
    assert read(content.replace("\n", "\r\n")) == expected
    # A byte order mark goes away once, at the file's beginning only.
    assert read("\ufeff" + char + " O") == [Sentence([char], ["O"], 1)]


def test_a_carriage_return_ends_no_line(read):
    assert read("a\rb O\n\r O\nc O\r\n") == [Sentence(["a\rb", "\r", "c"], ["O", "O", "O"], 1)]


@pytest.mark.parametrize(
    "content,line,text",
    [
        (b"a O\nb\n", 2, "expected a word and its tag, found only 'b'"),
        (b"\xef\xbb\xbfa\n", 1, "found only 'a'"),
        (b"a O\n\n-DOCSTART-\n\nb  \t\r\n", 5, "found only 'b'"),
        (b"a O\n\xe2\x80\xa8\n", 2, r"a line with '\u2028' alone, which is no word"),
        ("a O\n\u4e2d \u6587 O\nx\ufffdy O\nab\n".encode("utf-8").replace(b"\xef\xbf\xbd", b"\xff"), 3, "byte 2"),
        ("\u5e74 O\n".encode("gbk"), 1, "byte 1 of the line is not UTF-8; expected a UTF-8 file"),
        (b"a O\nb O\n\n\xe4\xb8", 4, "not UTF-8"),
        (b"a O\nb X\n", 2, "the tag 'X' is the model's own"),
        (b"a [CLS]\n", 1, "'[CLS]'"),
        (b"a O O\n\nb O [SEP]\r\n", 3, "'[SEP]'"),
        (b"a [PAD]", 1, "'[PAD]'"),
    ],
)
def test_bad_lines_are_named(content, line, text, read, tmp_path):
    with pytest.raises(UserError) as caught:
        read(content)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'data.txt'}:{line}: ") and text in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n", b"\r\n \n\t\n", b"-DOCSTART- -X- O\n\n"])
def test_files_without_a_sentence(content, read, tmp_path):
    with pytest.raises(UserError) as caught:
        read(content)
    assert str(caught.value) == f"{tmp_path / 'data.txt'}: no sentence in it; expected one word and its tag per line"


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "missing.txt"):
        with pytest.raises(UserError, match=f"^{re.escape(str(path))}: cannot be read: "):
            read_conll(str(path))


def test_an_unseen_tag_is_named_with_its_line(read):
    sentences = read("\n-DOCSTART-\n\na O\nb B-A\n\nc O\nd I-A\n")
    check_tags("dev.txt", sentences, ["O", "B-A", "I-A", "X", "[CLS]", "[SEP]"])
    with pytest.raises(UserError) as caught:
        check_tags("dev.txt", sentences, ["O", "B-A", "X", "[CLS]", "[SEP]"])
    message = "dev.txt:8: the tag 'I-A' was not seen in training; expected O, B-A; to train with it, put it into "
    assert str(caught.value) == message + "train.txt or -label_list"


NOT_IN_A_COLUMN = " \t\n"
columns = st.text(
    st.one_of(
        st.sampled_from(ODD + ["\r", "-", "O"]),
        st.characters(blacklist_categories=("Cs",), blacklist_characters=NOT_IN_A_COLUMN),
    ),
    min_size=1,
    max_size=5,
)
# In a middle column these may look like the ends of the file's lines: each piece is then a word and a tag.
LINE_ENDS = set("\r\x85\u2028\u2029")
words = columns.filter(lambda word: word != "-DOCSTART-")
tags = columns.filter(lambda tag: tag not in ("X", "[CLS]", "[SEP]", "[PAD]") and not tag.endswith("\r"))
corpora = st.lists(st.lists(st.tuples(words, tags), min_size=1, max_size=5), min_size=1, max_size=5)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    corpus=corpora,
    middle=st.lists(columns.filter(lambda column: not set(column) & LINE_ENDS), max_size=2),
    gap=st.sampled_from([" ", "\t", "  ", "\t \t"]),
    end=st.sampled_from(["\n", "\r\n"]),
    blank=st.sampled_from(["", " ", "\t\t", "-DOCSTART- -X- O"]),
    final=st.booleans(),
    mark=st.booleans(),
)
def test_round_trip(tmp_path_factory, corpus, middle, gap, end, blank, final, mark):
    lines, expected = [], []
    for sentence in corpus:
        first_line = len(lines) + 1
        begins = bool(expected) and blank.startswith("-DOCSTART-")
        read = Sentence(
            [word for word, _ in sentence], [tag for _, tag in sentence], first_line, begins_document=begins
        )
        expected.append(read)
        lines += [gap.join([word] + middle + [tag]) for word, tag in sentence] + [blank]
    text = end.join(lines) if final else end.join(lines[:-1])
    content = ("\ufeff" * mark + text).encode("utf-8")
    # Without a mark of the file's own, one that begins its first word is taken for it.
    if not mark and content.startswith(b"\xef\xbb\xbf"):
        content = b"\xef\xbb\xbf" + content
    path = tmp_path_factory.getbasetemp() / "round_trip.txt"
    path.write_bytes(content)
    # Named columns and comments are not checked: words at random may look like numbers or comments.
    assert read_conll(str(path), Format(FIRST_AND_LAST, "")) == expected
