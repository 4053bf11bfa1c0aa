"""The report page's list of wrong sentences: gold beside predicted, most confident mistakes first.

In: a tagged data file and its comparison by mistakes.py. Out: HTML, with menus that the page's script makes work.
"""

import collections
import os

from train.pages.spans import Span, escape, join_words, legend_html, spans_html, type_name
from train.pages.tables import probability
from train.report import mistakes

MOST_SENTENCES = 200  # wrong sentences shown of each file
CONTEXT = 40  # words shown on either side of a wrong one
HOLE = None  # the type of a span where only the other side has an entity


def sentences_section(part, comparisons, classes):
    """Yields the section piece by piece.

    Args:
      part: finetuning.evaluation.Evaluated.
      comparisons: list of mistakes.Comparison, one for each sentence.
      classes: dict from type to CSS classes, see spans.type_classes.
    """
    order = mistakes.most_confident_first(comparisons)
    shown = order[:MOST_SENTENCES]
    yield f'<section id="{part.split}-wrong" class="sentences"><h3>Wrong sentences</h3>'
    if not order:
        yield f"<p>None: all tags of the {len(comparisons):,} sentences are right.</p></section>\n"
        return
    what = "" if len(shown) == len(order) else ", the first ones in this order"
    yield (
        f"<p><b>{len(shown):,} of {len(order):,} wrong sentences</b>{what} (the file has {len(comparisons):,}), most "
        "confident mistakes first.</p>"
        '<p class="soft">A sentence is wrong if a tag in it is. Its confidence is the highest probability (CRF '
        "marginal) the model gave to a tag that is wrong. Outlined: an entity the other side does not have so; in "
        "broken lines: words that are no entity on this side but are on the other. "
        f"Stretches more than {CONTEXT} words from a wrong one are left out.</p>"
    )
    yield legend_html(classes)
    yield _filter([comparisons[i] for i in shown], classes)
    yield "<ol>\n"
    for i in shown:
        sentence = part.sentences[i]
        place = f"{os.path.basename(part.file)}:{sentence.line}"
        tagged = [column and column[i] for column in part.tagged[:1] + part.tagged[2:]]
        yield _item(place, sentence, tagged, comparisons[i], classes)
    yield "</ol></section>\n"


def _wrong_pairs(comparison):
    return [pair for pair in comparison.pairs if mistakes.kind_of(pair) != mistakes.RIGHT]


def _types_of(pairs):
    """The types on either side of these pairs, a set."""
    return {entity[0] for pair in pairs for entity in pair if entity is not None}


def _filter(comparisons, classes):
    """The menus that filter the sentences; hidden until the script runs. Their values match the numbers in `_item`."""
    pairs = [pair for comparison in comparisons for pair in _wrong_pairs(comparison)]
    involved = _types_of(pairs)
    kinds = {mistakes.kind_of(pair) for pair in pairs}
    types = "".join(
        f'<option value="{number}">{escape(type_name(name))}</option>'
        for number, name in enumerate(classes)
        if name in involved
    )
    kinds = "".join(f'<option value="{n}">{kind}</option>' for n, kind in enumerate(mistakes.KINDS) if kind in kinds)
    return (
        f'<form class="filter" hidden aria-label="Show some sentences only">'
        f'<label>Type <select name="types"><option value="">any</option>{types}</select></label> '
        f'<label>Mistake <select name="kinds"><option value="">any</option>{kinds}</select></label> '
        '<output aria-live="polite"></output></form>'
    )


