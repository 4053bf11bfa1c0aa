"""Whole runs with every path in a store: in memory, or on this machine through TensorFlow where it has no memory.

TEST_STORE=s3://bucket, a store that this TensorFlow can write to, has them run there: docs/files.md.
"""

import io
import json
import os
import sys
import uuid

import numpy as np
import pytest

from bert import create_pretraining_data, extract_features, run_classifier, run_pretraining
from bert.runtime import checkpoint
from bert.sentence2veclib import Sentence2Vec
from bert.system import filesystem, remote_lock
from bert.system.errors import UserError
from tests import small_task, stores
from tests.bert import classifier_task as mrpc
from tests.paths import REPOSITORY
from train import conlleval, predict, run_dir
from train.predictor import Predictor
from train.report import learning


@pytest.fixture(autouse=True, scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(remote_lock, "SETTLE_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    if os.environ.get("TEST_STORE"):
        return f"{os.environ['TEST_STORE'].rstrip('/')}/{uuid.uuid4().hex}"
    return stores.memory() if stores.HAS_MEMORY else f"file://{tmp_path_factory.mktemp('store')}"


@pytest.fixture(scope="module")
def task(root, tmp_path_factory):
    """(flags of run.py whose files are all in the store, the same with files on the disk)."""
    directory = tmp_path_factory.mktemp("task")
    small_task.write_task(directory, 16, 4, num_hidden_layers=1)
    rest = ["-batch_size", "16", "-learning_rate", "5e-3", "-head_learning_rate", "5e-2", "-crf_only"]
    stores.upload(directory, f"{root}/task")
    there, here = (["-data_dir", f"{top}/data", "-bert_dir", f"{top}/bert"] for top in (f"{root}/task", str(directory)))
    rest += ["-max_seq_length", "16"]
    return there + rest, here + rest


@pytest.fixture(scope="module")
def trained(root, task, quick):
    """(-output_dir, what was printed) of a run of run.py."""
    output = f"{root}/runs/output"
    more = ["-report", "-do_export", "-filter_adam_var", "-num_train_epochs", "2"]
    return output, small_task.succeed_here(*task[0], "-output_dir", output, *more)


def test_training_writes_there(trained, root):
    output, printed = trained
    names = stores.files(output)
    expected = {run_dir.LABEL2ID, run_dir.VOCAB, run_dir.BERT_CONFIG, run_dir.EVAL_RESULTS, run_dir.RUN_STATE}
    expected |= {run_dir.REPORT_PAGE, run_dir.PIECES, run_dir.LABEL_LIST_PICKLE, run_dir.LABEL2ID_PICKLE, "checkpoint"}
    expected |= {*run_dir.RECORDS.values(), *run_dir.TAGGED.values(), *run_dir.REPORT.values()}
    expected |= {"model.ckpt.index", "best/checkpoint"}
    assert expected <= set(names)
    assert not [name for name in names if ".tmp" in name or "_temp" in name or name == "run.lock"]
    assert any(name.startswith("events.") for name in names) and any(name.startswith("eval/events.") for name in names)
    (model,) = [name for name in names if name.endswith("saved_model.pb")]
    assert f"wrote {output}/{os.path.dirname(model)}" in printed
    assert run_dir.read_state(output)["finished"]
    best = checkpoint.latest(f"{output}/best")
    assert best.startswith(f"{output}/best/model.ckpt-") and checkpoint.is_whole(best)
    kept = [name for name in filesystem.listdir(f"{output}/best") if name.endswith(".index")]
    assert kept == [os.path.basename(best) + ".index"]
    assert learning.training_losses(output)
    assert not os.path.exists(root.split("/")[0])  # a local folder, ./ram:
    report = conlleval.return_report(f"{output}/{run_dir.TAGGED['test']}")
    assert stores.read(f"{output}/{run_dir.REPORT['test']}").decode("utf-8") == "".join(report)


@pytest.mark.one_tensorflow
def test_training_writes_what_it_writes_on_a_disk(trained, task, tmp_path):
    output = trained[0]
    small_task.succeed_here(*task[1], "-output_dir", str(tmp_path), "-num_train_epochs", "2")
    for name in (*run_dir.TAGGED.values(), run_dir.EVAL_RESULTS, run_dir.LABEL2ID, run_dir.RECORDS["train"]):
        assert stores.read(f"{output}/{name}") == stores.read(str(tmp_path / name)), name
    report = conlleval.return_report(str(tmp_path / run_dir.TAGGED["test"]))
    assert conlleval.return_report(f"{output}/{run_dir.TAGGED['test']}") == report


def test_a_trained_tagger_is_used_from_there(root, trained):
    output = trained[0]
    stores.write(f"{output}/export/99999999999/assets/vocab.txt", b"")  # an export that is still on its way
    text = "Ann met Bob in London ."
    with Predictor(output) as of_run, Predictor(f"{output}/export") as of_export:
        assert of_run(text) == of_export(text)
    stores.write(f"{root}/texts.txt", (text + "\n").encode("utf-8") * 3)
    argv = ["-model_dir", output, f"{root}/texts.txt", "-output", f"{root}/tagged.jsonl"]
    predict.main(argv)
    rows = stores.read(f"{root}/tagged.jsonl").decode("utf-8").splitlines()
    assert [json.loads(row)["text"] for row in rows] == [text] * 3
    assert not [name for name in stores.files(root) if name.startswith("tagged.jsonl.")]
    with pytest.raises(UserError, match="-resume is for files on this machine"):
        predict.main([*argv, "-resume"])
    with pytest.raises(UserError, match="texts.txt: input and output are the same file"):
        predict.main([*argv[:-1], f"{root}/texts.txt"])
    filesystem.rmtree(f"{output}/export/99999999999")


@pytest.mark.one_tensorflow
def test_a_run_goes_on_and_starts_afresh(trained, task, root):
    output = trained[0]
    before = checkpoint.latest(output)
    step = checkpoint.step_of(before)
    more = ["-output_dir", output, "-do_predict=false"]
    printed = small_task.succeed_here(*task[0], *more, "-num_train_epochs", "3")
    assert f"goes on from step {step} ({before})" in printed and "train.tf_record is up to date" in printed
    assert checkpoint.step_of(checkpoint.latest(output)) == step * 3 // 2
    stores.write(f"{output}/mine.txt", b"mine")
    for name in filesystem.listdir(f"{output}/best"):
        stores.write(f"{root}/start/{name}", stores.read(f"{output}/best/{name}"))
    start = ["-init_checkpoint", f"{root}/start", "-init_head=false"]
    printed = small_task.succeed_here(*task[0], *more, "-num_train_epochs", "1", "-clean", *start)
    assert "goes on" not in printed and f"encoder variables from {root}/start/model.ckpt-" in printed
    names = stores.files(output)
    assert "mine.txt" in names and run_dir.TAGGED["dev"] not in names and not [n for n in names if "export/" in n]
    assert checkpoint.step_of(checkpoint.latest(output)) == step // 2
    with pytest.raises(UserError, match=f"{output}/label2id.json: its labels are not those of -label_list"):
        small_task.succeed_here(*task[0], *more, "-do_train=false", "-label_list", "O,B-LOC,X,[CLS],[SEP]")


@pytest.mark.one_tensorflow
def test_run_classifier(root, tmp_path):
    mrpc.write_mrpc(tmp_path, 16, 4)
    mrpc.write_lines(tmp_path / "vocab.txt", mrpc.PIECES)
    (tmp_path / "bert_config.json").write_text(json.dumps(mrpc.CONFIG))
    given = stores.upload(tmp_path, f"{root}/mrpc")
    output = f"{root}/runs/mrpc"
    flags = mrpc.flags_of(given, given, output, "mrpc", "--num_train_epochs=1")
    steps = ["--do_eval", "--do_predict", "--do_export", "--train_batch_size=8"]
    run_classifier.main([*flags, "--do_train", *steps])
    names = stores.files(output)
    assert {"eval_results.txt", "test_results.tsv", "task.json", "settings.json", "model.ckpt-2.index"} <= set(names)
    assert len([name for name in names if name.endswith("saved_model.pb")]) == 1 and "run.lock" not in names
    assert b"global_step = 2" in stores.read(f"{output}/eval_results.txt")
    run_classifier.main([*flags, "--do_train", *steps, "--num_train_epochs=2"])
    assert b"global_step = 4" in stores.read(f"{output}/eval_results.txt")
    # Used from elsewhere, by its -init_checkpoint.
    other = [flag for flag in flags if "output_dir" not in flag] + [f"--output_dir={root}/runs/mrpc2"]
    run_classifier.main([*other, "--do_predict", f"--init_checkpoint={output}/model.ckpt-4"])
    assert stores.read(f"{root}/runs/mrpc2/test_results.tsv") == stores.read(f"{output}/test_results.tsv")


@pytest.mark.one_tensorflow
def test_pretraining_and_features(root, monkeypatch):
    with open(os.path.join(REPOSITORY, "bert", "sample_text.txt"), "rb") as reader:
        stores.write(f"{root}/pre/text", b"\n".join(reader.read().splitlines()[:30]))
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] the of and a to in was".split()
    stores.write(f"{root}/pre/vocab.txt", ("\n".join(words) + "\n").encode("utf-8"))
    config = dict(mrpc.CONFIG, vocab_size=len(words), hidden_size=16, intermediate_size=16)
    stores.write(f"{root}/pre/bert_config.json", json.dumps(config).encode("utf-8"))
    shape = ["--max_seq_length=32", "--max_predictions_per_seq=5"]
    encoder = [f"--vocab_file={root}/pre/vocab.txt"]
    made = ["--num_processes=1", "--dupe_factor=2", f"--input_file={root}/pre/te*"]
    monkeypatch.setattr(
        sys, "argv", ["program", *made, f"--output_file={root}/pre/a.rec,{root}/pre/b.rec", *encoder, *shape]
    )
    create_pretraining_data.main()
    flags = [f"--input_file={root}/pre/*.rec", f"--output_dir={root}/runs/pre", *shape]
    flags += [f"--bert_config_file={root}/pre/bert_config.json", "--train_batch_size=4", "--num_warmup_steps=1"]
    run_pretraining.main([*flags, "--do_train", "--do_eval", "--num_train_steps=2", "--max_eval_steps=2"])
    run_pretraining.main([*flags, "--do_train", "--do_eval", "--num_train_steps=3", "--max_eval_steps=2"])
    assert b"global_step = 3" in stores.read(f"{root}/runs/pre/eval_results.txt")

    encoder += [f"--bert_config_file={root}/pre/bert_config.json", f"--init_checkpoint={root}/runs/pre"]
    stores.write(f"{root}/pre/input.txt", b"the cat ||| was in\nof\n")
    for end in ("json", "npz"):
        monkeypatch.setattr(
            sys,
            "argv",
            ["program", *encoder, f"--input_file={root}/pre/input.txt", f"--output_file={root}/pre/out.{end}"]
            + [f"--format={end}", "--layers=-1", "--max_seq_length=16"],
        )
        extract_features.main()
    rows = [json.loads(line) for line in stores.read(f"{root}/pre/out.json").splitlines()]
    arrays = np.load(io.BytesIO(stores.read(f"{root}/pre/out.npz")))
    assert [feature["token"] for row in rows for feature in row["features"]] == list(arrays["tokens"])
    named = dict(flag[2:].split("=") for flag in encoder)
    with Sentence2Vec(dict(named, max_seq_length=16)) as vectors:
        assert vectors.encode(["the cat"]).shape == (1, 16)
