"""Text in, entities out: offsets, seams, threads, and that a checkpoint, an export and label_test.txt agree."""

import concurrent.futures
import glob
import json
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
from tests.train.data.test_text import CHARACTERS
from train import run_dir
from train.data.conll import read_conll
from train.data.schemes import well_formed
from train.data.text import split_words
from train.data.windows import cut_windows
from train.inference.entities import Entity, Token, entities, tagging
from train.inference.frozen import Prediction
from train.predictor import Predictor
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
    """By the temperature in run.json and in tagger.json; settings of a run of an earlier version have none."""
    state = run_dir.read_state(finished[0])
    assert predict.settings.temperature == state["calibration"]["temperature"] != 1.0
    assert state["calibration"]["checkpoint"] == os.path.basename(run_dir.checkpoint_to_use(finished[0]))
    assert "temperature" not in state["model"]
    values = predict.settings.to_json()
    assert TaggerSettings.from_json(values, "x") == predict.settings
    del values["temperature"]
    assert TaggerSettings.from_json(values, "x") == predict.settings._replace(temperature=1.0)
    for wrong in (0, -1.0, "2", True, None):
        with pytest.raises(UserError, match="x: temperature .*; expected a number above 0"):
            TaggerSettings.from_json(dict(values, temperature=wrong), "x")


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


class ByRule:
    """In place of the tagger: finds names by a pattern of words, those it sees whole in a window."""

    def __init__(self, predictor, pattern):
        self._ids, self._pattern = predictor.settings.label_ids, pattern
        self.windows = []

    def tag(self, windows, batch_size):
        self.windows = windows
        return [self._tag(window.tokens) for window in windows]

    def _tag(self, tokens):
        label_ids = np.full([len(tokens)], self._ids["O"])
        starts = np.cumsum([0] + [len(token) + 1 for token in tokens])
        for match in re.finditer(self._pattern, "".join(token + " " for token in tokens)):
            first, behind = np.searchsorted(starts, match.span())
            label_ids[first:behind] = self._ids["I-PER"]
            label_ids[first] = self._ids["B-PER"]
        return Prediction(label_ids, np.ones([len(tokens)], np.float32), None)

    def close(self):
        pass


def by_rule(finished, pattern):
    predictor = Predictor(finished[0])
    predictor.close()
    predictor._tagger = ByRule(predictor, pattern)
    return predictor


@pytest.mark.parametrize(
    "pattern,longest",
    [
        (r"(bob )+", 40),  # known from any part of it
        (r"(ann )(bob )*(?=the )", 6),  # only where its end is seen
        (r"(ann )(bob )*london ", 5),
    ],
)
@pytest.mark.one_tensorflow
def test_an_entity_over_a_seam_is_whole(pattern, longest, finished):
    """Windows hold 14 pieces here and see 3 of their neighbours: of an entity of 6 cut in two, one sees all."""
    predictor = by_rule(finished, pattern)

    @hypothesis.settings(max_examples=300, deadline=None)
    @hypothesis.given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, longest - 1)), max_size=12))
    def check(parts):
        text = " ".join("the " * before + "Ann " + "Bob " * more + "London the" for before, more in parts)
        found = [entity.text.lower() + " " for entity in predictor(text)]
        assert found == [match.group() for match in re.finditer(pattern, text.lower() + " ")]
        decided = [word for window in predictor._tagger.windows for _, word in window.part.words]
        assert decided == list(range(len(split_words(text))))

    check()


def test_long_text_is_cut_where_sentences_end(finished):
    predictor = by_rule(finished, "$^")
    words = ("我 在 北 京 上 海 . the man , in 上 海 . Bob saw . 京 京 京 京 京 . " * 8).split()
    predictor(" ".join(words))
    windows = predictor._tagger.windows
    assert len(windows) > 15
    for window in windows[:-1]:
        first, last = window.part.words[0][1], window.part.words[-1][1]
        # A window may decide 11 or, where it sees something on the left, 8 of its words: it may end behind the half.
        furthest = first + (8 if first else 11) - 1
        ends = [
            i for i in range(first, furthest + 1) if words[i] == "." and 2 * (i - first + 1) >= furthest - first + 1
        ]
        assert last == max(ends, default=furthest)


