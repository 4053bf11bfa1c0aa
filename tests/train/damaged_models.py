"""Copies of a finished run, to be damaged, and what Predictor says of them."""

import shutil

import pytest

from bert.system.errors import UserError
from train.predictor import Predictor


def copy_of(finished, tmp_path):
    path = tmp_path / "model"
    shutil.copytree(finished[0], str(path))
    return path


def refused(path, **kwargs):
    with pytest.raises(UserError) as caught:
        Predictor(str(path), **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message
