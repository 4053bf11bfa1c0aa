"""What an Estimator is given and what a model function returns, for TensorFlow from 2.16 on; see own_estimator.py."""

import collections
import json
import os

import tensorflow.compat.v1 as tf


class ModeKeys:
    """What a model function builds its graph for."""

    TRAIN = "train"
    EVAL = "eval"
    PREDICT = "infer"


_SPEC_FIELDS = (
    "mode predictions loss train_op eval_metric_ops export_outputs training_chief_hooks training_hooks scaffold "
    "evaluation_hooks prediction_hooks"
)
_NEEDED = {ModeKeys.TRAIN: ("loss", "train_op"), ModeKeys.EVAL: ("loss",), ModeKeys.PREDICT: ("predictions",)}


# A plain namedtuple, so that a strategy can pack the replicas' specs into one.
class EstimatorSpec(collections.namedtuple("EstimatorSpec", _SPEC_FIELDS)):
    """What a model function returns.

    Args:
      mode: of ModeKeys.
      predictions: tensor, or dict of tensors; needed to predict.
      loss: scalar; needed to train and to evaluate.
      train_op: operation of one step; needed to train.
      eval_metric_ops: dict from name to (value, update_op), as tf.metrics gives them.
      export_outputs: not used here.
      training_chief_hooks, training_hooks, evaluation_hooks, prediction_hooks: iterables of session hooks.
      scaffold: tf.train.Scaffold, or None.

    Raises:
      ValueError: the mode is unknown, or something is missing that the mode needs.
    """

    __slots__ = ()

    def __new__(
        cls,
        mode,
        predictions=None,
        loss=None,
        train_op=None,
        eval_metric_ops=None,
        export_outputs=None,
        training_chief_hooks=None,
        training_hooks=None,
        scaffold=None,
        evaluation_hooks=None,
        prediction_hooks=None,
    ):
        if mode not in _NEEDED:
            raise ValueError(f"mode {mode!r}: expected one of {', '.join(_NEEDED)}")
        given = {"predictions": predictions, "loss": loss, "train_op": train_op}
        for name in _NEEDED[mode]:
            if given[name] is None:
                raise ValueError(f"Missing {name}: a model function has to give it in mode {mode!r}")
        if loss is not None:
            loss = tf.convert_to_tensor(loss)
            if loss.shape.num_elements() not in (None, 1):
                raise ValueError(f"loss has the shape {loss.shape}; expected a scalar")
            loss = loss if loss.shape.rank == 0 else tf.reshape(loss, [])
        for name, metric in (eval_metric_ops or {}).items():
            if not isinstance(metric, tuple) or len(metric) != 2:
                raise ValueError(f"eval_metric_ops[{name!r}] is {metric!r}; expected (value, update_op)")
        return super().__new__(
            cls,
            mode,
            {} if predictions is None else predictions,
            loss,
            train_op,
            eval_metric_ops or {},
            export_outputs,
            tuple(training_chief_hooks or ()),
            tuple(training_hooks or ()),
            scaffold or tf.train.Scaffold(),
            tuple(evaluation_hooks or ()),
            tuple(prediction_hooks or ()),
        )


TrainSpec = collections.namedtuple("TrainSpec", "input_fn max_steps hooks saving_listeners", defaults=[None, (), ()])
EvalSpec = collections.namedtuple(
    "EvalSpec",
    "input_fn steps name hooks exporters start_delay_secs throttle_secs",
    defaults=[100, None, (), None, 120, 600],
)

_CONFIG = collections.OrderedDict(
    model_dir=None,
    tf_random_seed=None,
    save_summary_steps=100,
    save_checkpoints_steps=None,
    save_checkpoints_secs=600,
    session_config=None,
    keep_checkpoint_max=5,
    keep_checkpoint_every_n_hours=10000,
    log_step_count_steps=100,
    train_distribute=None,
    device_fn=None,
    protocol=None,
    eval_distribute=None,
    experimental_distribute=None,
    experimental_max_worker_delay_secs=None,
    session_creation_timeout_secs=7200,
    checkpoint_save_graph_def=True,
)


class RunConfig(collections.namedtuple("RunConfig", list(_CONFIG))):
    """How an Estimator runs; names and defaults are those of tf.estimator.RunConfig.

    Only one of save_checkpoints_steps and save_checkpoints_secs counts: seconds give way to steps that are given.
    """

    def __new__(cls, *args, **kwargs):
        given = dict(zip(_CONFIG, args), **kwargs)
        steps, seconds = given.get("save_checkpoints_steps"), given.get("save_checkpoints_secs")
        if steps is not None and seconds is not None:
            raise ValueError("Can not provide both save_checkpoints_steps and save_checkpoints_secs.")
        if steps is not None:
            given["save_checkpoints_secs"] = None
        unknown = sorted(set(given) - set(_CONFIG))
        if unknown:
            raise TypeError(f"RunConfig takes no {', '.join(unknown)}")
        return super().__new__(cls, **dict(_CONFIG, **given))

    def replace(self, **kwargs):
        """A copy with other values."""
        if kwargs.get("save_checkpoints_steps") is not None:
            kwargs.setdefault("save_checkpoints_secs", None)
        return self._replace(**kwargs)

    @property
    def _task(self):
        """(type, index) of this process in the cluster of TF_CONFIG; without one it is the chief."""
        task = tf_config().get("task", {})
        return task.get("type", "chief"), int(task.get("index", 0))

    @property
    def task_type(self):
        return self._task[0]

    @property
    def task_id(self):
        return self._task[1]

    @property
    def cluster_spec(self):
        return tf.train.ClusterSpec(tf_config().get("cluster", {}))

    @property
    def is_chief(self):
        kind, index = self._task
        has_chief = "chief" in tf_config().get("cluster", {"chief": []})
        return kind == "chief" or (kind == "worker" and index == 0 and not has_chief)


def tf_config():
    return json.loads(os.environ.get("TF_CONFIG") or "{}")
