"""Pieces that know their place in the text, windows over them, and which window shows a piece best."""

import collections
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert.squad import windows as squad_windows
from bert.squad.questions import Question
from bert.tokenization import FullTokenizer

CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789σ"
PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK] the cafe paris 北 京 ᄀ ##ᅡ ##ᆨ 201 un ##aff ##able . , - ##ς".split()
PIECES += list(CHARACTERS) + ["##" + char for char in CHARACTERS]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """The tokenizer by do_lower_case."""
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_bytes("\n".join(PIECES).encode("utf-8"))
    return {lower: FullTokenizer(str(path), do_lower_case=lower) for lower in (True, False)}


def parts(tokenizer, text):
    aligned = squad_windows.Aligner(tokenizer).align(text)
    return [(piece, text[s:e]) for piece, s, e in zip(aligned.pieces, aligned.starts, aligned.ends)]


def test_pieces_give_back_case_accents_and_ideographs(tokenizers):
    assert parts(tokenizers[True], "The  CAFÉS, Cafe\u0301s;\u00a0北京2018") == [
        ("the", "The"), ("cafe", "CAFÉ"), ("##s", "S"), (",", ","), ("cafe", "Cafe\u0301"), ("##s", "s"),
        ("[UNK]", ";"), ("北", "北"), ("京", "京"), ("201", "201"), ("##8", "8"),
    ]  # fmt: skip


def test_characters_that_become_several_or_none(tokenizers):
    # A Hangul syllable decomposes into its letters; İ into i and a dot; a control character vanishes.
    assert parts(tokenizers[True], "각 İ a\u200bb\x00") == [
        ("ᄀ", "각"), ("##ᅡ", "각"), ("##ᆨ", "각"), ("i", "İ"), ("a", "a"), ("##b", "b"),
    ]  # fmt: skip
    # Lower-casing looks at the end of the word here.
    assert parts(tokenizers[True], "ΣΣΣ.") == [("σ", "Σ"), ("##σ", "Σ"), ("##ς", "Σ"), (".", ".")]


# Letters whose lower case or decomposition is longer, marks that are reordered or not stripped, spaces, and the rest.
HARD = "ŉİẞΣσςǅﬁ각ᄀé\u0301\u0323\u0327\u302e\u302f\u093f\u0345\U0001d165"
HARD += "\u200b\u2028\x85\x1c \u00a0\u3000北京\ufffd\x00.,-$aB1𝔸"
texts = st.text(st.one_of(st.sampled_from(HARD), st.characters(blacklist_categories=["Cs"])), max_size=40)


@settings(max_examples=150, deadline=None)
@given(texts, st.booleans())
def test_alignment_of_any_text(tokenizers, text, lower):
    tokenizer = tokenizers[lower]
    aligned = squad_windows.Aligner(tokenizer).align(text)
    assert aligned.pieces == tokenizer.tokenize(text)
    assert len(aligned.pieces) == len(aligned.starts) == len(aligned.ends)
    previous = (0, 0)
    for index, place in enumerate(zip(aligned.starts, aligned.ends)):
        assert place >= previous and 0 <= place[0] < place[1] <= len(text)
        previous = place
        assert squad_windows.text_of(aligned, index, index) == text[place[0] : place[1]]
    # No character that is more than a space or a mark is outside all pieces, unless the tokenizer drops it.
    covered = {i for start, end in zip(aligned.starts, aligned.ends) for i in range(start, end)}
    for i, char in enumerate(text):
        if i not in covered:
            assert char.isspace() or unicodedata.category(char) in ("Mn", "Cc", "Cf", "Zs") or char == "\ufffd"
    if lower:
        return
    # With nothing lower-cased or stripped a piece is the very text it comes from.
    for piece, start, end in zip(aligned.pieces, aligned.starts, aligned.ends):
        kept = "".join(tokenizer.basic_tokenizer.tokenize(text[start:end]))
        assert piece == "[UNK]" or kept == (piece[2:] if piece.startswith("##") else piece)


@settings(max_examples=100, deadline=None)
@given(texts, st.data())
def test_a_span_of_pieces_is_found_by_its_characters(tokenizers, text, data):
    aligned = squad_windows.Aligner(tokenizers[True]).align(text)
    if not aligned.pieces:
        return
    first = data.draw(st.integers(0, len(aligned.pieces) - 1))
    last = data.draw(st.integers(first, len(aligned.pieces) - 1))
    span = aligned.starts[first], aligned.ends[last]
    found = squad_windows.pieces_of(aligned, *span)
    assert squad_windows.text_of(aligned, *found) == text[span[0] : span[1]]
    assert found[0] <= first and found[1] >= last  # wider where a character became several pieces


