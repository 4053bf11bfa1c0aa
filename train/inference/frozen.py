"""A trained tagger: the graph that is exported, and the one that tags files.

One session, which holds each weight once, tags all batches. In: windows.Encoded, windows of pieces. Out: label ids,
probabilities and losses, in the order of the windows.
"""

import collections
import concurrent.futures
import contextlib

import tensorflow.compat.v1 as tf

from bert.data.lengths import batches_by_length
from bert.encoder import kernels
from bert.runtime import devices
from bert.runtime.frozen_weights import FrozenWeights
from train.data.labels import PIECE
from train.data.windows import Prediction, pad_windows
from train.models import build_tagger, predict_tags
from train.tagger.calibration import LabelCalibration

# What a CPU computes at a time. most_pieces: of a batch, padding included; more are no faster, and take more memory.
# streams: batches at the same time; where one leaves cores idle, between its matmuls, another uses them. Plain
# TensorFlow keeps more results of this size than compiled kernels do, and splits all of its work over the cores.
Load = collections.namedtuple("Load", ["most_pieces", "streams"])
PLAIN, COMPILED = Load(768, 1), Load(2048, 2)

# inputs: placeholders by name, int32 [batch, seq_len]; pred_ids, scores, entity_scores: [batch, seq_len], see
# decoding.Decoded; losses: [batch] or None; calibration: LabelCalibration of placeholders if it scores tags
# with several, or None.
FrozenGraph = collections.namedtuple(
    "FrozenGraph", ["inputs", "pred_ids", "scores", "losses", "entity_scores", "calibration"], defaults=[None]
)


def placeholders(with_losses):
    """The inputs of `build_outputs`, to be fed: dict from name to int32 [batch, seq_len]."""
    names = ["input_ids", "input_mask", "segment_ids", "word_start"] + (["label_ids"] if with_losses else [])
    return {name: tf.placeholder(tf.int32, [None, None], name) for name in names}


def calibration_placeholders(settings):
    """The `calibration` of `build_outputs`, to be fed: a LabelCalibration; default: the settings' one."""
    one = settings.label_calibration
    return LabelCalibration(
        tf.placeholder_with_default([one.temperature], [None], "temperatures"),
        tf.placeholder_with_default([one.slope], [None], "entity_slopes"),
        tf.placeholder_with_default([one.offsets], [None, settings.num_labels], "entity_offsets"),
    )


def _longest(settings, compute):
    """The most pieces a window may have, where kernels are compiled for each length; else None."""
    return settings.bert_config["max_position_embeddings"] if compute.is_compiled else None


