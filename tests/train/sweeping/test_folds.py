"""Folds of cross-validation: each unit is in one dev set, the same each time, its lines as they stand in the files."""

import collections
import json
import os

import pytest

from bert.system.errors import UserError
from train.data.columns import Format
from train.data.conll import read_conll
from train.sweeping.folds import check_documents, deal, find_test, make_folds, read_units, write_units

GIVEN = Format()
HALF_A_PAIR = '{"text": "Ann ran", "entities": [{"type": "\\ud800", "start": 0, "end": 3}]}\n'  # of UTF-16


def write(directory, **files):
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("_", ".")).write_bytes(text.encode("utf-8"))
    return str(directory)


def sentences(first, last, tag="B-PER"):
    return "\n".join(f"w{i} {tag}\nis O\n" for i in range(first, last))


def words(path):
    return [sentence.words[0] for sentence in read_conll(path)]


def folds(data, tmp_path, number=3, seed=1, name="folds", **kwargs):
    return make_folds(data, str(tmp_path / name), number, seed, kwargs.pop("given", GIVEN), **kwargs)


def test_each_sentence_is_in_one_dev_set(tmp_path):
    data = write(tmp_path / "data", train_txt=sentences(0, 15), dev_txt=sentences(15, 20), test_txt=sentences(20, 22))
    directories, flags = folds(data, tmp_path)
    dev = [words(os.path.join(each, "dev.txt")) for each in directories]
    assert sorted(sum(dev, [])) == sorted(f"w{i}" for i in range(20)) and sorted(map(len, dev)) == [6, 7, 7]
    for each, its_dev in zip(directories, dev):
        train = words(os.path.join(each, "train.txt"))
        assert set(train) | set(its_dev) == {f"w{i}" for i in range(20)} and not set(train) & set(its_dev)
        assert sorted(train, key=lambda word: int(word[1:])) == train  # in the order of the files
        assert words(os.path.join(each, "test.txt")) == ["w20", "w21"]
    again, other = (folds(data, tmp_path, seed=seed, name=f"f{seed}")[0] for seed in (1, 2))
    assert [words(os.path.join(each, "dev.txt")) for each in again] == dev
    assert [words(os.path.join(each, "dev.txt")) for each in other] != dev
    assert flags == {"tag_scheme": "BIO", "label_list": str(tmp_path / "folds" / "labels.txt")}


def test_folds_that_are_there_stay(tmp_path):
    data = write(tmp_path / "data", train_txt=sentences(0, 5), dev_txt=sentences(5, 9))
    directories, flags = folds(data, tmp_path)
    mark = os.path.join(directories[0], "train.txt")
    os.utime(mark, (5, 5))
    assert folds(data, tmp_path) == (directories, flags) and os.stat(mark).st_mtime == 5
    assert not os.path.exists(os.path.join(directories[0], "test.txt"))


def test_documents_stay_together(tmp_path):
    sizes = [9, 1, 5, 5, 3, 3, 2, 2]
    text, number = "", 0
    for size in sizes:
        text += "-DOCSTART- -X- O\n\n" + sentences(number, number + size) + "\n"
        number += size
    data = write(tmp_path / "data", train_txt=text, dev_txt=sentences(30, 33))
    directories, _ = folds(data, tmp_path)
    counts, all_found = [], []
    for each in directories:
        content = (tmp_path / "folds" / os.path.basename(each) / "dev.txt").read_text()
        documents = [part.split("\n") for part in content.split("-DOCSTART-")[1:]]
        of_train = [[line for line in part if line.startswith("w")] for part in documents if "-X-" in part[0]]
        found = [[int(line.split()[0][1:]) for line in part] for part in of_train]
        assert all(len(part) in sizes and part == list(range(part[0], part[-1] + 1)) for part in found)
        # Sentences of a file without documents do not follow the document before them.
        assert all(min(int(line.split()[0][1:]) for line in part if line.startswith("w")) >= 30
                   for part in documents if "-X-" not in part[0])  # fmt: skip
        counts.append(len(words(os.path.join(each, "dev.txt"))))
        all_found += found
    assert sorted(counts) == [11, 11, 11]
    assert sorted(len(part) for part in all_found) == sorted(sizes)


