"""Training with evaluations in between, for TensorFlow from 2.16 on; see own_estimator.py."""

import time

import tensorflow.compat.v1 as tf


def train_and_evaluate(estimator, train_spec, eval_spec):
    """Trains, and evaluates the checkpoints as they are saved; one task's part of it where TF_CONFIG names several.

    Args:
      estimator: Estimator.
      train_spec: TrainSpec.
      eval_spec: EvalSpec; its exporters must be None.

    Returns:
      (result of the last evaluation, []), or None in a task of several.
    """
    if eval_spec.exporters:
        raise ValueError("exporters: not supported from TensorFlow 2.16 on")
    hooks, listeners = list(train_spec.hooks or ()), list(train_spec.saving_listeners or ())
    config = estimator.config
    if config.task_type == "ps":
        raise ValueError("parameter servers: not supported from TensorFlow 2.16 on; use TensorFlow 2.15")
    if config.task_type == "evaluator":
        _evaluate_continuously(estimator, eval_spec, train_spec.max_steps)
        return None
    if config.cluster_spec.as_dict():
        estimator.train(train_spec.input_fn, hooks, max_steps=train_spec.max_steps, saving_listeners=listeners)
        return None
    evaluation = _EvaluateSaved(estimator, eval_spec)
    listeners.append(evaluation)
    estimator.train(train_spec.input_fn, hooks, max_steps=train_spec.max_steps, saving_listeners=listeners)
    return evaluation.result, []


class _EvaluateSaved(tf.train.CheckpointSaverListener):
    """Evaluates the checkpoints of a training run, not more often than the EvalSpec's throttle_secs, and the last."""

    def __init__(self, estimator, eval_spec):
        self.result = None
        self._estimator = estimator
        self._spec = eval_spec
        self._evaluated = None  # step of the last checkpoint that was evaluated or is the one training began with
        self._time = None

    def after_save(self, session, global_step_value):
        if self._evaluated is None:
            self._evaluated, self._time = global_step_value, time.time()
        elif time.time() - self._time >= self._spec.throttle_secs:
            self._evaluate(global_step_value)

    def end(self, session, global_step_value):
        if global_step_value != self._evaluated:
            self._evaluate(global_step_value)

    def _evaluate(self, step):
        self.result = _evaluate(self._estimator, self._spec)
        self._evaluated, self._time = step, time.time()


def _evaluate(estimator, spec, checkpoint_path=None):
    return estimator.evaluate(spec.input_fn, spec.steps, spec.hooks, checkpoint_path, spec.name)


def _evaluate_continuously(estimator, spec, max_steps):
    """Evaluates each new checkpoint until that of step max_steps."""
    time.sleep(spec.start_delay_secs)
    evaluated = None
    while True:
        newest = estimator.latest_checkpoint()
        if newest and newest != evaluated:
            result = _evaluate(estimator, spec, newest)
            evaluated = newest
            if max_steps and result["global_step"] >= max_steps:
                return
        time.sleep(spec.throttle_secs)
