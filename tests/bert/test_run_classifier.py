"""run_classifier end to end on tiny data: it learns, predicts in order, exports, and refuses what is wrong."""

import glob
import json
import os
import re
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import run_classifier
from bert.classification import inputs
from bert.system.errors import run_program
from tests import forking
from tests.bert.classifier_task import (
    BAD,
    CONFIG,
    GOOD,
    OTHER,
    PIECES,
    flags_of,
    pairs,
    predictions_of,
    results_of,
    save_random_encoder,
    write_lines,
)
from tests.training import REFUSED


@pytest.fixture(scope="module")
def finished(encoder, mrpc, tmp_path_factory):
    """The output directory of a whole run on MRPC-shaped data, from random weights."""
    output = tmp_path_factory.mktemp("run") / "output"
    more = ["--do_train=true", "--do_eval=true", "--do_predict=true", "--do_export=true"]
    run_classifier.main(flags_of(encoder, mrpc, output, "MRPC", *more))
    return output


def test_what_can_be_learnt_is_learnt(finished):
    results = results_of(finished)
    assert set(results) == {"eval_accuracy", "eval_f1", "eval_loss", "global_step", "loss"}
    assert results["eval_accuracy"] > 0.95 and results["eval_f1"] > 0.95
    assert results["global_step"] == 512 * 12 // 16


def test_predictions_in_the_order_of_the_file(finished):
    probabilities = predictions_of(finished)
    assert probabilities.shape == (60, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1.0, atol=1e-5)
    expected = [label for _, _, label in pairs(3, 60)]
    assert np.mean(probabilities.argmax(1) == expected) > 0.95


def test_export_gives_what_predict_gives(finished):
    """In a session without this project, in other batches, padded as the record file has it and not at all."""
    (path,) = glob.glob(str(finished / "export" / "*"))
    expected = predictions_of(finished)
    with tf.Graph().as_default(), tf.Session() as session:
        loaded = tf.saved_model.loader.load(session, ["serve"], path)
        signature = loaded.signature_def["serving_default"]
        names = [node.name for node in loaded.graph_def.node if node.op == "VarHandleOp"]
        assert len(names) == len(set(names)) > 0 and not any("adam" in name for name in names)
        outputs = {name: info.name for name, info in signature.outputs.items()}
        rows = []
        for record in tf.python_io.tf_record_iterator(str(finished / "predict.tf_record")):
            feature = tf.train.Example.FromString(record).features.feature
            assert "label_ids" not in feature
            rows.append({name: list(feature[name].int64_list.value) for name in signature.inputs})

        def serve(batch):
            fed = {signature.inputs[name].name: [row[name] for row in batch] for name in signature.inputs}
            return session.run(outputs, fed)

        found = serve(rows)
        np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
        assert found["label_names"].tolist() == [[b"0", b"1"]] * 60
        assert found["label"].tolist() == [b"01"[i : i + 1] for i in expected.argmax(1)]
        length = sum(rows[7]["input_mask"])
        alone = serve([{name: values[:length] for name, values in rows[7].items()}])
        np.testing.assert_allclose(alone["probabilities"], expected[7:8], atol=1e-5)
    with open(os.path.join(path, "assets", "classifier.json")) as reader:
        settings = json.load(reader)
    assert settings["labels"] == ["0", "1"] and settings["max_seq_length"] == 24
    assert os.path.getsize(os.path.join(path, "assets", "vocab.txt"))


def test_batches_change_nothing(encoder, mrpc, finished, tmp_path):
    """Nothing dropped or repeated at the end of a batch that is not full: 60 examples by 7 and by 60."""
    output = tmp_path / "output"
    shutil.copytree(str(finished), str(output))
    before, scores = predictions_of(output), results_of(output)
    for size in (7, 60):
        more = ["--do_eval", "--do_predict", f"--predict_batch_size={size}", f"--eval_batch_size={size}"]
        run_classifier.main(flags_of(encoder, mrpc, output, "mrpc", *more))
        np.testing.assert_allclose(predictions_of(output), before, atol=1e-5)
        assert results_of(output)["eval_loss"] == pytest.approx(scores["eval_loss"], abs=1e-5)


