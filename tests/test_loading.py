"""What an import brings along, in processes of their own: a trained model at work needs nothing that trains."""

import subprocess
import sys

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
    program = "import sys; sys.modules['tensorflow'] = None; import train.check_data, train.serving_client"
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)
