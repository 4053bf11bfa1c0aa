"""What the programs of this package share: their common flags, the door for an encoder's files, and the Estimator.

The flags are Google BERT's, with its defaults.
"""

import contextlib
import logging
import os

import tensorflow.compat.v1 as tf

from bert import checkpoint, devices, modeling, run_lock, stopping, strategies, tokenization
from bert.errors import UserError
from bert.files import atomic_open, make_dir
from bert.flags import add_strategy_flags, add_tpu_flags, fraction, non_negative_int, positive_float, positive_int
from bert.startup import LOGGER

log = logging.getLogger(LOGGER)
PROFILE = "profile"  # directory of -profile in -output_dir


def add_encoder_flags(parser, max_seq_length=128, without_checkpoint="without it, random weights"):
    """-bert_config_file, -vocab_file, -init_checkpoint, -do_lower_case, -max_seq_length."""
    flag, switch = parser.flag_group("encoder")
    flag("bert_config_file", help="sizes of the encoder, bert_config.json")
    flag("vocab_file", help="word pieces of the encoder, one a line")
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
    flag("warmup_proportion", type=fraction, default=0.1, help="share of the steps in which the rate rises")
    add_checkpoint_flags(flag)


def add_checkpoint_flags(flag):
    flag("save_checkpoints_steps", type=positive_int, default=1000, help="steps between checkpoints")
    flag("seed", type=non_negative_int, default=42, help="of initialisation, dropout and shuffling")


def add_device_flags(parser, training=True):
    """Google BERT's TPU flags and -device_map, for training what else it is spread over, and -verbose."""
    flag, switch = parser.flag_group("devices")
    (add_strategy_flags if training else add_tpu_flags)(flag, switch)
    flag("master", help="accepted for old scripts; not used")
    switch("verbose", False, help="show TensorFlow's own log too")


def choose_compute(args, config, steps, announce=False):
    """How the encoder computes: kernels.Compute by the flags of `add_speed_flags`, see devices.choose_compute.

    Args:
      config: BertConfig.
      steps: batches that will be computed, about.
      announce: say in the log what was chosen and why.
    """
    return devices.choose_compute(args.precision, config.hidden_size, steps, args.recompute, args.xla, announce)


def export_compute(args):
    """How an exported model computes: in float32 unless asked otherwise, and nothing compiled, as it may travel."""
    precision = "fp32" if args.precision == "auto" else args.precision
    return devices.choose_compute(precision, 0, 0, xla=False)


def profile_hooks(args, steps):
    """With -profile, the hooks that write timelines of about five of so many steps; else none."""
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
      shortest: smallest -max_seq_length that makes sense.

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
    """Makes -init_checkpoint, if given, the checkpoint's prefix; UserError unless that is whole and fits.

    A directory or a release's zip is found to be a checkpoint here. It has to fit the encoder and -do_lower_case.
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
      distribution: strategies.Distribution to train under; default: one device.
    """
    return strategies.make_estimator(
        model_fn,
        distribution or strategies.Distribution(),
        batch_size,
        strategies.loop_length(args.iterations_per_loop, args.save_checkpoints_steps),
        model_dir=args.output_dir,
        seed=args.seed,
        save_summary_steps=args.save_checkpoints_steps,
        save_checkpoints_steps=args.save_checkpoints_steps,
    )


@contextlib.contextmanager
def opened(args, load_inputs, is_chief, writes=True):
    """Gives what `load_inputs(args)` returns, and keeps other runs out of -output_dir from before that on.

    Args:
      is_chief: whether this process is the one of its run that writes there.
      writes: whether it writes what another run could write too.

    Raises:
      UserError: another run writes there.
    """
    with run_lock.held(args.output_dir, lambda: load_inputs(args), is_chief and writes) as inputs:
        if is_chief and args.do_train:
            checkpoint.remove_unfinished(args.output_dir)
        yield inputs


def trained(args):
    """The checkpoint in -output_dir that training goes on from, the newest whole one, or that is used; or None."""
    return checkpoint.newest_whole(args.output_dir) if args.do_train else checkpoint.latest(args.output_dir)


def train(args, estimator, distribution, input_fn, num_train_steps, start_step):
    """Trains from start_step up to num_train_steps, or until a signal comes, see stopping.stoppable."""
    with stopping.stoppable(args.output_dir, num_train_steps) as hooks:
        hooks = hooks + profile_hooks(args, num_train_steps - start_step) if distribution.task.is_chief else []
        strategies.train(estimator, distribution, input_fn, num_train_steps, hooks)


def steps_of_training(examples, args):
    """(num_train_steps, num_warmup_steps) of -num_train_epochs over so many examples; at least one step."""
    num_train_steps = max(int(examples * args.num_train_epochs / args.train_batch_size), 1)
    return num_train_steps, int(num_train_steps * args.warmup_proportion)


def start_step(output_dir):
    """The global step of the newest checkpoint in the directory, from which training goes on; 0 without one."""
    latest = checkpoint.latest(output_dir)
    return checkpoint.step_of(latest) if latest else 0


def write_results(path, results):
    """Writes `key = value` lines, keys sorted, as Google BERT's eval_results.txt; logs them too."""
    with atomic_open(path) as writer:
        for key in sorted(results):
            log.info("  %s = %s", key, results[key])
            writer.write(f"{key} = {results[key]}\n")
