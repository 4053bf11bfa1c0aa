"""Which settings give the better tagger: entity F1 over seeds, with paired tests, beside a PyTorch peer.

    python -m benchmarks.quality -data_dir btc -bert_dir minilm -peer_weights hf -cache cache -seeds 1,2,3 -epochs 4 \\
        -setting "ours: -learning_rate 1e-4 -head_learning_rate 1e-3 -batch_size 32" \\
        -setting "crf only: -crf_only -learning_rate 1e-4 -batch_size 32" \\
        -setting "peer-linear: lr=1e-4" -setting "peer-blstm-crf: lr=1e-4 head_lr=1e-3"

In: CoNLL data, an encoder in Google's format and, for the peer, the same one in Hugging Face's. Each setting and seed
is a process of its own: run.py as people run it, or peer_quality.py on -peer_python. Settings whose names begin with
peer-linear or peer-blstm-crf are the peer's. Without -epochs run.py takes its own number.

Out: a table of dev F1 (of the best evaluation) and one of test F1, entities of both sides counted alike. `difference`
is to the first setting, on the seeds that both have. `p seeds` is of a t-test on pairs of seeds, `p sentences` of
approximate randomisation over sentences, the counts of all seeds added up. `seconds` are of the whole process, on the
clock and of all cores. Results stay in -cache: the same command goes on where it was killed, and with more seeds or
settings it trains what is new. Several benchmarks may share a cache. The code is not looked at: -tag names its state.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

from benchmarks.paired import entity_counts, paired_t, randomised, spread
from benchmarks.quality_runs import TAGGED, Busy, Cache, Common, Data, parse_setting
from benchmarks.samples import WAYS
from bert.system.errors import UserError, run_program
from bert.system.files import make_dir

_WAIT = 10  # seconds between looks at a run of another process
_PEER_NEEDS = "import torch, torchcrf, transformers"
COLUMNS = ("setting", "n", "mean", "sd", "min", "max", "difference", "p seeds", "p sentences", "seconds", "cpu seconds")


def main():
    args = parse_flags()
    settings = [parse_setting(text) for text in args.setting]
    if len({setting.name for setting in settings}) < len(settings):
        raise UserError("-setting: two of them have one name; expected a name for each")
    if any(setting.head for setting in settings) and not args.cached:
        settings = check_peer(settings, args)
    make_dir(args.cache)
    common = Common(args.bert_dir, args.peer_weights, args.epochs, args.peer_python, args.tag)
    cache = Cache(args.cache, common)
    seeds = [Data(args.data_dir, args.train_sentences, args.sample, seed) for seed in args.seeds]
    failed = (
        [] if args.cached else run_all(cache, [(setting, data) for data in seeds for setting in settings], args.keep)
    )
    results = {
        setting.name: {data.seed: result for data in seeds for result in [cache.result(setting, data)] if result}
        for setting in settings
    }
    print(f"{args.data_dir}, {args.train_sentences or 'all'} sentences, {args.epochs or 'default'} epochs\n")
    for split in ("dev", "test"):
        print(f"{split} F1\n\n{table(results, split)}\n")
    if failed:
        raise UserError(f"{len(failed)} runs failed: {'; '.join(failed)}")


def parse_flags():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-data_dir", required=True, help="directory with train.txt, dev.txt and test.txt")
    parser.add_argument("-bert_dir", required=True, help="encoder in Google's format, as run.py takes it")
    parser.add_argument("-peer_weights", help="the same encoder in Hugging Face's; default: random weights of its size")
    parser.add_argument("-cache", required=True, help="directory for results")
    parser.add_argument("-seeds", type=_seeds, default=[1], help="comma-separated")
    parser.add_argument("-train_sentences", type=int, help="sentences of train.txt to train on; default: all")
    parser.add_argument("-sample", choices=WAYS, default="random", help="which ones; random: drawn by the seed")
    parser.add_argument("-epochs", type=float, help="default: that of run.py; the peer needs one")
    parser.add_argument("-setting", action="append", required=True, help="'name: flags'; may be repeated")
    parser.add_argument("-peer_python", default=sys.executable, help="a Python with benchmarks/requirements.txt")
    parser.add_argument("-tag", default="", help="a name for the state of the code; another tag, another result")
    parser.add_argument("-keep", action="store_true", help="keep the directories of runs, in the cache")
    parser.add_argument("-cached", action="store_true", help="train nothing: the table of what the cache has")
    args = parser.parse_args()
    if args.train_sentences is not None and args.train_sentences < 1:
        raise UserError(f"-train_sentences {args.train_sentences}: expected at least 1")
    return args


def _seeds(text):
    seeds = [int(seed) for seed in text.split(",")]
    if len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"a seed twice in '{text}'")
    return seeds


def check_peer(settings, args):
    """The settings that can be run: without the peer's where its requirements are not installed, which is said."""
    if args.epochs is None:
        raise UserError("the peer has no default for -epochs; expected it")
    done = subprocess.run([args.peer_python, "-c", _PEER_NEEDS], stderr=subprocess.PIPE, text=True)
    if not done.returncode:
        return settings
    reason = (done.stderr.strip().splitlines() or ["it does not run"])[-1]
    print(f"the peer is left out: {args.peer_python}: {reason}; pip install -r benchmarks/requirements.txt", flush=True)
    return [setting for setting in settings if setting.head is None]


