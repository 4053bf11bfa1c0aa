"""How the columns of a CoNLL-style file are found, and which files are refused, with the flag that reads them."""

import argparse
import logging

import pytest

from bert.system.errors import UserError
from train.data import conll
from train.data.columns import FIRST_AND_LAST, SPACE, TAB, Format, format_of_flags, parse_columns, split_columns
from train.data.conll import Sentence, check_tags, inspect, read_conll
from train.data.layout import resolve
from train.data.survey import survey

NAMES = ["Ann", "Lee", "went", "to", "Rome", "."]
TAGS = ["B-PER", "I-PER", "O", "O", "B-LOC", "O"]
OUTER = ["O", "O", "O", "O", "B-ORG", "O"]


def sentences(rows, times=5, before=""):
    """A file of so many equal sentences, each after these comment lines ({} is its number)."""
    return "".join(before.format(i) + "\n".join(rows) + "\n\n" for i in range(times))


PLAIN = [f"{word} {tag}" for word, tag in zip(NAMES, TAGS)]
COUNTED = ["\t".join([str(i), word, tag, outer]) for i, (word, tag, outer) in enumerate(zip(NAMES, TAGS, OUTER), 1)]
OUTER_ONLY = [row.rpartition("\t")[0] for row in COUNTED]
SOURCE = "#\thttp://a.org/{0}\t[2009-10-{0}]\n"
TEXT = "# sent_id = {}\n# text = Ann Lee went to Rome .\n"
CONLLU = ["\t".join([str(i), word, word.lower(), "X", tag]) for i, (word, tag) in enumerate(zip(NAMES, TAGS), 1)]


@pytest.mark.parametrize(
    "content,line,seen,flags",
    [
        # A source and a date before each sentence: as long as the rows, or not.
        (sentences(COUNTED, before=SOURCE), 2, "numbers", "-comment '# ' -columns word=2,tag=3 or tag=4"),
        (sentences(OUTER_ONLY, before=SOURCE), 2, "numbers", "-comment '# ' -columns word=2,tag=3"),
        (sentences(CONLLU, before=TEXT), 3, "numbers", "-comment '# ' -columns word=2,tag=5"),
        (sentences(COUNTED), 1, "'1, 2, 3'", "-columns word=2,tag=3 or tag=4"),
        # From 0, through the whole file, and the number of the sentence.
        ("\n\n".join(f"{i} Ann B-PER\n{i + 1} ran O" for i in range(0, 20, 2)), 1, "numbers", "-columns word=2,tag=3"),
        ("\n\n".join(f"{i} Ann B-PER\n{i} ran O" for i in range(10)), 1, "numbers", "-columns word=2,tag=3"),
        (sentences(["1-2 am _ O", "1 an _ O", "2 dem _ O", "3 Bonn _ B-LOC"]), 1, "4 col", "-columns word=2,tag=4"),
        (sentences([f"{i} word" for i in range(1, 7)]), 1, "numbers", "-columns word=2,tag=N"),
    ],
)  # fmt: skip
def test_a_first_column_of_numbers_is_refused_with_the_flags_that_read_it(content, line, seen, flags, refused):
    message = refused(content)
    assert message.startswith(f"{line}: the first of ") and seen in message and f"expected {flags} (" in message


def test_the_flags_that_are_named_read_the_file(read, refused):
    expected = [(NAMES, TAGS)] * 5
    germeval = sentences(COUNTED, before=SOURCE)
    found = read(germeval, columns="word=2,tag=3", comment="# ")
    assert [(each.words, each.tags) for each in found] == expected
    assert [each.line for each in found] == [2, 10, 18, 26, 34]
    assert [each.tags for each in read(germeval, columns="word=2,tag=4", comment="# ")] == [OUTER] * 5
    universal = sentences(CONLLU, before=TEXT)
    found = read(universal, columns="word=2,tag=last", comment="# ")
    assert [(each.words, each.tags) for each in found] == expected
    # With the columns alone, the comments are no words.
    assert "-comment '# ' passes over such lines" in refused(germeval, columns="word=2,tag=3")
    assert "-comment '# ' passes over such lines" in refused(universal, columns="word=2,tag=5")


@pytest.mark.parametrize(
    "before,comment",
    [
        ("# sent_id = {}\n", "# "),
        ("# id{}\n", "# "),  # as long as a row
        ("#id{}\ta/source\n", "#"),
        ("###MEDLINE:{}\n", "###"),
        ("% {} of five\n", "% "),
        ("// {} of five\n", "// "),
        ("<s {} x>\n", "<"),
    ],
)
def test_comment_lines_are_refused_with_the_flag_that_reads_them(before, comment, read, refused):
    content = sentences(PLAIN, before=before)
    message = refused(content)
    assert message.startswith("1: ") and f"-comment '{comment}'" in message
    assert [each.words for each in read(content, comment=comment)] == [NAMES] * 5


