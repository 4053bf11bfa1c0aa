"""Command lines: flags with one dash or two, Booleans with or without a value, errors in one line."""

import argparse
import functools
import sys

from bert.system.errors import UserError

LARGEST_INT = 2**31 - 1  # what TensorFlow takes everywhere
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
STRATEGIES = ("none", "mirrored", "multi_worker", "parameter_server", "tpu")


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Names the default of every flag that has one."""

    def _get_help_string(self, action):
        return action.help if action.default is None else super()._get_help_string(action)


class FlagParser(argparse.ArgumentParser):
    """An ArgumentParser whose flags are written -name or --name and whose errors are UserErrors."""

    def __init__(self, **kwargs):
        kwargs.setdefault("formatter_class", HelpFormatter)
        super().__init__(allow_abbrev=False, add_help=False, **kwargs)
        self.add_argument("-h", "-help", "--help", action="help", help="print this and exit")

    def flag_group(self, title):
        """(add_flag, add_switch) for a group of flags with a title of its own in the help text."""
        group = self.add_argument_group(title)
        return functools.partial(add_flag, group), functools.partial(add_switch, group)

    def parse_known_args(self, args=None, namespace=None):
        """As argparse's, which all other ways to parse call."""
        args = list(sys.argv[1:] if args is None else args)
        for argument in args:
            try:
                argument.encode("utf-8")
            except UnicodeEncodeError:
                shown = argument.encode("utf-8", "backslashreplace").decode("utf-8")
                raise UserError(f"{shown}: not UTF-8; expected names of files and all else in UTF-8")
        return super().parse_known_args(args, namespace)

    def _get_option_tuples(self, option_string):
        """Flags are never abbreviated: before Python 3.8 allow_abbrev sees to that for two dashes only."""
        return []

    def error(self, message):
        raise UserError(f"{message} (-help lists the flags)")


def add_flag(parser, name, **kwargs):
    """A flag with a value: `-name VALUE`, `--name=VALUE`."""
    return parser.add_argument("-" + name, "--" + name, dest=name, **kwargs)


def add_switch(parser, name, default, **kwargs):
    """A Boolean: `-name`, `-name true`, `--name=false`."""
    return add_flag(
        parser, name, default=default, nargs="?", const=True, type=parse_bool, metavar="true|false", **kwargs
    )


def add_compute_flags(flag, switch, precision, xla, xla_help="faster for many texts, slower to start"):
    """-precision and -xla, see devices.choose_compute.

    Args:
      flag, switch: of the group, see FlagParser.flag_group.
      precision, xla: defaults. A program that writes numbers takes "fp32" and False, so that they are the same on
        every machine.
      xla_help: what -xla is good for.
    """
    flag("precision", choices=PRECISIONS, default=precision, help="of the encoder; all but fp32 give up digits; auto: "
         "what the machine does well")  # fmt: skip
    switch("xla", xla, help=f"fuse elementwise work by XLA: {xla_help}")


def add_speed_flags(parser, bucket=True):
    """How to compute: -precision, -xla, -bucket unless `bucket` is false, -recompute, -profile."""
    flag, switch = parser.flag_group("speed")
    add_compute_flags(flag, switch, "auto", None, "by default where it pays")
    if bucket:
        switch("bucket", True, help="train on batches of texts of about the same length")
    switch("recompute", False, help="compute each layer again in the backward pass: less memory, a third more time")
    switch("profile", False, help="write timelines of a few steps to -output_dir/profile, for chrome://tracing")


def add_strategy_flags(flag, switch):
    """What training is spread over, see training/distribution.py; a batch size is that of all replicas together."""
    flag("strategy", choices=STRATEGIES, help="how training is spread over devices; default: by what there is: "
         "TF_CONFIG's cluster, the TPU of -tpu_name, several GPUs, one device")  # fmt: skip
    flag("num_gpus", type=non_negative_int, help="GPUs to train on; default: all there are")
    flag("num_cpus", type=positive_int, help="train on this many CPU devices as replicas, to try what GPUs would do")
    add_tpu_flags(flag, switch)
    flag("iterations_per_loop", type=positive_int, default=1000, help="steps in one call of a TPU, at most")


def add_tpu_flags(flag, switch):
    """-device_map, and Google BERT's flags of TPUs."""
    flag("device_map", help="GPUs to use, as CUDA_VISIBLE_DEVICES, -1 for none; default: all there are")
    switch("use_tpu", None, help="train on a TPU, as -strategy tpu")
    flag("tpu_name", help="the Cloud TPU's name or grpc:// address")
    flag("tpu_zone", help="its zone")
    flag("gcp_project", help="its project")
    flag("num_tpu_cores", type=positive_int, default=8, help="cores of the TPU")


def parse_bool(text):
    """True or False for the value of a switch, in any case; ArgumentTypeError for other text."""
    known = {"true": True, "t": True, "yes": True, "1": True, "false": False, "f": False, "no": False, "0": False}
    try:
        return known[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"expected true or false, got '{text}'")


def positive_int(text):
    """A whole number, at least 1."""
    return _whole_number(text, 1)


def non_negative_int(text):
    """A whole number, at least 0."""
    return _whole_number(text, 0)


def _whole_number(text, least):
    value = _number(int, text, lambda value: value >= least, f"a whole number of at least {least}")
    if value > LARGEST_INT:
        raise argparse.ArgumentTypeError(f"expected a whole number of at most {LARGEST_INT}, got '{text}'")
    return value


def positive_float(text):
    """A finite number above 0."""
    return _number(float, text, lambda value: 0 < value < float("inf"), "a number above 0")


def fraction(text):
    """A number from 0 to below 1."""
    return _number(float, text, lambda value: 0 <= value < 1, "a number from 0 to below 1")


def proportion(text):
    """A number from 0 to 1, both included."""
    return _number(float, text, lambda value: 0 <= value <= 1, "a number from 0 to 1")


def _number(kind, text, accepts, expected):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not accepts(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got '{text}'")
    return value
