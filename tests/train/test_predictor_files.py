"""What a model's directory has to hold; the encoder's files in it, which runs lay there and -clean removes."""

import glob
import json
import os
import shutil

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from tests.train.damaged_models import copy_of, refused
from train import run_dir
from train.predictor import Predictor


def test_what_is_no_model(finished, tmp_path):
    assert "no such directory" in refused(tmp_path / "nowhere")
    assert "neither run.json" in refused(tmp_path)
    assert "no such directory" in refused(os.path.join(finished[0], "run.json"))
    assert "expected one of auto, fp32" in refused(finished[0], precision="fp8")
    assert "was exported" in refused(os.path.join(finished[0], "export"), precision="bf16")


def test_a_damaged_run(finished, tmp_path):
    path = copy_of(finished, tmp_path)
    (path / "run.json").write_text("{}")
    assert "run.json: damaged" in refused(path)
    (path / "run.json").write_text("[1")
    assert "run.json: " in refused(path)
    state = dict(run_dir.read_state(finished[0]), training={})
    (path / "run.json").write_text(json.dumps(state))
    assert "run.json: expected the settings of a run; not found: 'constrain'" in refused(path)
    shutil.copy(os.path.join(finished[0], "run.json"), str(path))
    for file in glob.glob(str(path / "best" / "*.data*")):
        os.truncate(file, 1000)
    assert "cut off or damaged" in refused(path)
    shutil.rmtree(str(path / "best"))
    Predictor(str(path)).close()  # the newest checkpoint
    for file in glob.glob(str(path / "*ckpt*")) + [str(path / "checkpoint")]:
        os.remove(file)
    assert "no checkpoint" in refused(path)


@pytest.mark.parametrize(
    "name,value,expected",
    [
        ("lstm_size", 9, "rnn_layer/bidirectional_rnn/fw/lstm_cell/kernel has the shape"),
        ("lstm_size", "x", "lstm_size x; expected 1 to 65536"),
        ("num_layers", 0, "num_layers 0; expected 1 to 256"),
        ("cell", "foo", "cell foo; expected lstm or gru"),
        ("crf_only", True, "head crf_only; "),
        ("subword_labels", "q", "subword_labels q; expected x or first"),
        ("max_seq_length", 2, "max_seq_length 2; expected 3 to "),
        ("max_seq_length", 100000, "max_seq_length 100000; expected 3 to "),
        ("max_seq_length", "z", "max_seq_length z; expected 3 to "),
        ("scheme", "ZZ", "scheme ZZ; expected null or one of "),
        ("labels", 7, "labels 7; expected a list of names"),
        ("bert_config", None, "bert_config None; expected the sizes of an encoder"),
    ],
)
def test_settings_that_no_run_writes(name, value, expected, finished, tmp_path):
    path = copy_of(finished, tmp_path)
    state = run_dir.read_state(finished[0])
    state["model"][name] = value
    (path / "run.json").write_text(json.dumps(state))
    assert expected in refused(path)


def test_a_damaged_export(finished, tmp_path):
    (export,) = glob.glob(os.path.join(finished[0], "export", "*"))
    path = tmp_path / "export"
    shutil.copytree(export, str(path))
    assets = path / "assets"
    vocab = (assets / "vocab.txt").read_bytes()
    (assets / "vocab.txt").write_bytes(vocab.replace(b"[CLS]", b"[ClS]"))
    assert "expected an entry [CLS]" in refused(path)
    (assets / "vocab.txt").write_bytes(vocab + b"more\n")
    assert "the model expects" in refused(path)
    (assets / "vocab.txt").write_bytes(vocab)
    for file in ("label2id.json", "tagger.json", "bert_config.json"):
        content = (assets / file).read_text()
        (assets / file).write_text("[]")
        assert file in refused(path)
        (assets / file).unlink()
        assert file in refused(path)
        (assets / file).write_text(content)
    os.truncate(str(path / "saved_model.pb"), 5000)
    assert "cannot be loaded" in refused(path)


def files_of(path):
    return {name: (path / name).read_bytes() for name in ("vocab.txt", "bert_config.json") if (path / name).exists()}


@pytest.fixture
def encoder(tmp_path):
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("a")
    (folder / "bert_config.json").write_text("{}")
    return [str(folder / "vocab.txt"), str(folder / "bert_config.json")]


