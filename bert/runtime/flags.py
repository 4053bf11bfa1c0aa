"""Groups of flags that several programs share. Loads no TensorFlow, so that -help is quick.

The flags and their defaults are those of Google BERT's programs.
"""

from bert.system.flags import non_negative_int, positive_float, positive_int, proportion

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
STRATEGIES = ("none", "mirrored", "multi_worker", "parameter_server", "tpu")
# The flags of add_encoder_flags and add_training_flags that the trained weights depend on, and -bucket.
TRAINING_SETTINGS = (
    ("init_checkpoint", "init_partial", "do_lower_case", "max_seq_length", "train_batch_size", "learning_rate")
    + ("num_train_epochs", "warmup_proportion", "bucket", "seed")
)  # fmt: skip


def add_encoder_flags(parser, max_seq_length=128, without_checkpoint="without it, random weights"):
    """-bert_config_file, -vocab_file, -init_checkpoint, -do_lower_case, -max_seq_length."""
    flag, switch = parser.flag_group("encoder")
    flag("bert_config_file", help="sizes of the encoder, bert_config.json")
    flag("vocab_file", help="word pieces of the encoder, one per line")
    flag("init_checkpoint", help="checkpoint (.../bert_model.ckpt), its directory or zip; " + without_checkpoint)
    switch("do_lower_case", True, help="lower-case and strip accents; false for a cased vocabulary")
    flag("max_seq_length", type=positive_int, default=max_seq_length, help="pieces, [CLS] and [SEP] included")


def add_init_partial(switch):
    """-init_partial."""
    switch("init_partial", False, help="start variables of the encoder that -init_checkpoint lacks from random weights")


def add_training_flags(parser, learning_rate=5e-5, num_train_epochs=3.0):
    """Batch sizes, learning rate, epochs, checkpoints, seed."""
    flag, switch = parser.flag_group("training")
    add_init_partial(switch)
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


def add_compute_flags(flag, switch, precision, xla, xla_help="faster for many texts, slower to start"):
    """-precision and -xla, see devices.choose_compute.

    Args:
      flag, switch: of the group, see FlagParser.flag_group.
      precision, xla: defaults. A program that writes numbers takes "fp32" and False, so that they are the same on
        every machine.
      xla_help: what -xla is good for.
    """
    flag("precision", choices=PRECISIONS, default=precision, help="of the encoder; all but fp32 give up digits; auto: "
         "what the machine does well")  # fmt: skip
    switch("xla", xla, help=f"fuse elementwise work by XLA: {xla_help}")


def add_speed_flags(parser, bucket=True):
    """How to compute: -precision, -xla, -bucket unless `bucket` is false, -recompute, -profile."""
    flag, switch = parser.flag_group("speed")
    add_compute_flags(flag, switch, "auto", None, "by default where it pays")
    if bucket:
        switch("bucket", True, help="train on batches of texts of about the same length")
    switch("recompute", False, help="compute each layer again in the backward pass: less memory, a third more time")
    switch("profile", False, help="write timelines of a few steps to -output_dir/profile, for chrome://tracing")


def add_strategy_flags(flag, switch):
    """What training is spread over, see training/distribution.py; a batch size is that of all replicas together."""
    flag("strategy", choices=STRATEGIES, help="how training is spread over devices; default: by what there is: "
         "TF_CONFIG's cluster, the TPU of -tpu_name, several GPUs, one device")  # fmt: skip
    flag("num_gpus", type=non_negative_int, help="GPUs to train on; default: all there are")
    flag("num_cpus", type=positive_int, help="train on this many CPU devices as replicas, to try what GPUs would do")
    add_tpu_flags(flag, switch)
    flag("iterations_per_loop", type=positive_int, default=1000, help="steps in one call of a TPU, at most")


def add_tpu_flags(flag, switch):
    """-device_map, and Google BERT's flags of TPUs."""
    flag("device_map", help="GPUs to use, as CUDA_VISIBLE_DEVICES, -1 for none; default: all there are")
    switch("use_tpu", None, help="train on a TPU, as -strategy tpu")
    flag("tpu_name", help="the Cloud TPU's name or grpc:// address")
    flag("tpu_zone", help="its zone")
    flag("gcp_project", help="its project")
    flag("num_tpu_cores", type=positive_int, default=8, help="cores of the TPU")
