"""Wrong shapes are refused at the door, by one ValueError that says what was expected and what came."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.modeling import BertConfig
from train.lstm_crf_layer import BLSTM_CRF
from train.models import build_tagger
from train.tagger import crf
from train.tagger.settings import TaggerSettings
from train.train_helper import get_args_parser

RIGHT = {"potentials": [2, 3, 5], "tags": [2, 3], "lengths": [2], "transitions": [5, 5], "kinds": [2, 3]}
FUNCTIONS = {
    crf.crf_log_likelihood: ["potentials", "tags", "lengths", "transitions"],
    crf.crf_path_score: ["potentials", "tags", "lengths", "transitions"],
    crf.crf_log_norm: ["potentials", "lengths", "transitions"],
    crf.crf_decode: ["potentials", "lengths", "transitions"],
    crf.crf_marginals: ["potentials", "lengths", "transitions"],
}
WRONG = [
    ("potentials", [2, 3], r"potentials: expected the shape \[batch, T, L\], got \[2, 3\]"),
    ("tags", [2, 4], r"tags: expected the shape \[batch=2, T=3\], got \[2, 4\]"),
    ("lengths", [3], r"lengths: expected the shape \[batch=2\], got \[3\]"),
    ("transitions", [5, 4], r"transitions: expected the shape \[L=5, L=5\], got \[5, 4\]"),
]


def zeros(name, shape):
    return np.zeros(shape, np.float32 if name in ("potentials", "transitions") else np.int32)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name,shape,message", WRONG)
def test_crf(function, name, shape, message, graph):
    if name in FUNCTIONS[function]:
        given = [tf.constant(zeros(each, dict(RIGHT, **{name: shape})[each])) for each in FUNCTIONS[function]]
        with pytest.raises(ValueError, match=message):
            function(*given)


@pytest.mark.parametrize("function", [crf.crf_log_norm, crf.crf_decode, crf.crf_marginals])
def test_a_table_of_transitions(function, graph):
    given = [tf.constant(zeros(name, RIGHT[name])) for name in FUNCTIONS[function]]
    table = tf.zeros([6, 5, 5])
    function(*given[:2], table, tf.zeros([2, 3], tf.int32))
    with pytest.raises(ValueError, match=r"kinds: expected the shape \[batch=2, T=3\], got \[2, 4\]"):
        function(*given[:2], table, tf.zeros([2, 4], tf.int32))
    with pytest.raises(ValueError, match=r"transitions: expected the shape \[K, L=5, L=5\], got \[5, 5\]"):
        function(*given, tf.zeros([2, 3], tf.int32))


def test_unknown_dimensions_pass(graph):
    potentials = tf.placeholder(tf.float32, [None, None, 5])
    crf.crf_log_likelihood(
        potentials, tf.placeholder(tf.int32), tf.placeholder(tf.int32, [None]), tf.placeholder(tf.float32, [5, None])
    )


@pytest.mark.parametrize(
    "name,shape,message",
    [
        ("embedded_chars", [2, 4], r"embedded_chars: expected the shape \[batch, steps, width\], got \[2, 4\]"),
        ("labels", [2, 4], r"labels: expected the shape \[batch=2, steps=3\], got \[2, 4\]"),
        ("lengths", [2, 1], r"lengths: expected the shape \[batch=2\], got \[2, 1\]"),
    ],
)
def test_head(name, shape, message, graph):
    shapes = dict({"embedded_chars": [2, 3, 8], "labels": [2, 3], "lengths": [2]}, **{name: shape})
    given = {key: tf.zeros(size, tf.float32 if key == "embedded_chars" else tf.int32) for key, size in shapes.items()}
    with pytest.raises(ValueError, match=message):
        BLSTM_CRF(hidden_unit=4, cell_type="lstm", num_layers=1, num_labels=5, **given)


@pytest.mark.parametrize("name", ["input_mask", "segment_ids", "word_start", "label_ids"])
def test_tagger(name, graph):
    names = ("input_ids", "input_mask", "segment_ids", "word_start", "label_ids")
    features = {each: tf.zeros([2, 3 + (each == name)], tf.int32) for each in names}
    config = BertConfig(30, 8, 1, 2, 8, max_position_embeddings=12)
    settings = TaggerSettings.of_flags(get_args_parser(["-subword_labels", "first"]), ["O"], None, config.to_dict())
    with pytest.raises(ValueError, match=rf"{name}: expected the shape \[batch=2, seq_len=3\], got \[2, 4\]"):
        build_tagger(settings, features, False, features.pop("label_ids"))