def test_lines_stay_as_they_are(tmp_path):
    """More columns, comments, CRLF, a byte order mark, U+2028, no line end at the end."""
    text = (
        "\ufeff# one\r\n1\tAnn\u2028\tB-PER\r\n# inside\r\n2\tran\tO\r\n\r\n# two\r\n\r\n1\tBob\tB-PER\r\n \r\n3\tx\tO"
    )
    data = write(tmp_path / "data", train_txt=text, dev_txt="1\tCid\tB-LOC\n")
    units = read_units(os.path.join(data, "train.txt"), "# ")
    assert [unit.lines for unit in units] == [
        ["# one", "1\tAnn\u2028\tB-PER", "# inside", "2\tran\tO"], ["# two", "1\tBob\tB-PER"], ["3\tx\tO"],
    ]  # fmt: skip
    _, flags = folds(data, tmp_path, 2, given=Format((1, 2), "# ", "tab"))
    labels = (tmp_path / "folds" / "labels.txt").read_text().split()
    assert labels[:3] == ["O", "B-LOC", "B-PER"]  # also those that only one fold has


def test_annotated_texts(tmp_path):
    texts = [{"text": f"w{i} ran", "entities": [{"type": "PER", "start": 0, "end": 2}]} for i in range(8)]
    rows = "\n".join(map(json.dumps, texts[:5])) + "\n"
    data = write(tmp_path / "data", train_jsonl=rows, dev_json=json.dumps(texts[5:]))
    directories, flags = folds(data, tmp_path, 4)
    found = collections.Counter()
    for each in directories:
        with open(os.path.join(each, "dev.jsonl"), encoding="utf-8") as reader:
            dev = [json.loads(line) for line in reader]
        assert len(dev) == 2 and sorted(os.listdir(each)) == ["dev.jsonl", "train.jsonl"]
        found.update(each["text"] for each in dev)
    assert found == collections.Counter(each["text"] for each in texts)
    assert "tag_scheme" not in flags and os.path.exists(flags["label_list"])


def test_what_cannot_be_cut(tmp_path):
    with pytest.raises(UserError, match="2 sentences in train and dev; expected at least 3, the -folds"):
        folds(write(tmp_path / "few", train_txt=sentences(0, 1), dev_txt=sentences(1, 2)), tmp_path)
    mixed = write(tmp_path / "mixed", train_txt=sentences(0, 4), dev_jsonl='{"text": "a", "entities": []}')
    with pytest.raises(UserError, match="CoNLL lines and annotated texts"):
        folds(mixed, tmp_path)
    broken = write(tmp_path / "broken", train_txt=sentences(0, 4) + "\nword\n", dev_txt=sentences(4, 9))
    with pytest.raises(UserError, match=r"broken/train.txt:13: "):
        folds(broken, tmp_path)
    half = write(tmp_path / "half", train_jsonl=HALF_A_PAIR * 3, dev_jsonl=HALF_A_PAIR)
    with pytest.raises(UserError, match="half: a label that cannot be written in UTF-8"):
        folds(half, tmp_path)
    assert not os.path.exists(str(tmp_path / "folds"))  # nothing half-written


def test_one_docstart_divides_nothing(tmp_path):
    data = write(tmp_path / "data", train_txt="-DOCSTART- O\n\n" + sentences(0, 4), dev_txt=sentences(4, 6))
    units = read_units(os.path.join(data, "train.txt"))
    assert len(units) == 4 and not any(unit.is_document for unit in units)
    write_units(str(tmp_path / "again.txt"), units)
    assert words(str(tmp_path / "again.txt")) == ["w0", "w1", "w2", "w3"]


def test_sentences_that_are_dealt_out_have_no_neighbours(tmp_path):
    documents = "\n".join(f"-DOCSTART- O\n\n{sentences(i, i + 2)}" for i in (0, 2, 4))
    texts = '{"text": "a", "entities": []}\n'
    check_documents(write(tmp_path / "documents", train_txt=documents, dev_txt="\n" + documents), None)
    check_documents(write(tmp_path / "texts", train_jsonl=texts, dev_jsonl=texts), None)
    for name, train, dev in (
        ("none", documents, sentences(4, 6)),
        ("one", documents, "-DOCSTART- O\n\n" + sentences(4, 6)),
        ("first", sentences(4, 6) + "\n" + documents, documents),
    ):
        data = write(tmp_path / name, train_txt=train, dev_txt=dev)
        with pytest.raises(UserError, match=f"{name}/{'train' if name == 'first' else 'dev'}.txt: -folds deals its "):
            check_documents(data, None)


def test_folds_are_even():
    units = [collections.namedtuple("U", ["sentences"])(size) for size in [50, 1, 1, 1, 20, 20, 9, 8, 7, 3] * 3]
    folded = deal(units, 5, 3)
    sizes = [sum(unit.sentences for unit, fold in zip(units, folded) if fold == each) for each in range(5)]
    assert max(sizes) - min(sizes) <= 3, sizes


def test_a_test_file_may_be_missing(tmp_path):
    (tmp_path / "train.txt").write_text("a O\n")
    assert find_test(str(tmp_path)) is None
    (tmp_path / "test.jsonl").write_text("")
    assert find_test(str(tmp_path)) == str(tmp_path / "test.jsonl")
