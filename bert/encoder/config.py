"""The sizes of an encoder, as `bert_config.json` holds them: read and checked."""

import copy
import json
import logging

from bert.encoder import sizes
from bert.system import filesystem
from bert.system.errors import UserError, shown_list
from bert.system.files import parse_json

log = logging.getLogger(__name__)


class BertConfig:
    """Sizes and rates of an encoder; the content of `bert_config.json`.

    Args:
      vocab_size: entries in the vocabulary.
      hidden_size: width of the encoder; a multiple of num_attention_heads.
      num_hidden_layers: Transformer layers.
      num_attention_heads: attention heads in each layer.
      intermediate_size: width of the feed-forward layer.
      hidden_act: activation of the feed-forward layer: a name that layers.get_activation takes, or a function.
      hidden_dropout_prob: fraction dropped from embeddings and from each sublayer's output.
      attention_probs_dropout_prob: fraction dropped from the attention weights.
      max_position_embeddings: longest sequence, in tokens.
      type_vocab_size: number of segment ids.
      initializer_range: standard deviation of the truncated-normal initialisation.
    """

    def __init__(
        self,
        vocab_size,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        hidden_act="gelu",
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        max_position_embeddings=512,
        type_vocab_size=16,
        initializer_range=0.02,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.initializer_range = initializer_range

    @classmethod
    def from_dict(cls, json_object):
        """A config from a dict; keys other than sizes.KEYS are passed over, and the log says which."""
        return cls._of_values(json_object, "a BERT config")

    @classmethod
    def _of_values(cls, values, name):
        others = sizes.unknown(values)
        if others:
            log.info("%s: not used: %s", name, shown_list(others))
        config = cls(vocab_size=None)
        for key, value in sizes.known(values).items():
            setattr(config, key, value)
        return config

    @classmethod
    def from_json_file(cls, json_file):
        """A config from a JSON file.

        Raises:
          UserError: the file is not a config, or no encoder can have these sizes.
        """
        try:
            with filesystem.open_file(json_file, "rb") as reader:
                values = parse_json(reader.read())
        except OSError as error:
            raise UserError(f"{json_file}: cannot be read: {error.strerror}")
        except ValueError as error:  # undecodable bytes, malformed JSON
            raise UserError(f"{json_file}: expected a BERT config in JSON: {error}")
        if not isinstance(values, dict) or "vocab_size" not in values:
            raise UserError(f"{json_file}: expected a JSON object with a 'vocab_size'")
        problem = sizes.problem(values)
        if problem:
            raise UserError(f"{json_file}: {problem}")
        return cls._of_values(values, json_file)

    def to_dict(self):
        """The config as a dict, a deep copy."""
        return copy.deepcopy(self.__dict__)

    def to_json_string(self):
        """The config as indented JSON with sorted keys and a final newline."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"
