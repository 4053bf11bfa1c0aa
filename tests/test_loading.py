"""What an import brings along, in processes of their own: a trained model at work needs nothing that trains."""

import subprocess
import sys

import pytest

from tests.paths import REPOSITORY


def loaded(*modules):
    """The names of all modules that are loaded when these are imported."""
    program = f"import sys, {', '.join(modules)}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().split()


def test_who_uses_a_model_loads_nothing_that_trains():
    found = loaded("train.predictor", "train.serving.client", "bert.convert_checkpoint", "bert.sentence2veclib")
    assert [name for name in found if name.startswith(("bert.training", "train.finetuning"))] == []
    assert "train.inference.text_tagger" in found and "bert.runtime.encoding" in found


def test_the_rest_client_needs_no_tensorflow():
    found = loaded("train.serving.client", "train.serving.rest", "train.serving_client")
    assert not {"tensorflow", "grpc"} & set(found)
    assert not [name for name in found if name.startswith(("bert.training", "train.finetuning"))]


def test_data_can_be_checked_where_there_is_no_tensorflow():
    program = "import sys; sys.modules['tensorflow'] = None; import train.check_data, train.serving_client, train.sweep"
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)


# What each program names when it is run without flags, or with the one that says what to do.
MISSING = {
    "run_classifier -do_train": "-task_name, -bert_config_file, -vocab_file, -output_dir and -data_dir are missing",
    "run_squad -do_train": "-bert_config_file, -vocab_file, -output_dir and -train_file are missing",
    "run_pretraining -do_train": "-input_file, -output_dir and -bert_config_file are missing",
    "create_pretraining_data": "-input_file, -output_file and -vocab_file are missing",
    "extract_features": "-input_file, -output_file, -bert_config_file, -vocab_file and -init_checkpoint are missing",
    "sentence2vec -config empty.json": "-bert_config_file, -vocab_file and -init_checkpoint are missing",
}


@pytest.mark.one_tensorflow
def test_missing_flags_are_named_before_tensorflow_is_loaded(tmp_path):
    """All programs in one process, in which the import of tensorflow would fail."""
    (tmp_path / "empty.json").write_text("{}")
    program = (
        "import runpy, sys; sys.modules['tensorflow'] = None\n"
        "for command in sys.argv[1:]:\n"
        "    name, *sys.argv[1:] = command.split()\n"
        "    try: runpy.run_module('bert.' + name, run_name='__main__')\n"
        "    except SystemExit as ended: assert ended.code == 2\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *MISSING],
        cwd=str(tmp_path),
        env={"PYTHONPATH": REPOSITORY},
        stderr=subprocess.PIPE,
        check=True,
    )
    assert done.stderr.decode().splitlines() == [f"error: {line}" for line in MISSING.values()]
