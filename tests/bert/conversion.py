"""What the tests of the converter share: Google's files, their weights, and what a tokenizer.json may say."""

import numpy as np

from bert import modeling
from bert.pretraining import model as pretraining_model
from bert.runtime import checkpoint
from tests import hf_models

GOOGLE_FILES = ["bert_config.json", "bert_model.ckpt.data-00000-of-00001", "bert_model.ckpt.index", "vocab.txt"]


def google_model(directory, heads=True):
    """Writes a checkpoint of Google's with random numbers and returns its variables."""
    config = modeling.BertConfig.from_dict({k: hf_models.CONFIG[k] for k in modeling.BertConfig(1).to_dict()})
    shapes = dict(modeling.encoder_shapes(config), **(pretraining_model.head_shapes(config) if heads else {}))
    random = np.random.RandomState(1)
    values = {name: random.randn(*shape).astype("f") for name, shape in shapes.items()}
    directory.mkdir()
    checkpoint.write(str(directory / "bert_model.ckpt"), values)
    (directory / "bert_config.json").write_text(config.to_json_string())
    (directory / "vocab.txt").write_text("".join(piece + "\n" for piece in hf_models.VOCAB), encoding="utf-8")
    return values


FAST = {
    "normalizer": {"type": "BertNormalizer", "lowercase": True, "strip_accents": None, "handle_chinese_chars": True},
    "model": {"type": "WordPiece", "vocab": {piece: i for i, piece in enumerate(hf_models.VOCAB[:9])}},
    "added_tokens": [{"id": 0, "content": "[PAD]"}, {"id": 9, "content": "\u2028"}, {"id": 10, "content": "word"}],
}