def run_all(cache, jobs, keep):
    """Runs what the cache lacks, all settings of a seed before the next seed; returns the names of failed runs."""
    failed, waiting = [], [job for job in jobs if cache.result(*job) is None]
    while waiting:
        left = []
        for setting, data in waiting:
            name = f"{setting.name}, seed {data.seed}"
            try:
                cache.run(setting, data, keep)
            except Busy:
                left.append((setting, data))
                continue
            except UserError as error:
                print(f"{name}: {error}", file=sys.stderr, flush=True)
                failed.append(name)
                continue
            result = cache.result(setting, data)
            print("{}: dev {dev_f1:.2f} test {test_f1:.2f}, {seconds:.0f} s".format(name, **result), flush=True)
        if left and len(left) == len(waiting):
            time.sleep(_WAIT)
        waiting = [job for job in left if cache.result(*job) is None]
    return failed


def table(results, split):
    """A table in Markdown, a row for each setting.

    Args:
      results: dict from a setting's name to {seed: result of Cache.result}; others are compared to the first one.
      split: "dev" or "test".

    Returns:
      str, without a line end.
    """
    first = next(iter(results.values()))
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for name, of_seeds in results.items():
        lines.append(f"| {' | '.join([name] + _row(of_seeds, first, split))} |")
    return "\n".join(lines)


def _row(of_seeds, first, split):
    """The cells of a setting after its name: list of str."""
    if not of_seeds:
        return ["0"] + ["-"] * (len(COLUMNS) - 2)
    values = [result[f"{split}_f1"] for result in of_seeds.values()]
    cells = [str(len(values))]
    cells += [f"{value:.2f}" for value in (statistics.mean(values), spread(values), min(values), max(values))]
    cells += ["-"] * 3 if of_seeds is first else _comparison(of_seeds, first, split)
    return cells + [
        f"{statistics.mean([result[name] for result in of_seeds.values()]):.0f}" for name in ("seconds", "cpu_seconds")
    ]


def _comparison(of_seeds, first, split):
    """Difference to the first setting, and its two p-values: list of str."""
    seeds = [seed for seed in first if seed in of_seeds]
    if not seeds:
        return ["-"] * 3
    pairs = [(first[seed][f"{split}_f1"], of_seeds[seed][f"{split}_f1"]) for seed in seeds]
    over_seeds = paired_t(*zip(*pairs))
    counts = [
        sum(entity_counts(os.path.join(side[seed]["folder"], TAGGED[split])) for seed in seeds)
        for side in (first, of_seeds)
    ]
    return [
        f"{statistics.mean([b - a for a, b in pairs]):+.2f}",
        "-" if over_seeds is None else f"{over_seeds:.3f}",
        f"{randomised(*counts):.3f}",
    ]


if __name__ == "__main__":
    run_program(main)
