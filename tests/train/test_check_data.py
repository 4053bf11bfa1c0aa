"""The command check_data on small data: what it prints, the page, and when it fails."""

import pytest

from bert.system.errors import UserError
from train.check_data import main

TRAIN = "Ann B-PER\nLee I-PER\nran O\n\nhe O\nran O\n\nIn O\nRome B-LOC\n"
DEV = "He O\nran O\n\nhe O\nran O\n"
VOCAB = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nann\nlee\nran\nhe\nin\n"


@pytest.fixture
def data(tmp_path):
    for name, content in (("train", TRAIN), ("dev", DEV), ("test", DEV)):
        (tmp_path / f"{name}.txt").write_text(content)
    (tmp_path / "vocab.txt").write_text(VOCAB)
    return tmp_path


def lines_of(capsys):
    return {" ".join(line.split()) for line in capsys.readouterr().out.splitlines()}


def test_the_table_and_the_notes(data, capsys):
    main(["-data_dir", str(data), "-bert_dir", str(data), "-html", str(data / "page.html")])
    lines = lines_of(capsys)
    assert {
        "train dev test",
        "sentences 3 2 2",
        "words 7 4 4",
        "entities 2 0 0",
        "LOC 1 0 0",
        "words with an unknown piece 1 0 0",
        "sentences of train here too 1 1",
        "after case 1 1",
        "types with fewer than 20 examples in train, which are hardly learnt: LOC 1, PER 1",
    } <= lines
    assert f"{data}/train.txt: plain text cuts 0 of 7 words into several" in lines
    assert {"no entity in dev, so its F1 stays 0", "no entity in test, so its F1 stays 0"} <= lines
    assert any(line.startswith("unknown words of train, 14.29% of all") and "Rome 1" in line for line in lines)
    page = (data / "page.html").read_text()
    assert "sentences of train here too" in page and "hardly learnt" in page and "refused" not in page


def test_documents_are_counted_where_a_file_has_some(data, capsys):
    main(["-data_dir", str(data)])
    assert not any(line.startswith("documents") for line in lines_of(capsys))
    (data / "train.txt").write_text("-DOCSTART- O\n\n" + TRAIN + "\n-DOCSTART- O\n" + TRAIN)
    main(["-data_dir", str(data)])
    assert "documents that -DOCSTART- begins 2 0 0" in lines_of(capsys)


def test_the_page_has_what_the_log_says_of_the_files(data):
    (data / "dev.txt").write_text("He O\nran 0\n")
    main(["-data_dir", str(data), "-html", str(data / "page.html")])
    assert "dev.txt: tags read as others: &#x27;0&#x27; (1) as O, first in line 2" in (data / "page.html").read_text()


def test_without_a_vocabulary_it_says_what_is_left_out(data, capsys):
    main(["-data_dir", str(data)])
    lines = lines_of(capsys)
    assert "without -bert_dir nothing can be said of pieces and windows" in lines
    assert not any("unknown" in line for line in lines)


def test_what_run_py_would_refuse_ends_it_after_the_table(data, capsys):
    (data / "dev.txt").write_text("He O\nran\n")
    with pytest.raises(UserError, match=r"dev.txt:2: "):
        main(["-data_dir", str(data), "-html", str(data / "page.html")])
    assert "sentences 3 2" in lines_of(capsys)
    assert "refused: " in (data / "page.html").read_text()


def test_without_train_each_file_is_looked_at_by_itself(data, capsys):
    (data / "train.txt").write_text("Ann (PER*)\n")
    (data / "dev.txt").write_text("Ann PER\nLee PER\nran O\n")
    (data / "test.txt").write_text("Ann (PER*)\nran *\n")
    with pytest.raises(UserError, match=r"test.txt: 2 tags in brackets"):
        main(["-data_dir", str(data)])
    assert {"dev", "entities 1", "PER 1"} <= lines_of(capsys)


def test_a_tag_of_dev_alone_is_refused(data):
    (data / "dev.txt").write_text("He B-ORG\n")
    with pytest.raises(UserError, match=r"dev.txt:1: the tag 'B-ORG' was not seen in training"):
        main(["-data_dir", str(data)])


def test_a_missing_directory_and_a_missing_file(data, tmp_path):
    with pytest.raises(UserError, match="no such directory"):
        main(["-data_dir", str(tmp_path / "none")])
    (data / "test.txt").unlink()
    with pytest.raises(UserError, match=r"test.txt: "):
        main(["-data_dir", str(data)])
