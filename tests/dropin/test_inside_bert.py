"""A script that lies in bert/, as those written for Google's repository do, imports the modules by their bare names."""

import os
import subprocess
import sys

import pytest

from tests.paths import REPOSITORY

SCRIPT = """
import {first}
import modeling, optimization, tokenization, run_classifier, run_squad, run_pretraining, extract_features
import create_pretraining_data, sentence2vec, sentence2veclib
import bert.modeling
assert modeling.BertConfig is bert.modeling.BertConfig and run_classifier.DataProcessor().get_labels
print("imported")
"""


@pytest.mark.one_tensorflow
@pytest.mark.parametrize("first", ["modeling", "run_squad"])
def test_bare_names(first):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(first=first)],
        cwd=os.path.join(REPOSITORY, "bert"),
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.stdout == "imported\n", done.stderr
