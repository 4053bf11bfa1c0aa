"""How an Estimator calls model and input functions, and what it makes of an input; see own_estimator.py."""

import functools
import inspect

import tensorflow.compat.v1 as tf


class Initializer(tf.train.SessionRunHook):
    """Starts an iterator in each new session; `make` gives the operations."""

    def __init__(self, make):
        self._make = make

    def begin(self):
        self._operations = self._make()

    def after_create_session(self, session, coord):
        session.run(self._operations)


def taken(function, given):
    """The arguments that a function takes by name, out of those given; a partial's own are left as they are."""
    bound = function.keywords if isinstance(function, functools.partial) else ()
    names = set(inspect.signature(function).parameters) - set(bound)
    return {name: value for name, value in given.items() if name in names}


def features_and_labels(inputs):
    if isinstance(inputs, (list, tuple)):
        if len(inputs) != 2:
            raise ValueError(f"input_fn returned {len(inputs)} values; expected (features, labels)")
        return tuple(inputs)
    return inputs, None
