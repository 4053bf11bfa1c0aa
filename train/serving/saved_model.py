"""The tagger's SavedModel for serving, see bert/runtime/saved_model.py."""

import numpy as np
import tensorflow.compat.v1 as tf

from bert.encoder import kernels
from bert.runtime import devices
from bert.runtime.frozen_weights import FrozenWeights
from bert.runtime.saved_model import load_signature, write_saved_model
from bert.system.errors import UserError, first_line
from bert.tokenization import load_vocab
from train.data.labels import CLS, PADDING, SEP
from train.inference.frozen import FrozenGraph, Tagger, build_outputs
from train.serving import text_graph, warmup
from train.serving.signatures import DEFAULT, TEXT, WITHOUT_WORD_START, settings_assets
from train.tagger.decoding import Decoded

DERIVE = -1  # in `word_start`: take each piece without ## as the first of a word


def export_saved_model(export_dir, prefix, settings, vocab_file, compute=kernels.REFERENCE):
    """Writes `export_dir/<timestamp>/`, complete or not at all.

    Signature `serving_default`, for callers that cut words into pieces themselves:
      in: int32 [batch, seq_len] `input_ids`, `input_mask`, `segment_ids` and, optionally, `word_start`;
      out, each [batch, seq_len]: `pred_ids` int32, `labels` string, `scores` and `entity_scores` float32, see
      decoding.Decoded.
    `serving_without_word_start` is the same without `word_start`, for loaders that know no optional inputs.

    Signature `serving_text`, for plain text:
      in: string [batch] `text`;
      out for each word, as `text.split_words` cuts a text by the splitter of the settings, padded to [batch, words]:
      `tags` string ("" at padding and for words beyond what the model takes), `scores` and `entity_scores` float32,
      `starts` and `ends` int32 (characters of the text) and `pieces` int32 (how many the word has);
      out for each text, [batch]: `word_count` int32; `max_pieces` int32, what the model takes; `too_long` bool, whether
      the text has more; `scheme` string, the tagging scheme that the tags obey, or "".

    The assets are vocab.txt, label2id.json, bert_config.json and tagger.json, the settings of the model. Warm-up
    requests for a server are in assets.extra.

    Args:
      export_dir: directory of all exports.
      prefix: checkpoint prefix.
      settings: settings.TaggerSettings.
      vocab_file: path of the vocabulary.
      compute: kernels.Compute; its kernels have to be PLAIN, as not every server compiles.

    Returns:
      The directory written.
    """
    vocab = load_vocab(vocab_file)
    return write_saved_model(
        export_dir,
        lambda session: _build_signatures(session, prefix, settings, vocab, compute),
        vocab_file,
        settings_assets(settings),
        lambda directory: warmup.write(directory, _warmup_requests(settings.max_seq_length)),
    )


def load_tagger(directory):
    """The tagger of an export, in a graph and a session of its own.

    Args:
      directory: what `export_saved_model` wrote.

    Returns:
      frozen.Tagger.

    Raises:
      UserError: this TensorFlow cannot load it, or it is another model's.
    """
    graph = tf.Graph()
    session = tf.Session(graph=graph, config=devices.session_config())
    try:
        signature = load_signature(session, directory, DEFAULT)
        inputs, outputs = (
            {name: graph.get_tensor_by_name(info.name) for name, info in infos.items()}
            for infos in (signature.inputs, signature.outputs)
        )
        # An export of an earlier version has no entity_scores.
        frozen = FrozenGraph(inputs, outputs["pred_ids"], outputs["scores"], None, outputs.get("entity_scores"))
        if sorted(inputs) != ["input_ids", "input_mask", "segment_ids", "word_start"]:
            raise KeyError(f"inputs {sorted(inputs)}")
        return Tagger(session, frozen)
    except (tf.errors.OpError, OSError, RuntimeError, KeyError, ValueError) as error:
        session.close()
        raise UserError(f"{directory}: cannot be loaded as a tagger's SavedModel: {first_line(error)}")


