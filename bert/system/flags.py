"""Command lines: flags with one dash or two, Booleans with or without a value, errors in one line."""

import argparse
import functools
import sys

from bert.system import remote
from bert.system.errors import UserError

NO_PATHS = ("tpu_name", "tpu_zone", "gcp_project", "comment", "separator")  # see FlagParser
LARGEST_INT = 2**31 - 1  # what TensorFlow takes everywhere


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Names the default of every flag that has one, unless its help text says what it is."""

    def _get_help_string(self, action):
        says = action.default is None or "default: " in action.help
        return action.help if says else super()._get_help_string(action)


class FlagParser(argparse.ArgumentParser):
    """An ArgumentParser whose flags are written -name or --name and whose errors are UserErrors.

    Every value that is text is taken for a path where it looks like one in a remote store, and checked.

    Args:
      no_paths: names of flags whose values are never paths, such as addresses of servers.
      kwargs: as of ArgumentParser.
    """

    def __init__(self, no_paths=(), **kwargs):
        self._no_paths = (*NO_PATHS, *no_paths)
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
        parsed, others = super().parse_known_args(args, namespace)
        self._check_paths(vars(parsed))
        return parsed, others

    def _check_paths(self, values):
        for name, value in values.items():
            if name in self._no_paths:
                continue
            for text in value if isinstance(value, list) else [value]:
                for path in text.split(",") if isinstance(text, str) else []:  # some flags take several
                    remote.check_path(path, f"-{name}")

    def _get_option_tuples(self, option_string):
        """Flags are never abbreviated: before Python 3.8 allow_abbrev sees to that for two dashes only."""
        return []

    def error(self, message):
        raise UserError(f"{message} (-help lists the flags)")


def add_flag(parser, name, target=None, **kwargs):
    """A flag with a value: `-name VALUE`, `--name=VALUE`; `target`: the attribute that it sets, default its name."""
    return parser.add_argument("-" + name, "--" + name, dest=target or name, **kwargs)


def add_switch(parser, name, default, **kwargs):
    """A Boolean: `-name`, `-name true`, `--name=false`; and absl's `--noname` for false, which -help does not list."""
    add_flag(parser, f"no{name}", target=name, action="store_false", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return add_flag(
        parser, name, default=default, nargs="?", const=True, type=parse_bool, metavar="true|false", **kwargs
    )


def require(args, *names):
    """UserError, naming all of them, if some of these flags were not given.

    Args:
      args: Namespace, or any object with the flags as attributes.
      names: names of flags; in `name (or another)` what is behind the name is only shown.
    """
    missing = [name for name in names if getattr(args, name.split()[0]) in (None, "")]
    if missing:
        shown = " and ".join(filter(None, [", ".join("-" + name for name in missing[:-1]), "-" + missing[-1]]))
        raise UserError(f"{shown} {'is' if len(missing) == 1 else 'are'} missing")


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


def non_negative_float(text):
    """A finite number, at least 0."""
    return _number(float, text, lambda value: 0 <= value < float("inf"), "a number of at least 0")


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
