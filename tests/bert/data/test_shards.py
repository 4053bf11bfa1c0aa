"""Record files in shards, shared out to workers, and encoded by several processes from a file of any size."""

import collections
import os
import random
import signal
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bert.data import batches as data_batches
from bert.data import records as record_files
from bert.data import shards
from bert.data.batches import WHOLE, Reading, Share
from bert.system import workers as system_workers
from bert.system.errors import UserError
from bert.tokenization import FullTokenizer
from tests.bert.data.test_batches import IDS, LENGTH, NAMES, batches, numbers, window, write
from tests.paths import REPOSITORY
from train import run_dir
from train.data import conll, corpus, records
from train.data.conll import check_tags, read_conll
from train.data.labels import label_ids
from train.data.recognition import count_transitions, recognise, slips
from train.data.splitting import WordCounts
from train.data.windows import encode
from train.finetuning import splits
from train.finetuning.inputs import load_inputs
from train.train_helper import get_args_parser

FEW = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))


def write_shards(path, count, shard_count, made_from="test"):
    """A set of shards of windows with the numbers 0 to count - 1."""
    examples = (corpus.record(window(number, 3 + number % 4), LENGTH) for number in range(count))
    assert record_files.write_records(str(path), examples, made_from, shard_count) == count


def contents(folder):
    return {name: (folder / name).read_bytes() for name in os.listdir(str(folder))}


# ---- names ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def touch(tmp_path):
    """`touch(*names)`: makes empty files; returns the path before a name."""

    def make(*names):
        for name in names:
            (tmp_path / name).write_bytes(b"")
        return str(tmp_path) + "/"

    return make


def test_what_a_name_stands_for(touch):
    set_of_2 = ["r-00000-of-00002", "r-00001-of-00002"]
    folder = touch("one", "other", "x-00000-of-00001", "r.json", "r-00000-of-00002.tmp-3", "[a]", "a", *set_of_2)
    for path, expected in (
        ("one", ["one"]),
        ("r", set_of_2),
        ("x", ["x-00000-of-00001"]),  # as other programs write it
        ("r-00001-of-00002", set_of_2[1:]),
        ("r*", set_of_2),
        ("r-00001-of-*", set_of_2[1:]),  # that the pattern leaves shards out is no mistake
        ("o*", ["one", "other"]),
        ("[a]", ["[a]"]),
    ):
        assert shards.find_shards(folder + path) == [folder + name for name in expected], path
    found = shards.find_shards([folder + "other", folder + "r", folder + "o*"])
    assert found == [folder + name for name in ["other"] + set_of_2 + ["one"]]


@pytest.mark.parametrize("path", ["r", "r-*", "r-0000?-of-00003", ["one", "r"]])
def test_a_missing_shard_is_named(path, touch):
    folder = touch("one", "r-00000-of-00003", "r-00002-of-00003")
    with pytest.raises(
        UserError, match=f"^{folder}r-00001-of-00003: no such file; expected all 3 shards of {folder}r$"
    ):
        shards.find_shards([folder + part for part in path] if isinstance(path, list) else folder + path)


def test_names_that_stand_for_nothing_or_for_too_much(touch):
    folder = touch("r-00000-of-00001", "r-00000-of-00002", "r-00001-of-00002")
    with pytest.raises(UserError, match="r: found sets of 1 and 2 shards; expected one set"):
        shards.find_shards(folder + "r")
    for path in ("s", "s*", "r-", "r-00000"):
        with pytest.raises(UserError, match="no such record file"):
            shards.find_shards(folder + path)


def test_records_are_counted_without_a_fingerprint(tmp_path):
    write_shards(tmp_path / "a", 10, 3)
    write_shards(tmp_path / "b", 4, 1)
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert [record_files.count_records(path) for path in paths] == [10, 4]
    assert record_files.count_records(paths) == 14 == record_files.count_records(str(tmp_path / "[ab]*"))
    os.remove(paths[0] + ".json")
    assert record_files.count_records(paths[0]) == 10
    cut = tmp_path / "a-00001-of-00003"
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(UserError, match="a-00001-of-00003: cut off in record 3"):
        record_files.count_records(paths[0])