def _build_signatures(session, prefix, settings, vocab, compute):
    """Builds the tagger in the default graph and fills its weights; returns its SignatureDefs by name."""
    weights = FrozenWeights(compute.dtype)
    with weights.scope():  # the graph is built twice, on ids and on text, of the same weights
        signatures = _signatures_of_ids(settings, vocab, compute)
        signatures[TEXT] = _signature_of_text(settings, vocab, compute)
    weights.load(session, prefix)
    return signatures


def _signatures_of_ids(settings, vocab, compute):
    default = np.array([[DERIVE]], np.int32)
    fed = {name: tf.placeholder(tf.int32, [None, None], name) for name in ("input_ids", "input_mask", "segment_ids")}
    given_starts = tf.placeholder_with_default(default, [None, None], "word_start")
    # tf2onnx takes an operation for another one that has the same name within the body of a loop.
    with tf.name_scope("tagger"):
        derived_starts = tf.gather(_begins_word(vocab), fed["input_ids"])
        word_start = tf.where_v2(given_starts < 0, derived_starts, given_starts) * fed["input_mask"]
        built = build_outputs(dict(fed, word_start=word_start), settings, compute)
        label_names = tf.constant([PADDING] + settings.labels)
    outputs = {
        "pred_ids": tf.identity(built.pred_ids, "pred_ids"),
        "labels": tf.gather(label_names, built.pred_ids, name="labels"),
        "scores": tf.identity(built.scores, "scores"),
        "entity_scores": tf.identity(built.entity_scores, "entity_scores"),
    }
    signature = tf.saved_model.predict_signature_def(dict(fed, word_start=given_starts), outputs)
    if hasattr(signature, "defaults"):
        # TF Serving fills in an input a request leaves out only if the signature says with what.
        signature.defaults["word_start"].CopyFrom(tf.make_tensor_proto(default))
    return {DEFAULT: signature, WITHOUT_WORD_START: tf.saved_model.predict_signature_def(fed, outputs)}


def _signature_of_text(settings, vocab, compute):
    text = tf.placeholder(tf.string, [None], "text")
    batch, words = text_graph.encode_texts(
        text, vocab, settings.do_lower_case, settings.max_seq_length, settings.splitter
    )
    features = {name: getattr(batch, name) for name in ("input_ids", "input_mask", "segment_ids", "word_start")}
    built = build_outputs(features, settings, compute)
    decoded = Decoded(built.pred_ids, built.scores, built.entity_scores)
    outputs = text_graph.word_outputs(batch, words, decoded, settings.labels)
    outputs["scheme"] = tf.fill(tf.shape(text), settings.required_scheme or "", "scheme")
    outputs["max_pieces"] = tf.fill(tf.shape(text), settings.max_seq_length - 2, "max_pieces")
    return tf.saved_model.predict_signature_def({"text": text}, outputs)


def _warmup_requests(max_seq_length):
    """(signature, inputs) for every signature at a few lengths.

    Each has one text, and every input has as many rows. A server that batches accepts no other requests, and a server
    that cannot run a warm-up request does not serve the model.
    """
    for length in sorted({min(length, max_seq_length) for length in (16, 32, 64, 128, max_seq_length)}):
        ids = np.zeros([1, length], np.int32)
        fed = {"input_ids": ids, "input_mask": np.ones_like(ids), "segment_ids": ids}
        yield DEFAULT, dict(fed, word_start=np.full_like(ids, DERIVE))
        yield WITHOUT_WORD_START, fed
        yield TEXT, {"text": np.array([b"a " * (length - 2)], object)}  # one piece each in any vocabulary


def _begins_word(vocab):
    """int32 [vocab_size]: 1 for the pieces that begin a word, as far as they show it."""
    begins = np.ones([len(vocab)], np.int32)
    for piece, i in vocab.items():
        if piece.startswith("##") or piece in (CLS, SEP, PADDING):
            begins[i] = 0
    return begins
