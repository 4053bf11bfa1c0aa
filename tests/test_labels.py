import pytest

from bert.errors import UserError
from train import labels


def test_label_list_depends_on_the_set_of_tags_alone():
    tags = ["I-PER", "O", "B-PER", "B-LOC", "O"]
    assert labels.label_list(tags) == ["O", "B-LOC", "B-PER", "I-PER", "X", "[CLS]", "[SEP]"]
    assert labels.label_list(reversed(tags * 3)) == labels.label_list(tags)


def test_ids_start_at_one():
    assert list(labels.label_ids(["O", "X"]).items()) == [("O", 1), ("X", 2)]


def test_a_given_list_keeps_its_order(tmp_path):
    assert labels.read_label_list("B-A,I-A,O,X,[CLS],[SEP]") == ["B-A", "I-A", "O", "X", "[CLS]", "[SEP]"]
    file = tmp_path / "labels.txt"
    file.write_bytes("\ufeff[SEP]\r\nI-A\r\nB-A\r\n\r\n".encode("utf-8"))
    assert labels.read_label_list(str(file)) == ["[SEP]", "I-A", "B-A", "O", "X", "[CLS]"]


@pytest.mark.parametrize("spec", ["O,B-A,B-A", "O,[PAD]", "no_such_file"])
def test_bad_lists(spec):
    with pytest.raises(UserError):
        labels.read_label_list(spec)


@pytest.mark.parametrize(
    "expected,sentences",
    [
        ("BIO", [["O", "B-A", "I-A", "B-B"], ["B-A"]]),
        ("BIO", [["B-A"], ["O"]]),
        (None, [["O", "I-A", "I-A", "O", "I-B"]]),  # IOB1
        (None, [["O", "A", "B"]]),  # no prefixes
        (None, [["O", "O"]]),
        ("BIOES", [["O", "B-A", "I-A", "E-A", "S-B"]]),
        (None, [["I-A", "E-A", "E-A", "O"], ["O", "I-B"]]),  # IOE
        ("BIO", [["B-A", "I-A"] * 200 + ["O", "I-A"]]),  # one slip
    ],
)
def test_detect_scheme(expected, sentences):
    assert labels.detect_scheme(sentences) == expected


def test_may_follow():
    bio, bioes = labels.SCHEMES["BIO"], labels.SCHEMES["BIOES"]
    assert labels.may_follow(bio, "B-A", "I-A") and labels.may_follow(bio, "I-A", "B-A")
    assert not labels.may_follow(bio, "B-A", "I-B")
    assert not labels.may_follow(bio, None, "I-A")
    assert labels.may_follow(bio, "B-A-b", "I-A-b") and not labels.may_follow(bio, "B-A-b", "I-A-c")
    assert not labels.may_follow(bioes, "B-A", "O") and not labels.may_follow(bioes, "S-A", "E-A")
    assert labels.may_follow(bioes, "E-A", "B-A")
