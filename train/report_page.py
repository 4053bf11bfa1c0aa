"""The report page of -report: what a run reached, how it got there, and what it still gets wrong, in one HTML file.

In: the dev and the test set as tagged, run.json, and the training loss from the run's TensorBoard events. Out:
report.html, which needs nothing from elsewhere and no script (one only filters the sentences). Its scores and counts of
entities are conlleval's; what the page counts otherwise adds up to them.
"""

import collections
import glob
import logging
import math
import os

import tensorflow.compat.v1 as tf

from bert.files import atomic_open
from bert.startup import LOGGER
from train import __version__, conlleval, evaluation, mistakes, report_charts, run_dir
from train.html_spans import (
    Span,
    escape,
    join_words,
    legend_html,
    page_end,
    page_start,
    spans_html,
    type_classes,
    type_name,
)
from train.labels import SPECIAL

log = logging.getLogger(LOGGER)

# A data file as tagged: split: "dev" or "test"; file: its path; sentences: list of conll.Sentence; tagged:
# evaluation.Tagged; scores: as evaluation.score.
Evaluated = collections.namedtuple("Evaluated", ["split", "file", "sentences", "tagged", "scores"])

MOST_SENTENCES = 200  # wrong sentences shown of each file
MOST_DOTS = 40  # single points of a line that are drawn; a line of more is only a line
LEAST_WORDS = 10  # in a bin of the calibration chart; the share of fewer says little
CONTEXT = 40  # words shown on either side of a wrong one
HOLE = None  # stands for the type where this side has no entity and the other one has


def write_page(output_dir, evaluated, prefix, step, settings):
    """Writes report.html into the run's directory.

    Args:
      output_dir: directory with run.json and the events of training, where there are any.
      evaluated: list of Evaluated.
      prefix, step: the checkpoint that tagged them, and its step of training.
      settings: (model, training), the settings as inputs.Inputs has them; run.json's come first.
    """
    state = run_dir.read_state(output_dir) or {"evaluations": [], "best": None, "foreign": []}
    model, training = (state.get(name, given) for name, given in zip(("model", "training"), settings))
    losses = training_losses(output_dir, state["foreign"])
    path = os.path.join(output_dir, run_dir.REPORT_PAGE)
    with atomic_open(path) as writer:
        writer.writelines(page(evaluated, prefix, step, state, losses, model, training))
    log.info("wrote %s", path)


def training_losses(output_dir, foreign=()):
    """The training loss by step, as Estimator's summaries in the directory's event files have it.

    Args:
      foreign: names of files that are not the run's.

    Returns:
      list of (step, loss), in order; where a run was killed and went on, what was written last.
    """
    losses = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(output_dir), "events.out.tfevents.*"))):
        if os.path.basename(path) in foreign:
            continue
        try:
            for event in tf.train.summary_iterator(path):
                for value in event.summary.value:
                    if value.tag == "loss":
                        losses[event.step] = value.simple_value
        except tf.errors.DataLossError:
            continue  # its end was cut off when the run was killed
    return sorted(losses.items())


def page(evaluated, prefix, step, state, losses, model, training):
    """Yields the page piece by piece; arguments as `write_page` and `training_losses` have them."""
    classes = type_classes(_types(evaluated, model))
    yield page_start(f"Report: {prefix}", _CSS + report_charts.CSS, _SCRIPT)
    yield f"<header><h1>Tagging report</h1><p>Checkpoint <code>{escape(prefix)}</code>, step {step:,}</p>"
    yield _navigation(evaluated) + "</header>\n<main>\n"
    yield _summary(evaluated)
    yield _learning(state, losses)
    for part in evaluated:
        yield from _split(part, classes)
    yield _settings(model, training)
    yield f"</main>\n<footer><p>Written by version {escape(__version__)}.</p></footer>\n"
    yield page_end(_SCRIPT)


def _types(evaluated, model):
    """All types of entities: those the model knows and those the files have."""
    tags = {label for label in model.get("labels", []) if label not in SPECIAL}
    for part in evaluated:
        for sentence, predicted in zip(part.sentences, part.tagged.tags):
            tags.update(sentence.tags, predicted)
    return {kind for prefix, kind in map(conlleval.split_tag, tags) if prefix not in conlleval.OUTSIDE}


