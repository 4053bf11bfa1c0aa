"""An Estimator on public tf.compat.v1, for TensorFlow from 2.16 on, which has none any more.

Names, arguments and behaviour are those of tf.estimator in TensorFlow 2.15, so that model functions and input functions
written for it run unchanged. Left out, because nothing here needs it: warm starts, exports, feature columns, canned
models, parameter servers and TPUs.

In: a model function and an input function. Out: checkpoints and summaries in model_dir, metrics, predictions.
"""

import contextlib
import logging
import os
import tempfile

import numpy as np
import tensorflow.compat.v1 as tf

from bert.runtime import estimator_inputs, estimator_session
from bert.runtime.estimator_types import EstimatorSpec, ModeKeys, RunConfig

log = logging.getLogger(__name__)

GLOBAL_STEP_READ = "global_step_read_op_cache"  # the collection in which TensorFlow's hooks look for it


class Estimator:
    """Trains and uses the model that a model function builds.

    Args:
      model_fn: function of `features` and, as far as it takes them, `labels`, `mode`, `params`, `config`; returns
        EstimatorSpec.
      model_dir: directory of checkpoints and summaries; default: that of `config`, or a new temporary one.
      config: RunConfig.
      params: dict, handed to model_fn and input_fn.
      warm_start_from: must be None.
    """

    def __init__(self, model_fn, model_dir=None, config=None, params=None, warm_start_from=None):
        if warm_start_from is not None:
            raise ValueError(
                "warm_start_from: not supported from TensorFlow 2.16 on; use tf.train.init_from_checkpoint"
            )
        config = config or RunConfig()
        if model_dir and config.model_dir and model_dir != config.model_dir:
            raise ValueError(f"model_dir {model_dir} and config.model_dir {config.model_dir}: expected the same")
        model_dir = model_dir or config.model_dir or tempfile.mkdtemp()
        self._config = config.replace(model_dir=model_dir)
        self._model_fn = model_fn
        self._params = dict(params or {})

    @property
    def model_dir(self):
        return self._config.model_dir

    @property
    def config(self):
        return self._config

    @property
    def params(self):
        """A copy of the params."""
        return dict(self._params)

    @property
    def model_fn(self):
        """The model function as a function of features, labels, mode and config."""

        def public_model_fn(features, labels, mode, config):
            return self._call_model_fn(features, labels, mode, config)

        return public_model_fn

    def latest_checkpoint(self):
        """The prefix of the newest checkpoint, or None."""
        return tf.train.latest_checkpoint(self.model_dir)

    def get_variable_names(self):
        """The names of the variables in the newest checkpoint, a list."""
        return sorted(tf.train.NewCheckpointReader(self._needed_checkpoint()).get_variable_to_shape_map())

    def get_variable_value(self, name):
        """The value of a variable in the newest checkpoint, a numpy array."""
        return tf.train.NewCheckpointReader(self._needed_checkpoint()).get_tensor(name)

    def _needed_checkpoint(self):
        prefix = self.latest_checkpoint()
        if not prefix:
            raise ValueError(f"Could not find trained model in model_dir: {self.model_dir}.")
        return prefix

    def train(self, input_fn, hooks=None, steps=None, max_steps=None, saving_listeners=None):
        """Trains, from the newest checkpoint on where there is one, until the input or the steps end.

        Args:
          input_fn: function that gives a tf.data.Dataset of (features, labels), or tensors.
          hooks: session hooks.
          steps: how many steps to train.
          max_steps: global step at which to end; only one of the two.
          saving_listeners: CheckpointSaverListeners, told of every checkpoint.

        Returns:
          The Estimator.
        """
        if steps is not None and max_steps is not None:
            raise ValueError("Can not provide both steps and max_steps.")
        for name, value in (("steps", steps), ("max_steps", max_steps)):
            if value is not None and value <= 0:
                raise ValueError(f"Must specify {name} > 0, given: {value}")
        if max_steps is not None and _saved_step(self.model_dir) >= max_steps:
            log.info("Skipping training since max_steps has already saved.")
            return self
        hooks = list(hooks or ())
        if steps is not None or max_steps is not None:
            hooks.append(tf.train.StopAtStepHook(steps, max_steps))
        strategy = self._config.train_distribute
        with tf.Graph().as_default():
            tf.set_random_seed(self._config.tf_random_seed)
            if strategy is None:
                with tf.device(self._config.device_fn):
                    tf.train.create_global_step()
                    features, labels, input_hooks = self._inputs(input_fn, ModeKeys.TRAIN)
                    spec = self._call_model_fn(features, labels, ModeKeys.TRAIN)
                self._run_training(spec, [*input_hooks, *hooks], saving_listeners)
            else:
                # Under it the optimizers of tf.train divide losses by the number of replicas.
                with strategy.scope(), getattr(strategy, "_scale_loss_for_estimator_enabled", contextlib.nullcontext)():
                    step = tf.train.create_global_step()
                    # Read here, for all hooks: in a replica's thread it would be read for that replica.
                    tf.add_to_collection(GLOBAL_STEP_READ, strategy.extended.read_var(step))
                    spec, input_hooks = self._replicated_spec(input_fn, strategy)
                    self._run_training(spec, [*input_hooks, *hooks], saving_listeners)
        return self

    def _run_training(self, spec, hooks, saving_listeners):
        """Runs the training of the default graph to its end."""
        config = self._config
        if not any(op.name == "loss" for op in tf.get_default_graph().get_collection(tf.GraphKeys.SUMMARIES)):
            tf.summary.scalar("loss", spec.loss)
        estimator_session.add_saver(spec.scaffold, config)
        hooks = [*hooks, tf.train.NanTensorHook(spec.loss), *spec.training_hooks]
        if config.log_step_count_steps is not None:
            shown = {"loss": spec.loss, "step": tf.train.get_global_step()}
            hooks.append(tf.train.LoggingTensorHook(shown, every_n_iter=config.log_step_count_steps))
        chief_hooks = []
        if config.is_chief:
            chief_hooks = [*spec.training_chief_hooks, *self._saving_hooks(spec, hooks, saving_listeners)]
        session_config, master = estimator_session.prepare(config)
        ran = False
        # Each task of several is the chief of its own session: all of them initialise and restore their variables.
        with tf.train.MonitoredTrainingSession(
            master,
            is_chief=True,
            checkpoint_dir=self.model_dir,
            scaffold=spec.scaffold,
            hooks=hooks,
            chief_only_hooks=chief_hooks,
            save_checkpoint_secs=None,
            save_summaries_steps=config.save_summary_steps if config.is_chief else None,
            save_summaries_secs=None,
            config=session_config,
            log_step_count_steps=config.log_step_count_steps if config.is_chief else None,
        ) as session:
            while not session.should_stop():
                session.run([spec.train_op, spec.loss])
                ran = True
        if not ran:
            log.warning("Training made no step: perhaps the input is empty.")

    def _saving_hooks(self, spec, hooks, listeners):
        """The hook that saves checkpoints, in a list. The listeners go to a saver among the hooks, if there is one."""
        config = self._config
        hooks = [*hooks, *spec.training_chief_hooks]
        savers = [hook for hook in hooks if isinstance(hook, tf.train.CheckpointSaverHook)]
        if savers:
            savers[0]._listeners.extend(listeners or ())
            return []
        if not (config.save_checkpoints_steps or config.save_checkpoints_secs):
            if listeners:
                raise ValueError("saving_listeners: expected save_checkpoints_steps or save_checkpoints_secs with them")
            return []
        return [
            tf.train.CheckpointSaverHook(
                self.model_dir,
                save_secs=config.save_checkpoints_secs,
                save_steps=config.save_checkpoints_steps,
                scaffold=spec.scaffold,
                listeners=list(listeners or ()),
            )
        ]

    def _replicated_spec(self, input_fn, strategy):
        """Builds the model on every replica of a strategy.

        Returns:
          (EstimatorSpec, input hooks); the loss is the sum over replicas, the hooks are those of the first one.
        """
        specs, input_hooks = self._on_replicas(
            lambda features, labels: self._call_model_fn(features, labels, ModeKeys.TRAIN),
            input_fn,
            ModeKeys.TRAIN,
            strategy,
        )

        def of_first(per_replica):
            return [strategy.experimental_local_results(hook)[0] for hook in per_replica]

        spec = EstimatorSpec(
            ModeKeys.TRAIN,
            loss=strategy.reduce(tf.distribute.ReduceOp.SUM, specs.loss, axis=None),
            train_op=strategy.group(specs.train_op),
            training_hooks=of_first(specs.training_hooks),
            training_chief_hooks=of_first(specs.training_chief_hooks),
            scaffold=estimator_session.join_scaffolds(strategy.experimental_local_results(specs.scaffold)),
        )
        return spec, input_hooks

    def _on_replicas(self, build, input_fn, mode, strategy):
        """Calls build(features, labels) for the input of each replica: (its results, each per replica; input hooks)."""
        iterator = strategy.make_input_fn_iterator(lambda context: self._call_input_fn(input_fn, mode, context))
        features, labels = estimator_inputs.features_and_labels(iterator.get_next())
        results = strategy.extended.call_for_each_replica(build, args=(features, labels))
        return results, [estimator_inputs.Initializer(iterator.initialize)]

    def evaluate(self, input_fn, steps=None, hooks=None, checkpoint_path=None, name=None):
        """Evaluates a checkpoint.

        Args:
          input_fn: as of `train`.
          steps: batches to evaluate; default: until the input ends.
          hooks: session hooks.
          checkpoint_path: prefix; default: the newest one, and without one the initial values.
          name: of the directory of the summaries, eval_NAME; default: eval.

        Returns:
          dict from the name of each metric to its value; `loss`, the mean over batches, and `global_step` among them.
        """
        if steps is not None and steps <= 0:
            raise ValueError(f"Must specify steps > 0, given: {steps}")
        checkpoint_path = checkpoint_path or self.latest_checkpoint()
        with tf.Graph().as_default():
            tf.set_random_seed(self._config.tf_random_seed)
            step = tf.train.create_global_step()
            spec, input_hooks = self._evaluation_spec(input_fn)
            values = {metric: value for metric, (value, _) in spec.eval_metric_ops.items()}
            final = tf.train.FinalOpsHook(dict(values, global_step=step))
            scaffold = spec.scaffold
            if scaffold.local_init_op is not None:
                local_init_op = tf.group(scaffold.local_init_op, tf.train.Scaffold.default_local_init_op())
                scaffold = tf.train.Scaffold(local_init_op=local_init_op, copy_from_scaffold=scaffold)
            creator = tf.train.ChiefSessionCreator(
                scaffold,
                config=self._config.session_config,
                checkpoint_filename_with_path=checkpoint_path,
            )
            updates = [update for _, update in spec.eval_metric_ops.values()]
            with tf.train.MonitoredSession(
                creator, [*input_hooks, *(hooks or ()), *spec.evaluation_hooks, final]
            ) as session:
                done = 0
                while not session.should_stop() and (steps is None or done < steps):
                    session.run(updates)
                    done += 1
        results = final.final_ops_values
        _write_summary(os.path.join(self.model_dir, f"eval_{name}" if name else "eval"), results)
        return results

    def _evaluation_spec(self, input_fn):
        """Builds the model for evaluation: (EstimatorSpec whose metrics have the loss, input hooks)."""
        strategy = self._config.eval_distribute
        if strategy is None:
            features, labels, input_hooks = self._inputs(input_fn, ModeKeys.EVAL)
            return self._call_with_loss_metric(features, labels), input_hooks
        with strategy.scope():
            specs, input_hooks = self._on_replicas(self._call_with_loss_metric, input_fn, ModeKeys.EVAL, strategy)
            metrics = {
                name: (strategy.experimental_local_results(value)[0], strategy.group(update))
                for name, (value, update) in specs.eval_metric_ops.items()
            }
            loss = strategy.experimental_local_results(specs.loss)[0]
            return EstimatorSpec(ModeKeys.EVAL, loss=loss, eval_metric_ops=metrics), input_hooks

    def _call_with_loss_metric(self, features, labels):
        spec = self._call_model_fn(features, labels, ModeKeys.EVAL)
        if "global_step" in spec.eval_metric_ops:
            raise ValueError("Metric with name `global_step` is not allowed: an Estimator adds it itself.")
        return spec._replace(eval_metric_ops=dict({"loss": tf.metrics.mean(spec.loss)}, **spec.eval_metric_ops))

    def predict(self, input_fn, predict_keys=None, hooks=None, checkpoint_path=None, yield_single_examples=True):
        """Yields the predictions for each example of the input, or for each batch.

        Args:
          input_fn: as of `train`; labels are not used.
          predict_keys: names of the predictions to yield; default: all.
          hooks: session hooks.
          checkpoint_path: prefix; default: the newest one, and without one the initial values.
          yield_single_examples: whether to take batches apart.

        Yields:
          dict from name to numpy value, or one numpy value where the model predicts a single tensor.
        """
        checkpoint_path = checkpoint_path or self.latest_checkpoint()
        with tf.Graph().as_default():
            tf.set_random_seed(self._config.tf_random_seed)
            tf.train.create_global_step()
            features, _, input_hooks = self._inputs(input_fn, ModeKeys.PREDICT)
            spec = self._call_model_fn(features, None, ModeKeys.PREDICT)
            predictions = _chosen(spec.predictions, predict_keys)
            creator = tf.train.ChiefSessionCreator(
                spec.scaffold,
                config=self._config.session_config,
                checkpoint_filename_with_path=checkpoint_path,
            )
            hooks = [*input_hooks, *(hooks or ()), *spec.prediction_hooks]
            with tf.train.MonitoredSession(creator, hooks) as session:
                while not session.should_stop():
                    batch = session.run(predictions)
                    if yield_single_examples:
                        yield from _examples(batch)
                    else:
                        yield batch

    def _call_input_fn(self, input_fn, mode, context=None):
        given = {"mode": mode, "params": self.params, "config": self._config, "input_context": context}
        return input_fn(**estimator_inputs.taken(input_fn, given))

    def _inputs(self, input_fn, mode):
        """(features, labels or None, hooks that start the input)."""
        with tf.device("/cpu:0"):
            inputs = self._call_input_fn(input_fn, mode)
            hooks = []
            if isinstance(inputs, (tf.data.Dataset, tf.compat.v2.data.Dataset)):
                iterator = tf.data.make_initializable_iterator(inputs)
                hooks = [estimator_inputs.Initializer(lambda: iterator.initializer)]
                inputs = iterator.get_next()
        return (*estimator_inputs.features_and_labels(inputs), hooks)

    def _call_model_fn(self, features, labels, mode, config=None):
        given = {"labels": labels, "mode": mode, "params": self.params, "config": config or self._config}
        taken = estimator_inputs.taken(self._model_fn, given)
        if labels is not None and "labels" not in taken:
            raise ValueError("model_fn does not take labels, but input_fn returns labels.")
        spec = self._model_fn(features, **taken)
        if not isinstance(spec, EstimatorSpec):
            raise ValueError(f"model_fn returned {type(spec).__name__}; expected an EstimatorSpec")
        return spec


