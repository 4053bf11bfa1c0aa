"""What the programs of this package share: their common flags, the checks of an encoder's files, and the Estimator.

The flags are Google BERT's, with its defaults.
"""

import contextlib
import logging
import os

import tensorflow.compat.v1 as tf

from bert import modeling, tokenization
from bert.runtime import checkpoint, devices
from bert.system import run_lock
from bert.system.errors import UserError
from bert.system.files import atomic_open, make_dir
from bert.system.flags import (
    add_strategy_flags,
    add_tpu_flags,
    non_negative_int,
    positive_float,
    positive_int,
    proportion,
)
from bert.system.startup import set_up_logging
from bert.training import stopping, strategies
from bert.training.distribution import Distribution, join_run

log = logging.getLogger(__name__)
PROFILE = "profile"  # directory of -profile in -output_dir


def add_encoder_flags(parser, max_seq_length=128, without_checkpoint="without it, random weights"):
    """-bert_config_file, -vocab_file, -init_checkpoint, -do_lower_case, -max_seq_length."""
    flag, switch = parser.flag_group("encoder")
    flag("bert_config_file", help="sizes of the encoder, bert_config.json")
    flag("vocab_file", help="word pieces of the encoder, one per line")
    flag("init_checkpoint", help="checkpoint (.../bert_model.ckpt), its directory or zip; " + without_checkpoint)
    switch("do_lower_case", True, help="lower-case and strip accents; false for a cased vocabulary")
    flag("max_seq_length", type=positive_int, default=max_seq_length, help="pieces, [CLS] and [SEP] included")


def add_training_flags(parser, learning_rate=5e-5, num_train_epochs=3.0):
    """Batch sizes, learning rate, epochs, checkpoints, seed."""
    flag, _ = parser.flag_group("training")
    flag("train_batch_size", type=positive_int, default=32, help="examples in a batch of training")
    flag("eval_batch_size", type=positive_int, default=8, help="examples in a batch of evaluation")
    flag("predict_batch_size", type=positive_int, default=8, help="examples in a batch of prediction")
    flag("learning_rate", type=positive_float, default=learning_rate, help="peak learning rate of Adam")
    flag("num_train_epochs", type=positive_float, default=num_train_epochs, help="times through the training data")
    flag("warmup_proportion", type=proportion, default=0.1, help="share of the steps in which the rate rises")
    add_checkpoint_flags(flag)


def add_checkpoint_flags(flag):
    """-save_checkpoints_steps and -seed."""
    flag("save_checkpoints_steps", type=positive_int, default=1000, help="steps between checkpoints")
    flag("seed", type=non_negative_int, default=42, help="of initialisation, dropout and shuffling")


def add_device_flags(parser, training=True):
    """-device_map, Google BERT's TPU flags, for training the other flags of add_strategy_flags, and -verbose."""
    flag, switch = parser.flag_group("devices")
    (add_strategy_flags if training else add_tpu_flags)(flag, switch)
    flag("master", help="accepted for old scripts; not used")
    switch("verbose", False, help="show TensorFlow's own log too")


def start(args, batch_flag="train_batch_size"):
    """Sets devices and the log up, and takes this process's part in the run; comes first in a program that trains.

    Args:
      args: Namespace with the flags of `add_device_flags`.
      batch_flag: name of the flag with the batch size of training.

    Returns:
      distribution.Distribution; None where nothing is left for this process to do.

    Raises:
      UserError: devices that are asked for are not there, see distribution.join_run.
    """
    devices.prepare(args.device_map)
    set_up_logging(args.verbose)
    return join_run(args, batch_flag)


def choose_compute(args, config, steps, announce=False):
    """How the encoder computes: kernels.Compute by the flags of `add_speed_flags`, see devices.choose_compute.

    Args:
      config: BertConfig.
      steps: about how many batches will be computed.
      announce: say in the log what was chosen and why.
    """
    return devices.choose_compute(args.precision, config.hidden_size, steps, args.recompute, args.xla, announce)


def export_compute(args):
    """How an exported model computes: in float32 unless asked otherwise, and nothing compiled, as it may travel."""
    precision = "fp32" if args.precision == "auto" else args.precision
    return devices.choose_compute(precision, 0, 0, xla=False)


