"""Devices: which ones are used, in what precision they compute, and how sessions are set up.

Every program calls `prepare` first. `choose_compute` decides how the encoder computes; `session_config` and
`run_config` give the settings of sessions and Estimators.
"""

import functools
import logging
import os
import re

import tensorflow.compat.v1 as tf

from bert.encoder import kernels
from bert.runtime.estimator import RunConfig
from bert.system.errors import UserError

log = logging.getLogger(__name__)

DTYPES = {"fp32": tf.float32, "bf16": tf.bfloat16, "fp16": tf.float16}
# From these widths on, less precision and compiled kernels are faster. Tagging with narrower encoders is quick anyway,
# and gives the same in every program as long as all compute in float32.
FROM_HIDDEN, FROM_HIDDEN_IN_TRAINING = 512, 256
# Compiling the kernels takes most of a second for each length of batch. It pays from so many steps on, times the square
# of the width: a narrower encoder has fewer layers too.
FUSE_FROM_STEPS_BY_WIDTH = 200 * 768**2


def prepare(device_map=None):
    """Sets TensorFlow's mode and the GPUs that may be used; to be called once, before any graph is built.

    Args:
      device_map: value for CUDA_VISIBLE_DEVICES, as "0,1", "-1" for none; None leaves the environment's.

    Raises:
      UserError: a GPU of device_map is not there.
    """
    tf.disable_eager_execution()
    tf.enable_resource_variables()
    if device_map is None:
        return
    os.environ["CUDA_VISIBLE_DEVICES"] = device_map
    asked = [name for name in device_map.split(",") if name.strip() not in ("", "-1")]
    if len(gpus()) < len(asked):
        raise UserError(f"-device_map {device_map}: of these GPUs there are {len(gpus())}; devices: {listed()}")


def choose_compute(precision, hidden_size, steps, recompute=False, xla=None, trains=False):
    """Chooses how the encoder computes on this machine.

    Args:
      precision: one of flags.PRECISIONS; auto: the fastest here of those with float32's range.
      hidden_size: width of the encoder.
      steps: about how many batches will be computed; for a few, nothing is compiled. In training those of the whole
        run, so that one that goes on computes as it did before.
      recompute: recompute each layer in the backward pass instead of keeping its activations.
      xla: whether XLA fuses kernels; None: where it pays.
      trains: whether the encoder is trained and does not only compute; the log says then what was chosen and why.

    Returns:
      kernels.Compute.

    Raises:
      UserError: the machine cannot do what is asked for.
    """
    check_possible(precision, xla)
    why = "-precision"
    is_wide = hidden_size >= (FROM_HIDDEN_IN_TRAINING if trains else FROM_HIDDEN)
    if precision == "auto":
        precision, why = _fastest_precision(hidden_size, is_wide)
    if xla is None:
        xla = kernels.can_fuse() and not gpus() and is_wide and steps * hidden_size**2 >= FUSE_FROM_STEPS_BY_WIDTH
    if trains:
        log.info("computes in %s (%s)%s", precision, why, ", elementwise work fused by XLA" if xla else "")
    # In training it pays for the encoders whose kernels are compiled, too.
    packed = xla or not trains
    return kernels.Compute(DTYPES[precision], kernels.FUSED if xla else kernels.PLAIN, recompute, packed)


def export_compute(precision):
    """Chooses how an exported model computes: on any machine, so nothing is compiled.

    Args:
      precision: one of flags.PRECISIONS; auto is float32.

    Returns:
      kernels.Compute.
    """
    return choose_compute("fp32" if precision == "auto" else precision, 0, 0, xla=False)


def _fastest_precision(hidden_size, is_wide):
    """(precision, why) of `-precision auto`."""
    if not is_wide:
        return "fp32", f"hidden size {hidden_size} is too small to gain from less"
    capabilities = gpus()
    if capabilities:
        if kernels.can_fuse() and min(capabilities) >= 8.0:
            return "bf16", "the GPU multiplies it fastest"
        return "fp32", "-precision fp16 is faster on GPUs of compute capability 7 and above"
    fast = sorted(_cpu_flags() & {"amx_bf16", "avx512_bf16"})
    if fast and kernels.can_fuse():
        return "bf16", f"the CPU has {fast[0]}"
    return "fp32", "the CPU has no faster arithmetic"


