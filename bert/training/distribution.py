"""What training is spread over: the devices and machines that compute one update together, and this process's part.

In: a DeviceRequest, made of flags, and, on several machines, TF_CONFIG (see cluster.py). Out: a Distribution. The
batch size of the flags is always the global one: all replicas together compute one update from it, the same as one
device would. training/strategies.py trains as the Distribution says.
"""

import collections
import contextlib
import logging
import os
import signal
import socket

import tensorflow.compat.v1 as tf

from bert.data import batches
from bert.runtime import checkpoint, devices, estimator
from bert.runtime.flags import STRATEGIES
from bert.system.errors import UserError, first_line
from bert.system.log import log_warnings_only
from bert.training import cluster

log = logging.getLogger(__name__)

NONE, MIRRORED, MULTI_WORKER, PARAMETER_SERVER, TPU = STRATEGIES


class DeviceRequest(
    collections.namedtuple(
        "DeviceRequest",
        "strategy use_tpu num_gpus num_cpus tpu_name tpu_zone gcp_project num_tpu_cores "
        "precision accumulation_steps batch_flag batch_size",
    )
):
    """What a user asks to train on: the flags of these names, and the settings that have to fit them.

    Attributes:
      strategy ... num_tpu_cores: flags of flags.add_strategy_flags.
      precision: flag of flags.add_speed_flags.
      accumulation_steps: batches in an update.
      batch_flag, batch_size: name and value of the flag with the global batch.
    """

    @classmethod
    def from_dict(cls, values, batch_flag="train_batch_size"):
        """The DeviceRequest in a dict that may hold more, such as `vars` of parsed flags."""
        own = {
            "accumulation_steps": values.get("gradient_accumulation_steps", 1),
            "batch_flag": batch_flag,
            "batch_size": values[batch_flag],
        }
        return cls(**{name: values[name] for name in cls._fields if name not in own}, **own)


class Distribution:
    """The replicas of a run, and this task's part in it.

    Args:
      name: one of flags.STRATEGIES.
      task: cluster.Task that this process is.
      local: names of this task's devices, one for each of its replicas.
      replicas: number of replicas, over all tasks, that compute one update together.
      cpus: number of CPU devices in sessions, None for TensorFlow's choice.
      tpu: the TPU's cluster resolver, or None.

    Attributes:
      barrier: cluster.Barrier at which the other tasks wait for this one, the chief; None where none do.
      start_step: the step that the chief goes on from, in a task that is not the chief; None in the chief.
    """

    def __init__(self, name=NONE, task=None, local=("/cpu:0",), replicas=1, cpus=None, tpu=None):
        self.barrier = self.start_step = None
        self.name = name
        self.task = task or cluster.Task()
        self.local = list(local)
        self.replicas = replicas
        self.cpus = cpus
        self.tpu = tpu

    @property
    def is_tpu(self):
        return self.name == TPU

    @property
    def ends_alone(self):
        """Whether this task may end training without the others, because no step of theirs waits for it."""
        return self.name != MULTI_WORKER or self.replicas == 1

    def release_others(self, output_dir, trains=True):
        """Lets the other tasks go on, to train or to end; the chief calls it when everything is prepared."""
        if self.barrier:
            latest = checkpoint.latest(output_dir)
            step = checkpoint.step_of(latest) if latest else 0
            self.barrier.release({"trains": trains, "checkpoint": os.path.basename(latest or ""), "step": step})
            self.barrier = None

    @property
    def share(self):
        """The share of the records that this task reads: batches.Share."""
        if self.name == PARAMETER_SERVER:
            return batches.WHOLE
        return batches.Share(self.replicas, self.task.number * len(self.local), len(self.local))


