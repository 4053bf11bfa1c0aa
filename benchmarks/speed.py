"""Sentences a second in training and in tagging: the archive's way, ours, and PyTorch's, side by side in one run.

    python -m benchmarks.speed [--mode=train|infer|both] [--contenders=archive,ours-fp32,ours,peer] [--data=FILE]
    python -m benchmarks.speed --lever         what each thing that makes ours fast is worth, one turned off at a time

Each contender is a process of its own with one model of BERT-Base size (--config for another), on the same sentences.
Rounds are interleaved: every contender does all the sentences once, then every one again, so a slow minute of the
machine is shared. The first round warms up (graphs, compilations) and is not counted. Tagging goes from words to
labels: tokenization, encoder, decoding. Printed are medians, lowest and highest over rounds, the ratio to the first
contender, the largest resident memory, and how much of the measured matmul rate (in the contender's own precision) the
encoder's useful work is. The peer takes part where benchmarks/requirements.txt is installed. A contender written
NAME@PYTHON runs on another Python, so that two TensorFlows can be compared: --contenders=ours,ours@/path/to/python.
"""

import argparse
import collections
import importlib.util
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile

from benchmarks import workload

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BASE = {"precision": "fp32", "fused": False, "bucket": True, "rewriting": False, "recompute": False}
CONTENDERS = collections.OrderedDict(
    [
        ("archive", dict(BASE, who="archive")),
        ("ours-fp32", dict(BASE, who="ours", fused=True)),
        ("ours", dict(BASE, who="ours", fused=True, precision="bf16")),
        ("peer-fp32", dict(BASE, who="peer")),
        ("peer", dict(BASE, who="peer", precision="bf16")),
    ]
)
# What each lever is when it is off; "ours" has all of them on.
LEVERS = collections.OrderedDict(
    [
        ("batches by length", {"bucket": False}),
        ("bf16", {"precision": "fp32"}),
        ("fused kernels and optimizer", {"fused": False}),
        ("no graph rewriting", {"rewriting": True}),
        ("no recomputation", {"recompute": True}),
    ]
)
PASSES = {"train": 3, "infer": 1}  # the backward pass costs two forward passes


def main():
    args = parse_args()
    print(describe_machine())
    config = workload.read_config(args.config)
    given = workload.sentences(args.sentences, args.data, args.max_seq_length - 2, config["vocab_size"])
    pieces = sum(len(words) + 2 for words in given)
    print(f"{len(given)} sentences, {pieces / len(given):.1f} pieces on average, batch {args.batch_size}")
    peaks = {precision: matmul_peak(precision) for precision in ("fp32", "bf16")}
    print("matmul rate: " + ", ".join(f"{name} {rate / 1e12:.2f} TFLOP/s" for name, rate in peaks.items()))
    with tempfile.TemporaryDirectory() as folder:
        vocab = os.path.join(folder, "vocab.txt")
        workload.write_vocab(vocab, config["vocab_size"])
        for mode in ("train", "infer") if args.mode == "both" else (args.mode,):
            for chosen in rivals(args, mode):
                results = compete(args, mode, vocab, chosen)
                print_table(mode, results, len(given), workload.useful_flop(given, config) * PASSES[mode], peaks)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["train", "infer", "both"], default="both")
    parser.add_argument(
        "--contenders",
        default="archive,ours-fp32,ours,peer",
        help=", ".join(CONTENDERS) + "; NAME@PYTHON: on another Python",
    )
    parser.add_argument("--lever", action="store_true", help="ours against ours with one lever turned off")
    parser.add_argument("--data", help="CoNLL file; default: random sentences as long as a newspaper's")
    parser.add_argument("--config", help="bert_config.json; default: BERT-Base, Chinese vocabulary size")
    parser.add_argument("--sentences", type=int, default=384)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--max_seq_length", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def rivals(args, mode):
    """Who runs side by side: a list of OrderedDicts from names to options, one after the other."""
    if not args.lever:
        return [contenders(args)]
    # Pairs, as all at once would need the memory of six BERTs in training.
    best = CONTENDERS["ours"]
    # What changes training only has no worth in tagging, and there all batches are by length.
    of_training = ("batches by length", "no graph rewriting", "no recomputation")
    return [
        collections.OrderedDict([("ours", best), (f"without {name}", dict(best, **change))])
        for name, change in LEVERS.items()
        if mode == "train" or name not in of_training
    ]


