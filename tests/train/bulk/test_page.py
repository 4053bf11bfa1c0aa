"""The page of tagged texts, read back with an HTML parser: every text whole, every entity marked, nothing let in."""

import json
import os
import re
from html.parser import HTMLParser

import hypothesis
import pytest
from hypothesis import strategies

from tests.fake_predictor import FakePredictor
from train import predict
from train.bulk import loop
from train.bulk import texts as bulk_texts
from train.bulk.formats import TaggedText
from train.bulk.page import EntitiesPage
from train.inference.entities import Entity

TYPES = ["LOC", "ORG", "PER"]


class Page(HTMLParser):
    """texts: what stands in each `dir="auto"` element without the types beside entities; marks: (text, type, title)."""

    VOID = ("meta", "br", "link")

    def __init__(self, content):
        super().__init__(convert_charrefs=True)
        self.open, self.texts, self.marks, self.headings, self.numbers, self.footer = [], [], [], [], [], ""
        self.resources, self._inside = [], None
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.resources += [value for name, value in attributes.items() if name in ("src", "href")]
        if tag in self.VOID:
            return
        self.open.append(tag)
        if attributes.get("dir") == "auto":
            self.texts.append("")
            self._inside = len(self.open)
        if tag == "mark":
            self.marks.append(["", "", attributes.get("title")])
            self.classes = attributes["class"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if self._inside and len(self.open) < self._inside:
            self._inside = None

    def handle_data(self, data):
        if self._inside and self.open[-1] == "small":
            self.marks[-1][1] += data.strip()
        elif self._inside:
            self.texts[-1] += data
            if self.open[-1] == "mark":
                self.marks[-1][0] += data
        elif "footer" in self.open:
            self.footer += data
        elif self.open[-1:] == ["h2"]:
            self.headings.append(data)
        elif self.open[-1:] == ["span"]:
            self.numbers.append(data)


def page_of(tagged, names=("a.txt",), kind="lines"):
    page = EntitiesPage(list(names), kind, TYPES)
    return page.begin() + page.format(tagged) + page.end()


def tagged(text, *entities, **place):
    return TaggedText(text, [], list(entities), place.get("file", 0), place.get("line", 1))


def test_texts_entities_legend():
    ann, paris = Entity("PER", "Ann", 0, 3, 0.98765), Entity("LOC", "Paris", 7, 12, 0.5)
    content = page_of([tagged("Ann in Paris", ann, paris), tagged("", line=2), tagged("Ann ran", ann, line=30)])
    page = Page(content)
    assert page.texts == ["Ann in Paris", "", "Ann ran"] and page.numbers == ["1", "2", "30"]
    assert page.marks[0] == ["Ann", "PER", "PER, score 0.9877"]  # the type as text, the score on hovering
    assert page.marks[1] == ["Paris", "LOC", "LOC, score 0.5"]
    assert page.footer == "PER 2LOC 13 texts, 3 entities" and page.headings == []
    assert content.startswith("<!DOCTYPE html>") and page.resources == [] and "<script" not in content
    assert not re.search(r"url\(|@import|https?:", content)


def test_no_entity():
    assert Page(page_of([tagged("x")])).footer == "No entity was found.1 text, 0 entities"


def test_each_type_has_a_look_of_its_own_wherever_it_first_appears():
    looks = {}
    for order in (TYPES, TYPES[::-1]):
        for kind in order:
            page = Page(page_of([tagged("x", Entity(kind, "x", 0, 1, 1.0))]))
            assert looks.setdefault(kind, page.classes) == page.classes
    assert len(set(looks.values())) == len(TYPES)


def test_files_have_headings():
    texts = [tagged("x"), tagged("y", line=2), tagged("z", file=1), tagged("w", file=2)]
    page = Page(page_of(texts, ["<a>&.txt", "-", "c"]))
    assert page.headings == ["<a>&.txt", "standard input", "c"]
    page = Page(page_of([tagged("x\ny")], ["one.txt"], "file"))
    assert page.headings == ["one.txt"] and page.numbers == [] and page.texts == ["x\ny"]


@hypothesis.given(strategies.text(), strategies.data())
def test_any_text_comes_back_whole_whatever_is_in_it(text, data):
    start = data.draw(strategies.integers(0, len(text)))
    end = data.draw(strategies.integers(start, len(text)))
    found = [Entity(data.draw(strategies.sampled_from(TYPES)), text[start:end], start, end, 0.5)] if end > start else []
    page = Page(page_of([tagged("<script>alert('1')</script>"), tagged(text, *found)], ["<b>\"'&"]))
    # What HTML cannot hold (controls, halves of surrogate pairs) has a stand-in of one character.
    shown = page.texts[1]
    assert len(shown) == len(text)
    for char, original in zip(shown, text):
        assert char == original or not original.isprintable() or original in "\n\t"
    assert page.texts[0] == "<script>alert('1')</script>"
    if found:
        assert page.marks[0][0] == shown[start:end]


def test_a_page_goes_on_from_its_state():
    ann = Entity("PER", "Ann", 0, 3, 0.9)
    rows = [tagged("Ann", ann, file=i // 3, line=i % 3 + 1) for i in range(7)]
    names = ["a", "b", "c"]
    for cut in range(8):
        first = EntitiesPage(names, "lines", TYPES)
        content = first.begin() + first.format(rows[:cut])
        second = EntitiesPage(names, "lines", TYPES)
        second.state = json.loads(json.dumps(first.state))
        assert content + second.format(rows[cut:]) + second.end() == page_of(rows, names)


def test_the_program_writes_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("model")
    monkeypatch.setattr(loop, "load_predictor", lambda arguments, *_: FakePredictor(min_score=arguments["min_score"]))
    monkeypatch.setattr(loop, "model_identity", lambda _: {"the model": "fake", "TensorFlow": "2"})
    monkeypatch.setattr(bulk_texts, "GROUP_TEXTS", 2)
    (tmp_path / "in.txt").write_bytes("Ann\nno\n\n北京 Bob 7\n<b>&amp;".encode())
    predict.main(["-model_dir", "model", "in.txt", "-output", "out.html", "-format", "html"])
    page = Page((tmp_path / "out.html").read_bytes().decode("utf-8"))
    assert page.texts == ["Ann", "no", "", "北京 Bob 7", "<b>&amp;"]
    assert [mark[:2] for mark in page.marks[:3]] == [["Ann", "PER"], ["Bob", "PER"], ["7", "DATE"]]
    assert page.footer == "PER 2DATE 15 texts, 3 entities"


# What pages/spans.py says of its colours, in the light page and the dark one, held against the formulas.
PAGES = {"light": (0, "#ffffff", "#1b1f24", "#57606a"), "dark": (1, "#14171b", "#e4e8ec", "#a3adb8")}


def linear(colour):
    """#rrggbb to linear RGB, IEC 61966-2-1."""
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]


def contrast(a, b):
    """WCAG 2.1 contrast ratio of two colours."""
    brighter, darker = sorted(sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear(x))) for x in (a, b))[::-1]
    return (brighter + 0.05) / (darker + 0.05)


def mixed(colour, page, share):
    """color-mix(in srgb, colour share, page)."""
    pairs = [(int(colour[i : i + 2], 16), int(page[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in pairs)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_contrast_of_text_and_type_on_every_colour(name):
    shade, page, text, soft = PAGES[name]
    style = EntitiesPage(["a"], "lines", TYPES).begin()
    assert text in style and soft in style and "var(--hue) 20%" in style
    hues = re.findall(r"\.hue\d\{--hue:(#[0-9a-f]{6})\}", style)[8 * shade : 8 * shade + 8]
    assert len(set(hues)) == 8
    for hue in hues:
        background = mixed(hue, page, 0.2)
        assert contrast(text, background) >= 7 and contrast(soft, background) >= 4.5