@pytest.mark.one_tensorflow
def test_the_records_of_the_data_are_made_once(encoder, mrpc, finished, tmp_path):
    output = tmp_path / "output"
    shutil.copytree(str(finished), str(output))
    record = output / "eval.tf_record"
    stamp = os.stat(str(record)).st_mtime_ns
    run_classifier.main(flags_of(encoder, mrpc, output, "mrpc", "--do_eval"))
    assert os.stat(str(record)).st_mtime_ns == stamp
    run_classifier.main(flags_of(encoder, mrpc, output, "mrpc", "--do_eval", "--max_seq_length=20"))
    assert os.stat(str(record)).st_mtime_ns != stamp


@pytest.fixture(scope="module")
def own(encoder, tmp_path_factory):
    """(data, output) of a classifier of the user's own single texts with a header, started as a file is."""
    data = tmp_path_factory.mktemp("own")
    rng = np.random.RandomState(0)
    for split in ("train", "dev"):
        count = 150 if split == "train" else 8
        kinds = [("好", GOOD), ("bad", BAD), ("none", OTHER)]
        rows = [f"{' '.join(rng.choice(words, 3))}\t{name}" for name, words in kinds for _ in range(count)]
        write_lines(data / f"{split}.tsv", ["text\tlabel"] + rows)
    write_lines(data / "test.tsv", ["text"] + [" ".join(rng.choice(words, 3)) for words in (GOOD, BAD, OTHER)])
    output = data / "output"
    more = ["--tsv_header", "--do_train", "--do_eval"]
    flags = flags_of(encoder, data, output, "tsv", *more)
    exit_code = forking.run(
        forking.program, run_classifier.__file__, *flags, stdout=data / "printed", stderr=data / "log"
    )
    log = (data / "log").read_text(encoding="utf-8")
    assert exit_code == 0, log[-3000:]
    assert (data / "printed").read_text() == "" and "tensorflow" not in log and "%|" not in log
    return data, output


@pytest.mark.one_tensorflow
def test_own_texts(encoder, own):
    """Labels in sorted order, kept for prediction: train.tsv is not needed again."""
    data, output = own
    assert results_of(output)["eval_accuracy"] > 0.95
    assert json.loads((output / inputs.TASK_FILE).read_text(encoding="utf-8")) == {
        "task_name": "tsv", "labels": ["bad", "none", "好"], "pair": False,
    }  # fmt: skip
    (data / "train.tsv").rename(data / "away.tsv")
    run_classifier.main(flags_of(encoder, data, output, "tsv", "--tsv_header", "--do_predict", "--do_export"))
    (data / "away.tsv").rename(data / "train.tsv")
    assert predictions_of(output).argmax(1).tolist() == [2, 0, 1]
    (path,) = glob.glob(str(output / "export" / "*"))
    with tf.Graph().as_default(), tf.Session() as session:
        signature = tf.saved_model.loader.load(session, ["serve"], path).signature_def["serving_default"]
        ids = [[PIECES.index(piece) for piece in ["[CLS]", "super", "great", "fine", "[SEP]"]]]
        fed = {"input_ids": ids, "input_mask": [[1] * 5], "segment_ids": [[0] * 5]}
        label = session.run(
            signature.outputs["label"].name, {signature.inputs[name].name: value for name, value in fed.items()}
        )
    assert [name.decode("utf-8") for name in label] == ["好"]


@pytest.fixture
def check(capfd):
    """`check(expected, *flags)`: ends with exit code 2 and one line on standard error."""

    def check(expected, *flags):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run_program(lambda: run_classifier.main(list(flags)))
        printed = capfd.readouterr()
        assert ended.value.code == 2 and printed.out == ""
        assert len(printed.err.splitlines()) == 1, printed.err
        assert re.search(expected, printed.err), printed.err

    return check


@pytest.mark.one_tensorflow
def test_wrong_flags(encoder, mrpc, tmp_path, check):
    output = tmp_path / "output"

    def given(*more):
        return flags_of(encoder, mrpc, output, "mrpc", *more)

    check("nothing to do: expected -do_train", *given())
    check("-task_name snli: expected one of cola, mnli, .* tsv,", *given("--do_train", "--task_name=snli"))
    check("-data_dir is missing", *[flag for flag in given("--do_train") if "data_dir" not in flag])
    check("-task_name is missing", *[flag for flag in given("--do_train") if "task_name" not in flag])
    check("-max_seq_length 4: expected 5 to 32", *given("--do_train", "--max_seq_length=4"))
    check("-no_such_flag", *given("--no_such_flag=1"))
    check("output: no checkpoint of a trained classifier in it", *given("--do_eval"))
    check("output: no checkpoint of a trained classifier in it", *given("--do_export"))
    check(r"output/task\.json: no such file", *given("--do_predict", "--task_name=tsv"))
    check("no checkpoint of that name", *given("--do_train", "--init_checkpoint=no/such.ckpt"))
    check(r"train\.tsv: cannot be read", *given("--do_train", f"--data_dir={tmp_path}"))
    assert not output.exists()


