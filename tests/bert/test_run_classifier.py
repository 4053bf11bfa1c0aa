"""run_classifier end to end on tiny data: it learns, resumes, predicts in order, exports, and refuses what is wrong."""

import glob
import json
import os
import re
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import modeling, run_classifier
from bert.classification import inputs
from bert.encoder import kernels
from bert.runtime.estimator import Estimator
from bert.system.errors import run_program
from tests import forking
from tests.training import OTHER_WAY, REFUSED, recorded_losses

GOOD, BAD = "fine great lovely super".split(), "awful poor sad ugly".split()
OTHER = "the film was a story of people".split()
PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK]".split() + GOOD + BAD + OTHER + ["##s"]
MRPC_HEAD = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
MNLI_HEAD = "\t".join(f"column{i}" for i in range(8)) + "\tsentence1\tsentence2"
CONFIG = {
    "vocab_size": len(PIECES), "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 32, "type_vocab_size": 2, "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0, "initializer_range": 0.05,
}  # fmt: skip


def text(rng, words, length):
    """A text with one of the words in it."""
    chosen = [OTHER[i] for i in rng.randint(len(OTHER), size=length)]
    chosen[rng.randint(length)] = words[rng.randint(len(words))]
    return " ".join(chosen)


def pairs(seed, count):
    """(text a, text b, label): the label says what b is like; a is one or the other."""
    rng = np.random.RandomState(seed)
    for _ in range(count):
        label = rng.randint(2)
        distractor = (GOOD, BAD)[rng.randint(2)]
        yield text(rng, distractor, rng.randint(2, 6)), text(rng, GOOD if label else BAD, rng.randint(2, 9)), label


def write_lines(path, lines):
    path.write_bytes("".join(line + "\n" for line in lines).encode("utf-8"))


def write_mrpc(directory, train=512, others=60):
    for split, seed, count in (("train", 1, train), ("dev", 2, others), ("test", 3, others)):
        head = MRPC_HEAD if split != "test" else MRPC_HEAD.replace("Quality", "index")
        rows = [
            f"{label if split != 'test' else i}\t{i}\t{i}\t{a}\t{b}"
            for i, (a, b, label) in enumerate(pairs(seed, count))
        ]
        write_lines(directory / f"{split}.tsv", [head] + rows)


def save_random_encoder(prefix):
    """A checkpoint of an encoder alone, as pre-training would leave one."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(5)
        ids = tf.placeholder(tf.int32, [None, None])
        modeling.BertModel(modeling.BertConfig.from_dict(dict(CONFIG, initializer_range=0.1)), False, ids)
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, prefix)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bert")
    write_lines(directory / "vocab.txt", PIECES)
    (directory / "bert_config.json").write_text(json.dumps(CONFIG))
    return directory


@pytest.fixture(scope="module")
def mrpc(tmp_path_factory):
    directory = tmp_path_factory.mktemp("mrpc")
    write_mrpc(directory)
    return directory


def flags_of(encoder, data, output, task="mrpc", *more):
    return [
        f"--task_name={task}", f"--data_dir={data}", f"--output_dir={output}", f"--vocab_file={encoder}/vocab.txt",
        f"--bert_config_file={encoder}/bert_config.json", "--max_seq_length=24", "--train_batch_size=16",
        "--learning_rate=1e-3", "--num_train_epochs=12", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def finished(encoder, mrpc, tmp_path_factory):
    """The output directory of a whole run on MRPC-shaped data, from random weights."""
    output = tmp_path_factory.mktemp("run") / "output"
    more = ["--do_train=true", "--do_eval=true", "--do_predict=true", "--do_export=true"]
    run_classifier.main(flags_of(encoder, mrpc, output, "MRPC", *more))
    return output


def results_of(output, name="eval_results.txt"):
    lines = (output / name).read_text().splitlines()
    assert lines == sorted(lines)
    return {key: float(value) for key, value in (line.split(" = ") for line in lines)}


def predictions_of(output, name="test_results.tsv"):
    return np.array([line.split("\t") for line in (output / name).read_text().splitlines()], np.float64)


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
        assert not [node.op for node in loaded.graph_def.node if "Variable" in node.op or "VarHandle" in node.op]
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
def test_from_a_checkpoint_it_learns_too(encoder, mrpc, tmp_path):
    """And the classifier trained there serves as -init_checkpoint of a run that only predicts, as Google's."""
    start = save_random_encoder(str(tmp_path / "bert_model.ckpt"))
    output = tmp_path / "output"
    more = [f"--init_checkpoint={start}", "--do_train", "--do_eval"]
    run_classifier.main(flags_of(encoder, mrpc, output, "mrpc", *more))
    assert results_of(output)["eval_accuracy"] > 0.95
    trained = tf.train.latest_checkpoint(str(output))
    elsewhere = tmp_path / "elsewhere"
    more = [f"--init_checkpoint={trained}", "--do_predict", "--do_eval", "--do_export"]
    run_classifier.main(flags_of(encoder, mrpc, elsewhere, "mrpc", *more))
    assert results_of(elsewhere) == results_of(output)
    expected = [label for _, _, label in pairs(3, 60)]
    assert np.mean(predictions_of(elsewhere).argmax(1) == expected) > 0.95
    assert glob.glob(str(elsewhere / "export" / "*" / "saved_model.pb"))


