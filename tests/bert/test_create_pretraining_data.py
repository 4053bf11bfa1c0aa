"""Examples for pre-training, held against the text they were made from; the same bytes however they are made."""

import collections
import hashlib
import os
import random
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from bert import create_pretraining_data
from bert.data.example_bytes import example_bytes, float_feature, int64_feature
from bert.pretraining import corpus
from bert.pretraining import examples as pretraining_examples
from bert.system import workers as system_workers
from bert.system.errors import UserError, run_program
from bert.system.files import find_files
from bert.tokenization import FullTokenizer
from tests.paths import REPOSITORY

pytestmark = pytest.mark.one_tensorflow

DIGEST = "c24c77039296a4441752acd9c84ee67eb5e2ea1c98c8e07788d87df0ad86ac84"
SPECIAL = "[PAD] [UNK] [CLS] [SEP] [MASK]".split()
PAD, UNK, CLS, SEP, MASK = range(5)


def make(monkeypatch, folder, *flags, **text):
    """Runs the program on files of the given texts; the records of its outputs, a list for each."""
    for name, content in text.items():
        (folder / f"{name}.txt").write_bytes(content.encode("utf-8"))
    outputs = [flag.split("=")[1] for flag in flags if flag.startswith("--output_file")] or [str(folder / "out")]
    run = ["program", f"--input_file={folder}/*.txt", f"--output_file={outputs[0]}", f"--vocab_file={folder}/vocab"]
    monkeypatch.setattr(sys, "argv", run + list(flags))
    create_pretraining_data.main()
    return [list(tf.io.tf_record_iterator(path)) for path in outputs[0].split(",")]


def lists(record):
    """A record as a dict from name to list."""
    features = tf.train.Example.FromString(record).features.feature
    return {name: list(value.int64_list.value or value.float_list.value) for name, value in features.items()}


Segments = collections.namedtuple("Segments", "first second is_random masked input_ids")


def segments(record):
    """A record's segments, as they were before masking."""
    values = lists(record)
    size = sum(values["input_mask"])
    tokens = values["input_ids"][:size]
    count = int(sum(values["masked_lm_weights"]))
    masked = dict(zip(values["masked_lm_positions"][:count], values["masked_lm_ids"][:count]))
    assert len(masked) == count
    whole = [masked.get(position, token) for position, token in enumerate(tokens)]
    middle = values["segment_ids"].index(1)
    assert values["segment_ids"][:size] == [0] * middle + [1] * (size - middle)
    assert whole[0] == CLS and whole[middle - 1] == whole[-1] == SEP
    return Segments(whole[1 : middle - 1], whole[middle:-1], values["next_sentence_labels"] == [1], masked, tokens)


def write_vocab(folder, pieces):
    (folder / "vocab").write_bytes(("\n".join(SPECIAL + pieces) + "\n").encode("utf-8"))


def own_words(folder, sizes, words=7):
    """A text whose every word occurs once: `sizes` sentences in each document. Gives (text, ids of each document)."""
    text, documents, word = [], [], 0
    for size in sizes:
        sentences = [[f"w{word + i * words + j}" for j in range(words)] for i in range(size)]
        word += size * words
        text.append("\n".join(" ".join(sentence) for sentence in sentences))
        documents.append([len(SPECIAL) + int(w[1:]) for sentence in sentences for w in sentence])
    write_vocab(folder, [f"w{i}" for i in range(word)])
    return "\n\n".join(text) + "\n", documents


# ---- the corpus -----------------------------------------------------------------------------------------------------

LINES = ["a", "b c", "a b c a b", "\u4e2d", "", " ", "\u3000", "\x01", "\u200b \x02"]
IDS = {"a": 5, "b": 6, "c": 7, "\u4e2d": 8}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocab")
    write_vocab(folder, list(IDS))
    return FullTokenizer(str(folder / "vocab"))


