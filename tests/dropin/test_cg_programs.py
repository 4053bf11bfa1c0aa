"""The archive's two further programs: the files of a run, and curves for each label.

Most runs here are -crf_only: the graph of an RNN takes longest to build, and nothing here depends on it.
"""

import glob
import os

import pytest
import tensorflow.compat.v1 as tf

from bert.system.errors import UserError
from tests import forking, selection, small_task
from tests.paths import REPOSITORY
from tests.train.finetuning.faults import steps_that_decide
from train import bert_lstm_ner, bert_lstm_ner_cg_estimator, bert_lstm_ner_cg_variable, run_dir
from train.train_helper import get_args_parser

# The first one trains as run.py does, and scores labels as the second one does: on one TensorFlow it is enough.
PROGRAMS = [pytest.param(bert_lstm_ner_cg_estimator, marks=pytest.mark.one_tensorflow), bert_lstm_ner_cg_variable]


def curves(output_dir):
    """{name: [(step, value), ...]} of the events of evaluations."""
    found = {}
    for path in glob.glob(os.path.join(output_dir, "eval", "events*")):
        for event in tf.train.summary_iterator(path):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_run(program, given, tmp_path, capsys):
    flags = [*given, "-output_dir", str(tmp_path), "-num_train_epochs", "2", "-crf_only", "-clean", "True"]
    results = program.train(get_args_parser(flags))
    state = run_dir.read_state(str(tmp_path))
    steps = [scores["step"] for scores in state["evaluations"]]
    found = curves(str(tmp_path))
    assert state["finished"] and len(steps) == 2 and set(results) == {"dev", "test"}
    for name in ("O", "B-PER", "B-LOC"):
        assert [step for step, _ in found[f"dev/accuracy/{name}"]] == steps
    assert [step for step, _ in found["dev/f1"]] == steps
    assert sorted(state["calibration"]["entity_offsets"]) == ["LOC", "PER"]
    if not selection.is_reference():
        return  # what one program writes, the other reads: files, the same on every TensorFlow

    # run.py uses what was trained, and finds the same tags.
    with open(str(tmp_path / "label_test.txt"), encoding="utf-8") as reader:
        tagged = reader.read()
    again = bert_lstm_ner.train(get_args_parser([*flags, "-do_train=false", "-clean=false"]))
    with open(str(tmp_path / "label_test.txt"), encoding="utf-8") as reader:
        assert reader.read() == tagged
    assert again["dev"] == pytest.approx(results["dev"], rel=1e-4)


@pytest.mark.one_tensorflow  # what it goes on from is read as by run.py, which is killed and stopped on every one
def test_one_graph_goes_on_where_it_was(given, tmp_path, capsys, monkeypatch):
    flags = [*given, "-output_dir", str(tmp_path), "-num_train_epochs", "2", "-crf_only", "-adversarial", "1"]

    class Killed(Exception):
        pass

    def killed(*args):
        raise Killed()

    with monkeypatch.context() as patch:
        patch.setattr(bert_lstm_ner_cg_variable.LabelScores, "__call__", killed)
        with pytest.raises(Killed):
            bert_lstm_ner_cg_variable.train(get_args_parser(flags))
    assert not run_dir.read_state(str(tmp_path))["finished"]
    with steps_that_decide() as decided:
        bert_lstm_ner_cg_variable.train(get_args_parser(flags))
    state = run_dir.read_state(str(tmp_path))
    assert state["finished"] and len({scores["step"] for scores in state["evaluations"]}) == 2
    assert decided == [state["evaluations"][-1]["step"]]


@pytest.mark.one_tensorflow
def test_what_one_graph_does_not_do(given, tmp_path, capsys):
    flags = [*given, "-output_dir", str(tmp_path)]
    with pytest.raises(UserError, match="-report: this program writes no page"):
        bert_lstm_ner_cg_variable.train(get_args_parser([*flags, "-report"]))
    with pytest.raises(UserError, match="-strategy mirrored: this program trains on one device"):
        bert_lstm_ner_cg_variable.train(get_args_parser([*flags, "-num_cpus", "2"]))


@pytest.mark.one_tensorflow
def test_an_archive_style_script(tmp_path):
    """Its flags, with one dash, and its spelling of values, as they stand; run.py reads all of them."""
    files = small_task.write_task(tmp_path)
    bert, data = files[files.index("-bert_dir") + 1], files[files.index("-data_dir") + 1]
    printed, log = tmp_path / "printed", tmp_path / "log"
    flags = [
        *("-data_dir", data, "-output_dir", str(tmp_path / "output"), "-vocab_file", os.path.join(bert, "vocab.txt")),
        *("-bert_config_file", os.path.join(bert, "bert_config.json"), "-max_seq_length", "16", "-batch_size", "16"),
        *("-do_train", "-do_eval", "True", "-do_predict", "true", "-learning_rate", "1e-3", "-num_train_epochs", "1.0"),
        *("-dropout_rate", "0.5", "-clip", "0.5", "-warmup_proportion", "0.1", "-lstm_size", "8", "-num_layers", "1"),
        *("-cell", "lstm", "-save_checkpoints_steps", "500", "-save_summary_steps", "500", "-filter_adam_var", "True"),
        *("-do_lower_case", "True", "-clean", "True", "-device_map", "-1", "-ner", "ner", "-verbose"),
        *("-label_list", "O,B-PER,I-PER,B-LOC,X,[CLS],[SEP]"),
    ]
    program = os.path.join(REPOSITORY, "run.py")
    assert forking.run(forking.program, program, *flags, stdout=printed, stderr=log) == 0, log.read_text()[-3000:]
    assert "processed" in printed.read_text()
    assert {"label_test.txt", "token_test.txt", "predict_score.txt", "model.ckpt.index", "label2id.pkl"} <= set(
        os.listdir(str(tmp_path / "output"))
    )
