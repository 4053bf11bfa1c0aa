"""The whole flow on small data: what run.py writes, how it resumes, and that nothing is lost on the way."""

import glob
import json
import os
import pickle
import re
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import tokenization
from bert.system.errors import UserError
from tests.pages import Page
from tests.paths import REPOSITORY
from tests.small_task import PIECES, data_file, succeed_here, tagged
from train import conlleval, run_dir
from train.data.conll import read_conll
from train.data.labels import read_labels
from train.data.text import MARKS
from train.data.units import units_of


@pytest.mark.parametrize("split", ["dev", "test"])
def test_every_word_of_the_file_is_in_the_tagged_one(split, given, finished):
    sentences = read_conll(data_file(given, split))
    rows = tagged(finished[0], split)
    assert [[row[:2] for row in block] for block in rows] == [list(zip(s.words, s.tags)) for s in sentences]
    assert {row[2] for block in rows for row in block} <= {"O", "B-PER", "I-PER", "B-LOC"}


@pytest.mark.parametrize("split", ["dev", "test"])
def test_predicted_tags_are_well_formed(split, finished):
    for block in tagged(finished[0], split):
        previous = "O"
        for _, _, tag in block:
            assert not tag.startswith("I-") or previous in ("B" + tag[1:], "I" + tag[1:])
            previous = tag


def test_reports(given, finished):
    output, process = finished
    for split in ("dev", "test"):
        with open(os.path.join(output, run_dir.REPORT[split])) as reader:
            report = reader.read()
        assert report in process.stdout
        with open(os.path.join(output, run_dir.TAGGED[split]), "rb") as rows:
            perl = subprocess.run(
                ["perl", os.path.join(REPOSITORY, "train", "conlleval.pl")], stdin=rows, stdout=subprocess.PIPE
            )
        assert perl.stdout.decode("utf-8") == report
    assert "micro avg" in process.stdout

    results = dict(line.rstrip("\n").split(" = ") for line in open(os.path.join(output, run_dir.EVAL_RESULTS)))
    with open(os.path.join(output, run_dir.TAGGED["dev"]), encoding="utf-8") as reader:
        overall, _ = conlleval.metrics(conlleval.evaluate(reader))
    state = run_dir.read_state(output)
    for name, value in (("precision", overall.prec), ("recall", overall.rec), ("f1", overall.fscore)):
        assert float(results["eval_" + name]) == value
        # What dev evaluation found during training is what predicting with the checkpoint it kept finds.
        assert state["best"][name] == value
    np.testing.assert_allclose(float(results["eval_loss"]), state["best"]["loss"], rtol=1e-5)
    assert int(results["global_step"]) == state["best"]["step"]


def test_report_page(finished):
    output, _ = finished
    with open(os.path.join(output, run_dir.REPORT_PAGE), encoding="utf-8") as reader:
        page = Page(reader.read())
    figures = iter(page.texts["dd", None])
    for split in ("dev", "test"):
        with open(os.path.join(output, run_dir.REPORT[split])) as reader:
            report = reader.read()
        scores = dict(re.findall(r"(accuracy|precision|recall|FB1): +([\d.]+)", report)[:4])
        assert [next(figures) for _ in range(4)] == [scores[n] for n in ("FB1", "precision", "recall", "accuracy")]
        next(figures)  # the loss
        table = page.tables[f"{split}-types", "Entities by type"]
        by_type = re.findall(r"^ *(\w+): precision: +(\S+)%; recall: +(\S+)%; FB1: +(\S+) +(\d+)$", report, re.M)
        assert [[row[0], row[2], row[3], row[1], row[5]] for row in table[1:-1]] == [list(row) for row in by_type]
    evaluations = page.tables["learning", "Evaluations of the dev set"]
    assert len(evaluations) == 1 + len(run_dir.read_state(output)["evaluations"])
    assert "Losses by step of training" in page.texts["title", None]
    assert any(text.startswith("F1") for text in page.texts["title", None])


def test_the_best_checkpoint_is_kept(finished):
    state = run_dir.read_state(finished[0])
    assert state["finished"] and len(state["evaluations"]) == 4
    assert state["best"]["f1"] == max(scores["f1"] for scores in state["evaluations"])
    best = tf.train.latest_checkpoint(os.path.join(finished[0], "best"))
    assert tf.train.load_variable(best, "global_step") == state["best"]["step"]
    assert len(glob.glob(os.path.join(finished[0], "best", "*.index"))) == 1


