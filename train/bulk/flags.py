"""The flags that the bulk taggers share. Loads no TensorFlow."""

from bert.runtime.flags import PRECISIONS
from bert.system import filesystem
from bert.system.errors import UserError
from bert.system.flags import positive_int, proportion
from train.bulk.texts import KINDS
from train.data import flags


def add_model_flags(flag):
    """Adds -model_dir, -vocab_file, -batch_size, -min_score and -precision.

    Args:
      flag: function that adds a flag, as FlagParser.flag_group gives it.
    """
    flag("model_dir", help="a run's -output_dir, or an export")
    flag("vocab_file", help="the vocabulary, where it does not lie in -model_dir")
    flag("batch_size", type=positive_int, default=32, help="texts in a batch; those of about the same length share one")
    flag("min_score", type=proportion, default=0.0, help="leave out the entities with a lower score, 0 to 1")
    flag("precision", choices=PRECISIONS, default="fp32", help="of the encoder of a -model_dir that is no export")


def add_columns_flags(flag):
    """Adds -columns, -comment and -separator.

    Args:
      flag: as of `add_model_flags`.
    """
    flags.add_reading_flags(flag, with_tags=False, when="with -input conll: ")


def given_format(args):
    """The columns.Format of the flags of `add_columns_flags`; UserError where they are given for no -input conll."""
    for name in flags.READING_FLAGS:
        if getattr(args, name) is not None and args.input != "conll":
            raise UserError(f"-{name} is for -input conll, not for -input {args.input}")
    return flags.given_format(args)


def predictor_arguments(args):
    """The arguments of predictor.Predictor by name, of the flags of `add_model_flags`."""
    return {
        "path": args.model_dir,
        "batch_size": args.batch_size,
        "vocab_file": args.vocab_file,
        "precision": args.precision,
        "min_score": args.min_score,
    }


def kinds_help():
    """The kinds of input with their meanings, for a flag's help text."""
    return "; ".join(f"{kind}: {meaning}" for kind, meaning in KINDS.items())


def check_model(model_dir):
    """Raises UserError where there is plainly no model, before TensorFlow is loaded to say so."""
    if not filesystem.isdir(model_dir):
        raise UserError(f"{model_dir}: no such directory; expected a run's -output_dir or an export")
