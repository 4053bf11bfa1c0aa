"""A trained tagger with its weights as constants: the graph that is exported, and the one that tags files.

TensorFlow arranges constant weights once, and one session tags all batches. In: windows.Encoded, windows of pieces.
Out: label ids, probabilities and losses, in the order of the windows.
"""

import collections
import contextlib

import tensorflow.compat.v1 as tf

from bert.data.lengths import batches_by_length
from bert.encoder import kernels
from bert.runtime import devices
from bert.runtime.saved_model import frozen_weights
from train.data.labels import PIECE
from train.data.windows import Prediction, pad_windows
from train.models import build_tagger, predict_tags

# inputs: placeholders by name, int32 [batch, seq_len]; pred_ids, scores, entity_scores: [batch, seq_len], see
# decoding.Decoded; losses: [batch] or None; temperatures: placeholder [count] if it scores tags at several, or None.
FrozenGraph = collections.namedtuple(
    "FrozenGraph", ["inputs", "pred_ids", "scores", "losses", "entity_scores", "temperatures"]
)
FrozenGraph.__new__.__defaults__ = (None,)


def build_graph(prefix, settings, compute=kernels.REFERENCE, with_losses=False):
    """Builds the tagger of a checkpoint in the default graph.

    Args:
      prefix: checkpoint prefix.
      settings: settings.TaggerSettings.
      compute: kernels.Compute.
      with_losses: take label_ids too and give losses.

    Returns:
      FrozenGraph.
    """
    features = placeholders(with_losses)
    with frozen_weights(prefix):
        return build_outputs(features, settings, compute)


def placeholders(with_losses):
    """The inputs of `build_outputs`, to be fed: dict from name to int32 [batch, seq_len]."""
    names = ["input_ids", "input_mask", "segment_ids", "word_start"] + (["label_ids"] if with_losses else [])
    return {name: tf.placeholder(tf.int32, [None, None], name) for name in names}


def _longest(settings, compute):
    """The most pieces a window may have, where kernels are compiled for each length; else None."""
    return settings.bert_config["max_position_embeddings"] if compute.is_compiled else None


def build_outputs(features, settings, compute=kernels.REFERENCE, temperatures=None):
    """Builds the tagger on given inputs, in the variable scope of its weights.

    Args:
      features: dict of tensors int32 [batch, seq_len], `input_ids`, `input_mask`, `segment_ids`, `word_start` (1 at
        the first piece of each word), and for losses `label_ids`.
      settings, compute: as `build_graph`.
      temperatures: float [count], which give scores and entity_scores a leading axis; default: the settings' one.

    Returns:
      FrozenGraph.
    """
    label_ids = features.get("label_ids")
    with tf.variable_scope(tf.get_variable_scope()):  # so that it can be built again under the same names
        tagger = build_tagger(settings, features, False, label_ids, compute=compute)
    fused = compute.is_compiled
    decoded = predict_tags(
        tagger,
        features["input_mask"],
        features["word_start"],
        settings.constraint,
        settings.label_ids[PIECE],
        fused,
        settings.entity_rules,
        settings.temperature if temperatures is None else temperatures,
    )
    return FrozenGraph(features, decoded.tags, decoded.scores, tagger.losses, decoded.entity_scores, temperatures)


class Tagger(contextlib.AbstractContextManager):
    """A tagger in a session of its own; may be used from several threads. Use in a `with` statement.

    Args:
      session: tf.Session.
      graph: FrozenGraph in it, with the input word_start.
      longest: the most pieces a window may have, where the graph compiles kernels for each length; else None.
    """

    def __init__(self, session, graph, longest=None):
        self._session = session
        self._graph = graph
        self._longest = longest

    def close(self):
        """Frees the session's memory; `tag` cannot be called afterwards."""
        self._session.close()

    def __exit__(self, *exception):
        self.close()

    def tag(self, windows, batch_size, temperatures=None):
        """Tags windows, batches of about the same length together.

        Args:
          windows: list of windows.Encoded; with label_ids for a graph that gives losses.
          batch_size: windows in a batch.
          temperatures: list of temperatures, for a graph that takes them: the scores of a Prediction have a leading
            axis then. A Prediction has no scores where the list is empty, which takes less time.

        Returns:
          list of windows.Prediction, in the order of the windows.
        """
        predictions = [None] * len(windows)
        for chosen in batches_by_length([len(window.input_ids) for window in windows], batch_size):
            for i, prediction in zip(chosen, self._tag_batch([windows[i] for i in chosen], temperatures)):
                predictions[i] = prediction
        return predictions

    def _tag_batch(self, windows, temperatures):
        lengths = [len(window.input_ids) for window in windows]
        seq_len = max(lengths)
        if self._longest:  # even lengths only: half as many kernels to compile
            seq_len = min(seq_len + seq_len % 2, self._longest)
        values = pad_windows(windows, self._graph.inputs, seq_len)
        fed = {self._graph.inputs[name]: value for name, value in values.items()}
        fetched = {"label_ids": self._graph.pred_ids, "loss": self._graph.losses}
        if temperatures:
            fed[self._graph.temperatures] = temperatures
        if temperatures != []:
            fetched.update(scores=self._graph.scores, entity_scores=self._graph.entity_scores)
        found = self._session.run({name: value for name, value in fetched.items() if value is not None}, fed)
        losses = found.pop("loss", [None] * len(windows))
        if temperatures is None and self._graph.temperatures is not None:  # the settings' one alone
            found.update({name: found[name][0] for name in ("scores", "entity_scores") if name in found})
        predictions = []
        for row, length in enumerate(lengths):
            by_piece = {name: array[..., row, :length] for name, array in found.items()}
            predictions.append(Prediction(**dict({"scores": None}, **by_piece), loss=losses[row]))
        return predictions


