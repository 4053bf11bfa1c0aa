"""The records of pre-training: their layout, the same bytes however they are made; and what is refused."""

import hashlib
import os
import re
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from bert.data.example_bytes import example_bytes, float_feature, int64_feature
from bert.pretraining import corpus
from bert.pretraining import examples as pretraining_examples
from bert.system import workers as system_workers
from bert.system.errors import UserError, run_program
from bert.system.files import find_files
from tests.bert.pretraining_text import lists, make, own_words, write_vocab
from tests.paths import REPOSITORY

pytestmark = pytest.mark.one_tensorflow
DIGEST = "c24c77039296a4441752acd9c84ee67eb5e2ea1c98c8e07788d87df0ad86ac84"
PAD, UNK, CLS, SEP, MASK = range(5)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 2**31), max_size=300),
    st.lists(st.floats(width=32, allow_nan=False), max_size=200),
    st.lists(st.integers(0, 300), max_size=3),
)
def test_bytes_are_protobufs(ids, weights, labels):
    expected = tf.train.Example()
    expected.features.feature["input_ids"].int64_list.value.extend(ids)
    expected.features.feature["weights"].float_list.value.extend(weights)
    expected.features.feature["a"].int64_list.value.extend(labels)
    written = example_bytes(
        {"weights": float_feature(weights), "input_ids": int64_feature(ids), "a": int64_feature(labels)}
    )
    assert tf.train.Example.FromString(written) == expected


@pytest.mark.every_tensorflow
def test_layout_of_a_record(monkeypatch, tmp_path):
    text, _ = own_words(tmp_path, [2, 1, 3])
    (records,) = make(monkeypatch, tmp_path, "--max_seq_length=30", "--max_predictions_per_seq=6", text=text)
    for record in records:
        example = tf.train.Example.FromString(record)
        assert example.SerializeToString(deterministic=True) == record
        kinds = {name: value.WhichOneof("kind") for name, value in example.features.feature.items()}
        assert kinds.pop("masked_lm_weights") == "float_list"
        assert set(kinds.values()) == {"int64_list"}
        values = lists(record)
        assert {name: len(value) for name, value in values.items()} == {
            "input_ids": 30, "input_mask": 30, "segment_ids": 30, "masked_lm_positions": 6, "masked_lm_ids": 6,
            "masked_lm_weights": 6, "next_sentence_labels": 1,
        }  # fmt: skip
        size, count = sum(values["input_mask"]), int(sum(values["masked_lm_weights"]))
        assert values["input_mask"] == [1] * size + [0] * (30 - size)
        assert values["masked_lm_weights"] == [1.0] * count + [0.0] * (6 - count)
        assert not any(values["input_ids"][size:] + values["segment_ids"][size:])
        assert not any(values["masked_lm_positions"][count:] + values["masked_lm_ids"][count:])


def digest(files):
    return hashlib.sha256(b"".join(record for records in files for record in records)).hexdigest()


@pytest.mark.every_tensorflow
def test_same_records_for_any_number_of_processes_on_any_python(monkeypatch, tmp_path):
    """The digest is the same on Python 3.7 and 3.11; should the procedure be changed on purpose, it changes once."""
    text, _ = own_words(tmp_path, [5, 1, 30, 2, 8, 40])
    monkeypatch.setattr(corpus, "RANGE_BYTES", 200)
    monkeypatch.setattr(pretraining_examples, "BLOCKS_IN_A_GROUP", 3)
    found = {
        count: digest(make(monkeypatch, tmp_path, f"--num_processes={count}", "--dupe_factor=3", text=text))
        for count in (1, 2, 3)
    }
    assert len(set(found.values())) == 1
    assert found[1] == DIGEST
    assert digest(make(monkeypatch, tmp_path, "--random_seed=1", "--dupe_factor=3", text=text)) != found[1]


