"""Tokenization in the graph against the tokenizer, and the exported signature against Predictor."""

import contextlib
import io
import json
import os
import sys
import unicodedata

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.tools import saved_model_cli

from bert.tokenization import FullTokenizer
from tests import selection, serving
from tests.paths import REPOSITORY
from tests.train.data.test_text import CHARACTERS, JOINED, marked_texts
from train.data.text import CHARACTERS as SPELLED
from train.data.text import MARKS, split_words
from train.data.windows import encode_words
from train.predictor import Predictor
from train.serving import text_graph

VOCAB = os.path.join(REPOSITORY, "data_demo", "vocab.txt")
# What normalisation goes wrong at, beside what words do: capitals of every kind, sigmas and what stands around them,
# what NFD takes apart or puts in another order (marks that are no accents), Hangul, words of 100 characters and more.
ODD = (
    "ΑΣσς'’\u00b7\u0345ΆİıßẞŉǰΐὣᾳﬁﬃＡ１각힣ﾡ\u1e9b\u0323\u212b\u2126\U0001d15e\U0001d165\U0001d16d\U0001d16e"
    "\u302e\u0f43\uf900\U0002f800"
)
TEXTS = st.lists(
    st.one_of(CHARACTERS, st.sampled_from(ODD), st.sampled_from(["Σ", "a" * 99, "a" * 100])).filter(
        lambda part: not any("\ud800" <= character <= "\udfff" for character in part)
    )
).map("".join)


class InGraph:
    """What serving_text makes of texts, in a session of its own."""

    def __init__(self, vocab_file, do_lower_case=True, max_seq_length=16, splitter=MARKS):
        self.splitter = splitter
        self.tokenizer = FullTokenizer(vocab_file, do_lower_case)
        vocab = self.tokenizer.vocab
        with tf.Graph().as_default() as graph:
            self._texts = tf.placeholder(tf.string, [None])
            words, characters, word = text_graph.split_texts(self._texts, splitter)
            pieces = text_graph.tokenize(characters, word, tf.size(words.text), vocab, do_lower_case)
            self._tokens = words, pieces
            self._batch = text_graph.encode_texts(self._texts, vocab, do_lower_case, max_seq_length, splitter)
        self._session = tf.Session(graph=graph)

    def tokens(self, texts):
        """For each text a list of (start, end, ids of the pieces)."""
        words, pieces = self._run(self._tokens, texts)
        ids = np.split(pieces.ids, np.cumsum(pieces.count)[:-1]) if len(pieces.count) else []
        assert list(words.count) == list(np.bincount(words.text, minlength=len(texts)))
        found = [[] for _ in texts]
        for row, index, start, end, of_word in zip(words.text, words.index, words.starts, words.ends, ids):
            assert index == len(found[row])
            found[row].append((start, end, list(of_word)))
        return found

    def batch(self, texts):
        return self._run(self._batch, texts)

    def _run(self, tensors, texts):
        return self._session.run(tensors, {self._texts: [text.encode("utf-8") for text in texts]})


def tokens(tokenizer, text, splitter=MARKS):
    """The same by the tokenizer."""
    return [
        (start, end, tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text[start:end])))
        for start, end in split_words(text, splitter)
    ]


@pytest.fixture(scope="module")
def lower():
    return InGraph(VOCAB)


@pytest.fixture(scope="module")
def cased():
    return InGraph(VOCAB, do_lower_case=False)


@pytest.fixture(scope="module")
def spelled():
    return InGraph(VOCAB, splitter=SPELLED)


@pytest.fixture(scope="module")
def joined():
    return InGraph(VOCAB, splitter=JOINED)


MARKED = marked_texts.filter(lambda text: not any("\ud800" <= character <= "\udfff" for character in text))


@given(texts=st.lists(TEXTS | MARKED, max_size=4))
@settings(max_examples=50 if selection.is_reference() else 20)
def test_pieces_are_the_tokenizers(lower, cased, spelled, joined, texts):
    for in_graph in (lower, cased, spelled, joined):
        assert in_graph.tokens(texts) == [tokens(in_graph.tokenizer, text, in_graph.splitter) for text in texts]


ONCE = pytest.mark.one_tensorflow


