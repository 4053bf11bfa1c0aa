"""What tests of HTML pages share: a strict reader of them."""

import html.parser
import re
from xml.etree import ElementTree

VOID = {"meta", "br"}


class Page(html.parser.HTMLParser):
    """A page taken apart; an AssertionError where it is not well-formed or would load anything.

    Attributes:
      tables: dict from (id of the nearest section, caption) to rows, each a list of cells' texts.
      texts: dict from (tag, class) to the list of the texts of such elements, in order.
      attributes: list of (tag, dict of attributes) of all elements, in order.
      visible: all text but of style and script.
    """

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tables, self.texts, self.attributes, self.visible = {}, {}, [], ""
        self._open, self._captions, self._row = [], [], None
        assert text.startswith("<!DOCTYPE html>\n")
        self.feed(text)
        self.close()
        assert not self._open
        ids = [given["id"] for _, given in self.attributes if "id" in given]
        assert len(ids) == len(set(ids))
        for svg in re.findall(r"<svg.*?</svg>", text, re.S):
            ElementTree.fromstring(svg)
        styles = "".join(re.findall(r"<style>(.*?)</style>", text, re.S))
        assert styles.count("{") == styles.count("}") and "url(" not in styles and "@import" not in styles
        targets = [given["href"] for _, given in self.attributes if "href" in given]
        assert all(target.startswith("#") and target[1:] in ids for target in targets)
        assert not any({"src", "srcset", "action", "data", "poster"} & set(given) for _, given in self.attributes)
        assert not any(name.startswith("on") for _, given in self.attributes for name in given)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        assert len(given) == len(attrs), attrs
        self.attributes.append((tag, given))
        if tag in VOID:
            return
        self._open.append((tag, given, []))
        if tag == "tr":
            self._row = []

    def handle_startendtag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        opened, given, pieces = self._open.pop()
        assert opened == tag, (opened, tag, self.getpos())
        text = "".join(pieces)
        self.texts.setdefault((tag, given.get("class")), []).append(text)
        if tag == "caption":
            sections = [outer["id"] for name, outer, _ in self._open if name == "section"]
            self._caption = ((sections or [None])[-1], text)
            self.tables[self._caption] = []
        if tag in ("td", "th"):
            self._row.append(text)
        if tag == "tr":
            self.tables[self._caption].append(self._row)

    def handle_data(self, data):
        names = [name for name, _, _ in self._open]
        if not {"style", "script"} & set(names):
            self.visible += data
        for _, _, pieces in self._open:
            pieces.append(data)