def test_training_starts_from_the_checkpoint_given(encoder, mrpc, tmp_path):
    """One step of a rate that changes nothing leaves the encoder as it was."""
    start = save_random_encoder(str(tmp_path / "bert_model.ckpt"))
    output = tmp_path / "output"
    more = [f"--init_checkpoint={start}", "--do_train", "--num_train_epochs=0.01", "--learning_rate=1e-30"]
    run_classifier.main(flags_of(encoder, mrpc, output, "mrpc", *more))
    old, new = tf.train.load_checkpoint(start), tf.train.load_checkpoint(tf.train.latest_checkpoint(str(output)))
    for name in old.get_variable_to_shape_map():
        np.testing.assert_allclose(new.get_tensor(name), old.get_tensor(name), atol=1e-20)


@pytest.mark.one_tensorflow
def test_a_stopped_run_goes_on_as_if_it_had_not_been(encoder, mrpc, tmp_path, monkeypatch):
    """Stopped at a checkpoint amid an epoch, it ends with the weights of a run that was not, to the last bit."""
    more = ["--num_train_epochs=2", "--train_batch_size=64"]
    more += ["--save_checkpoints_steps=11", "--do_train"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run_classifier.main(flags_of(encoder, mrpc, whole, "mrpc", *more))

    class Stop(tf.train.SessionRunHook):
        def after_run(self, run_context, run_values):
            if os.path.exists(str(stopped / "model.ckpt-11.index")):
                raise KeyboardInterrupt

    train = Estimator.train

    def train_until(*args, hooks, **kwargs):
        train(*args, hooks=[*hooks, Stop()], **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Estimator, "train", train_until)
        with pytest.raises(KeyboardInterrupt):
            run_classifier.main(flags_of(encoder, mrpc, stopped, "mrpc", *more))
    assert tf.train.latest_checkpoint(str(stopped)).endswith("-11")
    run_classifier.main(flags_of(encoder, mrpc, stopped, "mrpc", *more))
    ends = [tf.train.latest_checkpoint(str(output)) for output in (whole, stopped)]
    assert [os.path.basename(end) for end in ends] == ["model.ckpt-16"] * 2
    expected, found = (tf.train.load_checkpoint(end) for end in ends)
    for name in expected.get_variable_to_shape_map():
        np.testing.assert_array_equal(found.get_tensor(name), expected.get_tensor(name), err_msg=name)


def test_the_records_of_the_data_are_made_once(encoder, mrpc, finished, tmp_path):
    output = tmp_path / "output"
    shutil.copytree(str(finished), str(output))
    record = output / "eval.tf_record"
    stamp = os.stat(str(record)).st_mtime_ns
    run_classifier.main(flags_of(encoder, mrpc, output, "mrpc", "--do_eval"))
    assert os.stat(str(record)).st_mtime_ns == stamp
    run_classifier.main(flags_of(encoder, mrpc, output, "mrpc", "--do_eval", "--max_seq_length=20"))
    assert os.stat(str(record)).st_mtime_ns != stamp


@pytest.mark.one_tensorflow
def test_regression(encoder, tmp_path):
    """STS-B: the score is learnt well enough to rank by."""
    head = "\t".join("index genre filename year old_index source1 source2 sentence1 sentence2 score".split())
    for split, seed, count in (("train", 1, 512), ("dev", 2, 40), ("test", 3, 5)):
        rows = ["\t".join(["x"] * 7 + [a, b] + [f"{1.0 + 3 * label}"]) for a, b, label in pairs(seed, count)]
        lines = [head] + rows if split != "test" else [line.rsplit("\t", 1)[0] for line in [head] + rows]
        write_lines(tmp_path / f"{split}.tsv", lines)
    output = tmp_path / "output"
    more = ["--do_train", "--do_eval", "--do_predict", "--do_export"]
    run_classifier.main(flags_of(encoder, tmp_path, output, "STS-B", *more))
    results = results_of(output)
    assert set(results) == {"eval_loss", "eval_pearson", "eval_spearman", "global_step", "loss"}
    assert results["eval_pearson"] > 0.8 and results["eval_spearman"] > 0.8
    values = predictions_of(output)
    assert values.shape == (5, 1)
    (path,) = glob.glob(str(output / "export" / "*"))
    with tf.Graph().as_default(), tf.Session() as session:
        signature = tf.saved_model.loader.load(session, ["serve"], path).signature_def["serving_default"]
        assert list(signature.outputs) == ["score"]


@pytest.mark.one_tensorflow
def test_both_parts_of_mnli(encoder, tmp_path):
    """Each part has its own results; the second may be missing."""

    def row(label, *texts):
        return "\t".join(["x"] * 8 + list(texts) + label)

    labels = ["contradiction", "entailment", "neutral"]
    train = [row(["-", labels[i % 3]], a, b) for i, (a, b, _) in enumerate(pairs(1, 12))]
    write_lines(tmp_path / "train.tsv", [MNLI_HEAD + "\tlabel1\tgold_label"] + train)
    for part, count in (("matched", 5), ("mismatched", 3)):
        dev = [row(["-"] * 5 + ["neutral"], a, b) for a, b, _ in pairs(2, count)]
        write_lines(tmp_path / f"dev_{part}.tsv", [MNLI_HEAD + "\tlabel" * 5 + "\tgold_label"] + dev)
        write_lines(tmp_path / f"test_{part}.tsv", [MNLI_HEAD] + [row([], a, b) for a, b, _ in pairs(3, count)])
    output = tmp_path / "output"
    more = ["--num_train_epochs=1", "--do_train", "--do_eval", "--do_predict"]
    run_classifier.main(flags_of(encoder, tmp_path, output, "mnli", *more))
    assert set(results_of(output)) == {"eval_accuracy", "eval_loss", "global_step", "loss"}
    assert predictions_of(output).shape == (5, 3)
    assert predictions_of(output, "test_results_mismatched.tsv").shape == (3, 3)
    (output / "eval_results_mismatched.txt").unlink()
    (tmp_path / "dev_mismatched.tsv").unlink()
    run_classifier.main(flags_of(encoder, tmp_path, output, "mnli", "--do_eval"))
    assert not (output / "eval_results_mismatched.txt").exists()


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


def test_trained_and_evaluated_another_way(encoder, mrpc, tmp_path, monkeypatch):
    """The losses of some steps, and what is predicted, are about those of plain float32; a profile is written."""
    monkeypatch.setattr("bert.classification.model.DROPOUT", 0.0)
    start = save_random_encoder(str(tmp_path / "bert_model.ckpt"))
    one_step = ["--do_train", "--num_train_epochs=0.01", f"--init_checkpoint={start}"]
    run_classifier.main(flags_of(encoder, mrpc, tmp_path / "start", "mrpc", *one_step))
    # A head too, as random values depend on how the graph is built.
    common = [f"--init_checkpoint={tf.train.latest_checkpoint(str(tmp_path / 'start'))}", "--num_train_epochs=0.25"]
    found = {}
    for name, way in (("plain", ["--precision=fp32", "--xla=false"]), ("other", OTHER_WAY + ["--profile"])):
        output = tmp_path / name
        with recorded_losses() as losses:
            more = common + way + ["--do_train", "--do_eval", "--do_predict", "--do_export"]
            run_classifier.main(flags_of(encoder, mrpc, output, "mrpc", *more))
        found[name] = losses + [results_of(output)["eval_loss"]]
        assert len(losses) == 8 and (output / "profile").exists() == (name == "other")
    assert list((tmp_path / "other" / "profile").glob("timeline-*.json"))
    np.testing.assert_allclose(found["other"], found["plain"], rtol=0.02)
    assert found["other"] != found["plain"] or not kernels.can_fuse()  # bf16 is not quite the same
    np.testing.assert_allclose(predictions_of(tmp_path / "other"), predictions_of(tmp_path / "plain"), atol=0.02)
    assert glob.glob(str(tmp_path / "other" / "export" / "*" / "saved_model.pb"))


@pytest.mark.parametrize("flag,expected", REFUSED)
def test_ways_that_there_are_not(flag, expected, encoder, mrpc, tmp_path, check):
    check(expected, *flags_of(encoder, mrpc, tmp_path / "output", "mrpc", "--do_train", flag))
    assert not (tmp_path / "output").exists()


@pytest.mark.one_tensorflow
def test_batches_by_length_can_be_left(encoder, mrpc, tmp_path):
    """Other batches, and so other losses."""
    found = []
    for bucket in ("true", "false"):
        with recorded_losses() as losses:
            more = ["--do_train", "--num_train_epochs=0.25", f"--bucket={bucket}"]
            run_classifier.main(flags_of(encoder, mrpc, tmp_path / bucket, "mrpc", *more))
        found.append(losses)
    assert len(found[0]) == len(found[1]) and found[0] != found[1]
