"""What the data and the encoder choose, and what a run that goes on keeps."""

import json

import numpy as np
import pytest

from bert.runtime import checkpoint
from train import run_dir
from train.finetuning.choices import BY_SIZE, choose, count_sentences, fill_in
from train.train_helper import CHOSEN_BY_DATA, get_args_parser


@pytest.fixture
def files(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.txt").write_text("-DOCSTART- O\n\nJohn B-PER\nran O\n\n\nO O\n" * 60, encoding="utf-8")
    (tmp_path / "bert_config.json").write_text(json.dumps({"hidden_size": 384}))
    return tmp_path


def filled(files, *flags):
    given = ["-data_dir", str(files / "data"), "-output_dir", str(files / "output")]
    given += ["-bert_config_file", str(files / "bert_config.json")]
    return fill_in(get_args_parser([*given, *flags]))


def test_what_is_given_stays(files):
    given = ["-batch_size", "64", "-learning_rate", "1e-5", "-num_train_epochs", "10", "-head_learning_rate", "1e-5"]
    given += ["-dropout_rate", "0.5", "-adversarial", "0.5", "-bias_correction=false", "-subword_labels", "x"]
    args, said = filled(files, *given)
    assert (args.batch_size, args.learning_rate, args.num_train_epochs, args.head_learning_rate) == (64, 1e-5, 10, 1e-5)
    assert args.not_given == () and args.dropout_rate == 0.5 and not args.bias_correction and said == ""


def test_what_is_not_given_is_chosen_and_said(files):
    args, said = filled(files, "-init_checkpoint", "model.ckpt", "-batch_size", "4")
    assert (args.batch_size, args.learning_rate, args.head_learning_rate) == (4, 2e-4, 1e-3)
    assert args.num_train_epochs == 25 and args.bias_correction is True and "batch_size" not in args.not_given
    assert said == (
        "chosen for 121 sentences and an encoder of width 384: -learning_rate 0.0002 -head_learning_rate 0.001 "
        "-num_train_epochs 25 -dropout_rate 0.2 -adversarial 0.0 -bias_correction true -subword_labels first"
    )
    assert filled(files, "-learning_rate", "1e-2")[0].head_learning_rate == 1e-2
    assert filled(files, "-learning_rate", "1e-5")[0].head_learning_rate == 1e-3
    assert filled(files, "-learning_rate", "2e-3")[0].bias_correction is True
    args, said = filled(files)
    assert args.bias_correction is False and args.dropout_rate == 0.2
    assert args.learning_rate == 1e-3 and "384 with random weights: -batch_size 8 -learning_rate 0.001 " in said


def test_what_a_script_sets_on_the_flags_stays(files):
    """`args = get_args_parser(); args.batch_size = 64; train(args)`, also with a value that is the default."""
    args = get_args_parser(["-data_dir", str(files / "data"), "-output_dir", str(files / "output")])
    args.bert_config_file = str(files / "bert_config.json")
    args.batch_size, args.dropout_rate = 64, 0.4
    assert not {"batch_size", "dropout_rate"} & set(args.not_given) and len(args.not_given) == len(CHOSEN_BY_DATA) - 2
    args, said = fill_in(args)
    assert (args.batch_size, args.dropout_rate, args.num_train_epochs) == (64, 0.4, 75)
    assert "batch_size" not in said and "dropout" not in said


def test_a_run_goes_on_with_what_it_began_with(files):
    (files / "output").mkdir()
    training = {"batch_size": 64, "learning_rate": 1e-5, "head_learning_rate": None, "num_train_epochs": 10.0}
    training["dropout_rate"] = 0.5
    state = run_dir.new_state(str(files / "output"), {"subword_labels": "x"}, training)
    run_dir.write_state(str(files / "output"), state)
    args, said = filled(files, "-num_train_epochs", "11")
    assert not args.bias_correction  # which the version that began the run did not have
    assert said == (
        "kept as the run began: -batch_size 64 -learning_rate 1e-05 -dropout_rate 0.5 "
        "-adversarial 0.0 -bias_correction false -subword_labels x"
    )
    for same in ([], ["-num_train_epochs", "10"], ["-num_train_epochs", "11", "-do_train=false"]):
        assert filled(files, *same)[1] == ""
    assert {name: getattr(args, name) for name in training} == dict(training, num_train_epochs=11.0)
    run_dir.write_state(str(files / "output"), dict(state, training=dict(training, bias_correction=True)))
    assert filled(files)[0].bias_correction and filled(files)[0].subword_labels == "x"
    assert filled(files, "-do_train=false")[0].subword_labels == "x"
    args, _ = filled(files, "-clean")
    assert args.batch_size == 8 and args.subword_labels == "first"


def test_texts_in_lines_that_are_arrays_are_counted(files):
    path = files / "data" / "train.jsonl"
    path.write_text('["Ann ran", {"entities": [[0, 3, "PER"]]}]\n' * 7)
    assert count_sentences(str(path)) == 7


def test_a_tagger_to_start_from_keeps_its_labels_of_later_pieces(files):
    """The archive's taggers label all pieces; a run says in run.json what its own does."""

    def chosen(name, *flags):
        return filled(files, "-init_checkpoint", str(files / name), *flags)[0].subword_labels

    for name, variable in (("encoder.ckpt", "bert/pooler/dense/bias"), ("tagger.ckpt", "project/logits/b")):
        checkpoint.write(str(files / name), {variable: np.zeros(3, np.float32)})
    assert chosen("encoder.ckpt") == "first" and chosen("tagger.ckpt") == "x"
    assert chosen("tagger.ckpt", "-init_head=false") == "first"
    for folder in ("run", "run/best"):
        (files / folder).mkdir()
        checkpoint.write(str(files / folder / "model.ckpt-3"), {"project/logits/b": np.zeros(3, np.float32)})
    for kind in ("first", "x"):
        run_dir.write_state(str(files / "run"), run_dir.new_state(str(files / "run"), {"subword_labels": kind}, {}))
        assert chosen("run/model.ckpt-3") == chosen("run/best/model.ckpt-3") == chosen("run") == kind


def test_faults_are_left_to_the_checks_of_the_inputs(files):
    (files / "bert_config.json").write_text("{")
    args, said = filled(files)
    assert said == "" and args.batch_size == 64
    (files / "data" / "train.txt").unlink()
    assert filled(files)[1] == ""
    assert fill_in(get_args_parser(["-data_dir", "x"]))[1] == ""
    assert filled(files, "-do_train=false")[0].batch_size == 64


def test_every_size_and_width():
    for has_weights in (False, True):
        for hidden_size in (1, 128, 384, 768, 1024):
            for sentences in (0, 1, 300, 301, 1500, 1501, 3000, 3001, 10**9):
                values = choose(sentences, hidden_size, has_weights)
                assert set(values) <= set(CHOSEN_BY_DATA)
                assert values.pop("adversarial") == (1.0 if has_weights and 300 < sentences <= 1500 else 0.0)
                assert values.pop("bias_correction") is has_weights and all(value > 0 for value in values.values())
    rates = [choose(size, 768, True)["learning_rate"] for size in (100, 300, 301, 3000, 5000, 10**6)]
    assert rates == [1e-4, 1e-4, 5e-5, 5e-5, 2.5e-5, 2.5e-5]
    assert {choose(size, 768, False)["learning_rate"] for size in (100, 5000)} == {1e-3}
    epochs = [
        [choose(size, 768, trained)["num_train_epochs"] for size in (100, 3000, 5000)] for trained in (True, False)
    ]
    assert epochs == [[25, 10, 4], [75, 30, 12]]


def test_sentences_are_counted(tmp_path):
    path = tmp_path / "train.txt"
    path.write_bytes(b"\xef\xbb\xbfa O\r\nb O\r\n\r\n \t\r\nc O")
    assert count_sentences(str(path)) == 2
    path.write_text("a O\n\n" * 30000)
    assert count_sentences(str(path)) == BY_SIZE[-2].sentences + 1
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "a"}\n\n{"text": "b"}\n')
    assert count_sentences(str(path)) == 2
    path = tmp_path / "train.json"
    path.write_text('[{"text": "a"},\n{"text": "b"}, {"text": "c"}]')
    assert count_sentences(str(path)) == 3
