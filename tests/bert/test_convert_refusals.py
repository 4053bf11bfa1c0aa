"""What the converter refuses, by name: what is no BERT, damaged, or cannot be written."""

import os

import numpy as np
import pytest

from bert.convert_checkpoint import main
from bert.huggingface import directory as huggingface_directory
from bert.runtime import checkpoint
from bert.system.errors import UserError
from tests import hf_models
from tests.bert.conversion import FAST, GOOGLE_FILES, google_model

pytestmark = pytest.mark.one_tensorflow


def files_of(directory):
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_what_is_there_is_overwritten_only_if_asked_for(tmp_path, convert):
    hf_models.write_model(tmp_path / "hf")
    google, _ = convert("hf", "google")
    first = files_of(google)
    convert("hf", "google")  # the same again
    assert files_of(google) == first
    hf_models.write_model(tmp_path / "hf", weights=hf_models.random_weights(seed=1))
    with pytest.raises(UserError, match="exists with another content; expected another -output_dir, or -overwrite"):
        convert("hf", "google")
    assert files_of(google) == first
    convert("hf", "google", "-overwrite")
    assert files_of(google) != first and sorted(os.listdir(str(google))) == GOOGLE_FILES


def test_a_disk_that_is_full(tmp_path, convert, monkeypatch):
    hf_models.write_model(tmp_path / "hf")

    def write_vocab(path, pieces):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_directory, "write_vocab", write_vocab)
    with pytest.raises(UserError) as caught:
        convert("hf", "google")
    assert str(caught.value) == f"{tmp_path}/google: cannot be written: No space left on device"
    assert os.listdir(str(tmp_path)) == ["hf"]


def without(key):
    weights = hf_models.random_weights()
    return {name: value for name, value in weights.items() if key not in name}


def renamed(old, new):
    return {name.replace(old, new): value for name, value in hf_models.random_weights("BertForMaskedLM").items()}


def reshaped(name, *shape):
    return dict(hf_models.random_weights(), **{name: np.ones(shape, np.float32)})


@pytest.mark.parametrize(
    "changes,expected",
    [
        ({"model_type": "roberta"}, r"config\.json: model_type is 'roberta'; expected a BERT"),
        ({"model_type": None, "architectures": ["AlbertModel"]}, r"config\.json: architectures is \['AlbertModel'\]"),
        ({"architectures": "BertModel"}, r"config\.json: architectures is 'BertModel'; expected a list"),
        ({"hidden_act": "quick_gelu"}, r"config\.json: .*quick_gelu"),
        ({"position_embedding_type": "relative_key"}, r"config\.json: position_embedding_type is 'relative_key'"),
        ({"is_decoder": True}, r"config\.json: is_decoder is True; expected False"),
        ({"hidden_size": "6"}, r"config\.json: hidden_size is '6'; expected a whole number"),
        ({"vocab_size": None}, r"config\.json: expected a JSON object with a 'vocab_size'"),
        ({"vocab_size": 12}, r"word_embeddings\.weight has the shape \[11, 6\]; the config expects \[12, 6\]"),
        ({"vocab_size": 10}, r"vocab\.txt: 11 entries; .*config\.json expects 10$"),
        ({"vocab": hf_models.VOCAB[:2] * 2 + hf_models.VOCAB[4:]}, r"vocab\.txt:3: '\[PAD\]' is on line 1"),
        ({"vocab": ["[PAD]", "[UNK]", "[SEP]"] + list("abcdefgh")}, r"vocab\.txt: expected an entry \[CLS\]"),
        ({"num_hidden_layers": 3}, r"model\.safetensors: 16 weights of the encoder are missing, bert\..*layer\.2"),
        ({"weights": without("word_emb")}, r"not the weights of a BERT: .*, found bert\.embeddings\.LayerNorm\.bias"),
        ({"weights": without("layer.1.output.dense.bias")}, r"1 weights of the encoder are missing, .*1\.output"),
        ({"weights": renamed("bert.", "roberta.")}, r"not the weights of a BERT: .*, found roberta\.embeddings\.Layer"),
        ({"weights": {}}, r"not the weights of a BERT: .*, found nothing"),
        ({"intermediate_size": 12}, r"\.layer\.0\.intermediate\.dense\.weight has the shape \[10, 6\]; .* \[12, 6\]"),
        ({"type_vocab_size": 3}, r"token_type_embeddings\.weight has the shape \[2, 6\]; the config expects \[3, 6\]"),
        (
            {"weights": reshaped("encoder.layer.0.intermediate.dense.weight", 6, 10)},
            r"layer\.0\.intermediate\.dense\.weight has the shape \[6, 10\]; the config expects \[10, 6\]",
        ),
        ({"weights": reshaped("pooler.dense.weight", 36)}, r"dense\.weight has the shape \[36\]; .* \[6, 6\]"),
    ],
)  # fmt: skip
def test_what_is_no_bert_or_does_not_fit(changes, expected, tmp_path, convert):
    hf_models.write_model(tmp_path / "hf", **changes)
    assert_refused(expected, convert, tmp_path)


