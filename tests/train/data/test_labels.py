import pytest

from bert.system.errors import UserError
from train.data import labels


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


def test_a_file_may_have_a_comma_in_its_name(tmp_path):
    file = tmp_path / "a,b.txt"
    file.write_bytes(b"B-A\nO\n")
    assert labels.read_label_list(str(file)) == ["B-A", "O", "X", "[CLS]", "[SEP]"]


@pytest.mark.parametrize(
    "spec,message",
    [
        ("O,B-A,B-A", "-label_list O,B-A,B-A: the label 'B-A' is there twice; expected each label once"),
        ("O,[PAD]", "-label_list O,[PAD]: [PAD] is the padding's label"),
        (" , ", "no label in it; expected a file with one label per line"),
        (
            "no_such_file",
            "no_such_file: cannot be read: No such file or directory; expected a file with one label per line, or a ",
        ),
    ],
)
def test_bad_lists(spec, message):
    with pytest.raises(UserError) as caught:
        labels.read_label_list(spec)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "content,message",
    [
        (b"O\n\nB-A\nO\n", ":4: the label 'O' is there twice"),
        (b"\xef\xbb\xbf[PAD]\r\nO\r\n", ":1: [PAD] is the padding's label"),
        (b"O\nB-\xff\n", ":2: byte 3 of the line is not UTF-8"),
        (b"\n \n", ": no label in it"),
        (b'["O", "B-A"]', ": JSON; expected a file with one label per line"),
        (b'{\n "O": 1}', ": JSON; expected a file with one label per line"),
        (b"O 1\nB-A 2\n", ": a number beside each label, as 'O 1'; expected a file with one label per line"),
        (b"1\tO\n2\tB-Full name\n", ": a number beside each label"),
    ],
)
def test_bad_files_are_named_with_the_line(content, message, tmp_path):
    file = tmp_path / "labels.txt"
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        labels.read_label_list(str(file))
    assert str(caught.value).startswith(f"{file}{message}")
