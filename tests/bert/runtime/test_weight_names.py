"""Which tensors of a checkpoint are a model's variables, by names and shapes alone."""

import re

import pytest

from bert.runtime import weight_names
from bert.runtime.weight_names import Model, grouped, match
from bert.system.errors import UserError

ENCODER = {
    "bert/embeddings/word_embeddings": [7, 4],
    "bert/embeddings/LayerNorm/beta": [4],
    "bert/encoder/layer_0/output/dense/kernel": [6, 4],
    "bert/encoder/layer_1/output/dense/kernel": [6, 4],
    "bert/pooler/dense/bias": [4],
}
HEAD = {"project/logits/b": [3], "crf_loss/transitions": [3, 3]}
MODEL = Model(ENCODER, HEAD, "the tagging head", [], "")
WITHOUT_POOLER = MODEL._replace(unused=["bert/pooler/dense/bias"])


def renamed(prefix, ending="", shapes=ENCODER):
    return {prefix + name.replace("bert/", "", 1) + ending: shape for name, shape in shapes.items()}


def refused(found, model=MODEL, partial=False):
    with pytest.raises(UserError) as caught:
        match("dir/model.ckpt", found, model, partial)
    message = str(caught.value)
    assert message.startswith("dir/model.ckpt: ") and "\n" not in message and len(message) < 300
    return message


def test_our_own_names():
    found = match("p", dict(ENCODER, **{"bert/embeddings/word_embeddings/adam_m": [7, 4], "global_step": []}), MODEL)
    assert found.names == {name: name for name in ENCODER}
    assert found.naming == "" and found.missing == list(HEAD) and found.layers_left_out == 0


@pytest.mark.parametrize(
    "prefix,ending,words",
    [
        ("", "", "named without bert/ there"),
        ("electra/", "", "named electra/... there"),
        ("module/bert/", "", "named module/bert/... there"),
        ("model/bert/", "", "named model/bert/... there"),
        ("a/encoder/b/", "", "named a/encoder/b/... there"),
        ("bert/", "/ExponentialMovingAverage", "named bert/.../ExponentialMovingAverage there"),
        ("bert_1/", "/ExponentialMovingAverage", "named bert_1/.../ExponentialMovingAverage there"),
    ],
)
def test_one_other_prefix_or_ending_is_recognised(prefix, ending, words):
    found = match("p", dict(renamed(prefix, ending), other=[1]), MODEL)
    assert found.names == dict(zip(ENCODER, renamed(prefix, ending)))
    assert found.naming == words


def test_the_head_is_named_alike():
    found = match(
        "p", dict(renamed("module/bert/"), **{"module/" + name: shape for name, shape in HEAD.items()}), MODEL
    )
    assert found.names["crf_loss/transitions"] == "module/crf_loss/transitions" and not found.missing
    averages = renamed("bert/", "/ExponentialMovingAverage")
    averages["project/logits/b/ExponentialMovingAverage"] = [3]
    found = match("p", averages, MODEL)
    assert found.names["project/logits/b"] == "project/logits/b/ExponentialMovingAverage"
    assert found.missing == ["crf_loss/transitions"]


def test_slots_of_an_optimizer_are_no_weights():
    assert "none of the encoder's variables" in refused(renamed("bert/", "/adam_m"))


def test_ours_goes_before_others_that_are_whole():
    both = dict(ENCODER, **renamed("bert/", "/ExponentialMovingAverage"))
    assert match("p", both, MODEL).naming == ""
    part = {name: shape for name, shape in ENCODER.items() if "layer_1" not in name}
    assert match("p", dict(part, **renamed("teacher/")), MODEL).naming == "named teacher/... there"


def test_of_two_encoders_that_of_the_right_size_or_none():
    small = {name: [2] for name in renamed("generator/")}
    assert match("p", dict(renamed("electra/"), **small), MODEL).naming == "named electra/... there"
    message = refused(dict(renamed("student/"), **renamed("teacher/")))
    assert "several encoders in it, student/..., teacher/...; expected one" in message