# ---- writing --------------------------------------------------------------------------------------------------------


def test_shards_hold_the_records_by_turns_and_one_fingerprint_is_for_all(tmp_path):
    path = tmp_path / "train.tf_record"
    write_shards(path, 10, 3)
    assert sorted(os.listdir(str(tmp_path))) == [f"train.tf_record-0000{i}-of-00003" for i in range(3)] + [
        "train.tf_record.json"
    ]
    for i in range(3):
        assert numbers(batches(f"{path}-0000{i}-of-00003", None)) == list(range(i, 10, 3))
    assert numbers(batches(path, None)) == list(range(10)) == numbers(batches(f"{path}-*", None))
    assert record_files.is_current(str(path), "test", 3)
    for made_from, count in (("other", 3), ("test", 1), ("test", 2), ("test", 4)):
        assert not record_files.is_current(str(path), made_from, count)
    # Not a set: one file after the other.
    some = [f"{path}-00002-of-00003", f"{path}-00000-of-00003"]
    assert numbers(batches(some, None)) == [2, 5, 8, 0, 3, 6, 9]
    os.remove(f"{path}-00001-of-00003")
    assert not record_files.is_current(str(path), "test", 3)


def test_one_shard_is_the_file_itself_as_it_always_was(tmp_path):
    write(tmp_path / "a", 9)
    write_shards(tmp_path / "b", 9, 1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "b.json").read_text() == '{\n  "made_from": "test",\n  "records": 9\n}\n'


@pytest.mark.parametrize("first,then", [(1, 3), (3, 1), (3, 2)])
def test_a_set_of_another_size_takes_the_place_of_the_old_one(first, then, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "old").mkdir()
    write_shards(tmp_path / "old" / "r", 10, first)
    write_shards(tmp_path / "old" / "r", 8, then)
    write_shards(tmp_path / "new" / "r", 8, then)
    assert contents(tmp_path / "old") == contents(tmp_path / "new")


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, "full"])
def test_a_set_is_replaced_as_a_whole_or_not_at_all(error, count, tmp_path):
    """Whenever writing ends too early the old records are all there, and nothing says what they are made from."""
    path = tmp_path / "r"
    write_shards(path, 50, count)
    before = contents(tmp_path)
    del before["r.json"]

    def examples():
        for number in range(500):
            yield corpus.record(window(number, 5), LENGTH)
        if error != "full":
            raise error

    if error == "full":
        os.symlink("/dev/full", f"{shards.shard_names(str(path), count)[-1]}.tmp-{os.getpid()}")
    with pytest.raises(UserError if error == "full" else error):
        record_files.write_records(str(path), examples(), "test", count)
    assert contents(tmp_path) == before
    assert not record_files.is_current(str(path), "test", count)


# ---- reading in training --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """`read(count, shard_count, steps, ...)`: batches of training on windows 0 to count - 1 in so many shards."""
    folder = tmp_path_factory.mktemp("shards")
    written = set()

    def run(count, shard_count, steps, pool_batches=None, **kwargs):
        path = folder / f"{count}_{shard_count}"
        if (count, shard_count) not in written:
            write_shards(path, count, shard_count)
            written.add((count, shard_count))
        with pytest.MonkeyPatch.context() as patched:
            if pool_batches:
                patched.setattr(data_batches, "POOL_BATCHES", pool_batches)
            return batches(path, steps, **dict({"is_training": True, "seed": 3, "graph_seed": 3}, **kwargs))

    return run


def rows(found):
    """Batches as tuples of the numbers in them."""
    return [tuple(numbers([batch])) for batch in found]