def _navigation(evaluated):
    parts = [
        ("types", "types"),
        ("confusion", "confusion"),
        ("calibration", "calibration"),
        ("wrong", "wrong sentences"),
    ]
    items = [_link("summary", "Summary"), _link("learning", "Learning")]
    for part in evaluated:
        links = (_link(f"{part.split}-{end}", text) for end, text in parts)
        items.append(f"{_link(part.split, part.split)}: {', '.join(links)}")
    items.append(_link("settings", "Settings"))
    return f'<nav aria-label="Contents"><ul>{"".join(f"<li>{item}</li>" for item in items)}</ul></nav>'


def _link(target, text):
    return f'<a href="#{target}">{escape(text)}</a>'


def _summary(evaluated):
    cards = []
    for part in evaluated:
        counts = evaluation.count(part.sentences, part.tagged)
        precision, recall, f1 = conlleval.percentages(counts.correct_chunk, counts.found_guessed, counts.found_correct)
        figures = [("F1", f"{f1:.2f}"), ("Precision", f"{precision:.2f}"), ("Recall", f"{recall:.2f}")]
        figures += [("Accuracy", f"{_accuracy(counts):.2f}"), ("Loss", f"{part.scores['loss']:.4f}")]
        terms = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures)
        cards.append(
            f'<article class="card"><h3>{escape(part.split)} <code>{escape(part.file)}</code></h3>'
            f'<dl class="figures">{terms}</dl>'
            f"<p>{len(part.sentences):,} sentences, {counts.token_counter:,} tokens, "
            f"{counts.found_correct:,} entities; {counts.found_guessed:,} found, {counts.correct_chunk:,} of them "
            "correct.</p></article>"
        )
    return (
        f'<section id="summary"><h2>Summary</h2><div class="cards">{"".join(cards)}</div>'
        '<p class="soft">Precision, recall and F1 in percent, of entities, as conlleval counts them: an entity is '
        "correct if its type, its first and its last word are. Accuracy: percent of tokens whose tag is right. Loss: "
        "negative log-likelihood of the gold labels, mean over windows.</p></section>\n"
    )


def _accuracy(counts):
    return 100 * counts.correct_tags / counts.token_counter if counts.token_counter else 0.0


def _learning(state, losses):
    """Curves of the dev set's scores and of both losses, and the evaluations as a table."""
    evaluations, best = state["evaluations"], state["best"]
    if not evaluations and not losses:
        return '<section id="learning"><h2>Learning</h2><p>No evaluation is on record for this run.</p></section>\n'
    last = max([scores["step"] for scores in evaluations] + [step for step, _ in losses])
    steps = report_charts.linear_axis("step", 0, last)
    charts = []
    if evaluations:
        names = [("F1", "f1"), ("precision", "precision"), ("recall", "recall")]
        series = [
            report_charts.Series(name, _points(evaluations, key, 100.0), look, len(evaluations) <= MOST_DOTS)
            for look, (name, key) in enumerate(names)
        ]
        values = [value for line in series for _, value in line.points]
        ring = None
        if best is not None:
            ring = (best["step"], 100 * best["f1"], f"best: {100 * best['f1']:.2f} at {best['step']:,}")
        percent = report_charts.linear_axis("percent", min(values), max(values))
        title = "Scores on the dev set by step of training"
        charts.append(report_charts.line_chart(title, series, steps, percent, ring, name="scores"))
    series = [
        report_charts.Series("training", _finite(losses), 5, len(losses) <= MOST_DOTS),
        report_charts.Series("dev", _points(evaluations, "loss"), 3, len(evaluations) <= MOST_DOTS),
    ]
    series = [line for line in series if line.points]
    if series:
        axis = report_charts.loss_axis("loss", [value for line in series for _, value in line.points])
        charts.append(report_charts.line_chart("Losses by step of training", series, steps, axis, name="losses"))
    figures = "".join(f"<figure>{chart}</figure>" for chart in charts)
    note = "training: of the single batches in the run's summaries, with dropout; dev: of the whole set, without"
    return (
        f'<section id="learning"><h2>Learning</h2><div class="charts">{figures}</div>'
        f'<p class="soft">Scores are of the dev set, in percent; the best F1 is ringed. Losses — {note}.</p>'
        f"{_evaluations_table(evaluations, best)}</section>\n"
    )


