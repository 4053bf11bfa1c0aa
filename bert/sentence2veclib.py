"""Sentence vectors for other programs: one vector per sentence, from an encoder that is loaded once.

    from bert.sentence2veclib import Sentence2Vec

    with Sentence2Vec("sentence2vec.json") as sentence2vec:
        vectors = sentence2vec.encode(["a sentence", "another ||| with a second text", ("as a", "pair")])

The config is a JSON file or a dict, with some of KEYS.
"""

from bert.system import startup  # noqa: I001, F401  before TensorFlow

import contextlib
import os

import numpy as np

from bert.runtime import encoding
from bert.runtime.encoder_files import EncoderFiles
from bert.runtime.flags import PRECISIONS
from bert.system.errors import UserError
from bert.system.files import read_json
from bert.data.pairs import CLS, SEP

# name -> (function from [pieces, hidden] to [size], whether the pieces include [CLS] and [SEP]).
POOLINGS = {
    "mean": (lambda rows: rows.mean(axis=0, dtype=np.float64), False),
    "max": (lambda rows: rows.max(axis=0), False),
    "mean-max": (lambda rows: np.concatenate([rows.mean(axis=0, dtype=np.float64), rows.max(axis=0)]), False),
    "first": (lambda rows: rows[0], True),
    "last": (lambda rows: rows[-1], True),
}


def _is_path(value):
    return value is None or isinstance(value, str)


def _is_count(value):
    return type(value) is int and value >= 1  # True is an int too


# key of the config -> (default, function that accepts a value, what it accepts in words)
KEYS = {
    "bert_config_file": (None, _is_path, "a path"),
    "vocab_file": (None, _is_path, "a path"),
    "init_checkpoint": (None, _is_path, "a path"),
    "do_lower_case": (True, lambda value: isinstance(value, bool), "true or false"),
    "max_seq_length": (128, _is_count, "a whole number of at least 1"),
    "batch_size": (32, _is_count, "a whole number of at least 1"),
    "pooling": ("mean", lambda value: value in list(POOLINGS), "one of " + ", ".join(POOLINGS)),
    "layer": (-1, lambda value: type(value) is int, "a whole number: 0 the first layer, -1 the last"),
    "precision": ("fp32", lambda value: value in PRECISIONS, "one of " + ", ".join(PRECISIONS)),
    "xla": (False, lambda value: isinstance(value, bool), "true or false"),
}
PATHS = ("bert_config_file", "vocab_file", "init_checkpoint")


class Sentence2Vec(contextlib.AbstractContextManager):
    """Sentence vectors by pooling one layer of an encoder.

    mean and max pool over the pieces of the text (of both texts of a pair), without [CLS], [SEP] and padding; a text
    without pieces gets zeros. mean-max concatenates the two. first is the vector of [CLS], last that of the final
    [SEP].

    Making the object loads the encoder. `encode` may be called from several threads at once.

    Args:
      config: path of a JSON file, or a dict with the same keys. Relative paths in a file are relative to its folder.

    Attributes:
      size: length of a vector.

    Raises:
      UserError: the config, or a file that it names, is not valid.
    """

    def __init__(self, config):
        config = check_config(config, "config") if isinstance(config, dict) else read_config(config)
        self._encoder = encoding.Encoder(
            EncoderFiles.from_dict(config),
            [config["layer"]],
            config["batch_size"],
            precision=config["precision"],
            xla=config["xla"],
        )
        self._pool, self._special_too = POOLINGS[config["pooling"]]
        self.size = self._encoder.hidden_size * (2 if config["pooling"] == "mean-max" else 1)

    def close(self):
        """Frees the encoder's memory; nothing can be encoded afterwards."""
        self._encoder.close()

    def __exit__(self, *exception):
        self.close()

    def encode(self, texts):
        """The vectors of texts.

        Args:
          texts: list. Each is a str, a text or `text ||| second text`, or a tuple (text, second text or None), in which
            ` ||| ` has no meaning.

        Returns:
          float32 [texts, size].
        """
        if isinstance(texts, str):
            raise TypeError("expected a list of texts, got one str")
        vectors = list(self.encode_each(texts))
        return np.stack(vectors) if vectors else np.zeros([0, self.size], np.float32)

    def encode_each(self, texts):
        """As `encode`, for any iterable: yields float32 [size] for each text and holds only a few texts in memory."""
        pairs = (encoding.split_pair(text) if isinstance(text, str) else text for text in texts)
        for tokens, values in self._encoder.encode(pairs):
            yield self._vector(tokens, values[:, 0])

    def _vector(self, tokens, rows):
        """float32 [size]: the vector of one text; tokens: list of str, rows: float32 [tokens, hidden]."""
        if not self._special_too:
            # Text never gives the piece [CLS] or [SEP]: the tokenizer splits brackets off.
            rows = rows[[token not in (CLS, SEP) for token in tokens]]  # [pieces, hidden]
        return self._pool(rows).astype(np.float32) if len(rows) else np.zeros(self.size, np.float32)


def read_config(path):
    """The config of a JSON file as a dict: checked, with defaults filled in, relative paths joined to its folder."""
    config = check_config(read_json(path), path)
    folder = os.path.dirname(os.path.abspath(path))
    for name in PATHS:
        if config[name] is not None:
            config[name] = os.path.join(folder, config[name])
    return config


def check_config(values, name):
    """Checks a config and fills in defaults.

    Args:
      values: dict with some of KEYS.
      name: what to call the config in an error.

    Returns:
      A new dict with all of KEYS.

    Raises:
      UserError: names the key that is unknown, or whose value is not valid, and what is expected.
    """
    if not isinstance(values, dict):
        raise UserError(f"{name}: expected a JSON object with the keys {', '.join(KEYS)}")
    for key, value in values.items():
        if key not in KEYS:
            raise UserError(f"{name}: unknown key {key!r}; expected {', '.join(KEYS)}")
        _, accepts, expected = KEYS[key]
        if not accepts(value):
            raise UserError(f"{name}: {key} is {value!r}; expected {expected}")
    return dict({key: default for key, (default, _, _) in KEYS.items()}, **values)
