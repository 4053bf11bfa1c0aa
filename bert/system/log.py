"""The log of the programs: lines on standard error. Loads no TensorFlow, and does not ask for one."""

import logging
import sys

from bert.system.errors import fit_message

# The parents of all our loggers. Not __main__, which may be a script that imports us: programs name their loggers.
LOGGERS = ("bert", "train")


def log_to_stderr():
    """Our log goes to standard error, a line a message."""
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

        text = self.format(record)
        if not record.exc_info:
            text = "\n".join(fit_message(line) for line in text.split("\n"))
        tqdm.write(text, file=sys.stderr)