def test_labels(finished):
    with open(os.path.join(finished[0], "label2id.json")) as reader:
        ids = json.load(reader)
    assert ids == {"O": 1, "B-LOC": 2, "B-PER": 3, "I-PER": 4, "X": 5, "[CLS]": 6, "[SEP]": 7}
    with open(os.path.join(finished[0], "label2id.pkl"), "rb") as reader:
        assert pickle.load(reader) == ids
    with open(os.path.join(finished[0], "label_list.pkl"), "rb") as reader:
        assert pickle.load(reader) == sorted(ids, key=ids.get)


def test_pieces_of_the_test_file(given, finished):
    tokenizer = tokenization.FullTokenizer(os.path.join(given[3], "vocab.txt"))
    capacity = 16 - 2
    expected = []
    for s in read_conll(data_file(given, "test")):
        for word in s.words:
            for unit in units_of(word, MARKS):
                expected += tokenizer.tokenize(unit)[:capacity]
    with open(os.path.join(finished[0], "token_test.txt"), encoding="utf-8", newline="\n") as reader:
        assert [piece for piece in reader.read().split("\n") if piece] == expected


def test_filtered_checkpoint(finished):
    output = finished[0]
    whole = tf.train.load_checkpoint(tf.train.latest_checkpoint(os.path.join(output, "best")))
    small = tf.train.load_checkpoint(os.path.join(output, "model.ckpt"))
    names = set(whole.get_variable_to_shape_map())
    kept = {name for name in names if not name.endswith(("/adam_m", "/adam_v"))}
    assert set(small.get_variable_to_shape_map()) == kept < names
    for name in kept:
        np.testing.assert_array_equal(small.get_tensor(name), whole.get_tensor(name))


def test_summaries(finished):
    tags = set()
    for file in glob.glob(os.path.join(finished[0], "events.*")) + glob.glob(os.path.join(finished[0], "eval", "*")):
        for event in tf.train.summary_iterator(file):
            tags |= {value.tag + "/image" * value.HasField("image") for value in event.summary.value}
    assert {"loss", "learning_rate", "gradient_norm", "transitions", "dev/f1"} <= tags
    assert [tag for tag in tags if "transitions" in tag and "image" in tag]


def test_the_log_has_no_progress_bar_and_no_tensorflow(finished):
    log = finished[1].stderr
    assert "\r" not in log and "WARNING" not in log and "examples/s" in log
    of_tensorflow = re.compile(r"[IWEF]\d{4} |\d{4}-\d\d-\d\d .*: [IWEF] ")
    assert not [line for line in log.splitlines() if of_tensorflow.match(line)]
    assert "no -init_checkpoint: the encoder starts from random weights" in log


def saved_model(output):
    (path,) = glob.glob(os.path.join(output, "export", "*"))
    return path


@pytest.mark.parametrize("give_word_start", [pytest.param(True, marks=pytest.mark.one_tensorflow), False])
def test_export_gives_what_predict_gives(give_word_start, given, finished):
    """The windows of test.txt as the record file has them, through the SavedModel, in batches of another size."""
    output = finished[0]
    labels = read_labels(os.path.join(output, run_dir.LABEL2ID))
    words = [row for block in tagged(output, "dev") for row in block]
    with tf.Graph().as_default(), tf.Session() as session:
        loaded = tf.saved_model.loader.load(session, ["serve"], saved_model(output))
        signature = loaded.signature_def["serving_default"]
        names = [node.name for node in loaded.graph_def.node if node.op == "VarHandleOp"]
        assert len(names) == len(set(names)) > 0 and not any("adam" in name for name in names)
        outputs = {name: info.name for name, info in signature.outputs.items()}
        found = []
        for record in tf.python_io.tf_record_iterator(os.path.join(output, "eval.tf_record")):
            feature = tf.train.Example.FromString(record).features.feature
            fed = {name: [list(feature[name].int64_list.value)] for name in ("input_ids", "input_mask", "segment_ids")}
            begins = [int(0 < i < 5) for i in feature["label_ids"].int64_list.value]
            if give_word_start:
                fed["word_start"] = [begins]
            result = session.run(outputs, {signature.inputs[name].name: value for name, value in fed.items()})
            assert result["scores"].dtype == np.float32
            for begin, label, i, score in zip(begins, result["labels"][0], result["pred_ids"][0], result["scores"][0]):
                if begin:
                    assert label.decode() == labels[i - 1] and 0 < score <= 1
                    found.append(label.decode())
    # Only sentences that are one window; the words of the last, long one are in several.
    single = sum(len(block) for block in tagged(output, "dev")[:-1])
    assert found[:single] == [row[2] for row in words[:single]]


