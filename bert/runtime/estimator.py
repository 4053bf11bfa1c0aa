"""Where the Estimator comes from: TensorFlow's own up to 2.15, and from 2.16 on, which has none, the project's.

Both have the same names, arguments and behaviour, see own_estimator.py. All other modules take them from here:

    from bert.runtime import estimator

    estimator.Estimator(model_fn, model_dir, estimator.RunConfig()).train(input_fn, max_steps=100)
"""

import tensorflow.compat.v1 as tf

IS_TENSORFLOWS = hasattr(tf, "estimator")

if IS_TENSORFLOWS:
    Estimator = tf.estimator.Estimator
    EstimatorSpec = tf.estimator.EstimatorSpec
    EvalSpec = tf.estimator.EvalSpec
    ModeKeys = tf.estimator.ModeKeys
    RunConfig = tf.estimator.RunConfig
    TrainSpec = tf.estimator.TrainSpec
    train_and_evaluate = tf.estimator.train_and_evaluate
else:
    from bert.runtime.estimator_types import EstimatorSpec, EvalSpec, ModeKeys, RunConfig, TrainSpec  # noqa: F401
    from bert.runtime.own_estimator import Estimator  # noqa: F401
    from bert.runtime.train_and_evaluate import train_and_evaluate  # noqa: F401
