"""Adam with decoupled weight decay, BERT's learning-rate schedule, and the training op that puts them together.

Gradients are averaged first and clipped afterwards. So N replicas with a share of the batch each give the same update
as one device with the whole batch, and several accumulated batches the same as one large batch.
"""

import collections
import os
import re
import sys

if not __package__:  # imported as `optimization`, by a script in this folder
    sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import tensorflow.compat.v1 as tf

from bert.encoder import kernels

# Weight decay does not pull biases and normalisation parameters towards zero.
NO_WEIGHT_DECAY = ("LayerNorm", "layer_norm", "bias")
BETA_1, BETA_2 = 0.9, 0.999  # decay rates of Adam's moments
LARGEST_LOSS_SCALE = 2.0**15  # half of float16's range, for a loss near 1
LOSS_SCALE_GROWS_AFTER = 1000  # steps


def learning_rate_at(global_step, init_lr, num_train_steps, num_warmup_steps):
    """The learning rate of a step: linear warm-up from 0, then linear decay that reaches 0 at num_train_steps.

    The decay counts from step 0: right after the warm-up, the rate is already below init_lr.

    Args:
      global_step: int or float scalar tensor, the number of updates so far.
      init_lr: peak learning rate.
      num_train_steps: updates until the rate is 0.
      num_warmup_steps: updates of the warm-up; 0 or None for none.

    Returns:
      float32 scalar tensor.
    """
    step = tf.cast(global_step, tf.float32)
    decayed = init_lr * (1.0 - tf.minimum(step / float(num_train_steps), 1.0))
    if not num_warmup_steps:
        return decayed
    warming = init_lr * step / float(num_warmup_steps)
    return tf.where(step < float(num_warmup_steps), warming, decayed)


# The choices of `build_train_step` about the update.
#   clip_norm: largest global norm of the gradients of one update.
#   lr_multiplier: function from a variable's name, as in a checkpoint, to a factor on its learning rate; None: 1.
#   is_frozen: function from a variable's name, as in a checkpoint, to whether it stays as it is; None: none does.
#   bias_correction: see `corrections`; Google's optimizer has none.
#   accumulation_steps: calls whose gradients are averaged into one update. The global step counts updates.
StepOptions = collections.namedtuple(
    "StepOptions",
    ["clip_norm", "lr_multiplier", "is_frozen", "accumulation_steps", "bias_correction"],
    defaults=[1.0, None, None, 1, False],
)
STEP_DEFAULTS = StepOptions()

# What AdamWeightDecayOptimizer can do beyond Google's.
#   lr_multiplier: as in StepOptions.
#   apply_when: bool scalar tensor; where it is false a step leaves variables and slots as they are. None: always true.
#   gradient_scale: float scalar tensor; every gradient is multiplied by it.
#   corrections: two float scalar tensors that the moments m and v are multiplied by in an update, see `corrections`.
#   fused: update each variable in one pass over memory, by a kernel that XLA compiles, see `kernels.can_fuse`.
UpdateOptions = collections.namedtuple(
    "UpdateOptions",
    ["lr_multiplier", "apply_when", "gradient_scale", "corrections", "fused"],
    defaults=[None, None, 1.0, (1.0, 1.0), False],
)
UPDATE_DEFAULTS = UpdateOptions()

# The result of `build_train_step`: the training op, and scalar tensors of the step. loss: the mean over the examples of
# all replicas; means: list of the `reported` scalars, averaged over replicas; number: updates made before it.
TrainStep = collections.namedtuple(
    "TrainStep", ["train_op", "learning_rate", "gradient_norm", "loss", "means", "number"]
)


def create_optimizer(loss, init_lr, num_train_steps, num_warmup_steps, use_tpu):
    """The training op of `build_train_step` with its defaults.

    `use_tpu` is accepted, as by Google's function, and ignored: the current tf.distribute strategy decides how
    gradients are averaged over replicas.
    """
    del use_tpu
    return build_train_step(loss, init_lr, num_train_steps, num_warmup_steps).train_op