def _points(evaluations, key, factor=1.0):
    return _finite([(scores["step"], factor * scores[key]) for scores in evaluations])


def _finite(points):
    return [(x, y) for x, y in points if math.isfinite(y)]


def _evaluations_table(evaluations, best):
    if not evaluations:
        return ""
    rows = []
    for scores in evaluations:
        mark = " <b>best</b>" if best is not None and best["step"] == scores["step"] else ""
        cells = [f"{100 * scores[key]:.2f}" for key in ("f1", "precision", "recall", "accuracy")]
        cells.append(f"{scores['loss']:.4f}")
        rows.append(f'<tr><th scope="row">{scores["step"]:,}{mark}</th>{_cells(cells)}</tr>')
    return _table(
        "Evaluations of the dev set", ["Step", "F1", "Precision", "Recall", "Accuracy", "Loss"], rows, limited=True
    )


def _cells(values):
    return "".join(f"<td>{value}</td>" for value in values)


def _table(caption, columns, rows, foot=(), limited=False, css="", groups=()):
    """A table with headers that scrolls by itself where it is wider than the window.

    Args:
      columns, rows, foot: headers, rows and last rows, as HTML.
      limited: scroll too where it is very long.
      groups: (name, number of columns) of headers above the headers; no name: none.
    """
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    if groups:
        above = (
            f'<th scope="colgroup" colspan="{width}">{name}</th>' if name else f'<td colspan="{width}"></td>'
            for name, width in groups
        )
        head = f"{''.join(above)}</tr><tr>{head}"
    foot = f"<tfoot>{''.join(foot)}</tfoot>" if foot else ""
    return (
        f'<div class="scroll{" limited" if limited else ""}" tabindex="0" role="group" aria-label="{caption}">'
        f'<table class="{css}"><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody>{foot}</table></div>"
    )


def _split(part, classes):
    """All about one file."""
    counts = evaluation.count(part.sentences, part.tagged)
    comparisons = [
        mistakes.compare(sentence.words, sentence.tags, tags, scores)
        for sentence, tags, scores in zip(part.sentences, part.tagged.tags, part.tagged.scores)
    ]
    yield f'<section id="{part.split}"><h2>{escape(part.split)} <code>{escape(part.file)}</code></h2>\n'
    yield f'<section id="{part.split}-types"><h3>Types of entities</h3>{_types_table(counts, classes)}</section>\n'
    yield _confusion(part, counts, comparisons, classes)
    yield _calibration(part)
    yield from _wrong_sentences(part, comparisons, classes)
    yield "</section>\n"


def _types_table(counts, classes):
    rows = []
    for name, correct, found, gold in counts.by_type():
        mark = f'<mark class="{classes[name]}">{escape(type_name(name))}</mark>'
        rows.append(f'<tr class="{classes[name]}"><th scope="row">{mark}</th>{_type_cells(correct, found, gold)}</tr>')
    if not rows:
        return "<p>There is no entity, neither in the gold tags nor in the predicted ones.</p>"
    total = _type_cells(counts.correct_chunk, counts.found_guessed, counts.found_correct)
    return _table(
        "Entities by type",
        ["Type", "F1", "Precision", "Recall", "Gold", "Found", "Correct"],
        rows,
        [f'<tr><th scope="row">all</th>{total}</tr>'],
        css="types",
    )


def _type_cells(correct, found, gold):
    precision, recall, f1 = conlleval.percentages(correct, found, gold)
    shares = (f"{share:.2f}{report_charts.bar(share / 100)}" for share in (f1, precision, recall))
    return _cells(shares) + _cells(f"{count:,}" for count in (gold, found, correct))