def _item(place, sentence, tagged, comparison, classes):
    """A wrong sentence as an item of the list; its types and kinds of mistakes are numbers, for the script.

    Args:
      place: file and line, str.
      sentence: conll.Sentence.
      tagged: (tags, scores, entity_scores) of its words, as of evaluation.Tagged; the last may be None.
      comparison: mistakes.Comparison.
      classes: as `sentences_section`.
    """
    tags, scores, entity_scores = tagged
    wrong = _wrong_pairs(comparison)
    kinds = collections.Counter(map(mistakes.kind_of, wrong))
    described = [kind if kinds[kind] == 1 else f"{kinds[kind]} × {kind}" for kind in mistakes.KINDS if kinds[kind]]
    if not wrong:
        described = [_other_spelling(sentence, tags, comparison.wrong_words)]
    confidence = "no probability" if comparison.confidence is None else probability(comparison.confidence)
    sides = [
        f'<div><h5>{name}</h5><p lang="" dir="auto">{_side_html(sentence.words, spans, comparison, classes)}</p></div>'
        for name, spans in (
            ("Gold", _side_spans(comparison.pairs, 0, scores)),
            ("Predicted", _side_spans(comparison.pairs, 1, scores, entity_scores)),
        )
    ]
    kind_numbers = " ".join(str(n) for n, kind in enumerate(mistakes.KINDS) if kinds[kind])
    involved = _types_of(wrong)
    type_numbers = " ".join(str(n) for n, name in enumerate(classes) if name in involved)
    return (
        f'<li data-kinds="{kind_numbers}" data-types="{type_numbers}"><h4><code>{escape(place)}</code> '
        f'<span class="sure">confidence <b>{confidence}</b></span> <span class="soft">{", ".join(described)}</span>'
        f'</h4><div class="sides">{"".join(sides)}</div></li>\n'
    )


def _other_spelling(sentence, tags, wrong_words):
    """The description of a sentence whose entities are right although a tag is not, as with I-PER for B-PER."""
    i = wrong_words[0]
    return f"same entities, other tags: {escape(tags[i])} for {escape(sentence.tags[i])} at word {i + 1}"


def _side_spans(pairs, side, scores, entity_scores=None):
    """The spans of one side: its entities, wrong ones flagged, and holes where only the other side has an entity.

    Args:
      pairs: list of mistakes.Pair.
      side: 0 for gold, 1 for predicted.
      scores: for each word the probability of its predicted tag, or None.
      entity_scores: for each word the probability of the predicted entity that it is part of, or None; None: hovering
        does not show it.

    Returns:
      list of Span in words, in order, without overlap.
    """
    spans, taken = [], set()
    for pair in pairs:
        if pair[side] is not None:
            type_, start, end = pair[side]
            kind = mistakes.kind_of(pair)
            hover = _hover(scores[start:end])
            if entity_scores and entity_scores[start] is not None:
                hover = f"score of the entity: {entity_scores[start]:.4f}; {hover}"
            spans.append(Span(start, end, type_, "" if kind == mistakes.RIGHT else kind, hover))
            taken.update(range(start, end))
    for pair in pairs:
        if pair[side] is None:
            _, start, end = pair[1 - side]
            if taken.isdisjoint(range(start, end)):
                spans.append(Span(start, end, HOLE, "O", _hover(scores[start:end])))
    return sorted(spans, key=lambda span: span.start)


def _hover(scores):
    by_word = " ".join("–" if score is None else f"{score:.4f}" for score in scores)
    return f"probability of the predicted tag, word by word: {by_word}"


def _side_html(words, spans, comparison, classes):
    """The text of one side, without the parts that are far from any wrong word."""
    classes = dict(classes)
    classes[HOLE] = "hole"
    pieces, position = [], 0
    for start, end in _stretches(comparison.wrong_words, len(words)):
        if start > position:
            pieces.append(_left_out(start - position))
        inside = [
            span._replace(start=max(span.start, start) - start, end=min(span.end, end) - start)
            for span in spans
            if span.start < end and span.end > start
        ]
        pieces.append(spans_html(*join_words(words[start:end], inside), classes=classes))
        position = end
    if position < len(words):
        pieces.append(_left_out(len(words) - position))
    return " ".join(pieces)


def _stretches(wrong_words, length):
    """The stretches [start, end) of words to show: those near wrong words, and gaps too short to leave out."""
    stretches = []
    for i in wrong_words:
        start, end = max(i - CONTEXT, 0), min(i + CONTEXT + 1, length)
        if stretches and start <= stretches[-1][1] + CONTEXT // 2:
            stretches[-1][1] = end
        else:
            stretches.append([start if start > CONTEXT // 2 else 0, end])
    if length - stretches[-1][1] <= CONTEXT // 2:
        stretches[-1][1] = length
    return stretches


def _left_out(count):
    return f'<span class="soft" lang="en">[… {count:,} words …]</span>'
