"""The directory of a Hugging Face BERT: reads, checks and writes its config, vocabulary and weights.

config.json             sizes; `model_type` is the model's family
vocab.txt               the pieces; tokenizer.json may have them instead
tokenizer_config.json   whether text is lower-cased
model.safetensors       the weights; or pytorch_model.bin; or an index, <name>.index.json, of several such files
"""

import collections
import os
import re

from bert.encoder import sizes
from bert.huggingface.pytorch_file import read_pytorch
from bert.huggingface.tensor_files import read_safetensors, write_safetensors
from bert.modeling import BertConfig
from bert.runtime.encoder_files import check_pieces
from bert.system import filesystem
from bert.system.errors import UserError
from bert.system.files import atomic_open, is_path, read_json, write_json
from bert.tokenization import load_vocab

CONFIG, VOCAB, TOKENIZER, TOKENIZER_CONFIG = "config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json"
WEIGHTS = {"model.safetensors": read_safetensors, "pytorch_model.bin": read_pytorch}  # the first there is
INDEX = ".index.json"
SPECIAL_PIECES = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
LAYER_NORM_EPSILON = 1e-12  # of every encoder here, and Hugging Face's default
SAME_TOKENIZERS = ("BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast")  # they cut texts as ours does
# Defaults of Hugging Face's BertConfig: those of Google, except for the number of segments.
DEFAULTS = BertConfig(vocab_size=30522, type_vocab_size=2).to_dict()

_NO_TEXT = re.compile("[\n\ud800-\udfff]")  # characters that cannot be in a line of UTF-8

# do_lower_case: bool, or None where no file says it; notes: how its tokenizer differs from ours, in words.
Tokenizer = collections.namedtuple("Tokenizer", "pieces do_lower_case notes")


def read_config(directory):
    """The encoder's BertConfig and the dict of config.json; UserError if this project has no such encoder."""
    path = os.path.join(directory, CONFIG)
    if not filesystem.isfile(path):
        raise UserError(f"{path}: no such file; expected a directory of a Hugging Face BERT")
    given = read_json(path)
    if not isinstance(given, dict):
        raise UserError(f"{path}: expected a JSON object")
    _check_is_bert(path, given)
    # Its other keys are Hugging Face's own: that those are not used is not worth a line.
    problem = sizes.problem(given) if "vocab_size" in given else "expected a JSON object with a 'vocab_size'"
    if problem:
        raise UserError(f"{path}: {problem}")
    config = BertConfig.from_dict({key: given.get(key, default) for key, default in DEFAULTS.items()})
    epsilon = given.get("layer_norm_eps", LAYER_NORM_EPSILON)
    if epsilon != LAYER_NORM_EPSILON:
        config.layer_norm_eps = epsilon  # kept for the way back
    return config, given


def _check_is_bert(path, given):
    architectures = given.get("architectures") or []
    if not isinstance(architectures, list):
        raise UserError(f"{path}: architectures is {architectures!r}; expected a list")
    if "model_type" in given:
        found, is_bert = f"model_type is '{given['model_type']}'", given["model_type"] == "bert"
    else:  # written before 2020
        found, is_bert = f"architectures is {architectures}", all(str(n).startswith("Bert") for n in architectures)
    if not is_bert:
        raise UserError(f"{path}: {found}; expected a BERT, model_type 'bert'")
    for key, expected in (("position_embedding_type", "absolute"), ("is_decoder", False)):
        value = given.get(key, expected)
        if value != expected:
            raise UserError(f"{path}: {key} is {value!r}; expected {expected!r}, the only encoder there is here")


def read_tokenizer(directory, vocab_size):
    """The Tokenizer of a directory; UserError where it has more than `vocab_size` word pieces, or lacks one."""
    fast = _read_object(directory, TOKENIZER)
    settings = _read_object(directory, TOKENIZER_CONFIG)
    path = os.path.join(directory, VOCAB)
    if filesystem.isfile(path):
        pieces = list(load_vocab(path))
    elif fast:
        path = os.path.join(directory, TOKENIZER)
        pieces = _pieces_of(path, fast)
    else:
        raise UserError(f"{path}: no such file; expected it, or {TOKENIZER}, with the word pieces of a BERT")
    if len(pieces) < vocab_size:
        pieces += _added(directory, fast, len(pieces))
    if len(set(pieces)) < len(pieces):
        raise UserError(f"{path}: an added token is in the vocabulary already; expected each piece once")
    check_pieces(path, pieces, os.path.join(directory, CONFIG), vocab_size)
    normalizer = fast.get("normalizer")
    normalizer = normalizer if isinstance(normalizer, dict) else {}
    # Where the two disagree, Hugging Face follows tokenizer_config.json.
    options = {
        "do_lower_case": normalizer.get("lowercase"),
        "strip_accents": normalizer.get("strip_accents"),
        "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True),
    }
    options.update({key: settings[key] for key in settings if settings[key] is not None})
    return Tokenizer(pieces, options["do_lower_case"], _differences(options))


def _read_object(directory, name):
    """A file's JSON object; {} where there is no such file."""
    path = os.path.join(directory, name)
    value = read_json(path) if filesystem.isfile(path) else {}
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object")
    return value


