"""The outputs of chosen encoder layers for the pieces of texts; extract_features and sentence2vec use it.

Lines of text -> pieces -> batches of texts of like length -> the encoder, in one session that stays open -> a numpy
array a text, in the order of the texts.
"""

import collections
import contextlib

import numpy as np
import tensorflow.compat.v1 as tf

from bert import modeling
from bert.data import pairs as data_pairs
from bert.data.lengths import batches_by_length
from bert.runtime import devices
from bert.runtime.encoder_files import check_init_checkpoint, load_encoder
from bert.runtime.frozen_weights import FrozenWeights
from bert.runtime.init_weights import model_variables
from bert.system.errors import UserError
from bert.system.flags import require

PAIR_MARK = " ||| "
# Full batches of pieces in a window, within which texts are sorted by length; one window is held in memory.
WINDOW_BATCHES = 2

# tokens: list of str, [CLS] and [SEP] among them; values: float32 [tokens, layers, hidden].
EncodedText = collections.namedtuple("EncodedText", ["tokens", "values"])


def split_pair(line):
    """A line as (text, None), or as (text, second text) where it has the form `text ||| second text`.

    If there are several marks, the last one separates the texts.
    """
    first, mark, second = line.strip().rpartition(PAIR_MARK)
    return (first, second) if mark else (second, None)


class Encoder(contextlib.AbstractContextManager):
    """The encoder of a checkpoint, in its own graph and session, open until `close`.

    `encode` may be called from several threads at once.

    Args:
      files: EncoderFiles.
      layers: list of int, counted as Python counts: 0 the first layer, -1 the last.
      batch_size: texts in a batch.
      use_one_hot_embeddings: look words up by a matmul, as TPUs prefer.
      precision: one of flags.PRECISIONS; `encode` gives float32 in any case.
      xla: whether elementwise work is fused by XLA.

    Attributes:
      hidden_size: width of a layer.
      tokenizer: FullTokenizer.

    Raises:
      UserError: a file is missing or damaged, they do not fit each other, the checkpoint lacks some of the encoder,
        there is no such layer, or the machine cannot compute so.
    """

    def __init__(self, files, layers, batch_size, use_one_hot_embeddings=False, precision="fp32", xla=False):
        require(files, "bert_config_file", "vocab_file", "init_checkpoint")
        config, self.tokenizer = load_encoder(files)
        _check_layers(layers, config, files.bert_config_file)
        compute = devices.choose_compute(precision, config.hidden_size, 0, xla=xla)
        # Random weights give no features, so the whole encoder has to be there, but for what no layer depends on.
        variables = model_variables(config, head_name="", uses_pooler=False)
        start = check_init_checkpoint(files.init_checkpoint, variables, files.do_lower_case, partial=None)
        names = {name: tensor.name for name, tensor in start.tensors.items()}

        self.hidden_size = config.hidden_size
        self._segments = config.type_vocab_size
        self._config_file = files.bert_config_file
        self._max_seq_length = files.max_seq_length
        self._batch_size = batch_size
        self._round_lengths = compute.is_compiled
        with tf.Graph().as_default():
            self._inputs = {
                name: tf.placeholder(tf.int32, [None, None], name)
                for name in ("input_ids", "input_mask", "token_type_ids")
            }
            weights = FrozenWeights(compute.dtype)
            with weights.scope():
                model = modeling.BertModel(
                    config,
                    is_training=False,
                    use_one_hot_embeddings=use_one_hot_embeddings,
                    compute=compute,
                    **self._inputs,
                )
            outputs = model.get_all_encoder_layers()
            self._values = tf.stack([outputs[i] for i in layers], axis=2)  # [batch, seq_len, layers, hidden]
            self._session = weights.open_session(start.prefix, variables.unused, names)

    def close(self):
        """Frees the session's memory; `encode` cannot be called afterwards."""
        self._session.close()

    def __exit__(self, *exception):
        self.close()

    def encode(self, pairs):
        """Encodes texts one window after another; memory does not grow with their number.

        Args:
          pairs: iterable of (text, second text or None).

        Yields:
          EncodedText for each, in their order.
        """
        window, pieces = [], 0
        for text, second in pairs:
            if second is not None and self._segments < 2:
                raise UserError(f"{self._config_file}: type_vocab_size is 1; a pair of texts needs an encoder with 2")
            window.append(data_pairs.encode(self.tokenizer, text, second, self._max_seq_length))
            pieces += len(window[-1].tokens)
            if pieces >= WINDOW_BATCHES * self._batch_size * self._max_seq_length:
                yield from self._encode_window(window)
                window, pieces = [], 0
        yield from self._encode_window(window)

    def _encode_window(self, window):
        """A list of EncodedText for a list of PairFeatures; texts of like length share a batch."""
        encoded = [None] * len(window)
        for batch in batches_by_length([len(features.tokens) for features in window], self._batch_size):
            for i, values in zip(batch, self._run([window[i] for i in batch])):
                tokens = window[i].tokens
                encoded[i] = EncodedText(tokens, values[: len(tokens)].copy())  # a view would keep the whole batch
        return encoded

    def _run(self, batch):
        """float32 [batch, longest of the batch or more, layers, hidden] for a list of PairFeatures."""
        longest = max(len(features.tokens) for features in batch)
        if self._round_lengths:  # half as many lengths to compile kernels for
            longest = min(longest + longest % 2, self._max_seq_length)
        arrays = {name: np.zeros([len(batch), longest], np.int32) for name in self._inputs}
        for row, features in enumerate(batch):
            length = len(features.tokens)
            arrays["input_ids"][row, :length] = features.input_ids
            arrays["input_mask"][row, :length] = 1
            arrays["token_type_ids"][row, :length] = features.segment_ids
        return self._session.run(self._values, {self._inputs[name]: arrays[name] for name in arrays})


def _check_layers(layers, config, config_file):
    count = config.num_hidden_layers
    for layer in layers:
        if not -count <= layer < count:
            raise UserError(
                f"layer {layer}: expected {-count} to {count - 1}; the encoder of {config_file} has {count} layers"
            )
