"""A script that lies in bert/, as those written for Google's repository do, imports the modules by their bare names."""

import os
import subprocess
import sys

import pytest

from tests.paths import REPOSITORY

SCRIPT = """
import importlib, os, sys
import tensorflow  # which takes seconds: the scripts are forks of the process that has loaded it

def script(first):
    importlib.import_module(first)
    import modeling, optimization, tokenization, run_classifier, run_squad, run_pretraining, extract_features
    import create_pretraining_data, sentence2vec, sentence2veclib
    import bert.modeling
    assert modeling.BertConfig is bert.modeling.BertConfig and run_classifier.DataProcessor().get_labels
    print("imported", first, flush=True)

for first in sys.argv[1:]:
    child = os.fork()
    if not child:
        script(first)
        os._exit(0)
    os.waitpid(child, 0)
"""
FIRST = ["modeling", "run_squad"]


@pytest.fixture(scope="module")
def printed():
    """(standard output, standard error) of scripts that import these modules first."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *FIRST],
        cwd=os.path.join(REPOSITORY, "bert"),
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return done.stdout.splitlines(), done.stderr


@pytest.mark.one_tensorflow
@pytest.mark.parametrize("first", FIRST)
def test_bare_names(first, printed):
    lines, errors = printed
    assert f"imported {first}" in lines, errors
