"""The report page's section on training: scores and losses by step, as charts and as a table.

In: the evaluations in run.json, and the training loss in the run's TensorBoard events. Out: HTML.
"""

import math
import os

import tensorflow.compat.v1 as tf

from bert.system import filesystem
from train.pages import charts
from train.pages.tables import row, table

MOST_DOTS = 40  # a line with more points is drawn without dots


def training_losses(output_dir, foreign=()):
    """Reads the training loss from the summaries in the directory's event files.

    Args:
      output_dir: directory of the run.
      foreign: names of files that do not belong to the run.

    Returns:
      list of (step, loss), sorted by step. Where a run was killed and resumed, the loss written last counts.
    """
    losses = {}
    for path in sorted(filesystem.beginning_with(os.path.join(output_dir, "events.out.tfevents."))):
        if os.path.basename(path) in foreign:
            continue
        try:
            for event in tf.train.summary_iterator(path):
                for value in event.summary.value:
                    if value.tag == "loss":
                        losses[event.step] = value.simple_value
        except tf.errors.DataLossError:
            continue  # the file of a killed run may end within a record
    return sorted(losses.items())


def learning_section(evaluations, best, losses):
    """The section on training.

    Args:
      evaluations: list of dicts, the scores on the dev set at each step, as run.json has them.
      best: the element with the best F1, or None.
      losses: list of (step, training loss).

    Returns:
      HTML.
    """
    if not evaluations and not losses:
        return '<section id="learning"><h2>Learning</h2><p>No evaluation is on record for this run.</p></section>\n'
    last = max([scores["step"] for scores in evaluations] + [step for step, _ in losses])
    steps = charts.linear_axis("step", 0, last)
    made = [_scores_chart(evaluations, best, steps)] if evaluations else []
    made += _losses_chart(evaluations, losses, steps)
    figures = "".join(f"<figure>{chart}</figure>" for chart in made)
    note = "training: of the single batches in the run's summaries, with dropout; dev: of the whole set, without"
    return (
        f'<section id="learning"><h2>Learning</h2><div class="charts">{figures}</div>'
        f'<p class="soft">Scores are of the dev set, in percent; the best F1 is ringed. Losses — {note}.</p>'
        f"{_evaluations_table(evaluations, best)}</section>\n"
    )


def _scores_chart(evaluations, best, steps):
    series = [
        charts.Series(name, _points(evaluations, key, 100.0), look, len(evaluations) <= MOST_DOTS)
        for look, (name, key) in enumerate([("F1", "f1"), ("precision", "precision"), ("recall", "recall")])
    ]
    values = [value for line in series for _, value in line.points]
    ring = None
    if best is not None:
        ring = (best["step"], 100 * best["f1"], f"best: {100 * best['f1']:.2f} at {best['step']:,}")
    percent = charts.percent_axis("percent", min(values), max(values))
    title = "Scores on the dev set by step of training"
    return charts.line_chart(title, series, steps, percent, ring, name="scores")


def _losses_chart(evaluations, losses, steps):
    """A list with the chart; empty where no loss is finite."""
    series = [
        charts.Series("training", _finite(losses), 5, len(losses) <= MOST_DOTS),
        charts.Series("dev", _points(evaluations, "loss"), 3, len(evaluations) <= MOST_DOTS),
    ]
    series = [line for line in series if line.points]
    if not series:
        return []
    axis = charts.loss_axis("loss", [value for line in series for _, value in line.points])
    return [charts.line_chart("Losses by step of training", series, steps, axis, name="losses")]


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
        rows.append(row(f"{scores['step']:,}{mark}", cells + [f"{scores['loss']:.4f}"]))
    columns = ["Step", "F1", "Precision", "Recall", "Accuracy", "Loss"]
    return table("Evaluations of the dev set", columns, rows, limited=True)
