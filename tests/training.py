"""What tests of the training programs share: the losses of a run's steps, and how the same training is computed."""

import contextlib

import numpy as np
import pytest

from bert.encoder import kernels
from bert.training.progress import TrainingLog
from train.bert_lstm_ner import train
from train.train_helper import get_args_parser

# Another way to compute the same training, as far as this TensorFlow has it.
OTHER_WAY = ["--recompute"] + (["--precision=bf16", "--xla=true"] if kernels.can_fuse() else ["--precision=fp32"])
# What of it this TensorFlow refuses: (flag, beginning of the message).
REFUSED = [("--precision=fp16", "-precision fp16 needs a GPU")]
if not kernels.can_fuse():
    REFUSED += [("--precision=bf16", "-precision bf16 needs TensorFlow 2"), ("--xla=true", "-xla needs TensorFlow 2")]


@contextlib.contextmanager
def recorded_losses():
    """Within it, a list grows by the loss of each step of any training."""
    losses, after_run = [], TrainingLog.after_run

    def record(self, run_context, run_values):
        losses.append(float(run_values.results["loss"]))
        return after_run(self, run_context, run_values)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TrainingLog, "after_run", record)
        yield losses


def losses_of(given, output, *flags):
    """(loss of each step, what train returns) of a tagger's run that has the given flags and more.

    Args:
      given: list of flags.
      output: path of -output_dir.
      *flags: further flags.
    """
    with recorded_losses() as losses:
        results = train(get_args_parser([*given, "-output_dir", str(output), *flags]))
    return np.array(losses), results
