"""What has to happen before TensorFlow is imported: programs import this module first."""

import gc
import importlib.util
import os
import re
import sys
import warnings

from bert.system import quiet_import
from bert.system.errors import UserError, end_program
from bert.system.log import log_to_stderr


class NoTensorFlow(UserError, ImportError):
    """TensorFlow is not there, or of a version that this project does not work with."""


def _check_tensorflow(module):
    """Ends a program of ours with one line, and raises NoTensorFlow elsewhere, unless this TensorFlow will do.

    Args:
      module: the module tensorflow, or None where there is none.
    """
    version = getattr(module, "__version__", "")
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if module is not None and (numbers is None or _is_supported(*map(int, numbers.groups()))):
        return
    found = "TensorFlow is not installed" if module is None else f"TensorFlow {version} is installed"
    error = NoTensorFlow(
        f"{found} for Python {sys.version_info.major}.{sys.version_info.minor} ({sys.executable}); expected 1.15, or "
        f"2.15 or later, as pip install -r requirements.txt installs it"
    )
    if _is_our_program(getattr(sys.modules.get("__main__"), "__file__", None)):
        end_program(error)
    raise error


def _is_supported(major, minor):
    return (major, minor) == (1, 15) or (major, minor) >= (2, 15)


def _is_our_program(path):
    """Whether the main module of this process is one of our programs: those load TensorFlow before they begin."""
    if path is None:
        return False
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    folder, name = os.path.split(os.path.realpath(path))
    return name.endswith(".py") and folder in [os.path.realpath(os.path.join(root, each)) for each in ("bert", "train")]


# TensorFlow reads it once, when it is loaded. 3 shows fatal errors alone; all other errors are Python exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "tensorflow" not in sys.modules and importlib.util.find_spec("tensorflow") is None:
    _check_tensorflow(None)  # at once: on a bare Python other packages are missing too
quiet_import.install(_check_tensorflow)
# TensorFlow 1.15 on a newer numpy warns of its own code at every import.
warnings.filterwarnings("ignore", category=FutureWarning)
warnings.filterwarnings("ignore", category=DeprecationWarning)
# TensorFlow 2 warns of what it does itself when a data set is shared out to replicas.
warnings.filterwarnings("ignore", message="To make it possible to preserve tf.data options")


def set_up_program(verbose=False):
    """What a program does once before it builds its first graph.

    Our log goes to standard error, a line a message; TensorFlow's own only with `verbose`.
    """
    import tensorflow.compat.v1 as tf

    tf.logging.set_verbosity(tf.logging.INFO if verbose else tf.logging.ERROR)
    log_to_stderr()
    look_for_garbage_less_often()


def look_for_garbage_less_often():
    """Has Python go through all objects less often, once TensorFlow is loaded.

    A graph is made of many objects that live as long as it does. To go through them again and again took an eighth of
    the time of a short run.
    """
    # TensorFlow's own objects are not looked at again. Once: a script that trains again has garbage of its own by then.
    if not gc.get_freeze_count():
        gc.freeze()
    gc.set_threshold(20000, 5, 5)
