"""Adam with decoupled weight decay, BERT's learning-rate schedule, and the training op that puts them together.

The same update results from one device on the whole batch and from N replicas on a share each, and from one large
batch and from several accumulated ones: gradients are averaged first, clipped after.
"""

import collections
import re

import tensorflow.compat.v1 as tf

# Biases and normalisation parameters are not pulled towards zero.
NO_WEIGHT_DECAY = ("LayerNorm", "layer_norm", "bias")


def learning_rate_at(global_step, init_lr, num_train_steps, num_warmup_steps):
    """The learning rate of a step: linear warm-up from 0, then linear decay that reaches 0 at num_train_steps.

    The decay counts from step 0, so the rate right after the warm-up is init_lr * (1 - warm-up share).

    Args:
      global_step: int scalar tensor, updates done so far.

    Returns:
      float32 scalar tensor.
    """
    step = tf.cast(global_step, tf.float32)
    decayed = init_lr * (1.0 - tf.minimum(step / float(num_train_steps), 1.0))
    if not num_warmup_steps:
        return decayed
    warming = init_lr * step / float(num_warmup_steps)
    return tf.where(step < float(num_warmup_steps), warming, decayed)


TrainStep = collections.namedtuple("TrainStep", ["train_op", "learning_rate", "gradient_norm"])


def create_optimizer(loss, init_lr, num_train_steps, num_warmup_steps, use_tpu):
    """The training op of `build_train_step` with its defaults.

    `use_tpu` is there for the interface: what is done over replicas follows the tf.distribute strategy in force.
    """
    del use_tpu
    return build_train_step(loss, init_lr, num_train_steps, num_warmup_steps).train_op


def build_train_step(
    loss,
    init_lr,
    num_train_steps,
    num_warmup_steps,
    clip_norm=1.0,
    var_list=None,
    lr_multiplier=None,
    accumulation_steps=1,
):
    """One training step: gradients, mean over replicas, clipping, update, global step.

    Call it in replica context (inside a model function), once for each replica.

    Args:
      loss: scalar, the mean over this replica's examples.
      init_lr: peak learning rate.
      num_train_steps: updates over which the rate decays to 0.
      num_warmup_steps: updates over which it rises from 0; 0 or None for none.
      clip_norm: largest global norm of the gradients of one update.
      var_list: variables to train; default: all trainable ones.
      lr_multiplier: function from a variable's name to a factor on its learning rate; default: 1 for all.
      accumulation_steps: calls whose gradients are averaged into one update. The global step counts updates.

    Returns:
      TrainStep: the op, and the learning rate and gradient norm (before clipping) of the step as scalars.
    """
    global_step = tf.train.get_or_create_global_step()
    learning_rate = learning_rate_at(global_step, init_lr, num_train_steps, num_warmup_steps)
    variables = tf.trainable_variables() if var_list is None else list(var_list)
    pairs = [pair for pair in zip(tf.gradients(loss, variables), variables) if pair[0] is not None]
    variables = [var for _, var in pairs]
    # Rows of a sparse gradient that occur twice have to be added up before a norm means anything.
    gradients = _mean_over_replicas([tf.convert_to_tensor(gradient) for gradient, _ in pairs])

    due = None
    if accumulation_steps > 1:
        gradients, due, reset = _accumulate(gradients, variables, accumulation_steps)
    clipped, norm = tf.clip_by_global_norm(gradients, clip_norm)

    optimizer = AdamWeightDecayOptimizer(
        learning_rate=learning_rate,
        weight_decay_rate=0.01,
        exclude_from_weight_decay=NO_WEIGHT_DECAY,
        lr_multiplier=lr_multiplier,
        apply_when=due,
    )
    # A tf.train.Optimizer adds gradients up over replicas; these are the mean already and equal on all of them.
    share = 1.0 / tf.distribute.get_strategy().num_replicas_in_sync
    to_apply = [(gradient * share, var) for gradient, var in zip(clipped, variables)]
    if due is None:
        return TrainStep(optimizer.apply_gradients(to_apply, global_step=global_step), learning_rate, norm)
    applied = optimizer.apply_gradients(to_apply)
    with tf.control_dependencies([applied]):
        advance = global_step.assign_add(tf.cast(due, global_step.dtype))
        return TrainStep(tf.group(reset(), advance), learning_rate, norm)


def _name(var):
    """The variable's name in a checkpoint; a replica's copy has that of the variable it is a copy of."""
    return re.sub(r"/replica_\d+$", "", var.op.name)


def _mean_over_replicas(gradients):
    """Each gradient averaged over the replicas of the strategy in force; the same on every one of them."""
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return gradients

    def reduce(strategy, *per_replica):
        return strategy.extended.batch_reduce_to(
            tf.distribute.ReduceOp.MEAN, [(gradient, gradient) for gradient in per_replica]
        )

    return tf.distribute.get_replica_context().merge_call(reduce, args=tuple(gradients))


