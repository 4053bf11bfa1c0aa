"""Charts as inline SVG, without scripts, fonts or other files; colours and text follow the page's style.

In: numbers. Out: SVG elements as str. Lines differ in colour, dash and marker, so colour is never the only difference.
"""

import collections
import math

from train.pages.spans import escape, light_hues

# A line of a chart. points: list of (x, y), sorted by x; look: number of its colour, dash and marker, the same for a
# quantity in all charts; dots: whether the points are drawn, each with a tooltip of its values.
Series = collections.namedtuple("Series", ["name", "points", "look", "dots"], defaults=[True])
# ticks: list of (value, text); low, high: the ends of the axis; log: whether equal distances are equal ratios.
Axis = collections.namedtuple("Axis", ["label", "ticks", "low", "high", "log"])

WIDTH, HEIGHT = 440, 290
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 34, 46
MARKER = 3.4  # half its size
ROW, LONGEST_LABEL = 36, 60  # of a chart of dots: height of a row in pixels, characters of its label
DASHES = ["none", "7 3", "2 3", "9 3 2 3"]
MOST_TICKS = 7
LOG_FROM = 20.0  # a loss that falls by this factor is drawn on a logarithmic axis

CSS = """
svg.chart{display:block;width:100%;height:auto;font:12px system-ui,sans-serif}
.chart text{fill:var(--text)}
.chart .grid{stroke:var(--rule);stroke-width:1}
.chart .line{fill:none;stroke:var(--hue);stroke-width:2;stroke-linejoin:round}
.chart .dot{fill:var(--page);stroke:var(--hue);stroke-width:1.8}
.chart .even{fill:none;stroke:var(--soft);stroke-dasharray:4 4}
.chart .best{fill:none;stroke:var(--text);stroke-width:1.6}
.chart .label{paint-order:stroke;stroke:var(--page);stroke-width:4px}
.chart .note{font-weight:600;paint-order:stroke;stroke:var(--page);stroke-width:4px}
svg.bar{display:block;width:100%;height:.4em}
.bar .track{fill:var(--rule)}.bar .value{fill:var(--hue,var(--soft))}
"""


def number(value):
    """A number short enough for an axis: 0.01, 25, 12k.

    >>> [number(value) for value in (0.05, 25.0, 1500, 20000)]
    ['0.05', '25', '1500', '20k']
    """
    return f"{value / 1000:g}k" if abs(value) >= 10000 else f"{value:g}"


def linear_axis(label, low, high):
    """An axis from below `low` to above `high`, ticks at round numbers."""
    widest = max(abs(low), abs(high))
    if high - low <= 1e-9 * widest or widest < 1e-9:  # one value, or none to tell from another
        low, high = low - max(widest, 1.0) / 2, high + max(widest, 1.0) / 2
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    values = [float(f"{i * step:.12g}") for i in range(first, last + 1)]
    return Axis(label, [(value, number(value)) for value in values], values[0], values[-1], False)


