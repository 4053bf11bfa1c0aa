"""benchmarks/ours.py: the archive's way of training and tagging runs on today's code, on a tiny model."""

import json

import pytest
import tensorflow.compat.v1 as tf

from benchmarks import ours, workload
from bert.encoder import kernels

pytestmark = [pytest.mark.one_tensorflow, pytest.mark.filterwarnings("ignore:.*LSTMCell. is deprecated")]

CONFIG = {
    "vocab_size": 40,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
}
GIVEN = workload.sentences(5, None, 10, CONFIG["vocab_size"])


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "dropout", kernels.dropout)  # the archive's takes its place
    config, vocab = tmp_path / "config.json", tmp_path / "vocab.txt"
    config.write_text(json.dumps(CONFIG))
    workload.write_vocab(str(vocab), CONFIG["vocab_size"])
    with tf.Graph().as_default():
        yield {"config": str(config), "vocab": str(vocab), "batch_size": 2, "max_seq_length": 12}


def test_the_archive_tags_every_word(options):
    tagged = ours.archive_tagger(options, GIVEN)()
    assert [len(tags) for tags in tagged] == [len(words) for words in GIVEN]


def test_the_archive_trains(options, monkeypatch):
    session = tf.Session()
    monkeypatch.setattr(tf, "Session", lambda: session)
    train = ours.archive_trainer(options, GIVEN)
    before = session.run(tf.trainable_variables("hidden"))
    train()
    after = session.run(tf.trainable_variables("hidden"))
    assert len(before) == 2 and all((old != new).any() for old, new in zip(before, after))