def assert_refused(expected, convert, tmp_path, *flags):
    before = files_of(tmp_path)
    with pytest.raises(UserError, match=expected) as caught:
        convert("hf", "google", *flags)
    assert str(caught.value).startswith(str(tmp_path)) and "\n" not in str(caught.value)
    assert files_of(tmp_path) == before and not (tmp_path / "google").exists()


def test_missing_and_left_over_weights_are_listed_before_it_is_refused(tmp_path, convert, capsys):
    weights = without("layer.1.output.dense")
    hf_models.write_model(tmp_path / "hf", weights=dict(weights, **{"encoder.layer.1.adapter": np.ones([2, 3], "f")}))
    with pytest.raises(UserError, match="2 weights of the encoder are missing"):
        convert("hf", "google")
    lines = [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "  missing: bert.encoder.layer.1.output.dense.weight",
        "  missing: bert.encoder.layer.1.output.dense.bias",
        "  not converted: bert.encoder.layer.1.adapter [2, 3]",
    ]


def test_weights_of_a_type_that_float32_cannot_hold(tmp_path, convert):
    weights = hf_models.write_model(tmp_path / "hf")
    entries = [(name, "F64", value.shape, value.astype("<f8").tobytes()) for name, value in weights.items()]
    hf_models.write_safetensors(tmp_path / "hf" / "model.safetensors", entries)
    assert_refused(r"model\.safetensors: bert\.\S+ is F64; expected F32, F16 or BF16", convert, tmp_path)


def test_a_weight_under_both_its_names(tmp_path, convert):
    weights = hf_models.random_weights()
    weights["embeddings.LayerNorm.gamma"] = weights["embeddings.LayerNorm.weight"]
    hf_models.write_model(tmp_path / "hf", weights=weights)
    assert_refused(r"embeddings\.LayerNorm\.weight is in it twice", convert, tmp_path)


@pytest.mark.parametrize(
    "file,content,expected",
    [
        ("config.json", None, r"config\.json: no such file; expected a directory of a Hugging Face BERT"),
        ("config.json", b"{", r"config\.json: expected JSON"),
        ("config.json", b"[]", r"config\.json: expected a JSON object"),
        ("config.json", b"\xff{}", r"config\.json: expected JSON"),
        ("vocab.txt", None, r"vocab\.txt: no such file; expected it, or tokenizer\.json"),
        ("vocab.txt", b"", r"vocab\.txt: the file is empty"),
        ("vocab.txt", b"\xff\n", r"vocab\.txt:1: byte 1 of the line is not UTF-8"),
        ("tokenizer_config.json", b"1", r"tokenizer_config\.json: expected a JSON object"),
        ("model.safetensors", None, r"hf: no weights in it; expected model\.safetensors or pytorch_model\.bin"),
        ("model.safetensors", b"", r"model\.safetensors: cut off or no safetensors file"),
        ("model.safetensors", b"version https://git-lfs", r"model\.safetensors: cut off or no safetensors file"),
        ("model.safetensors", b"\x02" + bytes(7) + b"[]", r"model\.safetensors: no safetensors file"),
    ],
)
def test_files_that_are_missing_or_damaged(file, content, expected, tmp_path, convert):
    hf_models.write_model(tmp_path / "hf")
    (tmp_path / "hf" / file).unlink()
    if content is not None:
        (tmp_path / "hf" / file).write_bytes(content)
    assert_refused(expected, convert, tmp_path)


def test_weights_that_are_cut_off(tmp_path, convert):
    hf_models.write_model(tmp_path / "hf")
    path = tmp_path / "hf" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert_refused(r"model\.safetensors: cut off: \S+ ends at byte \d+ of the data", convert, tmp_path)


@pytest.mark.parametrize(
    "index,expected",
    [
        ({"weight_map": {"a": "missing.safetensors"}}, r"missing\.safetensors: cannot be read"),
        ({"weight_map": {"a": "../part.safetensors"}}, r"the file '\.\./part\.safetensors' is not beside it"),
        ({"weight_map": {"a": "part.safetensors"}}, r"a is not in part\.safetensors; expected it there"),
        ({"weight_map": {"a": 1}}, r"expected a JSON object with a 'weight_map'"),
        ([], r"expected a JSON object with a 'weight_map'"),
    ],
)
def test_an_index_that_is_wrong(index, expected, tmp_path, convert):
    weights = hf_models.write_model(tmp_path / "hf")
    (tmp_path / "hf" / "model.safetensors").unlink()
    hf_models.write_safetensors(tmp_path / "hf" / "part.safetensors", hf_models.float32_entries(weights))
    hf_models.write_json(tmp_path / "hf" / "model.safetensors.index.json", index)
    assert_refused(expected, convert, tmp_path)