def test_export_assets(given, finished):
    assets = os.path.join(saved_model(finished[0]), "assets")
    with open(os.path.join(given[3], "vocab.txt"), "rb") as one, open(os.path.join(assets, "vocab.txt"), "rb") as other:
        assert one.read() == other.read()
    with open(os.path.join(assets, "label2id.json")) as reader:
        assert len(json.load(reader)) == 7
    with open(os.path.join(assets, "tagger.json")) as reader:
        assert json.load(reader)["scheme"] == "BIO"


@pytest.mark.one_tensorflow
def test_the_same_seed_gives_the_same_report(given, finished, tmp_path):
    output = str(tmp_path / "again")
    succeed_here(*given, "-output_dir", output)
    for name in ("label_test.txt", "predict_score.txt", "label2id.json", "label_dev.txt"):
        with open(os.path.join(output, name), "rb") as one, open(os.path.join(finished[0], name), "rb") as other:
            assert one.read() == other.read(), name


def test_a_finished_run_is_not_trained_again(given, finished, tmp_path):
    """Nor where it was moved to."""
    output = str(tmp_path / "moved")
    shutil.copytree(finished[0], output)
    before = run_dir.read_state(output)
    records = os.path.getmtime(os.path.join(output, "train.tf_record"))
    log = succeed_here(*given, "-output_dir", output)
    assert "training has come to its end before" in log and "is up to date" in log
    assert run_dir.read_state(output) == before
    assert os.path.getmtime(os.path.join(output, "train.tf_record")) == records
    assert finished[0] not in log


@pytest.mark.one_tensorflow
def test_clean_leaves_foreign_files_alone(given, tmp_path, monkeypatch):
    """In a directory full of the user's own files, some with names of ours."""
    for source in glob.glob(os.path.join(given[1], "*")) + glob.glob(os.path.join(given[3], "*")):
        shutil.copy(source, str(tmp_path))
    foreign = {
        "notes.txt": "mine",
        "eval_results.txt.bak": "mine",
        "export/readme": "mine",
        "best/mine": "mine",
        "graph.pbtxt": "mine",
    }
    for name, content in foreign.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    before = {
        path: open(path, "rb").read()
        for path in glob.glob(str(tmp_path / "**"), recursive=True)
        if os.path.isfile(path)
    }
    flags = list(given[4:]) + ["-data_dir", ".", "-bert_dir", ".", "-output_dir", "."]
    flags += ["-num_train_epochs", "1", "-crf_only"]
    monkeypatch.chdir(tmp_path)
    succeed_here(*flags)
    (tmp_path / "export" / "1700000000").mkdir()
    (tmp_path / "export" / "1700000000" / "saved_model.pb").write_bytes(b"as of an earlier run")
    first = run_dir.read_state(str(tmp_path))["evaluations"]
    log = succeed_here(*flags, "-clean", "-do_predict", "false")
    assert "goes on" not in log
    assert run_dir.read_state(str(tmp_path))["evaluations"] == first  # trained afresh, from the same seed
    assert not (tmp_path / "label_test.txt").exists() and not glob.glob(str(tmp_path / "export" / "[0-9]*"))
    for path, content in before.items():
        assert open(path, "rb").read() == content, path


