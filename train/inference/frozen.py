"""A trained tagger with its weights as constants: the graph that is exported, and the one that tags files.

Constants let TensorFlow arrange weights once, and a session of its own tags batch after batch with no graph built
anew. In: windows.Encoded, windows of pieces. Out: label ids, scores and losses, in the order of the windows.
"""

import collections
import contextlib

import numpy as np
import tensorflow.compat.v1 as tf

from bert.data.lengths import batches_by_length
from bert.encoder import kernels
from bert.runtime import devices
from bert.runtime.saved_model import frozen_weights
from train.data.labels import PIECE, SPECIAL, constraint
from train.models import build_tagger_by_flags, predict_tags

# inputs: placeholders by name, int32 [batch, seq_len]; pred_ids, scores [batch, seq_len]; losses [batch] or None.
FrozenGraph = collections.namedtuple("FrozenGraph", ["inputs", "pred_ids", "scores", "losses"])
# A tagger's predictions for one window: label_ids int32 [pieces], scores float32 [pieces], loss float or None.
Prediction = collections.namedtuple("Prediction", ["label_ids", "scores", "loss"])


def build_graph(prefix, inputs, args, compute=kernels.REFERENCE, word_start=None, with_losses=False):
    """Builds the tagger of a checkpoint in the default graph.

    Args:
      prefix: checkpoint prefix.
      inputs: inputs.Inputs.
      args: Namespace of train_helper.get_args_parser.
      compute: kernels.Compute.
      word_start: function from the placeholders to int32 [batch, seq_len], 1 at the first piece of each word;
        default: a placeholder of its own.
      with_losses: take label_ids too and give losses.

    Returns:
      FrozenGraph.
    """
    names = ["input_ids", "input_mask", "segment_ids"]
    names += ["label_ids"] if with_losses else []
    names += [] if word_start else ["word_start"]
    fed = {name: tf.placeholder(tf.int32, [None, None], name) for name in names}
    starts = word_start(fed) if word_start else fed["word_start"]
    with frozen_weights(prefix):
        return build_outputs(fed, starts, inputs, args, compute)


def build_outputs(fed, word_start, inputs, args, compute=kernels.REFERENCE):
    """Builds the tagger on given inputs, in the variable scope of its weights.

    Args:
      fed: dict of tensors int32 [batch, seq_len], `input_ids`, `input_mask`, `segment_ids`, for losses `label_ids`.
      word_start: int32 [batch, seq_len], 1 at the first piece of each word.
      inputs, args, compute: as `build_graph`.

    Returns:
      FrozenGraph.
    """
    with tf.variable_scope(tf.get_variable_scope()):  # entered so, it can be built again under the same names
        tagger = build_tagger_by_flags(
            inputs.bert_config, False, fed, fed.get("label_ids"), len(inputs.labels) + 1, word_start, args, compute
        )
    fused = compute.is_compiled
    rules = constraint(inputs.labels, inputs.scheme) if args.constrain else None
    pred_ids, scores = predict_tags(tagger, fed["input_mask"], word_start, rules, inputs.label_ids[PIECE], fused)
    return FrozenGraph(fed, pred_ids, scores, tagger.losses)


class Tagger(contextlib.AbstractContextManager):
    """A tagger in a session of its own; may be used from several threads. Use in a `with` statement.

    Args:
      session: tf.Session.
      graph: FrozenGraph in it, with the input word_start.
      label_ids: dict from label to id.
      longest: the most pieces a window may have, for a graph that compiles kernels for each length; None for others.
    """

    def __init__(self, session, graph, label_ids, longest=None):
        self._session = session
        self._graph = graph
        self._not_a_word = frozenset([0] + [label_ids[label] for label in SPECIAL])
        self._longest = longest

    def close(self):
        """Frees the session's memory; `tag` cannot be called afterwards."""
        self._session.close()

    def __exit__(self, *exception):
        self.close()

    def tag(self, windows, batch_size):
        """Tags windows, batches of about the same length together.

        Args:
          windows: list of windows.Encoded.
          batch_size: windows in a batch.

        Returns:
          list of Prediction, in the order of the windows.
        """
        predictions = [None] * len(windows)
        for chosen in batches_by_length([len(window.input_ids) for window in windows], batch_size):
            for i, prediction in zip(chosen, self._tag_batch([windows[i] for i in chosen])):
                predictions[i] = prediction
        return predictions

    def _tag_batch(self, windows):
        lengths = [len(window.input_ids) for window in windows]
        seq_len = max(lengths)
        if self._longest:  # half as many lengths to compile kernels for
            seq_len = min(seq_len + seq_len % 2, self._longest)
        values = {name: np.zeros([len(windows), seq_len], np.int32) for name in self._graph.inputs}
        for row, window in enumerate(windows):
            values["input_ids"][row, : lengths[row]] = window.input_ids
            values["input_mask"][row, : lengths[row]] = 1
            values["word_start"][row, : lengths[row]] = [i not in self._not_a_word for i in window.label_ids]
            if "label_ids" in values:
                values["label_ids"][row, : lengths[row]] = window.label_ids
        fetched = {"label_ids": self._graph.pred_ids, "scores": self._graph.scores}
        if self._graph.losses is not None:
            fetched["losses"] = self._graph.losses
        found = self._session.run(fetched, {self._graph.inputs[name]: value for name, value in values.items()})
        losses = found.get("losses", [None] * len(windows))
        return [
            Prediction(found["label_ids"][row, :length], found["scores"][row, :length], losses[row])
            for row, length in enumerate(lengths)
        ]


class FrozenTagger(Tagger):
    """A checkpoint's tagger.

    Args:
      prefix, inputs, args, compute, with_losses: as `build_graph`.
    """

    def __init__(self, prefix, inputs, args, compute=kernels.REFERENCE, with_losses=False):
        graph = tf.Graph()
        with graph.as_default():
            frozen = build_graph(prefix, inputs, args, compute, with_losses=with_losses)
        session = tf.Session(graph=graph, config=devices.session_config())
        compiles = compute.is_compiled
        longest = inputs.bert_config.max_position_embeddings if compiles else None
        super().__init__(session, frozen, inputs.label_ids, longest)
