"""A training file of any size, encoded block by block, by any number of processes."""

import os
import random
import signal
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from bert.data import records as record_files
from bert.system import workers as system_workers
from bert.system.errors import UserError
from bert.tokenization import FullTokenizer
from tests.bert.data.window_records import FEW, IDS, LENGTH, NAMES, contents, window
from tests.paths import REPOSITORY
from train import run_dir
from train.data import conll, corpus, records
from train.data.columns import FIRST_AND_LAST, Format
from train.data.conll import check_tags, read_conll
from train.data.context import with_neighbours
from train.data.labels import label_ids
from train.data.recognition import count_transitions, recognise, slips
from train.data.splitting import WordCounts
from train.data.windows import encode
from train.finetuning import splits
from train.finetuning.inputs import load_inputs
from train.train_helper import get_args_parser

WORDS = ["the", "man", "caf\u00e9", "un", "\u4eac", "\u2028", "\u200b", "unaffable", "-DOCSTART-s", "\r"]
TAGS = ["O", "O", "B-A", "I-A", "B-B"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_bytes("[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\nman\ncafe\nun\n##aff\n##able\n\u4eac\n".encode("utf-8"))
    return FullTokenizer(str(path))


sentence_lists = st.lists(
    st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(TAGS)), min_size=1, max_size=9), min_size=1, max_size=12
)


def text_of(sentences, rng):
    """A file of these sentences in which everything is that may stand between lines and sentences."""
    blanks = ["\n", "\r\n", " \n", "\t \r\n", "\n\n", "-DOCSTART- -X- O\n\n", "-DOCSTART-\n"]
    text = rng.choice(["", "\ufeff"]) + rng.choice(["", "\n", "\r\n\n"])
    for sentence in sentences:
        text += "".join(f"{word} {tag}{rng.choice(['', chr(13)])}\n" for word, tag in sentence) + rng.choice(blanks)
    return text.encode("utf-8") if rng.random() < 0.5 else text.rstrip("\n").encode("utf-8")


@settings(FEW, max_examples=50)
@given(sentence_lists, st.integers(1, 60), st.randoms(use_true_random=False))
@pytest.mark.one_tensorflow
def test_blocks_are_of_whole_sentences_whatever_their_size(tmp_path_factory, sentences, block_bytes, rng):
    path = tmp_path_factory.getbasetemp() / "blocks.txt"
    path.write_bytes(text_of(sentences, rng))
    whole = read_conll(str(path))  # in one block
    assert [list(zip(found.words, found.tags)) for found in whole] == sentences
    lines = path.read_bytes().decode("utf-8-sig").split("\n")
    for found in whole:
        assert lines[found.line - 1].split(" ")[0] == found.words[0]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(conll, "BLOCK_BYTES", block_bytes)
        assert read_conll(str(path)) == whole
        blocks = list(conll.find_blocks(str(path)))
        summary = corpus.summarize(str(path), 1)
    assert sum(block.size for block in blocks) == path.stat().st_size
    assert len(blocks) > 1 or path.stat().st_size < 20 * (block_bytes + 60)
    tags = [found.tags for found in whole]
    reading, found = recognise(count_transitions(tags), lambda each: slips(each, whole), str(path))
    assert (summary.reading, summary.slips, summary.scheme) == (reading, found, reading.scheme)
    assert summary[:3] == (str(path), len(whole), {tag for each in tags for tag in each})
    assert summary.words == WordCounts.of(whole)


