"""Runs the programs that benchmarks/xla_step.py wrote, by JAX, on the devices it finds: first checks, then times them.

    python -m benchmarks.xla_step --output=steps                       where TensorFlow is
    python benchmarks/run_xla_step.py steps [--only=REGEX] [--profile]     where the device is

Needs JAX and numpy, and no TensorFlow: this file and the folder are all that has to be copied. A case is NAME.hlo.gz,
an HLO module whose arguments and results NAME.json lists. Arguments are made here from their names, so no weights
travel. NAME.npz has TensorFlow's own results; a case without it is timed and not checked.

A check prints the largest difference of each group of results, as a share of the allowed one: above 1 is a failure, and
then the exit code is 1. Times are of whole steps, with the state given back to the next step (its buffers are donated).
"""

import argparse
import collections
import glob
import gzip
import json
import os
import re
import statistics
import sys
import time
import zlib

import numpy as np

SCALARS = ("loss", "gradient_norm", "learning_rate")
KINDS_OF_STATE = ("variables", "adam_m", "adam_v")
BETA_1 = 0.9  # of the optimizer: it turns a moment's change back into a gradient
# The largest difference allowed, as a share of the largest expected value. A gradient is clipped by the norm of all.
TOLERANCES = {"fp32": 2e-5, "bf16": 2e-2}
GRADIENT_TOLERANCES = {"fp32": 2e-4, "bf16": 5e-2}
TAGS_EQUAL = {"fp32": 1.0, "bf16": 0.97}  # share of tags that must be the same
WARM_UP, PROFILED_STEPS = 3, 3


def initial_value(name, shape, initializer_range):
    """The value that a variable, or its moment, starts from; it depends on nothing but the arguments.

    Args:
      name: the variable's, as in a checkpoint.
      shape: list of int.
      initializer_range: standard deviation of the matrices.

    Returns:
      float32 array, or int64 for the global step.
    """
    if name == "global_step":
        return np.array(10, np.int64)  # within the warm-up, so the learning rate is not 0
    noise = np.random.RandomState(zlib.crc32(name.encode("utf-8"))).standard_normal(shape).astype(np.float32)
    if name.endswith("/adam_m"):
        return 1e-3 * noise
    if name.endswith("/adam_v"):
        return 1e-6 * (np.float32(0.1) + np.square(noise))
    return initializer_range * noise + np.float32(name.endswith("/gamma"))


def batch_features(batch, pieces, vocab_size, num_labels):
    """A batch of sentences of all lengths, padded: dict from name to int32 [batch, pieces]."""
    rng = np.random.RandomState(batch * 1000 + pieces)
    lengths = rng.randint(3, pieces + 1, [batch])
    lengths[0] = pieces
    mask = (np.arange(pieces) < lengths[:, None]).astype(np.int32)
    place = np.arange(pieces)
    inner = mask * (place > 0) * (place < lengths[:, None] - 1)  # neither [CLS] nor [SEP]
    word_start = inner * ((rng.uniform(size=mask.shape) < 0.8) | (place == 1))
    values = {
        "input_ids": rng.randint(1, vocab_size, mask.shape) * mask,
        "input_mask": mask,
        "segment_ids": 0 * mask,
        "word_start": word_start,
        "label_ids": rng.randint(1, num_labels, mask.shape) * mask,
    }
    return {name: value.astype(np.int32) for name, value in values.items()}


def arguments_of(case):
    """The arguments of a case, in order: list of arrays."""
    features = batch_features(case["batch"], case["pieces"], case["vocab_size"], case["num_labels"])
    return [
        features[entry["name"]]
        if entry["name"] in features
        else initial_value(entry["name"], entry["shape"], case["initializer_range"])
        for entry in case["arguments"]
    ]


def kind_of(name):
    """The group a result belongs to: scalars, tags, scores, variables, adam_m, adam_v or global_step."""
    if name in SCALARS:
        return "scalars"
    if name in ("tags", "scores", "global_step"):
        return name
    last = name.rpartition("/")[2]
    return last if last in KINDS_OF_STATE else "variables"


