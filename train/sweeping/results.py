"""What a sweep found, as tables of settings and of runs: dev F1 chooses, and only the chosen has a score on test."""

import collections
import os
import statistics

from bert.system.files import atomic_open
from train.sweeping import runs as sweep_runs
from train.sweeping.points import described

# What is known of a point. runs: list of Run, all that it is to have; scores: dict from the folder of a Run that is
# finished to its Score; failures: dict from the folder of one that failed to what went wrong.
Result = collections.namedtuple("Result", ["point", "runs", "scores", "failures"])
STATISTICS = ("runs", "mean", "sd", "min", "max")


def results_of(runs, failures):
    """The Results of all points, the best first and those without a score last.

    Args:
      runs: list of Run.
      failures: dict from the folder of a Run that failed to what went wrong.
    """
    by_point = collections.OrderedDict()
    for run in runs:
        by_point.setdefault(run.point.directory, []).append(run)
    found = []
    for of_point in by_point.values():
        scores = {run.folder: sweep_runs.score(run) for run in of_point}
        scores = {folder: each for folder, each in scores.items() if each is not None}
        failed = {run.folder: failures[run.folder] for run in of_point if run.folder in failures}
        found.append(Result(of_point[0].point, of_point, scores, failed))
    return sorted(found, key=lambda result: -mean(result) if result.scores else float("inf"))


def mean(result):
    """The mean dev F1 of a Result that has scores."""
    return statistics.mean(values(result))


def values(result):
    """The dev F1 of the finished runs of a Result: list of float, in percent."""
    return [score.f1 for score in result.scores.values()]


def best_of(results):
    """The Result with the best mean, of those whose runs are all finished; None where there is none."""
    whole = [result for result in results if len(result.scores) == len(result.runs)]
    return whole[0] if whole else None


def rows_of(results, tests):
    """The table of the settings: a list of lists of str, the header first.

    Args:
      results: list of Result, in order.
      tests: dict from the folders of the chosen's Runs to F1 on the test set; empty where there is none.
    """
    names = list(results[0].point.values)
    has_failures, chosen = any(result.failures for result in results), best_of(results)
    rows = [["no.", *names, *STATISTICS] + ["failed"] * has_failures + ["test"] * bool(tests)]
    for number, result in enumerate(results, 1):
        row = [str(number), *result.point.values.values(), *_statistics(result)]
        row += [str(len(result.failures))] * has_failures
        if tests:
            row.append(f"{statistics.mean(tests.values()):.2f}" if result is chosen else "")
        rows.append(row)
    return rows


def _statistics(result):
    found = values(result)
    counted = f"{len(found)}" if len(found) == len(result.runs) else f"{len(found)} of {len(result.runs)}"
    if not found:
        return [counted, "", "", "", ""]
    spread = f"{statistics.stdev(found):.2f}" if len(found) > 1 else ""
    return [counted, f"{statistics.mean(found):.2f}", spread, f"{min(found):.2f}", f"{max(found):.2f}"]


def run_rows(results, tests):
    """The table of the runs: a list of lists of str, the header first; arguments as of `rows_of`."""
    names = list(results[0].point.values)
    rows = [["no.", *names, "fold", "seed", "dev F1", "step", "test F1", "failed with", "directory"]]
    for number, result in enumerate(results, 1):
        for run in result.runs:
            folder = f"{run.point.directory}/{os.path.basename(run.folder)}"
            found = result.scores.get(run.folder)
            row = [str(number), *result.point.values.values(), str(run.fold or ""), str(run.seed)]
            row += [f"{found.f1:.2f}", str(found.step)] if found else ["", ""]
            row += [
                f"{tests[run.folder]:.2f}" if run.folder in tests else "",
                result.failures.get(run.folder, ""),
                folder,
            ]
            rows.append(row)
    return rows


def write_tsv(path, rows):
    """Writes a table, tabs between; line ends and tabs in a cell become spaces."""
    with atomic_open(path) as writer:
        writer.writelines("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows)


def headline(result):
    """The best setting in a line."""
    found = _statistics(result)
    spread = f" (standard deviation {found[2]} over {found[0]} runs)" if found[2] else ""
    return f"best: {described(result.point.values)}; dev F1 {found[1]}{spread}"
