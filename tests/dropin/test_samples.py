"""bert/input.txt and what extract_features makes of it, bert/output.json."""

import json
import os

import pytest

from bert import extract_features
from bert.tokenization import FullTokenizer
from tests.paths import REPOSITORY


@pytest.mark.one_tensorflow
def test_the_sample_is_what_the_program_writes(tmp_path):
    folder = os.path.join(REPOSITORY, "bert")
    with open(os.path.join(folder, "output.json"), encoding="utf-8") as reader:
        lines = [json.loads(line) for line in reader]
    tokenizer = FullTokenizer(os.path.join(REPOSITORY, "data_demo", "vocab.txt"))
    examples = extract_features.read_examples(os.path.join(folder, "input.txt"))
    features = extract_features.convert_examples_to_features(examples, 32, tokenizer)
    assert [line["linex_index"] for line in lines] == [example.unique_id for example in examples]
    for line, feature in zip(lines, features):
        assert [piece["token"] for piece in line["features"]] == feature.tokens
        for piece in line["features"]:
            (layer,) = piece["layers"]
            assert set(piece) == {"token", "layers"} and layer["index"] == -1 and len(layer["values"]) == 4
