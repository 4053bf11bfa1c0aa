"""Tiny BERTs of Hugging Face's for the tests: their names, shapes and files, written down from the format itself.

Nothing here uses the project's converter, so that it can be judged by it.
"""

import collections
import io
import json
import os
import pickle
import struct
import sys
import types
import zipfile

import numpy as np

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tag", "##s", "北", "京", "\u2028", "word"]
CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "vocab_size": len(VOCAB),
    "hidden_size": 6,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 10,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.2,
    "max_position_embeddings": 9,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}
HEADS = {
    "BertModel": {},
    "BertForMaskedLM": {
        "cls.predictions.transform.dense.weight": [6, 6],
        "cls.predictions.transform.dense.bias": [6],
        "cls.predictions.transform.LayerNorm.weight": [6],
        "cls.predictions.transform.LayerNorm.bias": [6],
        "cls.predictions.bias": [11],
    },
    "BertForNextSentencePrediction": {"cls.seq_relationship.weight": [2, 6], "cls.seq_relationship.bias": [2]},
    "BertForQuestionAnswering": {"qa_outputs.weight": [2, 6], "qa_outputs.bias": [2]},
    "BertForSequenceClassification": {"classifier.weight": [4, 6], "classifier.bias": [4]},
    "BertForTokenClassification": {"classifier.weight": [4, 6], "classifier.bias": [4]},
}
HEADS["BertForPreTraining"] = dict(HEADS["BertForMaskedLM"], **HEADS["BertForNextSentencePrediction"])
# Numbers that a careless copy changes: a NaN with bits of its own, the smallest above 0, minus 0, infinity.
SPECIAL = np.array([0x7FA12345, 0x00000001, 0x80000000, 0xFF800000], "<u4").view("<f4")


def shapes(architecture="BertModel"):
    """Dict from name to shape, the encoder's with the prefix that models with a head have."""
    result = {
        "bert.embeddings.word_embeddings.weight": [11, 6],
        "bert.embeddings.position_embeddings.weight": [9, 6],
        "bert.embeddings.token_type_embeddings.weight": [2, 6],
        "bert.embeddings.LayerNorm.weight": [6],
        "bert.embeddings.LayerNorm.bias": [6],
        "bert.pooler.dense.weight": [6, 6],
        "bert.pooler.dense.bias": [6],
    }
    for i in (0, 1):
        layer = f"bert.encoder.layer.{i}."
        for dense in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            result[layer + dense + ".weight"] = [6, 6]
            result[layer + dense + ".bias"] = [6]
        result[layer + "intermediate.dense.weight"] = [10, 6]
        result[layer + "intermediate.dense.bias"] = [10]
        result[layer + "output.dense.weight"] = [6, 10]
        result[layer + "output.dense.bias"] = [6]
        for norm in ("attention.output.LayerNorm", "output.LayerNorm"):
            result[layer + norm + ".weight"] = [6]
            result[layer + norm + ".bias"] = [6]
    result.update(HEADS[architecture])
    return result


def random_weights(architecture="BertModel", seed=0):
    """Dict from name to float32 array; a mere encoder's names have no prefix."""
    random = np.random.RandomState(seed)
    weights = {name: random.randn(*shape).astype(np.float32) for name, shape in shapes(architecture).items()}
    if architecture == "BertModel":
        weights = {name[len("bert.") :]: value for name, value in weights.items()}
    return weights


def write_safetensors(path, entries):
    """Writes (name, type, shape, bytes) entries in their order."""
    header, data = collections.OrderedDict(__metadata__={"format": "pt"}), b""
    for name, kind, shape, content in entries:
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    with open(str(path), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def float32_entries(weights):
    return [(name, "F32", value.shape, value.tobytes()) for name, value in weights.items()]


def read_safetensors(path):
    """(metadata, dict from name to array) of a file of float32."""
    content = open(str(path), "rb").read()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length].decode())
    arrays, data = {}, content[8 + length :]
    metadata = header.pop("__metadata__", None)
    for name, entry in header.items():
        assert entry["dtype"] == "F32"
        start, end = entry["data_offsets"]
        arrays[name] = np.frombuffer(data[start:end], "<f4").reshape(entry["shape"])
    return metadata, arrays


def write_pytorch(path, weights, monkeypatch):
    """Writes float32 arrays as torch.save does, with classes of PyTorch's names that are none of PyTorch's."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
    torch._utils = utils

    def _rebuild_tensor_v2():
        pass

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Storage:
        def __init__(self, key, count):
            self.pid = ("storage", torch.FloatStorage, key, "cpu", count)

    class FakeTensor:
        def __init__(self, key, array):
            strides = tuple(stride // 4 for stride in array.strides)
            self.arguments = (Storage(key, array.size), 0, array.shape, strides, False, collections.OrderedDict())

        def __reduce__(self):
            return _rebuild_tensor_v2, self.arguments

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value.pid if isinstance(value, Storage) else None

    keys = {name: str(i) for i, name in enumerate(weights)}
    pickled = io.BytesIO()
    Pickler(pickled, protocol=2).dump({name: FakeTensor(keys[name], value) for name, value in weights.items()})
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr("model/data.pkl", pickled.getvalue())
        for name, value in weights.items():
            archive.writestr("model/data/" + keys[name], value.tobytes())


def write_model(directory, architecture="BertModel", weights=None, vocab=VOCAB, **changes):
    """Writes a whole model; `changes` are of config.json, None takes a key away. Returns its weights."""
    weights = random_weights(architecture) if weights is None else weights
    os.makedirs(str(directory), exist_ok=True)
    config = dict(dict(CONFIG, architectures=[architecture]), **changes)
    write_json(directory / "config.json", {key: value for key, value in config.items() if value is not None})
    write_safetensors(directory / "model.safetensors", float32_entries(weights))
    (directory / "vocab.txt").write_bytes("".join(piece + "\n" for piece in vocab).encode("utf-8"))
    write_json(directory / "tokenizer_config.json", {"do_lower_case": False, "tokenizer_class": "BertTokenizer"})
    return weights


def write_json(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")