def percent_axis(label, low, high):
    """An axis of percentages around `low` to `high`, ticks at round numbers; never below 0 nor above 100."""
    for step in (2, 5, 10, 20):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if first == last:
            first, last = (first - 1, last) if last * step >= 100 else (first, last + 1)
        first, last = max(first, 0), min(last, 100 // step)
        if last - first < MOST_TICKS:
            break
    values = [float(i * step) for i in range(first, last + 1)]
    return Axis(label, [(value, number(value)) for value in values], values[0], values[-1], False)


def log_axis(label, low, high):
    """A logarithmic axis, for values above 0; ticks at powers of ten, and between them where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    values = [factor * 10.0**power for power in range(first, last) for factor in factors] + [10.0**last]
    low = max([value for value in values if value <= low], default=values[0])
    high = min([value for value in values if value >= high], default=values[-1])
    ticks = [(value, number(value)) for value in values if low <= value <= high]
    ticks = ticks[:: math.ceil(len(ticks) / MOST_TICKS)]
    return Axis(label + " (logarithmic)", ticks, low, high, True)


def loss_axis(label, values):
    """An axis for losses; logarithmic if the largest is LOG_FROM times the smallest."""
    low, high = min(values), max(values)
    if low > 0 and high / low >= LOG_FROM:
        return log_axis(label, low, high)
    return linear_axis(label, min(low, 0.0), high)


def line_chart(title, series, x_axis, y_axis, best=None, diagonal=False, name="y"):
    """A chart of lines with axes and legend.

    Args:
      title: what it shows, for readers and for screen readers.
      series: list of Series.
      x_axis, y_axis: Axis.
      best: (x, y, text) of a point to ring, or None.
      diagonal: draw the line on which x and y are equal.
      name: str, unique on the page, for the ids of the chart.

    Returns:
      SVG as str.
    """
    place_x = _scale(x_axis, LEFT, WIDTH - RIGHT)
    place_y = _scale(y_axis, HEIGHT - BOTTOM, TOP)
    described = "; ".join(_described(line, x_axis.label) for line in series)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}-t {name}-d">',
        f'<title id="{name}-t">{escape(title)}</title>',
        f'<desc id="{name}-d">{escape(described)}</desc>',
    ]
    parts += _frame(x_axis, y_axis, place_x, place_y)
    if diagonal:
        low, high = max(x_axis.low, y_axis.low), min(x_axis.high, y_axis.high)
        ends = [f"{place_x(value):.1f} {place_y(value):.1f}" for value in (low, high)]
        parts.append(f'<path class="even" d="M{"L".join(ends)}"/>')
    for line in series:
        parts += _line(line, place_x, place_y)
    if best is not None:
        parts += _best(best, place_x, place_y)
    parts += _legend(series)
    return "".join(parts) + "</svg>"


def dot_chart(title, rows, axis, name="y"):
    """A chart with a row for each of several groups of numbers: a dot for each, their mean and their range.

    Args:
      title: what it shows, for readers and for screen readers.
      rows: list of (what the group is, list of its numbers).
      axis: Axis of the numbers.
      name: str, unique on the page, for the ids of the chart.

    Returns:
      SVG as str.
    """
    bottom = TOP + ROW * len(rows)
    place = _scale(axis, RIGHT, WIDTH - RIGHT)
    described = "; ".join(f"{label}: mean {sum(values) / len(values):.4g} of {len(values)}" for label, values in rows)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {bottom + BOTTOM}" role="img" aria-labelledby="{name}-t {name}-d">',
        f'<title id="{name}-t">{escape(title)}</title>',
        f'<desc id="{name}-d">{escape(described)}</desc>',
        f'<text x="{RIGHT}" y="18" class="note">{escape(title)}</text>',
    ]
    for value, text in axis.ticks:
        parts.append(f'<path class="grid" d="M{place(value):.1f} {TOP - 4}V{bottom + 4}"/>')
        parts.append(f'<text x="{place(value):.1f}" y="{bottom + 18}" text-anchor="middle">{escape(text)}</text>')
    for number, (label, values) in enumerate(rows):
        parts += _row_of_dots(label, values, place, TOP + ROW * number)
    middle = f'x="{WIDTH / 2:.1f}" y="{bottom + BOTTOM - 8}"'
    return "".join(parts) + f'<text {middle} text-anchor="middle">{escape(axis.label)}</text></svg>'


def _row_of_dots(label, values, place, top):
    shown = label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "\u2026"
    y, mean = top + ROW - 10, sum(values) / len(values)
    yield f'<g class="hue0"><title>{escape(label)}</title>'
    yield f'<text class="label" x="{RIGHT}" y="{top + 12}">{escape(shown)}</text>'
    yield f'<path class="line" d="M{place(min(values)):.1f} {y}H{place(max(values)):.1f}"/>'
    yield f'<path class="best" d="M{place(mean):.1f} {y - 8}v16"><title>mean {mean:.4g}</title></path>'
    for value in values:
        yield f'<path class="dot" d="{_marker(0, place(value), y)}"><title>{value:.4g}</title></path>'
    yield "</g>"


def standalone(svg):
    """A chart of this module as an SVG file of its own, with its style: on white, whatever page it is shown on."""
    colours = "svg.chart{--page:#fff;--text:#1b1f24;--soft:#57606a;--rule:#d0d7de;background:#fff}" + light_hues()
    head, rest = svg.split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{colours}{CSS}</style>{rest}'


def _scale(axis, start, end):
    """The function from a value to its place between the pixels `start` and `end`."""
    change = math.log if axis.log else float
    low, high = change(axis.low), change(axis.high)
    return lambda value: start + (end - start) * (change(value) - low) / (high - low)


def _described(line, x_label):
    if not line.points:
        return f"{line.name}: no values"
    (first_x, first), (last_x, last) = line.points[0], line.points[-1]
    return f"{line.name}: {first:.4g} at {x_label} {first_x:.4g}, {last:.4g} at {x_label} {last_x:.4g}"


def _frame(x_axis, y_axis, place_x, place_y):
    """Grid, numbers and names of the axes."""
    left, right, bottom = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM
    for value, text in y_axis.ticks:
        y = place_y(value)
        yield f'<path class="grid" d="M{left - 4} {y:.1f}H{right}"/>'
        yield f'<text x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>'
    for value, text in x_axis.ticks:
        x = place_x(value)
        yield f'<path class="grid" d="M{x:.1f} {bottom}v5"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{escape(text)}</text>'
    middle = (left + right) / 2
    yield f'<text x="{middle:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_axis.label)}</text>'
    middle = (TOP + bottom) / 2
    yield (
        f'<text transform="translate(13 {middle:.1f}) rotate(-90)" text-anchor="middle">{escape(y_axis.label)}</text>'
    )


def _line(line, place_x, place_y):
    places = [(place_x(x), place_y(y)) for x, y in line.points]
    yield f'<g class="hue{line.look}">'
    if len(places) > 1:
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        yield f'<path class="line" stroke-dasharray="{DASHES[line.look % len(DASHES)]}" d="M{path}"/>'
    if line.dots or len(places) == 1:
        for (x, y), (value_x, value_y) in zip(places, line.points):
            hover = f"<title>{escape(line.name)} {value_y:.4g} at {value_x:.6g}</title>"
            yield f'<path class="dot" d="{_marker(line.look, x, y)}">{hover}</path>'
    yield "</g>"


def _marker(look, x, y):
    """The outline of a circle, a square, a triangle or a diamond around a point."""
    r = MARKER
    return [
        f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z",
        f"M{x - r:.1f} {y - r:.1f}h{2 * r}v{2 * r}h{-2 * r}z",
        f"M{x:.1f} {y - 1.3 * r:.1f}l{1.3 * r:.2f} {2.3 * r:.2f}h{-2.6 * r:.2f}z",
        f"M{x:.1f} {y - 1.4 * r:.1f}l{1.4 * r:.2f} {1.4 * r:.2f}l{-1.4 * r:.2f} {1.4 * r:.2f}"
        f"l{-1.4 * r:.2f} {-1.4 * r:.2f}z",
    ][look % 4]


def _best(best, place_x, place_y):
    x, y = place_x(best[0]), place_y(best[1])
    left = x > WIDTH / 2  # where there is room for the text
    yield f'<path class="best" stroke-dasharray="3 3" d="M{x:.1f} {HEIGHT - BOTTOM}V{y + 8:.1f}"/>'
    yield f'<circle class="best" cx="{x:.1f}" cy="{y:.1f}" r="8"/>'
    yield (
        f'<text class="note" x="{x - 7 if left else x + 7:.1f}" y="{HEIGHT - BOTTOM - 8}" '
        f'text-anchor="{"end" if left else "start"}">{escape(best[2])}</text>'
    )


def _legend(series):
    x = LEFT
    for line in series:
        yield (
            f'<g class="hue{line.look}"><path class="line" stroke-dasharray="{DASHES[line.look % len(DASHES)]}" '
            f'd="M{x} 14h26"/>'
        )
        if line.dots:
            yield f'<path class="dot" d="{_marker(line.look, x + 13, 14)}"/>'
        yield f'</g><text x="{x + 32}" y="18">{escape(line.name)}</text>'
        x += 52 + 6.6 * len(line.name)


def bar(share):
    """A bar for a share from 0 to 1, as wide as its cell; decoration beside the number."""
    width = round(100 * min(max(share, 0.0), 1.0), 2)
    return (
        '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="4"/><rect class="value" width="{width:g}" height="4"/></svg>'
    )