def _chosen(predictions, keys):
    """Those of the predictions that are asked for."""
    if not keys:
        return predictions
    if not isinstance(predictions, dict):
        raise ValueError("predict_keys argument is not valid in case of non-dict predictions.")
    chosen = {name: value for name, value in predictions.items() if name in keys}
    if not chosen:
        raise ValueError(f"Expected to run at least one output from {sorted(predictions)}, provided {keys}.")
    return chosen


def _examples(batch):
    """The predictions for each example of a batch."""
    if not isinstance(batch, dict):
        yield from batch
        return
    sizes = {len(value) for value in batch.values()}
    if len(sizes) > 1:
        raise ValueError(f"the predictions have batches of {sorted(sizes)}; expected one size")
    for i in range(sizes.pop()):
        yield {name: value[i] for name, value in batch.items()}


def _saved_step(model_dir):
    """The global step of the newest checkpoint, 0 without one."""
    prefix = tf.train.latest_checkpoint(model_dir)
    return int(tf.train.NewCheckpointReader(prefix).get_tensor("global_step")) if prefix else 0


def _write_summary(directory, results):
    """Writes the results of an evaluation for TensorBoard."""
    writer = tf.summary.FileWriterCache.get(directory)
    summary = tf.Summary()
    for name, value in sorted(results.items()):
        if name != "global_step" and np.ndim(value) == 0 and isinstance(value, (np.number, int, float)):
            summary.value.add(tag=name, simple_value=float(value))
    writer.add_summary(summary, int(results["global_step"]))
    writer.flush()