def build_outputs(features, settings, compute=kernels.REFERENCE, calibration=None):
    """Builds the tagger on given inputs, in the variable scope of its weights.

    Args:
      features: dict of tensors int32 [batch, seq_len], `input_ids`, `input_mask`, `segment_ids`, `word_start` (1 at
        the first piece of each word), and for losses `label_ids`.
      settings: settings.TaggerSettings.
      compute: kernels.Compute.
      calibration: LabelCalibration of several, which give scores and entity_scores a leading axis; default: the
        settings' one.

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
        settings.label_calibration if calibration is None else calibration,
    )
    return FrozenGraph(features, decoded.tags, decoded.scores, tagger.losses, decoded.entity_scores, calibration)


def _parts(batch, seq_len, most_pieces):
    """A batch, a list, cut into parts of about one size that a CPU computes one after the other; a GPU takes it whole.

    A part has about `most_pieces` pieces at most, padding included.
    """
    if devices.gpus():
        return [batch]
    size = -(-len(batch) // -(-len(batch) * seq_len // most_pieces))
    return [batch[start : start + size] for start in range(0, len(batch), size)]


def _in_streams(function, calls, streams):
    """Yields function(*call) for each of the calls in order; a CPU computes so many of them at the same time.

    Beside these only one is waiting before a result is taken, so an interruption does not wait for all.
    """
    if devices.gpus() or min(streams, len(calls)) <= 1:
        yield from (function(*call) for call in calls)
        return
    with concurrent.futures.ThreadPoolExecutor(streams) as pool:
        begun = collections.deque()
        for call in calls:
            begun.append(pool.submit(function, *call))
            if len(begun) > streams:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


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

    def tag(self, windows, batch_size, calibrations=None):
        """Tags windows, batches of about the same length together.

        Args:
          windows: list of windows.Encoded; with label_ids for a graph that gives losses.
          batch_size: windows in a batch.
          calibrations: list of LabelCalibration, for a graph that takes them: the scores of a Prediction have a leading
            axis then. A Prediction has no scores where the list is empty, which takes less time.

        Returns:
          list of windows.Prediction, in the order of the windows.
        """
        load = COMPILED if self._longest else PLAIN
        parts = []
        for chosen in batches_by_length([len(window.input_ids) for window in windows], batch_size):
            seq_len = self._padded(max(len(windows[i].input_ids) for i in chosen))
            parts += [(part, seq_len) for part in _parts(chosen, seq_len, load.most_pieces)]
        calls = [([windows[i] for i in part], seq_len, calibrations) for part, seq_len in parts]
        predictions = [None] * len(windows)
        for (part, _), found in zip(parts, _in_streams(self._tag_batch, calls, load.streams)):
            for i, prediction in zip(part, found):
                predictions[i] = prediction
        return predictions

    def _padded(self, length):
        """The length to which a batch is padded.

        Where kernels are compiled for each length, there are few lengths: from 16 pieces on at most 4 between one power
        of 2 and the next. Otherwise a file with all lengths takes longer to compile than to tag. Padding costs little
        there, as most of the encoder computes none of it.
        """
        if not self._longest:
            return length
        step = max(2, 2 ** ((length - 1).bit_length() - 3))
        return min(-(-length // step) * step, self._longest)

    def _tag_batch(self, windows, seq_len, calibrations):
        lengths = [len(window.input_ids) for window in windows]
        values = pad_windows(windows, self._graph.inputs, seq_len)
        fed = {self._graph.inputs[name]: value for name, value in values.items()}
        fetched = {"label_ids": self._graph.pred_ids, "loss": self._graph.losses}
        if calibrations:
            fed.update(zip(self._graph.calibration, zip(*calibrations)))
        if calibrations != []:
            fetched.update(scores=self._graph.scores, entity_scores=self._graph.entity_scores)
        found = self._session.run({name: value for name, value in fetched.items() if value is not None}, fed)
        losses = found.pop("loss", [None] * len(windows))
        if calibrations is None and self._graph.calibration is not None:  # the settings' one alone
            found.update({name: found[name][0] for name in ("scores", "entity_scores") if name in found})
        predictions = []
        for row, length in enumerate(lengths):
            by_piece = {name: array[..., row, :length] for name, array in found.items()}
            predictions.append(Prediction(**dict({"scores": None}, **by_piece), loss=losses[row]))
        return predictions


class TaggerTemplate:
    """The graph of a tagger, built once for many checkpoints: to build it takes longer than to tag a small file.

    Each checkpoint has a session of its own in this graph, which holds its weights. Its taggers can be given other
    calibrations than that of the settings.

    Args:
      settings: settings.TaggerSettings.
      compute: kernels.Compute.
      with_losses: take label_ids too and give losses.
    """

    def __init__(self, settings, compute=kernels.REFERENCE, with_losses=False):
        self._graph = tf.Graph()
        self._weights = FrozenWeights(compute.dtype)
        self._longest = _longest(settings, compute)
        with self._graph.as_default(), self._weights.scope():
            calibration = calibration_placeholders(settings)
            self._built = build_outputs(placeholders(with_losses), settings, compute, calibration)

    def tagger(self, prefix):
        """The Tagger of a checkpoint.

        Args:
          prefix: checkpoint prefix.
        """
        with self._graph.as_default():
            return Tagger(self._weights.open_session(prefix), self._built, self._longest)


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
      prefix: checkpoint prefix.
      settings, compute, with_losses: as TaggerTemplate.
    """

    def __init__(self, prefix, settings, compute=kernels.REFERENCE, with_losses=False):
        weights = FrozenWeights(compute.dtype)
        with tf.Graph().as_default():
            with weights.scope():
                built = build_outputs(placeholders(with_losses), settings, compute)
            session = weights.open_session(prefix)
        super().__init__(session, built, _longest(settings, compute))
