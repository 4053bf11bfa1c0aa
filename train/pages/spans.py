"""Text with entities as HTML: escaping, page frame and colours of types, for all pages of this project.

In: text or words, and the entities in them. Out: pieces of a page that loads nothing from elsewhere, with styles for
light and dark screens and for print. The type is always written beside its entity, so colour is never needed.
"""

import base64
import collections
import hashlib
import html
import re
import unicodedata

# An entity in a text: characters [start, end); flag: a word to show beside the type, which also outlines the entity;
# title: what hovering shows.
Span = collections.namedtuple("Span", ["start", "end", "type", "flag", "title"], defaults=["", ""])

# Colours that colour-blind readers can tell apart: Okabe and Ito, "Color Universal Design" (2008); lighter on the dark
# page. Where there are more types than colours, the style of the line below the entity differs too.
_HUES = [
    ("#0072b2", "#58a9e0"),
    ("#e69f00", "#f0b429"),
    ("#009e73", "#2cc79a"),
    ("#d55e00", "#f58549"),
    ("#cc79a7", "#e29cc4"),
    ("#56b4e9", "#8fd0f7"),
    ("#b8ac00", "#f0e442"),
    ("#7f7f7f", "#a8a8a8"),
]
_LINES = ["solid", "dashed", "dotted", "double"]

# Characters that HTML does not allow: lone surrogates, control characters and noncharacters.
_NOT_IN_HTML = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def escape(text):
    """Escapes text for HTML, quoted attributes included; control characters become their visible symbols.

    >>> escape("<b> & 'c'")
    '&lt;b&gt; &amp; &#x27;c&#x27;'
    """
    return html.escape(_NOT_IN_HTML.sub(_stand_in, text), quote=True)


def _stand_in(match):
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def type_name(kind):
    """The name of an entity's type on a page; an entity of tags such as a bare B has none."""
    return kind or "(no type)"


def type_classes(types):
    """The CSS classes that colour entities: a dict from type to class, the same for the same set of types."""
    names = sorted(set(types))
    return {
        name: f"hue{i % len(_HUES)} line{i // len(_HUES) % len(_LINES)}"  # 32 looks
        for i, name in enumerate(names)
    }


def join_words(words, spans):
    """Running text from words: a space between two of them, except where wide characters (Chinese, Japanese) meet.

    Args:
      words: list of str.
      spans: list of Span whose start and end count words.

    Returns:
      (text, spans): the same entities, start and end counting characters.

    >>> join_words(["in", "New", "York"], [Span(1, 3, "LOC")])[0]
    'in New York'
    """
    text, starts, ends = [], [], []
    position, last = 0, ""
    for word in words:
        if last and not (_is_wide(last) and _is_wide(word[:1])):
            text.append(" ")
            position += 1
        starts.append(position)
        text.append(word)
        position += len(word)
        ends.append(position)
        last = word[-1:] or last
    return "".join(text), [span._replace(start=starts[span.start], end=ends[span.end - 1]) for span in spans]


def _is_wide(char):
    # Korean is wide too, and written with spaces.
    return unicodedata.east_asian_width(char) in "WF" and "HANGUL" not in unicodedata.name(char, "")


def spans_html(text, spans, classes):
    """A text with its entities marked, as escaped HTML; its element should have `dir="auto"`, for any script.

    Args:
      text: str.
      spans: list of Span, in order, not overlapping.
      classes: dict from type to CSS classes, see `type_classes`.
    """
    pieces, position = [], 0
    for i, span in enumerate(spans):
        pieces.append(escape(text[position : span.start]))
        pieces.append(entity_html(text[span.start : span.end], span, classes, i > 0 and span.start == position))
        position = span.end
    pieces.append(escape(text[position:]))
    return "".join(pieces)


