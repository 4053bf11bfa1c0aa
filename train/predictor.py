"""Entities from plain text with a trained model, loaded once.

    from train.predictor import Predictor

    with Predictor("output/demo") as predict:
        predict("Ann Lee lives in Paris.")

In: a run's -output_dir or an export, and texts of any length, or sentences that are cut into words already. Out:
entities or words with character offsets into the text as it was given.
"""

from bert.system import startup  # noqa: F401, I001  before TensorFlow

import argparse
import contextlib
import hashlib
import json
import os

import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint, devices
from bert.runtime.flags import PRECISIONS
from bert import modeling
from bert.system.errors import UserError
from bert.system.files import read_json, sha256
from train.serving import saved_model, signatures
from train import run_dir
from train.inference.frozen import FrozenTagger
from train.finetuning.inputs import MODEL_FLAGS
from train.data.labels import SCHEMES
from train.inference.text_tagger import TextTagger, load_model
from train.train_helper import CELLS, SUBWORD_LABELS


class Predictor(TextTagger):
    """A trained tagger that takes text; may be called from several threads. Use in a `with` statement, or `close` it.

    It has a graph and a session of its own and leaves those of the program around it alone.

    Args:
      path: a run's -output_dir, of which the best checkpoint is taken, else the newest; or an export,
        `export/<timestamp>`, or `export`, of which the newest is taken.
      batch_size: windows in a batch.
      vocab_file: the vocabulary, if it is not in `path`, as with runs of versions that did not copy it there.
      precision: of a checkpoint, one of flags.PRECISIONS; an export computes in the one it was exported with.

    Raises:
      UserError: there is no trained model, something in it is missing or damaged, or this machine cannot compute so.
    """

    def __init__(self, path, batch_size=32, vocab_file=None, precision="fp32"):
        if precision not in PRECISIONS:
            raise UserError(f"precision {precision}: expected one of {', '.join(PRECISIONS)}")
        if not os.path.isdir(path):
            raise UserError(f"{path}: no such directory; expected a run's -output_dir or an export")
        self._batch_size = batch_size
        with _quiet_tensorflow():
            if os.path.exists(os.path.join(path, run_dir.RUN_STATE)):
                model, self._tagger = _load_run(path, vocab_file, precision)
            else:
                model, self._tagger = _load_export(path, vocab_file, precision)
        super().__init__(model)

    def close(self):
        """Frees the model's memory; nothing else can be called afterwards."""
        self._tagger.close()

    def _tag_windows(self, windows):
        return self._tagger.tag(windows, self._batch_size)


@contextlib.contextmanager
def _quiet_tensorflow():
    """Without what TensorFlow says while it builds a graph; the program around it may want to hear the rest."""
    before = tf.logging.get_verbosity()
    tf.logging.set_verbosity(tf.logging.ERROR)
    try:
        yield
    finally:
        tf.logging.set_verbosity(before)


def _load_run(path, vocab_file, precision):
    """(Model, frozen.Tagger) of a run's -output_dir."""
    state_file = os.path.join(path, run_dir.RUN_STATE)
    state = run_dir.read_state(path)
    try:
        settings = dict(state["model"], constrain=state["training"]["constrain"])
        args = argparse.Namespace(**{name: settings[name] for name in MODEL_FLAGS + ("constrain",)})
        labels, vocab_hash, config = (settings[name] for name in ("labels", "vocab", "bert_config"))
    except (KeyError, TypeError) as error:
        raise UserError(f"{state_file}: expected the settings of a run; not found: {error}")
    copied = os.path.join(path, run_dir.VOCAB)
    if vocab_file is None and not os.path.exists(copied):
        raise UserError(
            f"{copied}: no such file, the run is of an earlier version; expected vocab_file, the -vocab_file of the run"
        )
    vocab_file = vocab_file or copied
    if not isinstance(config, dict):
        raise UserError(f"{state_file}: bert_config {config}; expected the sizes of an encoder")
    bert_config = modeling.BertConfig.from_dict(config)
    _check_settings(args, bert_config, labels, settings["scheme"], state_file)
    model = load_model(vocab_file, labels, settings, state_file)
    if sha256(vocab_file) != vocab_hash:
        raise UserError(f"{vocab_file}: the model in {path} was trained with another vocabulary; expected that one")

    prefix = run_dir.checkpoint_to_use(path)
    if prefix is None:
        raise UserError(f"{path}: no checkpoint of a trained tagger in it yet")
    shapes = modeling.encoder_shapes(bert_config)
    shapes["crf_loss/transitions"] = [len(labels) + 1] * 2
    shapes["project/hidden/W"] = [2 * args.lstm_size, args.lstm_size]
    checkpoint.check_model(prefix, shapes, optional=["project/hidden/W"], whole=False)
    if args.crf_only == ("project/hidden/W" in checkpoint.open_checkpoint(prefix).get_variable_to_shape_map()):
        raise UserError(f"{state_file}: crf_only {args.crf_only}; {prefix} is of a model for which that is not so")
    compute = devices.choose_compute(precision, bert_config.hidden_size, 0, xla=False)
    inputs = argparse.Namespace(bert_config=bert_config, **model._asdict())
    return model, FrozenTagger(prefix, inputs, args, compute)


