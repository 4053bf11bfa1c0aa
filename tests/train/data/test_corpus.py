"""What is said of a training file as a whole."""

import pytest

from train.data import corpus


@pytest.mark.parametrize(
    "sentences,words,text",
    [
        (1, 201, "all 201 words are one sentence; expected an empty line between sentences"),
        (1, 200, ""),
        (40, 40, "each of its 40 words is a sentence of its own; expected empty lines between sentences alone"),
        (20, 20, ""),
        (40, 41, ""),
    ],
)
def test_sentences_that_end_where_none_should(sentences, words, text, tmp_path):
    assert corpus.described_division(sentences, words) == text
    per_sentence = [words // sentences + (i < words % sentences) for i in range(sentences)]
    path = tmp_path / "train.txt"
    path.write_text("\n".join("a B-X\n" + "b O\n" * (count - 1) for count in per_sentence))
    assert corpus.summarize(str(path)).said[-1] == text