def entity_html(text, span, classes, is_beside=False):
    """One entity: its text, its type, and its flag if it has one.

    Args:
      text: its text.
      span: Span.
      classes: dict from type to CSS classes, see `type_classes`.
      is_beside: whether it touches the entity before it, from which a gap parts it then.
    """
    label = " · ".join(filter(None, [span.type, span.flag]))
    flagged = (" flagged" if span.flag else "") + (" beside" if is_beside else "")
    title = f' title="{escape(span.title)}"' if span.title else ""
    small = f"<small> {escape(label)}</small>" if label else ""
    return f'<mark class="{classes[span.type]}{flagged}"{title}>{escape(text)}{small}</mark>'


def legend_html(classes):
    """The types with their colours, as a list."""
    items = (f'<li><mark class="{looks}">{escape(type_name(name))}</mark></li>' for name, looks in classes.items())
    return f'<ul class="legend" aria-label="Entity types">{"".join(items)}</ul>'


def page_start(title, css="", script=""):
    """A page up to its body's content.

    Args:
      title: str, not escaped.
      css: str, added to the common style.
      script: the script that is given to `page_end` too; the page allows no other script.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"; script-src 'sha256-{digest}'" if script else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'{allowed}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{_css()}{css}</style>
</head>
<body>
"""


def page_end(script=""):
    """The end of a page, after its body's content."""
    return (f"<script>{script}</script>\n" if script else "") + "</body>\n</html>\n"


def light_hues():
    """The style that gives the classes hue0, hue1 and so on their colours on a light page."""
    return "".join(f".hue{i}{{--hue:{pair[0]}}}" for i, pair in enumerate(_HUES))


def _css():
    """The common style: page, entities, light and dark."""
    dark = "".join(f".hue{i}{{--hue:{pair[1]}}}" for i, pair in enumerate(_HUES))
    lines = "".join(f".line{i}{{--line:{line}}}" for i, line in enumerate(_LINES))
    return _STYLE.replace("/* light hues */", light_hues() + lines).replace("/* dark hues */", dark)


_STYLE = """
:root{color-scheme:light dark;--page:#fff;--text:#1b1f24;--soft:#57606a;--rule:#d0d7de;--panel:#f6f8fa;
--shade:#57606a66;--good:#00795a;--bad:#b5361c}
/* light hues */
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:1.5rem clamp(.75rem,3vw,2.5rem) 4rem;max-width:88rem;background:var(--page);
color:var(--text);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;
overflow-wrap:break-word}
mark{color:inherit;background:transparent;unicode-bidi:isolate;-webkit-print-color-adjust:exact;
print-color-adjust:exact;padding:.05em .2em;border-radius:.25em .25em 0 0;
border-bottom:.16em var(--line) var(--hue);box-decoration-break:clone;-webkit-box-decoration-break:clone}
@supports (background:color-mix(in srgb,red,blue)){mark{background:color-mix(in srgb,var(--hue) 20%,transparent)}}
mark.beside{margin-inline-start:.3em}
mark small{font-size:.68em;font-weight:600;letter-spacing:.02em;color:var(--soft);user-select:none;
-webkit-user-select:none;unicode-bidi:isolate;white-space:nowrap}
mark.flagged{outline:.11em solid var(--bad);outline-offset:.04em;border-radius:.2em}
mark.flagged small{color:var(--bad)}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.4rem .9rem;margin:.5rem 0;padding:0}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
@media (prefers-color-scheme:dark){
:root{--page:#14171b;--text:#e4e8ec;--soft:#a3adb8;--rule:#3a424b;--shade:#a3adb880;--panel:#1c2126;--good:#3fcf9f;--bad:#ff8a73}
/* dark hues */}
@media print{
:root{color-scheme:light;--page:#fff;--text:#000;--soft:#444;--rule:#aaa;--shade:transparent;--panel:#fff;--good:#00795a;--bad:#b5361c}
/* light hues */
html{font-size:10pt}body{max-width:none;padding:0;font-size:1rem}}
"""