def _confusion(part, counts, comparisons, classes):
    """What entities were taken for what, and the kinds of mistakes."""
    table = mistakes.confusion(comparisons)
    if not table:
        return f'<section id="{part.split}-confusion"><h3>Confusion</h3><p>There is no entity.</p></section>\n'
    columns = [name for name, *_ in counts.by_type()]
    rows = [_confusion_row(table, gold, columns, classes) for gold in columns + [None]]
    found = [sum(n for (_, predicted, _), n in table.items() if predicted == name) for name in columns]
    head = ["gold ↓<br>predicted →"]
    head += [f'<mark class="{classes[name]}">{escape(type_name(name))}</mark>' for name in columns]
    foot = f'<tr><th scope="row">found</th>{_cells(f"{n:,}" for n in found)}<td></td><td>{sum(found):,}</td></tr>'
    tables = _table("Gold and predicted entities", head + ["nothing", "gold"], rows, [foot], css="confusion")
    tables += _kinds_table(comparisons)
    return (
        f'<section id="{part.split}-confusion"><h3>Confusion</h3><div class="row">{tables}</div>'
        '<p class="soft">Counted are entities. Each gold entity is paired with at most one predicted entity, and each '
        "predicted one with at most one gold: first those of just the same words, then those that share most words. "
        "The first number in a cell: pairs of the same words; <b>+</b>: pairs whose words only overlap, so with other "
        "bounds. “nothing” has the gold entities without a partner (missed) and the predicted ones without "
        "(spurious). Rows add up to conlleval's gold entities, columns to its found ones; the first numbers of the "
        "diagonal are its correct ones.</p></section>\n"
    )


def _confusion_row(table, gold, columns, classes):
    """A row of the matrix: one gold type, or what is nothing in the gold."""
    total = sum(n for (name, _, _), n in table.items() if name == gold)
    cells = [_confusion_cell(table, gold, predicted, total) for predicted in columns]
    if gold is None:
        return f'<tr><th scope="row">nothing</th>{"".join(cells)}<td></td><td></td></tr>'
    name = f'<mark class="{classes[gold]}">{escape(type_name(gold))}</mark>'
    missed = _confusion_cell(table, gold, None, total)
    return f'<tr><th scope="row">{name}</th>{"".join(cells)}{missed}<td>{total:,}</td></tr>'


def _confusion_cell(table, gold, predicted, total):
    """The pairs of two types, those of the same words and the others; tinted by their share of the row."""
    same, other = (table[gold, predicted, same_words] for same_words in (True, False))
    if not same + other:
        return '<td class="none">0</td>'
    looks = f"{'ok' if gold == predicted else 'off'} share{math.ceil(4 * (same + other) / total)}"
    if None in (gold, predicted):  # no pair, so no bounds to compare
        return f'<td class="{looks}">{other:,}</td>'
    return f'<td class="{looks}">{same:,}{f" <small>+{other:,}</small>" if other else ""}</td>'


def _kinds_table(comparisons):
    kinds = collections.Counter(mistakes.kind_of(pair) for comparison in comparisons for pair in comparison.pairs)
    largest = max([kinds[kind] for kind in mistakes.KINDS] + [1])
    rows = [
        f'<tr><th scope="row">{kind}</th><td>{kinds[kind]:,}{report_charts.bar(kinds[kind] / largest)}</td></tr>'
        for kind in mistakes.KINDS
    ]
    return _table("Kinds of mistakes, in entities", ["Kind", "Number"], rows, css="kinds")


def _calibration(part):
    """How often tags are right by the probability the tagger gave them: chart and table."""
    outside, entity = mistakes.calibration(part.sentences, part.tagged.tags, part.tagged.scores)
    rows = [
        f'<tr><th scope="row">{e.low:g} – {e.high:g}</th>{_bin_cells(e)}{_bin_cells(o)}</tr>'
        for e, o in zip(entity, outside)
        if e.words or o.words
    ]
    columns = ["Probability"] + ["words", "mean", "right %"] * 2
    groups = [("", 1), ("tagged as entity", 3), ("tagged O", 3)]
    table = _table("Words by the probability of their tag", columns, rows, groups=groups)
    unscored = sum(score is None for scores in part.tagged.scores for score in scores)
    note = f" {unscored:,} words that tokenize to nothing have none and are left out." if unscored else ""
    return (
        f'<section id="{part.split}-calibration"><h3>Calibration</h3>'
        f'<div class="charts">{_calibration_chart(part, entity, outside)}{table}</div>'
        '<p class="soft">How many tags are right among those the model gave about the same probability, for words it '
        "tagged as part of an entity and for those it tagged O. The probability of a word's tag is its marginal in the "
        "CRF; a bin has its lower end and not its upper one, the last has both. On the broken line probability and "
        "share agree; below it the model is too sure, above it not sure enough. Bins of fewer than "
        f"{LEAST_WORDS} words are in the table only.{note}</p></section>\n"
    )


