"""An export by its names: the signatures of the SavedModel, the files among its assets, the newest of several exports.

Needs no TensorFlow, so that a client of a server has the same names.
"""

import os

DEFAULT = "serving_default"
# For loaders to which every input of a signature is required, as TF Serving before 2.13 and TF 2's saved_model.load.
WITHOUT_WORD_START = "serving_without_word_start"
TEXT = "serving_text"

MODEL = "saved_model.pb"
ASSETS = "assets"


def newest(path):
    """The directory of an export: `path` itself, or the one with the highest number in it; None if there is none."""
    if _is_export(path):
        return path
    names = os.listdir(path) if os.path.isdir(path) else []
    numbers = [int(name) for name in names if name.isdigit() and _is_export(os.path.join(path, name))]
    return os.path.join(path, str(max(numbers))) if numbers else None


def _is_export(path):
    """Whether the files of an export lie in a directory; a client may have its assets alone."""
    return os.path.exists(os.path.join(path, MODEL)) or os.path.isdir(os.path.join(path, ASSETS))
