"""The sessions of an Estimator for TensorFlow from 2.16 on: their configuration, their server, their Scaffold."""

import functools
import json

import tensorflow.compat.v1 as tf


def add_saver(scaffold, config):
    """Gives a Scaffold without a saver one that keeps as many checkpoints as the RunConfig says."""
    if scaffold.saver is None and not tf.get_collection(tf.GraphKeys.SAVERS):
        saver = tf.train.Saver(
            sharded=True,
            max_to_keep=config.keep_checkpoint_max,
            keep_checkpoint_every_n_hours=config.keep_checkpoint_every_n_hours,
            defer_build=True,
            save_relative_paths=True,
        )
        tf.add_to_collection(tf.GraphKeys.SAVERS, saver)


def join_scaffolds(scaffolds):
    """One Scaffold from those of the replicas: their initialisations together, the rest from the first."""

    def grouped(name):
        operations = [getattr(scaffold, name) for scaffold in scaffolds if getattr(scaffold, name) is not None]
        return tf.group(operations) if operations else None

    first = scaffolds[0]
    init_fn = first.init_fn and (lambda _, session: first.init_fn(session))
    return tf.train.Scaffold(
        init_op=grouped("init_op"),
        local_init_op=grouped("local_init_op"),
        init_feed_dict=first.init_feed_dict,
        init_fn=init_fn,
        saver=first.saver,
    )


def prepare(config):
    """(tf.ConfigProto, address) of the sessions that train; in a cluster the address of this task's server."""
    strategy, session_config = config.train_distribute, config.session_config
    cluster = {kind: tasks for kind, tasks in config.cluster_spec.as_dict().items() if kind != "evaluator"}
    if strategy is None or not cluster or config.task_type == "evaluator":
        return session_config, ""
    updated = tf.ConfigProto()
    updated.CopyFrom(session_config or tf.ConfigProto(allow_soft_placement=True))
    updated = strategy.update_config_proto(updated)
    server = _server(json.dumps(cluster), config.task_type, config.task_id, updated.SerializeToString())
    return updated, server.target


@functools.lru_cache(None)
def _server(cluster, kind, index, session_config):
    """This task's server: one in a process."""
    config = tf.ConfigProto.FromString(session_config)
    return tf.train.Server(json.loads(cluster), job_name=kind, task_index=index, config=config)