def check_possible(precision, xla):
    """UserError if this machine cannot compute as -precision and -xla say; -xla may be None."""
    if xla and not kernels.can_fuse():
        raise UserError(f"-xla needs TensorFlow 2; this is {tf.__version__}")
    if precision == "bf16" and not kernels.can_fuse():
        raise UserError(f"-precision bf16 needs TensorFlow 2; this is {tf.__version__}")
    if precision == "fp16" and not gpus():
        raise UserError("-precision fp16 needs a GPU, and there is none; expected bf16, fp32 or auto")


def _cpu_flags():
    """The CPU's feature flags, a set of str; empty where the system does not list them."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as reader:
            return set(re.search(r"^flags\s*:(.*)$", reader.read(), re.MULTILINE).group(1).split())
    except (OSError, AttributeError):
        return set()


def gpus():
    """Compute capability of each GPU that may be used: list of floats."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return list(_capabilities(visible)) if tf.test.is_built_with_cuda() and visible not in ("", "-1") else []


@functools.lru_cache(maxsize=None)
def _capabilities(visible):
    """`gpus` under this CUDA_VISIBLE_DEVICES; cached, as every session's config needs it."""
    from tensorflow.python.client import device_lib

    found = []
    for device in device_lib.list_local_devices(_growing()):
        match = re.search(r"compute capability: ([\d.]+)", device.physical_device_desc)
        if device.device_type == "GPU" and match:
            found.append(float(match.group(1)))
    return found


def gpu_names(number=None):
    """The names of the GPUs to be used, a list.

    Args:
      number: how many of the GPUs; None for all.

    Raises:
      UserError: there are fewer GPUs.
    """
    found = [f"/gpu:{i}" for i in range(len(gpus()))]
    if number is not None and len(found) < number:
        raise UserError(f"-num_gpus {number}: there are {len(found)}; devices: {listed()}")
    return found[:number]


def listed():
    """The devices of this machine, for messages."""
    return ", ".join(["/cpu:0"] + [f"/gpu:{i}" for i in range(len(gpus()))])


def session_config(cpus=None):
    """The tf.ConfigProto of every session: GPU memory is allocated as it is needed, not all at once.

    Args:
      cpus: number of CPU devices; default: one.
    """
    config = _growing()
    if cpus:
        config.device_count["CPU"] = cpus
    if not gpus():
        # On a CPU, rewriting the graph takes longer than building it and makes no step faster. The fusion of matmul
        # and bias is even slower where weights change.
        config.graph_options.rewrite_options.disable_meta_optimizer = True
    return config


def _growing():
    config = tf.ConfigProto(allow_soft_placement=True)
    config.gpu_options.allow_growth = True
    return config


def run_config(
    model_dir,
    seed,
    save_summary_steps,
    keep_checkpoint_max=5,
    strategy=None,
    cpus=None,
    tpu=None,
):
    """The Estimator's RunConfig. It neither logs nor saves: the hooks of training do.

    Args:
      model_dir: directory of the checkpoints.
      seed: int, graph-level random seed.
      save_summary_steps: steps between TensorBoard summaries.
      keep_checkpoint_max: checkpoints kept.
      strategy: tf.distribute strategy to train under, or None.
      cpus: number of CPU devices in sessions, None for one.
      tpu: cluster resolver of the strategy's TPU, or None.
    """
    kind = functools.partial(tf.estimator.tpu.RunConfig, cluster=tpu) if tpu else RunConfig
    return kind(
        model_dir=model_dir,
        tf_random_seed=seed,
        session_config=session_config(cpus),
        keep_checkpoint_max=keep_checkpoint_max,
        save_checkpoints_steps=None,
        save_checkpoints_secs=None,
        save_summary_steps=save_summary_steps,
        log_step_count_steps=None,
        train_distribute=strategy,
        experimental_max_worker_delay_secs=0,  # the tasks have waited for each other already, see training/cluster.py
    )