def build_train_step(
    loss,
    init_lr,
    num_train_steps,
    num_warmup_steps,
    options=STEP_DEFAULTS,
    compute=kernels.REFERENCE,
    reported=(),
    gradients_of=tf.gradients,
):
    """One training step: gradients, mean over replicas, clipping, update, global step.

    Call it in replica context (inside a model function), once for each replica.

    Gradients in float16, whose range is small, get loss scaling: the loss is multiplied by the largest power of two
    that keeps the gradients finite. A step with gradients that are not finite updates no variable; it only halves the
    factor.

    Args:
      loss: scalar tensor, the mean over this replica's examples.
      init_lr: peak learning rate.
      num_train_steps: updates until the rate has decayed to 0.
      num_warmup_steps: updates of the warm-up; 0 or None for none.
      options: StepOptions.
      compute: kernels.Compute of the model. Its type decides whether the loss is scaled; with kernels that XLA compiles
        the update is compiled too.
      reported: list of other scalars to average over replicas, for summaries. They are averaged in every step: if only
        the task that writes summaries averaged them, it would wait for the others.
      gradients_of: function with the arguments and the result of tf.gradients, which gives the loss's gradients.

    Returns:
      TrainStep: the op, and the learning rate, gradient norm (before clipping) and mean loss of the step.
    """
    global_step = tf.train.get_or_create_global_step()
    # A value of its own, which the update waits for: a later reading of the variable may be of the step after it.
    number = tf.cast(global_step, tf.float32)
    learning_rate = learning_rate_at(number, init_lr, num_train_steps, num_warmup_steps)
    variables = tf.trainable_variables()
    if options.is_frozen is not None:
        variables = [var for var in variables if not options.is_frozen(_name(var))]
    scale_loss = compute.dtype == tf.float16
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    factor = _local_variable("loss_scale/factor", [], tf.float32, LARGEST_LOSS_SCALE) if scale_loss else None
    pairs = zip(gradients_of(loss, variables, tf.identity(factor) if scale_loss else None), variables)
    pairs = [(gradient, var) for gradient, var in pairs if gradient is not None]
    variables = [var for _, var in pairs]
    # A sparse gradient can hold a row twice; made dense, it has the sum of both, as the norm needs it.
    gradients = [tf.convert_to_tensor(gradient) for gradient, _ in pairs]
    if scale_loss:
        gradients = [gradient / tf.identity(factor) for gradient in gradients]
    elif replicas == 1 and options.accumulation_steps == 1:
        gradients = [_narrow(gradient) for gradient in gradients]
    averaged = mean_over_replicas([*gradients, loss, *reported])
    gradients, loss, means = averaged[: len(gradients)], averaged[len(gradients)], averaged[len(gradients) + 1 :]

    due = None
    if options.accumulation_steps > 1:
        gradients, due, reset = _accumulate(gradients, variables, options.accumulation_steps)
    norm = tf.sqrt(2.0 * tf.add_n([tf.nn.l2_loss(tf.cast(gradient, tf.float32)) for gradient in gradients]))
    apply_when = due
    if scale_loss:
        finite = tf.is_finite(norm)
        apply_when = finite if due is None else tf.logical_and(due, finite)

    optimizer = AdamWeightDecayOptimizer(
        learning_rate=learning_rate,
        weight_decay_rate=0.01,
        exclude_from_weight_decay=NO_WEIGHT_DECAY,
        options=UpdateOptions(
            lr_multiplier=options.lr_multiplier,
            apply_when=apply_when,
            gradient_scale=options.clip_norm / tf.maximum(norm, options.clip_norm),
            corrections=corrections(number + 1.0) if options.bias_correction else (1.0, 1.0),
            fused=compute.is_compiled,
        ),
    )
    # A tf.train.Optimizer adds the gradients of all replicas. Here each replica has the mean already.
    if replicas > 1:
        gradients = [gradient / replicas for gradient in gradients]
    applied = optimizer.apply_gradients(zip(gradients, variables))
    with tf.control_dependencies([applied]):
        made = 1 if apply_when is None else tf.cast(apply_when, global_step.dtype)
        done = [global_step.assign_add(made)]
        if due is not None:
            done.append(reset())
        if scale_loss:
            done.append(_adjust(factor, finite, True if due is None else due))
        return TrainStep(tf.group(*done), learning_rate, norm, loss, means, number)


def corrections(t, beta_1=BETA_1, beta_2=BETA_2):
    """Adam's bias correction for its update number t, from 1: the factors on the moments m and v, two scalars.

    The moments start at 0; divided by 1 - beta^t they are averages (Kingma and Ba, 2015). Without it the first hundreds
    of updates are up to three times as large, and short trainings at high rates fail (Zhang et al., 2021, "Revisiting
    Few-sample BERT Fine-tuning").
    """
    return 1.0 / (1.0 - tf.pow(beta_1, t)), 1.0 / (1.0 - tf.pow(beta_2, t))