def contenders(args):
    """OrderedDict from the names to the options of those asked for, less the peer where it is not installed."""
    chosen = collections.OrderedDict((name, CONTENDERS[name.split("@")[0]]) for name in args.contenders.split(","))
    if any(options["who"] == "peer" for options in chosen.values()) and importlib.util.find_spec("torchcrf") is None:
        print("the PyTorch peer is left out: pip install -r benchmarks/requirements.txt")
        chosen = collections.OrderedDict((name, it) for name, it in chosen.items() if it["who"] != "peer")
    return chosen


def compete(args, mode, vocab, chosen):
    """Runs all contenders, rounds interleaved; dict from names to (options, list of seconds, peak megabytes)."""
    processes = {}
    for name, options in chosen.items():
        python = name.partition("@")[2] or sys.executable
        given = dict(options, mode=mode, vocab=vocab, **{key: getattr(args, key) for key in ("data", "config")})
        given.update(sentences=args.sentences, batch_size=args.batch_size, max_seq_length=args.max_seq_length)
        processes[name] = subprocess.Popen(
            [python, "-m", "benchmarks.contender", json.dumps(given)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if not os.environ.get("SHOW_ERRORS") else None,
            universal_newlines=True,
        )
        run_once(name, processes[name])  # warms up; one at a time, so that starts do not disturb each other
    seconds, peaks = collections.defaultdict(list), {}
    for _ in range(args.rounds):
        for name, process in processes.items():
            answer = run_once(name, process)
            seconds[name].append(answer["seconds"])
            peaks[name] = answer["peak_mb"]
    for process in processes.values():
        process.stdin.close()
        process.wait()
    return collections.OrderedDict((name, (chosen[name], seconds[name], peaks[name])) for name in chosen)


def run_once(name, process):
    """Lets a contender do all its work once; returns what it measured, a dict."""
    process.stdin.write("\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        sys.exit(f"{name} has ended with code {process.wait()}; SHOW_ERRORS=1 shows why")
    return json.loads(line)


def print_table(mode, results, count, flop, peaks):
    """Prints a line for each contender.

    Args:
      mode: "train" or "infer".
      results: as `compete` gives them.
      count: sentences in a round.
      flop: useful floating-point operations in a round.
      peaks: dict from precision to floating-point operations a second.
    """
    titles = f"{'sentences/s':>12s} {'lowest, highest':>17s} {'ratio':>7s} {'peak MB':>8s} {'of matmul rate':>15s}"
    print(f"\n{mode:28s} {titles}")
    first = None
    for name, (options, seconds, peak_mb) in results.items():
        median = statistics.median(seconds)
        first = first or median
        spread = f"{count / max(seconds):.2f}, {count / min(seconds):.2f}"
        share = flop / median / peaks[options["precision"]]
        print(
            f"{name:28s} {count / median:12.2f} {spread:>17s} {first / median:7.2f} {peak_mb:8.0f} {100 * share:14.0f}%"
        )


def matmul_peak(precision):
    """Floating-point operations a second, measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.matmul_peak", precision]
    return float(subprocess.check_output(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL))


def describe_machine():
    """One line: processor, cores, what it multiplies fast, Python."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as reader:
            text = reader.read()
    except OSError:
        text = ""
    model = re.search(r"model name\s*:\s*(.*)", text)
    fast = [flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if re.search(rf"\b{flag}\b", text)]
    name = model.group(1) if model else platform.processor()
    return f"{name}, {os.cpu_count()} cores, {' '.join(fast) or 'no AVX-512'}; Python {platform.python_version()}"


if __name__ == "__main__":
    main()