@pytest.mark.one_tensorflow
def test_options_of_training(given, tmp_path):
    """First pieces, GRU, two layers, frozen layers, a rate for the head, accumulation, early stop, given labels."""
    output = str(tmp_path / "output")
    labels = "B-PER,I-PER,O,B-LOC,X,[SEP],[CLS]"
    log = succeed_here(
        *given,
        *("-output_dir", output, "-subword_labels", "first", "-cell", "gru", "-num_layers", "2", "-do_export"),
        *("-freeze_layers", "1", "-head_learning_rate", "5e-2", "-gradient_accumulation_steps", "2"),
        *("-early_stop", "2", "-eval_every", "8", "-num_train_epochs", "60", "-label_list", labels),
        *("-lstm_size", "16", "-dropout_rate", "0"),
    )
    state = run_dir.read_state(output)
    assert "without a better F1" in log
    assert state["best"]["f1"] > 0
    # Of equal F1 a later one can be the best, by its loss.
    reached = next(scores["step"] for scores in state["evaluations"] if scores["f1"] == state["best"]["f1"])
    assert [scores["step"] for scores in state["evaluations"]][-2:] == [reached + 8, reached + 16]
    assert [len(block) for block in tagged(output, "test")] == [
        len(s.words) for s in read_conll(data_file(given, "test"))
    ]
    assert read_labels(os.path.join(output, run_dir.LABEL2ID)) == labels.split(",")

    first, last = (
        tf.train.load_checkpoint(os.path.join(output, name))
        for name in (f"model.ckpt-{reached + 8}", f"model.ckpt-{reached + 16}")
    )
    moved = {
        name
        for name in last.get_variable_to_shape_map()
        if first.has_tensor(name) and not np.array_equal(first.get_tensor(name), last.get_tensor(name))
    }
    assert not [name for name in moved if name.startswith(("bert/embeddings/", "bert/encoder/layer_0/"))]
    assert "bert/encoder/layer_1/output/dense/kernel" in moved and "crf_loss/transitions" in moved
    assert not last.has_tensor("bert/embeddings/word_embeddings/adam_m")
    with tf.Graph().as_default(), tf.Session() as session:
        signature = tf.saved_model.loader.load(session, ["serve"], saved_model(output)).signature_def["serving_default"]
        ids = [[PIECES.index(piece) for piece in ("[CLS]", "un", "##aff", "##able", "ann", "[SEP]", "[PAD]")]]
        fed = {"input_ids": ids, "input_mask": [[1] * 6 + [0]], "segment_ids": [[0] * 7]}
        found = session.run(
            signature.outputs["labels"].name, {signature.inputs[name].name: value for name, value in fed.items()}
        )
    kinds = [label.decode() for label in found[0]]
    assert kinds[2:4] == ["X", "X"] and kinds[6] == "[PAD]" and {kinds[1], kinds[4]} <= {"O", "B-PER", "B-LOC"}


@pytest.mark.one_tensorflow
def test_unconstrained_prediction_writes_no_special_label(given, tmp_path):
    output = str(tmp_path / "output")
    succeed_here(*given, "-output_dir", output, "-constrain=false", "-num_train_epochs", "0.2", "-crf_only")
    rows = [row for block in tagged(output, "test") for row in block]
    assert {row[2] for row in rows} <= {"O", "B-PER", "I-PER", "B-LOC"}


@pytest.mark.one_tensorflow
def test_starting_from_a_checkpoint(given, finished, tmp_path):
    output = str(tmp_path / "output")
    start = tf.train.latest_checkpoint(os.path.join(finished[0], "best"))
    flags = [*given, "-output_dir", output, "-num_train_epochs", "0.2", "-do_eval=false", "-do_predict=false"]
    log = succeed_here(*flags, "-init_checkpoint", start)
    assert f"39 of 39 encoder variables from {start}; the tagging head from there too" in log
    assert "random weights" not in log and "labels whose weights" not in log
    first = tf.train.load_checkpoint(os.path.join(output, "model.ckpt-0"))
    source = tf.train.load_checkpoint(start)
    for name in ("bert/embeddings/word_embeddings", "crf_loss/transitions", "project/hidden/W"):
        np.testing.assert_array_equal(first.get_tensor(name), source.get_tensor(name))


def test_predicting_with_an_archive_checkpoint(given, finished, tmp_path):
    """A checkpoint and nothing else in -output_dir: labels come from -label_list, weights by name."""
    best = os.path.join(finished[0], "best")
    for name in os.listdir(best):
        shutil.copy(os.path.join(best, name), str(tmp_path))
    flags = list(given) + ["-output_dir", str(tmp_path), "-do_train", "false"]
    with pytest.raises(UserError, match="-label_list"):
        succeed_here(*flags)
    # The archive's see whole words; this one was trained on what text is cut into.
    succeed_here(*flags, "-label_list", "O,B-LOC,B-PER,I-PER,X,[CLS],[SEP]", "-word_units", "text")
    assert tagged(str(tmp_path), "test") == tagged(finished[0], "test")