@hypothesis.settings(max_examples=300)
@hypothesis.given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2)), max_size=80), st.integers(4, 40))
def test_windows_end_at_the_best_place(words, capacity):
    sizes, places = [size for size, _ in words], [place for _, place in words]
    windows = cut_windows(sizes, capacity, places)
    assert [i for window in windows for i in range(window.start, window.end)] == list(range(len(sizes)))
    for window in windows:
        assert 0 <= window.first <= window.start < window.end <= window.last <= len(sizes)
        assert sum(sizes[window.first : window.last]) <= capacity
    for window in windows[:-1]:
        # How far it could have gone, as if all places were equal, and from where on a cut is allowed.
        used = sum(sizes[window.first : window.start])
        room = capacity - capacity // 4
        ends = [e for e in range(window.start + 1, len(sizes)) if used + sum(sizes[window.start : e]) <= room]
        ends = ends or [window.start + 1]
        whole = sum(sizes[window.start : ends[-1]])
        ends = [e for e in ends if 2 * sum(sizes[window.start : e]) >= whole]
        assert window.end == max(ends, key=lambda end: (places[end], end))
    assert cut_windows(sizes, capacity, [1] * len(sizes)) == cut_windows(sizes, capacity)


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


def copy_of(finished, tmp_path):
    path = tmp_path / "model"
    shutil.copytree(finished[0], str(path))
    return path