def begin(output, encoder):
    state = run_dir.new_state(str(output), {}, {})
    run_dir.write_state(str(output), state)
    run_dir.copy_encoder_files(str(output), state, *encoder)


def test_the_encoders_files_are_laid_beside_the_checkpoints_and_cleaned(tmp_path, encoder):
    output = tmp_path / "output"
    output.mkdir()
    begin(output, encoder)
    assert files_of(output) == files_of(tmp_path / "bert")
    begin(output, encoder)  # again, and with other files
    (tmp_path / "bert" / "vocab.txt").write_text("b")
    begin(output, encoder)
    assert files_of(output) == files_of(tmp_path / "bert")
    assert json.loads((output / "run.json").read_text())["copied"] == ["vocab.txt", "bert_config.json"]
    (output / "vocab.txt.tmp-7").write_text("half")
    run_dir.clean(str(output))
    assert list(output.iterdir()) == []


def test_a_users_own_files_are_neither_overwritten_nor_cleaned(tmp_path, encoder):
    output = tmp_path / "output"
    output.mkdir()
    (output / "vocab.txt").write_text("mine")
    begin(output, encoder)
    assert files_of(output) == {"vocab.txt": b"mine", "bert_config.json": b"{}"}
    run_dir.clean(str(output))
    assert files_of(output) == {"vocab.txt": b"mine"}


def test_a_run_in_the_encoders_own_directory(tmp_path, encoder):
    folder = tmp_path / "bert"
    before = files_of(folder)
    begin(folder, encoder)
    run_dir.clean(str(folder))
    assert files_of(folder) == before


def test_clean_leaves_what_the_next_run_is_given(tmp_path, encoder):
    output = tmp_path / "output"
    output.mkdir()
    begin(output, encoder)
    ours = [str(output / "vocab.txt"), str(output / "bert_config.json")]
    run_dir.clean(str(output), kept=ours)
    begin(output, ours)
    run_dir.clean(str(output))
    assert files_of(output) == files_of(tmp_path / "bert")


def test_runs_of_earlier_versions_own_no_such_files(tmp_path, encoder):
    state = dict(run_dir.new_state(str(tmp_path), {}, {}))
    del state["copied"]
    run_dir.write_state(str(tmp_path / "bert"), state)
    before = files_of(tmp_path / "bert")
    run_dir.clean(str(tmp_path / "bert"))
    assert files_of(tmp_path / "bert") == before


def test_of_an_export_only_the_signature_of_ids_is_loaded(finished):
    """The one of texts has about as many operations again."""
    with Predictor(os.path.join(finished[0], "export")) as predict:
        operations = predict._tagger._session.graph.get_operations()
    assert {"MatMul", "RestoreV2"} <= {op.type for op in operations}
    assert {op.name for op in operations if op.type == "Placeholder"} == {"input_ids", "input_mask", "segment_ids"}


@pytest.mark.parametrize(
    "change,expected",
    [
        (lambda saved: saved.ClearField("meta_graphs"), "no graph for serving"),
        (lambda saved: saved.meta_graphs[0].signature_def.pop("serving_default"), "signature serving_default"),
        (lambda saved: saved.meta_graphs[0].graph_def.node.pop(0), "its graph lacks"),
        (lambda saved: saved.meta_graphs[0].saver_def.ClearField("filename_tensor_name"), "cannot be loaded"),
    ],
)
def test_a_damaged_graph_of_an_export(change, expected, finished, tmp_path):
    (given,) = glob.glob(os.path.join(finished[0], "export", "*"))
    path = str(tmp_path / "export")
    shutil.copytree(given, path)
    saved = saved_model_pb2.SavedModel()
    with open(os.path.join(path, "saved_model.pb"), "rb") as reader:
        saved.ParseFromString(reader.read())
    change(saved)
    with open(os.path.join(path, "saved_model.pb"), "wb") as writer:
        writer.write(saved.SerializeToString())
    message = refused(path)
    assert expected in message and "cannot be loaded as a tagger's SavedModel" in message
    with open(os.path.join(path, "saved_model.pb"), "wb") as writer:
        writer.write(b"\xff" * 100)
    assert "saved_model.pb is damaged" in refused(path)
