"""Truncation against one piece at a time, and the layout of one text and of two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert.data import pairs
from bert.tokenization import FullTokenizer

PIECES = "[PAD] [UNK] [CLS] [SEP] a b c ##d".split()


@pytest.fixture
def tokenizer(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES))
    return FullTokenizer(str(tmp_path / "vocab.txt"))


@given(st.integers(0, 30), st.integers(0, 30), st.integers(3, 40))
def test_truncate_takes_from_the_longer(length_a, length_b, max_seq_length):
    tokens_a, tokens_b = list(range(length_a)), list(range(100, 100 + length_b))
    expected_a, expected_b = list(tokens_a), list(tokens_b)
    while len(expected_a) + len(expected_b) + 3 > max_seq_length:
        (expected_a if len(expected_a) > len(expected_b) else expected_b).pop()
    assert pairs.truncate(tokens_a, tokens_b, max_seq_length) == (expected_a, expected_b)
    assert (tokens_a, tokens_b) == (list(range(length_a)), list(range(100, 100 + length_b)))


@given(st.integers(0, 30), st.integers(2, 40))
def test_truncate_one_text(length, max_seq_length):
    kept, none = pairs.truncate(list(range(length)), None, max_seq_length)
    assert none is None and kept == list(range(min(length, max_seq_length - 2)))


@pytest.mark.parametrize(
    "text_b,max_seq_length,tokens,segment_ids",
    [
        (None, 8, "[CLS] a b ##d [SEP]", "00000"),
        (None, 4, "[CLS] a b [SEP]", "0000"),
        ("c", 8, "[CLS] a b ##d [SEP] c [SEP]", "0000011"),
        ("c", 6, "[CLS] a b [SEP] c [SEP]", "000011"),
        ("c c a", 7, "[CLS] a b [SEP] c c [SEP]", "0000111"),
        ("", 8, "[CLS] a b ##d [SEP] [SEP]", "000001"),
    ],
)
def test_encode(text_b, max_seq_length, tokens, segment_ids, tokenizer):
    features = pairs.encode(tokenizer, "a bd", text_b, max_seq_length)
    assert features.tokens == tokens.split()
    assert features.segment_ids == [int(i) for i in segment_ids]
    assert features.input_ids == [PIECES.index(token) for token in features.tokens]


def test_padded(tokenizer):
    features = pairs.encode(tokenizer, "a", "b", 7)
    assert pairs.padded(features, 7) == {
        "input_ids": [2, 4, 3, 5, 3, 0, 0], "input_mask": [1, 1, 1, 1, 1, 0, 0], "segment_ids": [0, 0, 0, 1, 1, 0, 0],
    }  # fmt: skip


def test_shortest_length_leaves_a_piece_of_each(tokenizer):
    for text_b in (None, "b b b"):
        length = pairs.shortest_length(text_b is not None)
        tokens = pairs.encode(tokenizer, "a a a", text_b, length).tokens
        assert len(tokens) == length and "a" in tokens and (text_b is None or "b" in tokens)
