"""Every module can be imported, and all Python here is of the oldest version that is promised."""

import ast
import glob
import importlib
import os
import sys

import pytest

from tests.paths import REPOSITORY

pytestmark = pytest.mark.every_tensorflow

EXTRAS = {"apache_beam", "tensorflow_serving"}  # what train/requirements-*.txt install


def test_every_module_of_the_package_imports():
    """On every TensorFlow and its Python: what runs there is tested there, the rest at least loads."""
    for package in ("bert", "train"):
        for path in sorted(glob.glob(os.path.join(REPOSITORY, package, "**", "*.py"), recursive=True)):
            name = os.path.relpath(path, REPOSITORY)[:-3].replace(os.sep, ".")
            try:
                importlib.import_module(name[: -len(".__init__")] if name.endswith(".__init__") else name)
            except ImportError as error:
                missing = (getattr(error, "name", None) or "").split(".")[0]
                assert missing in EXTRAS and missing not in sys.modules, (name, error)


def test_every_file_parses():
    """The tests and benchmarks too, which run on one Python only or on none here."""
    files = [
        path
        for folder in ("bert", "train", "tests", "benchmarks", "data_demo")
        for path in glob.glob(os.path.join(REPOSITORY, folder, "**", "*.py"), recursive=True)
    ]
    assert len(files) > 100
    for path in files:
        with open(path, "rb") as reader:
            ast.parse(reader.read(), path)
