"""Hugging Face's BERT to Google's format and back: every weight to the bit."""

import json
import math
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import convert_checkpoint, modeling, tokenization
from bert.pretraining import model as pretraining_model
from bert.runtime import checkpoint, init_weights
from bert.system.errors import UserError
from tests import forking, hf_models
from tests.bert.conversion import FAST, GOOGLE_FILES, google_model

HF_FILES = ["config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"]
# What Google's names are, one of each kind; layers are numbered alike.
NAMES = {
    "bert.embeddings.word_embeddings.weight": "bert/embeddings/word_embeddings",
    "bert.embeddings.LayerNorm.weight": "bert/embeddings/LayerNorm/gamma",
    "bert.encoder.layer.1.attention.self.key.weight": "bert/encoder/layer_1/attention/self/key/kernel",
    "bert.encoder.layer.0.attention.output.LayerNorm.bias": "bert/encoder/layer_0/attention/output/LayerNorm/beta",
    "bert.encoder.layer.0.output.dense.weight": "bert/encoder/layer_0/output/dense/kernel",
    "bert.pooler.dense.bias": "bert/pooler/dense/bias",
    "cls.predictions.transform.dense.weight": "cls/predictions/transform/dense/kernel",
    "cls.predictions.transform.LayerNorm.weight": "cls/predictions/transform/LayerNorm/gamma",
    "cls.predictions.bias": "cls/predictions/output_bias",
    "cls.seq_relationship.weight": "cls/seq_relationship/output_weights",
    "cls.seq_relationship.bias": "cls/seq_relationship/output_bias",
}


