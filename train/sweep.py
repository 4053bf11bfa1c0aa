"""Which flags of run.py give the best tagger: trains with all of them, or with some at random, and compares dev F1.

    python -m train.sweep -data_dir my_data -bert_dir my_bert -output_dir output/sweep \\
        -learning_rate 2e-5,5e-5 -head blstm_crf,crf -seeds 3

In: all flags of run.py. Those with several values, a comma between them, make a grid; each point of it is trained with
each seed, every run in a process and a directory of its own. -random takes some points of the grid; -folds trains and
scores on train and dev put together, by cross-validation.

Out, in -output_dir: sweep.tsv, a line for each setting; runs.tsv, a line for each run; sweep.html, both with plots. The
settings are compared by their dev F1, mean over seeds and folds. The runs of the best are scored on test.txt too, where
there is one; no other is. What is finished is not run again: after a kill, or with more values, seeds or random points,
the same command trains what is missing. Loads no TensorFlow; its runs do.
"""

import argparse
import hashlib
import logging
import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file, `python train/sweep.py`
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bert.system import filesystem, run_lock
from bert.system.errors import UserError, run_program, shown_list
from bert.system.files import sha256
from bert.system.flags import NO_PATHS, FlagParser, non_negative_int, positive_int
from bert.system.log import log_to_stderr
from train.data.annotated import find_file
from train.data.columns import format_of_flags
from train.data.recognition import scheme_flag
from train.mymetrics import aligned
from train.sweeping import folds, page, results, runs
from train.sweeping.points import (
    PREFIX,
    Place,
    add_run_flags,
    command_flags,
    command_line,
    described,
    given_flags,
    make_points,
    seeds_flag,
)
from train.train_helper import build_parser

log = logging.getLogger("train.sweep")

OWN = ("data_dir", "output_dir", "seeds", "random", "folds", "sweep_seed", "processes", "keep")
SETTINGS, RUNS, PAGE, BEST = "sweep.tsv", "runs.tsv", "sweep.html", "best"


def main(argv=None):
    """The sweep.

    Args:
      argv: list of str; default: the command line.

    Returns:
      list of results.Result, the best first.

    Raises:
      UserError: a flag is not as expected, or runs failed.
    """
    args = parse_flags(argv)
    given = given_flags(args)
    if filesystem.is_remote(args.output_dir):
        raise UserError(f"-output_dir {args.output_dir}: the runs of a sweep write logs, for which it needs a disk; "
                        "expected a local directory")  # fmt: skip
    log_to_stderr()
    place = Place(args.data_dir, args.output_dir, _digest_of_data(args))
    points = make_points(given, place, args.random, args.sweep_seed)
    with run_lock.locked(args.output_dir):
        found, failures = sweep(args, given, points, place)
    best = results.best_of(found)
    if best:
        print(f"\n{results.headline(best)}\nthe same again, with its reports:\n\n{repeat(best, args)}")
    if failures:
        shown = shown_list(sorted(os.path.relpath(folder, args.output_dir) for folder in failures))
        number = sum(len(result.runs) for result in found)
        raise UserError(f"{len(failures)} of {number} runs failed: {shown}; {RUNS} has their last lines")
    return found


def parse_flags(argv=None):
    """The flags as a Namespace; see points.given_flags for those of run.py in it."""
    parser = FlagParser(
        no_paths=[PREFIX + name for name in NO_PATHS],
        prog="sweep.py",
        description="Trains with all combinations of the flags' values and compares dev F1. All flags of run.py are "
        "taken, with several values where a comma is between them: -learning_rate 2e-5,5e-5 -head blstm_crf,crf",
    )
    flag, switch = parser.flag_group("sweep")
    flag("data_dir", required=True, help="directory with train, dev and, for the best setting, test")
    flag("output_dir", required=True, help="directory for the tables, the page, and a directory for each setting")
    flag("seeds", type=seeds_flag, default="1", help="how many seeds, 3 for 1, 2 and 3; or which, as 5,7")
    flag("random", type=positive_int, help="take so many points of the grid, at random; default: all")
    flag("folds", type=_folds, help="cross-validation on train and dev together, cut into so many folds")
    flag("sweep_seed", type=non_negative_int, default=1, help="of the random points and of the folds")
    flag("processes", type=positive_int, default=1, help="runs at a time")
    switch("keep", False, help="keep all that a run writes; false: of its checkpoints only the best")
    add_run_flags(parser, build_parser(), OWN)
    return parser.parse_args(argv)


def _folds(text):
    number = positive_int(text)
    if number < 2:
        raise argparse.ArgumentTypeError(f"expected at least 2 folds, got '{text}'")
    return number


