"""The page of a sweep: dev F1 by setting, curves of the best, and the tables. It loads nothing from elsewhere."""

from bert.system.files import atomic_open
from train.pages import charts, tables
from train.pages.spans import escape, page_end, page_start
from train.sweeping import results as sweep_results
from train.sweeping.points import described

SHOWN = 30  # settings in the plot
CURVES = 4  # settings with a curve: as many as there are dashes and markers
STYLE = """
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1rem 2rem}
figure{margin:0;max-width:44rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
caption{text-align:start;color:var(--soft);font-size:.9rem;padding-bottom:.25rem}
th,td{padding:.25rem .7rem;border-bottom:1px solid var(--rule);text-align:end;white-space:nowrap}
pre{background:var(--panel);border:1px solid var(--rule);border-radius:.4rem;padding:.6rem .8rem;overflow-x:auto}
.soft{color:var(--soft);font-size:.9rem}
"""


def write_page(path, data_dir, results, rows, command):
    """Writes the page.

    Args:
      path: of the file.
      data_dir: name of the data.
      results: list of results.Result, the best first.
      rows: (table of the settings, table of the runs), lists of lists of str, the header first.
      command: the command line that trains with the best setting, "" where there is none yet.
    """
    with atomic_open(path) as writer:
        writer.writelines(page(data_dir, results, rows, command))


def page(data_dir, results, rows, command):
    """Yields the page piece by piece; arguments as of `write_page`."""
    title = f"Sweep on {data_dir}"
    yield page_start(title, tables.CSS + STYLE + charts.CSS)
    yield f"<h1>{escape(title)}</h1>\n"
    best = sweep_results.best_of(results)
    if best:
        yield f"<p>{escape(sweep_results.headline(best))}.</p><pre>{escape(command)}</pre>\n"
    else:
        yield "<p>No setting has all its runs yet.</p>\n"
    scored = [result for result in results if result.scores]
    if scored:
        figures = [scores_chart(scored[:SHOWN]), curves_chart(scored[:CURVES])]
        yield f'<div class="charts">{"".join(f"<figure>{chart}</figure>" for chart in figures)}</div>'
        left = f" The first plot has {SHOWN} of {len(scored)} settings." if len(scored) > SHOWN else ""
        yield (
            '<p class="soft">By setting: a dot for each run, a stroke at their mean, a bar from least to greatest. '
            f"By step: the evaluations of the best run of each of the first settings.{left}</p>\n"
        )
    for caption, (columns, *body) in zip(("Settings, the best first; dev F1 in percent", "Runs"), rows):
        html_rows = [tables.row(escape(first), map(escape, others)) for first, *others in body]
        yield tables.table(caption, list(map(escape, columns)), html_rows)
    yield page_end()


def scores_chart(scored):
    """A chart of the dev F1 of settings: SVG.

    Args:
      scored: list of results.Result that have scores.
    """
    rows = []
    for number, result in enumerate(scored, 1):
        rows.append((f"{number}  {described(result.point.values)}", sweep_results.values(result)))
    every = [value for _, values in rows for value in values]
    axis = charts.percent_axis("dev F1, percent", min(every), max(every))
    return charts.dot_chart("Dev F1 by setting", rows, axis, name="scores")


def curves_chart(scored):
    """A chart of dev F1 by step, of the best run of each setting; arguments and result as of `scores_chart`."""
    series = []
    for number, result in enumerate(scored, 1):
        best = max(result.scores.values(), key=lambda score: score.f1)
        points = [(each["step"], 100.0 * each["f1"]) for each in best.evaluations]
        series.append(charts.Series(f"no. {number}", points, number - 1, len(points) <= 40))
    every = [point for line in series for point in line.points]
    steps = charts.linear_axis("step", 0, max(x for x, _ in every))
    percent = charts.percent_axis("dev F1, percent", min(y for _, y in every), max(y for _, y in every))
    return charts.line_chart("Dev F1 by step", series, steps, percent, name="curves")
