"""A small linear model: its training by our optimizer, and in numpy float64."""

import numpy as np
import tensorflow.compat.v1 as tf

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-6
SLOTS = ("adam_m", "adam_v")
# A linear model whose variables have names of each sort: decaying, a bias, and the output layer's.
START = {
    "bert/dense/kernel": np.array([[0.5, -1.0], [2.0, 0.3], [-0.7, 1.1]]),
    "bert/dense/bias": np.array([0.2, -0.4]),
    "head/kernel": np.array([[1.5], [-0.8]]),
}


def inputs_and_targets(examples):
    """(float32 [examples, 3], float32 [examples, 1]): targets far away, so that gradients are large."""
    rng = np.random.RandomState(2)
    return rng.normal(size=[examples, 3]).astype("f"), rng.normal(loc=5, size=[examples, 1]).astype("f")


def linear_loss(inputs, targets):
    """Mean squared error of the linear model, its variables starting at START."""
    variables = {name: tf.get_variable(name, initializer=value.astype("f")) for name, value in START.items()}
    hidden = tf.matmul(inputs, variables["bert/dense/kernel"]) + variables["bert/dense/bias"]
    return tf.reduce_mean(tf.square(tf.matmul(hidden, variables["head/kernel"]) - targets))


def numpy_gradients(weights, inputs, targets):
    """The loss's gradients, worked out by hand."""
    hidden = inputs @ weights["bert/dense/kernel"] + weights["bert/dense/bias"]
    error = 2 * (hidden @ weights["head/kernel"] - targets) / len(inputs)  # [examples, 1]
    back = error @ weights["head/kernel"].T  # [examples, 2]
    return {"bert/dense/kernel": inputs.T @ back, "bert/dense/bias": back.sum(0), "head/kernel": hidden.T @ error}


def numpy_norm(gradients):
    return np.sqrt(sum((gradient**2).sum() for gradient in gradients.values()))


def numpy_adam(state, name, gradient, rate, decay, t=None):
    """One update of `state[name]` and its two moments, in place; t: its number, from 1, for bias correction."""
    m = state[name + "/adam_m"] = BETA_1 * state[name + "/adam_m"] + (1 - BETA_1) * gradient
    v = state[name + "/adam_v"] = BETA_2 * state[name + "/adam_v"] + (1 - BETA_2) * gradient**2
    if t is not None:
        m, v = m / (1 - BETA_1**t), v / (1 - BETA_2**t)
    state[name] = state[name] - rate * (m / (np.sqrt(v) + EPSILON) + decay * state[name])


def numpy_state(weights):
    """Weights and empty moments, float64, by their names in a checkpoint."""
    state = {name: np.array(value, np.float64) for name, value in weights.items()}
    state.update({f"{name}/{slot}": np.zeros(np.shape(value)) for name, value in weights.items() for slot in SLOTS})
    return state


def numpy_rate(step, init_lr, num_train_steps, num_warmup_steps):
    if step < num_warmup_steps:
        return init_lr * step / num_warmup_steps
    return init_lr * max(0.0, (num_train_steps - step) / num_train_steps)


def numpy_training(batches, init_lr, num_train_steps, num_warmup_steps, clip_norm=1.0, factors=None, corrected=False):
    """Trains the linear model on whole batches, one update each.

    Args:
      factors: dict from variable to the factor on its rate; 0 leaves it out of training and of the norm.
      corrected: whether Adam's bias is corrected.

    Returns:
      (state as numpy_state, gradient norms before clipping).
    """
    factors = factors or dict.fromkeys(START, 1.0)
    state, norms = numpy_state(START), []
    for step, (inputs, targets) in enumerate(batches):
        gradients = numpy_gradients(state, inputs.astype(np.float64), targets.astype(np.float64))
        gradients = {name: gradient for name, gradient in gradients.items() if factors[name]}
        norms.append(numpy_norm(gradients))
        rate = numpy_rate(step, init_lr, num_train_steps, num_warmup_steps)
        for name, gradient in gradients.items():
            clipped = gradient * min(1.0, clip_norm / norms[-1])
            decay = 0.0 if "bias" in name else 0.01
            numpy_adam(state, name, clipped, rate * factors[name], decay, step + 1 if corrected else None)
    return state, norms


def values_of_all(evaluate):
    """Every global variable's value by name, the global step aside."""
    values = evaluate({var.op.name: var for var in tf.global_variables()})
    return {name: value for name, value in values.items() if name != "global_step"}


def assert_same_state(found, expected, tolerance=1e-5):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance / 10, err_msg=name)


def consecutive(inputs, targets, size):
    """The data in batches."""
    return [(inputs[i : i + size], targets[i : i + size]) for i in range(0, len(inputs), size)]
