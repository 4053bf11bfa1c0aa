"""How the bulk tagger reads texts, finds its place in them again, and groups them."""

import io

import hypothesis
import pytest
from hypothesis import strategies

from bert.system.errors import UserError
from tests.fake_predictor import FakePredictor
from train.bulk import texts as bulk_texts
from train.bulk.formats import tag

pytestmark = pytest.mark.one_tensorflow


def test_the_columns_of_what_can_be_read_only_once(monkeypatch):
    """Its beginning says what they are, and a later line that is otherwise is named."""

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    monkeypatch.setattr(bulk_texts, "LOOKED_AT", 30)
    content = b"a b\tO\nc\tO\n\n" * 20
    texts = [text.content for text in bulk_texts.read_stream(Pipe(content), "in", "conll")]
    assert texts == [["a b", "c"]] * 20
    with pytest.raises(UserError, match="in:61: 1 column .'d O'., in the lines before it 2; expected as many in each"):
        list(bulk_texts.read_stream(Pipe(content + b"d O\n"), "in", "conll"))


ANY_LINE = strategies.text(strategies.characters(blacklist_characters="\n", blacklist_categories=["Cs"]))


@hypothesis.given(
    strategies.lists(ANY_LINE),
    strategies.booleans(),
    strategies.integers(1, 5),
)  # fmt: skip
def test_every_line_comes_back_and_reading_goes_on_behind_any(tmp_path_factory, lines, end, group):
    lines = [line[:-1] if line.endswith("\r") else line for line in lines]
    if lines:
        lines[0] = lines[0].lstrip("\ufeff")
    end = end or not lines or not lines[-1]
    path = tmp_path_factory.mktemp("lines") / "file"
    path.write_bytes(("\n".join(lines) + ("\n" if end and lines else "")).encode())
    if not lines:
        return
    texts = list(bulk_texts.read([str(path)], "lines"))
    assert [text.content for text in texts] == lines
    for i in range(0, len(texts), group):
        rest = list(bulk_texts.read([str(path)], "lines", texts[i].next))
        assert rest == texts[i + 1 :]


@pytest.mark.parametrize("kind", bulk_texts.KINDS)
def test_reading_goes_on_behind_any_text_of_several_files(kind, tmp_path):
    names = []
    for number, content in enumerate(["Ann x\n\nBob y\n", "-DOCSTART-\n\n\nEve y", "\r\n\r\nZoë\r\n\r\n"]):
        names.append(str(tmp_path / str(number)))
        (tmp_path / str(number)).write_bytes(content.encode())
    texts = list(bulk_texts.read(names, kind))
    for i, text in enumerate(texts):
        assert list(bulk_texts.read(names, kind, text.next)) == texts[i + 1 :]


def test_groups(monkeypatch, tmp_path):
    """Of a limited number of texts and of characters, none over the end of a file."""
    monkeypatch.setattr(bulk_texts, "GROUP_TEXTS", 3)
    monkeypatch.setattr(bulk_texts, "GROUP_CHARACTERS", 10)
    (tmp_path / "a").write_bytes(b"1\n2\n3\n4\n12345678901\n5\n12345\n12345\n6\n")
    (tmp_path / "b").write_bytes(b"7\n")
    names = [str(tmp_path / "a"), str(tmp_path / "b")]
    sizes = [len(group) for group in bulk_texts.groups(bulk_texts.read(names, "lines"), "lines")]
    assert sizes == [3, 2, 3, 1, 1]
    assert [len(group) for group in bulk_texts.groups(bulk_texts.read(names, "file"), "file")] == [1, 1]
    assert [len(group) for group in bulk_texts.groups(bulk_texts.read(names[1:] * 7, "file"), "file")] == [3, 3, 1]


def test_texts_of_like_length_are_tagged_together():
    texts = [bulk_texts.Text("x" * (i * 7919 % 100), i + 1, bulk_texts.START) for i in range(100)]
    predictor, seen = FakePredictor(), []
    tagged = tag(predictor, texts, "lines", 2, seen.append)
    assert [(one.text, one.line) for one in tagged] == [(text.content, text.line) for text in texts]
    lengths = [len(text) for call in predictor.calls for text in call]
    assert lengths == sorted(lengths) and sum(seen) == 100 and len(seen) > 3