@pytest.mark.parametrize(
    "changes,expected",
    [
        ({"model": {"type": "BPE", "vocab": {}}}, r"tokenizer\.json: the model's type is 'BPE'; expected 'WordPiece'"),
        ({"model": []}, r"tokenizer\.json: the model's type is None"),
        (
            {"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 2}}},
            r"tokenizer\.json: expected a vocab with",
        ),
        ({"model": {"type": "WordPiece", "vocab": {"a": 0, "b\n": 1}}}, r"tokenizer\.json: 'b\\n' cannot be a line"),
        ({"model": {"vocab": {"a": 0, "\ud800": 1}}}, r"tokenizer\.json: '\\ud800' cannot be a line"),
        (
            {"added_tokens": [{"id": 9, "content": "tag"}]},
            r"tokenizer\.json: an added token is in the voc",
        ),
        ({"added_tokens": [3]}, r"tokenizer\.json: expected added tokens with an id and a content"),
        (
            {"added_tokens": [{"id": 10, "content": "b"}]},
            r"tokenizer\.json: an added token has the id 10, and none has 9",
        ),
    ],
)
def test_a_tokenizer_json_that_is_no_berts(changes, expected, tmp_path, convert):
    hf_models.write_model(tmp_path / "hf")
    (tmp_path / "hf" / "vocab.txt").unlink()
    hf_models.write_json(tmp_path / "hf" / "tokenizer.json", dict(FAST, **changes))
    assert_refused(expected, convert, tmp_path)


def test_outputs_that_cannot_be_written_and_inputs_that_are_not_there(tmp_path, convert):
    hf_models.write_model(tmp_path / "hf")
    with pytest.raises(UserError, match=r"config\.json: expected a directory that can be written"):
        convert("hf", "hf/config.json")
    with pytest.raises(UserError, match=r"expected a directory that can be written"):
        convert("hf", "hf/config.json/google")
    with pytest.raises(UserError, match=r"nothing: expected a directory of a Hugging Face BERT"):
        convert("nothing", "google")
    with pytest.raises(UserError, match=r"nothing: no checkpoint of that name"):
        convert("nothing", "google", "-to_hf")
    with pytest.raises(UserError, match=r"hf: a directory of Hugging Face, no TensorFlow checkpoint in it"):
        convert("hf", "google", "-to_hf")
    with pytest.raises(UserError, match="-output_dir is missing"):
        main(["-input_dir", "x"])


@pytest.mark.parametrize(
    "file,content,expected",
    [
        ("bert_config.json", None, r"bert_config\.json: cannot be read"),
        ("vocab.txt", b"[UNK]\n", r"vocab\.txt: expected an entry \[CLS\]"),
        ("bert_model.ckpt.data-00000-of-00001", b"", r"bert_model\.ckpt: the checkpoint is cut off or damaged"),
        ("bert_model.ckpt.index", None, r"only a piece of a checkpoint in it, bert_model\.ckpt\.data-00000-of-00001"),
    ],
)
def test_a_google_directory_that_is_damaged(file, content, expected, tmp_path, convert):
    google_model(tmp_path / "hf")
    (tmp_path / "hf" / file).unlink()
    if content is not None:
        (tmp_path / "hf" / file).write_bytes(content)
    assert_refused(expected, convert, tmp_path, "-to_hf")


@pytest.mark.every_tensorflow
@pytest.mark.parametrize(
    "name,value,expected",
    [
        ("bert/embeddings/word_embeddings", None, r"bert_model\.ckpt: 1 weights of the encoder are missing, bert/emb"),
        ("bert/pooler/dense/bias", np.zeros([6]), r"bert/pooler/dense/bias is float64; expected float32"),
        ("bert/pooler/dense/bias", np.zeros([7], "f"), r"dense/bias has the shape \[7\]; the config expects \[6\]"),
        ("bert/encoder/layer_0/intermediate/dense/kernel", np.zeros([10, 6], "f"), r"\[10, 6\]; .*expects \[6, 10\]"),
    ],
)
def test_a_checkpoint_that_is_no_encoder(name, value, expected, tmp_path, convert):
    values = google_model(tmp_path / "hf")
    values[name] = value
    checkpoint.write(str(tmp_path / "hf" / "bert_model.ckpt"), {n: v for n, v in values.items() if v is not None})
    assert_refused(expected, convert, tmp_path, "-to_hf")