@pytest.mark.parametrize(
    "rows",
    [
        ["# O", "hash B-PER", "", "#tag O", "Mia B-PER", "", "# O", "won B-PER"],
        ["#1 B-RANK", "Mia B-PER", "", "#2 B-RANK", "Ann B-PER"],
        ["#tag B-HASHTAG", "is O", "", "#other B-HASHTAG", "was O", "", "% O", "# O"],
        ["1 O", "9 O", "9 B-TIM", "7 I-TIM", "", "3 O", "4 O", "5 O"],
        ["O B-X", "O O", "O O", "", "B-x O"],
        ["# PER", "hash LOC", "", "#tag PER", "Mia LOC", "", "# PER", "won O"],
        ["#a O", "Mia B-PER", "", "#b O", "Ann B-PER"],
        ["² O", "³ O", "9" * 5000 + " O", "9" * 5000 + " O"],
    ],
)
def test_words_that_look_like_something_else_stay_words(rows, read):
    rows = [*rows, ""]
    found = read("\n".join(rows * 3) + "\n")
    assert [word for each in found for word in each.words] == [row.split(" ")[0] for row in rows * 3 if row]


def test_what_is_numbers_after_all(read):
    content = sentences([f"{i} O" for i in range(1, 7)])
    assert read(content, columns="word=1,tag=last")[0].words == list("123456")


def test_a_comment_is_what_begins_so_and_nothing_else(read, refused):
    content = "# one two\nAnn B-PER\n#tag O\n\n#\tthree\n# four\n\nLee B-PER\n# inside\n# and\nran O\n# after\n"
    assert read(content, comment="# ") == [
        Sentence(["Ann", "#tag"], ["B-PER", "O"], 2),
        Sentence(["Lee", "ran"], ["B-PER", "O"], 8, (9, 10)),
    ]
    assert read(content, comment="#")[0] == Sentence(["Ann"], ["B-PER"], 2)
    assert "expected as many in each" in refused(content, comment="")
    last = read(content, comment="# ")[1]
    assert [last.line_of(i) for i in range(2)] == [8, 11]
    with pytest.raises(UserError, match="^dev:11: the tag 'O'"):
        check_tags("dev", [last], ["B-PER"])


@pytest.mark.parametrize(
    "content,line,text",
    [
        ("Ann B-PER\nLee NNP I-PER\nran O\n", 2, "3 columns ('Lee NNP I-PER'), but 2 in line 1 and most others (1 di"),
        ("a x O\nb O\nc x O\n", 2, "2 columns ('b O'), but 3 in line 1"),
        ("New York B-LOC\nran O\nAnn B-PER\n", 1, "3 columns ('New York B-LOC'), but 2 in line 2"),
        (sentences(PLAIN, 9) + "x " * 4000 + "O\n", 64, "4001 columns ('x x x"),
    ],
)  # fmt: skip
def test_rows_of_different_lengths_are_refused(content, line, text, read, refused):
    message = refused(content)
    assert message.startswith(f"{line}: {text}") and "-columns word=1,tag=last" in message
    first, last = zip(*((row.split()[0], row.split()[-1]) for row in content.split("\n") if row))
    found = read(content, columns="word=1,tag=last")
    assert [word for each in found for word in each.words] == list(first)
    assert [tag for each in found for tag in each.tags] == list(last)


def test_a_column_that_is_missing_is_named(refused):
    assert refused("a x O\nb O\n", columns="word=1,tag=3").startswith(
        "2: 2 columns ('b O'); expected 3 or more, as -co"
    )
    assert (
        refused("a\t\tO\nb c\tx\tO\n", columns="word=2,tag=3")
        == "1: the column of the word is empty; expected text in it"
    )


@pytest.mark.parametrize(
    "rows",
    [
        ["Ann -X- _ B-Full name", "ran -X- _ O", "Rome -X- _ B-Work site 2"],
        ["Ann B-Full name", "ran O"],
        ["Ann B-Full name", "Lee I-Full name", "ran O", "", "Rome B-LOC"],
    ],
)
def test_a_tag_with_spaces_is_whole_or_refused(rows, read, refused):
    index = next(i for i, row in enumerate(rows) if " B-Full" in row)
    for flags in ({}, {"columns": "word=1,tag=last"}, {"columns": f"word=1,tag={len(rows[1].split()) or 2}"}):
        if flags and rows[1].startswith("Lee"):
            continue
        message = refused("\n".join(rows), **flags)
        assert message.startswith(f"{index + 1}: the tag 'B-Full name' has spaces") and "expected a tab" in message
    columns = [row.replace("Full name", "Full_name").replace("Work site 2", "Work_site_2").split(" ") for row in rows]
    whole = read("\n".join("\t".join(row).replace("_name", " name").replace("_site_", " site ") for row in columns))
    tags = {tag for each in whole for tag in each.tags}
    assert "B-Full name" in tags and ("B-Work site 2" in tags) == any("Work" in row for row in rows)


