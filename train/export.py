"""The tagger's SavedModel for serving, see bert/saved_model.py."""

import numpy as np
import tensorflow.compat.v1 as tf

from bert import kernels
from bert.saved_model import write_saved_model
from train.frozen import build_graph
from train.labels import CLS, PADDING, SEP

# For loaders to which every input of a signature is required, as TF Serving before 2.13 and TF 2's saved_model.load.
WITHOUT_WORD_START = "serving_without_word_start"
DERIVE = -1  # in `word_start`: take each piece without ## as the first of a word


def export_saved_model(export_dir, prefix, inputs, args, compute=kernels.REFERENCE):
    """Writes `export_dir/<timestamp>/`, complete or not at all.

    Signature `serving_default`: int32 [batch, seq_len] `input_ids`, `input_mask`, `segment_ids`, and `word_start`,
    which may be left out (and is missing in `serving_without_word_start`, for loaders that know no optional
    inputs); gives `pred_ids` int32, `labels` string and `scores` float32, each [batch, seq_len]. The
    assets are vocab.txt, label2id.json, bert_config.json and tagger.json, the settings of the model.

    Args:
      export_dir: directory of all exports.
      prefix: checkpoint prefix.
      inputs: inputs.Inputs.
      args: Namespace of train_helper.get_args_parser.
      compute: kernels.Compute; its kernels have to be PLAIN, as not every server compiles.

    Returns:
      The directory written.
    """
    tagger = {name: value for name, value in inputs.model.items() if name not in ("labels", "bert_config", "vocab")}
    settings = {
        "label2id.json": inputs.label_ids,
        "bert_config.json": inputs.bert_config.to_dict(),
        "tagger.json": dict(tagger, constrain=args.constrain),
    }
    return write_saved_model(
        export_dir, lambda: _build_signatures(prefix, inputs, args, compute), args.vocab_file, settings
    )


def _build_signatures(prefix, inputs, args, compute):
    """Builds the frozen graph in the default graph; returns its SignatureDefs by name."""
    default = np.array([[DERIVE]], np.int32)
    given_starts = tf.placeholder_with_default(default, [None, None], "word_start")

    def word_start(fed):
        derived_starts = tf.gather(_begins_word(inputs.tokenizer.vocab), fed["input_ids"])
        return tf.where_v2(given_starts < 0, derived_starts, given_starts) * fed["input_mask"]

    fed, pred_ids, scores, _ = build_graph(prefix, inputs, args, compute, word_start)
    outputs = {
        "pred_ids": tf.identity(pred_ids, "pred_ids"),
        "labels": tf.gather(tf.constant([PADDING] + list(inputs.labels)), pred_ids, name="labels"),
        "scores": tf.identity(scores, "scores"),
    }
    signature = tf.saved_model.predict_signature_def(dict(fed, word_start=given_starts), outputs)
    if hasattr(signature, "defaults"):
        # TF Serving fills in an input a request leaves out only if the signature says with what.
        signature.defaults["word_start"].CopyFrom(tf.make_tensor_proto(default))
    return {
        tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature,
        WITHOUT_WORD_START: tf.saved_model.predict_signature_def(fed, outputs),
    }


def _begins_word(vocab):
    """int32 [vocab_size]: 1 for the pieces that begin a word, as far as they show it."""
    begins = np.ones([len(vocab)], np.int32)
    for piece, i in vocab.items():
        if piece.startswith("##") or piece in (CLS, SEP, PADDING):
            begins[i] = 0
    return begins