def _accumulate(gradients, variables, steps):
    """Adds gradients up over `steps` calls, in variables that live on each replica and in no checkpoint.

    Returns:
      (means, due, reset): the mean of the gradients so far in this round, whether the round is complete (bool
      scalar), and a function that makes the op which, run after the update, empties the sums of a complete round.
    """

    def local_zeros(name, shape, dtype):
        return tf.get_variable(
            name,
            shape,
            dtype,
            tf.zeros_initializer(),
            trainable=False,
            collections=[tf.GraphKeys.LOCAL_VARIABLES],
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    with tf.variable_scope("gradient_accumulation", reuse=tf.AUTO_REUSE):
        calls = local_zeros("calls", [], tf.int32)
        sums = [local_zeros(_name(var), var.shape, var.dtype.base_dtype) for var in variables]
    call = tf.identity(calls) + 1
    due = tf.equal(call, steps)
    totals = [tf.identity(total) + gradient for total, gradient in zip(sums, gradients)]

    def reset():
        keep = tf.logical_not(due)
        stored = [var.assign(total * tf.cast(keep, total.dtype)) for var, total in zip(sums, totals)]
        return tf.group(calls.assign(call * tf.cast(keep, tf.int32)), *stored)

    return [total / float(steps) for total in totals], due, reset


class AdamWeightDecayOptimizer(tf.train.Optimizer):
    """Adam without bias correction, with decoupled weight decay (Loshchilov and Hutter, 2017).

    With gradient g, slots m and v and rate lr:
      m = beta_1 * m + (1 - beta_1) * g
      v = beta_2 * v + (1 - beta_2) * g^2
      var -= lr * (m / (sqrt(v) + epsilon) + weight_decay_rate * var)

    Slots are saved as `<variable>/adam_m` and `<variable>/adam_v`.

    Args:
      learning_rate: float or scalar tensor.
      weight_decay_rate: decay a step, in units of the learning rate.
      beta_1, beta_2: decay of the two moments.
      epsilon: added to the root of the second moment.
      exclude_from_weight_decay: regular expressions, searched for in variable names, of what does not decay.
      name: name of the ops made.
      lr_multiplier: function from a variable's name to a factor on its learning rate.
      apply_when: bool scalar tensor; where it is false a step leaves variables and slots as they are.
    """

    def __init__(
        self,
        learning_rate,
        weight_decay_rate=0.0,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-6,
        exclude_from_weight_decay=None,
        name="AdamWeightDecayOptimizer",
        lr_multiplier=None,
        apply_when=None,
    ):
        super().__init__(use_locking=False, name=name)
        self.learning_rate = learning_rate
        self.weight_decay_rate = weight_decay_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.exclude_from_weight_decay = exclude_from_weight_decay
        self.lr_multiplier = lr_multiplier
        self.apply_when = apply_when

    def _create_slots(self, var_list):
        for var in var_list:
            self._zeros_slot(var, "m", "adam_m")
            self._zeros_slot(var, "v", "adam_v")

    def _apply_dense(self, grad, var):
        """The op that moves one variable and its slots by one step."""
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        next_m = self.beta_1 * m + (1.0 - self.beta_1) * grad
        next_v = self.beta_2 * v + (1.0 - self.beta_2) * tf.square(grad)
        step = next_m / (tf.sqrt(next_v) + self.epsilon)
        name = _name(var)
        if self._decays(name):
            step += self.weight_decay_rate * var
        rate = self.learning_rate if self.lr_multiplier is None else self.learning_rate * self.lr_multiplier(name)
        step *= tf.cast(rate, step.dtype)
        if self.apply_when is not None:
            # No tf.cond around the assignments: that of TensorFlow 2 takes no reference variables.
            step = tf.where(self.apply_when, step, tf.zeros_like(step))
            next_m, next_v = tf.where(self.apply_when, next_m, m), tf.where(self.apply_when, next_v, v)
        # The new values are computed before any variable changes: on reference variables a read is an alias.
        with tf.control_dependencies([next_m, next_v, step]):
            return tf.group(var.assign_sub(step), m.assign(next_m), v.assign(next_v))

    def _resource_apply_dense(self, grad, handle):
        return self._apply_dense(grad, handle)

    def _apply_sparse(self, grad, var):
        # Every row's moments decay at every step, so nothing is gained by touching only the rows with a gradient.
        return self._apply_dense(tf.convert_to_tensor(grad), var)

    def _resource_apply_sparse(self, grad, handle, indices):
        return self._apply_dense(tf.convert_to_tensor(tf.IndexedSlices(grad, indices, handle.shape)), handle)

    def _decays(self, name):
        if not self.weight_decay_rate:
            return False
        return not any(re.search(pattern, name) for pattern in self.exclude_from_weight_decay or ())