def norms(case, arguments, results):
    """For each variable the norm of its clipped gradient, worked out of its first moment: dict of floats."""
    before = dict(zip((entry["name"] for entry in case["arguments"]), arguments))
    return {
        name[: -len("/adam_m")]: float(
            np.linalg.norm((value.astype(np.float64) - BETA_1 * before[name].astype(np.float64)) / (1.0 - BETA_1))
        )
        for name, value in results.items()
        if name.endswith("/adam_m")
    }


def differences(case, arguments, results, expected):
    """How far results are from the expected ones.

    Args:
      case: dict of NAME.json.
      arguments: list of arrays, as of `arguments_of`.
      results: dict from name to array.
      expected: dict from name to array; of some results at least, and `norm:` and a variable's name for `norms`.

    Returns:
      OrderedDict from group to (largest difference as a share of the allowed one, name of the result that has it).
    """
    found = collections.OrderedDict()

    def note(group, name, ratio):
        if group not in found or not ratio <= found[group][0]:
            found[group] = float(ratio), name

    precision = case["precision"]
    for name, right in expected.items():
        if name.startswith("norm:"):
            continue
        group, value = kind_of(name), np.asarray(results[name])
        if value.shape != right.shape or not np.isfinite(value.astype(np.float64)).all():
            note(group, name, np.inf)
        elif group in ("tags", "global_step"):
            other = float(np.mean(value != right))
            note(group, name, other / max(1.0 - TAGS_EQUAL[precision], 1e-9) if other else 0.0)
        else:
            gap = np.abs(value.astype(np.float64) - right.astype(np.float64)).max()
            is_moment = group in ("adam_m", "adam_v")
            allowed = (GRADIENT_TOLERANCES if is_moment else TOLERANCES)[precision]
            note(group, name, gap / (allowed * max(np.abs(right).max(), 1e-12)))
    if any(name.startswith("norm:") for name in expected):
        for name, norm in norms(case, arguments, results).items():
            right = float(expected["norm:" + name])
            # Some gradients are 0 in theory, such as that of the keys' bias: rounding is all there is.
            note("gradient norms", name, abs(norm - right) / (GRADIENT_TOLERANCES[precision] * max(right, 1e-4)))
    return found


class Program:
    """A case compiled for one device.

    Args:
      prefix: path of the case without its ending.
      case: dict of NAME.json.
      device: jax.Device.
    """

    def __init__(self, prefix, case, device):
        from jax._src.lib import xla_client
        from jaxlib import _jax

        self.device, self.case = device, case
        with gzip.open(prefix + ".hlo.gz", "rb") as reader:
            hlo = reader.read()
        module = donated(_jax.mlir.hlo_to_stablehlo(hlo), case["donated"])
        start = time.perf_counter()
        devices = _jax.DeviceList((device,))
        self._executable = device.client.compile_and_load(module, devices, xla_client.CompileOptions())
        self.compile_seconds = time.perf_counter() - start

    def __call__(self, buffers):
        """The results, as arrays on the device: a list. What is donated is gone afterwards."""
        results = self._executable.execute_sharded(buffers).disassemble_into_single_device_arrays()
        return [shards[0] for shards in results]

    def op_names(self):
        """Dict from the name of each compiled instruction to the name of TensorFlow's op that it is of."""
        text = self._executable.hlo_modules()[0].to_string()
        return dict(re.findall(r'^\s*(?:ROOT )?%?([\w.-]+) = .*metadata={.*?op_name="([^"]*)"', text, re.MULTILINE))


def donated(module, pairs):
    """The module with results that take over the memory of arguments.

    Args:
      module: StableHLO, serialized.
      pairs: list of [argument, result].

    Returns:
      The module as bytes.
    """
    from jax.interpreters import mlir
    from jaxlib.mlir import ir

    with mlir.make_ir_context():
        parsed = ir.Module.parse(module)
        main = next(op for op in parsed.body.operations if ir.StringAttr(op.attributes["sym_name"]).value == "main")
        given = [{item.name: item.attr for item in ir.DictAttr(attrs)} for attrs in main.arg_attrs]
        number = ir.IntegerType.get_signless(32)
        for argument, result in pairs:
            given[argument]["tf.aliasing_output"] = ir.IntegerAttr.get(number, result)
        main.arg_attrs = ir.ArrayAttr.get([ir.DictAttr.get(attrs) for attrs in given])
        return mlir.module_to_bytecode(parsed)