def test_tabs_keep_spaces_inside_columns(read, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    content = "New York\tB-LOC\nis\tO\n San  Juan City \t B-LOC \n\nit\tO\n-DOCSTART-\tO\n"
    assert read(content) == [
        Sentence(["New York", "is", "San  Juan City"], ["B-LOC", "O", "B-LOC"], 1),
        Sentence(["it"], ["O"], 5),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'data.txt'}: columns end at tabs, spaces stay in them in 2 lines (first 1)"
    ]
    # A file without such spaces is what it always was, and needs no word.
    caplog.clear()
    assert inspect(_written(tmp_path, "New\tB-LOC\nis\tO\n"), Format())[0] == Format(FIRST_AND_LAST, None, SPACE, 2)
    assert not caplog.records
    # A column that is empty here and there.
    assert read("a\t\tO\nb\tx\tO\n") == [Sentence(["a", "b"], ["O", "O"], 1)]


def _written(folder, content):
    path = folder / "more.txt"
    path.write_text(content, encoding="utf-8")
    return str(path)


def test_files_that_mix_separators_lose_no_word_in_silence(read, refused):
    message = refused("Ann B-PER\nNew York\tB-LOC\nran\tO\n")
    assert message.startswith("2: a tab, and spaces inside a column; line 1 has no tab") and "-separator" in message
    # Where both readings fit, the flag says which.
    content = "Ann NNP\tB-PER\nran VBD\tO\n"
    assert "2 columns at tabs, 3 at tabs and spaces" in refused(content)
    assert read(content, separator="space")[0].words == ["Ann", "ran"]
    assert read(content, separator="tab")[0].words == ["Ann NNP", "ran VBD"]
    # An empty word among rows with tabs.
    assert refused("a b\tO\n\tO\nc\tO\n") == "2: a tab and O, and no word before it; expected a word and its tag"


@pytest.mark.parametrize(
    "content",
    [
        b"Ann B-PER\rran O\r\rLee B-PER\r",
        b"Ann B-PER\rran O\r\rLee B-PER\r\n",
        "\ufeffAnn\tB-PER\rran\tO".encode("utf-8"),
    ],
)
def test_lines_that_end_at_cr_alone(content, refused):
    assert refused(content).startswith("1: its lines end at CR alone; expected LF or CRLF (tr '\\r' '\\n' < ")


@pytest.mark.parametrize(
    "row,flag",
    [
        ("{tag} {word}", "-columns word=2,tag=1 reads them"),
        ("{word} {tag} {word}", "-columns word=1,tag=2 reads them"),
        ("{word} {tag} _", "-columns word=1,tag=2 reads them"),
        ("{word} {tag} annotator{number}", "-columns word=1,tag=2 reads them"),
        ("{word} {tag} 0.97", "-columns word=1,tag=2 reads them"),
        ("{word} {tag} .{number}", "-columns word=1,tag=2 reads them"),
        ("{word} {tag} O", "-columns word=1,tag=2 reads them"),  # of nested entities there are none
        ("{word} {word}s", "-columns word=1,tag=N says where it is"),
    ],
)
def test_a_last_column_that_is_not_of_tags(row, flag, read, refused):
    words = [f"word{i}" for i in range(40)]
    tags = ["B-PER", "I-PER", "O", "O"] * 10
    numbered = enumerate(zip(words, tags))
    content = "\n".join(row.format(word=word, tag=tag, number=i % 9) for i, (word, tag) in numbered)
    message = refused(content)
    assert message.startswith(f"1: the last of {len(row.split())} columns (") and message.endswith(flag)
    if "reads" in flag:
        found = read(content, columns=flag.split(" ")[1])
        assert (found[0].words, found[0].tags) == (words, tags)


@pytest.mark.parametrize(
    "row",
    [
        "{word} NNP B-NP {tag}",  # as in CoNLL 2003
        "{word} NNP {tag}",
        "{word} B-NP NNP",  # which is trained on here
        "{word} B-NP 0",  # which is an error of another kind
        "{word} PER",
    ],
)
def test_what_may_be_tags_is_read(row, read):
    content = "\n".join(row.format(word=f"word{i}", tag=tag) for i, tag in enumerate(["B-PER", "O", "I-X", "O"] * 10))
    assert read(content)[0].tags == [line.split()[-1] for line in content.split("\n")]


