"""Programs set TensorFlow's log level before TensorFlow is loaded: what it says then cannot be taken back."""

import os
import subprocess
import sys

import pytest

from bert.system.log import LOGGERS
from tests.paths import REPOSITORY

# Ends where TensorFlow would be loaded, which takes seconds.
IMPORT = """
import importlib, os, sys

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            sys.exit(0 if "TF_CPP_MIN_LOG_LEVEL" in os.environ else "TensorFlow before bert.system.startup")

sys.meta_path.insert(0, Guard())
importlib.import_module(sys.argv[1])
"""


def programs():
    for package in ("bert", "train"):
        for name in sorted(os.listdir(os.path.join(REPOSITORY, package))):
            if name.endswith(".py"):
                with open(os.path.join(REPOSITORY, package, name), encoding="utf-8") as reader:
                    if '__name__ == "__main__"' in reader.read():
                        yield f"{package}.{name[:-3]}"


@pytest.mark.parametrize("program", programs())
def test_the_log_level_is_set_first(program):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, program],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", programs())
def test_a_program_names_its_logger_and_leaves_that_of_main_alone(program):
    with open(os.path.join(REPOSITORY, *program.split(".")) + ".py", encoding="utf-8") as reader:
        content = reader.read()
    assert "__main__" not in LOGGERS
    assert "getLogger" not in content or f'getLogger("{program}")' in content