@pytest.mark.one_tensorflow
def test_wrong_data(encoder, mrpc, tmp_path, check):
    data, output = tmp_path / "data", tmp_path / "output"
    shutil.copytree(str(mrpc), str(data))
    flags = flags_of(encoder, data, output, "mrpc", "--do_train", "--do_eval", "--do_predict")
    for split, line, expected in [
        ("dev", "1\t1\t2\ta", r"dev\.tsv:62: 4 columns; expected 5"),
        ("dev", "2\t1\t2\ta\tb", r"dev\.tsv:62: the label '2'; expected one of 0, 1"),
        ("test", "a", r"test\.tsv:62: 1 column; expected 5"),
    ]:
        with open(str(data / f"{split}.tsv"), "a") as file:
            file.write(line + "\n")
        check(expected, *flags)
        shutil.copy(str(mrpc / f"{split}.tsv"), str(data))
    (data / "dev.tsv").write_text("")
    check(r"dev\.tsv: the file is empty", *flags)
    assert not output.exists()


@pytest.mark.one_tensorflow
def test_wrong_checkpoints(encoder, mrpc, own, finished, tmp_path, check):
    output = tmp_path / "output"
    data = own[0]
    trained = tf.train.latest_checkpoint(str(own[1]))
    # A classifier of three labels cannot start one of two, nor predict for it.
    flags = flags_of(encoder, mrpc, output, "mrpc", f"--init_checkpoint={trained}")
    check(r"output_weights has the shape \[3, 32\]; .*expects \[2, 32\]", *(flags + ["--do_train"]))
    check(r"task\.json: the classifier was trained for .*tsv.*; expected .*mrpc", *(flags + ["--do_predict"]))
    encoder_only = save_random_encoder(str(tmp_path / "bert_model.ckpt"))
    flags = flags_of(encoder, mrpc, output, "mrpc", f"--init_checkpoint={encoder_only}")
    check("bert_model.ckpt: expected a trained classifier; output_weights is not in it", *(flags + ["--do_predict"]))
    assert not output.exists()

    # A directory with another task's classifier is neither used nor trained on.
    check(r"task\.json: the classifier was trained for", *flags_of(encoder, mrpc, own[1], "mrpc", "--do_train"))
    flags = flags_of(encoder, data, finished, "tsv", "--tsv_header")
    check(r"task\.json: the classifier was trained for -task_name mrpc", *(flags + ["--do_predict"]))
    spoiled = tmp_path / "spoiled"
    shutil.copytree(str(finished), str(spoiled))
    (part,) = glob.glob(tf.train.latest_checkpoint(str(spoiled)) + ".data-*")
    with open(part, "r+b") as file:
        file.truncate(1000)
    check("cut off or damaged", *flags_of(encoder, mrpc, spoiled, "mrpc", "--do_predict"))
    (spoiled / "task.json").write_text("{")
    check(r"task\.json: expected JSON", *flags_of(encoder, mrpc, spoiled, "mrpc", "--do_predict"))
    (spoiled / "task.json").write_text('{"task_name": "tsv", "labels": 5, "pair": true}')
    check(r"task\.json: labels 5, pair True; expected", *flags_of(encoder, data, spoiled, "tsv", "--do_predict"))
    config = tmp_path / "bert_config.json"
    config.write_text(json.dumps(dict(CONFIG, intermediate_size=48)))
    flags = flags_of(encoder, mrpc, finished, "mrpc", "--do_predict", f"--bert_config_file={config}")
    check(r"intermediate/dense/kernel has the shape \[32, 64\]; .*expects \[32, 48\]", *flags)
    config.write_text(json.dumps(dict(CONFIG, type_vocab_size=1)))
    flags = flags_of(encoder, mrpc, output, "mrpc", "--do_train", f"--bert_config_file={config}")
    check("type_vocab_size is 1; pairs of texts need an encoder with 2", *flags)


@pytest.mark.parametrize("flag,expected", REFUSED)
def test_ways_that_there_are_not(flag, expected, encoder, mrpc, tmp_path, check):
    check(expected, *flags_of(encoder, mrpc, tmp_path / "output", "mrpc", "--do_train", flag))
    assert not (tmp_path / "output").exists()
