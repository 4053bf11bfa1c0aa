"""Training on several devices and machines: the tf.distribute strategy, the Estimator under it, and its training loop.

A Distribution, see distribution.py, says what training is spread over. With one device there is no strategy, and the
Estimator is a plain one.
"""

import collections
import contextlib
import copy
import functools
import math
import zlib

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from bert.encoder import masks
from bert.optimization import STEP_DEFAULTS, build_train_step, calls_so_far
from bert.runtime import devices, init_weights
from bert.runtime.estimator import Estimator, EstimatorSpec, EvalSpec, ModeKeys, TrainSpec, train_and_evaluate
from bert.system import signals
from bert.system.errors import UserError, first_line
from bert.training import cluster, divergence, stopping
from bert.training.distribution import MIRRORED, MULTI_WORKER, PARAMETER_SERVER, TPU
from bert.training.progress import TrainingLog

# How a model is trained. start: init_weights.StartWeights that its variables start from, None for random values;
# learning_rate: the peak; steps: global step at which training ends; warmup_steps: steps in which the rate rises;
# batch_size: examples in a global batch, for the log; None where only the Estimator's params know it.
Training = collections.namedtuple("Training", ["start", "learning_rate", "steps", "warmup_steps", "batch_size"])


def make_strategy(distribution, iterations_per_loop=1):
    """The tf.distribute strategy, or None. It initialises a TPU, so it is to be called once.

    Args:
      distribution: distribution.Distribution.
      iterations_per_loop: steps that a TPU makes before it returns to the host.
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
            raise UserError(f"{distribution.tpu.master()}: expected a TPU there: {first_line(error)}")
        if strategy.num_replicas_in_sync != distribution.replicas:
            raise UserError(
                f"-num_tpu_cores {distribution.replicas}: {distribution.tpu.master()} has "
                f"{strategy.num_replicas_in_sync} cores; expected that number"
            )
        return strategy
    return None  # without one, or with parameter servers, an Estimator places variables by itself


def _keep_collectives_apart(strategy):
    """Turns off, in sessions under a strategy of several workers, the optimizer that joins all-reduces.

    That of TensorFlow 1.15 ends the process where it does not know a shape.
    """

    class Apart(type(strategy.extended)):
        def _update_config_proto(self, config_proto):
            config = super()._update_config_proto(config_proto)
            # Not OFF: TensorFlow 1.15 reads every value except DEFAULT as ON.
            default = rewriter_config_pb2.RewriterConfig.DEFAULT
            config.graph_options.rewrite_options.scoped_allocator_optimization = default
            return config

    strategy.extended.__class__ = Apart


def make_estimator(model_fn, distribution, batch_size, iterations_per_loop=1, **settings):
    """An Estimator that trains as the distribution says; `settings` are arguments of devices.run_config."""
    strategy = make_strategy(distribution, iterations_per_loop)
    if not distribution.task.is_chief:  # only the chief writes
        settings.update(save_summary_steps=0)
    config = devices.run_config(strategy=strategy, cpus=distribution.cpus, tpu=distribution.tpu, **settings)
    if distribution.name == PARAMETER_SERVER and not distribution.task.is_evaluator:
        # Without it a session waits for all tasks, even for those that have ended.
        this = f"/job:{distribution.task.type}/task:{distribution.task.index}"
        config.session_config.device_filters.extend(["/job:ps", this])
    return Estimator(_with_own_seeds(model_fn), config=config, params={"batch_size": batch_size})


def _with_own_seeds(model_fn):
    """Wraps a model function so that a variable's initial value depends only on the graph's seed and its name.

    Otherwise it would depend on the operations made before it, and so on the number of replicas.
    """

    def seeded_variable(getter, name, *args, initializer=None, **kwargs):
        if getattr(initializer, "seed", 0) is None:
            initializer = copy.copy(initializer)
            initializer.seed = zlib.crc32(name.encode("utf-8")) & 0x7FFFFFFF
        return getter(name, *args, initializer=initializer, **kwargs)

    def seeded(features, labels, mode, params):
        with tf.variable_scope(tf.get_variable_scope(), custom_getter=seeded_variable):
            # With replicas TensorFlow would have AutoGraph rewrite the function and all that it calls, which takes long
            # and changes what plain Python in it does.
            return tf.autograph.experimental.do_not_convert(model_fn)(features, labels, mode, params)

    return seeded


def train(estimator, distribution, input_fn, max_steps, hooks=()):
    """Trains up to max_steps; in a parameter server it serves and does not return.

    Args:
      estimator: Estimator of `make_estimator`.
      distribution: distribution.Distribution.
      input_fn: function from params to a dataset of batches of distribution.share, without end.
      max_steps: global step at which training ends.
      hooks: session hooks of this task.
    """
    distribution.release_others(estimator.model_dir)
    if not distribution.task.is_chief:
        # The chief saves, and needs the others for the step that it is in: they end after it.
        signals.defer_signals(True)
    if distribution.is_tpu:
        hooks = [TrainingLog(None, None, None, max_steps, estimator.params["batch_size"]), *hooks]
    if not distribution.task.is_one_of_many:
        estimator.train(input_fn, max_steps=max_steps, hooks=list(hooks))
        return
    if tf.__version__.startswith("1."):
        # The method of TensorFlow 1.15 stops nothing and fails with a traceback when the interpreter shuts down.
        tf.train.Server.__del__ = lambda server: None
    tasks, number = len(distribution.task.trainers), distribution.task.number
    fed = input_fn
    if distribution.name == PARAMETER_SERVER:
        _look_for_variables_every_second()

        # Each update comes from one worker, so the workers take turns at the batches.
        def fed(params):
            return input_fn(params).shard(tasks, number)

    spec = TrainSpec(fed, max_steps=max_steps, hooks=list(hooks))
    # No task reaches this evaluation: the dev set is scored from our own predictions.
    train_and_evaluate(estimator, spec, EvalSpec(fed, steps=1))


def _look_for_variables_every_second():
    """Makes a worker see at once that the chief has initialised the variables of the parameter servers.

    Without it a worker that comes too early sleeps for 30 seconds, in which a short run ends without it.
    """
    init = tf.train.SessionManager.__init__
    tf.train.SessionManager.__init__ = functools.partialmethod(init, recovery_wait_secs=1)


@contextlib.contextmanager
def building(training, is_training, accumulation_steps=1):
    """A context in which a model function builds its model.

    Variables start from the weights of the Training. In training dropout follows from the graph's seed, the global
    step and the replica alone: a run that was interrupted goes on as one that was not.

    Args:
      training: Training, or None for a model function that does not train.
      is_training: whether the model is built for training.
      accumulation_steps: as in optimization.StepOptions.
    """
    with contextlib.ExitStack() as contexts:
        contexts.enter_context(init_weights.starting_from(training.start if training else None))
        if is_training:
            contexts.enter_context(masks.following(_batch_number(accumulation_steps)))
        yield


def _batch_number(accumulation_steps):
    """The number of the batch that this replica computes, among those of all replicas from the first step on."""
    task, replicas = cluster.task(), tf.distribute.get_strategy().num_replicas_in_sync
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    if replicas == 1 and task.is_one_of_many:  # with parameter servers each task is a replica
        replicas, replica = len(task.trainers), task.number
    return calls_so_far(accumulation_steps) * replicas + tf.cast(replica, tf.int32)


def with_batch_size(training, params):
    """A Training with the batch size of an Estimator's params, where it has none itself and they have one."""
    return training._replace(batch_size=training.batch_size or params.get("batch_size"))


