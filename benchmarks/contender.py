"""One contender of benchmarks/speed.py in a process of its own: does its work once for every line on standard input.

    python -m benchmarks.contender '{"who": "ours", "mode": "train", ...}'

After each round it writes one JSON line: {"seconds": ..., "peak_mb": ...}. The first round warms up.
"""

import json
import os
import resource
import sys
import time

from benchmarks import workload


def main():
    options = json.loads(sys.argv[1])
    # Nothing but results on standard output: libraries like to write there too.
    results = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    run = make_work(options)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        results.write(json.dumps({"seconds": seconds, "peak_mb": peak}) + "\n")
        results.flush()


def make_work(options):
    """The function that does all the work of one round."""
    config = workload.read_config(options["config"])
    given = workload.sentences(
        options["sentences"], options["data"], options["max_seq_length"] - 2, config["vocab_size"]
    )
    if options["who"] == "peer":
        from benchmarks import peer_torch

        return {"train": peer_torch.trainer, "infer": peer_torch.tagger}[options["mode"]](options, given)
    from benchmarks import ours

    makers = {
        ("ours", "train"): ours.trainer,
        ("ours", "infer"): ours.tagger,
        ("archive", "train"): ours.archive_trainer,
        ("archive", "infer"): ours.archive_tagger,
    }
    return makers[options["who"], options["mode"]](options, given)


if __name__ == "__main__":
    main()
