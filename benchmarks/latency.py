"""How long a call with one sentence takes: for Predictor, for an export in a plain session, and for a PyTorch peer.

    python -m benchmarks.latency [--cpus=0] [--precision=fp32|bf16] [--contenders=predictor,export,peer]

Each contender is a process of its own that is held to these CPUs, with a BERT-Base of random weights, or --config. A
call goes from text to tags: Predictor's to entities, the session's through the signature serving_text, the peer's from
words to labels without probabilities. Calls are interleaved in blocks, so a slow minute of the machine is shared; some
calls before the first block are not counted. Printed are the 50th and 99th percentile of all calls, their mean, and the
CPU time of a call, which other work on the machine disturbs less. NAME@PYTHON is a contender on another Python.
"""

import argparse
import collections
import importlib.util
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import workload
from benchmarks.speed import REPOSITORY, describe_machine, run_once

BLOCK = 50  # calls of a contender before it is the next one's turn
WARM_UP = 100  # calls
MOST_WORDS = 126


def main():
    args = parse_args()
    if args.contender:
        return answer(json.loads(args.contender))
    print(f"{describe_machine()}; held to CPU {args.cpus}")
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own: this one needs no TensorFlow, and random weights take memory to make.
        make = multiprocessing.get_context("spawn").Process(
            target=make_model, args=(folder, args.config, args.precision)
        )
        make.start()
        make.join()
        if make.exitcode:
            sys.exit(f"no model was made: exit code {make.exitcode}")
        results = compete(args, folder)
    print_table(results)
    return None


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contenders", default="predictor,export,peer", help="NAME@PYTHON: on another Python")
    parser.add_argument("--cpus", default="0", help="the CPUs that a contender may use, as 0,1")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--data", help="CoNLL file; default: random sentences as long as a newspaper's")
    parser.add_argument("--config", help="bert_config.json; default: BERT-Base, Chinese vocabulary size")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    return parser.parse_args()


def make_model(folder, config, precision):
    """Writes a run of random weights, and its export in this precision in `folder/export`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow.compat.v1 as tf

    from benchmarks.predictor import make_run
    from bert import modeling
    from bert.runtime import devices
    from train import run_dir
    from train.serving.saved_model import export_saved_model
    from train.tagger.settings import TaggerSettings
    from train.train_helper import get_args_parser

    tf.logging.set_verbosity(tf.logging.ERROR)
    devices.prepare()
    sizes = dict(modeling.BertConfig(vocab_size=0).to_dict(), **workload.read_config(config))
    args = get_args_parser([])
    make_run(folder, modeling.BertConfig.from_dict(sizes), args)
    settings = TaggerSettings.of_flags(args, workload.LABELS, "BIO", sizes)
    prefix = run_dir.checkpoint_to_use(folder)
    vocab, compute = os.path.join(folder, run_dir.VOCAB), devices.export_compute(precision)
    export_saved_model(os.path.join(folder, "export"), prefix, settings, vocab, compute)


def compete(args, folder):
    """Runs all contenders in turns; OrderedDict from names to lists of (seconds, CPU seconds), one for each call."""
    chosen = args.contenders.split(",")
    if "peer" in chosen and importlib.util.find_spec("torchcrf") is None:
        print("the PyTorch peer is left out: pip install -r benchmarks/requirements.txt")
        chosen.remove("peer")
    processes = {}
    for name in chosen:
        who, _, python = name.partition("@")
        options = {"who": who, "folder": folder, "cpus": args.cpus, "data": args.data, "config": args.config}
        options.update(calls=args.calls, precision=args.precision)
        processes[name] = subprocess.Popen(
            [python or sys.executable, "-m", "benchmarks.latency", "--contender", json.dumps(options)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if not os.environ.get("SHOW_ERRORS") else None,
            universal_newlines=True,
        )
        run_once(name, processes[name])  # warms up
    results = collections.OrderedDict((name, []) for name in processes)
    for _ in range(-(-args.calls // BLOCK)):
        for name, process in processes.items():
            results[name] += run_once(name, process)
    for process in processes.values():
        process.stdin.close()
        process.wait()
    return results


def answer(options):
    """A contender: for every line on standard input it does a block of calls and writes their times as JSON."""
    os.sched_setaffinity(0, {int(cpu) for cpu in options["cpus"].split(",")})  # before any library counts them
    results = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    vocab_size = workload.read_config(options["config"])["vocab_size"]
    given = workload.sentences(options["calls"], options["data"], MOST_WORDS, vocab_size)
    call = {"predictor": predictor, "export": export, "peer": peer}[options["who"]](options)
    waiting = iter(range(options["calls"]))
    for number, _ in enumerate(sys.stdin):
        chosen = [next(waiting, 0) for _ in range(BLOCK)] if number else range(min(WARM_UP, len(given)))
        times = []
        for i in chosen:
            words = given[i % len(given)]
            start = time.perf_counter(), time.process_time()
            call(words)
            times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        results.write(json.dumps(times) + "\n")
        results.flush()


def predictor(options):
    """A function that tags a sentence, a list of words of one character, by a Predictor."""
    from train.predictor import Predictor

    predict = Predictor(options["folder"], precision=options["precision"])
    return lambda words: predict("".join(words))


def export(options):
    """As `predictor`, by the export in a plain session."""
    import tensorflow.compat.v1 as tf

    from train.serving import signatures

    directory = signatures.newest(os.path.join(options["folder"], "export"))
    session = tf.Session(graph=tf.Graph())
    with session.graph.as_default():
        loaded = tf.saved_model.loader.load(session, [tf.saved_model.tag_constants.SERVING], directory)
    signature = loaded.signature_def[signatures.TEXT]
    run = session.make_callable(
        [signature.outputs[name].name for name in ("tags", "scores", "entity_scores", "starts", "ends")],
        [signature.inputs["text"].name],
    )
    return lambda words: run(["".join(words)])


def peer(options):
    """As `predictor`, by the PyTorch peer."""
    from benchmarks import peer_torch

    sizes = {"batch_size": 1, "max_seq_length": MOST_WORDS + 2}
    tag = peer_torch.make_tag(dict(options, vocab=os.path.join(options["folder"], "vocab.txt"), **sizes))
    return lambda words: tag([words])


def print_table(results):
    print(f"{'milliseconds a call':24s} {'p50':>8s} {'p99':>8s} {'mean':>8s} {'CPU':>8s}   p50 to the last")
    last = None
    for name, times in reversed(results.items()):
        seconds, cpu = 1e3 * np.array(times).T
        p50, p99 = np.percentile(seconds, [50, 99])
        last = last or p50
        print(f"{name:24s} {p50:8.1f} {p99:8.1f} {seconds.mean():8.1f} {cpu.mean():8.1f}   {p50 / last:.2f}")


if __name__ == "__main__":
    main()
