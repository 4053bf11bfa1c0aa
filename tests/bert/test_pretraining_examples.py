"""Examples for pre-training, held against the text they were made from: documents, pairs and masks."""

import collections
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert.pretraining import corpus
from bert.pretraining import examples as pretraining_examples
from bert.tokenization import FullTokenizer
from tests.bert.pretraining_text import CLS, MASK, SEP, lists, make, own_words, segments, write_vocab

pytestmark = pytest.mark.one_tensorflow
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


@settings(max_examples=80, deadline=None)
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
