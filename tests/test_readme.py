"""README says of the flags and the files what the program says."""

import os
import re

from tests.paths import REPOSITORY
from train import run_dir
from train.train_helper import _build_parser

README = os.path.join(REPOSITORY, "README.md")


def read():
    with open(README, encoding="utf-8") as reader:
        return reader.read()


def test_every_flag_is_described_with_its_default():
    described = dict(re.findall(r"^\| `-(\w+)` \| ([^|]*?) ?\|", read(), re.M))
    flags = {action.dest: action for action in _build_parser()._actions if action.dest != "help"}
    assert set(described) == set(flags)
    for name, action in flags.items():
        if action.default not in (None, "==SUPPRESS=="):
            default = str(action.default)
            stated = {"True": "true", "False": "false"}.get(default, described[name])
            assert described[name] == stated
            if stated not in ("true", "false"):
                same = described[name] == default or float(described[name]) == float(default)
                assert same, (name, described[name], default)


def test_every_file_is_described():
    text = read()
    names = [run_dir.RUN_STATE, run_dir.LABEL2ID, run_dir.LABEL_LIST_PICKLE, run_dir.LABEL2ID_PICKLE, run_dir.PIECES]
    names += [run_dir.EVAL_RESULTS, *run_dir.RECORDS.values(), *run_dir.TAGGED.values(), *run_dir.REPORT.values()]
    for name in names:
        assert f"`{name}`" in text