def _check_settings(args, bert_config, labels, scheme, state_file):
    """UserError for a setting in run.json that no run writes there."""
    is_positive = (lambda value: type(value) is int and value > 0), "a whole number above 0"
    is_bool = (lambda value: type(value) is bool), "true or false"
    longest = bert_config.max_position_embeddings
    expected = {
        "cell": (CELLS.__contains__, " or ".join(CELLS)),
        "lstm_size": is_positive,
        "num_layers": is_positive,
        "crf_only": is_bool,
        "subword_labels": (SUBWORD_LABELS.__contains__, " or ".join(SUBWORD_LABELS)),
        "max_seq_length": (lambda value: type(value) is int and 3 <= value <= longest, f"3 to {longest}"),
        "do_lower_case": is_bool,
        "constrain": is_bool,
        "scheme": (lambda value: value is None or value in SCHEMES, f"null or one of {', '.join(SCHEMES)}"),
        "labels": (lambda value: type(value) is list and all(type(label) is str for label in value), "a list of names"),
    }
    found = dict(vars(args), scheme=scheme, labels=labels)
    for name, (is_right, what) in expected.items():
        if not is_right(found[name]):
            raise UserError(f"{state_file}: {name} {found[name]}; expected {what}")


def _load_export(path, vocab_file, precision):
    """(Model, frozen.Tagger) of an export, or of the newest in a directory of exports."""
    directory = signatures.newest(path)
    if directory is None:
        raise UserError(f"{path}: neither {run_dir.RUN_STATE} of a run in it nor an export")
    if precision != "fp32":
        raise UserError(f"{directory}: an export computes as it was exported; precision {precision} is for a run's")
    assets = os.path.join(directory, "assets")
    settings_file = os.path.join(assets, "tagger.json")
    vocab_file = vocab_file or os.path.join(assets, run_dir.VOCAB)
    model = load_model(vocab_file, run_dir.read_labels(assets), read_json(settings_file), settings_file)
    config = modeling.BertConfig.from_json_file(os.path.join(assets, run_dir.BERT_CONFIG))
    if len(model.tokenizer.vocab) != config.vocab_size:
        raise UserError(f"{vocab_file}: {len(model.tokenizer.vocab)} entries; the model expects {config.vocab_size}")
    return model, saved_model.load_tagger(directory, model.label_ids)


def model_fingerprint(model_dir, vocab_file=None):
    """Hex digest of a model; another model, or the same one trained further, has a different one.

    A checkpoint's index holds a checksum of every tensor; an export has its weights in its graph.
    """
    state = run_dir.read_state(model_dir)
    if state is not None:
        prefix = run_dir.checkpoint_to_use(model_dir)
        files = [prefix + ".index"] if prefix else []
        settings = [state.get("model"), (state.get("training") or {}).get("constrain")]
    else:
        directory = signatures.newest(model_dir)
        if directory is None:
            raise UserError(f"{model_dir}: neither {run_dir.RUN_STATE} of a run in it nor an export")
        files = [os.path.join(directory, "saved_model.pb"), os.path.join(directory, "assets", "tagger.json")]
        settings = []
    files += [vocab_file] if vocab_file else []
    try:
        digests = [sha256(file) for file in files]
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read: {error.strerror}")
    return hashlib.sha256(json.dumps([digests, settings], sort_keys=True).encode()).hexdigest()