def documents_of(text):
    """The documents of a text, read whole: lists of sentences, lists of ids."""
    documents = [[]]
    for line in text.split("\n"):
        if not line.strip():
            documents.append([])
        ids = [IDS[char] for char in line if char in IDS]
        if ids:
            documents[-1].append(ids)
    return [document for document in documents if document]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(LINES), max_size=12), min_size=1, max_size=3),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(1, 40),
)
def test_blocks_hold_the_documents(tokenizer, tmp_path_factory, files, line_end, last_line_end, range_bytes):
    """However the files are cut into ranges, lines and documents are whole and in order."""
    folder = tmp_path_factory.mktemp("corpus")
    expected, paths = [], []
    for number, lines in enumerate(files):
        text = line_end.join(lines) + (line_end if last_line_end else "")
        expected += documents_of(text)
        paths.append(str(folder / f"{number}.txt"))
        bom = b"\xef\xbb\xbf" if number == 0 else b""
        (folder / f"{number}.txt").write_bytes(bom + text.encode("utf-8"))
    before = corpus.RANGE_BYTES
    corpus.RANGE_BYTES = range_bytes
    try:
        tokenized = [corpus.tokenize_range(tokenizer, place) for place in corpus.ranges(paths)]
    finally:
        corpus.RANGE_BYTES = before
    with open(str(folder / "scratch"), "wb") as scratch:
        blocks = corpus.write_blocks(tokenized, scratch)
    found = collections.OrderedDict()
    for block in blocks:
        pieces = corpus.read_block(str(folder / "scratch"), block)
        assert [number for number, _ in pieces] == list(range(block.first_document, block.last_document + 1))
        for number, sentences in pieces:
            found.setdefault(number, []).extend(sentences)
    assert list(found) == list(range(len(expected)))
    assert list(found.values()) == expected


# ---- pairs ----------------------------------------------------------------------------------------------------------


def part_of(segment, documents):
    """(document, position) of a segment, all of whose pieces have to be consecutive in one document."""
    (found,) = [i for i, document in enumerate(documents) if segment[0] in document]
    start = documents[found].index(segment[0])
    assert documents[found][start : start + len(segment)] == segment
    return found, start


@pytest.mark.parametrize("sizes", [[9, 12, 3, 1, 40], [60, 1], [1, 60], [1, 1], [20, 1, 1, 30, 2]])
def test_segments_are_the_texts(monkeypatch, tmp_path, sizes):
    """Random segments are never of the same document, even where one document fills whole groups; others follow."""
    text, documents = own_words(tmp_path, sizes)
    monkeypatch.setattr(corpus, "RANGE_BYTES", 150)
    monkeypatch.setattr(pretraining_examples, "BLOCKS_IN_A_GROUP", 2)
    (records,) = make(monkeypatch, tmp_path, "--max_seq_length=40", "--num_processes=1", text=text)
    seen, kinds = set(), collections.Counter()
    for record in records:
        example = segments(record)
        assert example.first and example.second and len(example.first) + len(example.second) <= 37
        first, second = part_of(example.first, documents), part_of(example.second, documents)
        assert (first[0] != second[0]) == example.is_random
        if not example.is_random:
            # Truncation takes from the end of the first segment and from the beginning of the second.
            assert second[1] >= first[1] + len(example.first)
        seen.update(example.first, [] if example.is_random else example.second)
        kinds[example.is_random] += 1
    assert seen == {piece for document in documents for piece in document}
    assert kinds[True] and bool(kinds[False]) == (max(sizes) > 1)


def test_consecutive_segments_touch_where_nothing_is_cut(monkeypatch, tmp_path):
    """Sentences of one piece always fit, so a second segment begins where the first ends."""
    text, documents = own_words(tmp_path, [50, 50, 50], words=1)
    (records,) = make(monkeypatch, tmp_path, "--max_seq_length=16", text=text)
    for example in map(segments, records):
        first, second = part_of(example.first, documents), part_of(example.second, documents)
        assert example.is_random or second == (first[0], first[1] + len(example.first))


def test_half_of_the_segments_are_random_and_all_documents_lend(monkeypatch, tmp_path):
    text, documents = own_words(tmp_path, [300] * 8)
    (records,) = make(monkeypatch, tmp_path, "--dupe_factor=8", "--max_seq_length=64", text=text)
    examples = [segments(record) for record in records]
    share = np.mean([example.is_random for example in examples])
    # Besides one half, single sentences at the end of a document. Five standard deviations.
    assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(len(examples)) + 0.01
    pairs = {
        (part_of(example.first, documents)[0], part_of(example.second, documents)[0])
        for example in examples
        if example.is_random
    }
    assert len(pairs) == 8 * 7