def refused(path, **kwargs):
    with pytest.raises(UserError) as caught:
        Predictor(str(path), **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_is_no_model(finished, tmp_path):
    assert "no such directory" in refused(tmp_path / "nowhere")
    assert "neither run.json" in refused(tmp_path)
    assert "no such directory" in refused(os.path.join(finished[0], "run.json"))
    assert "expected one of auto, fp32" in refused(finished[0], precision="fp8")
    assert "was exported" in refused(os.path.join(finished[0], "export"), precision="bf16")


def test_a_damaged_run(finished, tmp_path):
    path = copy_of(finished, tmp_path)
    (path / "run.json").write_text("{}")
    assert "run.json: damaged" in refused(path)
    (path / "run.json").write_text("[1")
    assert "run.json: " in refused(path)
    state = dict(run_dir.read_state(finished[0]), training={})
    (path / "run.json").write_text(json.dumps(state))
    assert "run.json: expected the settings of a run; not found: 'constrain'" in refused(path)
    shutil.copy(os.path.join(finished[0], "run.json"), str(path))
    for file in glob.glob(str(path / "best" / "*.data*")):
        os.truncate(file, 1000)
    assert "cut off or damaged" in refused(path)
    shutil.rmtree(str(path / "best"))
    Predictor(str(path)).close()  # the newest checkpoint
    for file in glob.glob(str(path / "*ckpt*")) + [str(path / "checkpoint")]:
        os.remove(file)
    assert "no checkpoint" in refused(path)


@pytest.mark.parametrize(
    "name,value,expected",
    [
        ("lstm_size", 9, "rnn_layer/bidirectional_rnn/fw/lstm_cell/kernel has the shape"),
        ("lstm_size", "x", "lstm_size x; expected 1 to 65536"),
        ("num_layers", 0, "num_layers 0; expected 1 to 256"),
        ("cell", "foo", "cell foo; expected lstm or gru"),
        ("crf_only", True, "head crf_only; "),
        ("subword_labels", "q", "subword_labels q; expected x or first"),
        ("max_seq_length", 2, "max_seq_length 2; expected 3 to "),
        ("max_seq_length", 100000, "max_seq_length 100000; expected 3 to "),
        ("max_seq_length", "z", "max_seq_length z; expected 3 to "),
        ("scheme", "ZZ", "scheme ZZ; expected null or one of "),
        ("labels", 7, "labels 7; expected a list of names"),
        ("bert_config", None, "bert_config None; expected the sizes of an encoder"),
    ],
)
def test_settings_that_no_run_writes(name, value, expected, finished, tmp_path):
    path = copy_of(finished, tmp_path)
    state = run_dir.read_state(finished[0])
    state["model"][name] = value
    (path / "run.json").write_text(json.dumps(state))
    assert expected in refused(path)


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


def test_a_damaged_export(finished, tmp_path):
    (export,) = glob.glob(os.path.join(finished[0], "export", "*"))
    path = tmp_path / "export"
    shutil.copytree(export, str(path))
    assets = path / "assets"
    vocab = (assets / "vocab.txt").read_bytes()
    (assets / "vocab.txt").write_bytes(vocab.replace(b"[CLS]", b"[ClS]"))
    assert "expected an entry [CLS]" in refused(path)
    (assets / "vocab.txt").write_bytes(vocab + b"more\n")
    assert "the model expects" in refused(path)
    (assets / "vocab.txt").write_bytes(vocab)
    for file in ("label2id.json", "tagger.json", "bert_config.json"):
        content = (assets / file).read_text()
        (assets / file).write_text("[]")
        assert file in refused(path)
        (assets / file).unlink()
        assert file in refused(path)
        (assets / file).write_text(content)
    os.truncate(str(path / "saved_model.pb"), 5000)
    assert "cannot be loaded" in refused(path)


HOST = """
import sys
sys.path.insert(0, {repository!r})
from train.predictor import Predictor
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


def files_of(path):
    return {name: (path / name).read_bytes() for name in ("vocab.txt", "bert_config.json") if (path / name).exists()}


@pytest.fixture
def encoder(tmp_path):
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("a")
    (folder / "bert_config.json").write_text("{}")
    return [str(folder / "vocab.txt"), str(folder / "bert_config.json")]


def begin(output, encoder):
    state = run_dir.new_state(str(output), {}, {})
    run_dir.write_state(str(output), state)
    run_dir.copy_encoder_files(str(output), state, *encoder)


def test_the_encoders_files_are_laid_beside_the_checkpoints_and_cleaned(tmp_path, encoder):
    output = tmp_path / "output"
    output.mkdir()
    begin(output, encoder)
    assert files_of(output) == files_of(tmp_path / "bert")
    begin(output, encoder)  # again, and with other files
    (tmp_path / "bert" / "vocab.txt").write_text("b")
    begin(output, encoder)
    assert files_of(output) == files_of(tmp_path / "bert")
    assert json.loads((output / "run.json").read_text())["copied"] == ["vocab.txt", "bert_config.json"]
    (output / "vocab.txt.tmp-7").write_text("half")
    run_dir.clean(str(output))
    assert list(output.iterdir()) == []


def test_a_users_own_files_are_neither_overwritten_nor_cleaned(tmp_path, encoder):
    output = tmp_path / "output"
    output.mkdir()
    (output / "vocab.txt").write_text("mine")
    begin(output, encoder)
    assert files_of(output) == {"vocab.txt": b"mine", "bert_config.json": b"{}"}
    run_dir.clean(str(output))
    assert files_of(output) == {"vocab.txt": b"mine"}


def test_a_run_in_the_encoders_own_directory(tmp_path, encoder):
    folder = tmp_path / "bert"
    before = files_of(folder)
    begin(folder, encoder)
    run_dir.clean(str(folder))
    assert files_of(folder) == before


def test_clean_leaves_what_the_next_run_is_given(tmp_path, encoder):
    output = tmp_path / "output"
    output.mkdir()
    begin(output, encoder)
    ours = [str(output / "vocab.txt"), str(output / "bert_config.json")]
    run_dir.clean(str(output), kept=ours)
    begin(output, ours)
    run_dir.clean(str(output))
    assert files_of(output) == files_of(tmp_path / "bert")


def test_runs_of_earlier_versions_own_no_such_files(tmp_path, encoder):
    state = dict(run_dir.new_state(str(tmp_path), {}, {}))
    del state["copied"]
    run_dir.write_state(str(tmp_path / "bert"), state)
    before = files_of(tmp_path / "bert")
    run_dir.clean(str(tmp_path / "bert"))
    assert files_of(tmp_path / "bert") == before
