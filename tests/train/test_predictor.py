"""Text in, entities out: offsets, threads, and that a checkpoint, an export and label_test.txt agree."""

import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from bert.system.errors import UserError
from tests import small_task
from tests.train.damaged_models import copy_of, refused
from tests.train.data.test_text import CHARACTERS
from train import run_dir
from train.data.conll import read_conll
from train.data.schemes import well_formed
from train.data.text import split_words
from train.inference.entities import Entity, Token, entities, tagging
from train.predictor import Predictor
from train.tagger.calibration import UNCALIBRATED
from train.tagger.settings import TaggerSettings

TEXTS = [
    "Ann Bob met the man in London.",
    "",
    " \u200b\n",
    "我在北京 saw Bob\u0301 \u200bin Paris, 北京. " * 9,
    "Ann\u200b\r\nBob\u2028London unaffable",
    "x" * 300 + " Ann the man yesterday" * 30,
]


@pytest.fixture(scope="module")
def predict(finished):
    with Predictor(finished[0]) as made:
        yield made


def check_close(found, expected):
    """The same entities, or tokens; the scores may differ as sums taken in another order do."""
    assert [item[:4] for item in found] == [item[:4] for item in expected]
    np.testing.assert_allclose([item.score for item in found], [item.score for item in expected], atol=1e-4)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_words_are_tagged_as_in_the_tagged_file(split, given, finished, predict):
    sentences = read_conll(small_task.data_file(given, split))
    found = predict.tag_words([sentence.words for sentence in sentences])
    assert [[tag for tag, _ in pairs] for pairs in found] == [
        [row[2] for row in block] for block in small_task.tagged(finished[0], split)
    ]
    assert all(0 < score <= 1 for pairs in found for _, score in pairs)
    assert len({tag for pairs in found for tag, _ in pairs}) > 1


def test_it_finds_what_it_learnt(predict):
    text = "the man met Bob in London"
    assert [entity[:4] for entity in predict(text)] == [("PER", "Bob", 12, 15), ("LOC", "London", 19, 25)]
    assert all(0 < entity.score <= 1 for entity in predict(text))
    assert predict.types == ["LOC", "PER"]


def test_the_least_score(finished, predict):
    """Entities below it are gone, and their words O; entities and words agree."""
    text = "the man met Bob in London"
    scores = sorted(entity.score for entity in predict(text))
    for least, kept in ((0.0, 2), (scores[1], 1), (1.0, 0)):
        predict.min_score = least
        try:
            (found,) = predict.taggings([text])
            words = predict.tag_words([text.split()])[0]
        finally:
            predict.min_score = 0.0
        assert (len(found.entities), found.left_out) == (kept, 2 - kept)
        assert found.entities == entities(text, found.tokens, scores=_of_words(found))
        assert [tag for tag, _ in words] == [token.tag for token in found.tokens]
        assert all(0 <= token.score <= 1 for token in found.tokens)
    with pytest.raises(UserError, match="min_score 1.5: expected a probability"):
        Predictor(finished[0], min_score=1.5)


def _of_words(found):
    """For each token of a Tagging the score of the entity that it is in."""
    inside = [[e.score for e in found.entities if e.start <= token.start < e.end] for token in found.tokens]
    return [scores[0] if scores else 1.0 for scores in inside]


@pytest.mark.parametrize("scheme,tags,expected", [
    ("IOB1", ["I-A", "B-A", "O"], ["O", "I-A", "O"]),
    ("IOB1", ["I-A", "I-B", "O"], ["O", "I-B", "O"]),
    ("BIO", ["B-A", "I-A", "I-B"], ["O", "O", "I-B"]),
    (None, ["I-A", "B-A", "O"], ["O", "B-A", "O"]),
])  # fmt: skip
def test_what_is_left_is_as_well_formed_as_before(scheme, tags, expected):
    tokens = [Token("w", i, i + 1, tag, 0.9) for i, tag in enumerate(tags)]
    last = max(i for i, tag in enumerate(tags) if tag != "O")
    found = tagging("www", tokens, scheme, [0.9 if i == last else 0.2 for i in range(3)], 0.5)
    assert [token.tag for token in found.tokens] == expected and len(found.entities) == found.left_out == 1