def _pieces_of(path, fast):
    """The word pieces of a tokenizer.json in the order of their ids."""
    model = fast.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocab, dict) or model.get("type", "WordPiece") != "WordPiece":
        kind = model.get("type") if isinstance(model, dict) else None
        raise UserError(f"{path}: the model's type is {kind!r}; expected 'WordPiece', with a vocab")
    if sorted(vocab.values(), key=str) != sorted(range(len(vocab)), key=str):
        raise UserError(f"{path}: expected a vocab with the ids from 0 on, each once")
    return _checked(path, sorted(vocab, key=vocab.get))


def _added(directory, fast, count):
    """The pieces that were added to the `count` pieces of the vocabulary; UserError where their ids have a gap."""
    path = os.path.join(directory, TOKENIZER)
    try:
        by_id = {token["id"]: token["content"] for token in fast.get("added_tokens") or []}
        if not fast:
            path = os.path.join(directory, "added_tokens.json")
            by_id = {index: piece for piece, index in _read_object(directory, "added_tokens.json").items()}
    except (TypeError, KeyError):
        raise UserError(f"{path}: expected added tokens with an id and a content each")
    pieces = []
    while count + len(pieces) in by_id:
        pieces.append(by_id[count + len(pieces)])
    behind = [index for index in by_id if isinstance(index, int) and index > count + len(pieces)]
    if behind:
        raise UserError(
            f"{path}: an added token has the id {min(behind)}, and none has {count + len(pieces)}; expected no gap"
        )
    return _checked(path, pieces)


def _checked(path, pieces):
    """The pieces; UserError unless each can be a line of vocab.txt."""
    for piece in pieces:
        if not isinstance(piece, str) or not piece or piece != piece.strip(" \t\r") or _NO_TEXT.search(piece):
            raise UserError(f"{path}: {piece!r} cannot be a line of vocab.txt; expected word pieces")
    return pieces


def _differences(options):
    """How this tokenizer differs from bert.tokenization, in words."""
    notes = []
    lower = options["do_lower_case"]
    if options["strip_accents"] not in (None, lower):
        notes.append(f"strip_accents is {options['strip_accents']}; here accents go where text is lower-cased")
    for name in ("tokenize_chinese_chars", "do_basic_tokenize"):
        if options.get(name) is False:
            notes.append(f"{name} is false; here it is always true")
    if options.get("tokenizer_class", "BertTokenizer") not in SAME_TOKENIZERS:
        notes.append(f"tokenizer_class is {options['tokenizer_class']}; here texts are cut as BertTokenizer does")
    return notes


def read_weights(directory):
    """(path, tensors): the file with the weights, or with the index of them, and a dict from name to Tensor."""
    for name, read in WEIGHTS.items():
        path = os.path.join(directory, name)
        if filesystem.isfile(path):
            return path, read(path)
        if filesystem.isfile(path + INDEX):
            return path + INDEX, _read_shards(directory, path + INDEX, read)
    raise UserError(f"{directory}: no weights in it; expected {' or '.join(WEIGHTS)}")


def _read_shards(directory, path, read):
    index = read_json(path)
    files = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(files, dict) or not all(map(is_path, files.values())):
        raise UserError(f"{path}: expected a JSON object with a 'weight_map' from weights to files")
    tensors = {}
    for file in sorted(set(files.values())):
        if os.path.basename(file) != file:
            raise UserError(f"{path}: the file '{file}' is not beside it; expected a file's name only")
        tensors.update(read(os.path.join(directory, file)))
    missing = sorted(set(files) - set(tensors))
    if missing:
        raise UserError(f"{path}: {missing[0]} is not in {files[missing[0]]}; expected it there")
    return tensors


def write(directory, architecture, weights, config, pieces, do_lower_case):
    """Writes a model's files.

    Args:
      directory: an existing directory.
      architecture: the name of Hugging Face's class.
      weights: dict from name to float32 array.
      config: BertConfig.
      pieces: the vocabulary, list of str.
      do_lower_case: whether text is lower-cased.
    """
    values = dict({"layer_norm_eps": LAYER_NORM_EPSILON}, **config.to_dict())
    if values["hidden_act"] == "gelu_tanh":
        values["hidden_act"] = "gelu_new"  # the name that both know
    values.update(architectures=[architecture], model_type="bert", torch_dtype="float32")
    values.update(pad_token_id=pieces.index("[PAD]") if "[PAD]" in pieces else 0)
    if "classifier.bias" in weights:
        labels = [f"LABEL_{i}" for i in range(len(weights["classifier.bias"]))]
        values["id2label"] = {str(i): label for i, label in enumerate(labels)}
        values["label2id"] = {label: i for i, label in enumerate(labels)}
    write_json(os.path.join(directory, CONFIG), values)
    settings = {name: piece for name, piece in SPECIAL_PIECES.items() if piece in pieces}
    settings.update(tokenizer_class="BertTokenizer", do_lower_case=do_lower_case, strip_accents=None)
    settings.update(tokenize_chinese_chars=True, model_max_length=config.max_position_embeddings)
    write_json(os.path.join(directory, TOKENIZER_CONFIG), settings)
    write_vocab(os.path.join(directory, VOCAB), pieces)
    write_safetensors(os.path.join(directory, "model.safetensors"), weights)


def write_vocab(path, pieces):
    """Writes a vocabulary, one piece per line."""
    with atomic_open(path) as writer:
        writer.writelines(piece + "\n" for piece in pieces)