def variables(directory):
    reader = tf.train.load_checkpoint(str(directory / "bert_model.ckpt"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def bits(arrays):
    return {name: (value.dtype, value.shape, value.tobytes()) for name, value in arrays.items()}


@pytest.mark.parametrize("architecture", sorted(set(hf_models.HEADS) - {"BertForTokenClassification"}))
def test_hugging_face_to_google_and_back(architecture, tmp_path, convert):
    weights = hf_models.random_weights(architecture)
    for value in weights.values():  # a NaN with bits of its own and the like, in every weight that has room
        value.ravel()[: len(hf_models.SPECIAL)] = hf_models.SPECIAL[: value.size]
    hf_models.write_model(tmp_path / "hf", architecture, weights)
    google, log = convert("hf", "google")
    assert sorted(os.listdir(str(google))) == GOOGLE_FILES
    assert log == [f"wrote {google}: {len(weights)} weights; use it with -bert_dir {google} -do_lower_case=false"]
    back, log = convert("google", "back", "-to_hf", "-do_lower_case=false")
    assert sorted(os.listdir(str(back))) == HF_FILES
    assert log == [
        f"wrote {back}: {len(weights)} weights of a {architecture}, do_lower_case false in its tokenizer_config.json"
    ]
    metadata, found = hf_models.read_safetensors(back / "model.safetensors")
    assert metadata == {"format": "pt"} and bits(found) == bits(weights)
    before, after = (json.loads((path / "config.json").read_text()) for path in (tmp_path / "hf", back))
    assert {key: after[key] for key in before} == before
    assert (back / "vocab.txt").read_bytes() == (tmp_path / "hf" / "vocab.txt").read_bytes()
    assert (google / "vocab.txt").read_bytes() == (tmp_path / "hf" / "vocab.txt").read_bytes()
    assert json.loads((back / "tokenizer_config.json").read_text())["do_lower_case"] is False


def test_fewer_pieces_than_embeddings_are_said_both_ways(tmp_path, convert):
    weights = hf_models.random_weights()
    hf_models.write_model(tmp_path / "hf", weights=weights, vocab=hf_models.VOCAB[:-2])
    google, log = convert("hf", "google")
    said = "9 entries; {} has room for 11, so the last 2 embeddings are not used"
    assert log[0] == f"{tmp_path}/hf/vocab.txt: " + said.format(f"{tmp_path}/hf/config.json")
    back, log = convert("google", "back", "-to_hf", "-do_lower_case=false")
    assert log[0] == f"{google}/vocab.txt: " + said.format(f"{google}/bert_config.json")
    _, found = hf_models.read_safetensors(back / "model.safetensors")
    assert bits(found) == bits(weights)
    assert (back / "vocab.txt").read_bytes() == (tmp_path / "hf" / "vocab.txt").read_bytes()
    assert (google / "vocab.txt").read_text(encoding="utf-8").splitlines() == hf_models.VOCAB[:-2]


@pytest.mark.parametrize("heads", [True, False])
def test_google_to_hugging_face_and_back(heads, tmp_path, convert):
    values = google_model(tmp_path / "google", heads)
    convert("google", "hf", "-to_hf")
    back, log = convert("hf", "back")
    assert log[-1].endswith("-do_lower_case=true")
    assert bits(variables(back)) == bits(values)
    for name in GOOGLE_FILES:
        assert (back / name).read_bytes() == (tmp_path / "google" / name).read_bytes()


def test_names_and_what_is_transposed(tmp_path, convert):
    weights = hf_models.write_model(tmp_path / "hf", "BertForPreTraining")
    found = variables(convert("hf", "google")[0])
    for hf, google in NAMES.items():
        expected = weights[hf].T if google.endswith("kernel") else weights[hf]
        np.testing.assert_array_equal(found[google], expected)
    config = modeling.BertConfig.from_json_file(str(tmp_path / "google" / "bert_config.json"))
    assert set(found) == set(modeling.encoder_shapes(config)) | set(pretraining_model.head_shapes(config))
    assert config.to_dict() == {key: hf_models.CONFIG[key] for key in modeling.BertConfig(1).to_dict()}


def reference(weights, ids, mask, segments):
    """Hugging Face's encoder in float64, from its documentation: (last layer, pooled)."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}

    def linear(x, name):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * w[name + ".LayerNorm.weight"] + w[name + ".LayerNorm.bias"]

    batch, length = ids.shape
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:length]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][segments], "embeddings")
    for i in (0, 1):
        layer = f"encoder.layer.{i}."
        q, k, v = (linear(x, f"{layer}attention.self.{name}") for name in ("query", "key", "value"))
        q, k, v = (heads.reshape(batch, length, 3, 2) for heads in (q, k, v))
        scores = np.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(2) + (1 - mask)[:, None, None, :] * -10000.0
        share = np.exp(scores - scores.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        context = np.einsum("bhqk,bkhd->bqhd", share, v).reshape(batch, length, 6)
        x = norm(linear(context, layer + "attention.output.dense") + x, layer + "attention.output")
        wide = linear(x, layer + "intermediate.dense")
        wide = wide * 0.5 * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
        x = norm(linear(wide, layer + "output.dense") + x, layer + "output")
    return x, np.tanh(linear(x[:, 0], "pooler.dense"))


def test_our_encoder_computes_what_hugging_faces_does(graph, tmp_path, convert):
    weights = hf_models.write_model(tmp_path / "hf")
    google, _ = convert("hf", "google")
    random = np.random.RandomState(2)
    ids, segments = random.randint(0, 11, [3, 8]), random.randint(0, 2, [3, 8])
    mask = (np.arange(8) < np.array([8, 5, 3])[:, None]).astype(int)
    config = modeling.BertConfig.from_json_file(str(google / "bert_config.json"))
    inputs = [tf.constant(value, tf.int32) for value in (ids, mask, segments)]
    start = init_weights.find(checkpoint.resolve(str(google)), init_weights.model_variables(config))
    with init_weights.starting_from(start):
        model = modeling.BertModel(config, False, *inputs)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        found = session.run([model.get_sequence_output(), model.get_pooled_output()])
    expected = reference(weights, ids, mask, segments)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-5)


def test_old_names_and_what_is_no_weight(tmp_path, convert):
    """As in files of 2019: gamma and beta, the output layer once more, positions as a constant."""
    weights = hf_models.write_model(tmp_path / "hf", "BertForPreTraining", model_type=None)
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in weights.items()
    }
    entries = hf_models.float32_entries(old)
    words = weights["bert.embeddings.word_embeddings.weight"]
    entries.append(("cls.predictions.decoder.weight", "F32", words.shape, words.tobytes()))
    entries.append(("cls.predictions.decoder.bias", "F32", [11], weights["cls.predictions.bias"].tobytes()))
    entries.append(("bert.embeddings.position_ids", "I64", [1, 9], np.arange(9, dtype="<i8").tobytes()))
    hf_models.write_safetensors(tmp_path / "hf" / "model.safetensors", entries)
    _, log = convert("hf", "google")
    assert len(log) == 1  # nothing is missing or left over
    back, _ = convert("google", "back", "-to_hf", "-do_lower_case=false")
    assert bits(hf_models.read_safetensors(back / "model.safetensors")[1]) == bits(weights)


def test_tied_weights_that_a_file_has_under_the_other_name_only(tmp_path, convert):
    weights = hf_models.random_weights("BertForMaskedLM")
    saved = dict(weights)
    saved["cls.predictions.decoder.weight"] = saved.pop("bert.embeddings.word_embeddings.weight")
    saved["cls.predictions.decoder.bias"] = saved.pop("cls.predictions.bias")
    hf_models.write_model(tmp_path / "hf", "BertForMaskedLM", saved)
    convert("hf", "google")
    back, _ = convert("google", "back", "-to_hf")
    assert bits(hf_models.read_safetensors(back / "model.safetensors")[1]) == bits(weights)


def test_an_output_layer_of_its_own_is_listed(tmp_path, convert):
    weights = hf_models.random_weights("BertForMaskedLM")
    hf_models.write_model(
        tmp_path / "hf", weights=dict(weights, **{"cls.predictions.decoder.weight": np.ones([11, 6], np.float32)})
    )
    assert convert("hf", "google")[1][0] == "  not converted: cls.predictions.decoder.weight [11, 6]"


@pytest.mark.one_tensorflow
@pytest.mark.parametrize("kind,name", [("F16", "F16"), ("BF16", "BF16")])
def test_half_precision_is_widened_and_said_so(kind, name, tmp_path, convert):
    weights = hf_models.write_model(tmp_path / "hf")
    narrow = {n: value.astype("<f2") if kind == "F16" else value.view("<u4") >> 16 for n, value in weights.items()}
    raw = {n: value if kind == "F16" else value.astype("<u2") for n, value in narrow.items()}
    entries = [(n, kind, value.shape, value.tobytes()) for n, value in raw.items()]
    hf_models.write_safetensors(tmp_path / "hf" / "model.safetensors", entries)
    google, log = convert("hf", "google")
    assert log[0] == f"{len(weights)} weights are {name}: widened to float32, every value exactly what it was"
    words = narrow["embeddings.word_embeddings.weight"]
    expected = words.astype("f") if kind == "F16" else (words << 16).view("<f4")
    found = variables(google)["bert/embeddings/word_embeddings"]
    assert found.dtype == np.float32 and found.tobytes() == expected.tobytes()


@pytest.mark.one_tensorflow
def test_heads_that_have_no_like_are_listed(tmp_path, convert):
    hf_models.write_model(tmp_path / "hf", "BertForTokenClassification")
    _, log = convert("hf", "google")
    assert log[:2] == ["  not converted: classifier.bias [4]", "  not converted: classifier.weight [4, 6]"]
    weights = hf_models.random_weights("BertForQuestionAnswering")
    weights["qa_outputs.weight"], weights["qa_outputs.bias"] = np.ones([3, 6], "f"), np.ones([3], "f")
    hf_models.write_model(tmp_path / "three", weights=weights)
    _, log = convert("three", "from_three")
    assert log[:2] == ["  not converted: qa_outputs.bias [3]", "  not converted: qa_outputs.weight [3, 6]"]


def test_a_model_without_a_pooler(tmp_path, convert):
    weights = {name: value for name, value in hf_models.random_weights().items() if "pooler" not in name}
    hf_models.write_model(tmp_path / "hf", weights=weights)
    _, log = convert("hf", "google")
    assert log[:2] == ["  missing: bert.pooler.dense.weight", "  missing: bert.pooler.dense.bias"]
    back, log = convert("google", "back", "-to_hf")
    assert log[:2] == ["  missing: bert/pooler/dense/kernel", "  missing: bert/pooler/dense/bias"]
    assert bits(hf_models.read_safetensors(back / "model.safetensors")[1]) == bits(weights)


def test_a_checkpoint_of_training(tmp_path, convert):
    """The newest of a directory; optimizer and step are left out, a tagger's head is listed."""
    values = google_model(tmp_path / "run", heads=False)
    extra = {"bert/pooler/dense/bias/adam_m": np.ones([6], "f"), "global_step": np.int64(7)}
    extra["crf_loss/transitions"] = np.ones([3, 3], "f")
    for name in os.listdir(str(tmp_path / "run")):
        if name.startswith("bert_model"):
            os.remove(str(tmp_path / "run" / name))
    os.rename(str(tmp_path / "run"), str(tmp_path / "encoder"))
    (tmp_path / "best").mkdir()
    checkpoint.write(str(tmp_path / "best" / "model.ckpt-7"), dict(values, **extra))
    files = ["-bert_config_file", str(tmp_path / "encoder" / "bert_config.json")]
    files += ["-vocab_file", str(tmp_path / "encoder" / "vocab.txt")]
    hf, log = convert("best", "hf", "-to_hf", *files)
    assert log[0] == "  not converted: crf_loss/transitions [3, 3]" and len(log) == 2
    found = hf_models.read_safetensors(hf / "model.safetensors")[1]
    assert len(found) == len(values)
    np.testing.assert_array_equal(found["pooler.dense.weight"], values["bert/pooler/dense/kernel"].T)


@pytest.mark.one_tensorflow
def test_weights_in_several_files(tmp_path, convert):
    weights = hf_models.write_model(tmp_path / "hf")
    google, _ = convert("hf", "google")
    (tmp_path / "hf" / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {f"model-0000{i}-of-00003.safetensors": names[i - 1 :: 3] for i in (1, 2, 3)}
    for file, part in parts.items():
        hf_models.write_safetensors(tmp_path / "hf" / file, hf_models.float32_entries({n: weights[n] for n in part}))
    index = {"metadata": {}, "weight_map": {name: file for file, part in parts.items() for name in part}}
    hf_models.write_json(tmp_path / "hf" / "model.safetensors.index.json", index)
    assert bits(variables(convert("hf", "again")[0])) == bits(variables(google))


def test_weights_as_pytorch_writes_them(tmp_path, convert, monkeypatch):
    weights = hf_models.write_model(tmp_path / "hf", "BertForPreTraining")
    google, _ = convert("hf", "google")
    (tmp_path / "hf" / "model.safetensors").unlink()
    hf_models.write_pytorch(tmp_path / "hf" / "pytorch_model.bin", weights, monkeypatch)
    assert bits(variables(convert("hf", "again")[0])) == bits(variables(google))


def test_a_vocabulary_from_tokenizer_json(tmp_path, convert):
    hf_models.write_model(tmp_path / "hf")
    (tmp_path / "hf" / "vocab.txt").unlink()
    (tmp_path / "hf" / "tokenizer_config.json").unlink()
    hf_models.write_json(tmp_path / "hf" / "tokenizer.json", FAST)
    google, log = convert("hf", "google")
    assert list(tokenization.load_vocab(str(google / "vocab.txt"))) == hf_models.VOCAB
    assert log[-1].endswith(" -do_lower_case=true")


def test_added_tokens_behind_vocab_txt(tmp_path, convert):
    hf_models.write_model(tmp_path / "hf", vocab=hf_models.VOCAB[:9])
    hf_models.write_json(tmp_path / "hf" / "added_tokens.json", {"word": 10, "\u2028": 9})
    google, _ = convert("hf", "google")
    assert list(tokenization.load_vocab(str(google / "vocab.txt"))) == hf_models.VOCAB


@pytest.mark.one_tensorflow
@pytest.mark.parametrize(
    "settings,ending,notes",
    [
        ({"do_lower_case": True}, "-do_lower_case=true", 0),
        ({}, "no file says whether its vocabulary is lower-cased", 0),
        ({"do_lower_case": False, "strip_accents": False}, "-do_lower_case=false", 0),
        ({"do_lower_case": True, "strip_accents": False}, "-do_lower_case=true", 1),
        ({"do_lower_case": True, "tokenize_chinese_chars": False}, "-do_lower_case=true", 1),
        ({"do_lower_case": False, "tokenizer_class": "BertJapaneseTokenizer"}, "-do_lower_case=false", 1),
    ],
)
def test_which_flags_it_is_to_be_used_with(settings, ending, notes, tmp_path, convert):
    hf_models.write_model(tmp_path / "hf")
    hf_models.write_json(tmp_path / "hf" / "tokenizer_config.json", settings)
    _, log = convert("hf", "google")
    assert log[-1].endswith(ending) and len(log) == 1 + notes
    assert all("its tokenizer differs" in line for line in log[:notes])


@pytest.mark.one_tensorflow
def test_sizes_that_config_json_leaves_out_and_another_epsilon(tmp_path, convert):
    hf_models.write_model(tmp_path / "hf", type_vocab_size=None, hidden_act=None, layer_norm_eps=1e-5)
    google, log = convert("hf", "google")
    config = json.loads((google / "bert_config.json").read_text())
    assert config["type_vocab_size"] == 2 and config["hidden_act"] == "gelu"
    assert "layer_norm_eps is 1e-05" in log[0]
    back, _ = convert("google", "back", "-to_hf")
    assert json.loads((back / "config.json").read_text())["layer_norm_eps"] == 1e-5


def test_the_case_of_a_release_that_is_known(tmp_path, convert):
    google_model(tmp_path / "cased_L-12_H-768_A-12")
    with pytest.raises(UserError, match="do_lower_case is true, expected false"):
        convert("cased_L-12_H-768_A-12", "hf", "-to_hf")
    convert("cased_L-12_H-768_A-12", "hf", "-to_hf", "-do_lower_case=false")


@pytest.mark.one_tensorflow
def test_as_a_program(tmp_path):
    hf_models.write_model(tmp_path / "hf")
    flags = [f"--input_dir={tmp_path}/hf", f"--output_dir={tmp_path}/google"]
    out, err = tmp_path / "out", tmp_path / "err"
    exit_code = forking.run(forking.program, convert_checkpoint.__file__, *flags, stdout=out, stderr=err)
    assert exit_code == 0 and out.read_text() == "" and len(err.read_text().splitlines()) == 1, err.read_text()
    assert sorted(os.listdir(str(tmp_path))) == ["err", "google", "hf", "out"]
