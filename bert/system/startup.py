"""What has to happen before TensorFlow is imported: programs import this module first."""

import logging
import os
import sys
import warnings

from bert.system import quiet_import

# TensorFlow reads it once, when it is loaded. 3 shows fatal errors alone; all other errors are Python exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
quiet_import.install()
# TensorFlow 1.15 on a newer numpy warns of its own code at every import.
warnings.filterwarnings("ignore", category=FutureWarning)
warnings.filterwarnings("ignore", category=DeprecationWarning)
# TensorFlow 2 warns of what it does itself when a data set is shared out to replicas.
warnings.filterwarnings("ignore", message="To make it possible to preserve tf.data options")

# The parents of all our loggers. Not __main__, which may be a script that imports us: programs name their loggers.
LOGGERS = ("bert", "train")


def set_up_logging(verbose=False):
    """Our log goes to standard error, a line a message; TensorFlow's own only with `verbose`."""
    import tensorflow.compat.v1 as tf

    tf.logging.set_verbosity(tf.logging.INFO if verbose else tf.logging.ERROR)
    log_to_stderr()


def log_to_stderr():
    """Our log goes to standard error, a line a message; loads no TensorFlow."""
    handler = _ProgressFriendlyHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(handler)


def log_warnings_only():
    """From now on our log has warnings alone: for a task that would repeat what the chief says."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


class _ProgressFriendlyHandler(logging.Handler):
    """Writes a message above the progress bar, if there is one, instead of into it."""

    def emit(self, record):
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)
