"""What the code wrote before it was put into folders is read, served and resumed by the code of today.

old_run.tar.xz was made on TensorFlow 2.15.1 by that code. `data` and `bert` are the small task. `run` is a finished run
with its export and what it tagged. `stopped` is a run of 180 steps that SIGTERM stopped at step 90. `texts.jsonl` is
what `run` makes of `texts.txt`, and `part.jsonl.partial` has 30 lines of it: there the tagger was killed.
"""

import json
import os
import tarfile

import pytest
import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint
from tests.paths import REPOSITORY
from tests.serving import Model, RestServer
from tests.small_task import succeed_here
from train import predict, run_dir
from train.bulk import loop
from train.bulk import texts as bulk_texts
from train.predictor import Predictor
from train.serving import signatures
from train.serving.client import ServingClient
from train.tagger.calibration import UNCALIBRATED

FLAGS = "-data_dir data -bert_dir bert -max_seq_length 16 -batch_size 8 -learning_rate 1e-2 -lstm_size 16 "
FLAGS += "-dropout_rate 0.1 -num_train_epochs 30 -save_checkpoints_steps 30 -eval_every 60"


@pytest.fixture
def old(tmp_path, monkeypatch):
    """The working directory, with everything in it."""
    with tarfile.open(os.path.join(REPOSITORY, "tests", "old_run.tar.xz")) as archive:
        archive.extractall(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def assert_same(found, lines, of_entities=False):
    """`found`: for each text a list of Entity; of_entities: whether scores are of entities, not the least of words."""
    pairs = [pair for one, line in zip(found, lines) for pair in zip(one, line["entities"])]
    for entity, before in pairs:
        if of_entities:
            assert 0 < entity.score <= before["score"] + 2e-4
        else:
            assert entity.score == pytest.approx(before["score"], abs=2e-4)
    assert of_entities == any(entity.score < before["score"] - 0.01 for entity, before in pairs)
    assert [[(entity.type, entity.text, entity.start, entity.end) for entity in entities] for entities in found] == [
        [(entity["type"], entity["text"], entity["start"], entity["end"]) for entity in line["entities"]]
        for line in lines
    ]


def test_a_run_and_its_export_are_read_and_served(old):
    lines = lines_of(old / "texts.jsonl")
    texts = [line["text"] for line in lines]
    assert sum(len(line["entities"]) for line in lines) > 100
    export = signatures.newest(str(old / "run" / "export"))
    for model_dir in (str(old / "run"), export):
        with Predictor(model_dir) as predictor:
            assert predictor.settings.calibration == UNCALIBRATED
            assert_same(predictor(texts), lines, of_entities=model_dir != export)  # which has the words' alone
    model = Model(export)
    server = RestServer(model)
    try:
        for signature in (signatures.TEXT, signatures.DEFAULT):
            with ServingClient(server.url, "ner", signature=signature, export_dir=export) as client:
                assert_same(client(texts), lines)
    finally:
        server.close()
        model.close()


@pytest.mark.one_tensorflow
def test_a_run_goes_on(old):
    before = run_dir.read_state("stopped")
    log = succeed_here("-output_dir", "stopped", *FLAGS.split())
    assert "goes on from step 90" in log and "other settings" not in log
    assert log.count("is up to date") == 3  # the record files
    state = run_dir.read_state("stopped")
    assert state["finished"] and checkpoint.step_of(checkpoint.latest("stopped")) == 180
    assert state["evaluations"][:1] == before["evaluations"] and len(state["evaluations"]) == 3
    assert state["model"] == before["model"] and state["training"] == before["training"]
    assert state["best"]["f1"] >= before["best"]["f1"]


def test_bulk_tagging_goes_on(old, monkeypatch):
    if tf.__version__ != "2.15.1":
        pytest.skip("an output is resumed on the TensorFlow that began it")
    monkeypatch.setattr(loop, "__version__", "0.1.0")
    monkeypatch.setattr(bulk_texts, "GROUP_TEXTS", 10)
    begun = (old / "part.jsonl.partial").read_bytes()
    predict.main("-model_dir run texts.txt -output part.jsonl -resume".split())
    assert begun and (old / "part.jsonl").read_bytes().startswith(begun)
    found, expected = lines_of(old / "part.jsonl"), lines_of(old / "texts.jsonl")
    for lines in (found, expected):
        for entity in [entity for line in lines for entity in line["entities"]]:
            entity["score"] = pytest.approx(entity["score"], abs=2e-4)
    assert [dict(line, entities=None) for line in found] == [dict(line, entities=None) for line in expected]
    assert [[entity["text"] for entity in line["entities"]] for line in found] == [
        [entity["text"] for entity in line["entities"]] for line in expected
    ]