def test_short_sequences(monkeypatch, tmp_path):
    text, _ = own_words(tmp_path, [300] * 4)
    sizes = {}
    for prob in ("0", "1"):
        (records,) = make(monkeypatch, tmp_path, f"--short_seq_prob={prob}", "--max_seq_length=64", text=text)
        sizes[prob] = [sum(lists(record)["input_mask"]) for record in records]
    assert np.mean(np.array(sizes["0"]) == 64) > 0.8
    assert np.mean(np.array(sizes["1"]) == 64) < 0.3


def test_truncate_takes_from_the_longer_one_at_both_ends():
    rng = random.Random(1)
    ends = collections.Counter()
    for _ in range(500):
        first, second = pretraining_examples.truncate(list(range(30)), list(range(100, 112)), 24, rng)
        assert len(first) == len(second) == 12
        assert first == list(range(first[0], first[0] + 12)) and second == list(range(100, 112))
        ends[first[0] > 9] += 1  # of 18 cuts, more than half at the front
    assert 100 < ends[True] < 400
    assert pretraining_examples.truncate([1], [2, 3, 4], 2, rng)[0] == [1]
    assert pretraining_examples.truncate([1, 2], [3], 3, rng) == ([1, 2], [3])


# ---- masks ----------------------------------------------------------------------------------------------------------


def test_masks(monkeypatch, tmp_path):
    """How many pieces, which ones, and what becomes of them."""
    text, _ = own_words(tmp_path, [40] * 12)
    (records,) = make(monkeypatch, tmp_path, "--dupe_factor=20", text=text)
    kinds, places = collections.Counter(), collections.Counter()
    for record in records:
        example = segments(record)
        size = len(example.input_ids)
        assert len(example.masked) == min(20, max(1, int(round(size * 0.15))))
        assert list(example.masked) == sorted(example.masked)
        assert not {0, len(example.first) + 1, size - 1} & set(example.masked)
        for position, label in example.masked.items():
            token = example.input_ids[position]
            kinds["mask" if token == MASK else "same" if token == label else "random"] += 1
            places[position * 4 // size] += 1
    total = sum(kinds.values())
    assert total > 10000
    for kind, share in (("mask", 0.8), ("same", 0.1), ("random", 0.1)):
        assert abs(kinds[kind] / total - share) < 5 * np.sqrt(share * (1 - share) / total), kinds
    assert min(places.values()) > 0.22 * total


def test_at_most_max_predictions(monkeypatch, tmp_path):
    text, _ = own_words(tmp_path, [40] * 3)
    flags = ["--masked_lm_prob=0.5", "--max_predictions_per_seq=7"]
    (records,) = make(monkeypatch, tmp_path, *flags, text=text)
    assert {len(segments(record).masked) for record in records} == {7}


def test_whole_words(monkeypatch, tmp_path):
    """With -do_whole_word_mask all pieces of a word are masked or none; Chinese characters are words of their own."""
    write_vocab(tmp_path, "play ##ing ##ed s ##en ##d ##er . 我 们".split())
    text = "\n\n".join(["\n".join(["playing sender. 我们 played ."] * 9)] * 4)
    pieces = ["play", "##ing", "s", "##en", "##d", "##er", ".", "我", "们", "play", "##ed", "."]
    ids = {piece: 5 + i for i, piece in enumerate("play ##ing ##ed s ##en ##d ##er . 我 们".split())}
    continues = {index for piece, index in ids.items() if piece.startswith("##")}
    split = {}
    for flag in ("true", "false"):
        (records,) = make(monkeypatch, tmp_path, f"--do_whole_word_mask={flag}", "--max_seq_length=40", text=text)
        split[flag] = 0
        masked = collections.Counter()
        for example in map(segments, records):
            tokens = [CLS] + example.first + [SEP] + example.second + [SEP]
            for position in range(1, len(tokens)):
                if tokens[position] in continues and tokens[position - 1] not in (CLS, SEP):
                    split[flag] += (position in example.masked) != (position - 1 in example.masked)
            masked.update(example.masked.values())
        assert set(masked) == {ids[piece] for piece in pieces}
    assert split["true"] == 0 < split["false"]


# ---- records and files ----------------------------------------------------------------------------------------------


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


# ---- what a user can get wrong --------------------------------------------------------------------------------------


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


# ---- as a program ---------------------------------------------------------------------------------------------------


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
