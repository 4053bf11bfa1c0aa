"""Writes the tagger's training step and tagging batch as HLO, so that they run where no TensorFlow is.

    python -m benchmarks.xla_step --output=steps [--config=bert_config.json] [--batches=64,128]

A step is the whole one: forward, backward, clipping, Adam with weight decay, dropout. All shapes are static, as for a
TPU. A module holds no weights. State goes in as arguments and comes out as results, and benchmarks/run_xla_step.py,
which needs JAX only, makes the values. Cases named `check` have TensorFlow's own results beside them, computed
by a session without XLA. They have no dropout, because random numbers differ between devices, and their matmuls keep
float32's digits. The others have dropout and are for timing.
"""

import argparse
import collections
import contextlib
import gzip
import json
import os
import re

import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.python.eager import context
from tensorflow.python.ops.control_flow_ops import XLAControlFlowContext

from benchmarks import run_xla_step, workload
from bert import modeling
from bert.encoder import kernels
from bert.optimization import build_train_step
from bert.runtime import devices
from train.data.labels import PIECE
from train.models import build_tagger, predict_tags
from train.tagger.settings import TaggerSettings
from train.train_helper import get_args_parser

TRAIN, TAG = "train", "tag"
HEAD_DROPOUT = 0.5
LEARNING_RATE, STEPS, WARMUP_STEPS = 1e-4, 1000, 20
SMALL = ("scalars", "tags", "scores", "global_step")  # kinds of results that are stored at any size
ASSIGNMENTS = ("AssignVariableOp", "AssignAddVariableOp")

# A program to write. name: of its files; kind: TRAIN or TAG; batch, pieces: its shape; precision: key of
# devices.DTYPES; fused: kernels that XLA compiles one by one, with gradients of their own, see bert/encoder/kernels.py;
# dropout: whether it is on in training; one_hot: look words up by matmul, as on a TPU; head: of TaggerSettings.
Case = collections.namedtuple(
    "Case", "name kind batch pieces precision fused dropout one_hot head", defaults=[False, "blstm_crf"]
)

# A graph as a function without state. arguments: list of (name, variable or placeholder); results: list of (name,
# tensor); donated: list of [argument, result], the numbers of a variable's old and new value; train_op: the op that
# assigns those results, None in tagging.
Step = collections.namedtuple("Step", "arguments results donated train_op")


def settings_of(config, lstm_size=workload.LSTM_SIZE):
    """The TaggerSettings of the benchmark; config: dict of bert_config.json."""
    args = get_args_parser(["-lstm_size", str(lstm_size)])
    return TaggerSettings.of_flags(args, workload.LABELS, "BIO", config)


