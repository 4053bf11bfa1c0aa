"""The training loop of the programs: the start of a process, the Estimator, its steps from the first to the last."""

import collections
import functools
import logging
import os

import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint, devices
from bert.system.files import make_dir
from bert.system.startup import set_up_program
from bert.training import divergence, stopping, strategies
from bert.training.distribution import DeviceRequest, Distribution, join_run

log = logging.getLogger(__name__)
KEPT_CHECKPOINTS = 5  # the newest ones
PROFILE = "profile"  # directory of -profile in -output_dir


class RunSettings(
    collections.namedtuple(
        "RunSettings", ["output_dir", "seed", "save_checkpoints_steps", "iterations_per_loop", "profile", "precision"]
    )
):
    """What every training run is given, whatever it trains: flags by their names."""

    @classmethod
    def from_dict(cls, values):
        """The RunSettings in a dict that may hold more, such as `vars` of parsed flags."""
        return cls(**{name: values[name] for name in cls._fields})

    def loop_length(self):
        """The most steps that a TPU makes at a time: it has to stop at every checkpoint."""
        return strategies.loop_length(self.iterations_per_loop, self.save_checkpoints_steps)


def start(args, batch_flag="train_batch_size"):
    """Sets devices and the log up, and takes this process's part in the run; comes first in a program that trains.

    Args:
      args: Namespace with output_dir, do_train, and the flags of flags.add_device_flags and flags.add_speed_flags.
      batch_flag: name of the flag with the batch size of training.

    Returns:
      distribution.Distribution; None where nothing is left for this process to do.

    Raises:
      UserError: devices that are asked for are not there, see distribution.join_run.
    """
    devices.prepare(args.device_map)
    set_up_program(args.verbose)
    return join_run(DeviceRequest.from_dict(vars(args), batch_flag), args.output_dir, args.do_train)


def remove_leftovers(output_dir):
    """Removes what an interrupted run left in its directory: unfinished checkpoints, and outdated ones."""
    checkpoint.remove_unfinished(output_dir)
    checkpoint.remove_outdated(output_dir, KEPT_CHECKPOINTS)


def profile_hooks(output_dir, steps):
    """The hooks of -profile, which write timelines of about five of `steps` steps to output_dir/profile."""
    folder = os.path.join(output_dir, PROFILE)
    make_dir(folder)
    return [tf.train.ProfilerHook(save_steps=max(steps // 5, 1), output_dir=folder, show_memory=False)]


def make_estimator(model_fn, settings, batch_size, distribution=None):
    """An Estimator in -output_dir; `batch_size` is in the params of model_fn and input_fn.

    Args:
      model_fn: model function.
      settings: RunSettings.
      batch_size: examples in a global batch.
      distribution: distribution.Distribution to train under; default: one device.
    """
    return strategies.make_estimator(
        model_fn,
        distribution or Distribution(),
        batch_size,
        settings.loop_length(),
        model_dir=settings.output_dir,
        seed=settings.seed,
        save_summary_steps=settings.save_checkpoints_steps,
        keep_checkpoint_max=KEPT_CHECKPOINTS,
    )


def train(settings, estimator, distribution, input_fn, num_train_steps, start_step):
    """Trains from start_step up to num_train_steps, or until a signal comes, see stopping.stoppable.

    Args:
      settings: RunSettings.
      estimator: Estimator of `make_estimator`.
      distribution: distribution.Distribution.
      input_fn: function from params to a dataset of batches of distribution.share, without end.
      num_train_steps, start_step: global steps at which training ends and begins.

    Raises:
      UserError: the loss is not a number, or the directory cannot be written to.
    """
    is_chief = distribution.task.is_chief
    forget = functools.partial(checkpoint.remove_since, settings.output_dir) if is_chief else None
    loss_check = divergence.LossCheck(divergence.remedies(precision=settings.precision), forget)
    with stopping.stoppable(settings.output_dir, num_train_steps, distribution.ends_alone, is_chief) as hooks:
        hooks = [loss_check, *hooks]
        if is_chief:
            loop = settings.loop_length() if distribution.is_tpu else 1
            listeners = [divergence.WeightCheck(loss_check)]
            saver = stopping.CheckpointSaver(settings.output_dir, settings.save_checkpoints_steps, listeners, loop)
            hooks = [*hooks, saver]
            if settings.profile:
                hooks += profile_hooks(settings.output_dir, num_train_steps - start_step)
        strategies.train(estimator, distribution, input_fn, num_train_steps, hooks)


def steps_of_training(examples, num_train_epochs, batch_size, warmup_proportion):
    """(num_train_steps, num_warmup_steps) of so many epochs over this many examples; at least one step."""
    num_train_steps = max(int(examples * num_train_epochs / batch_size), 1)
    return num_train_steps, int(num_train_steps * warmup_proportion)


def announce_training(examples, num_train_steps, batch_size, start_step, start):
    """Says in the log how long training is, and what it goes on from.

    Args:
      examples: number of examples.
      num_train_steps, batch_size, start_step: steps of training, examples a step, the step that it goes on from.
      start: what it starts from, None for random weights; init_weights.find has said what that is.
    """
    log.info("%d examples, %d steps of %d", examples, num_train_steps, batch_size)
    if start_step:
        log.info("goes on from step %d", start_step)
    elif not start:
        log.info("no -init_checkpoint: the encoder starts from random weights")
