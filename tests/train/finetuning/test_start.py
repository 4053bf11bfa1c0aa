"""What a tagger starts from: an encoder, or a trained tagger whose labels may be others."""

import json
import logging

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import modeling
from bert.runtime import checkpoint, init_weights
from bert.system.errors import UserError
from train.finetuning.start import carry_over, find_start
from train.models import build_tagger
from train.tagger.calibration import UNCALIBRATED
from train.tagger.settings import TaggerSettings
from train.tagger.variables import head_shapes

CONFIG = modeling.BertConfig(
    vocab_size=7, hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6,
    max_position_embeddings=8, type_vocab_size=2,
)  # fmt: skip
OLD = ["O", "B-LOC", "B-PER", "X", "[CLS]", "[SEP]"]
NEW = ["O", "B-CITY", "B-PER", "I-PER", "X", "[CLS]", "[SEP]"]


def settings_of(labels, **changes):
    settings = TaggerSettings(
        cell="lstm", lstm_size=3, num_layers=1, head="blstm_crf", subword_labels="x", max_seq_length=8,
        do_lower_case=True, labels=labels, scheme="BIO", bert_config=CONFIG.to_dict(), constrain=True,
        word_units="words", splitter=None, context=0, calibration=UNCALIBRATED,
    )  # fmt: skip
    return settings._replace(**changes)


@pytest.fixture
def trained(tmp_path):
    """(prefix in best/, values) of a tagger of the labels OLD."""
    random = np.random.RandomState(0)
    shapes = dict(modeling.encoder_shapes(CONFIG), **head_shapes(settings_of(OLD)))
    values = {name: random.randn(*shape).astype("f") for name, shape in shapes.items()}
    (tmp_path / "best").mkdir()
    prefix = str(tmp_path / "best" / "model.ckpt-5")
    checkpoint.write(prefix, values)
    (tmp_path / "label2id.json").write_text(json.dumps({label: i for i, label in enumerate(OLD, 1)}))
    return prefix, values


@pytest.fixture
def log_lines(caplog):
    """A function that gives the lines of our log so far."""
    for name in ("bert", "train"):
        caplog.set_level(logging.INFO, logger=name)
    return lambda: caplog.messages


def started(start, settings):
    """The values of a tagger that starts so, by name."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        ids = tf.zeros([1, 8], tf.int32)
        with init_weights.starting_from(start):
            build_tagger(settings, {"input_ids": ids, "input_mask": ids, "segment_ids": ids}, True)
        session.run(tf.global_variables_initializer())
        return session.run({var.op.name: var for var in tf.trainable_variables()})


def test_labels_of_the_same_name_are_carried_over():
    carried = carry_over(OLD, NEW)
    assert carried.rows == [0, 1, -1, 3, -1, 4, 5, 6]
    assert carried.kept == ["O", "B-PER", "X", "[CLS]", "[SEP]"]
    assert carried.new == ["B-CITY", "I-PER"] and carried.dropped == ["B-LOC"]
    assert carry_over(OLD, OLD[::-1]).rows == [0, 6, 5, 4, 3, 2, 1]


def test_a_tagger_with_other_labels(trained, log_lines, tmp_path):
    prefix, values = trained
    settings = settings_of(NEW)
    found = started(find_start(prefix, settings, None), settings)
    pairs = [(0, 0), (1, 1), (3, 3), (5, 4), (6, 5), (7, 6)]  # new id, old id
    for new, old in pairs:
        np.testing.assert_array_equal(found["project/logits/W"][:, new], values["project/logits/W"][:, old])
        assert found["project/logits/b"][new] == values["project/logits/b"][old]
        for other, old_other in pairs:
            assert found["crf_loss/transitions"][new, other] == values["crf_loss/transitions"][old, old_other]
    anew = [2, 4]
    assert not np.isin(found["project/logits/W"][:, anew], values["project/logits/W"]).any()
    assert not np.isin(found["crf_loss/transitions"][anew], values["crf_loss/transitions"]).any()
    assert not np.isin(found["crf_loss/transitions"][:, anew], values["crf_loss/transitions"]).any()
    assert (found["project/logits/b"][anew] == 0).all()
    np.testing.assert_array_equal(found["project/hidden/W"], values["project/hidden/W"])
    assert log_lines() == [
        f"23 of 23 encoder variables from {prefix}; the tagging head from there too",
        f"{tmp_path / 'label2id.json'}: labels whose weights are carried over: O, B-PER, X, [CLS], [SEP]; "
        "from random weights: B-CITY, I-PER; left out: B-LOC",
    ]


@pytest.mark.one_tensorflow
def test_the_same_labels_or_none_that_are_known(trained, log_lines, tmp_path):
    prefix, _ = trained
    start = find_start(prefix, settings_of(OLD), None)
    assert len(log_lines()) == 1 and start.tensors["crf_loss/transitions"].rows is None
    (tmp_path / "label2id.json").unlink()
    find_start(prefix, settings_of(["O", "B-CITY", *OLD[2:]]), None)
    assert "no label2id.json beside it; the head's 6 labels are taken to be those" in log_lines()[-1]
    with pytest.raises(UserError, match=r"logits/W has the shape \[3, 7\].*\[3, 8\]; -init_head=false"):
        find_start(prefix, settings_of(NEW), None)


@pytest.mark.one_tensorflow
def test_the_encoder_alone(trained, log_lines):
    prefix, _ = trained
    start = find_start(prefix, settings_of(NEW, lstm_size=5), None, init_head=False)
    assert set(start.tensors) == set(modeling.encoder_shapes(CONFIG))
    assert log_lines()[-1].endswith("; the tagging head starts from random weights")


@pytest.mark.one_tensorflow
def test_a_head_of_another_size_and_labels_of_another_run(trained, tmp_path):
    prefix, _ = trained
    with pytest.raises(UserError, match=r"lstm_cell/kernel has the shape \[7, 12\].*\[9, 20\]; -init_head=false"):
        find_start(prefix, settings_of(NEW, lstm_size=5), None)
    (tmp_path / "label2id.json").write_text(json.dumps({"O": 1}))
    with pytest.raises(
        UserError, match=r"label2id\.json: 1 labels, but .*model\.ckpt-5 was trained with 6; -init_head"
    ):
        find_start(prefix, settings_of(NEW), None)
    assert find_start(None, settings_of(NEW), None) is None
