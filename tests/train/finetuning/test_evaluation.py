"""What the scores of a data file can say."""

import pytest

from train.data.conll import Sentence
from train.finetuning.evaluation import has_entities


@pytest.mark.parametrize(
    "tags,scheme,expected",
    [
        ([], "BIO", False),
        ([["O", "O"]], None, False),
        ([["O"], ["B-PER", "I-PER"]], "BIO", True),
        ([["O"], ["PER", "PER"]], "IO", True),
        ([["U-PER"]], "BILOU", True),
    ],
)
def test_f1_can_rise_only_where_there_are_entities(tags, scheme, expected):
    sentences = [Sentence(["word"] * len(each), each, 1, ()) for each in tags]
    assert has_entities(sentences, scheme) == expected
