"""How training is spread over devices and machines: the tf.distribute strategy, and each replica's share of a batch.

In: the flags of flags.add_strategy_flags and, on several machines, TF_CONFIG (see cluster.py). A training program calls
`join` first, then `make_estimator` and `train`. The batch that the flags name is always the global one: all replicas
together compute one update from it, the same as one device would.
"""

import contextlib
import copy
import functools
import logging
import math
import os
import signal
import socket
import zlib

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from bert import checkpoint, cluster, devices, interruption, records
from bert.errors import UserError
from bert.progress import TrainingLog
from bert.startup import LOGGER

log = logging.getLogger(LOGGER)

NONE, MIRRORED, MULTI_WORKER, PARAMETER_SERVER, TPU = "none", "mirrored", "multi_worker", "parameter_server", "tpu"


class Distribution:
    """What the replicas of a run are, and this task's part in it.

    Args:
      name: one of flags.STRATEGIES.
      task: cluster.Task that this process is.
      local: names of this task's devices, one for each of its replicas.
      replicas: replicas over all tasks that compute one update together.
      cpus: CPU devices that sessions are to have, None for TensorFlow's choice.
      tpu: the TPU's cluster resolver, or None.

    Attributes:
      door: cluster.Door behind which the other tasks wait for this one, the chief; None where none do.
      start_step: the step that the chief goes on from, in a task that is not the chief; None in the chief.
    """

    def __init__(self, name=NONE, task=None, local=("/cpu:0",), replicas=1, cpus=None, tpu=None):
        self.door = self.start_step = None
        self.name = name
        self.task = task or cluster.Task()
        self.local = list(local)
        self.replicas = replicas
        self.cpus = cpus
        self.tpu = tpu

    @property
    def is_tpu(self):
        return self.name == TPU

    def let_in(self, output_dir, trains=True):
        """The chief's, when all is prepared: the others go on, to train or, if there is nothing to train, to end."""
        if self.door:
            latest = checkpoint.latest(output_dir)
            step = checkpoint.step_of(latest) if latest else 0
            self.door.let_in({"trains": trains, "checkpoint": os.path.basename(latest or ""), "step": step})
            self.door = None

    @property
    def share(self):
        """What this task reads of the records: records.Share."""
        if self.name == PARAMETER_SERVER:
            return records.WHOLE
        return records.Share(self.replicas, self.task.number * len(self.local), len(self.local))


def join(args, flag="train_batch_size"):
    """Takes this process's part in the run; comes before anything in -output_dir is read.

    A task that is not the chief waits here until the chief has prepared everything. A parameter server only serves
    and never comes back.

    Args:
      args: Namespace with output_dir, do_train and the flags of flags.add_strategy_flags.
      flag: name of the flag with the global batch.

    Returns:
      Distribution; None where nothing is left for this task to do.

    Raises:
      UserError: what is asked for is not there or does not go together, the batch cannot be shared out equally, or
        another task does not come.
    """
    if args.num_gpus == 0:
        devices.prepare("-1")  # or TensorFlow would take one
    devices.gpu_names(args.num_gpus)
    task = cluster.task()
    if not args.do_train:
        return Distribution() if task.is_chief else None
    distribution = choose(args, flag)
    if task.type == cluster.PS:
        _serve(task)
    elif task.is_chief and task.is_one_of_many:
        distribution.door = cluster.Door(task)
    elif not task.is_chief:
        log.info("%s waits for the chief", task)
        if not task.is_evaluator:
            log.setLevel(logging.WARNING)  # the chief says it all
        found = cluster.wait_for_chief(task)
        latest = os.path.basename(checkpoint.latest(args.output_dir) or "")
        if latest != found["checkpoint"]:
            raise UserError(
                f"{args.output_dir}: {latest or 'no checkpoint'} in it, the chief goes on from "
                f"{found['checkpoint'] or 'none'}; expected a directory that all tasks share"
            )
        distribution.start_step = found["step"]
        return distribution if found["trains"] or task.is_evaluator else None
    return distribution


