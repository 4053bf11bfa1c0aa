"""The report page's tables for one data file: scores by type, confusion of types, calibration of probabilities.

In: the counts of conlleval, the pairs of entities of report/mistakes.py, the probabilities of the tags. Out: HTML.
"""

import collections
import math

from train import conlleval
from train.pages import charts
from train.pages.spans import escape, type_name
from train.pages.tables import data_cells, probability, row, table
from train.report import mistakes

LEAST_WORDS = 10  # in a bin of the calibration chart; a share of fewer words means little


def types_section(part, classes):
    """Precision, recall and F1 of each type, and of all.

    Args:
      part: finetuning.evaluation.Evaluated.
      classes: dict from type to CSS classes, see spans.type_classes.

    Returns:
      HTML.
    """
    return (
        f'<section id="{part.split}-types"><h3>Types of entities</h3>{_types_table(part.counts, classes)}</section>\n'
    )


def _types_table(counts, classes):
    rows = [
        f'<tr class="{classes[name]}"><th scope="row">{_type_mark(name, classes)}</th>'
        f"{data_cells(_type_cells(correct, found, gold))}</tr>"
        for name, correct, found, gold in counts.by_type()
    ]
    if not rows:
        return "<p>There is no entity, neither in the gold tags nor in the predicted ones.</p>"
    total = row("all", _type_cells(counts.correct_chunk, counts.found_guessed, counts.found_correct))
    columns = ["Type", "F1", "Precision", "Recall", "Gold", "Found", "Correct"]
    return table("Entities by type", columns, rows, [total], css="types")


def _type_mark(name, classes):
    return f'<mark class="{classes[name]}">{escape(type_name(name))}</mark>'


def _type_cells(correct, found, gold):
    precision, recall, f1 = conlleval.percentages(correct, found, gold)
    shares = [f"{share:.2f}{charts.bar(share / 100)}" for share in (f1, precision, recall)]
    return shares + [f"{count:,}" for count in (gold, found, correct)]


def confusion_section(part, comparisons, classes):
    """The confusion of types, and the number of mistakes of each kind.

    Args:
      part, classes: as `types_section`.
      comparisons: list of mistakes.Comparison, one for each sentence.

    Returns:
      HTML.
    """
    confused = mistakes.confusion(comparisons)
    if not confused:
        return f'<section id="{part.split}-confusion"><h3>Confusion</h3><p>There is no entity.</p></section>\n'
    types = [name for name, *_ in part.counts.by_type()]
    rows = [_confusion_row(confused, gold, types, classes) for gold in types + [None]]
    found = [sum(n for (_, predicted, _), n in confused.items() if predicted == name) for name in types]
    head = ["gold ↓<br>predicted →"] + [_type_mark(name, classes) for name in types] + ["nothing", "gold"]
    foot = row("found", [f"{n:,}" for n in found] + ["", f"{sum(found):,}"])
    tables = table("Gold and predicted entities", head, rows, [foot], css="confusion") + _kinds_table(comparisons)
    return (
        f'<section id="{part.split}-confusion"><h3>Confusion</h3><div class="row">{tables}</div>'
        '<p class="soft">Counted are entities. Each gold entity is paired with at most one predicted entity, and each '
        "predicted one with at most one gold: first those of just the same words, then those that share most words. "
        "The first number in a cell: pairs of the same words; <b>+</b>: pairs whose words only overlap, so with other "
        "bounds. “nothing” has the gold entities without a partner (missed) and the predicted ones without "
        "(spurious). Rows add up to conlleval's gold entities, columns to its found ones; the first numbers of the "
        "diagonal are its correct ones.</p></section>\n"
    )


def _confusion_row(confused, gold, types, classes):
    """The row of one gold type; `gold` is None for the row of the spurious entities."""
    total = sum(n for (name, _, _), n in confused.items() if name == gold)
    cells = [_confusion_cell(confused, gold, predicted, total) for predicted in types]
    if gold is None:
        return f'<tr><th scope="row">nothing</th>{"".join(cells)}<td></td><td></td></tr>'
    missed = _confusion_cell(confused, gold, None, total)
    return f'<tr><th scope="row">{_type_mark(gold, classes)}</th>{"".join(cells)}{missed}<td>{total:,}</td></tr>'