def _narrow(gradient):
    """The gradient before its cast to the variable's float32, if there was one: half the memory to read."""
    return gradient.op.inputs[0] if gradient.op.type == "Cast" else gradient


def _name(var):
    """The variable's name in a checkpoint; the copies on all replicas have the same."""
    return re.sub(r"/replica_\d+$", "", var.op.name)


def mean_over_replicas(tensors):
    """The mean of each tensor over the replicas of the current tf.distribute strategy; without a gradient.

    Args:
      tensors: list of tensors; call it in replica context, with tensors of the same shapes on every replica.

    Returns:
      List of tensors, the same on every replica.
    """
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return tensors

    def reduce(strategy, *per_replica):
        return strategy.extended.batch_reduce_to(
            tf.distribute.ReduceOp.MEAN, [(tensor, tensor) for tensor in per_replica]
        )

    return tf.distribute.get_replica_context().merge_call(reduce, args=tuple(tensors))


def calls_so_far(accumulation_steps=1):
    """How often the training op has run, int32 []; call it before `build_train_step`.

    The number follows from the global step. So it is right after a restart too, when accumulation begins the update
    anew that was not complete.

    Args:
      accumulation_steps: as in StepOptions.
    """
    # The cast copies the value, which is that of before the update as long as a gradient depends on it.
    updates = tf.cast(tf.train.get_or_create_global_step(), tf.int32)
    if accumulation_steps == 1:
        return updates
    return updates * accumulation_steps + tf.identity(_calls_of_update())


def _calls_of_update():
    """The variable with the number of calls whose gradients are accumulated for the next update."""
    with tf.variable_scope("gradient_accumulation", reuse=tf.AUTO_REUSE):
        return _local_variable("calls", [], tf.int32, 0)


def _accumulate(gradients, variables, steps):
    """Accumulates gradients over `steps` calls, in local variables of each replica.

    Returns:
      (means, due, reset). means: list of tensors, the sums so far divided by `steps`: in the last call, the mean
      gradients. due: bool scalar tensor, whether this is the last call, so the update is due. reset: function that
      makes the op to run after the update, which sets the sums to zero if the update was due.
    """
    calls = _calls_of_update()
    with tf.variable_scope("gradient_accumulation", reuse=tf.AUTO_REUSE):
        sums = [_local_variable(_name(var), var.shape, var.dtype.base_dtype, 0.0) for var in variables]
    call = tf.identity(calls) + 1
    due = tf.equal(call, steps)
    totals = [tf.identity(total) + gradient for total, gradient in zip(sums, gradients)]

    def reset():
        # Not multiplied by 0, as a total may be infinite.
        left = [tf.where_v2(due, tf.zeros_like(total), total) for total in [call] + totals]
        return tf.group(*[var.assign(value) for var, value in zip([calls] + sums, left)])

    return [total / float(steps) for total in totals], due, reset


def _local_variable(name, shape, dtype, value):
    """A variable that each replica has for itself and that no checkpoint holds."""
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
        return tf.get_variable(
            name,
            shape,
            dtype,
            tf.constant_initializer(value),
            trainable=False,
            collections=[tf.GraphKeys.LOCAL_VARIABLES],
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )


def _adjust(factor, finite, due):
    """The op that adjusts the loss scale: halved if gradients are not finite, doubled after many steps where they are.

    Args:
      factor: variable, the loss scale.
      finite: bool scalar tensor, whether the gradients of this update are finite.
      due: bool scalar tensor or True; where it is false the op changes nothing.
    """
    good_steps = _local_variable("loss_scale/good_steps", [], tf.int32, 0)
    good = tf.where_v2(finite, good_steps + 1, 0)
    grows = good >= LOSS_SCALE_GROWS_AFTER
    grown = tf.minimum(tf.where_v2(grows, factor * 2.0, tf.identity(factor)), LARGEST_LOSS_SCALE)
    adjusted = tf.where_v2(finite, grown, tf.maximum(factor / 2.0, 1.0))
    return tf.group(
        factor.assign(tf.where_v2(due, adjusted, tf.identity(factor))),
        good_steps.assign(tf.where_v2(due, tf.where_v2(grows, 0, good), tf.identity(good_steps))),
    )


