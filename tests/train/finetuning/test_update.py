"""The rate of the head and frozen layers: against what is written by hand, and as a run's first step shows them."""

import argparse

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tests import small_task
from train.bert_lstm_ner import train
from train.finetuning.update import step_options
from train.train_helper import get_args_parser

EMBEDDINGS = "bert/embeddings/word_embeddings"
LAYERS = [f"bert/encoder/layer_{i}/output/dense/kernel" for i in range(12)]
HEAD = "crf_loss/transitions"
FLAGS = {"clip": 1.0, "head_learning_rate": None, "freeze_layers": None}
FLAGS.update(gradient_accumulation_steps=1, bias_correction=True)


def options(**flags):
    return step_options(argparse.Namespace(**dict(FLAGS, **flags)), 1e-4)


def test_layers_are_frozen_from_the_embeddings_on():
    names = [EMBEDDINGS, *LAYERS, "bert/pooler/dense/kernel", HEAD]
    for layers in range(12):
        is_frozen = options(freeze_layers=layers).is_frozen
        assert [is_frozen(name) for name in names] == [True] * (layers + 1) + [False] * (14 - layers)
    assert not any(map(options().is_frozen, names))


def test_the_first_step_of_a_run_moves_encoder_and_head_by_their_rates(tmp_path):
    """With its bias corrected, Adam's first step moves every weight that has a gradient by the rate."""
    given = small_task.write_task(tmp_path, train=7, hidden_size=8, num_hidden_layers=2, **small_task.NO_DROPOUT)
    given += ["-batch_size=8", "-num_train_epochs=1", "-warmup_proportion=0", "-dropout_rate=0", "-crf_only"]
    given += ["-learning_rate=1e-3", "-head_learning_rate=4e-3", "-bias_correction", "-freeze_layers=1"]
    train(get_args_parser([*given, "-output_dir", str(tmp_path / "output"), "-do_predict=false"]))
    before, after = (tf.train.load_checkpoint(str(tmp_path / "output" / f"model.ckpt-{step}")) for step in (0, 1))
    for name, rate in [(EMBEDDINGS, 0), (LAYERS[0], 0), (LAYERS[1], 1e-3), (HEAD, 4e-3)]:
        moved = np.abs(after.get_tensor(name) - before.get_tensor(name))
        assert np.max(moved) == pytest.approx(rate, rel=0.05), name
