"""What every test shares: graph mode, a quiet TensorFlow, and a session for the graph a test has built."""

import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
import pytest
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()
tf.logging.set_verbosity(tf.logging.ERROR)
# What a shell starts in the background ignores Ctrl-C, and so would every program that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


# A busy machine is no failure; in CI the examples are the same each time, elsewhere they are new ones.
hypothesis.settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("project")


@pytest.fixture
def graph():
    """A graph of the test's own, made the default one."""
    with tf.Graph().as_default() as test_graph:
        tf.set_random_seed(1)
        yield test_graph


@pytest.fixture
def evaluate(graph):
    """`evaluate(tensors, feed_dict=None)` in a session on `graph`, its variables initialised at the first call."""
    with tf.Session(graph=graph) as session:
        started = []

        def run(tensors, feed_dict=None):
            if not started:
                session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
                started.append(True)
            return session.run(tensors, feed_dict)

        run.session = session
        yield run
