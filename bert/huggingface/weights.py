"""The weights of a BERT under Hugging Face's names and under Google's, and the conversion between them.

The numbers are the same; only the matrices of dense layers are stored transposed, [outputs, inputs] by PyTorch.
"""

import collections
import logging
import re

import numpy as np

from bert import modeling
from bert.classification import model as classification_model
from bert.huggingface.tensor_files import to_float32
from bert.pretraining import model as pretraining_model
from bert.squad import model as squad_model
from bert.system.errors import UserError

log = logging.getLogger(__name__)

Pair = collections.namedtuple("Pair", "hf google transposed")

WORDS = "bert.embeddings.word_embeddings.weight"
POOLER = "bert.pooler."
# The output layer of masked LM has no weights of its own: they are those of the word embeddings and of the bias. A file
# that holds each once may have them under either name.
TIED = {"cls.predictions.decoder.weight": WORDS, "cls.predictions.decoder.bias": "cls.predictions.bias"}
_BUFFERS = re.compile(r"bert\.embeddings\.(position_ids|token_type_ids)$")  # constants, saved by some releases


def _dense(hf, google):
    return [Pair(hf + ".weight", google + "/kernel", True), Pair(hf + ".bias", google + "/bias", False)]


def _layer_norm(hf, google):
    return [
        Pair(hf + ".LayerNorm.weight", google + "/LayerNorm/gamma", False),
        Pair(hf + ".LayerNorm.bias", google + "/LayerNorm/beta", False),
    ]


def _output(hf, google):
    """The layer of a head; Google stores its matrix as [outputs, inputs], too."""
    return [
        Pair(hf + ".weight", google + "output_weights", False),
        Pair(hf + ".bias", google + "output_bias", False),
    ]


MASKED_LM = [
    *_dense("cls.predictions.transform.dense", "cls/predictions/transform/dense"),
    *_layer_norm("cls.predictions.transform", "cls/predictions/transform"),
    Pair("cls.predictions.bias", "cls/predictions/output_bias", False),
]
NEXT_SENTENCE = _output("cls.seq_relationship", "cls/seq_relationship/")
SQUAD = _output("qa_outputs", "cls/squad/")
CLASSIFIER = _output("classifier", "")

# Hugging Face's class for a model with these heads; the first that fits is taken.
ARCHITECTURES = [
    ("BertForPreTraining", MASKED_LM + NEXT_SENTENCE),
    ("BertForQuestionAnswering", SQUAD),
    ("BertForSequenceClassification", CLASSIFIER),
    ("BertForMaskedLM", MASKED_LM),
    ("BertForNextSentencePrediction", NEXT_SENTENCE),
    ("BertModel", []),
]


def encoder_pairs(num_hidden_layers):
    """A Pair for every weight of an encoder; Hugging Face's names with the prefix `bert.`."""
    pairs = [
        Pair(f"bert.embeddings.{name}.weight", f"bert/embeddings/{name}", False)
        for name in ("word_embeddings", "position_embeddings", "token_type_embeddings")
    ]
    pairs += _layer_norm("bert.embeddings", "bert/embeddings")
    for i in range(num_hidden_layers):
        hf, google = f"bert.encoder.layer.{i}", f"bert/encoder/layer_{i}"
        for name in ("query", "key", "value"):
            pairs += _dense(f"{hf}.attention.self.{name}", f"{google}/attention/self/{name}")
        pairs += _dense(f"{hf}.attention.output.dense", f"{google}/attention/output/dense")
        pairs += _layer_norm(f"{hf}.attention.output", f"{google}/attention/output")
        pairs += _dense(f"{hf}.intermediate.dense", f"{google}/intermediate/dense")
        pairs += _dense(f"{hf}.output.dense", f"{google}/output/dense")
        pairs += _layer_norm(f"{hf}.output", f"{google}/output")
    return pairs + _dense("bert.pooler.dense", "bert/pooler/dense")


def to_google(path, tensors, config, is_classifier):
    """Converts Hugging Face's weights to Google's variables; logs what is left over and what is missing.

    Args:
      path: where the weights are from, for messages.
      tensors: dict from Hugging Face's name to tensor_files.Tensor; names without the prefix `bert.` and the old names
        of a LayerNorm's weights, gamma and beta, are known too.
      config: BertConfig.
      is_classifier: whether a layer `classifier` classifies whole texts, as run_classifier does, and not tokens.

    Returns:
      dict from name to float32 array.

    Raises:
      UserError: the weights are not a BERT's, some of the encoder's are missing, or of another shape or type.
    """
    tensors = _under_common_names(path, tensors)
    if WORDS not in tensors:
        example = min(tensors, key=lambda name: ("embeddings" not in name, name), default="nothing")
        raise UserError(f"{path}: not the weights of a BERT: expected {WORDS}, found {example} and others")
    heads = [MASKED_LM, NEXT_SENTENCE, SQUAD] + [CLASSIFIER] * is_classifier
    shapes = {name: list(tensor.values.shape) for name, tensor in tensors.items()}
    found = _choose(path, shapes, config, heads, "hf")
    for kind in ("F16", "BF16"):
        count = sum(tensors[pair.hf].kind == kind for pair in found)
        if count:
            log.info("%d weights are %s: widened to float32, every value exactly what it was", count, kind)
    return {pair.google: _turned(_float32(path, pair.hf, tensors[pair.hf]), pair) for pair in found}


