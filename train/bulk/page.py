"""One HTML page that shows any number of texts with their entities, written group by group from top to bottom.

The number of entities of each type is known only after the last text, so the legend is the page's last element. On a
screen it sticks to the lower edge of the window and is always in sight.
"""

from train.bulk.formats import Format
from train.bulk.texts import STANDARD_INPUT
from train.inference.entities import rounded
from train.pages.spans import Span, escape, page_end, page_start, spans_html, type_classes, type_name

_STYLE = """
body{padding-bottom:1rem}
h1{font-size:1.35rem;margin:0 0 1rem;overflow-wrap:anywhere}
h2{font-size:1rem;margin:1.6rem 0 .4rem;overflow-wrap:anywhere}
.text{display:flex;gap:.8rem;padding:.3rem 0;border-bottom:1px solid var(--rule)}
.text>span{flex:none;min-width:3.2ch;text-align:right;font-size:.75rem;line-height:1.55rem;color:var(--soft);
user-select:none;-webkit-user-select:none;font-variant-numeric:tabular-nums}
.text>div{flex:1;min-width:0;white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.75}
footer{position:sticky;bottom:0;margin-top:1rem;padding:.45rem 0;background:var(--page);
border-top:2px solid var(--rule);max-height:40vh;overflow:auto;font-size:.9rem}
footer ul{list-style:none;display:flex;flex-wrap:wrap;gap:.35rem 1rem;margin:0;padding:0}
footer p{margin:.15rem 0;color:var(--soft)}
@media (max-width:40rem){.text{gap:.5rem}.text>span{min-width:2.2ch}footer{font-size:.8rem}}
@media print{footer{position:static;max-height:none;break-inside:avoid}.text{break-inside:avoid-page}
h2{break-after:avoid}}
"""


class EntitiesPage(Format):
    """The page, as formats.Format.

    Args:
      names: the inputs' names; standard input is "-".
      kind: key of texts.KINDS.
      types: list of all types that the model knows; they have the same colours on every page.

    Attributes:
      state: a JSON dict: texts so far, entities of each type, index of the last text's file.
    """

    def __init__(self, names, kind, types):
        self._names = ["standard input" if name == STANDARD_INPUT else name for name in names]
        self._has_headings = len(names) > 1 or kind == "file"
        self._has_lines = kind != "file"
        self._classes = type_classes(types)
        self._state = {"texts": 0, "counts": {}, "file": None}

    @property
    def state(self):
        return self._state

    @state.setter
    def state(self, value):
        if value is not None:
            self._state = value

    def accepts(self, state):
        if state is None:
            return True
        if not isinstance(state, dict) or set(state) != set(self._state) or not isinstance(state["counts"], dict):
            return False
        numbers = [state["texts"], *state["counts"].values(), 0 if state["file"] is None else state["file"]]
        known = set(state["counts"]) <= set(self._classes)
        return known and all(type(number) is int and number >= 0 for number in numbers)

    def begin(self):
        title = f"Entities in {self._names[0]}" if len(self._names) == 1 else f"Entities in {len(self._names)} files"
        return page_start(title, _STYLE) + f"<h1>{escape(title)}</h1>\n<main>\n"

    def end(self):
        counts = self._state["counts"]
        items = "".join(
            f'<li><mark class="{self._classes[name]}">{escape(type_name(name))}</mark> {counts[name]:,}</li>'
            for name in sorted(counts, key=lambda name: (-counts[name], name))
        )
        texts = "1 text" if self._state["texts"] == 1 else f"{self._state['texts']:,} texts"
        legend = f'<ul aria-label="Entities of each type">{items}</ul>' if items else "<p>No entity was found.</p>"
        return f"</main>\n<footer>{legend}<p>{texts}, {sum(counts.values()):,} entities</p></footer>\n" + page_end()

    def _format_one(self, tagged):
        spans = []
        for entity in tagged.entities:
            self._state["counts"][entity.type] = self._state["counts"].get(entity.type, 0) + 1
            hover = f"{type_name(entity.type)}, score {rounded(entity.score)}"
            spans.append(Span(entity.start, entity.end, entity.type, title=hover))
        self._state["texts"] += 1
        heading = ""
        if self._has_headings and tagged.file != self._state["file"]:
            heading = f"<h2>{escape(self._names[tagged.file])}</h2>\n"
        self._state["file"] = tagged.file
        number = f"<span>{tagged.line}</span>" if self._has_lines else ""
        body = spans_html(tagged.text, spans, self._classes)
        return f'{heading}<div class="text">{number}<div dir="auto">{body}</div></div>\n'
