"""Weak scaling over worker processes on this machine, and by arithmetic over many GPUs.

    python -m benchmarks.scaling                 measures 1, 2 and 4 workers with the same batch for each of them
    python -m benchmarks.scaling --estimate      8, 64 and 256 GPUs, from one GPU's rate and the bytes that are reduced
    python -m benchmarks.scaling --estimate --gradient_bytes 2 --overlap 0.8      the same, if gradients were reduced in
                                                 bfloat16 and while the backward pass still runs

Measured are whole runs of run.py over bert.launch: real processes, gRPC on the loopback interface, synchronous updates.
All share the machine's cores, which one worker keeps busy already: so a cluster that cost nothing would give the
examples a second of one worker, and what is missing to that is the price of several.

The estimate's formula can be checked: from three numbers of workers on, a last column shows what it expects of each
from the two before it alone, see `expected_rate`.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

from benchmarks import workload
from benchmarks.speed import REPOSITORY, describe_machine

# Hidden enough for matmuls to matter, small enough that four processes fit a small machine.
SMALL = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
VOCAB_SIZE = 4000
RATE = re.compile(r"step (\d+)/.* ([\d.]+) examples/s")

BYTES_A_GRADIENT = 4  # the project reduces gradients in float32
BACKWARD = 2.0 / 3.0  # share of a step: the backward pass has two matmuls for each of the forward pass
BASE_PARAMETERS = 102.3e6  # BERT-Base with the Chinese vocabulary, and the head
V100_EXAMPLES = 417.0  # a second, mixed precision, 128 pieces, batch 64: NVIDIA's published mark for one V100
V100_BATCH = 64
GPUS_A_MACHINE = 8
WITHIN = 130e9  # bytes a second that a ring moves through each GPU of a machine over NVLink
BETWEEN = {"100 Gb/s": 10e9, "25 Gb/s": 2.5e9}  # between machines, after what protocols take


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimate", action="store_true", help="only the arithmetic")
    parser.add_argument("--gradient_bytes", type=int, choices=(2, 4), default=BYTES_A_GRADIENT, help="in the estimate")
    parser.add_argument(
        "--overlap",
        type=float,
        default=0.0,
        help="in the estimate: share of the backward pass that hides it",
    )
    parser.add_argument("--workers", default="1,2,4", help="numbers of worker processes")
    parser.add_argument("--batch", type=int, default=16, help="examples in each worker's share of a batch")
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    if not 0.0 <= args.overlap <= 1.0:
        parser.error(f"--overlap {args.overlap}: expected 0 to 1")
    if args.estimate:
        estimate(args.gradient_bytes, args.overlap)
        return
    print(describe_machine())
    print(f"{'workers':>8s} {'global batch':>13s} {'examples/s':>11s} {'of one worker':>14s} {'expected':>9s}")
    measured = []
    for workers in map(int, args.workers.split(",")):
        expected = expected_rate(measured, workers, args.batch)
        rate = measured_rate(workers, args.batch, args.steps)
        measured.append((workers, rate))
        of_first = 100 * rate / measured[0][1]
        shown = "" if expected is None else f"{expected:9.1f}"
        print(f"{workers:8d} {workers * args.batch:13d} {rate:11.1f} {of_first:13.0f}% {shown}", flush=True)


def expected_rate(measured, workers, batch):
    """The examples a second that the estimate's formula expects of so many workers on this machine.

    A step takes what the workers compute, which share the cores, and what an all-reduce in a ring moves, which share
    the loopback interface. The first measurement gives the one, what the second adds to it the other.

    Args:
      measured: list of (workers, examples/s), measured before; the first of one worker.
      workers: int.
      batch: examples in each worker's share of a batch.

    Returns:
      float, or None where too little was measured.
    """
    if len(measured) < 2 or measured[0][0] != 1 or measured[1][0] < 2:
        return None
    compute = batch / measured[0][1]  # seconds, of one worker alone
    few, rate = measured[1]
    reduce = few * batch / rate - few * compute  # seconds of the second measurement's all-reduce
    moved = workers * ring(workers) / (few * ring(few))  # bytes through the interface, in those of the second
    return workers * batch / (workers * compute + moved * reduce)


def measured_rate(workers, batch, steps):
    """Examples a second of a run, the median of its log's lines but the first, which warms up."""
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(folder, workers * batch * steps)
        command = [sys.executable, "-m", "bert.launch", f"-workers={workers}", "--", "run.py"]
        command += [f"-data_dir={folder}", f"-bert_dir={folder}", f"-output_dir={folder}/out", "-num_train_epochs=1"]
        command += [f"-batch_size={workers * batch}", "-do_eval=false", "-do_predict=false", "-bucket=false"]
        done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        rates = [float(rate) for _, rate in RATE.findall(done.stdout)]
        if done.returncode or len(rates) < 2:
            sys.exit(f"{' '.join(command)}\n{done.stdout}")
        return statistics.median(rates[1:])


