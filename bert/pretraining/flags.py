"""The flags of run_pretraining. Loads no TensorFlow, so that -help and a wrong or missing flag need not wait for it."""

from bert.runtime import flags
from bert.system.errors import UserError
from bert.system.flags import FlagParser, non_negative_int, positive_float, positive_int, require


def parse_args(argv=None):
    """The parsed flags as a Namespace; `argv` defaults to the command line."""
    parser = FlagParser(
        prog="run_pretraining.py",
        description="Pre-trains BERT on what create_pretraining_data.py wrote. Training that was stopped goes on from "
        "the newest checkpoint in -output_dir.",
    )
    flag, switch = parser.flag_group("files")
    flag("input_file", help="TFRecord files: names and patterns, a comma between them")
    flag("output_dir", help="directory for checkpoints and results")
    flag("bert_config_file", help="sizes of the encoder, bert_config.json")
    flag("init_checkpoint", help="checkpoint to start from, as .../bert_model.ckpt; without it, random weights")
    flags.add_init_partial(switch)

    flag, switch = parser.flag_group("what to do")
    switch("do_train", False, help="train on the input files")
    switch("do_eval", False, help="evaluate on the input files: eval_results.txt")

    flag, _ = parser.flag_group("training")
    flag("max_seq_length", type=positive_int, default=128, help="as given to create_pretraining_data.py")
    flag("max_predictions_per_seq", type=positive_int, default=20, help="as given to create_pretraining_data.py")
    flag("train_batch_size", type=positive_int, default=32, help="examples in a batch of training")
    flag("eval_batch_size", type=positive_int, default=8, help="examples in a batch of evaluation")
    flag("learning_rate", type=positive_float, default=5e-5, help="peak learning rate of Adam")
    flag("num_train_steps", type=positive_int, default=100000, help="steps of training")
    flag("num_warmup_steps", type=non_negative_int, default=10000, help="steps in which the learning rate rises")
    flag("max_eval_steps", type=positive_int, default=100, help="most batches of an evaluation")
    flags.add_checkpoint_flags(flag)
    flags.add_speed_flags(parser, bucket=False)  # create_pretraining_data fills the examples
    flags.add_device_flags(parser)
    return parser.parse_args(argv)


def check_flags(args):
    """Raises UserError where there is nothing to do or flags are missing."""
    if not (args.do_train or args.do_eval):
        raise UserError("nothing to do: expected -do_train or -do_eval, or both")
    require(args, "input_file", "output_dir", "bert_config_file")