def training_spec(loss, training, compute, reported=None, options=STEP_DEFAULTS, gradients_of=tf.gradients):
    """The EstimatorSpec of training: the end of every model function, once it has the loss.

    Args:
      loss: scalar, the mean over this replica's examples.
      training: Training.
      compute: kernels.Compute.
      reported: dict from name to scalar, such as parts of the loss: their means over replicas become summaries.
      options: optimization.StepOptions.
      gradients_of: as of optimization.build_train_step.
    """
    reported = reported or {}
    step = build_train_step(
        loss,
        training.learning_rate,
        training.steps,
        training.warmup_steps,
        options,
        compute,
        tuple(reported.values()),
        gradients_of,
    )
    hooks = []
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if not on_tpu():
        divergence.watch(step)
        for name, mean in zip(reported, step.means):
            tf.summary.scalar(name, mean)
        tf.summary.scalar("learning_rate", step.learning_rate)
        tf.summary.scalar("gradient_norm", step.gradient_norm)
        if cluster.task().is_chief:
            hooks.append(
                TrainingLog(step.loss, step.learning_rate, step.gradient_norm, training.steps, training.batch_size)
            )
        if cluster.task().is_one_of_many and replicas > 1:
            hooks.append(stopping.StopTogether())
    # An Estimator adds up the losses of the replicas, each of which is the mean over all of them already.
    return EstimatorSpec(
        ModeKeys.TRAIN,
        loss=step.loss if replicas == 1 else step.loss / replicas,
        train_op=step.train_op,
        training_hooks=hooks,
    )


def loop_length(longest, *intervals):
    """The most steps, up to `longest`, that a TPU can run at a time and still stop at multiples of the intervals."""
    common = functools.reduce(math.gcd, intervals)
    return next(steps for steps in range(min(longest, common), 0, -1) if common % steps == 0)


def on_tpu():
    """Whether the graph is built for a TPU: then nothing in a step may run on the host."""
    return type(tf.distribute.get_strategy()).__name__.startswith("TPUStrategy")