def _calibration_chart(part, entity, outside):
    series = []
    for look, (name, bins) in enumerate([("tagged as entity", entity), ("tagged O", outside)]):
        filled = [b for b in bins if b.words >= LEAST_WORDS]
        points = [(100 * b.probability / b.words, 100 * b.right / b.words) for b in filled]
        series.append(report_charts.Series(name, points, look))
    values = [value for line in series for point in line.points for value in point]
    if not values:
        return ""
    low = min(values)
    x_axis = report_charts.linear_axis("probability, mean of the bin, percent", low, 100)
    y_axis = report_charts.linear_axis("right, percent", low, 100)
    title = f"Share of right tags by their probability, {part.split}"
    chart = report_charts.line_chart(
        title, series, x_axis, y_axis, diagonal=True, name=f"{part.split}-calibration-chart"
    )
    return f"<figure>{chart}</figure>"


def _bin_cells(bin_):
    if not bin_.words:
        return _cells(["0", "", ""])
    mean, right = bin_.probability / bin_.words, 100 * bin_.right / bin_.words
    return _cells([f"{bin_.words:,}", _probability(mean), f"{right:.2f}"])


def _probability(value):
    """Four digits; never 1 for what is less."""
    return "&gt; 0.9999" if 0.99995 <= value < 1.0 else f"{value:.4f}"


def _wrong_sentences(part, comparisons, classes):
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
    yield _filter(part, [comparisons[i] for i in shown], classes)
    yield "<ol>\n"
    numbers = {name: number for number, name in enumerate(classes)}
    for i in shown:
        sentence = part.sentences[i]
        place = f"{os.path.basename(part.file)}:{sentence.line}"
        tags, scores = part.tagged.tags[i], part.tagged.scores[i]
        yield _wrong_sentence(place, sentence, tags, scores, comparisons[i], classes, numbers)
    yield "</ol></section>\n"


def _filter(part, comparisons, classes):
    """Menus that show some of the sentences only; the script brings them up."""
    pairs = [
        pair for comparison in comparisons for pair in comparison.pairs if mistakes.kind_of(pair) != mistakes.RIGHT
    ]
    involved = {side[0] for pair in pairs for side in pair if side is not None}
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


def _wrong_sentence(place, sentence, tags, scores, comparison, classes, numbers):
    wrong = [pair for pair in comparison.pairs if mistakes.kind_of(pair) != mistakes.RIGHT]
    kinds = collections.Counter(mistakes.kind_of(pair) for pair in wrong)
    types = {numbers[side[0]] for pair in wrong for side in pair if side is not None}
    told = [kind if kinds[kind] == 1 else f"{kinds[kind]} × {kind}" for kind in mistakes.KINDS if kinds[kind]]
    if not wrong:
        told = [_tags_told(sentence, tags, comparison.wrong_words)]
    sure = "no probability" if comparison.confidence is None else _probability(comparison.confidence)
    sides = [
        f'<div><h5>{name}</h5><p lang="" dir="auto">{_side(sentence.words, spans, comparison, classes)}</p></div>'
        for name, spans in (
            ("Gold", _spans(comparison.pairs, 0, sentence.words, scores)),
            ("Predicted", _spans(comparison.pairs, 1, sentence.words, scores)),
        )
    ]
    data_kinds = " ".join(str(n) for n, kind in enumerate(mistakes.KINDS) if kinds[kind])
    data_types = " ".join(str(n) for n in sorted(types))
    return (
        f'<li data-kinds="{data_kinds}" data-types="{data_types}"><h4><code>{escape(place)}</code> '
        f'<span class="sure">confidence <b>{sure}</b></span> <span class="soft">{", ".join(told)}</span></h4>'
        f'<div class="sides">{"".join(sides)}</div></li>\n'
    )