@FEW
@given(st.sampled_from([(12, 3), (12, 5), (11, 16), (24, 8)]), st.integers(0, 99), st.sampled_from([1, 3]))
def test_every_record_once_an_epoch_in_an_order_of_its_own(read, shape, seed, batch_size):
    count = shape[0]
    found = numbers(read(*shape, 3 * count // batch_size, seed=seed, batch_size=batch_size))
    epochs = [found[start : start + count] for start in range(0, len(found) - count + 1, count)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == len(epochs) >= 2


@pytest.mark.one_tensorflow  # test_record_order.py has the same everywhere, on fewer records
def test_the_order_depends_on_seed_and_shards_alone(read):
    first, again, other = (rows(read(40, 6, 30, seed=seed)) for seed in (7, 7, 8))
    assert first == again != other
    assert rows(read(40, 6, 10, seed=7, start_step=13)) == first[13:23]


def test_the_shuffle_goes_across_shards_even_with_a_small_buffer(read, monkeypatch):
    """Shards are read in another order each epoch, a few at a time; together a buffer sees all parts of a corpus."""
    monkeypatch.setattr(data_batches, "SHUFFLE_BUFFER", 4)
    found = numbers(read(64, 8, 32))
    for epoch in (found[:64], found[64:]):
        assert sorted(epoch) == list(range(64))
        # The records of one shard are every eighth one. Among the first 32, but for the buffer, are those of 4 shards.
        seen = collections.Counter(number % 8 for number in epoch[:32])
        assert len([shard for shard, times in seen.items() if times >= 5]) == data_batches.SHARDS_AT_ONCE
        assert min(epoch[:16]) < 16 and max(epoch[:32]) >= 48
    assert found[:64] != found[64:]


@FEW
@given(st.sampled_from([(12, 3), (24, 5)]), st.booleans(), st.integers(0, 13), st.integers(1, 4))
def test_training_on_shards_goes_on_where_it_was(read, shape, by_length, start_step, pool_batches):
    whole = read(*shape, 16, pool_batches, by_length=by_length)
    again = read(*shape, 16 - start_step, pool_batches, by_length=by_length, start_step=start_step)
    assert rows(again) == rows(whole)[start_step:]


@pytest.mark.parametrize("by_length", [False, True])
def test_records_as_they_come_are_all_the_records(by_length, read):
    found = numbers(read(48, 6, 24, deterministic=False, by_length=by_length))
    assert [sorted(found[start : start + 48]) for start in (0, 48)] == [list(range(48))] * 2
    # Two processes would take rows of two different orders.
    own = [numbers(read(48, 6, 24, deterministic=False, by_length=by_length, share=Share(2, k))) for k in range(2)]
    assert sorted(own[0][:24] + own[1][:24]) == list(range(48))


# ---- sharing out ----------------------------------------------------------------------------------------------------


def shares(count, replicas, by_file=False):
    """The shares of all processes of a run of so many replicas, each feeding the same number of them."""
    return [Share(count, index, replicas, by_file) for index in range(0, count, replicas)]


@FEW
@given(
    st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4)]),
    st.booleans(),
    st.sampled_from([1, 5]),
    st.integers(0, 6),
)
@example((4, 2), True, 5, 3)
def test_the_batches_of_a_run_are_the_same_for_any_number_of_workers(read, cluster, by_length, shard_count, start_step):
    """1, 2 and 4 replicas in 1, 2 or 4 processes: replica k of n has the rows k, k + n, ... of each batch."""
    count, replicas = cluster
    steps = 9
    kwargs = {"by_length": by_length, "pool_batches": 3, "start_step": start_step}
    whole = read(24, shard_count, steps, **kwargs)
    own = [read(24, shard_count, steps * replicas, share=share, **kwargs) for share in shares(count, replicas)]
    for step, batch in enumerate(whole):
        parts = [found[step * replicas + k] for found in own for k in range(replicas)]
        for k, part in enumerate(parts):
            width = part["input_ids"].shape[1]
            assert set(part) == set(batch)
            for name in part:
                assert part[name].tolist() == batch[name][k::count, :width].tolist()
            assert width == part["input_mask"].sum(axis=1).max()  # no wider than its own texts
    assert sum(len(found) for found in own) == steps * count