# What stands around a character is looked at by the same operations.
@pytest.mark.parametrize("form", ["{}", *(pytest.param(form, marks=ONCE) for form in ("a{}b", "\u0301{}Σ"))])
def test_characters_of_every_kind(lower, cased, form):
    """Of those that are alike, ideographs, syllables and what is no character or for private use, one in 61."""
    alike = [(0x3400, 0xA000), (0xAC00, 0xD7A4), (0x20000, 0xE0000), (0xE0200, 0x110000)]
    characters = [
        chr(i)
        for i in range(sys.maxunicode + 1)
        if i % 61 == 0
        or not any(first <= i < behind for first, behind in alike)
        and unicodedata.category(chr(i)) not in ("Cn", "Co")
    ]
    characters = [character for character in characters if not "\ud800" <= character <= "\udfff"]
    for start in range(0, len(characters), 20000):
        texts = [form.format(character) for character in characters[start : start + 20000]]
        for in_graph in (lower, cased):
            found = in_graph.tokens(texts)
            for text, of_text in zip(texts, found):
                assert of_text == tokens(in_graph.tokenizer, text), ascii(text)


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """A vocabulary made for the texts of the next test."""
    vocab = "[PAD] [UNK] [CLS] [SEP] a b x y ##x = \u2028 ## ##aff \u5317 ας σας σ ασα ab abc ##cd \u1100 ##\u1161"
    vocab += " ##\u11a8 \U0001d165\U0001d16d"
    path = tmp_path_factory.mktemp("by_hand") / "vocab.txt"
    path.write_bytes("\n".join(vocab.split(" ")).encode("utf-8"))
    return InGraph(str(path))


@pytest.mark.parametrize(
    "text, pieces",
    [
        ("ΣΑΣ ΑΣ' Σ ΑΣ.Α Α\u0301Σ\u0301 ΑΣ\u200bΑ", "σας ας [UNK] σ ας [UNK] [UNK] ας ασα"),
        ("a\u2260b Stra\u00dfe", "a = b [UNK]"),
        ("\U0001d16d\U0001d165", "\U0001d165\U0001d16d"),  # NFD puts these in the order of their classes
        ("\u0301x\u0301\u5317\u0301y", "x \u5317 y"),
        ("x" * 100, " ".join(["x"] + ["##x"] * 99)),
        ("x" * 101, "[UNK]"),
        ("x" * 50 + "\u0301" * 60 + "x" * 50, " ".join(["x"] + ["##x"] * 99)),  # counted without accents
        ("xxz a\u2028b", "[UNK] a b"),
        ("un##aff", "[UNK] [UNK] [UNK] [UNK]"),
        ("\uac01", "\u1100 ##\u1161 ##\u11a8"),
        ("ab abc abcd abcdab", "ab abc [UNK] [UNK]"),  # abc is longer than ab, and then there is no ##d
    ],
)
def test_by_hand(text, pieces, by_hand):
    (found,) = by_hand.tokens([text])
    assert [by_hand.tokenizer.inv_vocab[i] for _, _, ids in found for i in ids] == pieces.split(" ")


@given(texts=st.lists(TEXTS | MARKED, max_size=4))
@settings(max_examples=50 if selection.is_reference() else 20)
def test_the_model_reads_what_encode_gives(lower, spelled, joined, texts):
    """Where a text is one window; of a longer one the words that fit, and it says so."""
    for in_graph in (lower, spelled, joined):
        check_batch(in_graph, texts)


def check_batch(in_graph, texts):
    batch, words = in_graph.batch(texts)
    sentences = [[text[a:b] for a, b in split_words(text, in_graph.splitter)] for text in texts]
    windows = list(encode_words(sentences, in_graph.tokenizer, 16))
    for row in range(len(texts)):
        of_text = [window for window in windows if window.part.sentence == row]
        length = batch.input_mask[row].sum()
        assert batch.too_long[row] == (len(of_text) > 1)
        assert not batch.input_ids[row, length:].any() and not batch.word_start[row, length:].any()
        positions, seen = batch.position[words.text == row], batch.seen[words.text == row]
        if len(of_text) == 1:
            assert list(batch.input_ids[row, :length]) == of_text[0].input_ids
            starts = [position for position, _ in of_text[0].part.words]
            assert list(np.flatnonzero(batch.word_start[row])) == starts == [p for p in positions if p]
        elif not of_text:
            assert list(batch.input_ids[row, :length]) == in_graph.tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"])
        assert (length <= 16) and list(seen) == sorted(seen, reverse=True) and seen.all() != batch.too_long[row]
    assert not batch.segment_ids.any() and batch.input_ids.shape == batch.input_mask.shape


OTHER = {"subword_labels": "first", "scheme": None, "do_lower_case": False, "crf_only": True}
OTHER.update(temperature=1.3, entity_slope=0.8, entity_offset=0.1, entity_offsets={"PER": 1.0, "LOC": -1.0})


@pytest.fixture(scope="module", params=[{}, pytest.param(OTHER, marks=ONCE)])
def exported(request, exported, tmp_path_factory):
    return serving.make_export(tmp_path_factory.mktemp("export"), **request.param) if request.param else exported


