"""BertConfig: what it reads and writes, what it refuses; and which variables model and checkpoint share."""

import json
import os

import pytest
import tensorflow.compat.v1 as tf

from bert import modeling
from bert.encoder import sizes
from bert.system.errors import UserError
from tests.bert.encoder_in_numpy import small_config


def test_config_round_trip(tmp_path):
    config = small_config(hidden_act="relu", initializer_range=0.05)
    config.layer_norm_eps = 1e-5
    path = tmp_path / "bert_config.json"
    path.write_text(config.to_json_string())
    again = modeling.BertConfig.from_json_file(str(path))
    assert again.to_dict() == config.to_dict() == modeling.BertConfig.from_dict(config.to_dict()).to_dict()
    assert config.to_json_string() == json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n"


def test_keys_that_mean_nothing_are_said_and_become_no_attributes(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("bert.encoder.config.log.info", lambda message, *values: said.append(message % values))
    values = small_config().to_dict()
    others = {"__class__": "x", "to_dict": 1, "directionality": "bidi", **{f"k{i}": i for i in range(20)}}
    path = tmp_path / "bert_config.json"
    path.write_text(json.dumps(dict(values, **others)))
    for config in (
        modeling.BertConfig.from_json_file(str(path)),
        modeling.BertConfig.from_dict(dict(values, **others)),
    ):
        assert type(config) is modeling.BertConfig and config.to_dict() == values and not hasattr(config, "k1")
    assert said[0].startswith(f"{path}: not used: __class__, directionality, k0, ") and " and 13 more" in said[0]
    assert len(said) == 2


def test_every_activation_that_a_config_may_name_is_there(tmp_path):
    path = tmp_path / "bert_config.json"
    for name in sizes.ACTIVATIONS:
        path.write_text(json.dumps({"vocab_size": 30, "hidden_act": name}))
        modeling.get_activation(modeling.BertConfig.from_json_file(str(path)).hidden_act)
    with pytest.raises(ValueError) as caught:
        modeling.get_activation("swish")
    assert str(list(sizes.ACTIVATIONS)) in str(caught.value)


def test_config_defaults_are_bert_base():
    assert modeling.BertConfig(30522).to_dict() == {
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 16,
        "initializer_range": 0.02,
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "JSON"),
        (b"{'vocab_size': 3}", "JSON"),
        (b'{"vocab_size": 3', "JSON"),
        (b'{"vocab_size": "\xff"}', "JSON"),
        (b"[1, 2]", "vocab_size"),
        (b'{"hidden_size": 8}', "vocab_size"),
        (b'{"vocab_size": "30"}', "vocab_size is '30'; expected a whole number of at least 1"),
        (b'{"vocab_size": true}', "vocab_size is True; expected a whole number"),
        (b'{"vocab_size": 30, "max_position_embeddings": 0}', "max_position_embeddings is 0; expected"),
        (b'{"vocab_size": 30, "type_vocab_size": 2.5}', "type_vocab_size is 2.5; expected"),
        (b'{"vocab_size": 30, "hidden_dropout_prob": 1}', "hidden_dropout_prob is 1; expected a number from 0 to"),
        (b'{"vocab_size": 30, "initializer_range": null}', "initializer_range is None; expected a number"),
        (b'{"vocab_size": 30, "num_attention_heads": 5}', "hidden_size 768 is not a multiple"),
        (b'{"vocab_size": 30, "hidden_act": "swish"}', "hidden_act is 'swish'; expected one of"),
        (b'{"vocab_size": 30, "hidden_act": 7}', "hidden_act is '7'; expected one of"),
        (b'{"vocab_size": 30, "hidden_act": []}', "hidden_act is '[]'; expected one of"),
        (b'{"vocab_size": 99999999}', "expected a whole number of at least 1 and at most 16777216"),
        (b'{"vocab_size": 16777216, "hidden_size": 65532}', " weights; expected at most 20000000000"),
        (b'{"vocab_size": 30, "initializer_range": NaN}', "initializer_range is nan; expected a number"),
        (b'{"vocab_size": 3, "x": ' + b"9" * 5000 + b"}", "a number of 5000 digits"),
        pytest.param(b"[" * 100000, "expected a BERT config in JSON", id="brackets"),
    ],
)
def test_a_config_that_is_none_is_the_users_to_mend(content, expected, tmp_path):
    path = tmp_path / "bert_config.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        modeling.BertConfig.from_json_file(str(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and expected in message and "\n" not in message


def test_a_missing_config_is_the_users_to_mend(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UserError) as caught:
            modeling.BertConfig.from_json_file(str(path))
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_assignment_map_holds_what_model_and_checkpoint_share(evaluate, tmp_path):
    for name in ("bert/a", "bert/b"):
        tf.get_variable(name, [2])
    evaluate(tf.no_op())
    prefix = tf.train.Saver().save(evaluate.session, os.path.join(str(tmp_path), "model.ckpt"))
    with tf.Graph().as_default():
        variables = [tf.get_variable(name, [2]) for name in ("bert/b", "bert/c", "bert/a")]
        assignment_map, initialized = modeling.get_assignment_map_from_checkpoint(variables, prefix)
    assert list(assignment_map.items()) == [("bert/b", "bert/b"), ("bert/a", "bert/a")]
    assert initialized == {"bert/a": 1, "bert/a:0": 1, "bert/b": 1, "bert/b:0": 1}
