"""How the time of a training step grows with sequence length, batch, layers and labels: a table and a plot.

    python -m benchmarks.growth [--output=benchmarks/growth.svg] [--config=bert_config.json] [--contender=ours]

One thing is changed at a time, from 64 pieces, batch 16, 4 layers of BERT-Base's width, 11 labels. Times are the
least of STEPS after a first one that compiles.
"""

import argparse
import time

import numpy as np
import tensorflow.compat.v1 as tf

from benchmarks import ours, speed, workload

STANDARD = {"pieces": 64, "batch": 16, "layers": 4, "labels": 11}
VALUES = {"pieces": (16, 32, 64, 128, 256), "batch": (4, 8, 16, 32), "layers": (1, 2, 4, 8), "labels": (5, 11, 41, 81)}
STEPS = 4
WIDTH, HEIGHT, MARGIN = 240, 200, 46  # pixels of one panel, and what it leaves for numbers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="growth.svg")
    parser.add_argument("--config", help="bert_config.json; default: BERT-Base, Chinese vocabulary size")
    parser.add_argument("--contender", default="ours", choices=["ours", "ours-fp32"])
    args = parser.parse_args()
    curves = {}
    for name, values in VALUES.items():
        curves[name] = [(value, seconds_of_a_step(args, dict(STANDARD, **{name: value}))) for value in values]
        print(
            f"{name:8s}" + "".join(f"  {value}: {1000 * seconds:.0f} ms" for value, seconds in curves[name]), flush=True
        )
    with open(args.output, "w", encoding="utf-8") as writer:
        writer.write(plot(curves))


def seconds_of_a_step(args, sizes):
    """The least time of a training step; `sizes`: dict with the keys of STANDARD."""
    options = dict(
        speed.CONTENDERS[args.contender],
        config=args.config,
        batch_size=sizes["batch"],
        changes={"num_hidden_layers": sizes["layers"]},
    )
    rng = np.random.RandomState(0)
    shape = [sizes["batch"], sizes["pieces"]]
    vocab_size = workload.read_config(args.config)["vocab_size"]
    batch = rng.randint(1, vocab_size, shape), np.ones(shape, np.int32), rng.randint(1, sizes["labels"], shape)
    with tf.Graph().as_default():
        step = ours.training_step(options, sizes["labels"])
        step(batch)
        seconds = []
        for _ in range(STEPS):
            start = time.perf_counter()
            step(batch)
            seconds.append(time.perf_counter() - start)
    return min(seconds)


def plot(curves):
    """An SVG with one panel per curve, all with the same scale upwards, both axes from 0."""
    highest = max(seconds for points in curves.values() for _, seconds in points)
    panels = []
    for i, (name, points) in enumerate(curves.items()):
        widest = max(value for value, _ in points)
        across, up, base = WIDTH - 2 * MARGIN + 30, HEIGHT - 2 * MARGIN, HEIGHT - MARGIN
        places = [
            (MARGIN + across * value / widest, HEIGHT - MARGIN - up * seconds / highest) for value, seconds in points
        ]
        line = " ".join(f"{x:.0f},{y:.0f}" for x, y in places)
        marks = "".join(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3"/>'
            + (f'<text x="{x:.0f}" y="{y - 7:.0f}">{1000 * seconds:.0f}</text>' if k == 0 or value * 5 > widest else "")
            + (f'<text x="{x:.0f}" y="{base + 14}" class="axis">{value}</text>' if value * 5 > widest else "")
            for k, ((x, y), (value, seconds)) in enumerate(zip(places, points))
        )
        panels.append(
            f'<g transform="translate({i * WIDTH},0)"><polyline points="{line}"/>{marks}'
            f'<path d="M{MARGIN},{MARGIN - 16} V{base} H{MARGIN + across + 6}"/>'
            f'<text x="{MARGIN + across / 2:.0f}" y="{HEIGHT - 12}" class="name">{name}</text></g>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {len(curves) * WIDTH} {HEIGHT}" '
        f'width="{len(curves) * WIDTH}" height="{HEIGHT}">'
        "<style>text{font:11px sans-serif;text-anchor:middle;fill:#333}.axis{fill:#777}.name{font-weight:bold}"
        "polyline{fill:none;stroke:#1565c0;stroke-width:2}circle{fill:#1565c0}path{fill:none;stroke:#999}</style>"
        f'<rect width="100%" height="100%" fill="white"/>{"".join(panels)}</svg>\n'
    )


if __name__ == "__main__":
    main()
