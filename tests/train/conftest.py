"""Fixtures that several of these files use."""

import pytest

from tests import serving
from tests.fake_predictor import FakePredictor
from tests.train.bulk_tagging import LINES
from train.bulk import loop, resumable
from train.predictor import Predictor
from train.serving import client, signatures


@pytest.fixture(scope="session")
def exported(once):
    """The path of `serving.make_export`'s export, made once for all processes."""
    return signatures.newest(str(once("exported", serving.make_export) / "export"))


@pytest.fixture(scope="module")
def predict(exported):
    """A Predictor of that export."""
    with Predictor(exported) as made:
        yield made


@pytest.fixture
def quick(monkeypatch):
    """No proxy between a client and its server, and short delays."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(client, "FIRST_DELAY", 0.001)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current directory of the test: an input file, a directory that stands for a model, a fake predictor."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "in.txt").write_bytes("\n".join(LINES).encode() + b"\r\n")
    monkeypatch.setattr(loop, "load_predictor", lambda arguments, *_: FakePredictor(min_score=arguments["min_score"]))
    monkeypatch.setattr(loop, "model_identity", lambda _: {"the model": "fake", "TensorFlow": "2"})
    monkeypatch.setattr(resumable, "SECONDS_BETWEEN_RECORDS", 0)
    return tmp_path
