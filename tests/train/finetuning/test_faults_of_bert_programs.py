"""The programs of bert/ under the same faults: a full disk, signals, kills, a second run, a damaged checkpoint."""

import contextlib
import json
import os
import signal
import time

import pytest

from bert import run_classifier, run_pretraining, run_squad
from bert.runtime import checkpoint
from bert.system import signals
from bert.system.errors import UserError
from bert.training import stopping
from tests.bert import classifier_task, test_run_squad
from tests.bert.pretraining_text import write_numbered
from tests.paths import REPOSITORY
from tests.train.finetuning.faults import (
    KILLS,
    assert_nothing_half_written,
    assert_same_weights,
    at_step,
    cut,
    killed,
    largest_file,
    read,
    step_of,
    steps_that_decide,
)

DROPPING = dict(classifier_task.CONFIG, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)


def write_classifier(folder):
    classifier_task.write_mrpc(folder, train=128, others=10)
    classifier_task.write_lines(folder / "vocab.txt", classifier_task.PIECES)
    (folder / "bert_config.json").write_text(json.dumps(DROPPING))
    flags = classifier_task.flags_of(folder, folder, None, "mrpc", "--num_train_epochs=2", "--do_eval=true")
    return run_classifier.main, [flag for flag in flags if not flag.startswith("--output_dir")]


def write_pretraining(folder):
    write_numbered(folder / "records", [i % 30 for i in range(100)])
    (folder / "bert_config.json").write_text(json.dumps(dict(DROPPING, vocab_size=30)))
    return run_pretraining.main, [
        f"--input_file={folder}/records", f"--bert_config_file={folder}/bert_config.json", "--max_seq_length=4",
        "--max_predictions_per_seq=2", "--num_train_steps=16", "--num_warmup_steps=2", "--do_eval",
    ]  # fmt: skip


def write_squad(folder):
    classifier_task.write_lines(folder / "vocab.txt", test_run_squad.PIECES)
    config = dict(DROPPING, vocab_size=len(test_run_squad.PIECES))
    (folder / "bert_config.json").write_text(json.dumps(config))
    for seed, name in enumerate(("train", "dev")):
        test_run_squad.write_squad(folder / f"{name}.json", 20, seed)
    return lambda flags: run_squad.run(run_squad.parse_args(flags)), [
        f"--bert_config_file={folder}/bert_config.json", f"--vocab_file={folder}/vocab.txt", "--max_seq_length=22",
        "--doc_stride=7", "--max_query_length=6", "--train_batch_size=16", f"--train_file={folder}/train.json",
        "--do_predict", f"--predict_file={folder}/dev.json",
    ]  # fmt: skip


@pytest.mark.one_tensorflow  # they train by the tagger's functions, whose faults are tested on every TensorFlow
@pytest.mark.parametrize("write", [write_classifier, write_pretraining, write_squad])
def test_the_programs_of_bert_too(write, tmp_path, warnings, monkeypatch):
    """A full disk, a signal, a second run, a checkpoint cut off: in the end, what a run without faults gives."""
    (tmp_path / "task").mkdir()
    main, flags = write(tmp_path / "task")
    flags += ["--do_train", "--save_checkpoints_steps=4"]
    output, whole = str(tmp_path / "output"), str(tmp_path / "whole")
    again = [*flags, f"--output_dir={output}"]
    main([*flags, f"--output_dir={whole}"])
    steps_of_whole = step_of(whole)
    assert steps_of_whole >= 16

    save = stopping.CheckpointSaver._save
    full = contextlib.ExitStack()

    def save_on_full_disk(self, session, step):
        assert signals._is_deferred
        if step == 8:
            size = os.path.getsize(os.path.join(output, "model.ckpt-4.data-00000-of-00001"))
            full.enter_context(largest_file(size - 1))
        return save(self, session, step)

    with full, monkeypatch.context() as patched, pytest.raises(UserError) as caught:
        patched.setattr(stopping.CheckpointSaver, "_save", save_on_full_disk)
        main(again)
    assert str(caught.value) == f"{output}/model.ckpt-8: cannot be written: File too large"
    assert step_of(output) == 4
    assert_nothing_half_written(output)

    def stop():
        with pytest.raises(UserError, match=f"another run .process {os.getpid()} "):
            main(again)
        os.kill(os.getpid(), signal.SIGTERM)

    with at_step(9, stop) as steps, signals.handle_signals(), pytest.raises(signals.Interrupted) as stopped:
        main(again)
    prefix = checkpoint.latest(output)
    step = checkpoint.step_of(prefix)
    assert steps[0] == 5 and 9 <= step <= 10
    assert str(stopped.value).startswith(
        f"stopped by SIGTERM at step {step} of {steps_of_whole}, saved in {prefix}; the same command"
    )
    assert_nothing_half_written(output)
    cut(prefix + ".data-00000-of-00001")
    os.mkdir(os.path.join(output, "model.ckpt-12_temp"))  # as of a run that was killed when it saved
    piece = os.path.join(output, "model.ckpt-1.data-00000-of-00001")  # and when it removed an older one
    open(piece, "w").close()
    assert not warnings
    with at_step(0, None) as steps, steps_that_decide() as decided:
        main(again)
    assert decided[0] == steps_of_whole and not os.path.exists(piece)
    assert steps[0] == 9 and len(warnings) == 1 and warnings[0].startswith(f"{prefix}: the checkpoint is cut off")
    assert_nothing_half_written(output)
    assert_same_weights(output, whole)
    results = [read(os.path.join(folder, "eval_results.txt")) for folder in (output, whole)]
    assert results[0] == results[1]


@pytest.mark.skipif(KILLS < 2, reason="the long form alone; what follows from the last checkpoint is tested above")
@pytest.mark.parametrize(
    "write, program", [(write_classifier, "run_classifier"), (write_pretraining, "run_pretraining")]
)
def test_kills_of_the_programs_of_bert(write, program, tmp_path):
    """Killed at random moments, they come to the same weights."""
    (tmp_path / "task").mkdir()
    main, flags = write(tmp_path / "task")
    longer = {"run_classifier": "--num_train_epochs={}", "run_pretraining": "--num_train_steps={}"}[program]
    flags += ["--do_train", "--save_checkpoints_steps=4", longer.format(16 * KILLS)]
    output, whole, since = str(tmp_path / "output"), str(tmp_path / "whole"), time.time()
    main([*flags, f"--output_dir={whole}"])
    flags += [f"--output_dir={output}"]
    killed([os.path.join(REPOSITORY, "bert", f"{program}.py"), *flags], output, time.time() - since, tmp_path / "log")
    main(flags)
    assert_same_weights(output, whole)
    assert read(os.path.join(output, "eval_results.txt")) == read(os.path.join(whole, "eval_results.txt"))
    assert_nothing_half_written(output)