class TaggerTemplate:
    """The graph of a tagger, built once for many checkpoints: to build it takes longer than to tag a small file.

    Its weights are placeholders. For a checkpoint the graph is copied, with constants in their place. Its taggers can
    be given other temperatures than that of the settings.

    Args:
      settings, compute, with_losses: as `build_graph`.
    """

    def __init__(self, settings, compute=kernels.REFERENCE, with_losses=False):
        weights = {}  # name of a variable -> its placeholder

        def placeholder(getter, name, shape=None, dtype=None, **kwargs):
            if name not in weights:
                weights[name] = tf.placeholder(dtype or tf.float32, shape)
            return weights[name]

        with tf.Graph().as_default() as graph, tf.variable_scope("", custom_getter=placeholder):
            temperatures = tf.placeholder_with_default([settings.temperature], [None], "temperatures")
            built = build_outputs(placeholders(with_losses), settings, compute, temperatures)
        self._graph_def = graph.as_graph_def()
        # Names and shapes instead of tensors, which would keep the graph itself.
        self._weights = [(name, weight.name, weight.shape, weight.dtype) for name, weight in weights.items()]
        self._inputs = {name: tensor.name for name, tensor in built.inputs.items()}
        self._others = {name: built[i].name for i, name in enumerate(built._fields) if i and built[i] is not None}
        self._longest = _longest(settings, compute)

    def tagger(self, prefix):
        """The Tagger of a checkpoint.

        Args:
          prefix: checkpoint prefix.
        """
        with tf.Graph().as_default() as graph:
            with frozen_weights(prefix):
                constants = {there: tf.get_variable(name, shape, dtype) for name, there, shape, dtype in self._weights}
            names = [*self._inputs.values(), *self._others.values()]
            found = tf.import_graph_def(self._graph_def, constants, names, name="tagger")
        inputs = dict(zip(self._inputs, found))
        frozen = FrozenGraph(inputs, **dict({"losses": None}, **dict(zip(self._others, found[len(inputs) :]))))
        return Tagger(tf.Session(graph=graph, config=devices.session_config()), frozen, self._longest)


class Taggers:
    """The taggers of the checkpoints of a run, with losses. For each way to compute, the graph is built once.

    Args:
      settings: settings.TaggerSettings.
    """

    def __init__(self, settings):
        self._settings = settings
        self._graphs = {}

    @contextlib.contextmanager
    def of_checkpoint(self, prefix):
        """Within it, a function from a kernels.Compute to the open Tagger of a checkpoint, one for each Compute."""
        opened = {}
        with contextlib.ExitStack() as stack:

            def tagger_of(compute):
                if compute not in self._graphs:
                    self._graphs[compute] = TaggerTemplate(self._settings, compute, with_losses=True)
                if compute not in opened:
                    opened[compute] = stack.enter_context(self._graphs[compute].tagger(prefix))
                return opened[compute]

            yield tagger_of


class FrozenTagger(Tagger):
    """A checkpoint's tagger.

    Args:
      prefix, settings, compute, with_losses: as `build_graph`.
    """

    def __init__(self, prefix, settings, compute=kernels.REFERENCE, with_losses=False):
        graph = tf.Graph()
        with graph.as_default():
            frozen = build_graph(prefix, settings, compute, with_losses)
        session = tf.Session(graph=graph, config=devices.session_config())
        super().__init__(session, frozen, _longest(settings, compute))