def write_inputs(folder, sentences):
    """An encoder's files and data in which every sentence has 46 words: each step computes the same."""
    config = dict(SMALL, vocab_size=VOCAB_SIZE, type_vocab_size=2, max_position_embeddings=128)
    with open(os.path.join(folder, "bert_config.json"), "w") as writer:
        json.dump(config, writer)
    workload.write_vocab(os.path.join(folder, "vocab.txt"), VOCAB_SIZE)
    words = [chr(workload.FIRST_CHARACTER + i) for i in range(46)]
    block = "".join(f"{word} {'B-LOC' if i % 9 == 0 else 'O'}\n" for i, word in enumerate(words)) + "\n"
    for split, count in (("train", sentences), ("dev", 1), ("test", 1)):
        with open(os.path.join(folder, f"{split}.txt"), "w", encoding="utf-8") as writer:
            writer.write(block * count)


def estimate(gradient_bytes=BYTES_A_GRADIENT, overlap=0.0):
    """Prints examples a second of many GPUs: what one computes, then the part of an all-reduce that nothing hides.

    Gradients are added up in a ring within each machine of eight, then in a ring of machines: through each link of a
    ring of n go 2 (n - 1) / n times the gradients.

    Args:
      gradient_bytes: bytes of one gradient on its way.
      overlap: share of the backward pass, from 0 to 1, during which gradients are on their way already. The project
        clips by the norm of all gradients, and they are reduced before that: 0.
    """
    step = V100_BATCH / V100_EXAMPLES
    size = BASE_PARAMETERS * gradient_bytes
    hidden = overlap * BACKWARD * step
    print(f"one V100: {V100_EXAMPLES:.0f} examples/s, {1000 * step:.0f} ms a step of {V100_BATCH}")
    print(f"{size / 1e6:.0f} MB of gradients a step" + (f", {1000 * hidden:.0f} ms to hide them in" if overlap else ""))
    print(f"{'GPUs':>5s}  {'between machines':16s} {'all-reduce':>10s} {'examples/s':>11s} {'efficiency':>11s}")
    for gpus in (8, 64, 256):
        machines = gpus // GPUS_A_MACHINE
        for link, bandwidth in BETWEEN.items() if machines > 1 else [("", WITHIN)]:
            reduce = ring(GPUS_A_MACHINE) * size / WITHIN + ring(machines) * size / bandwidth
            rate = gpus * V100_BATCH / (step + max(reduce - hidden, 0.0))
            share = rate / (gpus * V100_EXAMPLES)
            print(f"{gpus:5d}  {link:16s} {1000 * reduce:7.0f} ms {rate:11.0f} {100 * share:10.0f}%")


def ring(members):
    """How many times the gradients' size goes through each link of an all-reduce in a ring."""
    return 2 * (members - 1) / members


if __name__ == "__main__":
    main()
