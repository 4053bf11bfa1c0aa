"""Files that look like words and their tags and are something else: each is refused, or said, in one line."""

import logging

import pytest

from bert.system.errors import UserError
from train.data import corpus
from train.data.columns import Format, format_of_flags
from train.data.conll import inspect

NAMES = ["Ann", "Lee", "went", "to", "Rome", "."]
TAGS = ["B-PER", "I-PER", "O", "O", "B-LOC", "O"]
PLAIN = [f"{word} {tag}" for word, tag in zip(NAMES, TAGS)]


def sentences(rows, times=5):
    return ("\n".join(rows) + "\n\n") * times


@pytest.mark.parametrize("mark,name", [("\x85", "U+0085"), ("\u2028", "U+2028"), ("\u2029", "U+2029")])
def test_lines_that_end_at_another_mark(mark, name, read, refused):
    content = sentences(PLAIN).replace("\n", mark)
    assert refused(content).startswith(f"1: its lines end at {name} alone; expected LF or CRLF (perl -CSD ")
    assert read(f"Ann B-PER\n{mark} O\na{mark}b O\n")[0].words == ["Ann", mark, f"a{mark}b"]


@pytest.mark.parametrize(
    "space,remedy", [("\r", " (tr -d '\\r' < OLD > NEW writes such a file)"), ("\xa0", ""), ("\u3000", "")]
)
def test_a_line_of_white_space_is_no_word(space, remedy, refused):
    expected = f"3: a line with {space!r} alone, which is no word; expected an empty line between sentences{remedy}"
    assert refused(f"Ann B-PER\nran O\n{space}\r\nLee B-PER\n") == expected


@pytest.mark.parametrize(
    "row,before,flags",
    [
        ("{id} {word} {tag}", "", "-columns word=2,tag=3"),
        ("{id} 0 {i} {word} NN {brackets} -", "#begin document (a)\n", "-comment '#' -columns word=4,tag=6"),
    ],
)
def test_a_first_column_that_names_the_sentence_is_refused(row, before, flags, refused, path):
    """Once in each sentence it is the same in all its lines, and no language has such words."""
    brackets = ["(PER*", "*)", "*", "*", "(LOC)", "*"]
    rows = [
        row.format(id="{0}", i=i, word=word, tag=tag, brackets=of_word)
        for i, (word, tag, of_word) in enumerate(zip(NAMES, TAGS, brackets))
    ]
    content = "".join(before + "\n".join(rows).format(f"doc_{i}") + "\n\n" for i in range(5))
    message = refused(content)
    assert (
        "is the same in all lines of a sentence ('doc_0, doc_0, doc_0')" in message and f"expected {flags} (" in message
    )
    found = message.partition(" -columns ")[2].split(" ")[0]
    if before:
        with pytest.raises(UserError, match=r"tags in brackets, as CoNLL-2012 has them \(:.*; expected one tag for"):
            corpus.summarize(str(path), 1, format_of_flags(columns=found, comment="#"))
    else:
        assert corpus.summarize(str(path), 1, format_of_flags(columns=found)).tags == set(TAGS)


def test_words_with_the_code_of_their_language_are_refused(read, refused):
    content = sentences([f"en:{row}" for row in PLAIN])
    assert refused(content).startswith(
        "1: each word begins with 'en:' ('en:Ann'), as in WikiAnn; expected the word alone"
    )
    assert read(content, columns="word=1,tag=last")[0].words == [f"en:{name}" for name in NAMES]
    assert read(content + "Ann B-PER\n")[-1].words == ["Ann"]  # of some words it may be meant


def test_a_sentence_and_its_tags_in_one_row_are_refused(read, refused):
    content = "Ann went\tB-PER O\n" * 3 + "Lee\tB-PER\n"
    assert refused(content).startswith(
        "1: a whole sentence ('Ann went') and the tags of all its words ('B-PER O'); expect"
    )
    assert read(content.replace("\tB-PER O", "\tB-PER"))[0].words == ["Ann went"] * 3 + ["Lee"]


def test_commas_in_most_lines_are_named(refused):
    """A table of a spreadsheet: its header and its first words have spaces."""
    rows = ["Sentence #,Word,Tag"] + [f"Sentence: {i},Ann,B-PER\n,went,O\n,.,O" for i in range(5)]
    assert refused("\n".join(rows)).startswith("3: ',went,O', with ',' before the tag, as in other lines; expected a")
    assert refused("word,tag\nAnn,B-PER\nwent,O\n").startswith("2: 'Ann,B-PER', with ',' before the tag")


@pytest.mark.parametrize(
    "content", ['{"text": "Ann ran", "label": [[0, 3, "A"]]}\n', '[{"text": "a"},\n{"text": "b"}]']
)
def test_json_is_for_files_of_another_name(content, read, refused):
    message = refused(content)
    assert message.startswith("1: JSON, '") and message.endswith("read from a file whose name ends with .jsonl")
    assert read('{" O\n[ B-X\n')[0].words == ['{"', "["]


def test_quotation_marks_of_a_spreadsheet_are_said(path, caplog):
    caplog.set_level(logging.INFO)
    content = 'Ann\tB-PER\n","\tO\n"York"\tB-LOC\n"\tO\n'
    for written in (content, content + "a \tO\n"):  # read at once, and line by line
        caplog.clear()
        path.write_text(written)
        inspect(str(path), Format())
        assert "2 lines have a column in quotation marks, as spreadsheets write them (first 2)" in caplog.text