def join_run(request, output_dir, trains):
    """Finds this process's part in the run. It is to be called before anything in -output_dir is read.

    A task that is not the chief waits here until the chief has prepared everything. A parameter server serves
    and never returns.

    Args:
      request: DeviceRequest.
      output_dir: directory of the run, the same in all its tasks.
      trains: whether the run trains; otherwise the chief alone has something to do.

    Returns:
      Distribution; None if nothing is left for this task to do.

    Raises:
      UserError: a requested device is not there, flags contradict each other, the batch cannot be divided equally, or
        another task does not arrive.
    """
    if request.num_gpus == 0:
        devices.prepare("-1")  # or TensorFlow would take one
    devices.gpu_names(request.num_gpus)
    task = cluster.task()
    if not trains:
        return Distribution() if task.is_chief else None
    distribution = choose(request)
    if task.type == cluster.PS:
        _serve(task)
    elif task.is_chief and task.is_one_of_many:
        distribution.barrier = cluster.Barrier(task)
    elif not task.is_chief:
        log.info("%s waits for the chief", task)
        if not task.is_evaluator:
            log_warnings_only()
        found = cluster.wait_for_chief(task)
        latest = os.path.basename(checkpoint.latest(output_dir) or "")
        if latest != found["checkpoint"]:
            raise UserError(
                f"{output_dir}: {latest or 'no checkpoint'} in it, the chief goes on from "
                f"{found['checkpoint'] or 'none'}; expected a directory that all tasks share"
            )
        distribution.start_step = found["step"]
        return distribution if found["trains"] or task.is_evaluator else None
    return distribution


def _serve(task):
    """Holds variables for the workers until the process is ended from outside."""
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)  # the server would never call a Python handler
    addresses = {type: given for type, given in task.addresses.items() if type != cluster.EVALUATOR}
    tf.train.Server(addresses, job_name=task.type, task_index=task.index, config=devices.session_config()).join()


def choose(request):
    """Chooses the Distribution by the request, TF_CONFIG and the devices of this machine; the log says which it is.

    Args:
      request: DeviceRequest.

    Returns:
      Distribution.

    Raises:
      UserError: a requested device is not there, flags contradict each other, or the batch cannot be divided equally.
    """
    task = cluster.task()
    name = _name_of(request, task)
    distribution = _MAKERS[name](request, task)
    _check_divides(request.batch_flag, request.batch_size, distribution.replicas)
    if task.is_chief and name != NONE:
        log.info("%s", _description(distribution, request.batch_size))
    return distribution


def _description(distribution, batch_size):
    tasks = len(distribution.task.trainers)
    if distribution.name == PARAMETER_SERVER:
        return (
            f"parameter_server: {tasks} workers, {len(distribution.task.addresses[cluster.PS])} parameter servers; "
            f"batch {batch_size}, each update from one worker's batch"
        )
    where = f"{tasks} tasks, {distribution.replicas}" if tasks > 1 else str(distribution.replicas)
    return (
        f"{distribution.name}: {where} replicas on {', '.join(distribution.local)}; "
        f"batch {batch_size} global, {batch_size // distribution.replicas} per replica"
    )


def _name_of(request, task):
    """The strategy's name; UserError where flags and TF_CONFIG contradict each other."""
    name = request.strategy
    if request.use_tpu:
        if name not in (None, TPU):
            raise UserError(f"-use_tpu with -strategy {name}: expected -strategy tpu or none of the two")
        name = TPU
    if name is None:
        name = _default_name(request, task)
    if task.is_one_of_many and name not in (MULTI_WORKER, PARAMETER_SERVER):
        raise UserError(f"-strategy {name}: TF_CONFIG names several tasks; expected multi_worker or parameter_server")
    if name in (MULTI_WORKER, PARAMETER_SERVER) and not task.is_one_of_many:
        raise UserError(
            f"-strategy {name}: TF_CONFIG names no cluster; expected it in every task, "
            f"or to be started by python -m bert.launch"
        )
    return name


def _default_name(request, task):
    if task.is_one_of_many:
        return PARAMETER_SERVER if cluster.PS in task.addresses else MULTI_WORKER
    if request.tpu_name and request.use_tpu is None:
        return TPU
    if (request.num_cpus or 1) > 1 or len(devices.gpu_names(request.num_gpus)) > 1:
        return MIRRORED
    return NONE


def _check_divides(flag, batch_size, replicas):
    if batch_size % replicas:
        below = batch_size // replicas * replicas
        nearest = f"{below} or {below + replicas}" if below else str(replicas)
        raise UserError(
            f"-{flag} {batch_size}: the global batch, shared out equally among {replicas} replicas; expected {nearest}"
        )


def _none(request, task):
    gpus = devices.gpu_names(request.num_gpus)
    if len(gpus) > 1 and request.num_gpus:
        raise UserError(f"-strategy none uses one device, not -num_gpus {request.num_gpus}; expected mirrored")
    if (request.num_cpus or 1) > 1:
        raise UserError(f"-strategy none uses one device, not -num_cpus {request.num_cpus}; expected mirrored")
    return Distribution(NONE, task, gpus[:1] or ["/cpu:0"])


