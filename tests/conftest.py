"""What every test shares: graph mode, a quiet TensorFlow, a session for the graph a test has built; and a whole run."""

import fcntl
import logging
import os
import pickle
import shutil
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# gRPC's own handlers abort many a process that is forked while one of its servers or channels is open in this one.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import hypothesis
import pytest

from tests import selection

# What a shell starts in the background ignores Ctrl-C, and so would every program that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


# A busy machine is no failure; in CI the examples are the same each time, elsewhere they are new ones.
hypothesis.settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("project")

LEFT_FILES = pytest.StashKey()  # paths of the test files that this TensorFlow has nothing to add to


def pytest_addoption(parser):
    parser.addoption("--everything", action="store_true", help="run all tests on this TensorFlow, see selection.py")
    parser.addoption(
        "--mutations", type=int, default=100, help="damaged files for each reader, see fuzz/test_readers.py"
    )


def pytest_configure(config):
    config.stash[LEFT_FILES] = set()
    for name, meaning in selection.MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    # The process that hands tests out to others runs none: they would wait for what it loads.
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        prepare_tensorflow()


def prepare_tensorflow():
    import tensorflow.compat.v1 as tf
    from tensorflow.python.util import deprecation

    from bert.system import startup

    tf.disable_eager_execution()
    tf.logging.set_verbosity(tf.logging.ERROR)
    # What XLA compiles here runs a few steps: better code would cost more than it saves.
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    os.environ.setdefault("XLA_FLAGS", flags)
    startup.look_for_garbage_less_often()
    # TensorFlow 1.15 looks at the arguments of most calls only to warn of deprecated ones: a fifth of a graph's time.
    deprecation._PRINT_DEPRECATION_WARNINGS = False


def pytest_ignore_collect(collection_path, config):
    """A file none of whose tests would run here is not even loaded."""
    path = str(collection_path)
    if os.path.basename(path).startswith("test_") and runs_a_selection(config) and selection.runs_elsewhere(path):
        config.stash[LEFT_FILES].add(path)
        return True
    return None


def runs_a_selection(config):
    return not config.getoption("--everything") and not selection.is_reference()


def pytest_collection_modifyitems(config, items):
    selection.slowest_first(items)
    if runs_a_selection(config):
        selection.skip_what_runs_elsewhere(items)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # of a process that others hand tests to: they hear of it
        session.config.workeroutput["left_files"] = sorted(session.config.stash[LEFT_FILES])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    node.config.stash[LEFT_FILES].update(getattr(node, "workeroutput", {}).get("left_files", []))


def pytest_terminal_summary(terminalreporter, config):
    skipped = terminalreporter.stats.get("skipped", [])
    tests = sum(selection.REASON in str(report.longrepr) for report in skipped)
    files = len(config.stash[LEFT_FILES])
    if tests or files:
        left = f"{files} files and {tests} more tests were left to TensorFlow {selection.REFERENCE}"
        terminalreporter.write_sep("=", f"{left}; --everything runs them")


@pytest.fixture
def caplog(caplog, monkeypatch):
    """As pytest's. It hears our log, which a program that ran here before may have turned to standard error."""
    for name in ("bert", "train"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    return caplog


@pytest.fixture
def graph():
    """A graph of the test's own, made the default one."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as test_graph:
        tf.set_random_seed(1)
        yield test_graph


@pytest.fixture
def evaluate(graph):
    """`evaluate(tensors, feed_dict=None)` in a session on `graph`, its variables initialised at the first call."""
    import tensorflow.compat.v1 as tf

    from bert.runtime import devices

    with tf.Session(graph=graph, config=devices.session_config()) as session:
        started = []

        def run(tensors, feed_dict=None):
            if not started:
                session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
                started.append(True)
            return session.run(tensors, feed_dict)

        run.session = session
        yield run


@pytest.fixture(params=["reference variables", "resource variables"])
def kind_of_variables(request):
    """Both kinds of variables; what a script gets by default is a matter of the TensorFlow."""
    import tensorflow.compat.v1 as tf

    before = tf.resource_variables_enabled()
    (tf.enable_resource_variables if request.param.startswith("resource") else tf.disable_resource_variables)()
    yield request.param
    (tf.enable_resource_variables if before else tf.disable_resource_variables)()


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """`once(name, fill)`: a directory that `fill(directory)` fills, once for all processes the tests run in.

    Tests leave what is in it as it is.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # the directories of all workers are in it

    def filled(name, fill):
        directory, is_filled = root / name, root / f"{name}.is_filled"
        with open(str(root / f"{name}.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_filled.exists():
                shutil.rmtree(str(directory), ignore_errors=True)
                directory.mkdir()
                fill(directory)
                is_filled.touch()
        return directory

    return filled


@pytest.fixture(scope="session")
def given(once):
    """Flags of run.py for small data and a tiny encoder."""
    from tests import small_task

    return [
        *small_task.flags_of(once("task", small_task.write_task)),
        *("-batch_size", "8", "-learning_rate", "5e-3", "-head_learning_rate", "5e-3", "-num_train_epochs", "4"),
        *("-subword_labels", "x", "-bias_correction=false"),  # with which it learns in so few steps
        *("-lstm_size", "8", "-dropout_rate", "0.1"),
    ]


@pytest.fixture(scope="session")
def finished(given, once):
    """(output directory, process) of a whole run."""
    from tests import small_task

    def fill(directory):
        done = small_task.succeed(
            *given, "-output_dir", str(directory / "output"), "-do_export", "-filter_adam_var", "-report"
        )
        with open(str(directory / "process.pkl"), "wb") as writer:
            pickle.dump(done, writer)

    directory = once("finished", fill)
    with open(str(directory / "process.pkl"), "rb") as reader:
        return str(directory / "output"), pickle.load(reader)
