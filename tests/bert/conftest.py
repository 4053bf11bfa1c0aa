"""Fixtures that several of these files use: of the converter, and of run_classifier."""

import json

import pytest

from bert.convert_checkpoint import main
from tests.bert.classifier_task import CONFIG, PIECES, write_lines, write_mrpc


@pytest.fixture
def convert(tmp_path, capsys, monkeypatch):
    """`convert(source, target, *flags)`: converts under tmp_path; returns (directory written, lines of the log)."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def run(source, target, *flags):
        capsys.readouterr()
        main(["-input_dir", str(tmp_path / source), "-output_dir", str(tmp_path / target)] + list(flags))
        printed = capsys.readouterr()
        assert printed.out == ""
        return tmp_path / target, [line.split(" ", 1)[1] for line in printed.err.splitlines()]

    return run


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """The directory of a tiny encoder's vocabulary and sizes, without weights."""
    directory = tmp_path_factory.mktemp("bert")
    write_lines(directory / "vocab.txt", PIECES)
    (directory / "bert_config.json").write_text(json.dumps(CONFIG))
    return directory


@pytest.fixture(scope="module")
def mrpc(tmp_path_factory):
    """The directory of data in the shape of MRPC."""
    directory = tmp_path_factory.mktemp("mrpc")
    write_mrpc(directory)
    return directory