@settings(FEW, max_examples=50)
@given(sentence_lists, st.integers(1, 60), st.randoms(use_true_random=False))
@pytest.mark.one_tensorflow
def test_documents_begin_where_they_do_whatever_stands_before_their_words(tmp_path_factory, given, block_bytes, rng):
    """Comments, rows without a word and empty lines, in blocks of any size."""
    text, begin = "", []
    for sentence in given:
        begin.append(rng.random() < 0.5)
        between = ["-DOCSTART- O\n"] * begin[-1] + [
            rng.choice(["\n", "# a\n", "\tO\n\n", "\n\n# b\n\n"]) for _ in range(3)
        ]
        text += "\n" + "".join(between) + "".join(f"{word} {tag}\n" for word, tag in sentence)
    path = tmp_path_factory.getbasetemp() / "documents.txt"
    path.write_bytes(text.encode("utf-8"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(conll, "BLOCK_BYTES", block_bytes)
        found = list(conll.read_sentences(str(path), Format(FIRST_AND_LAST, "# ", "space")))
    assert [each.words for each in found] == [[word for word, _ in sentence] for sentence in given]
    assert [each.begins_document for each in found] == begin


def write_corpus(path, count, seed=0):
    rng = random.Random(seed)
    sentences = [
        [(rng.choice(WORDS), rng.choice(TAGS)) for _ in range(rng.choice([1, 3, 8, 40]))] for _ in range(count)
    ]
    path.write_bytes(text_of(sentences, rng))


@pytest.mark.parametrize("context", [0, 4])
@pytest.mark.one_tensorflow
def test_the_same_files_for_any_number_of_processes(context, tmp_path, tokenizer, monkeypatch):
    """And the same as those of windows encoded from a list, in this process, at once."""
    monkeypatch.setattr(conll, "BLOCK_BYTES", 500)
    data = tmp_path / "train.txt"
    write_corpus(data, 200)
    assert len(list(conll.find_blocks(str(data)))) > 20
    ids, found = label_ids(NAMES + ["B-B"]), {}
    for processes in (1, 2, 3):
        (tmp_path / str(processes)).mkdir()
        path = str(tmp_path / str(processes) / "r")
        count = record_files.write_records(
            path, records.file_examples(str(data), tokenizer, ids, LENGTH, processes, context=context), "test", 4
        )
        found[processes] = contents(tmp_path / str(processes))
        assert corpus.summarize(str(data), processes) == corpus.summarize(str(data), 1)
    assert found[1] == found[2] == found[3]

    windows = list(encode(with_neighbours(read_conll(str(data)), context), tokenizer, ids, LENGTH, context))
    assert len(windows) == count > 200
    alone = encode(read_conll(str(data)), tokenizer, ids, LENGTH)
    more = sum(len(window.tokens) > len(other.tokens) for window, other in zip(windows, alone))
    assert more > 100 if context else more == 0
    for i in range(4):
        written = list(tf.io.tf_record_iterator(f"{path}-0000{i}-of-00004"))
        assert [
            tf.train.Example.FromString(each).features.feature["input_ids"].int64_list.value for each in written
        ] == [each.input_ids + [0] * (LENGTH - len(each.input_ids)) for each in windows[i::4]]


def test_a_record_is_what_tensorflow_writes(tokenizer):
    """Its fields in sorted order: protobuf leaves the order open, and on some versions two records differ in it."""
    for size in (3, 8):
        each = window(300, size)
        values = {"input_ids": each.input_ids, "input_mask": [1] * size, "label_ids": each.label_ids}
        values = {name: value + [0] * (LENGTH - size) for name, value in values.items()}
        example = record_files.make_example(dict(values, segment_ids=[0] * LENGTH))
        assert corpus.record(each, LENGTH) == example.SerializeToString(deterministic=True)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.one_tensorflow
def test_bad_lines_are_named_wherever_they_are(processes, tmp_path, tokenizer, monkeypatch):
    """The first of them, by its line in the file, though other processes meet later ones sooner."""
    monkeypatch.setattr(conll, "BLOCK_BYTES", 64)
    data = tmp_path / "train.txt"
    good = b"the O\nman B-A\n\n"
    for bad, message in (
        (b"word\n", "expected a word and its tag, found only 'word'"),
        (b"\xff O\n", "byte 1 of the line is not UTF-8"),
        (b"the X\n", "the tag 'X' is the model's own"),
    ):
        data.write_bytes(good * 50 + bad + good * 50 + bad)
        with pytest.raises(UserError, match=f"^{data}:151: {message}"):
            corpus.summarize(str(data), processes)
    data.write_bytes(b"\n\n \n")
    with pytest.raises(UserError, match="no sentence in it"):
        corpus.summarize(str(data), processes)
    data.write_bytes("\u200b O\n\n".encode("utf-8") * 40)
    with pytest.raises(UserError, match="train.txt: no word in it tokenizes to anything"):
        examples = records.file_examples(str(data), tokenizer, IDS, LENGTH, processes)
        record_files.write_records(str(tmp_path / "r"), examples, "test", 2)
    assert os.listdir(str(tmp_path)) == ["train.txt"]
    data.write_bytes(good * 50 + b"the B-B\n")
    with pytest.raises(UserError, match=f"{data}:151: the tag 'B-B' was not seen in training"):
        check_tags(str(data), conll.read_sentences(str(data)), NAMES)


@pytest.mark.one_tensorflow
def test_a_run_writes_its_training_file_in_shards(given, tmp_path):
    """And the others as ever; what is current is not written again, and -clean knows the names."""
    flags = list(given) + ["-output_dir", str(tmp_path), "-record_shards", "3"]
    found = {}
    for processes in ("1", "2"):
        args = get_args_parser(flags + ["-processes", processes])
        inputs = load_inputs(args)
        assert sorted(inputs.sentences) == ["dev", "test"] and sorted(inputs.files) == ["dev", "test", "train"]
        assert inputs.corpus.sentences == len(read_conll(inputs.files["train"]))
        made = {
            split: splits.make_records(args.output_dir, inputs, split, args.vocab_file, 3, int(processes))
            for split in inputs.files
        }
        found[processes] = {name: os.stat(str(tmp_path / name)).st_mtime_ns for name in os.listdir(str(tmp_path))}
    assert found["1"].keys() == found["2"].keys()
    kept = [name for name in found["1"] if "tf_record" in name]
    assert all(found["1"][name] == found["2"][name] for name in kept)
    assert [name for name in sorted(kept) if name.startswith("train")] == [
        f"train.tf_record-0000{i}-of-00003" for i in range(3)
    ] + ["train.tf_record.json"]
    assert all(run_dir.OURS.match(name) for name in kept) and "eval.tf_record" in kept

    windows = list(encode(read_conll(inputs.files["train"]), inputs.tokenizer, inputs.label_ids, args.max_seq_length))
    assert made["train"].encoded is None and made["train"].count == len(windows)
    shard = list(tf.io.tf_record_iterator(f"{made['train'].path}-00001-of-00003"))
    assert shard == [corpus.record(each, args.max_seq_length) for each in windows[1::3]]


LOADED = "sorted(__import__('sys').modules)"  # as the state of a worker whose tasks are `eval`: what it has imported


@pytest.mark.one_tensorflow
def test_a_fresh_process_loads_no_more_than_it_needs():
    """Not TensorFlow and not the main module, both of which are here."""
    with system_workers.Workers(2, LOADED, fresh=True) as workers:
        (loaded,) = workers.map(eval, [{}])
    assert "bert.system.workers" in loaded and "bert.system.errors" in loaded
    assert not {"tensorflow", "pytest"} & set(loaded) and {"tensorflow", "pytest"} <= set(sys.modules)


@pytest.mark.one_tensorflow
def test_fresh_processes_of_a_plain_script_that_is_killed(tmp_path):
    """They do not run the script again, though it asks for no __main__, and end when it does: here by SIGKILL."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal\n"
        "from bert.system import workers\n"
        "print('runs', flush=True)\n"
        "pool = workers.Workers(2, '1', fresh=True)\n"
        "print(sum(pool.map(eval, [{}] * 9)), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # Returns when nobody can write to standard output any more, so not before the last worker has ended.
    done = subprocess.run(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=REPOSITORY), timeout=1200, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL and done.stdout == "runs\n9\n"
