"""Adversarial training against numpy, against two taggers that are built by hand, and against runs without it."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tests import small_task
from tests.train.tagger.test_rnn import randomise
from tests.train.test_models import ALL, CONFIG, feed, placeholders, tagger_over
from tests.training import losses_of
from train import run_dir
from train.finetuning import adversarial

LSTM = ("lstm", 1, False)
SIZE = 1.5
SHORT = ["-do_predict=false", "-num_train_epochs=1"]


def numpy_moves(slope, size):
    """The move of each sentence, in float64."""
    slope = np.asarray(slope, np.float64)
    norms = np.sqrt((slope**2).sum((1, 2), keepdims=True))
    return size * np.divide(slope, norms, out=np.zeros_like(slope), where=norms > 0)


@pytest.mark.parametrize("scale", [1e-28, 1e-12, 1.0, 1e25])
def test_each_sentence_moves_as_far_as_it_is_told(scale, evaluate):
    slope = np.random.RandomState(0).normal(scale=scale, size=[4, 5, 3]).astype("f")
    slope[1] = 0  # it goes nowhere
    slope[2, 2:] = 0
    found = evaluate(adversarial.moves(tf.constant(slope), SIZE))
    np.testing.assert_allclose(found, numpy_moves(slope, SIZE), rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(np.sqrt((found**2).sum((1, 2))), [SIZE, 0, SIZE, SIZE], rtol=1e-5)


def taggers(by_words):
    """(what is fed, the tagger, a function that builds it again with moved words)."""
    fed = placeholders()

    def build(word_offsets=None):
        return tagger_over(fed, LSTM, by_words, word_offsets=word_offsets)

    return fed, build(), build


@pytest.mark.parametrize("grad_ys", [None, 8.0])
@pytest.mark.parametrize("by_words", [False, True])
def test_gradients_are_the_mean_of_two(by_words, grad_ys, evaluate):
    fed, tagger, build = taggers(by_words)
    offsets, moved = moved_tagger(build)
    variables = [var for var in tf.trainable_variables() if "pooler" not in var.op.name]
    loss = tf.reduce_mean(tagger.losses)
    found = adversarial.gradients_of(SIZE, tagger, build)(loss, variables, grad_ys)
    slope = tf.gradients(loss, tagger.word_vectors)
    here, there = tf.gradients(loss, variables), tf.gradients(tf.reduce_mean(moved.losses), variables)
    randomise(evaluate)
    values = feed(fed, ALL)
    found, (slope,), here = evaluate([found, slope, here], values)
    there = evaluate(there, {**values, offsets: numpy_moves(slope, SIZE)})
    for var, gradient, *both in zip(variables, found, here, there):
        expected = sum(dense(each, var) for each in both) / 2 * (grad_ys or 1)
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5, err_msg=var.op.name)


def moved_tagger(build):
    """(what is fed as the move, the tagger that it moves)."""
    offsets = tf.placeholder(tf.float32, [None, None, CONFIG.hidden_size])
    with tf.variable_scope("", reuse=True):
        return offsets, build(offsets)


def dense(gradient, var):
    """A gradient as numpy array: the rows of a sparse one added up."""
    if not hasattr(gradient, "indices"):
        return np.asarray(gradient, np.float64)
    found = np.zeros(var.shape.as_list())
    np.add.at(found, gradient.indices, gradient.values)
    return found


def test_no_other_small_move_costs_as_much(evaluate):
    fed, tagger, build = taggers(by_words=True)
    offsets, moved = moved_tagger(build)
    slope = tf.gradients(tf.reduce_mean(tagger.losses), tagger.word_vectors)[0]
    move = adversarial.moves(slope, 0.01)
    randomise(evaluate)
    values = feed(fed, ALL)
    before, move = evaluate([tagger.losses, move], values)
    has_words = np.abs(move).max((1, 2)) > 0
    assert list(has_words) == [True, True, True, False]

    def risen(by):
        return (evaluate(moved.losses, {**values, offsets: by}) - before)[has_words]

    rise, rng = risen(move), np.random.RandomState(3)
    assert (rise > 0).all()
    for _ in range(30):
        assert (risen(numpy_moves(rng.normal(size=move.shape), 0.01)) < rise).all()


def test_a_run_drops_the_same_in_both_passes(given, tmp_path):
    """So words that are moved by next to nothing change nothing, although the run drops half of all."""
    flags = [*given, *SHORT, "-subword_labels=first", "-dropout_rate=0.5"]
    without, _ = losses_of(flags, tmp_path / "without")
    moved_by_nothing, _ = losses_of(flags, tmp_path / "nothing", "-adversarial=1e-9")
    moved, _ = losses_of(flags, tmp_path / "moved", "-adversarial=1")
    np.testing.assert_allclose(moved_by_nothing, without, rtol=1e-4)
    assert moved[0] == pytest.approx(without[0], rel=1e-4)  # the loss is that of the words where they are
    assert abs(moved[-1] / without[-1] - 1) > 1e-2
    state = run_dir.read_state(str(tmp_path / "moved"))
    assert state["training"]["adversarial"] == 1.0
    assert "adversarial" not in run_dir.read_state(str(tmp_path / "without"))["training"]


def test_replicas_learn_as_one_device_does(tmp_path):
    task = small_task.write_task(tmp_path, hidden_size=8, num_hidden_layers=1, **small_task.NO_DROPOUT)
    flags = [*task, *SHORT, "-batch_size=8", "-learning_rate=5e-3", "-dropout_rate=0", "-crf_only", "-adversarial=1"]
    alone, _ = losses_of(flags, tmp_path / "alone")
    replicas, _ = losses_of(flags, tmp_path / "replicas", "-num_cpus=2")
    np.testing.assert_allclose(replicas, alone, rtol=1e-3)