def test_what_is_missing_is_listed():
    found = {name: shape for name, shape in ENCODER.items() if "dense" not in name}
    message = refused(found)
    assert "3 of 5 encoder variables are not in it: bert/encoder/layer_{0,1}/output/dense/kernel" in message
    assert "bert/pooler/dense/bias; -init_partial" in message
    partly = match("p", found, MODEL, partial=True)
    assert list(partly.names) == list(found) and partly.missing[:3] == [name for name in ENCODER if name not in found]
    message = refused({name: shape for name, shape in renamed("electra/").items() if "pooler" not in name})
    assert "1 of 5 encoder variables are not in it: electra/pooler/dense/bias" in message


def test_names_in_a_large_encoder_fill_no_screen():
    encoder = {f"bert/encoder/layer_{i}/a{i % 12}{j}/{end}": [1] for i in range(24) for j in range(9) for end in "kb"}
    message = refused({"bert/embeddings/word_embeddings": [7, 4]}, MODEL._replace(encoder=dict(ENCODER, **encoder)))
    assert re.search(r"436 of 437 encoder variables .* and \d+ more; -init_partial", message)


def test_a_pooler_that_nothing_uses_may_be_missing():
    found = {name: shape for name, shape in renamed("electra/").items() if "pooler" not in name}
    assert match("p", found, WITHOUT_POOLER).missing == ["bert/pooler/dense/bias", *HEAD]


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(
    "names,expected",
    [
        (["bert/encoder/transformer/group_0/inner_group_0/attention_1/self/key/bias"], "an ALBERT encoder"),
        (["layer-1/kernel/.ATTRIBUTES/VARIABLE_VALUE", "_CHECKPOINTABLE_OBJECT_GRAPH"], "TensorFlow 2 object-based"),
        (["model/transformer/layer_0/rel_attn/q/kernel"], "an XLNet encoder"),
        (["bert.encoder.layer.0.output.dense.weight", "crf.transitions"], "PyTorch; expected .*convert_checkpoint"),
        (["a", "b", "c", "d"], "none of the encoder's variables is in it, but a, b, c and 1 more"),
        ([], "none of the encoder's variables is in it, but nothing"),
        (["project/logits/b"], "none of the encoder's variables is in it, but project/logits/b"),
    ],
)
def test_another_model_is_called_by_its_name(names, expected, partial):
    assert re.search(expected, refused({name: [1] for name in names}, partial=partial))


def test_albert_shares_some_names_with_bert():
    shared = {name: shape for name, shape in ENCODER.items() if "encoder" not in name}
    shared["bert/encoder/transformer/group_0/inner_group_0/ffn_1/dense/bias"] = [1]
    assert "an ALBERT encoder" in refused(shared)


def test_another_shape_names_both():
    other = dict(renamed("electra/"), **{"electra/pooler/dense/bias": [5]})
    message = "electra/pooler/dense/bias has the shape [5]; the model of these settings expects [4]"
    assert message in refused(other) and message in refused(other, partial=True)
    message = refused(dict(ENCODER, **{"project/logits/b": [9]}), MODEL._replace(head_remedy="leave it"))
    assert message.endswith("project/logits/b has the shape [9]; the model of these settings expects [3]; leave it")


def test_layers_that_the_model_lacks_are_counted():
    more = {f"bert/encoder/layer_{i}/output/dense/kernel": [6, 4] for i in (2, 3)}
    assert match("p", dict(ENCODER, **more), MODEL).layers_left_out == 2


def test_grouped_names():
    layers = [f"bert/encoder/layer_{i}/dense/{end}" for i in range(12) for end in ("kernel", "bias")]
    assert grouped(layers) == "bert/encoder/layer_{0..11}/dense/{kernel,bias}"
    assert grouped(["a/layer_0/b", "a/layer_2/b", "a/layer_3/b"]) == "a/layer_{0,2,3}/b"
    far = [f"layer_{number}/b" for number in ("0", "1", "999999999")]
    assert grouped(far) == "layer_{0,1,999999999}/b"
    assert grouped(["layer_0/b", "layer_1/b", "layer_" + "9" * 5000 + "/b"]) == "layer_{0,1}/b and 1 more"
    assert grouped(["a", "layer_1/b"]) == "a, layer_1/b" and grouped([]) == ""
    assert grouped(f"v{i}" for i in range(12)) == "v0, v1, v2, v3, v4, v5, v6, v7, v8, v9 and 2 more"


def test_check_shapes_skips_names_of_other_dicts():
    weight_names.check_shapes("p", {"x": [1]}, {}, {"y": "x"})
