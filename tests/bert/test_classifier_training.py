"""Trainings by run_classifier: from a checkpoint, of each kind of task, and computed in other ways."""

import glob

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import run_classifier
from bert.encoder import kernels
from tests.bert.classifier_task import flags_of, pairs, predictions_of, results_of, save_random_encoder, write_lines
from tests.training import OTHER_WAY, recorded_losses

MNLI_HEAD = "\t".join(f"column{i}" for i in range(8)) + "\tsentence1\tsentence2"


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


@pytest.mark.skipif(not kernels.can_fuse(), reason="TensorFlow 1.15 computes in one way alone")
def test_trained_and_evaluated_another_way(encoder, mrpc, tmp_path, monkeypatch):
    """The losses of some steps, and what is predicted, are about those of plain float32; a profile is written."""
    monkeypatch.setattr("bert.classification.model.DROPOUT", 0.0)
    # With a head, as random values depend on how the graph is built. All in one length: each is compiled anew.
    start = save_random_encoder(str(tmp_path / "bert_model.ckpt"), num_labels=2)
    common = [f"--init_checkpoint={start}", "--num_train_epochs=0.25", "--bucket=false", "--max_seq_length=20"]
    found = {}
    other = [*OTHER_WAY, "--profile", "--do_export"]
    for name, way in (("plain", ["--precision=fp32", "--xla=false"]), ("other", other)):
        output = tmp_path / name
        with recorded_losses() as losses:
            more = common + way + ["--do_train", "--do_eval", "--do_predict"]
            run_classifier.main(flags_of(encoder, mrpc, output, "mrpc", *more))
        found[name] = losses + [results_of(output)["eval_loss"]]
        assert len(losses) == 8 and (output / "profile").exists() == (name == "other")
    assert list((tmp_path / "other" / "profile").glob("timeline-*.json"))
    np.testing.assert_allclose(found["other"], found["plain"], rtol=0.02)
    assert found["other"] != found["plain"]  # bf16 is not quite the same
    np.testing.assert_allclose(predictions_of(tmp_path / "other"), predictions_of(tmp_path / "plain"), atol=0.02)
    assert glob.glob(str(tmp_path / "other" / "export" / "*" / "saved_model.pb"))


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
