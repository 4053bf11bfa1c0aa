"""How to train where the command line does not say it: chosen by the data and the encoder.

In: the flags, and which of them were given. Out: the flags with values for batch size, learning rates, epochs, dropout,
adversarial training, bias correction and what later pieces are labelled, and a line for the log.
docs/tuning.md explains the values.
"""

import argparse
import collections

from bert.runtime import checkpoint
from bert.system import filesystem
from bert.system.errors import UserError
from bert.system.files import read_json
from train import run_dir
from train.data.annotated import begins_array, find_file
from train.finetuning import changes, checkpoints
from train.train_helper import CHOSEN_BY_DATA

# For up to so many sentences: the batch size and the epochs; for a trained encoder also the factor on its rate and the
# size of adversarial training. Small data needs small batches, many epochs and high rates, or the run ends before it
# has learnt; where there are many sentences, smaller rates are better. Adversarial training helps at about 1,000
# sentences, and not with much fewer or more.
Row = collections.namedtuple("Row", ["sentences", "batch_size", "num_train_epochs", "rate_factor", "adversarial"])
BY_SIZE = (
    Row(300, 8, 25, 2.0, 0.0),
    Row(1500, 16, 10, 1.0, 1.0),
    Row(3000, 16, 10, 1.0, 0.0),
    Row(float("inf"), 32, 4, 0.5, 0.0),
)
# A head without trained weights learns next to nothing at the rates that suit a trained encoder.
HEAD_RATE = 1e-3
# The rate of a trained encoder: narrower ones take more.
Width = collections.namedtuple("Width", ["hidden_size", "learning_rate"])
BY_WIDTH = (Width(256, 5e-4), Width(512, 1e-4), Width(768, 5e-5), Width(float("inf"), 2e-5))
FROM_RANDOM_WEIGHTS = 1e-3
# Random weights have more to learn: so many times the epochs.
EPOCHS_FROM_RANDOM_WEIGHTS = 3
# The archive's 0.5 leaves a head too little to learn from in a short training.
DROPOUT = 0.2
# A CRF over words is a little better than one over pieces. Checkpoints of the archive need the latter.
NEW_SUBWORD_LABELS, ARCHIVE_SUBWORD_LABELS = "first", "x"


def fill_in(args):
    """Gives the flags of train_helper.CHOSEN_BY_DATA that were not given their values.

    Args:
      args: Namespace of train_helper.get_args_parser.

    Returns:
      (Namespace, str): the flags, and what was chosen and why, for the log; "" where nothing was. A run that goes on
      keeps the values that it began with; they are said where it goes on with another value of one of them.
    """
    missing = getattr(args, "not_given", ())
    if not missing or not args.output_dir:
        return args, ""
    state = run_dir.read_state(args.output_dir)
    if state is not None and not args.clean:
        begun = _as_begun(state, [name for name in CHOSEN_BY_DATA if hasattr(args, name)])
        kept = {name: begun[name] for name in missing if name in begun}
        changes_one = any(getattr(args, name) != value for name, value in begun.items() if name not in kept)
        says = args.do_train and changes_one
        return _with(args, kept), f"kept as the run began: {_as_flags(kept)}" if says and kept else ""
    if not args.do_train:
        return args, ""
    values = {}
    if "subword_labels" in missing:
        values["subword_labels"] = _subword_labels_of_start(args) or NEW_SUBWORD_LABELS
    try:
        sentences = count_sentences(find_file(args.data_dir, "train"))
        hidden_size = int(read_json(args.bert_config_file)["hidden_size"])
    except (UserError, OSError, KeyError, TypeError, ValueError, OverflowError):
        return args, ""  # the checks of all inputs come later and say what is wrong
    given_rate = None if "learning_rate" in missing else args.learning_rate
    values.update(choose(sentences, hidden_size, bool(args.init_checkpoint), given_rate))
    chosen = {name: values[name] for name in missing if name in values}
    most = BY_SIZE[-2].sentences
    size = f"{sentences} sentences" if sentences <= most else f"more than {most} sentences"
    encoder = f"an encoder of width {hidden_size}" + ("" if args.init_checkpoint else " with random weights")
    return _with(args, chosen), f"chosen for {size} and {encoder}: {_as_flags(chosen)}"


def _subword_labels_of_start(args):
    """The -subword_labels of the tagger that training starts from, or None where it starts from an encoder alone."""
    if not args.init_checkpoint or not args.init_head:
        return None
    try:
        prefix = checkpoint.resolve(args.init_checkpoint, args.output_dir)
        if checkpoints.num_labels(prefix) is None:
            return None
        state = run_dir.read_state(run_dir.folders_of(prefix)[-1])
    except UserError:
        return None
    return state["model"]["subword_labels"] if state else ARCHIVE_SUBWORD_LABELS


def choose(sentences, hidden_size, has_weights, given_rate=None):
    """The values of the flags that depend on data and encoder: dict from name to value.

    Args:
      sentences: number of training sentences.
      hidden_size: width of the encoder.
      has_weights: whether it starts from trained weights.
      given_rate: the learning rate, where it is not to be chosen.
    """
    row = next(row for row in BY_SIZE if sentences <= row.sentences)
    by_width = next(width.learning_rate for width in BY_WIDTH if hidden_size <= width.hidden_size)
    rate = given_rate or (by_width * row.rate_factor if has_weights else FROM_RANDOM_WEIGHTS)
    return {
        "batch_size": row.batch_size,
        "learning_rate": rate,
        "head_learning_rate": max(HEAD_RATE, rate),  # never below the encoder's
        "num_train_epochs": row.num_train_epochs * (1 if has_weights else EPOCHS_FROM_RANDOM_WEIGHTS),
        "dropout_rate": DROPOUT,
        "adversarial": row.adversarial if has_weights else 0.0,
        # The large first steps that a correction prevents undo trained weights. Random ones learn faster by them, but
        # do not survive them at high rates.
        "bias_correction": has_weights or rate > FROM_RANDOM_WEIGHTS,
    }


def _as_flags(values):
    """A dict from the names of flags to their values as a command line has them; None is not given there."""
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}
    return " ".join(f"-{name} {text}" for name, text in texts.items() if text is not None)


def count_sentences(path):
    """The number of sentences or texts of a data file, counted up to one more than the choices depend on.

    Args:
      path: CoNLL file, whose sentences are separated by empty lines; or texts, one a line or in a JSON array.
    """
    enough, count, inside = BY_SIZE[-2].sentences, 0, False
    one_a_line = not path.endswith(".txt")
    with filesystem.open_file(path, "rb") as lines:
        for line in lines:
            if one_a_line and not count and begins_array(line):
                return len(read_json(path))
            empty = not line.strip()
            count += not empty and (one_a_line or not inside)
            inside = not empty
            if count > enough:
                break
    return count


def _as_begun(state, names):
    """The values that a run began with, by the names of flags; what an older version did not know is as it was."""
    begun = dict(changes.DEFAULTS, **dict(state["model"], **state["training"]))
    return {name: begun[name] for name in names if name in begun}


def _with(args, values):
    return argparse.Namespace(**dict(vars(args), **values))