def test_the_signature_says_what_predictor_says(exported):
    texts = [text.replace("\ud800", "") for text in serving.TEXTS]
    with Predictor(exported) as predict:
        taggings = predict.taggings(texts)
    expected = [tagging.tokens for tagging in taggings]
    model = serving.Model(exported)
    found = model("serving_text", {"text": [text.encode("utf-8") for text in texts]})
    scheme = json.load(open(os.path.join(exported, "assets", "tagger.json")))["scheme"] or ""
    assert list(found["too_long"]) == [len(text) > 100 for text in texts[:-1]] + [True]
    assert {name: value.dtype.kind for name, value in found.items()} == {
        **dict.fromkeys(["starts", "ends", "pieces", "word_count", "max_pieces"], "i"),
        **{"tags": "O", "scores": "f", "entity_scores": "f", "scheme": "O", "too_long": "b"},
    }
    kinds = set()
    for row, of_text in enumerate(expected):
        count = found["word_count"][row]
        assert list(zip(found["starts"][row], found["ends"][row]))[:count] == [(t.start, t.end) for t in of_text]
        assert not any(found[name][row, count:].any() for name in ("starts", "ends", "pieces", "scores"))
        tags = [tag.decode("utf-8") for tag in found["tags"][row]]
        assert set(tags[count:]) <= {""}
        assert found["max_pieces"][row] == 14 and found["scheme"][row].decode() == scheme
        if found["too_long"][row]:
            unseen = tags.index("")
            assert 0 < unseen < count and not found["scores"][row, unseen:].any()
            assert sum(found["pieces"][row, :unseen]) <= 14 < sum(found["pieces"][row, : unseen + 1])
        elif row != 3 or not scheme:  # there a word of nothing is inside an entity, which the client has to spell
            assert tags[:count] == [token.tag for token in of_text]
            np.testing.assert_allclose(found["scores"][row, :count], [token.score for token in of_text], atol=1e-4)
            for entity in taggings[row].entities:
                inside = [i for i, token in enumerate(of_text) if entity.start <= token.start < entity.end]
                np.testing.assert_allclose(min(found["entity_scores"][row, inside]), entity.score, atol=1e-4)
        kinds.update(tags)
    assert len(kinds - {""}) > 1  # else it would be no test
    model.close()


def test_no_text_and_no_words(exported):
    model = serving.Model(exported)
    for texts in ([], [b""], [b"\xff", b"\x00"]):
        found = model("serving_text", {"text": np.array(texts, object)})
        assert found["tags"].shape == (len(texts), 0) and found["too_long"].shape == (len(texts),)
    (found,) = model("serving_text", {"text": [b"a\xffAnn b"]})["starts"].tolist()
    assert found == [0, 6]  # a byte that is no UTF-8 counts as one character and parts nothing
    model.close()


def test_weights_are_written_once(exported):
    """Two graphs in one file, and one set of weights: variables, which TensorFlow 1.15 knows, not constants."""
    with tf.gfile.GFile(os.path.join(exported, "saved_model.pb"), "rb") as reader:
        (graph,) = saved_model_pb2.SavedModel.FromString(reader.read()).meta_graphs
    nodes = graph.graph_def.node
    variables = [node.attr for node in nodes if node.op == "VarHandleOp"]
    constants = [tf.make_ndarray(node.attr["value"].tensor) for node in nodes if node.op == "Const"]
    embeddings = [len(serving.PIECES), 16]
    assert [[size.size for size in attr["shape"].shape.dim] for attr in variables].count(embeddings) == 1
    assert not any(array.any() for array in constants if list(array.shape) == embeddings)  # zeros
    assert not any("debug_name" in attr for attr in variables)


def run_cli(exported, signature, expressions):
    """What `saved_model_cli run` prints, by the functions that it consists of."""
    fed = saved_model_cli.load_inputs_from_input_arg_string("", expressions, "")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        saved_model_cli.run_saved_model_with_feed_dict(exported, "serve", signature, fed, None, False)
    return printed.getvalue()


@pytest.mark.one_tensorflow
def test_saved_model_cli(exported):
    """TensorFlow's own tool, which knows of the export what stands in it."""
    printed = run_cli(exported, "serving_text", "text=['Ann met Bob.','London']")
    assert "Result for output key word_count:\n[4 1]" in printed
    printed = run_cli(exported, "serving_default", "input_ids=[[2,5,3]];input_mask=[[1,1,1]];segment_ids=[[0,0,0]]")
    assert "Result for output key labels:" in printed
