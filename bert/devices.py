"""What the programs know about devices: which are used, how sessions are set up, the Estimator's RunConfig."""

import os

import tensorflow.compat.v1 as tf


def prepare(device_map=None):
    """Call once, before any graph is built: TensorFlow's mode, and the GPUs that may be used.

    Args:
      device_map: value for CUDA_VISIBLE_DEVICES, as "0,1"; None leaves the environment's.
    """
    if device_map is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device_map
    tf.disable_eager_execution()
    tf.enable_resource_variables()


def session_config():
    """tf.ConfigProto of every session: GPU memory is taken as it is needed, not all at once."""
    config = tf.ConfigProto(allow_soft_placement=True)
    config.gpu_options.allow_growth = True
    return config


def run_config(model_dir, seed, save_summary_steps, keep_checkpoint_max=5, strategy=None):
    """The Estimator's RunConfig; checkpoints and the log are left to the hooks of training.

    Args:
      model_dir: directory of the checkpoints.
      seed: int, graph-level random seed.
      save_summary_steps: steps between TensorBoard summaries.
      keep_checkpoint_max: checkpoints kept.
      strategy: tf.distribute strategy to train under, or None.
    """
    return tf.estimator.RunConfig(
        model_dir=model_dir,
        tf_random_seed=seed,
        session_config=session_config(),
        keep_checkpoint_max=keep_checkpoint_max,
        save_checkpoints_steps=None,
        save_checkpoints_secs=None,
        save_summary_steps=save_summary_steps,
        log_step_count_steps=None,
        train_distribute=strategy,
    )
