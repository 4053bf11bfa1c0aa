"""Entities from plain text with a trained model, loaded once.

    from train.predictor import Predictor

    with Predictor("output/demo") as predict:
        predict("Ann Lee lives in Paris.")

In: a run's -output_dir or an export, and texts of any length, or sentences that are cut into words already. Out:
entities or words with character offsets into the text as it was given.
"""

from bert.system import startup  # noqa: F401, I001  before TensorFlow

import contextlib
import hashlib
import json
import os

import tensorflow.compat.v1 as tf

from bert import modeling
from bert.runtime import checkpoint, devices
from bert.runtime.checkpoint_files import SAVED_MODEL, SAVED_WEIGHTS
from bert.runtime.flags import PRECISIONS
from bert.system import filesystem
from bert.system.errors import UserError
from bert.system.files import sha256
from train import run_dir
from train.inference.frozen import FrozenTagger
from train.inference.text_tagger import TextTagger, load_tokenizer
from train.serving import saved_model, signatures
from train.tagger.calibration import Calibration
from train.tagger.settings import TaggerSettings
from train.tagger.variables import head_shapes


class Predictor(TextTagger):
    """A trained tagger that takes text; may be called from several threads. Use in a `with` statement, or `close` it.

    It has a graph and a session of its own and leaves those of the program around it alone.

    Args:
      path: a run's -output_dir, of which the best checkpoint is taken, else the newest; or an export,
        `export/<timestamp>`, or `export`, of which the newest is taken.
      batch_size: windows in a batch.
      vocab_file: the vocabulary, if it is not in `path`, as with runs of versions that did not copy it there.
      precision: of a checkpoint, one of flags.PRECISIONS; an export computes in the one it was exported with.
      min_score: entities with a lower score are left out, and their words are O; from 0 to 1.

    Raises:
      UserError: there is no trained model, something in it is missing or damaged, or this machine cannot compute so.
    """

    def __init__(self, path, batch_size=32, vocab_file=None, precision="fp32", min_score=0.0):
        if precision not in PRECISIONS:
            raise UserError(f"precision {precision}: expected one of {', '.join(PRECISIONS)}")
        if not 0.0 <= min_score <= 1.0:
            raise UserError(f"min_score {min_score}: expected a probability, from 0 to 1")
        if not filesystem.isdir(path):
            raise UserError(f"{path}: no such directory; expected a run's -output_dir or an export")
        self._batch_size = batch_size
        with _quiet_tensorflow():
            if filesystem.exists(os.path.join(path, run_dir.RUN_STATE)):
                tokenizer, settings, self._tagger = _load_run(path, vocab_file, precision)
            else:
                tokenizer, settings, self._tagger = _load_export(path, vocab_file, precision)
        super().__init__(tokenizer, settings)
        self.min_score = min_score

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
    """(FullTokenizer, TaggerSettings, frozen.Tagger) of a run's -output_dir."""
    state_file = os.path.join(path, run_dir.RUN_STATE)
    state = run_dir.read_state(path)
    model, training = state["model"], state["training"]
    settings = TaggerSettings.from_json(dict(training, **model), state_file)
    copied = os.path.join(path, run_dir.VOCAB)
    if vocab_file is None and not filesystem.exists(copied):
        raise UserError(
            f"{copied}: no such file, the run is of an earlier version; expected vocab_file, the -vocab_file of the run"
        )
    vocab_file = vocab_file or copied
    tokenizer = load_tokenizer(vocab_file, settings)
    if sha256(vocab_file) != model.get("vocab"):
        raise UserError(f"{vocab_file}: the model in {path} was trained with another vocabulary; expected that one")

    prefix = run_dir.checkpoint_to_use(path)
    if prefix is None:
        raise UserError(f"{path}: no checkpoint of a trained tagger in it yet")
    bert_config = modeling.BertConfig.from_dict(settings.bert_config)
    shapes = modeling.encoder_shapes(bert_config)
    shapes.update(head_shapes(settings))
    has_rnn = "project/hidden/W" in checkpoint.open_checkpoint(prefix).get_variable_to_shape_map()
    if has_rnn != settings.has_rnn:
        raise UserError(
            f"{state_file}: head {settings.head}; {prefix} is of a tagger {'with' if has_rnn else 'without'} an RNN"
        )
    checkpoint.check_model(prefix, shapes, whole=False)
    compute = devices.choose_compute(precision, bert_config.hidden_size, 0, xla=False)
    settings = settings._replace(calibration=Calibration.of_run(path, state, prefix))
    return tokenizer, settings, FrozenTagger(prefix, settings, compute)


def _load_export(path, vocab_file, precision):
    """(FullTokenizer, TaggerSettings, frozen.Tagger) of an export, or of the newest in a directory of exports."""
    directory = signatures.newest(path)
    if directory is None:
        raise UserError(f"{path}: neither {run_dir.RUN_STATE} of a run in it nor an export")
    if precision != "fp32":
        raise UserError(f"{directory}: an export computes as it was exported; precision {precision} is for a run's")
    assets = os.path.join(directory, signatures.ASSETS)
    vocab_size = modeling.BertConfig.from_json_file(os.path.join(assets, signatures.BERT_CONFIG)).vocab_size
    settings = signatures.read_settings(directory)
    vocab_file = vocab_file or os.path.join(assets, signatures.VOCAB)
    tokenizer = load_tokenizer(vocab_file, settings)
    if len(tokenizer.vocab) > vocab_size:
        raise UserError(f"{vocab_file}: {len(tokenizer.vocab)} entries; the model expects {vocab_size}")
    return tokenizer, settings, saved_model.load_tagger(directory)


def model_fingerprint(model_dir, vocab_file=None):
    """Hex digest of a model; another model, or the same one trained further, has a different one.

    The index of a checkpoint, and that of an export's weights, holds a checksum of every tensor. An export of an
    earlier version has its weights in its graph.
    """
    state = run_dir.read_state(model_dir)
    if state is not None:
        prefix = run_dir.checkpoint_to_use(model_dir)
        files = [prefix + ".index"] if prefix else []
        settings = [state["model"], state["training"].get("constrain")]
        calibration = run_dir.calibration(state, prefix) if prefix else {}
        temperature = calibration.pop("temperature", 1.0)
        settings += [temperature] if temperature != 1.0 else []  # else as in files of earlier versions
        settings += [calibration] if calibration else []
    else:
        directory = signatures.newest(model_dir)
        if directory is None:
            raise UserError(f"{model_dir}: neither {run_dir.RUN_STATE} of a run in it nor an export")
        names = SAVED_MODEL, os.path.join(signatures.ASSETS, signatures.SETTINGS)
        index = os.path.join(directory, SAVED_WEIGHTS + ".index")
        files = [os.path.join(directory, name) for name in names] + ([index] if filesystem.exists(index) else [])
        settings = []
    files += [vocab_file] if vocab_file else []
    try:
        digests = [sha256(file) for file in files]
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read: {error.strerror}")
    return hashlib.sha256(json.dumps([digests, settings], sort_keys=True).encode()).hexdigest()