def test_a_run_and_its_export_are_calibrated_alike(finished, predict):
    """By what run.json and tagger.json say; settings of a run of an earlier version have none."""
    state = run_dir.read_state(finished[0])
    kept = dict(state["calibration"])
    assert kept.pop("checkpoint") == os.path.basename(run_dir.checkpoint_to_use(finished[0]))
    assert predict.settings.calibration.to_json() == kept and kept["temperature"] != 1.0
    assert sorted(kept["entity_offsets"]) == ["LOC", "PER"] and not set(kept) & set(state["model"])
    values = predict.settings.to_json()
    assert TaggerSettings.from_json(values, "x") == predict.settings
    for name in kept:
        with pytest.raises(UserError, match=f"x: {name} .*; expected a number"):
            TaggerSettings.from_json(dict(values, **{name: "2"}), "x")
        del values[name]
    assert TaggerSettings.from_json(values, "x") == predict.settings._replace(calibration=UNCALIBRATED)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    texts=st.lists(st.lists(CHARACTERS | st.sampled_from(small_task.WORDS + [" "])).map("".join), max_size=4)
)
def test_offsets_are_those_of_the_text(predict, texts):
    for text, tokens, found in zip(texts, predict.tokens(texts), predict(texts)):
        assert [(token.start, token.end) for token in tokens] == split_words(text)
        assert all(text[item.start : item.end] == item.text != "" for item in tokens + found)
        assert all(one.end <= other.start for one, other in zip(found, found[1:]))
        by_words = entities(text, tokens)  # whose score is the least of the words', no less than the entity's
        assert [entity[:4] for entity in found] == [entity[:4] for entity in by_words]
        assert all(0 < one.score <= other.score + 1e-5 for one, other in zip(found, by_words))
        assert well_formed([token.tag for token in tokens], "BIO")
        assert all(0 < token.score <= 1 for token in tokens)


def test_a_word_without_pieces_is_outside(predict):
    tokens = predict.tokens("Ann \u0301 Bob")
    assert [token.text for token in tokens] == ["Ann", "\u0301", "Bob"]
    assert (tokens[1].tag, tokens[1].score) == ("O", 1.0)
    assert [entity.text for entity in predict("Ann \u0301 Bob")] == ["Ann", "Bob"]


def test_one_text_several_texts_and_any_batch_size(finished, predict):
    together = predict(TEXTS)
    assert predict(iter(TEXTS)) == together and predict([]) == [] and predict("") == []
    assert predict.tokens([]) == [] and predict.tokens("") == []
    for text, found, tokens in zip(TEXTS, together, predict.tokens(TEXTS)):
        check_close(predict(text), found)
        check_close(predict.tokens(text), tokens)
    with Predictor(finished[0], batch_size=1) as one_by_one:
        for found, expected in zip(one_by_one(TEXTS), together):
            check_close(found, expected)


def test_an_export_says_the_same(finished, predict, tmp_path):
    exports = os.path.join(finished[0], run_dir.EXPORT)
    (newest,) = glob.glob(os.path.join(exports, "*"))
    os.mkdir(str(tmp_path / "9"))  # unfinished
    shutil.copytree(newest, str(tmp_path / "10"))
    shutil.copytree(newest, str(tmp_path / "8"))
    os.remove(str(tmp_path / "8" / "assets" / "vocab.txt"))
    for path in (exports, newest, str(tmp_path)):
        with Predictor(path) as other:
            for found, expected in zip(other.tokens(TEXTS), predict.tokens(TEXTS)):
                check_close(found, expected)


@pytest.mark.one_tensorflow
def test_threads_say_the_same_as_one_after_the_other(predict):
    texts = [text[i:] for text in TEXTS for i in range(0, 40, 4)]
    expected = [predict(text) for text in texts]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: [predict(text) for text in texts[::-1]][::-1], range(8)):
            assert found == expected