def _serve(task):
    """Holds variables for the workers until the process is ended from outside."""
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)  # a handler of Python's would never be called in the server
    addresses = {type: given for type, given in task.addresses.items() if type != cluster.EVALUATOR}
    tf.train.Server(addresses, job_name=task.type, task_index=task.index, config=devices.session_config()).join()


def choose(args, flag="train_batch_size"):
    """What training uses, by the flags, TF_CONFIG and the devices there are; says so in the log.

    Args, Raises: as of `join`.

    Returns:
      Distribution.
    """
    task = cluster.task()
    name = _name_of(args, task)
    distribution = _MAKERS[name](args, task)
    batch_size = getattr(args, flag)
    _check_divides(flag, batch_size, distribution.replicas)
    if task.is_chief and name != NONE:
        log.info("%s", _description(distribution, batch_size))
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


def _name_of(args, task):
    """The strategy's name; UserError where flags and TF_CONFIG contradict each other."""
    name = args.strategy
    if args.use_tpu:
        if name not in (None, TPU):
            raise UserError(f"-use_tpu with -strategy {name}: expected -strategy tpu or none of the two")
        name = TPU
    if name is None:
        name = _default_name(args, task)
    if task.is_one_of_many and name not in (MULTI_WORKER, PARAMETER_SERVER):
        raise UserError(f"-strategy {name}: TF_CONFIG names several tasks; expected multi_worker or parameter_server")
    if name in (MULTI_WORKER, PARAMETER_SERVER) and not task.is_one_of_many:
        raise UserError(
            f"-strategy {name}: TF_CONFIG names no cluster; expected it in every task, "
            f"or to be started by python -m bert.launch"
        )
    return name


def _default_name(args, task):
    if task.is_one_of_many:
        return PARAMETER_SERVER if cluster.PS in task.addresses else MULTI_WORKER
    if args.tpu_name and args.use_tpu is None:
        return TPU
    if (args.num_cpus or 1) > 1 or len(devices.gpu_names(args.num_gpus)) > 1:
        return MIRRORED
    return NONE


def _check_divides(flag, batch_size, replicas):
    if batch_size % replicas:
        below = batch_size // replicas * replicas
        nearest = f"{below} or {below + replicas}" if below else str(replicas)
        raise UserError(
            f"-{flag} {batch_size}: the global batch, shared out equally among {replicas} replicas; expected {nearest}"
        )


def _none(args, task):
    gpus = devices.gpu_names(args.num_gpus)
    if len(gpus) > 1 and args.num_gpus:
        raise UserError(f"-strategy none uses one device, not -num_gpus {args.num_gpus}; expected mirrored")
    if (args.num_cpus or 1) > 1:
        raise UserError(f"-strategy none uses one device, not -num_cpus {args.num_cpus}; expected mirrored")
    return Distribution(NONE, task, gpus[:1] or ["/cpu:0"])


def _mirrored(args, task):
    if args.num_cpus:
        if args.num_gpus:
            raise UserError("-num_gpus and -num_cpus: expected one of them, replicas are all of one kind")
        local = [f"/cpu:{i}" for i in range(args.num_cpus)]
        return Distribution(MIRRORED, task, local, len(local), cpus=args.num_cpus)
    local = devices.gpu_names(args.num_gpus)
    if not local:
        raise UserError(
            f"-strategy mirrored: no GPU among the devices {devices.listed()}; "
            f"expected some, or -num_cpus to have CPU devices as replicas"
        )
    return Distribution(MIRRORED, task, local, len(local))


def _multi_worker(args, task):
    if cluster.PS in task.addresses:
        raise UserError("-strategy multi_worker: TF_CONFIG names parameter servers; expected none, or parameter_server")
    _refuse_cpus(args, MULTI_WORKER)
    if task.is_evaluator:
        return Distribution(MULTI_WORKER, task)
    local = devices.gpu_names(args.num_gpus)
    if args.num_gpus and len(devices.gpus()) > args.num_gpus:
        raise UserError(
            f"-num_gpus {args.num_gpus}: multi_worker takes every GPU that a task sees, {devices.listed()}; "
            f"expected -device_map to hide the others"
        )
    local = local or ["/cpu:0"]
    return Distribution(MULTI_WORKER, task, local, len(local) * len(task.trainers))