def check(program, expected):
    """The `differences` of one run from the expected results."""
    import jax

    case = program.case
    arguments = arguments_of(case)
    results = program([jax.device_put(value, program.device) for value in arguments])
    named = {entry["name"]: np.asarray(value) for entry, value in zip(case["results"], results)}
    return differences(case, arguments, named, expected)


def seconds_of_steps(program, rounds, steps, profile_to=None):
    """The seconds of one step, a number for each round.

    A training step's state goes into the next step. Tags are fetched to the host after every batch.

    Args:
      program: Program.
      rounds, steps: how many rounds, of how many steps each.
      profile_to: folder; one more round is traced into it.
    """
    import jax

    state = [jax.device_put(value, program.device) for value in arguments_of(program.case)]
    tags = [i for i, entry in enumerate(program.case["results"]) if entry["name"] in ("tags", "scores")]

    def run(count):
        start = time.perf_counter()
        for _ in range(count):
            results = program(state)
            for argument, result in program.case["donated"]:
                state[argument] = results[result]
            for i in tags:
                np.asarray(results[i])
        jax.block_until_ready(results)
        return (time.perf_counter() - start) / count

    run(WARM_UP)
    seconds = [run(steps) for _ in range(rounds)]
    if not np.isfinite(np.asarray(state[0], np.float64)).all():
        raise SystemExit(f"{program.case['name']}: a variable is not finite after the steps")
    if profile_to:
        with jax.profiler.trace(profile_to):
            run(PROFILED_STEPS)
    return seconds


# The part of the model that an operation belongs to, by what its name has; the first that fits counts.
PARTS = (
    ("optimizer", r"AdamWeightDecay"),
    ("norm of the gradients", r"L2Loss|AddN"),
    ("BiLSTM", r"rnn_layer|bidirectional_rnn"),
    ("projection to labels", r"project/"),
    ("embeddings", r"embeddings"),
    ("encoder", r"encoder|layer_\d+"),
    ("CRF", r"scan|while|crf|LogSumExp"),
    # Within a loop's body names have no scope.
    (
        "loops of BiLSTM and CRF",
        r"^call|^(gradients/)?(Tensor|MatMul|Sigmoid|Tanh|Select|[Mm]ul|[Aa]dd|[Ss]plit|[Ss]ub|[Mm]ax)",
    ),
)


def profile_table(folder, op_names):
    """What the newest trace in a folder has.

    Args:
      folder: where the trace is.
      op_names: dict from the name of an instruction to that of TensorFlow's op, as of `Program.op_names`.

    Returns:
      (seconds by part of the model, seconds by kernel), two Counters.
    """
    import jax

    path = max(glob.glob(os.path.join(folder, "**", "*.xplane.pb"), recursive=True), key=os.path.getmtime)
    planes = list(jax.profiler.ProfileData.from_file(path).planes)
    planes = [plane for plane in planes if plane.name.startswith("/device:GPU")] or planes  # a CPU has one for all
    spelled = {re.sub(r"\W", "_", instruction): name for instruction, name in op_names.items()}
    parts, kernels = collections.Counter(), collections.Counter()
    for event in (event for plane in planes for line in plane.lines for event in line.events):
        instruction = next((str(value) for key, value in event.stats if key == "hlo_op"), None)
        if instruction is None:
            continue
        # A kernel is called after the instruction too, with other signs.
        name = op_names.get(instruction) or spelled.get(re.sub(r"\W", "_", event.name), "")
        part = next((part for part, words in PARTS if re.search(words, name)), None)
        if part is None:
            part = "cuBLAS, which does not say of what" if re.search("gemm|nvjet", event.name) else "other"
        parts[part] += event.duration_ns * 1e-9
        kernels[re.sub(r"[._]?\d+$", "", event.name)[:60] + f" ({part})"] += event.duration_ns * 1e-9
    return parts, kernels


