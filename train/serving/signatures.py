"""An export by its names: the signatures of the SavedModel, its assets, the newest of several exports.

Needs no TensorFlow, so that a client of a server has the same names.
"""

import os
import re

from bert.runtime.checkpoint_files import SAVED_MODEL
from bert.system import filesystem
from bert.system.files import read_json
from train.data.labels import read_labels
from train.tagger.settings import TaggerSettings

DEFAULT = "serving_default"
# For loaders that require every input of a signature: TF Serving before 2.13 and TF 2's saved_model.load.
WITHOUT_WORD_START = "serving_without_word_start"
TEXT = "serving_text"

_NUMBER = re.compile("[0-9]+")  # str.isdigit is true of more, as of the superscript two, which are no numbers to int
ASSETS = "assets"
# The files in it.
VOCAB = "vocab.txt"
LABEL2ID = "label2id.json"
BERT_CONFIG = "bert_config.json"
SETTINGS = "tagger.json"  # the settings of the tagger that are not in the files above


def newest(path):
    """The directory of an export: `path` itself, or the one with the highest number in it; None if there is none."""
    if _is_export(path):
        return path
    names = filesystem.listdir(path) if filesystem.isdir(path) else []
    numbered = [name for name in names if _NUMBER.fullmatch(name) and _is_whole(os.path.join(path, name))]
    return os.path.join(path, max(numbered, key=int)) if numbered else None


def _is_export(path):
    """Whether a directory is an export, or at least has its assets, which is all that a client needs."""
    return filesystem.exists(os.path.join(path, SAVED_MODEL)) or filesystem.isdir(os.path.join(path, ASSETS))


def _is_whole(path):
    """As `_is_export`; in a remote store an export may still be on its way, and its model is the last to be there."""
    return filesystem.exists(os.path.join(path, SAVED_MODEL)) if filesystem.is_remote(path) else _is_export(path)


def settings_assets(settings):
    """A tagger's settings as assets of an export.

    Args:
      settings: settings.TaggerSettings.

    Returns:
      dict from file name to JSON value.
    """
    values = settings.to_json()
    del values["labels"]
    return {LABEL2ID: settings.label_ids, BERT_CONFIG: values.pop("bert_config"), SETTINGS: values}


def read_settings(directory):
    """The settings of a tagger from the assets of its export.

    Args:
      directory: directory of the export.

    Returns:
      settings.TaggerSettings.

    Raises:
      UserError: an asset is missing or damaged.
    """
    assets = os.path.join(directory, ASSETS)
    labels = read_labels(os.path.join(assets, LABEL2ID))
    settings_file = os.path.join(assets, SETTINGS)
    values = read_json(settings_file)
    if isinstance(values, dict):
        values = dict(values, labels=labels, bert_config=read_json(os.path.join(assets, BERT_CONFIG)))
    return TaggerSettings.from_json(values, settings_file)