def _digest_of_data(args):
    """A digest of the data files and of how they are cut into folds."""
    paths = {split: find_file(args.data_dir, split) for split in ("train", "dev")}
    for split, path in paths.items():
        if not filesystem.exists(path):
            raise UserError(f"{path}: no such file; expected the {split} file of -data_dir")
    paths["test"] = folds.find_test(args.data_dir)
    made_of = [path and sha256(path) for path in paths.values()]
    made_of += [args.folds, args.sweep_seed] if args.folds else []
    return hashlib.sha256(repr(made_of).encode()).hexdigest()


def sweep(args, given, points, place):
    """Trains what is not trained, scores the best on the test set, and writes the tables and the page.

    Args:
      args: Namespace of `parse_flags`.
      given: dict of points.given_flags.
      points: list of points.Point.
      place: points.Place.

    Returns:
      (list of results.Result, dict from the folder of a run that failed to what went wrong).
    """
    data_dirs, more = [args.data_dir], {}
    if args.folds:
        directory = os.path.join(args.output_dir, f"folds_{place.digest[:8]}")
        form = format_of_flags(*(given.get(name, [None])[0] for name in ("columns", "comment", "separator")))
        if set(given.get("context", [])) - {"0"}:
            folds.check_documents(args.data_dir, form.comment)
        scheme = given.get("tag_scheme")
        scheme = scheme_flag(scheme[0]) if scheme else None
        data_dirs, more = folds.make_folds(args.data_dir, directory, args.folds, args.sweep_seed, form, scheme)
        more = {name: value for name, value in more.items() if name not in given}
    todo = runs.plan(points, args.seeds, data_dirs, args.output_dir, more)
    left = [run for run in todo if runs.score(run) is None]
    log.info("%d settings, %d runs; %d finished before", len(points), len(todo), len(todo) - len(left))
    failures, tests, ended = {}, {}, []

    def drop(finished):
        for run in [] if args.keep else finished:
            runs.drop_checkpoints(run)

    def on_end(run, failure):
        ended.append(run)
        what = f"run {len(ended)} of {len(left)}: {os.path.relpath(run.folder, args.output_dir)}"
        if failure:
            failures[run.folder] = failure
            log.warning("%s: failed with %s", what, failure)
        else:
            log.info("%s: dev F1 %.2f", what, runs.score(run).f1)
            drop([run])
        write(args, results.results_of(todo, failures), {})

    drop([run for run in todo if run not in left])  # a kill may have come before it was done
    runs.run_all(left, runs.TRAINING, args.processes, on_end)
    found = results.results_of(todo, failures)
    best = results.best_of(found)
    if best and folds.find_test(args.data_dir):
        tests = test(best, args.processes, failures)
    found = results.results_of(todo, failures)
    write(args, found, tests)
    print("\n".join(aligned(results.rows_of(found, tests))))
    return found, failures


def test(best, at_once, failures):
    """Scores the runs of the best setting on the test set, as far as that has not been done.

    Args:
      best: results.Result.
      at_once: how many runs at a time.
      failures: dict to which runs that fail are added.

    Returns:
      dict from a run's folder to its F1 on the test set, in percent; empty where a run failed.
    """
    left = [run for run in best.runs if runs.test_f1(run) is None]

    def on_end(run, failure):
        if failure:
            failures[run.folder] = failure
            log.warning("%s: no test score: %s", run.folder, failure)

    log.info("the best setting on the test set: %s", described(best.point.values))
    runs.run_all(left, runs.TESTING, at_once, on_end)
    tests = {run.folder: runs.test_f1(run) for run in best.runs}
    return {} if None in tests.values() else tests


def write(args, found, tests):
    """Writes the tables and the page; found, tests: as results.rows_of takes them."""
    rows = results.rows_of(found, tests)
    run_rows = results.run_rows(found, tests)
    results.write_tsv(os.path.join(args.output_dir, SETTINGS), rows)
    results.write_tsv(os.path.join(args.output_dir, RUNS), run_rows)
    best = results.best_of(found)
    command = repeat(best, args) if best else ""
    page.write_page(os.path.join(args.output_dir, PAGE), args.data_dir, found, (rows, run_rows), command)


def repeat(best, args):
    """The command line that trains with the best setting: with the seed that was best, or on all folds' train.txt.

    Args:
      best: results.Result.
      args: Namespace of `parse_flags`.
    """
    run = max(best.runs, key=lambda run: best.scores[run.folder].f1)
    seed = args.seeds[0] if args.folds else run.seed
    files = {"data_dir": args.data_dir, "output_dir": os.path.join(args.output_dir, BEST), "seed": str(seed)}
    beside = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "run.py")
    program = ["python", "run.py"] if os.path.exists(beside) else ["bert-ner-train"]
    return command_line(program + best.point.flags + command_flags(files))


if __name__ == "__main__":
    run_program(main)