def build(case, settings):
    """Builds a case in the default graph.

    Args:
      case: Case.
      settings: TaggerSettings.

    Returns:
      Step.
    """
    dtype = devices.DTYPES[case.precision]
    compute = kernels.Compute(dtype, kernels.FUSED if case.fused else kernels.PLAIN, False)
    settings = settings._replace(head=case.head)
    if not case.dropout:
        config = dict(settings.bert_config, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        settings = settings._replace(bert_config=config)
    training = case.kind == TRAIN
    names = ["input_ids", "input_mask", "segment_ids", "label_ids" if training else "word_start"]
    features = {name: tf.placeholder(tf.int32, [case.batch, case.pieces], name) for name in names}
    tf.train.get_or_create_global_step()
    with _for_xla():
        # Otherwise loops would take variables, not their values.
        with tf.variable_scope(tf.get_variable_scope(), custom_getter=_value_of_variable):
            tagger = build_tagger(
                settings,
                features,
                training,
                features.get("label_ids"),
                HEAD_DROPOUT if case.dropout else 0.0,
                compute,
                case.one_hot,
            )
        if training:
            step = build_train_step(tf.reduce_mean(tagger.losses), LEARNING_RATE, STEPS, WARMUP_STEPS, compute=compute)
            results = zip(run_xla_step.SCALARS, (step.loss, step.gradient_norm, step.learning_rate))
            return _without_state(features, list(results), step.train_op)
        given = features["input_mask"], features["word_start"]
        decoded = predict_tags(tagger, *given, settings.constraint, settings.label_ids[PIECE])
        return _without_state(features, [("tags", decoded.tags), ("scores", decoded.scores)])


def _value_of_variable(getter, *args, **kwargs):
    """A custom getter that gives a variable's value, a tensor."""
    return tf.convert_to_tensor(getter(*args, **kwargs))


@contextlib.contextmanager
def _for_xla():
    """Builds loops whose backward pass has static shapes."""
    loops = XLAControlFlowContext()
    loops.Enter()
    try:
        yield
    finally:
        loops.Exit()


def _without_state(features, results, train_op=None):
    """The Step behind results and train_op: each variable is an argument, each value assigned to one is a result."""
    behind = _behind([tensor.op for _, tensor in results] + ([train_op] if train_op is not None else []))
    variables = {op.name for op in behind if op.type == "VarHandleOp"}
    arguments = [(var.op.name, var) for var in tf.global_variables() if var.op.name in variables]
    arguments += sorted(features.items())
    places = {name: i for i, (name, _) in enumerate(arguments)}
    results, donated = list(results), []
    for op in behind:
        if op.type in ASSIGNMENTS:
            name, value = op.inputs[0].op.name, op.inputs[1]
            if op.type == "AssignAddVariableOp":
                value = arguments[places[name]][1] + value
            donated.append([places[name], len(results)])
            results.append((name, value))
    return Step(arguments, results, donated, train_op)


def _behind(targets):
    """The ops that have to run for these ones, in the order of the graph."""
    waiting, seen = list(targets), set()
    while waiting:
        op = waiting.pop()
        if op not in seen:
            seen.add(op)
            waiting += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
    return [op for op in targets[0].graph.get_operations() if op in seen]


def as_function(step, jit_compile):
    """The step as a function of its arguments, a tf.function: tensors to a list of tensors.

    In its graph, placeholders, variables and what reads them are gone, and the arguments stand in their places.
    """
    graph_def = step.results[0][1].graph.as_graph_def()
    places = {name: f"argument_{i}" for i, (name, _) in enumerate(step.arguments)}
    places.update({node.name: places[node.input[0]] for node in graph_def.node if _reads(node, places)})
    for node in graph_def.node:
        # Nothing is assigned any more, so no op has to wait for another. _class: colocation with variables.
        inputs = [places.get(name, name) for name in node.input if not name.startswith("^")]
        del node.input[:]
        node.input.extend(inputs)
        node.attr.pop("_class", None)
    for name in set(places.values()):
        graph_def.node.add(name=name, op="Placeholder")  # to be found; it goes again below
    graph_def = tf.graph_util.extract_sub_graph(graph_def, sorted({tensor.op.name for _, tensor in step.results}))
    needed = [node for node in graph_def.node if node.op != "Placeholder"]
    graph_def = tf.GraphDef(node=needed, library=graph_def.library, versions=graph_def.versions)

    def function(*values):
        fed = {f"argument_{i}:0": value for i, value in enumerate(values)}
        return tf.import_graph_def(graph_def, fed, [tensor.name for _, tensor in step.results], name="")

    return tf.function(function, jit_compile=jit_compile, autograph=False)


def _reads(node, places):
    """Whether a node reads a variable that is an argument."""
    return node.op == "ReadVariableOp" and node.input[0] in places


def specs(step):
    """The shapes and types of a step's arguments: list of tf.TensorSpec."""
    return [
        tf.TensorSpec(_shape(value), value.dtype.base_dtype, f"argument_{i}")
        for i, (_, value) in enumerate(step.arguments)
    ]


def _shape(value):
    return value.shape.as_list()


def description(case, settings, step):
    """What NAME.json holds, see benchmarks/run_xla_step.py."""
    config = settings.bert_config
    flop = workload.useful_flop([[0] * (case.pieces - 2)] * case.batch, config)
    return dict(
        case._asdict(),
        vocab_size=config["vocab_size"],
        num_labels=settings.num_labels,
        initializer_range=config["initializer_range"],
        flop=3.0 * flop if case.kind == TRAIN else flop,
        arguments=[
            {"name": name, "shape": _shape(value), "dtype": value.dtype.base_dtype.name}
            for name, value in step.arguments
        ],
        results=[{"name": name, "dtype": tensor.dtype.name} for name, tensor in step.results],
        donated=step.donated,
    )


def expected(step, values):
    """What TensorFlow gives, by a session without XLA that holds real variables and runs the training op.

    Args:
      step: Step.
      values: list of arrays, the arguments.

    Returns:
      Dict from the name of a result to its array.
    """
    given = {name: value for (name, _), value in zip(step.arguments, values)}
    with tf.Session(graph=step.results[0][1].graph, config=devices.session_config()) as session:
        variables = {var.op.name: var for var in tf.global_variables()}
        for name, var in variables.items():
            # The pooler has values that no result needs.
            value = given.get(name, np.zeros(var.shape.as_list(), var.dtype.base_dtype.as_numpy_dtype))
            session.run(var.initializer, {var.initializer.inputs[1]: value})
        feed = {value: given[name] for name, value in step.arguments if name not in variables}
        outputs = [tensor for name, tensor in step.results if name not in variables]
        found = session.run(outputs + ([] if step.train_op is None else [step.train_op]), feed)
        assigned = [name for name, _ in step.results if name in variables]
        names = [name for name, _ in step.results if name not in variables]
        return dict(zip(names, found), **{name: session.run(variables[name]) for name in assigned})


def write(case, settings, folder, check=None):
    """Writes NAME.hlo.gz and NAME.json, and NAME.npz for a check.

    Args:
      case: Case.
      settings: TaggerSettings.
      folder: directory to write to.
      check: "all": store every expected result; "norms": scalars, tags and the norms of gradients; None: nothing.
    """
    # Otherwise a GPU multiplies float32 with ten bits of the mantissa, as TensorFlow does by default.
    tf.config.experimental.enable_tensor_float_32_execution(check is None)
    prefix = os.path.join(folder, case.name)
    with tf.Graph().as_default():
        step = build(case, settings)
        told = description(case, settings, step)
        with open(prefix + ".json", "w", encoding="utf-8") as writer:
            json.dump(told, writer)
        if check:
            values = run_xla_step.arguments_of(told)
            right = expected(step, values)
            if check == "norms":
                few = {name: value for name, value in right.items() if run_xla_step.kind_of(name) in SMALL}
                gradients = run_xla_step.norms(told, values, right)
                right = dict(few, **{"norm:" + name: norm for name, norm in gradients.items()})
            np.savez_compressed(prefix + ".npz", **right)
        with context.eager_mode():  # also in a process that has turned it off
            module = as_function(step, True).experimental_get_compiler_ir(*specs(step))(stage="hlo_serialized")
    with gzip.open(prefix + ".hlo.gz", "wb") as writer:
        writer.write(module)
    print(f"{case.name}: {len(module) / 2**20:.1f} MB", flush=True)


def tiny_config():
    """dict of bert_config.json for an encoder whose results are all compared; not so narrow that anything is 0."""
    return modeling.BertConfig(
        vocab_size=60,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=16,
        type_vocab_size=2,
        initializer_range=0.2,
    ).to_dict()


def cases(batches, pieces):
    """What the program writes: list of (Case, whether it is for the tiny encoder, check as of `write`)."""
    made = []
    for precision in ("fp32", "bf16"):
        for kind in (TRAIN, TAG):
            for kernel in ("plain", "fused"):
                shape = precision, kernel == "fused", False
                made.append((Case(f"check_tiny_{kind}_{precision}_{kernel}", kind, 5, 16, *shape), True, "all"))
            made.append((Case(f"check_base_{kind}_{precision}_fused", kind, 4, pieces, *shape), False, "norms"))
    made.append((Case("check_tiny_train_fp32_one_hot", TRAIN, 5, 16, "fp32", False, False, True), True, "all"))
    first = batches[0]
    for batch in batches:
        for kind in (TRAIN, TAG):
            for precision in ("bf16", "fp32") if batch == first else ("bf16",):
                for kernel in ("plain", "fused"):
                    shape = batch, pieces, precision, kernel == "fused", True
                    made.append((Case(f"time_{kind}_{precision}_{kernel}_{batch}", kind, *shape), False, None))
    shape = TRAIN, first, pieces, "bf16", False, True
    made.append((Case(f"time_train_bf16_one_hot_{first}", *shape, True), False, None))
    made.append((Case(f"time_train_bf16_crf_only_{first}", *shape, False, "crf_only"), False, None))
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, help="folder to write to")
    parser.add_argument("--config", help="bert_config.json; default: BERT-Base, Chinese vocabulary size")
    parser.add_argument("--batches", default="64,128", help="batch sizes that are timed")
    parser.add_argument("--pieces", type=int, default=128)
    parser.add_argument("--only", default="", help="regular expression; only cases whose names it finds")
    args = parser.parse_args()
    os.makedirs(args.output, exist_ok=True)
    config = modeling.BertConfig.from_dict(
        dict(modeling.BertConfig(vocab_size=0).to_dict(), **workload.read_config(args.config))
    ).to_dict()
    base, tiny = settings_of(config), settings_of(tiny_config(), 8)
    chosen = [
        made
        for made in cases([int(size) for size in args.batches.split(",")], args.pieces)
        if re.search(args.only, made[0].name)
    ]
    with open(os.path.join(args.output, "order.json"), "w", encoding="utf-8") as writer:
        json.dump([case.name for case, _, _ in chosen], writer)
    for case, is_tiny, check in chosen:
        write(case, tiny if is_tiny else base, args.output, check)


if __name__ == "__main__":
    main()