class AdamWeightDecayOptimizer(tf.train.Optimizer):
    """Adam without bias correction, with decoupled weight decay (Loshchilov and Hutter, 2017).

    With gradient g, slots m and v and rate lr:
      m = beta_1 * m + (1 - beta_1) * g
      v = beta_2 * v + (1 - beta_2) * g^2
      var -= lr * (m / (sqrt(v) + epsilon) + weight_decay_rate * var)

    Slots are saved as `<variable>/adam_m` and `<variable>/adam_v`.

    As Google's, `apply_gradients` and `minimize` do not advance the global step, even if they are given one: whoever
    builds the training op does, once an update.

    Args:
      learning_rate: float or scalar tensor.
      weight_decay_rate: as in the formula.
      beta_1, beta_2: decay rates of the moments m and v.
      epsilon: as in the formula.
      exclude_from_weight_decay: list of regular expressions; a variable whose name one of them finds has no decay.
      name: name for the ops.
      options: UpdateOptions. The arguments before it are those of Google's optimizer.
    """

    def __init__(
        self,
        learning_rate,
        weight_decay_rate=0.0,
        beta_1=BETA_1,
        beta_2=BETA_2,
        epsilon=1e-6,
        exclude_from_weight_decay=None,
        name="AdamWeightDecayOptimizer",
        options=UPDATE_DEFAULTS,
    ):
        super().__init__(use_locking=False, name=name)
        self.learning_rate = learning_rate
        self.weight_decay_rate = weight_decay_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.exclude_from_weight_decay = exclude_from_weight_decay
        self.options = options
        self._update = kernels.compiled(self._moved) if options.fused else self._moved

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        """As every optimizer's, but `global_step` is ignored. Pairs without a gradient are left out."""
        del global_step
        return super().apply_gradients(grads_and_vars, name=name)

    def _create_slots(self, var_list):
        for var in var_list:
            self._zeros_slot(var, "m", "adam_m")
            self._zeros_slot(var, "v", "adam_v")

    def _apply_dense(self, grad, var):
        """The op that updates one variable and its slots."""
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        name = _name(var)
        multiplier = self.options.lr_multiplier
        rate = self.learning_rate if multiplier is None else self.learning_rate * multiplier(name)
        decay = self.weight_decay_rate if self._decays(name) else 0.0
        due = True if self.options.apply_when is None else self.options.apply_when
        scalars = rate, decay, self.options.gradient_scale, *self.options.corrections
        scalars = [tf.cast(scalar, var.dtype.base_dtype) for scalar in scalars]
        moved = self._update(*[tf.convert_to_tensor(x) for x in (var, m, v, grad, *scalars, due)])
        # Compute all new values before any variable changes: reading a reference variable gives an alias of it.
        with tf.control_dependencies(moved):
            return tf.group(*[old.assign(new) for old, new in zip((var, m, v), moved)])

    def _moved(self, var, m, v, gradient, rate, decay, scale, correct_m, correct_v, due):
        """New values of a variable and its moments; the old ones where `due` is false.

        Args:
          var, m, v, gradient: tensors of the variable's shape.
          rate, decay, scale, correct_m, correct_v: scalar tensors.
          due: bool scalar tensor.
        """
        gradient = tf.cast(gradient, var.dtype) * scale
        next_m = self.beta_1 * m + (1.0 - self.beta_1) * gradient
        next_v = self.beta_2 * v + (1.0 - self.beta_2) * tf.square(gradient)
        moved = correct_m * next_m / (tf.sqrt(correct_v * next_v) + self.epsilon)
        next_var = var - rate * (moved + decay * var)
        if self.options.apply_when is None:
            return next_var, next_m, next_v
        return tuple(tf.where_v2(due, new, old) for new, old in ((next_var, var), (next_m, m), (next_v, v)))

    def _resource_apply_dense(self, grad, handle):
        return self._apply_dense(grad, handle)

    def _apply_sparse(self, grad, var):
        # The moments of all rows decay in every step, so there is no sparse update.
        return self._apply_dense(tf.convert_to_tensor(grad), var)

    def _resource_apply_sparse(self, grad, handle, indices):
        return self._apply_dense(tf.convert_to_tensor(tf.IndexedSlices(grad, indices, handle.shape)), handle)

    def _decays(self, name):
        if not self.weight_decay_rate:
            return False
        return not any(re.search(pattern, name) for pattern in self.exclude_from_weight_decay or ())
