"""Programs set TensorFlow's log level before TensorFlow is loaded: what it says then cannot be taken back."""

import os
import subprocess
import sys

import pytest

from bert.system.log import LOGGERS
from tests.paths import REPOSITORY

# Each program in a fork of one process. It ends where TensorFlow would be loaded, which takes seconds.
IMPORTS = """
import importlib, os, sys
import numpy  # which the programs share

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            sys.exit(0 if "TF_CPP_MIN_LOG_LEVEL" in os.environ else "TensorFlow before bert.system.startup")

sys.meta_path.insert(0, Guard())
for program in sys.argv[1:]:
    child = os.fork()
    if not child:
        importlib.import_module(program)
        sys.exit()
    print(program, os.waitpid(child, 0)[1], flush=True)
"""


def programs():
    for package in ("bert", "train"):
        for name in sorted(os.listdir(os.path.join(REPOSITORY, package))):
            if name.endswith(".py"):
                with open(os.path.join(REPOSITORY, package, name), encoding="utf-8") as reader:
                    if '__name__ == "__main__"' in reader.read():
                        yield f"{package}.{name[:-3]}"


@pytest.fixture(scope="module")
def imported():
    """({program: how its import ended, 0 if well}, what was said on standard error)."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, *programs()],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split() for line in done.stdout.splitlines()), done.stderr


@pytest.mark.parametrize("program", programs())
def test_the_log_level_is_set_first(program, imported):
    ends, said = imported
    assert ends[program] == "0", said


@pytest.mark.parametrize("program", programs())
def test_a_program_names_its_logger_and_leaves_that_of_main_alone(program):
    with open(os.path.join(REPOSITORY, *program.split(".")) + ".py", encoding="utf-8") as reader:
        content = reader.read()
    assert "__main__" not in LOGGERS
    assert "getLogger" not in content or f'getLogger("{program}")' in content