def _tags_told(sentence, tags, wrong_words):
    """What to say where the entities are right and yet a tag is not: the two taggings spell them differently."""
    i = wrong_words[0]
    return f"same entities, other tags: {escape(tags[i])} for {escape(sentence.tags[i])} at word {i + 1}"


def _spans(pairs, side, words, scores):
    """The entities of one side (0: gold, 1: predicted), wrong ones with a flag, and the other side's where it has none.

    Returns:
      list of Span in words, in order, without overlap.
    """
    spans, taken = [], set()
    for pair in pairs:
        if pair[side] is not None:
            kind, start, end = pair[side]
            told = mistakes.kind_of(pair)
            spans.append(Span(start, end, kind, "" if told == mistakes.RIGHT else told, _hover(scores[start:end])))
            taken.update(range(start, end))
    for pair in pairs:
        if pair[side] is None:
            _, start, end = pair[1 - side]
            if taken.isdisjoint(range(start, end)):
                spans.append(Span(start, end, HOLE, "O", _hover(scores[start:end])))
    return sorted(spans, key=lambda span: span.start)


def _hover(scores):
    told = " ".join("–" if score is None else f"{score:.4f}" for score in scores)
    return f"probability of the predicted tag, word by word: {told}"


def _side(words, spans, comparison, classes):
    """One side's running text, only what is near a wrong word."""
    looks = dict(classes)
    looks[HOLE] = "hole"
    pieces, position = [], 0
    for start, end in _stretches(comparison.wrong_words, len(words)):
        if start > position:
            pieces.append(_left_out(start - position))
        inside = [
            span._replace(start=max(span.start, start) - start, end=min(span.end, end) - start)
            for span in spans
            if span.start < end and span.end > start
        ]
        pieces.append(spans_html(*join_words(words[start:end], inside), classes=looks))
        position = end
    if position < len(words):
        pieces.append(_left_out(len(words) - position))
    return " ".join(pieces)


def _stretches(wrong_words, length):
    """[start, end) of the words to show: those near wrong ones, and all that would not be worth leaving out."""
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


def _settings(model, training):
    """The run's settings as a list of names and values."""
    encoder = model.get("bert_config", {})
    values = [(name, value) for name, value in model.items() if name != "bert_config"]
    values += list(training.items()) + list(encoder.items())
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(_told(value))}</dd></div>" for name, value in values)
    return f'<section id="settings"><h2>Settings</h2><dl class="settings">{items}</dl></section>\n'


def _told(value):
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


_SCRIPT = """
document.querySelectorAll('.filter').forEach(function (form) {
  var items = form.parentNode.querySelectorAll('ol > li');
  function has(item, name) {
    var wanted = form.elements[name].value;
    return wanted === '' || item.dataset[name].split(' ').indexOf(wanted) >= 0;
  }
  function show() {
    var shown = 0;
    items.forEach(function (item) {
      item.hidden = !(has(item, 'types') && has(item, 'kinds'));
      shown += !item.hidden;
    });
    form.querySelector('output').textContent = shown + ' of ' + items.length + ' shown';
  }
  form.addEventListener('change', show);
  form.hidden = false;
  show();
});
"""

