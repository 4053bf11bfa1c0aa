"""Where the time of a training step or of a tagging batch goes, by kind of operation.

    taskset -c 0 python -m benchmarks.operations [--mode=train|infer|both] [--precision=fp32|bf16]

TensorFlow's own trace of each operation, added up over --steps steps of one model of BERT-Base size (--config for
another), one batch of --batch_size sentences of --length pieces. On one core the times of operations add up to that of
the step; on several they overlap, so pin the process to one. For matmuls the rate is printed too, and its share of the
rate that benchmarks/matmul_peak.py measures here.

Out: a table with a row for each kind: calls a step, milliseconds a step, share, and the rate of matmuls.
"""

import argparse
import collections
import re

import numpy as np
import tensorflow.compat.v1 as tf

from benchmarks import ours, workload
from benchmarks.speed import describe_machine, matmul_peak
from bert.runtime import devices
from bert.runtime.frozen_weights import FrozenWeights
from train.inference import frozen

# The first pattern that is in an operation's name decides, where neither its type nor its shape does.
_PARTS = (
    ("optimizer", r"AdamWeightDecayOptimizer|clip_by_|global_norm|AssignAdd|gradients/AddN"),
    ("BiLSTM", r"rnn_layer"),
    ("CRF", r"(^|/)scan|ReduceLogSumExp|viterbi|transition"),
    ("embeddings", r"bert/embeddings"),
    ("head's dense layers", r"project"),
)
# flop: floating-point operations of one call of a matmul, None of others.
Kind = collections.namedtuple("Kind", ["name", "flop"])


def main():
    args = parse_args()
    print(describe_machine())
    rate = matmul_peak(args.precision)
    print(f"batches of {args.batch_size} sentences of {args.length} pieces, {args.precision}")
    print(f"matmul rate of all cores that the process may use: {rate / 1e12:.2f} TFLOP/s")
    for mode in ("train", "infer") if args.mode == "both" else (args.mode,):
        with tf.Graph().as_default() as graph:
            events, seconds = {"train": training_events, "infer": tagging_events}[mode](args)
            config = graph_sizes(args)
            kinds = {op.name: kind_of(op, config, args.batch_size * args.length) for op in graph.get_operations()}
        print_table(mode, summed(events, kinds), args.steps, seconds, rate)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["train", "infer", "both"], default="both")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--config", help="bert_config.json; default: BERT-Base, Chinese vocabulary size")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--length", type=int, default=48, help="pieces of each sentence")
    parser.add_argument("--steps", type=int, default=3)
    return parser.parse_args()


def options_of(args):
    """The options of benchmarks/ours.py."""
    return {
        "precision": args.precision,
        "fused": True,
        "recompute": False,
        "rewriting": False,
        "batch_size": args.batch_size,
        "config": args.config,
    }


def graph_sizes(args):
    """(hidden size, intermediate size) of the encoder."""
    config = ours.bert_config(options_of(args))
    return config.hidden_size, config.intermediate_size


def batch(args):
    """(input_ids, input_mask, label_ids), each int32 [batch, length]."""
    random = np.random.RandomState(1)
    shape = [args.batch_size, args.length]
    vocab_size = workload.read_config(args.config)["vocab_size"]
    input_ids = random.randint(len(workload.SPECIAL_PIECES), vocab_size, shape)
    return input_ids, np.ones_like(input_ids), random.randint(1, len(workload.LABELS) + 1, shape)


def training_events(args):
    """(events, seconds of a step without tracing) of whole training steps."""
    session, train_op, feed = ours.training_graph(options_of(args), len(workload.LABELS) + 1)
    return traced(session, train_op, feed(batch(args)), args.steps)


def tagging_events(args):
    """(events, seconds of a batch without tracing) of tagging: tags and scores."""
    devices.prepare()
    with ours.random_tagger(options_of(args)) as (prefix, settings, compute):
        weights = FrozenWeights(compute.dtype)
        with weights.scope():
            built = frozen.build_outputs(frozen.placeholders(False), settings, compute)
        session = weights.open_session(prefix)
    input_ids, mask, _ = batch(args)
    values = {"input_ids": input_ids, "input_mask": mask, "segment_ids": 0 * mask, "word_start": mask}
    fed = {built.inputs[name]: value for name, value in values.items()}
    return traced(session, [built.pred_ids, built.scores, built.entity_scores], fed, args.steps)