def _parameter_server(args, task):
    if cluster.PS not in task.addresses or cluster.CHIEF not in task.addresses:
        raise UserError("-strategy parameter_server: expected a chief and at least one ps in TF_CONFIG's cluster")
    if task.has_evaluator:
        raise UserError("-strategy parameter_server: the chief evaluates; expected no evaluator in TF_CONFIG's cluster")
    _refuse_cpus(args, PARAMETER_SERVER)
    if getattr(args, "gradient_accumulation_steps", 1) > 1 or args.precision == "fp16":
        raise UserError(
            "-strategy parameter_server: workers update on their own; -gradient_accumulation_steps and "
            "-precision fp16 keep account over updates; expected another strategy, or to do without"
        )
    return Distribution(PARAMETER_SERVER, task, devices.gpu_names(args.num_gpus)[:1] or ["/cpu:0"])


def _refuse_cpus(args, name):
    if (args.num_cpus or 1) > 1:
        raise UserError(f"-num_cpus {args.num_cpus}: replicas of one process, for mirrored; {name} has one a task")


def _tpu(args, task):
    if args.num_cpus or args.num_gpus:
        raise UserError("-strategy tpu: its cores are the replicas; expected neither -num_gpus nor -num_cpus")
    if args.precision == "fp16":
        raise UserError("-precision fp16: a TPU has no float16; expected bf16, fp32 or auto")
    resolver = find_tpu(args.tpu_name, args.tpu_zone, args.gcp_project)
    return Distribution(TPU, task, [f"TPU:{i}" for i in range(args.num_tpu_cores)], args.num_tpu_cores, tpu=resolver)


def find_tpu(name, zone=None, project=None):
    """The cluster resolver of a TPU that can be reached; UserError, which says what was looked for, where none can."""
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
    except Exception as error:  # of the resolver, of Google's client library where there is one, of the network
        raise UserError(f"{looked_for}: no such TPU can be reached: {_first_line(error)}")


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


_MAKERS = {
    NONE: _none, MIRRORED: _mirrored, MULTI_WORKER: _multi_worker, PARAMETER_SERVER: _parameter_server, TPU: _tpu,
}  # fmt: skip


def make_strategy(distribution, iterations_per_loop=1):
    """The tf.distribute strategy, or None; a TPU is initialised by it, so call it once.

    Args:
      iterations_per_loop: steps that a TPU does between two looks of the host.
    """
    if distribution.name == MIRRORED:
        return tf.distribute.MirroredStrategy(distribution.local)
    if distribution.name == MULTI_WORKER:
        strategy = tf.distribute.experimental.MultiWorkerMirroredStrategy()
        if tf.__version__.startswith("1."):
            _keep_collectives_apart(strategy)
        return strategy
    if distribution.name == TPU:
        try:
            tf.tpu.experimental.initialize_tpu_system(distribution.tpu)
            strategy = tf.distribute.experimental.TPUStrategy(distribution.tpu, steps_per_run=iterations_per_loop)
        except (tf.errors.OpError, RuntimeError) as error:
            raise UserError(f"{distribution.tpu.master()}: expected a TPU there: {_first_line(error)}")
        if strategy.num_replicas_in_sync != distribution.replicas:
            raise UserError(
                f"-num_tpu_cores {distribution.replicas}: {distribution.tpu.master()} has "
                f"{strategy.num_replicas_in_sync} cores; expected that number"
            )
        return strategy
    return None  # without one, or with parameter servers, an Estimator places variables by itself


def _keep_collectives_apart(strategy):
    """Makes sessions under a strategy of several workers leave each all-reduce as it is.

    The optimizer of TensorFlow 1.15 that joins several of them ends the process where it does not know a shape.
    """

    class Apart(type(strategy.extended)):
        def _update_config_proto(self, config_proto):
            config = super()._update_config_proto(config_proto)
            # Not OFF, which it takes for a yes.
            default = rewriter_config_pb2.RewriterConfig.DEFAULT
            config.graph_options.rewrite_options.scoped_allocator_optimization = default
            return config

    strategy.extended.__class__ = Apart


