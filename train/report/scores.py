"""The report page's tables for one data file: scores by type, confusion of types, calibration of probabilities.

In: the counts of conlleval, the pairs of entities of report/mistakes.py, the probabilities of the tags. Out: HTML.
"""

import collections
import math

from train import conlleval
from train.pages import charts
from train.pages.spans import escape, type_name
from train.pages.tables import data_cells, probability, row, table
from train.report import calibration, mistakes

LEAST_IN_BIN = 10  # of the calibration charts; a share of fewer means little
LEAST_SHOWN = 50  # percent, where their bins begin


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
    """How far probabilities can be trusted, those of entities and those of words: charts and tables.

    Args:
      part: finetuning.evaluation.Evaluated.

    Returns:
      HTML.
    """
    return f'<section id="{part.split}-calibration"><h3>Calibration</h3>{_entities(part)}{_words(part)}</section>\n'


def _entities(part):
    """The calibration of entity scores, as trained and calibrated."""
    if part.tagged.entity_scores is None:
        return ""
    kinds = [("", part.tagged.entity_scores)]
    if part.uncalibrated is not None:
        kinds = [("calibrated", part.tagged.entity_scores), ("as trained", part.uncalibrated)]
    found = [calibration.outcomes(part.sentences, part.tagged.tags, scores, part.scheme) for _, scores in kinds]
    if not found[0]:
        return "<p>No entity was found.</p>"
    binned = [calibration.bins(each) for each in found]
    errors = [f"{100 * calibration.expected_calibration_error(each):.2f}" for each in found]
    rows = [
        row(f"{bins[0].low:g} – {bins[0].high:g}", [cell for each in bins for cell in _bin_cells(each)])
        for bins in zip(*binned)
        if any(each.count for each in bins)
    ]
    columns = ["Score"] + ["entities", "mean", "right %"] * len(kinds)
    groups = [("", 1)] + [(name, 3) for name, _ in kinds] if len(kinds) > 1 else ()
    foot = row("error, %", [cell for error in errors for cell in ("", "", error)])
    bins = table("Entities by their score", columns, rows, [foot], groups=groups)
    series = [
        charts.Series(name or "entities", _points(each), look)
        for look, ((name, _), each) in enumerate(zip(kinds, binned))
    ]
    chart = _reliability(
        f"Share of right entities by their score, {part.split}", series, f"{part.split}-entities-chart"
    )
    error = f"<b>{errors[0]} %</b>"
    if len(kinds) > 1:
        error += f"; as trained {errors[1]} %. {_what_was_fitted(part.calibration)}"
    return (
        f"<p>Expected calibration error of the entities' scores: {error}.</p>"
        f'<div class="charts">{chart}{bins}</div>'
        '<p class="soft">The score of an entity is the probability of exactly this entity in the CRF. The error is '
        f"the distance between score and share of right ones, mean over entities, in {calibration.NUM_BINS} bins of "
        "equal width. On the broken line both agree; below it the model is too sure, above it not sure enough. "
        f"{_what_is_shown('entities')}</p>"
    )


def _what_was_fitted(fitted):
    """What a calibration.Calibration does, in words; HTML without the last full stop."""
    temperature = f"The temperature, fitted on the dev set, is {fitted.temperature:g}"
    if not fitted.maps_entities:
        return temperature
    return (
        f"{temperature}: it divides the CRF's scores. Then the log-odds of an entity are multiplied by "
        f"{fitted.slope:g}, and a number for its type is added: {escape(fitted.shown_offsets)}. It is above 0 where "
        "the dev set's entities of this type are right more often than the model says"
    )


def _words(part):
    """The calibration of words' tags."""
    outside, entity = calibration.word_bins(part.sentences, part.tagged.tags, part.tagged.scores, part.scheme)
    rows = [
        row(f"{e.low:g} – {e.high:g}", _bin_cells(e) + _bin_cells(o))
        for e, o in zip(entity, outside)
        if e.count or o.count
    ]
    columns = ["Probability"] + ["words", "mean", "right %"] * 2
    groups = [("", 1), ("tagged as entity", 3), ("tagged O", 3)]
    bins = table("Words by the probability of their tag", columns, rows, groups=groups)
    unscored = sum(score is None for scores in part.tagged.scores for score in scores)
    note = f" {unscored:,} words that tokenize to nothing have none and are left out." if unscored else ""
    series = [
        charts.Series(name, _points(each), look)
        for look, (name, each) in enumerate([("tagged as entity", entity), ("tagged O", outside)])
    ]
    chart = _reliability(
        f"Share of right tags by their probability, {part.split}", series, f"{part.split}-calibration-chart"
    )
    return (
        f'<div class="charts">{chart}{bins}</div>'
        '<p class="soft">The same for words: how many tags are right among those the model gave about the same '
        "probability, for words it tagged as part of an entity and for those it tagged O. The probability of a word's "
        "tag is its marginal in the CRF; a bin has its lower end and not its upper one, the last has both. "
        f"{_what_is_shown('words')}{note}</p>"
    )


def _what_is_shown(things):
    return f"Bins of fewer than {LEAST_IN_BIN} {things}, and those below {LEAST_SHOWN} percent, are in the table only."


def _points(bins):
    """The points of the chart, in percent."""
    filled = [each for each in bins if each.count >= LEAST_IN_BIN and 100 * each.low >= LEAST_SHOWN]
    return [(100 * each.score / each.count, 100 * each.right / each.count) for each in filled]


def _reliability(title, series, name):
    """The chart as a figure, from 50 to 100 percent, lower where a share is; "" where no bin has enough in it."""
    shares = [share for line in series for _, share in line.points]
    if not shares:
        return ""
    x_axis = charts.percent_axis("probability, mean of the bin, percent", LEAST_SHOWN, 100)
    y_axis = charts.percent_axis("right, percent", min([LEAST_SHOWN, *shares]), 100)
    return f"<figure>{charts.line_chart(title, series, x_axis, y_axis, diagonal=True, name=name)}</figure>"


def _bin_cells(bin_):
    if not bin_.count:
        return ["0", "", ""]
    return [f"{bin_.count:,}", probability(bin_.score / bin_.count), f"{100 * bin_.right / bin_.count:.2f}"]