def print_profile(folder, op_names):
    """Prints `profile_table`, the largest shares first."""
    for title, seconds in zip(("part of the model", "kernel"), profile_table(folder, op_names)):
        total = sum(seconds.values())
        print(f"    device time by {title}, {1000 * total / PROFILED_STEPS:.2f} ms a step:")
        for name, part in seconds.most_common(16):
            print(f"      {100 * part / total:5.1f} %  {name}")


def run_case(prefix, device, args):
    """Checks and times one case on one device; returns whether the check passed."""
    with open(prefix + ".json", encoding="utf-8") as reader:
        case = json.load(reader)
    program = Program(prefix, case, device)
    line = f"{device.platform} {case['name']}: compiled in {program.compile_seconds:.1f} s"
    passed = True
    if os.path.exists(prefix + ".npz"):
        with np.load(prefix + ".npz") as stored:
            found = check(program, dict(stored))
        passed = all(ratio <= 1.0 for ratio, _ in found.values())
        line += "; " + ("ok" if passed else "FAILED") + "; share of what is allowed: "
        line += ", ".join(f"{group} {ratio:.3g}" for group, (ratio, _) in found.items())
        if not passed:
            line += "; worst: " + ", ".join(f"{group}: {name}" for group, (_, name) in found.items())
    elif device.platform != "cpu" or args.time_on_cpu:
        folder = os.path.join(args.traces, case["name"]) if args.profile else None
        seconds = seconds_of_steps(program, args.rounds, args.steps, folder)
        rates = sorted(case["batch"] / second for second in seconds)
        line += f"; {statistics.median(rates):.1f} sentences/s, {rates[0]:.1f} to {rates[-1]:.1f}"
        line += f" over {args.rounds} rounds of {args.steps}; {1000 * statistics.median(seconds):.2f} ms a batch"
        if case.get("flop"):
            line += f"; {case['flop'] / statistics.median(seconds) / 1e12:.1f} TFLOP/s in the encoder's matmuls"
        print(line, flush=True)
        if folder:
            try:
                print_profile(folder, program.op_names())
            except Exception as error:  # a trace's form differs between versions; the times above stand without it
                print(f"    no profile: {error!r}", flush=True)
        return True
    else:
        return True
    print(line, flush=True)
    return passed


def main():
    import jax

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="--output of benchmarks.xla_step")
    parser.add_argument("--only", default="", help="regular expression; only cases whose names it finds")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="steps in a round")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no case after this time")
    parser.add_argument("--profile", action="store_true", help="say what the device's time is spent on")
    parser.add_argument("--traces", default="/tmp/xla_step_traces", help="folder for the profiles")
    parser.add_argument("--platforms", default="", help="such as gpu,cpu; default: the one that JAX prefers")
    parser.add_argument("--time_on_cpu", action="store_true", help="time on the CPU too, which takes long")
    args = parser.parse_args()
    jax.config.update("jax_enable_x64", True)  # for the global step
    start = time.perf_counter()
    devices = [jax.devices(platform or None)[0] for platform in args.platforms.split(",")]
    print(f"jax {jax.__version__}; {', '.join(device.device_kind for device in devices)}", flush=True)
    with open(os.path.join(args.folder, "order.json"), encoding="utf-8") as reader:
        names = [name for name in json.load(reader) if re.search(args.only, name)]
    failed = []
    for device in devices:
        for name in names:
            if time.perf_counter() - start > 60.0 * args.minutes:
                print(f"{device.platform} {name}: left out, the time is over", flush=True)
                continue
            try:
                passed = run_case(os.path.join(args.folder, name), device, args)
            except Exception as error:  # the other cases are worth running
                print(f"{device.platform} {name}: {type(error).__name__}: {str(error)[:400]}", flush=True)
                passed = False
            if not passed:
                failed.append(f"{device.platform} {name}")
    print(f"failed: {', '.join(failed) or 'none'}; {time.perf_counter() - start:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
