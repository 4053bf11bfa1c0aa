"""How the tests of the bulk tagger run it and read what it writes."""

import json

import pytest

from bert.system.errors import UserError
from train import predict

LINES = ["Ann Lee ran on 3 May.", "", "北京 Bob", "\u2028 x\x0bAnn \x85 \r y", " \t", "café Zoë", "𝔘 Eve 😀 42", "Ann"]


def run(*flags):
    predict.main(["-model_dir", "model"] + list(flags))


def rows(path):
    return [json.loads(line) for line in path.read_bytes().decode("utf-8").split("\n")[:-1]]


def fails(*flags):
    """The message of the UserError."""
    with pytest.raises(UserError) as error:
        run(*flags)
    assert "\n" not in str(error.value)
    return str(error.value)