@pytest.mark.parametrize("separator", list(",;|/_\uff0c\u00a0\u3000"))
def test_other_separators_are_named(separator, refused):
    rows = [f"{word}{separator}{tag}" for word, tag in zip(NAMES, TAGS)]
    text = refused(sentences(rows))
    assert text.startswith(f"1: {rows[0]!r}, with {separator!r} before the tag, as in other lines; expected a space or")


def test_words_alone_are_for_prediction(refused):
    text = refused(sentences(NAMES))
    assert text.startswith(
        "1: expected a word and its tag, found only 'Ann', and no tag in any line; words alone are for"
    )


def test_without_tags(tmp_path):
    """As train.predict reads: one column is enough, and the last one does not matter."""

    def found(content, **flags):
        lines = list(enumerate(content.split("\n"), 1))
        given = format_of_flags(**flags)
        return resolve(given, survey(lines, given.comment), "in", needs_tag=False)

    assert found("Ann\nran\n#\n") == Format(FIRST_AND_LAST, None, SPACE, 1)
    assert found("New York\tB-LOC\nran\tO").separator == TAB
    assert found("\n".join(f"word{i} {i}" for i in range(99))).width == 2
    assert found("") == Format(FIRST_AND_LAST, None, SPACE)
    for content, text in (
        ("\n".join(COUNTED), "expected -columns word=2 ("),
        ("# text = a b\nAnn\nran\nRome", "in:1: '# text = a b' is a comment"),
        ("Ann NNP\nran\nRome", "in:1: 2 columns ('Ann NNP'), but 1 in line 2"),
        ("Ann\rran\r\rRome", "in:1: its lines end at CR alone"),
    ):
        with pytest.raises(UserError) as caught:
            found(content)
        assert text in str(caught.value)
    assert found("Ann NNP\nran\nRome", columns="word=1") == Format((0, -1), None, SPACE, None)


def test_blocks_together_give_what_the_whole_file_gives(tmp_path, monkeypatch):
    path = tmp_path / "data.txt"
    path.write_text(sentences([row.replace(" ", "\t") for row in PLAIN] + ["a b\tO"], 50, "# {}\n"), encoding="utf-8")
    whole = inspect(str(path), Format(comment="# "))
    sentences_of = read_conll(str(path), whole[0])
    monkeypatch.setattr(conll, "BLOCK_BYTES", 100)
    form, seen = inspect(str(path), Format(comment="# "))
    assert form == whole[0] == Format(FIRST_AND_LAST, "# ", TAB, 2) and seen == whole[1]
    assert read_conll(str(path), form) == sentences_of and len(sentences_of) == 50


@pytest.mark.parametrize("text", ["word=0", "word=2,tag=2", "word=2;tag=3", "2,3", "", "word=1,word=2", "tag=-1"])
def test_the_flag_columns(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected such as word=2,tag=3"):
        parse_columns(text)


def test_the_flag_columns_fills_in_what_is_left_out():
    assert parse_columns("word=2,tag=3") == (1, 2) and parse_columns("tag=3, word=2") == (1, 2)
    assert parse_columns("word=2") == (1, -1) and parse_columns("tag=last") == (0, -1)


def test_split_columns():
    assert split_columns(" a \t b\u3000c ") == ["a", "b\u3000c"]
    assert split_columns(" a b\t\tc \t", TAB) == ["a b", "", "c"]
    assert split_columns(" \t ", TAB) == split_columns("\t") == []


def test_rows_without_a_word_are_passed_over_and_said(tmp_path, caplog):
    """Annotators' white space, as in tweets: nothing to tag, and no entity."""
    rows = ["Ann\tB-PER\n", "ran\tO\n"] * 200
    rows[1:1] = ["\tO\n", " \tO\n"]
    path = tmp_path / "train.txt"
    path.write_text("".join(rows))
    with caplog.at_level("INFO"):
        (sentence,) = conll.read_conll(str(path))
    assert sentence.words == ["Ann", "ran"] * 200 and sentence.line_of(1) == 4
    assert "2 lines with O and no word before it are passed over, first 2" in caplog.text
    path.write_text("".join(rows[:40]))
    with pytest.raises(UserError, match=r"train.txt:2: a tab and O, and no word before it"):
        conll.read_conll(str(path))
    path.write_text("Ann\tB-PER\n" * 200 + "\tB-PER\n")
    with pytest.raises(UserError, match=r"train.txt:201: "):
        conll.read_conll(str(path))