_CSS = """
h1{font-size:1.9rem;margin:0}h2{font-size:1.4rem;margin:2.5rem 0 .75rem;border-bottom:1px solid var(--rule)}
h3{font-size:1.1rem;margin:1.75rem 0 .5rem}h4,h5{font-size:1rem;font-weight:400;margin:0}
code{font:.92em ui-monospace,"Cascadia Mono",Menlo,Consolas,monospace;overflow-wrap:anywhere}
.soft,footer{color:var(--soft)}p.soft{font-size:.9rem;max-width:60rem}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;padding:0;margin:.75rem 0}
a{color:inherit;text-underline-offset:.2em}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1rem}
.card{background:var(--panel);border:1px solid var(--rule);border-radius:.5rem;padding:1rem 1.25rem}
.card h3{margin:0}.card p{margin:.5rem 0 0}
.figures{display:flex;flex-wrap:wrap;gap:.5rem 1.5rem;margin:.75rem 0;align-items:end}
.figures dt{font-size:.85rem;color:var(--soft)}
.figures dd{margin:0;font-size:1.25rem;font-variant-numeric:tabular-nums}
.figures div:first-child dd{font-size:2.4rem;line-height:1.1;font-weight:650}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:1rem 2rem;
align-items:center}
figure{margin:0;max-width:36rem}
.scroll{overflow-x:auto;max-width:100%;margin:.5rem 0}
.limited{max-height:22rem;overflow-y:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
caption{text-align:start;color:var(--soft);font-size:.9rem;padding-bottom:.25rem}
th,td{padding:.3rem .7rem;border-bottom:1px solid var(--rule);text-align:end;vertical-align:top}
th{font-weight:600;white-space:nowrap}th:first-child{text-align:start}
thead th{font-size:.9em;vertical-align:bottom}th[scope=colgroup]{text-align:center}
.limited thead th{position:sticky;top:0;background:var(--page)}
tfoot td,tfoot th{font-weight:650;border-bottom:0;border-top:1px solid var(--text)}
.row{display:flex;flex-wrap:wrap;gap:.5rem 4rem;align-items:flex-start}td{white-space:nowrap}
.types td:nth-child(-n+4){min-width:8.5rem}.kinds td{min-width:11rem}
.confusion td{min-width:4rem}.confusion .none{color:var(--soft)}.confusion small{white-space:nowrap}
.ok{--tint:var(--good)}.off{--tint:var(--bad)}
@supports (background:color-mix(in srgb,red,blue)){
.share1{background:color-mix(in srgb,var(--tint) 8%,transparent)}
.share2{background:color-mix(in srgb,var(--tint) 16%,transparent)}
.share3{background:color-mix(in srgb,var(--tint) 24%,transparent)}
.share4{background:color-mix(in srgb,var(--tint) 32%,transparent)}}
.filter{display:flex;flex-wrap:wrap;gap:.5rem 1.25rem;align-items:center;margin:.75rem 0}.filter[hidden]{display:none}
select{font:inherit;color:inherit;background:var(--panel);border:1px solid var(--rule);border-radius:.3rem;
padding:.15rem .4rem}
ol{padding:0 0 0 2.2rem;margin:1rem 0}
ol>li{margin:0 0 1rem;padding:.5rem 0 0;border-top:1px solid var(--rule)}li::marker{color:var(--soft)}
.sure{margin:0 .75rem}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:.25rem 2.5rem}
.sides h5{font-size:.78rem;color:var(--soft);letter-spacing:.04em;text-transform:uppercase;margin-top:.35rem}
.sides p{margin:0;line-height:1.9}
mark.flagged{margin:0 .12em}mark.hole{background:none;border-bottom:0}mark.hole.flagged{outline-style:dashed}
.settings{columns:22rem;column-gap:2.5rem;margin:0}
.settings div{display:flex;gap:.75rem;break-inside:avoid;padding:.2rem 0;border-bottom:1px solid var(--rule)}
.settings dt{color:var(--soft);flex:0 0 13rem}.settings dd{margin:0;overflow-wrap:anywhere;min-width:0}
@media (max-width:40rem){h1{font-size:1.6rem}table{font-size:.88rem}th,td{padding:.3rem .4rem}
.types td:nth-child(-n+4){min-width:4.5rem}.confusion td{min-width:3rem}.settings dt{flex-basis:9rem}
ol{padding:0;list-style:none}ol>li h4::before{content:counter(list-item) ". ";color:var(--soft)}}
:focus-visible{outline:2px solid var(--text);outline-offset:2px}
@media print{table{font-size:.88em}th,td{padding:.2rem .45rem}.types td:nth-child(-n+4){min-width:6rem}
.limited,.scroll{max-height:none;overflow:visible}nav,.filter{display:none!important}
ol>li,figure,.card,table{break-inside:avoid}h2,h3{break-after:avoid}
.sides{grid-template-columns:1fr 1fr;gap:0 1.5rem}.share1,.share2,.share3,.share4,svg{print-color-adjust:exact;
-webkit-print-color-adjust:exact}}
"""