def test_spans_that_pieces_do_not_meet(tokenizers):
    text = "un\u200bknown x\u200b \u200b unaffable"
    aligned = squad_windows.Aligner(tokenizers[True]).align(text)
    assert squad_windows.pieces_of(aligned, text.index("x") + 1, text.index("x") + 2) is None  # dropped
    assert squad_windows.pieces_of(aligned, text.index("x"), text.index("x") + 2) is None
    assert squad_windows.text_of(aligned, *squad_windows.pieces_of(aligned, 0, 8)) == "un\u200bknown"
    start = text.index("unaff") + 3  # "ff": in the middle of a piece, which is taken as a whole
    assert squad_windows.text_of(aligned, *squad_windows.pieces_of(aligned, start, start + 2)) == "aff"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 30))
def test_windows_cover_everything(length, max_length, doc_stride):
    spans = squad_windows.cut_spans(length, max_length, doc_stride)
    assert {i for first, count in spans for i in range(first, first + count)} == set(range(length))
    assert all(count <= max_length for _, count in spans)
    assert all(second[0] - first[0] == min(doc_stride, max_length) for first, second in zip(spans, spans[1:]))
    assert all(first + count < length for first, count in spans[:-1])  # none is more than is needed


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 30))
def test_most_context_by_brute_force(length, max_length, doc_stride):
    spans = squad_windows.cut_spans(length, max_length, doc_stride)
    best = squad_windows.most_context(spans, length)
    for position in range(length):
        scores = collections.OrderedDict()
        for index, (first, count) in enumerate(spans):
            if first <= position < first + count:
                left, right = position - first, first + count - 1 - position
                scores[index] = min(left, right) + 0.01 * count
        assert best[position] == max(scores, key=scores.get)  # the first of equals


def test_most_context_by_hand():
    # "the man went to the store and bought a gallon of milk", windows of 5 every 3: "bought" is the last of the second
    # window, with no context on its right, and has 1 on its left in the third.
    spans = squad_windows.cut_spans(12, 5, 3)
    assert spans == [(0, 5), (3, 5), (6, 5), (9, 3)]
    assert squad_windows.most_context(spans, 12) == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]


def window_list(tokenizer, question, context, max_seq_length=10, doc_stride=3, max_query_length=3):
    question = Question("q", question, context, (), None)
    ((_, aligned),) = squad_windows.align_questions([question], tokenizer)
    windows = squad_windows.make_windows(question, aligned, tokenizer, max_seq_length, doc_stride, max_query_length)
    return aligned, windows


def test_windows_of_a_question(tokenizers):
    aligned, windows = window_list(tokenizers[True], "the cafe in paris", "a b c d e f g")
    features = [squad_windows.features_of(window, aligned, tokenizers[True]) for window in windows]
    assert [" ".join(each.tokens) for each in features] == [
        "[CLS] the cafe i [SEP] a b c d [SEP]",
        "[CLS] the cafe i [SEP] d e f g [SEP]",
    ]
    assert [(w.offset, w.first, w.count) for w in windows] == [(5, 0, 4), (5, 3, 4)]
    # d is at an edge of both: the first has it.
    assert [w.is_max_context for w in windows] == [[True, True, True, True], [False, True, True, True]]
    for window, each in zip(windows, features):
        assert squad_windows.length_of(window) == len(each.tokens) == 10
        assert each.segment_ids == [0] * 5 + [1] * 5
        for i in range(window.count):
            assert each.tokens[window.offset + i] == aligned.pieces[window.first + i]


@pytest.mark.parametrize("context", ["", " \n", "\u200b"])
def test_a_context_without_pieces_has_one_window(context, tokenizers):
    aligned, (window,) = window_list(tokenizers[True], "the", context)
    assert window.count == 0
    features = squad_windows.features_of(window, aligned, tokenizers[True])
    assert features.tokens == ["[CLS]", "the", "[SEP]", "[SEP]"]


def test_targets_at_window_edges(tokenizers):
    _, windows = window_list(tokenizers[True], "the cafe in", "a b c d e f g")  # a b c d | d e f g
    expected = {(0, 0): [(5, 5), (0, 0)], (2, 3): [(7, 8), (0, 0)], (3, 3): [(8, 8), (5, 5)], (3, 6): [(0, 0), (5, 8)],
                (6, 6): [(0, 0), (8, 8)], (2, 4): [(0, 0), (0, 0)], (0, 6): [(0, 0), (0, 0)]}  # fmt: skip
    for pieces, targets in expected.items():
        assert [squad_windows.target_of(window, pieces) for window in windows] == targets
    assert [squad_windows.target_of(window, None) for window in windows] == [(0, 0), (0, 0)]


def test_a_paragraph_is_tokenized_once(tokenizers):
    context, other = "a b", "c"
    questions = [Question(str(i), "?", text, (), None) for i, text in enumerate([context, context, other])]
    aligned = [found for _, found in squad_windows.align_questions(questions, tokenizers[True])]
    assert aligned[0] is aligned[1] and aligned[2].text == other
