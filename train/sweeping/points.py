"""The points of a sweep: what its flags stand for, each checked as run.py checks it before any of them runs.

A flag of run.py with several values, a comma between them, is a dimension of a grid. Loads no TensorFlow.
"""

import argparse
import collections
import functools
import hashlib
import itertools
import json
import os
import random
import re
import shlex

from bert.system import filesystem
from bert.system.errors import UserError
from bert.system.flags import positive_int
from train.train_helper import check_flags, get_args_parser

# A setting of the flags. values: dict from the names of the flags that differ between points to their texts; flags:
# list of str, all flags of run.py that the sweep passes on, one value each; directory: name of its directory.
Point = collections.namedtuple("Point", ["values", "flags", "directory"])
# Where a sweep reads and writes. digest: str that stands for the content of the data: other data, other directories.
Place = collections.namedtuple("Place", ["data_dir", "output_dir", "digest"])

PREFIX = "of_run_"  # of the names in the Namespace of what is passed on to run.py
ONE_VALUE = ("label_list", "columns", "comment", "device_map")  # a comma in it parts no values
_FILES = ("bert_dir", "bert_config_file", "vocab_file", "init_checkpoint")
# Flags of run.py that a sweep takes itself, or sets itself.
REFUSED = {
    "seed": "-seeds says the seeds of a sweep",
    "clean": "remove directories of -output_dir, and they are run again",
}
REFUSED.update(dict.fromkeys(
    ("do_train", "do_eval", "do_predict", "do_export", "report", "calibrate", "filter_adam_var"),
    "a sweep trains and scores on the dev set; give it to the command that the sweep names at its end",
))  # fmt: skip
LONGEST_NAME = 80  # characters of a directory's name before its digest
DIGEST = 8  # characters


def add_run_flags(parser, of_run, own):
    """Adds the flags of run.py to a sweep's parser, each with a list of values; they are not in its help.

    Args:
      parser: FlagParser.
      of_run: FlagParser of run.py.
      own: names of flags that the sweep has itself.
    """
    for action in of_run._actions:
        if action.dest in (*own, "help", "version"):
            continue
        given = {"type": functools.partial(split_values, action.dest)}
        if action.nargs == "?":  # a switch
            given.update(nargs="?", const=["true"])
        elif action.nargs == 0:  # --noNAME
            given = {"action": "store_const", "const": ["false"]}
        parser.add_argument(
            *action.option_strings,
            dest=PREFIX + action.dest,
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS,
            **given,
        )


def given_flags(args):
    """The flags of run.py in a sweep's Namespace: dict from name to list of texts, in the order of the command line.

    Raises:
      UserError: one of them is not for a sweep.
    """
    given = {name[len(PREFIX) :]: values for name, values in vars(args).items() if name.startswith(PREFIX)}
    for name in given:
        if name in REFUSED:
            raise UserError(f"-{name} is not for a sweep: {REFUSED[name]}")
    return given


def split_values(name, text):
    """The values in the text of a flag: list of str. ArgumentTypeError where one is empty or there twice."""
    if name in ONE_VALUE or (name in _FILES and filesystem.exists(text)):
        return [text]
    values = text.split(",")
    if "" in values or len(set(values)) < len(values):
        raise argparse.ArgumentTypeError(f"expected a value, or different values with a comma between, got '{text}'")
    return values


def seeds_flag(text):
    """The seeds of -seeds: [1, 2, 3] of "3"; of several numbers these."""
    seeds = [positive_int(number) for number in text.split(",")]
    if len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"expected different seeds, got '{text}'")
    return list(range(1, seeds[0] + 1)) if len(seeds) == 1 else seeds


def make_points(given, place, at_random=None, seed=1):
    """The points of the grid, or some of them.

    Args:
      given: dict from the names of run.py's flags to list of texts.
      place: Place.
      at_random: how many points to draw; None for all. More points of the same seed begin with fewer.
      seed: of drawing them.

    Returns:
      list of Point.

    Raises:
      UserError: run.py would refuse a point, or two points are the same to it.
    """
    grid = {name: values for name, values in given.items() if len(values) > 1}
    fixed = {name: values[0] for name, values in given.items() if len(values) == 1}
    before = os.listdir(place.output_dir) if os.path.isdir(place.output_dir) else []
    points, digests = [], {}
    for combination in _combinations(list(grid.values()), at_random, seed):
        values = dict(zip(grid, combination))
        flags = {name: dict(fixed, **values)[name] for name in given}
        digest = _digest(flags, place)
        if digest in digests:
            raise UserError(f"{described(values)} and {described(digests[digest])} are the same setting to run.py")
        digests[digest] = values
        known = [name for name in before if name.endswith("_" + digest)]
        name = known[0] if known else f"{_readable(values)}_{digest}"
        points.append(Point(values, command_flags(flags), name))
    return points


def _combinations(lists, at_random, seed):
    """Yields tuples with one element of each list: all, or so many that are drawn."""
    total = 1
    for values in lists:
        total *= len(values)
    if at_random is None or at_random >= total:
        yield from itertools.product(*lists)
        return
    drawn, source = {}, random.Random(seed)
    while len(drawn) < at_random:
        drawn[source.randrange(total)] = True
    for index in drawn:
        chosen = []
        for values in reversed(lists):
            index, place = divmod(index, len(values))
            chosen.append(values[place])
        yield tuple(reversed(chosen))


def _digest(flags, place):
    """A digest of the flags as run.py reads them, so that 2e-5 and 0.00002 are one setting; checks them too."""
    args = get_args_parser(command_flags(flags) + ["-data_dir", place.data_dir, "-output_dir", place.output_dir])
    check_flags(args)
    made_of = [{name: getattr(args, name) for name in flags}, place.digest]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode("utf-8")).hexdigest()[:DIGEST]


def _readable(values):
    """A setting as the beginning of a directory's name, in characters that a shell leaves alone."""
    shown = "_".join(f"{name}={os.path.basename(os.path.normpath(value))}" for name, value in values.items())
    return re.sub(r"[^\w.=+-]", "-", shown, flags=re.ASCII)[:LONGEST_NAME] or "run"


def command_flags(flags):
    """The arguments of a command line that give these flags: list of str.

    Args:
      flags: dict from name to text.
    """
    return [
        part
        for name, value in flags.items()
        for part in ([f"-{name}={value}"] if value.startswith("-") else [f"-{name}", value])
    ]


def described(values):
    """A setting in words: "learning_rate 2e-5, head crf"; of no flag "as given"."""
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "as given"


def command_line(words):
    """A command as a shell takes it: str."""
    return " ".join(map(shlex.quote, words))
