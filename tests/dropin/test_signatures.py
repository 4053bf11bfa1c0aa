"""Every name that scripts import is there, with the parameters they know: names, order and defaults."""

import ast
import importlib
import inspect

import pytest

from tests.dropin.signatures import SIGNATURES

LINES = [(module, line.strip()) for module, text in SIGNATURES.items() for line in text.strip().splitlines()]


def expected_parameters(line, module):
    """[(name, default)] of a line such as `f(a, b=1)`; the default is inspect's `empty` where there is none."""
    arguments = ast.parse(f"def f({line.partition('(')[2]}: pass").body[0].args
    names = [argument.arg for argument in arguments.args]
    defaults = [eval(compile(ast.Expression(node), "", "eval"), dict(vars(module))) for node in arguments.defaults]
    missing = [inspect.Parameter.empty] * (len(names) - len(defaults))
    return list(zip(names, missing + defaults))


def difference(found, expected):
    """What is not as expected, a str; None where a caller that knows the expected parameters gets on."""
    parameters = [each for each in found if each.kind in (each.POSITIONAL_OR_KEYWORD, each.POSITIONAL_ONLY)]
    head = [(parameter.name, parameter.default) for parameter in parameters[: len(expected)]]
    if head != expected:
        return f"{head}; expected {expected}"
    without_default = [each.name for each in parameters[len(expected) :] if each.default is each.empty]
    return f"needs {without_default} too" if without_default else None


@pytest.mark.one_tensorflow
@pytest.mark.parametrize("module, line", LINES, ids=[f"{module}.{line.partition('(')[0]}" for module, line in LINES])
def test_names_and_parameters(module, line):
    module = importlib.import_module(module)
    found = module
    for name in line.partition("(")[0].split("."):
        found = getattr(found, name)
    assert difference(inspect.signature(found).parameters.values(), expected_parameters(line, module)) is None


@pytest.mark.parametrize(
    "function, is_same",
    [
        (lambda a, b=1: 0, True),
        (lambda a, b=1, c=None: 0, True),
        (lambda a, b=2: 0, False),
        (lambda b=1, a=2: 0, False),
        (lambda a: 0, False),
        (lambda a=0, b=1: 0, False),
    ],
)
def test_a_difference_is_seen(function, is_same):
    found = difference(inspect.signature(function).parameters.values(), expected_parameters("f(a, b=1)", ast))
    assert (found is None) == is_same