def _mirrored(request, task):
    if request.num_cpus:
        if request.num_gpus:
            raise UserError("-num_gpus and -num_cpus: expected one of them, replicas are all of one kind")
        local = [f"/cpu:{i}" for i in range(request.num_cpus)]
        return Distribution(MIRRORED, task, local, len(local), cpus=request.num_cpus)
    local = devices.gpu_names(request.num_gpus)
    if not local:
        raise UserError(
            f"-strategy mirrored: no GPU among the devices {devices.listed()}; "
            f"expected some, or -num_cpus to have CPU devices as replicas"
        )
    return Distribution(MIRRORED, task, local, len(local))


def _multi_worker(request, task):
    if cluster.PS in task.addresses:
        raise UserError("-strategy multi_worker: TF_CONFIG names parameter servers; expected none, or parameter_server")
    _refuse_cpus(request, MULTI_WORKER)
    if task.is_evaluator:
        return Distribution(MULTI_WORKER, task)
    local = devices.gpu_names(request.num_gpus)
    if request.num_gpus and len(devices.gpus()) > request.num_gpus:
        raise UserError(
            f"-num_gpus {request.num_gpus}: multi_worker takes every GPU that a task sees, {devices.listed()}; "
            f"expected -device_map to hide the others"
        )
    local = local or ["/cpu:0"]
    return Distribution(MULTI_WORKER, task, local, len(local) * len(task.trainers))


def _check_estimator(name):
    """UserError where the Estimator of this TensorFlow cannot train so."""
    if not estimator.IS_TENSORFLOWS:
        raise UserError(
            f"-strategy {name}: TensorFlow {tf.__version__} has no Estimator for it; expected another strategy, or "
            f"TensorFlow 2.15 (Python 3.9 to 3.11)"
        )


def _parameter_server(request, task):
    _check_estimator(PARAMETER_SERVER)
    if cluster.PS not in task.addresses or cluster.CHIEF not in task.addresses:
        raise UserError("-strategy parameter_server: expected a chief and at least one ps in TF_CONFIG's cluster")
    if task.has_evaluator:
        raise UserError("-strategy parameter_server: the chief evaluates; expected no evaluator in TF_CONFIG's cluster")
    _refuse_cpus(request, PARAMETER_SERVER)
    if request.accumulation_steps > 1 or request.precision == "fp16":
        raise UserError(
            "-strategy parameter_server: workers update on their own; -gradient_accumulation_steps and "
            "-precision fp16 keep account over updates; expected another strategy, or to do without"
        )
    return Distribution(PARAMETER_SERVER, task, devices.gpu_names(request.num_gpus)[:1] or ["/cpu:0"])


def _refuse_cpus(request, name):
    if (request.num_cpus or 1) > 1:
        raise UserError(f"-num_cpus {request.num_cpus}: replicas of one process, for mirrored; {name} has one a task")


def _tpu(request, task):
    _check_estimator(TPU)
    if request.num_cpus or request.num_gpus:
        raise UserError("-strategy tpu: its cores are the replicas; expected neither -num_gpus nor -num_cpus")
    if request.precision == "fp16":
        raise UserError("-precision fp16: a TPU has no float16; expected bf16, fp32 or auto")
    resolver = find_tpu(request.tpu_name, request.tpu_zone, request.gcp_project)
    return Distribution(
        TPU, task, [f"TPU:{i}" for i in range(request.num_tpu_cores)], request.num_tpu_cores, tpu=resolver
    )


def find_tpu(name, zone=None, project=None):
    """The cluster resolver of a TPU; UserError, naming what was looked for, if it cannot be reached."""
    where = ", ".join(f"{what} {value}" for what, value in (("zone", zone), ("project", project)) if value)
    looked_for = f"-tpu_name {name}" + (f" ({where})" if where else "")
    if not name:
        raise UserError("-strategy tpu: -tpu_name is missing; expected the Cloud TPU's name or grpc://host:port")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name, zone=zone, project=project)
        master = resolver.master()
        host, _, port = master.replace("grpc://", "").rpartition(":")
        with contextlib.closing(socket.create_connection((host, int(port)), timeout=10.0)):
            return resolver
    except Exception as error:  # the resolver's, Google's client library's or the network's
        raise UserError(f"{looked_for}: no such TPU can be reached: {first_line(error)}")


_MAKERS = {
    NONE: _none, MIRRORED: _mirrored, MULTI_WORKER: _multi_worker, PARAMETER_SERVER: _parameter_server, TPU: _tpu,
}  # fmt: skip