@pytest.mark.parametrize(
    "tags,expected",
    [
        ("B-A I-A O B-A", "A:0-2 A:3-4"),
        ("B-A I-A E-A S-A S-B", "A:0-3 A:3-4 B:4-5"),  # BIOES
        ("I-A E-A I-A E-A", "A:0-2 A:2-4"),  # IOE2
        ("I-A I-A B-A O I-B", "A:0-2 A:2-3 B:4-5"),  # IOB1
        ("I-A I-B", "A:0-1 B:1-2"),  # the type changes
        ("B-A I-B E-B I-B", "A:0-1 B:1-3 B:3-4"),
        ("O E-A O", "A:1-2"),  # an end without a beginning
        ("B-A O I-A", "A:0-1 A:2-3"),
        ("B-A B-A", "A:0-1 A:1-2"),
        ("S-A I-A", "A:0-1 A:1-2"),
        ("B-0 I-0 B-A-B", "0:0-2 A-B:2-3"),
        ("", ""),
    ],
)
def test_one_reading_of_all_tags(tags, expected):
    tags = tags.split()
    text = "".join(f"w{i}, " for i in range(len(tags)))
    tokens = [Token(f"w{i}", 4 * i, 4 * i + 2, tag, 1 - i / 10) for i, tag in enumerate(tags)]
    spans = [re.match(r"(.*):(\d)-(\d)", part).groups() for part in expected.split()]
    assert entities(text, tokens) == [
        Entity(kind, text[4 * int(i) : 4 * int(j) - 2], 4 * int(i), 4 * int(j) - 2, 1 - (int(j) - 1) / 10)
        for kind, i, j in spans
    ]


@pytest.mark.parametrize("wrong", [None, b"Ann", 3, ["Ann", None], [b"Ann"], {"Ann": 1}, [["Ann"]]])
def test_only_text_is_taken(wrong, predict):
    for function in (predict, predict.tokens):
        with pytest.raises(TypeError, match="str"):
            function(wrong)


@pytest.mark.parametrize("wrong", ["Ann", ["Ann", "Bob"], [["Ann", 1]], [["Ann"], b"Bob"], [[["Ann"]]]])
def test_only_lists_of_words_are_taken(wrong, predict):
    with pytest.raises(TypeError, match="words"):
        predict.tag_words(wrong)
    assert predict.tag_words([[], [""]]) == [[], [("O", 1.0)]]


def test_a_run_that_has_no_copy_of_its_vocabulary(given, finished, tmp_path, predict):
    path = copy_of(finished, tmp_path)
    vocab = path / "vocab.txt"
    assert vocab.read_bytes() == open(os.path.join(given[3], "vocab.txt"), "rb").read()
    own = vocab.read_bytes()
    vocab.unlink()
    assert "vocab.txt: no such file" in refused(path) and "expected vocab_file" in refused(path)
    with Predictor(str(path), vocab_file=os.path.join(given[3], "vocab.txt")) as other:
        assert other(TEXTS) == predict(TEXTS)
    assert "nowhere" in refused(path, vocab_file=str(tmp_path / "nowhere"))
    vocab.write_bytes(own.replace(b"london", b"oslo"))
    assert "trained with another vocabulary" in refused(path)
    vocab.write_bytes(own + b"more\n")
    assert "trained with another vocabulary" in refused(path)
    vocab.write_bytes(b"\xff" + own)
    assert "not UTF-8" in refused(path)


HOST = """
import sys
sys.path.insert(0, {repository!r})
from train.predictor import Predictor
from train.tagger.calibration import UNCALIBRATED
from train.tagger.settings import TaggerSettings
import tensorflow as tf
eager = tf.__version__[0] == "2"
graph = tf.compat.v1.get_default_graph() if not eager else None
verbosity = tf.compat.v1.logging.get_verbosity()
for path in sys.argv[1:]:
    with Predictor(path) as predict:
        print([entity.text for entity in predict("the man met Bob in London")])
if eager:
    assert tf.executing_eagerly() and int(tf.constant(1) + 1) == 2
else:
    assert tf.compat.v1.get_default_graph() is graph and not graph.get_operations()
assert tf.compat.v1.logging.get_verbosity() == verbosity
"""


def test_in_a_program_that_knows_nothing_of_it(finished, tmp_path):
    """TensorFlow is as the program has it, in 2 eager; and nobody says anything."""
    paths = [finished[0], os.path.join(finished[0], "export")]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", HOST.format(repository=small_task.REPOSITORY)] + paths,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", cwd=str(tmp_path), env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['Bob', 'London']\n" * 2
