"""Text with entities as HTML: what comes out of a parser is what went in."""

import doctest
import html.parser
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pages import Page
from train.pages import spans as pages_spans
from train.pages.spans import Span

TEXTS = st.text(max_size=40) | st.text(alphabet="<>&\"'/ab\x00\r\n\u202e\ud800\ufffe", max_size=20)


class Marks(html.parser.HTMLParser):
    """The text outside labels, and the marked stretches of it."""

    def __init__(self, text):
        super().__init__()
        self.text, self.marked, self.labels, self._in = "", [], [], []
        self.feed(text)
        self.close()
        assert not self._in

    def handle_starttag(self, tag, attrs):
        assert tag in ("mark", "small")
        self._in.append(tag)
        if tag == "mark":
            self._start = len(self.text)

    def handle_endtag(self, tag):
        assert self._in.pop() == tag
        if tag == "mark":
            self.marked.append((self._start, len(self.text)))

    def handle_data(self, data):
        if "small" in self._in:
            self.labels.append(data.strip())
        else:
            self.text += data


def plain(text):
    """The text with what HTML cannot hold replaced, character by character."""

    def stand_in(char):
        code = ord(char)
        if code in (0x09, 0x0A):
            return char
        if code < 0x20:
            return chr(0x2400 + code)
        if code == 0x7F:
            return "\u2421"
        lost = 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000 or 0xFDD0 <= code < 0xFDF0 or code in (0xFFFE, 0xFFFF)
        return "\ufffd" if lost else char

    return "".join(map(stand_in, text))


@given(
    TEXTS, st.lists(st.integers(0, 40)), st.sampled_from(["PER", "<b>", "", "人名"]), st.sampled_from(["", "missed"])
)
def test_any_text_survives(text, cuts, kind, flag):
    cuts = sorted({min(cut, len(text)) for cut in cuts})
    spans = [Span(start, end, kind, flag, text) for start, end in zip(cuts[::2], cuts[1::2])]
    page = pages_spans.spans_html(text, spans, pages_spans.type_classes([kind]))
    page.encode("utf-8")
    marks = Marks(page)
    assert marks.text == plain(text)
    assert marks.marked == [(span.start, span.end) for span in spans]
    label = " · ".join(filter(None, [kind, flag]))
    assert marks.labels == ([label] * len(spans) if label else [])


@given(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=8), st.data())
def test_joined_words_are_found_again(words, data):
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    text, (span,) = pages_spans.join_words(words, [Span(start, end, "A")])
    assert text.replace(" ", "") == "".join(words).replace(" ", "")
    assert text[span.start : span.end].replace(" ", "") == "".join(words[start:end]).replace(" ", "")
    assert text[span.start : span.end].startswith(words[start]) and text[: span.end].endswith(words[end - 1])


@pytest.mark.parametrize(
    "words, text",
    [
        (["a", "b", "."], "a b ."),
        (["我", "在", "北京", "。"], "我在北京。"),
        (["在", "NBA", "打"], "在 NBA 打"),
        (["한국", "사람"], "한국 사람"),
        ([], ""),
    ],
)
def test_spaces_between_words(words, text):
    assert pages_spans.join_words(words, [])[0] == text


def test_types_look_different_and_the_same_on_every_page():
    names = [f"T{i:02}" for i in range(32)]
    classes = pages_spans.type_classes(names)
    assert len(set(classes.values())) == 32
    assert classes == pages_spans.type_classes(reversed(names * 2))
    start = pages_spans.page_start("t")
    for looks in classes.values():
        hue, line = looks.split()
        assert f".{hue}{{" in start and f".{line}{{" in start


def test_a_page_is_whole_and_lets_in_one_script_at_most():
    for script in ("", "var a = 1 < 2;"):
        text = pages_spans.page_start("<T>", script=script) + "<p>x</p>" + pages_spans.page_end(script)
        page = Page(text)
        assert page.texts["title", None] == ["<T>"]
        policy = next(given["content"] for _, given in page.attributes if "http-equiv" in given)
        assert policy.startswith("default-src 'none'") and ("script-src 'sha256-" in policy) == bool(script)
        assert text.count("<script>") == bool(script)


def test_legend_names_every_type():
    marks = pages_spans.legend_html(pages_spans.type_classes(["A<", ""]))
    assert "A&lt;" in marks and "(no type)" in marks


def test_examples():
    assert doctest.testmod(pages_spans).failed == 0


def test_entities_that_touch_are_parted():
    spans = [Span(0, 1, "PER"), Span(1, 2, "PER"), Span(3, 4, "PER")]
    page = pages_spans.spans_html("北京 x", spans, {"PER": "hue0"})
    assert [found == " beside" for found in re.findall('<mark class="hue0( beside)?">', page)] == [False, True, False]