def traced(session, fetched, fed, steps):
    """Runs some steps, then some with a trace.

    Returns:
      (list of (operation's name, seconds), median seconds of a step that is not traced).
    """
    session.run(fetched, fed)  # compiles the kernels
    seconds = [workload.timed(lambda: session.run(fetched, fed)) for _ in range(steps)]
    events = []
    for _ in range(steps):
        found = tf.RunMetadata()
        session.run(fetched, fed, tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), found)
        for device in found.step_stats.dev_stats:
            for node in device.node_stats:
                events.append((node.node_name, (node.op_end_rel_micros - node.op_start_rel_micros) / 1e6))
    return events, float(np.median(seconds))


def kind_of(op, sizes, rows):
    """The Kind of an operation of the graph.

    Args:
      op: tf.Operation.
      sizes: (hidden size, intermediate size) of the encoder.
      rows: batch * seq_len.
    """
    part = part_of(op.name)
    if part is not None:
        return Kind(part, None)
    shapes = [tensor.shape.as_list() for tensor in [*op.inputs, *op.outputs] if tensor.shape.rank is not None]
    if "encoder" not in op.name:
        return Kind("other", None)
    if op.type == "BatchMatMulV2":
        return Kind("matmuls of attention", None)
    if op.type == "MatMul":
        kernels = [shape for shape in shapes if None not in shape and min(shape) > 1]
        if kernels:
            height, width = sorted(kernels[0])
            return Kind(f"matmuls {height} x {width}", 2.0 * rows * height * width)
        return Kind("sums of gradients of biases and norms", None)
    if op.type != "PartitionedCall":
        return Kind("rest of the encoder", None)
    hidden, intermediate = sizes
    if any(shape[-1:] == [intermediate] for shape in shapes):
        return Kind("bias and GELU", None)
    if any(len(shape) == 4 and shape[2:] == [None, None] for shape in shapes):
        return Kind("softmax and dropout of attention", None)
    if any(len(shape) == 4 for shape in shapes):
        return Kind("bias and transposition to heads", None)
    return Kind("residual, dropout and LayerNorm" if [hidden] in [shape[-1:] for shape in shapes] else "other", None)


def part_of(name):
    """The part of the model that a name tells, or None."""
    return next((part for part, pattern in _PARTS if re.search(pattern, name)), None)


def summed(events, kinds):
    """dict from the name of a kind to [calls, seconds, floating-point operations or None].

    Args:
      events: list of (operation's name, seconds); inside of loops, names that the graph does not have.
      kinds: dict from names of operations to Kind.
    """
    sums = collections.defaultdict(lambda: [0, 0.0, None])
    for name, seconds in events:
        kind = kinds.get(name) or Kind(part_of(name) or "other", None)
        row = sums[kind.name]
        row[0] += 1
        row[1] += seconds
        if kind.flop:
            row[2] = (row[2] or 0.0) + kind.flop
    return sums


def print_table(mode, sums, steps, seconds, rate):
    """Prints a row for each kind, the longest first."""
    total = sum(row[1] for row in sums.values())
    print(f"\n{mode}: {1000 * seconds:.0f} ms a step; traced, the operations add up to {1000 * total / steps:.0f} ms\n")
    print("| kind | calls | ms a step | share | TFLOP/s | of the matmul rate |")
    print("|---|---|---|---|---|---|")
    for name, (calls, spent, flop) in sorted(sums.items(), key=lambda item: -item[1][1]):
        rates = f"{flop / spent / 1e12:.2f} | {100 * flop / spent / rate:.0f} %" if flop else " | "
        print(f"| {name} | {calls // steps} | {1000 * spent / steps:.1f} | {100 * spent / total:.1f} % | {rates} |")


if __name__ == "__main__":
    main()
