"""Sentence vectors for other programs: one vector per sentence, from an encoder that is loaded once.

    from bert.sentence2veclib import Sentence2Vec

    with Sentence2Vec("sentence2vec.json") as sentence2vec:
        vectors = sentence2vec.encode(["a sentence", "another ||| with a second text", ("as a", "pair")])

The config is a JSON file or a dict, with some of KEYS. The archive's keys are known too: `feature_pooling_layer` is
`layer`; `bert_model_root` and `use_one_hot_embeddings` change nothing.
"""

import os
import sys

if not __package__:  # imported as `sentence2veclib`, by a script in this folder
    sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bert.system import startup  # noqa: I001, F401  before TensorFlow

import collections
import contextlib

import numpy as np

from bert.runtime import encoding
from bert.runtime.encoder_files import EncoderFiles
from bert.runtime.vector_flags import KEYS, check_config, read_config  # noqa: F401  KEYS: for scripts that import it
from bert.data.pairs import CLS, SEP

# name -> (function from [pieces, hidden] to [size], whether the pieces include [CLS] and [SEP]).
POOLINGS = {
    "mean": (lambda rows: rows.mean(axis=0, dtype=np.float64), False),
    "max": (lambda rows: rows.max(axis=0), False),
    "mean-max": (lambda rows: np.concatenate([rows.mean(axis=0, dtype=np.float64), rows.max(axis=0)]), False),
    "first": (lambda rows: rows[0], True),
    "last": (lambda rows: rows[-1], True),
}


# unique_id: its index; sentence: str; vector: list of float.
SentenceVecTuple = collections.namedtuple("SentenceVecTuple", ["unique_id", "sentence", "vector"])
DECIMALS = 6


class Sentence2Vec(contextlib.AbstractContextManager):
    """Sentence vectors by pooling one layer of an encoder.

    mean and max pool over the pieces of the text (of both texts of a pair), without [CLS], [SEP] and padding; a text
    without pieces gets zeros. mean-max concatenates the two. first is the vector of [CLS], last that of the final
    [SEP].

    Making the object loads the encoder. `encode` may be called from several threads at once.

    Args:
      sen2vec_conf_file: path of a JSON file, or a dict with the same keys. Relative paths in a file are relative to its
        folder. It has the archive's name.
      config: another name for it.

    Attributes:
      size: length of a vector.

    Raises:
      UserError: the config, or a file that it names, is not valid.
    """

    def __init__(self, sen2vec_conf_file=None, config=None):
        if (sen2vec_conf_file is None) == (config is None):
            raise TypeError("Sentence2Vec needs its config once: sen2vec_conf_file or config")
        given = config if sen2vec_conf_file is None else sen2vec_conf_file
        config = check_config(given, "config") if isinstance(given, dict) else read_config(given)
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

    def run(self, sentence_list):
        """As `encode`, with the archive's result: a list of SentenceVecTuple, values rounded to 6 decimals."""
        vectors = np.round(self.encode(sentence_list).astype(np.float64), DECIMALS).tolist()
        return [SentenceVecTuple(i, *pair) for i, pair in enumerate(zip(sentence_list, vectors))]

    def _vector(self, tokens, rows):
        """float32 [size]: the vector of one text; tokens: list of str, rows: float32 [tokens, hidden]."""
        if not self._special_too:
            # Text never gives the piece [CLS] or [SEP]: the tokenizer splits brackets off.
            rows = rows[[token not in (CLS, SEP) for token in tokens]]  # [pieces, hidden]
        return self._pool(rows).astype(np.float32) if len(rows) else np.zeros(self.size, np.float32)