def test_shards(monkeypatch, tmp_path):
    """Records are dealt out to the files by turns, and nothing but the files is left behind."""
    text, _ = own_words(tmp_path, [10] * 6)
    (whole,) = make(monkeypatch, tmp_path, text=text)
    output = tmp_path / "new" / "folder"
    files = ",".join(str(output / name) for name in "abc")
    shards = make(monkeypatch, tmp_path, f"--output_file={files}", text=text)
    assert [shards[i % 3][i // 3] for i in range(len(whole))] == whole
    assert sum(map(len, shards)) == len(whole)
    assert sorted(os.listdir(str(output))) == ["a", "b", "c"]


def test_each_time_through_the_text_is_another(monkeypatch, tmp_path):
    text, _ = own_words(tmp_path, [10] * 6)
    (once,) = make(monkeypatch, tmp_path, "--dupe_factor=1", text=text)
    (often,) = make(monkeypatch, tmp_path, "--dupe_factor=5", text=text)
    assert often[: len(once)] == once
    assert len(set(often)) == len(often) >= 5 * 6


def _double(state, task):
    return state * task


def test_tasks_are_not_taken_far_in_advance():
    """Else a large corpus would lie in memory as tasks or results."""
    taken = []
    tasks = (taken.append(i) or i for i in range(200))
    with system_workers.Workers(2, 10) as workers:
        for done, result in enumerate(workers.map(_double, tasks)):
            assert result == done * 10
            assert len(taken) - done <= 6
    assert len(taken) == 200


@pytest.fixture
def check(capfd, monkeypatch, tmp_path):
    """`check(expected, *flags, **text)`: exit code 2, one line on standard error, an old output as it was."""

    def check(expected, *flags, **text):
        (tmp_path / "out").write_text("old")
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run_program(lambda: make(monkeypatch, tmp_path, *flags, **text))
        printed = capfd.readouterr()
        assert ended.value.code == 2
        assert printed.out == ""
        assert len(printed.err.splitlines()) == 1, printed.err
        assert re.search(expected, printed.err), printed.err
        assert (tmp_path / "out").read_text() == "old"
        assert not [name for name in os.listdir(str(tmp_path)) if "tmp" in name]

    write_vocab(tmp_path, ["a"])
    return check


@pytest.mark.parametrize("text", ["", "\n\n \n", "\x01\n\n\x02\n"])
def test_no_text(text, check):
    check(r"text\.txt: no text in it; expected two documents", text=text)


def test_one_document(check):
    check(r"text\.txt: one document in it; expected two documents or more", text="a a\na\n")
    check(r"text\.txt: one document in it", "--num_processes=2", text="\n\na a\na\n\n \n\x01")
    check(r"more\.txt and 1 more: one document in it", more="", text="a")


@pytest.mark.parametrize("processes", [1, 2])
def test_not_utf8(processes, check, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "RANGE_BYTES", 16)
    (tmp_path / "bad.txt").write_bytes(b"a\n" * 30 + b"a \xff\n")
    check(r"bad\.txt:31: byte 3 of the line is not UTF-8", f"--num_processes={processes}", text="a\n\na\n")


def test_no_sentence_a_line(check, monkeypatch):
    monkeypatch.setattr(corpus, "LONGEST_LINE", 1000)
    check(r"text\.txt:3: longer than 1000 bytes; expected one sentence per line", text="a\n\n" + "a " * 501)


def test_flags(check, tmp_path):
    text = "a\n\na\n"
    check(r"-max_seq_length 4: expected 5 or more", "--max_seq_length=4", text=text)
    check(r"-masked_lm_prob: expected", "--masked_lm_prob=2", text=text)
    check(r"nothing\.txt: no such file", f"--input_file={tmp_path}/*.txt,{tmp_path}/nothing.txt", text=text)
    check(r"-output_file .*/x: named twice", f"--output_file={tmp_path}/x,{tmp_path}/x", text=text)
    check(r"text\.txt: it is an input file", f"--output_file={tmp_path}/text.txt", text=text)
    check(r"it is a directory", f"--output_file={tmp_path}", text=text)
    check(r"/proc/x: expected a directory", "--output_file=/proc/x/out", text=text)
    check(r"-vocab_file is missing", "--vocab_file=", text=text)
    (tmp_path / "vocab").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n")
    check(r"vocab: expected an entry \[MASK\]", text=text)


def test_patterns_of_input_files(tmp_path):
    """Patterns in the order given, the files of one sorted, each file once, no directory; a name may look like one."""
    for name in ("b.txt", "a.txt", "c", "[x].txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "d.txt").mkdir()
    found = find_files(f"{tmp_path}/c,{tmp_path}/[ab].txt,{tmp_path}/[x].txt,{tmp_path}/*.txt,")
    assert [os.path.basename(path) for path in found] == ["c", "a.txt", "b.txt", "[x].txt"]
    with pytest.raises(UserError, match="d.txt: no such file"):
        find_files(f"{tmp_path}/d.txt")


def test_a_file_that_cannot_be_written_completely_is_not_there(monkeypatch, tmp_path):
    text, _ = own_words(tmp_path, [10] * 4)

    monkeypatch.setattr(corpus, "RANGE_BYTES", 100)
    groups = pretraining_examples.groups

    def broken(*args):
        yield next(groups(*args))
        raise UserError("failed")

    monkeypatch.setattr(pretraining_examples, "groups", broken)
    with pytest.raises(UserError, match="failed"):
        make(monkeypatch, tmp_path, "--num_processes=1", text=text)
    assert sorted(os.listdir(str(tmp_path))) == ["text.txt", "vocab"]


def test_as_a_program_of_its_own(tmp_path):
    """On the sample text as a file; as a module -help comes without TensorFlow."""
    program = os.path.join(REPOSITORY, "bert", "create_pretraining_data.py")
    write_vocab(tmp_path, ["the", "a", ".", "\u3002"])
    flags = [f"--input_file={REPOSITORY}/bert/sample_text.txt", f"--vocab_file={tmp_path}/vocab", "--dupe_factor=1"]
    done = subprocess.run(
        [sys.executable, program] + flags + [f"--output_file={tmp_path}/file"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", cwd=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"wrote \d+ examples from 32 documents", done.stderr.splitlines()[-1])
    assert (tmp_path / "file").stat().st_size > 0
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bert.create_pretraining_data", "-help"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", cwd=REPOSITORY,
    )  # fmt: skip
    assert done.returncode == 0 and "--num_processes" in done.stdout and "tensorflow" not in done.stderr


def test_sample_text():
    """Thirty documents and more, Chinese and English, none twice."""
    with open(os.path.join(REPOSITORY, "bert", "sample_text.txt"), encoding="utf-8") as reader:
        documents = reader.read().strip().split("\n\n")
    assert len(set(documents)) == len(documents) >= 30
    assert all(len(document.split("\n")) >= 5 for document in documents)
    chinese = [document for document in documents if re.search("[\u4e00-\u9fff]", document)]
    assert len(chinese) == len(documents) // 2
