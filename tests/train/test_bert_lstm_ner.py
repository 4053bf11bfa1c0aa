"""The model function as notebooks use it: in an Estimator of their own."""

import functools
import io
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from sklearn.metrics import precision_recall_fscore_support

from bert.modeling import BertConfig
from bert.runtime.estimator import Estimator, ModeKeys, RunConfig
from train import bert_lstm_ner, run_dir
from train.bert_lstm_ner import model_fn_builder
from train.data.labels import label_ids
from train.train_helper import get_args_parser

LABELS = ["O", "B-A", "I-A", "X", "[CLS]", "[SEP]"]
IDS = label_ids(LABELS)
CONFIG = BertConfig(
    vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
    max_position_embeddings=12, type_vocab_size=2,
)  # fmt: skip


def features():
    """Ten sentences of [CLS], words (even ids begin one), [SEP] and padding; A is what has an id above 20."""
    rng = np.random.RandomState(0)
    ids = np.zeros([10, 12], np.int32)
    labels = np.zeros_like(ids)
    for row, tags in zip(ids, labels):
        length = rng.randint(1, 10)
        row[0], row[length + 1] = 2, 3
        tags[0], tags[length + 1] = IDS["[CLS]"], IDS["[SEP]"]
        row[1 : length + 1] = rng.randint(5, 30, length)
        previous = None
        for i in range(1, length + 1):
            name = "X" if row[i] % 2 and i > 1 else "O" if row[i] <= 20 else "I-A" if previous == "A" else "B-A"
            tags[i] = IDS[name]
            previous = previous if name == "X" else name[2:]
    return {
        "input_ids": ids, "input_mask": (ids > 0).astype(np.int32), "segment_ids": np.zeros_like(ids),
        "label_ids": labels,
    }  # fmt: skip


def input_fn():
    return tf.data.Dataset.from_tensor_slices(features()).repeat().batch(10)


def once():
    return tf.data.Dataset.from_tensor_slices(features()).batch(4)


@pytest.fixture(scope="module", params=["x", pytest.param("first", marks=pytest.mark.one_tensorflow)])
def trained(request):
    """(estimator, builder of others like it, mode): trained on its ten sentences until it knows them."""

    def estimator(directory, *more_flags, **kwargs):
        flags = ["-output_dir", str(directory), "-lstm_size", "8", "-dropout_rate", "0.1"]
        args = get_args_parser([*flags, "-subword_labels", request.param, *more_flags])
        model_fn = model_fn_builder(CONFIG, len(LABELS) + 1, None, 1e-2, 60, 6, args, **kwargs)
        return Estimator(model_fn, str(directory), RunConfig(tf_random_seed=1))

    def train(directory):
        estimator(directory, label_map=IDS, scheme="BIO").train(input_fn, steps=60)

    directory = request.getfixturevalue("once")(f"tagger_{request.param}", train)  # other files use it too
    like_it = functools.partial(estimator, directory)
    return like_it(label_map=IDS, scheme="BIO"), like_it, request.param


def predicted(estimator):
    found = list(estimator.predict(once))
    return np.array([row["pred_ids"] for row in found]), np.array([row["scores"] for row in found]), found


@pytest.fixture(scope="module")
def prediction(trained):
    """What the trained model predicts, as `predicted`."""
    return predicted(trained[0])


def words():
    labels = features()["label_ids"]
    return (labels > 0) & (labels < IDS["X"])


def test_it_learns_and_two_predictions_are_equal(trained, prediction):
    ids, scores, found = prediction
    again, scores_again, _ = predicted(trained[0])
    assert np.array_equal(ids, again) and np.array_equal(scores, scores_again)
    assert (ids == features()["label_ids"])[words()].mean() > 0.9
    assert {"pred_ids", "scores", "loss"} == set(found[0])


def test_evaluation_agrees_with_prediction_and_scikit_learn(trained, prediction):
    ids, _, found = prediction
    results = trained[0].evaluate(once)
    gold, mask = features()["label_ids"], words()
    np.testing.assert_allclose(results["eval_loss"], np.mean([row["loss"] for row in found]), rtol=1e-4)
    np.testing.assert_allclose(results["accuracy"], (ids == gold)[mask].mean(), rtol=1e-6)
    expected = precision_recall_fscore_support(
        gold[mask], ids[mask], labels=[IDS["B-A"], IDS["I-A"]], average="micro", zero_division=0
    )
    for name, value in zip(("precision", "recall", "f1"), expected):
        np.testing.assert_allclose(results[name], value, rtol=1e-5)


@pytest.mark.one_tensorflow
def test_labels_come_from_the_output_directory_where_they_are_not_given(trained, tmp_path):
    _, estimator, subword_labels = trained
    if subword_labels == "first":
        with pytest.raises(ValueError, match="word_start"):
            predicted(estimator())  # no label map anywhere: nothing says which pieces begin a word
    else:
        free, _, _ = predicted(estimator())  # unconstrained
        unconstrained, _, _ = predicted(estimator("-constrain=false", label_map=IDS))
        assert np.array_equal(free, unconstrained)
    run_dir.write_labels(str(tmp_path), LABELS, IDS)
    flags = ["-output_dir", str(tmp_path)]
    assert np.array_equal(predicted(estimator(*flags))[0], predicted(estimator(label_map=IDS))[0])


def test_prediction_without_labels(trained, prediction):
    """As a client has it: no label_ids, but which pieces begin a word."""

    def unlabelled():
        given = features()
        given["word_start"] = words().astype(np.int32)
        del given["label_ids"]
        return tf.data.Dataset.from_tensor_slices(given).batch(4)

    found = list(trained[0].predict(unlabelled))
    assert set(found[0]) == {"pred_ids", "scores"}
    assert np.array_equal([row["pred_ids"] for row in found], prediction[0])


def test_evaluation_where_all_is_outside(tmp_path, evaluate):
    """There is no entity to score then."""
    labels = ["O", "X", "[CLS]", "[SEP]"]
    args = get_args_parser(["-output_dir", str(tmp_path), "-lstm_size", "4"])
    model_fn = model_fn_builder(CONFIG, len(labels) + 1, None, 1e-2, 1, 0, args, label_map=label_ids(labels))

    outside = dict(features(), label_ids=features()["input_mask"])
    given = {name: tf.constant(value) for name, value in outside.items()}
    metrics = model_fn(given, None, ModeKeys.EVAL, {}).eval_metric_ops
    found = evaluate({name: update for name, (_, update) in metrics.items()})
    assert set(found) == {"eval_loss", "accuracy"} and 0 <= found["accuracy"] <= 1


@pytest.mark.one_tensorflow
def test_a_report_is_printed_in_any_encoding(given, finished, tmp_path, monkeypatch):
    """What the terminal cannot show is no reason to end before the rest is tagged."""
    output = str(tmp_path / "output")
    shutil.copytree(finished[0], output)
    monkeypatch.setattr(bert_lstm_ner.evaluation, "write_report", lambda *_: "accuracy: 1\n 人名: precision\n")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", terminal)
    scores = bert_lstm_ner.train(get_args_parser([*given, "-output_dir", output, "-do_train=false"]))
    assert set(scores) == {"dev", "test"}
    printed = terminal.buffer.getvalue().decode("ascii")
    assert printed.count("accuracy:") == 2 and "\\u4eba\\u540d: precision" in printed