def to_hf(prefix, values, config):
    """Converts Google's variables to Hugging Face's weights; logs what is left over and what is missing.

    Args:
      prefix: the checkpoint, for messages.
      values: dict from name to array.
      config: BertConfig.

    Returns:
      (architecture, weights): the name of Hugging Face's class, and a dict from name to float32 array; names of an
      encoder alone, BertModel, have no prefix.

    Raises:
      UserError: some of the encoder is missing, or a variable is of another shape or type.
    """
    shapes = {name: list(np.shape(value)) for name, value in values.items()}
    found = _choose(prefix, shapes, config, [MASKED_LM, NEXT_SENTENCE, SQUAD, CLASSIFIER], "google")
    for pair in found:
        if values[pair.google].dtype != np.float32:
            raise UserError(f"{prefix}: {pair.google} is {values[pair.google].dtype}; expected float32")
    weights = {pair.hf: np.ascontiguousarray(_turned(values[pair.google], pair)) for pair in found}
    architecture, heads = next(known for known in ARCHITECTURES if all(pair.hf in weights for pair in known[1]))
    if not heads:
        weights = {re.sub(r"^bert\.", "", name): value for name, value in weights.items()}
    return architecture, weights


def _choose(path, shapes, config, heads, side):
    """The pairs to convert: those of the encoder, and of each head that is there and has this project's sizes.

    Args:
      shapes: dict from the name of each weight that is there to its shape.
      heads: lists of Pair.
      side: "hf" or "google", whose names and shapes these are.

    Raises:
      UserError: a weight of the encoder is missing or, naming both shapes, of another shape than the config gives it.
    """
    # The number of classes is not in the config of an encoder.
    classes = [length for pair in CLASSIFIER for length in shapes.get(getattr(pair, side), [])[:1]]
    google = dict(
        modeling.encoder_shapes(config), **pretraining_model.head_shapes(config), **squad_model.head_shapes(config)
    )
    google.update(classification_model.head_shapes(config, max(classes, default=0)))

    def expected(pair):
        return google[pair.google][::-1] if side == "hf" and pair.transposed else google[pair.google]

    def is_usable(head):
        there = [pair for pair in head if getattr(pair, side) in shapes]
        return there and all(shapes[getattr(pair, side)] == expected(pair) for pair in there)

    encoder = encoder_pairs(config.num_hidden_layers)
    wanted = encoder + [pair for head in heads if is_usable(head) for pair in head]
    names = {getattr(pair, side): pair for pair in wanted}
    missing = [name for name in names if name not in shapes]
    for name in missing:
        log.info("  missing: %s", name)
    for name in sorted(set(shapes) - set(names)):
        log.info("  not converted: %s %s", name, shapes[name])
    # Models without a pooler are common, and no layer depends on it.
    needed = [name for name in missing if names[name] in encoder and not names[name].hf.startswith(POOLER)]
    if needed:
        raise UserError(
            f"{path}: {len(needed)} weights of the encoder are missing, {needed[0]} the first; "
            f"expected all of the {config.num_hidden_layers} layers that the config says"
        )
    for name, pair in names.items():
        if shapes.get(name, expected(pair)) != expected(pair):
            raise UserError(f"{path}: {name} has the shape {shapes[name]}; the config expects {expected(pair)}")
    return [names[name] for name in names if name in shapes]


def _under_common_names(path, tensors):
    """The tensors under one common name each, without constants and duplicates."""
    renamed = {}
    for name, tensor in tensors.items():
        common = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name))
        common = re.sub(r"^(?=(embeddings|encoder|pooler)\.)", "bert.", common)
        if common in renamed:
            raise UserError(f"{path}: {common} is in it twice, once as {name}; expected it once")
        if not _BUFFERS.match(common):
            renamed[common] = tensor
    for name, original in TIED.items():
        if name in renamed and _same(renamed[name], renamed.setdefault(original, renamed[name])):
            del renamed[name]
    return renamed


def _same(first, second):
    """Whether two tensors have the same bits."""
    if (first.kind, first.values.shape) != (second.kind, second.values.shape):
        return False
    return np.ascontiguousarray(first.values).tobytes() == np.ascontiguousarray(second.values).tobytes()


def _float32(path, name, tensor):
    values = to_float32(tensor)
    if values is None:
        raise UserError(f"{path}: {name} is {tensor.kind}; expected F32, F16 or BF16")
    return values


def _turned(values, pair):
    return values.T if pair.transposed else values