@FEW
@given(
    st.sampled_from([(2, 1), (4, 1), (4, 2), (3, 1)]),
    st.sampled_from([(24, 1), (24, 4), (25, 5), (23, 7)]),
    st.integers(0, 50),
)
@example((4, 2), (24, 1), 0)
def test_by_file_all_workers_together_see_every_record_once_an_epoch(read, cluster, shape, seed):
    """Each in an epoch of its own, whose length is the number of its records; fewer shards than workers will do."""
    count, replicas = cluster
    seen, files = [], set()
    for share in shares(count, replicas, by_file=True):
        own = numbers(read(*shape, 60, seed=seed, batch_size=count, share=share))
        length = len(set(own))
        assert len(own) == 60 and [sorted(own[:length])] * 2 == [sorted(own[:length]), sorted(own[length : 2 * length])]
        seen += own[:length]
        files |= {frozenset(number % shape[1] for number in own)} if shape[1] >= count else set()
    assert sorted(seen) == list(range(shape[0]))
    assert sum(map(len, files)) == (shape[1] if files else 0)  # no two read from one file


@pytest.mark.one_tensorflow  # test_record_order.py has the same everywhere, on fewer records
def test_by_file_goes_on_where_it_was_too(read):
    for by_length in (False, True):
        for share in shares(4, 2, by_file=True):
            whole = rows(read(32, 4, 24, share=share, by_length=by_length))
            assert (
                rows(read(32, 4, 14, share=share, by_length=by_length, start_step=5)) == whole[10:]
            )  # 2 replicas: 2 a step


@FEW
@given(st.sampled_from([1, 2, 3, 4]), st.booleans(), st.sampled_from([1, 3]), st.sampled_from([1, 7, 29]))
def test_evaluation_gives_every_record_to_one_worker(read, workers, by_length, shard_count, count):
    found = collections.Counter()
    for index in range(workers):
        share = Share(workers, index)
        own = read(
            count, shard_count, None, is_training=False, share=share, by_length=by_length, batch_size=4 * workers
        )
        assert all(len(batch["input_ids"]) <= 4 for batch in own)
        assert sorted(numbers(own)) == list(range(index, count, workers))
        if by_length:
            assert [place for batch in own for place in batch["position"].tolist()] == numbers(own)
        found.update(numbers(own))
    assert found == collections.Counter(range(count))


def test_shares_keep_static_shapes(tmp_path):
    write_shards(tmp_path / "r", 12, 2)
    for share in (WHOLE, Share(2, 1), Share(4, 2, 2), Share(2, 0, by_file=True)):
        input_fn = records.file_based_input_fn_builder(
            str(tmp_path / "r"), LENGTH, True, True, IDS, 8, trim=False, reading=Reading(share=share)
        )
        with tf.Graph().as_default():
            shapes = tf.data.get_output_shapes(input_fn())
        assert {tuple(shape.as_list()) for shape in shapes.values()} == {(8 // share.count, LENGTH)}


def test_a_share_that_cannot_be(tmp_path):
    write_shards(tmp_path / "r", 3, 2)
    with pytest.raises(ValueError, match="a batch of 4 cannot be shared out evenly to 3 replicas"):
        batches(tmp_path / "r", 1, share=Share(3, 0))
    with pytest.raises(UserError, match="too few records; expected one or more for each of 4 processes"):
        batches(tmp_path / "r", 1, is_training=True, share=Share(4, 3, by_file=True))


# ---- a training file as a stream ------------------------------------------------------------------------------------


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


@settings(FEW, max_examples=100)
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


def write_corpus(path, count, seed=0):
    rng = random.Random(seed)
    sentences = [
        [(rng.choice(WORDS), rng.choice(TAGS)) for _ in range(rng.choice([1, 3, 8, 40]))] for _ in range(count)
    ]
    path.write_bytes(text_of(sentences, rng))


@pytest.mark.one_tensorflow
def test_the_same_files_for_any_number_of_processes(tmp_path, tokenizer, monkeypatch):
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
            path, records.file_examples(str(data), tokenizer, ids, LENGTH, processes), "test", 4
        )
        found[processes] = contents(tmp_path / str(processes))
        assert corpus.summarize(str(data), processes) == corpus.summarize(str(data), 1)
    assert found[1] == found[2] == found[3]

    windows = list(encode(read_conll(str(data)), tokenizer, ids, LENGTH))
    assert len(windows) == count > 200
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
