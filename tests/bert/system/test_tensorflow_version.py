"""Programs on a Python without TensorFlow, or with one that they do not work with; and what each start sets up."""

import gc
import os
import subprocess
import sys
import weakref

import pytest

from bert.system import startup
from bert.system.startup import _is_supported
from tests.paths import REPOSITORY


def run(directory, *command):
    """(exit code, standard error) of a command that finds only what is in `directory`, and nothing installed."""
    environment = dict(os.environ, PYTHONPATH=str(directory))
    done = subprocess.run(
        [sys.executable, "-S", "-c" if command[0].startswith("import") else "-X", *command], cwd=REPOSITORY,
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.stdout == ""
    return done.returncode, done.stderr


def fake_tensorflow(directory, version):
    (directory / "tensorflow").mkdir()
    (directory / "tensorflow" / "__init__.py").write_text(f"__version__ = {version!r}\n")


@pytest.mark.parametrize("program", [["bert/run_squad.py"], ["-m", "train.bert_lstm_ner"], ["-m", "train.predict"]])
def test_without_tensorflow(program, tmp_path):
    code, line = run(tmp_path, "utf8", *program)
    assert code == 2 and line.startswith("error: TensorFlow is not installed") and line.count("\n") == 1
    assert line.endswith("pip install -r requirements.txt installs it\n")


@pytest.mark.parametrize(
    "program",
    ["bert/run_classifier", "bert/run_pretraining", "bert/extract_features", "bert/sentence2vec"]
    + ["bert/convert_checkpoint", "train/bert_lstm_ner"],
)
def test_programs_run_as_files(program, tmp_path):
    """From any directory they find what they import, until they miss TensorFlow."""
    done = subprocess.run(
        [sys.executable, "-S", os.path.join(REPOSITORY, program + ".py")], cwd=str(tmp_path),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.startswith("error: TensorFlow is not installed"), done.stderr


@pytest.mark.parametrize("version", ["1.13.1", "2.3.0", "2.14.1"])
def test_another_version(version, tmp_path):
    fake_tensorflow(tmp_path, version)
    (tmp_path / "tqdm.py").write_text("tqdm = None")
    (tmp_path / "numpy.py").write_text("")
    given = "--do_train --task_name=cola --data_dir=d --output_dir=o --bert_config_file=c --vocab_file=v".split()
    code, line = run(tmp_path, "utf8", "bert/run_classifier.py", *given)
    assert code == 2 and line.startswith(f"error: TensorFlow {version} is installed") and line.count("\n") == 1


def test_a_script_of_the_users_own_gets_an_import_error(tmp_path):
    code, shown = run(tmp_path, f"import sys; sys.path.insert(0, {REPOSITORY!r}); import train.predictor")
    assert code == 1 and "NoTensorFlow: TensorFlow is not installed" in shown


def test_versions_that_will_do():
    assert all(_is_supported(*version) for version in [(1, 15), (2, 15), (2, 16), (2, 21), (3, 0)])
    assert not any(_is_supported(*version) for version in [(1, 14), (2, 0), (2, 14), (0, 12)])


@pytest.mark.one_tensorflow
@pytest.mark.parametrize("program", ["conlleval", "predict", "serving_client"])
def test_programs_in_train_run_as_files(program, tmp_path):
    """From any directory, as those in bert/; the interpreter's own site has what they need."""
    done = subprocess.run(
        [sys.executable, os.path.join(REPOSITORY, "train", program + ".py"), "--help"], cwd=str(tmp_path),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "usage" in done.stdout.lower() or "python -m train" in done.stdout, done.stderr


@pytest.mark.one_tensorflow
def test_what_a_first_training_left_is_collected_after_a_second_start(monkeypatch):
    """In a script that calls train() again: graphs are cycles, and what is frozen is never looked at again."""
    monkeypatch.setattr(startup, "log_to_stderr", lambda: None)
    startup.set_up_program()
    left = type("Graph", (), {})()
    left.itself, seen = left, weakref.ref(left)
    del left
    startup.set_up_program()
    gc.collect()
    assert seen() is None