def profile_hooks(args, steps):
    """With -profile, the hooks that write timelines of about five of `steps` steps; else none."""
    if not args.profile:
        return []
    folder = os.path.join(args.output_dir, PROFILE)
    make_dir(folder)
    return [tf.train.ProfilerHook(save_steps=max(steps // 5, 1), output_dir=folder, show_memory=False)]


def require(args, *names):
    """UserError for the first of these flags that was not given."""
    for name in names:
        if getattr(args, name) in (None, ""):
            raise UserError(f"-{name} is missing")


def load_encoder(args, shortest=3):
    """The encoder's config and tokenizer, checked against each other and against -max_seq_length.

    Args:
      args: Namespace with bert_config_file, vocab_file, do_lower_case, max_seq_length.
      shortest: the smallest -max_seq_length that is accepted.

    Returns:
      (BertConfig, FullTokenizer).
    """
    config = modeling.BertConfig.from_json_file(args.bert_config_file)
    tokenizer = tokenization.FullTokenizer(args.vocab_file, do_lower_case=args.do_lower_case)
    if len(tokenizer.vocab) != config.vocab_size:
        raise UserError(
            f"{args.vocab_file}: {len(tokenizer.vocab)} entries; {args.bert_config_file} expects {config.vocab_size}"
        )
    for token in ("[CLS]", "[SEP]"):
        if token not in tokenizer.vocab:
            raise UserError(f"{args.vocab_file}: expected an entry {token}")
    if not shortest <= args.max_seq_length <= config.max_position_embeddings:
        raise UserError(
            f"-max_seq_length {args.max_seq_length}: expected {shortest} to {config.max_position_embeddings}, "
            f"the encoder's max_position_embeddings in {args.bert_config_file}"
        )
    return config, tokenizer


def check_init_checkpoint(args, config):
    """Replaces -init_checkpoint, if given, by the checkpoint's prefix; UserError unless that is whole and fits.

    The flag may also name a directory or a release's zip. The checkpoint has to fit the encoder and -do_lower_case.
    """
    args.init_checkpoint = checkpoint.resolve(args.init_checkpoint, getattr(args, "output_dir", None))
    if not args.init_checkpoint:
        return
    tokenization.validate_case_matches_checkpoint(args.do_lower_case, args.init_checkpoint)
    checkpoint.check_shapes(args.init_checkpoint, modeling.encoder_shapes(config))
    checkpoint.check_whole(args.init_checkpoint)


def make_estimator(model_fn, args, batch_size, distribution=None):
    """A tf.estimator.Estimator in -output_dir; `batch_size` is in the params of model_fn and input_fn.

    Args:
      distribution: distribution.Distribution to train under; default: one device.
    """
    return strategies.make_estimator(
        model_fn,
        distribution or Distribution(),
        batch_size,
        _loop_length(args),
        model_dir=args.output_dir,
        seed=args.seed,
        save_summary_steps=args.save_checkpoints_steps,
    )


def _loop_length(args):
    return strategies.loop_length(args.iterations_per_loop, args.save_checkpoints_steps)


@contextlib.contextmanager
def exclusive_run(args, load_inputs, is_chief, writes=True):
    """Gives what `load_inputs(args)` returns; from before that call on it keeps other runs out of -output_dir.

    Args:
      is_chief: whether this is the process of its run that writes there.
      writes: whether it writes files that another run could write too.

    Raises:
      UserError: another run writes there.
    """
    with run_lock.locked(args.output_dir, lambda: load_inputs(args), is_chief and writes) as inputs:
        if is_chief and args.do_train:
            checkpoint.remove_unfinished(args.output_dir)
        yield inputs


def trained_checkpoint(args):
    """The prefix of the checkpoint in -output_dir: with -do_train the newest whole one, else the newest; or None."""
    return checkpoint.newest_whole(args.output_dir) if args.do_train else checkpoint.latest(args.output_dir)


def train(args, estimator, distribution, input_fn, num_train_steps, start_step):
    """Trains from start_step up to num_train_steps, or until a signal comes, see stopping.stoppable."""
    is_chief = distribution.task.is_chief
    with stopping.stoppable(args.output_dir, num_train_steps, distribution.ends_alone, is_chief) as hooks:
        if is_chief:
            loop = _loop_length(args) if distribution.is_tpu else 1
            saver = stopping.CheckpointSaver(args.output_dir, args.save_checkpoints_steps, steps_per_run=loop)
            hooks = [*hooks, saver, *profile_hooks(args, num_train_steps - start_step)]
        strategies.train(estimator, distribution, input_fn, num_train_steps, hooks)


def steps_of_training(examples, args):
    """(num_train_steps, num_warmup_steps) of -num_train_epochs over this many examples; at least one step."""
    num_train_steps = max(int(examples * args.num_train_epochs / args.train_batch_size), 1)
    return num_train_steps, int(num_train_steps * args.warmup_proportion)


def start_step(output_dir):
    """The global step of the newest checkpoint in the directory, from which training goes on; 0 without one."""
    latest = checkpoint.latest(output_dir)
    return checkpoint.step_of(latest) if latest else 0


def announce_training(examples, num_train_steps, start_step, args, init_checkpoint):
    """Says in the log how long training is and what it starts from."""
    log.info("%d examples, %d steps of %d", examples, num_train_steps, args.train_batch_size)
    if start_step:
        log.info("goes on from step %d", start_step)
    elif not init_checkpoint:
        log.info("no -init_checkpoint: the encoder starts from random weights")


def write_results(path, results):
    """Writes `key = value` lines, keys sorted, as Google BERT's eval_results.txt; logs them too."""
    with atomic_open(path) as writer:
        for key in sorted(results):
            log.info("  %s = %s", key, results[key])
            writer.write(f"{key} = {results[key]}\n")