def _confusion_cell(confused, gold, predicted, total):
    """The number of pairs of two types, tinted by their share of the row."""
    same, other = (confused[gold, predicted, same_words] for same_words in (True, False))
    if not same + other:
        return '<td class="none">0</td>'
    looks = f"{'ok' if gold == predicted else 'off'} share{math.ceil(4 * (same + other) / total)}"
    if None in (gold, predicted):  # no partner, so there are no bounds to compare
        return f'<td class="{looks}">{other:,}</td>'
    return f'<td class="{looks}">{same:,}{f" <small>+{other:,}</small>" if other else ""}</td>'


def _kinds_table(comparisons):
    kinds = collections.Counter(mistakes.kind_of(pair) for comparison in comparisons for pair in comparison.pairs)
    largest = max([kinds[kind] for kind in mistakes.KINDS] + [1])
    rows = [row(kind, [f"{kinds[kind]:,}{charts.bar(kinds[kind] / largest)}"]) for kind in mistakes.KINDS]
    return table("Kinds of mistakes, in entities", ["Kind", "Number"], rows, css="kinds")


def calibration_section(part):
    """How often tags are right, by the probability that the tagger gave them: a chart and a table.

    Args:
      part: finetuning.evaluation.Evaluated.

    Returns:
      HTML.
    """
    outside, entity = mistakes.calibration(part.sentences, part.tagged.tags, part.tagged.scores, part.scheme)
    rows = [
        row(f"{e.low:g} – {e.high:g}", _bin_cells(e) + _bin_cells(o))
        for e, o in zip(entity, outside)
        if e.words or o.words
    ]
    columns = ["Probability"] + ["words", "mean", "right %"] * 2
    groups = [("", 1), ("tagged as entity", 3), ("tagged O", 3)]
    bins = table("Words by the probability of their tag", columns, rows, groups=groups)
    unscored = sum(score is None for scores in part.tagged.scores for score in scores)
    note = f" {unscored:,} words that tokenize to nothing have none and are left out." if unscored else ""
    return (
        f'<section id="{part.split}-calibration"><h3>Calibration</h3>'
        f'<div class="charts">{_calibration_chart(part.split, entity, outside)}{bins}</div>'
        '<p class="soft">How many tags are right among those the model gave about the same probability, for words it '
        "tagged as part of an entity and for those it tagged O. The probability of a word's tag is its marginal in the "
        "CRF; a bin has its lower end and not its upper one, the last has both. On the broken line probability and "
        "share agree; below it the model is too sure, above it not sure enough. Bins of fewer than "
        f"{LEAST_WORDS} words are in the table only.{note}</p></section>\n"
    )


def _calibration_chart(split, entity, outside):
    """The chart as a figure; "" where no bin has enough words."""
    series = []
    for look, (name, bins) in enumerate([("tagged as entity", entity), ("tagged O", outside)]):
        filled = [b for b in bins if b.words >= LEAST_WORDS]
        points = [(100 * b.probability / b.words, 100 * b.right / b.words) for b in filled]
        series.append(charts.Series(name, points, look))
    values = [value for line in series for point in line.points for value in point]
    if not values:
        return ""
    x_axis = charts.linear_axis("probability, mean of the bin, percent", min(values), 100)
    y_axis = charts.linear_axis("right, percent", min(values), 100)
    title = f"Share of right tags by their probability, {split}"
    name = f"{split}-calibration-chart"
    return f"<figure>{charts.line_chart(title, series, x_axis, y_axis, diagonal=True, name=name)}</figure>"


def _bin_cells(bin_):
    if not bin_.words:
        return ["0", "", ""]
    mean, right = bin_.probability / bin_.words, 100 * bin_.right / bin_.words
    return [f"{bin_.words:,}", probability(mean), f"{right:.2f}"]
