"""The flags of run_squad. Loads no TensorFlow, so that -help and a wrong or missing flag need not wait for it."""

from bert.runtime import flags
from bert.system.errors import UserError
from bert.system.flags import FlagParser, positive_int, require


def parse_args(argv=None):
    """The flags as a Namespace; UserError for one that is not known or a value it does not take."""
    parser = FlagParser(
        prog="run_squad.py",
        description="Fine-tunes BERT on SQuAD 1.1 or 2.0, answers questions, and scores the answers.",
    )
    flag, switch = parser.flag_group("what to do")
    switch("do_train", False, help="fine-tune on -train_file; an unfinished run in -output_dir is gone on with")
    switch("do_predict", False, help="answer -predict_file; scores, too, where it holds the answers")
    flag, switch = parser.flag_group("files")
    flag("train_file", help="SQuAD JSON to train on, as train-v1.1.json")
    flag("predict_file", help="SQuAD JSON to answer, as dev-v1.1.json")
    flag("output_dir", help="directory for checkpoints and answers")
    flags.add_encoder_flags(parser, max_seq_length=384)
    flag, switch = parser.flag_group("questions and answers")
    flag("doc_stride", type=positive_int, default=128, help="pieces from one window of a long context to the next")
    flag("max_query_length", type=positive_int, default=64, help="pieces of a question; what is beyond is cut off")
    flag("n_best_size", type=positive_int, default=20, help="answers to a question in nbest_predictions.json")
    flag("max_answer_length", type=positive_int, default=30, help="pieces in an answer, at most")
    switch("version_2_with_negative", False, help="SQuAD 2.0: a question may be unanswerable")
    flag(
        "null_score_diff_threshold", type=float, default=0.0,
        help="SQuAD 2.0: no answer where that scores better than the best answer by more than this",
    )  # fmt: skip
    switch("verbose_logging", False, help="a line for every training answer that is left out or not met exactly")
    flags.add_training_flags(parser)
    flags.add_speed_flags(parser)
    flags.add_device_flags(parser)
    return parser.parse_args(argv)


def check_flags(args):
    """Raises UserError where there is nothing to do or flags are missing."""
    if not (args.do_train or args.do_predict):
        raise UserError("nothing to do: expected -do_train or -do_predict")
    files = ["train_file"] * args.do_train + ["predict_file"] * args.do_predict
    require(args, "bert_config_file", "vocab_file", "output_dir", *files)