def make_estimator(model_fn, distribution, batch_size, iterations_per_loop=1, **settings):
    """A tf.estimator.Estimator that trains as the distribution says; `settings`: as of devices.run_config."""
    strategy = make_strategy(distribution, iterations_per_loop)
    if not distribution.task.is_chief:  # the chief alone writes
        settings.update(save_summary_steps=0, save_checkpoints_steps=None)
    config = devices.run_config(strategy=strategy, cpus=distribution.cpus, tpu=distribution.tpu, **settings)
    if distribution.name == PARAMETER_SERVER and not distribution.task.is_evaluator:
        # Without it a session waits for every task there is, those that have ended too.
        this = f"/job:{distribution.task.type}/task:{distribution.task.index}"
        config.session_config.device_filters.extend(["/job:ps", this])
    return tf.estimator.Estimator(_with_own_seeds(model_fn), config=config, params={"batch_size": batch_size})


def _with_own_seeds(model_fn):
    """The model function, what each variable starts from being drawn by the graph's seed and its name alone.

    Otherwise it would depend on the operations that were made before it, and so on the number of replicas.
    """

    def seeded_variable(getter, name, *args, initializer=None, **kwargs):
        if getattr(initializer, "seed", 0) is None:
            initializer = copy.copy(initializer)
            initializer.seed = zlib.crc32(name.encode("utf-8")) & 0x7FFFFFFF
        return getter(name, *args, initializer=initializer, **kwargs)

    def seeded(features, labels, mode, params):
        with tf.variable_scope(tf.get_variable_scope(), custom_getter=seeded_variable):
            return model_fn(features, labels, mode, params)

    return seeded


def train(estimator, distribution, input_fn, max_steps, hooks=()):
    """Trains up to max_steps; a parameter server only serves, and does not come back.

    Args:
      input_fn: function from params to a dataset of batches of distribution.share, without end.
      hooks: of this task.
    """
    distribution.let_in(estimator.model_dir)
    if not distribution.task.is_chief:
        # The chief, which saves, needs the others for the step it is in: they end behind it.
        interruption.put_off(True)
    if distribution.is_tpu:
        hooks = [TrainingLog(None, None, None, max_steps, estimator.params["batch_size"]), *hooks]
    if not distribution.task.is_one_of_many:
        estimator.train(input_fn, max_steps=max_steps, hooks=list(hooks))
        return
    tasks, number = len(distribution.task.trainers), distribution.task.number
    fed = input_fn
    if distribution.name == PARAMETER_SERVER:
        # An update comes from one worker alone: they take the batches by turns.
        def fed(params):
            return input_fn(params).shard(tasks, number)

    spec = tf.estimator.TrainSpec(fed, max_steps=max_steps, hooks=list(hooks))
    # No task comes to the evaluation: the dev set is scored from our own predictions.
    tf.estimator.train_and_evaluate(estimator, spec, tf.estimator.EvalSpec(fed, steps=1))


def training_spec(step, num_train_steps, batch_size):
    """The EstimatorSpec of training, with what it logs.

    Args:
      step: optimization.TrainStep.
      num_train_steps: global step at which training ends.
      batch_size: examples in a global batch.
    """
    hooks = []
    if not on_tpu():
        tf.summary.scalar("learning_rate", step.learning_rate)
        tf.summary.scalar("gradient_norm", step.gradient_norm)
        if cluster.task().is_chief:
            hooks = [TrainingLog(step.loss, step.learning_rate, step.gradient_norm, num_train_steps, batch_size)]
    # An Estimator adds the losses of the replicas up, each of which is the mean over all of them already.
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    loss = step.loss if replicas == 1 else step.loss / replicas
    return tf.estimator.EstimatorSpec(
        tf.estimator.ModeKeys.TRAIN, loss=loss, train_op=step.train_op, training_hooks=hooks
    )


def loop_length(longest, *intervals):
    """The steps that a TPU may do in one go so that it stops at every multiple of these: at most `longest`."""
    common = functools.reduce(math.gcd, intervals)
    return next(steps for steps in range(min(longest, common), 0, -1) if common % steps == 0)


def on_tpu():
    """Whether the graph being built is a TPU's: then nothing in a step may run on the host."""
    return type(tf.distribute.get_strategy()).__name__.startswith("TPUStrategy")
