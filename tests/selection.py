"""Which tests run on which TensorFlow, and in what order.

All tests run on the reference TensorFlow, 2.15. On any other one these are left out, and counted loudly:

- the tests of a file that does not touch TensorFlow: neither it nor any module of ours that it imports, directly or
  not, imports TensorFlow. Nothing lists these files: their imports say it. A test in such a file that starts a program
  with TensorFlow is marked `every_tensorflow` and runs everywhere.
- tests marked `one_tensorflow`: they use TensorFlow, but what they prove does not depend on its version, or a cheaper
  test proves it there.
- tests with the fixture `kind_of_variables` run there with the kind alone that a script gets by default.

Where a whole file is marked, single tests in it may be marked `every_tensorflow`.

A further environment needs nothing here. `--everything` runs all tests on whatever TensorFlow there is.
"""

import ast
import functools
import os

import pytest

from tests.paths import REPOSITORY

REFERENCE = "2.15"
# Imports TensorFlow for paths such as gs://bucket alone; tests that have such paths import tests/stores.py.
ONLY_FOR_STORES = os.path.join(REPOSITORY, "bert", "system", "remote.py")
OURS = ("bert", "train", "tests", "data_demo", "benchmarks", "run")
MARKERS = {
    "one_tensorflow": f"runs on TensorFlow {REFERENCE} only: what it proves does not depend on the version",
    "every_tensorflow": "runs on every TensorFlow, though its file does not import one or is marked otherwise",
}
REASON = f"on TensorFlow {REFERENCE} only"
# The files that take longest, in this order, so that none of them is left over at the end.
SLOWEST = (
    "test_multi_worker.py",
    "test_kills_and_stops.py",
    "test_full_disk.py",
    "test_damaged_runs.py",
    "test_faults_of_bert_programs.py",
    "test_tpu_graph.py",
    "test_run.py",
    "test_strategies.py",
    "test_run_pretraining.py",
    "test_text_graph.py",
)


@functools.lru_cache(maxsize=None)
def is_reference():
    import tensorflow.compat.v1 as tf

    return tf.__version__.startswith(REFERENCE + ".")


def slowest_first(items):
    """Puts the tests of the slowest files first; the others stay in order."""
    places = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(os.path.basename(str(item.fspath)), len(places)))


def skip_what_runs_elsewhere(items):
    """Skips the tests that this TensorFlow has nothing to add to."""
    for item in items:
        if item.get_closest_marker("every_tensorflow"):
            continue
        is_of_one = item.get_closest_marker("one_tensorflow") or not touches_tensorflow(str(item.fspath))
        if is_of_one or _has_other_variables(item):
            item.add_marker(pytest.mark.skip(reason=REASON))


def _has_other_variables(item):
    """Whether a test is run with the kind of variables that a script does not get by default."""
    import tensorflow.compat.v1 as tf

    kind = item.callspec.params.get("kind_of_variables") if hasattr(item, "callspec") else None
    return kind is not None and kind.startswith("resource") != tf.resource_variables_enabled()


def runs_elsewhere(path):
    """Whether a TensorFlow other than the reference has nothing to add to any test of a file."""
    if touches_tensorflow(path):
        return False
    with open(path, encoding="utf-8") as reader:
        return "every_tensorflow" not in reader.read()


@functools.lru_cache(maxsize=None)
def touches_tensorflow(path):
    """Whether a file, or any module of ours that it imports at whatever depth, imports TensorFlow."""
    waiting, seen = [path], {ONLY_FOR_STORES}
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        names = imported(file)
        if any(name.split(".")[0] == "tensorflow" for name in names):
            return True
        waiting += filter(None, map(file_of, names))
    return False


@functools.lru_cache(maxsize=None)
def imported(path):
    """The names of the modules that a file may import, in functions too."""
    with open(path, encoding="utf-8") as reader:
        nodes = list(ast.walk(ast.parse(reader.read())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def file_of(name):
    """The path of a module of ours; None for what is no module, or not ours."""
    parts = name.split(".")
    if parts[0] not in OURS:
        return None
    base = os.path.join(REPOSITORY, *parts)
    return next(filter(os.path.isfile, (base + ".py", os.path.join(base, "__init__.py"))), None)
