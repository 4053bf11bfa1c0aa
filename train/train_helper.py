"""The command line of fine-tuning: every flag, its default and what it is for."""

import argparse
import os

from bert.runtime import checkpoint_files, release
from bert.runtime.flags import add_init_partial, add_speed_flags, add_strategy_flags
from bert.system import filesystem
from bert.system.errors import UserError, shown_list
from bert.system.flags import (
    FlagParser,
    fraction,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
    proportion,
    require,
)
from train import __version__
from train.data.context import MOST
from train.data.flags import add_reading_flags

BERT_FILES = {"bert_config_file": "bert_config.json", "vocab_file": "vocab.txt"}
CELLS = ("lstm", "gru")
HEADS = ("blstm_crf", "crf", "softmax", "blstm_softmax")
ARCHIVE_HEAD = "crf_only"  # the head of -crf_only
SUBWORD_LABELS = ("x", "first")
WORD_UNITS = ("text", "words")
# Flags whose value depends on the data, the encoder, or the run that goes on, unless they are given.
CHOSEN_BY_DATA = (
    ("batch_size", "learning_rate", "head_learning_rate", "num_train_epochs")
    + ("dropout_rate", "adversarial", "bias_correction", "subword_labels")
)  # fmt: skip


class Flags(argparse.Namespace):
    """The flags; one that a script sets afterwards (`args.batch_size = 8`) counts as given.

    Attributes:
      not_given: names of the flags of CHOSEN_BY_DATA that were not given.
    """

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name in CHOSEN_BY_DATA and hasattr(self, "not_given"):
            self.not_given = tuple(other for other in self.not_given if other != name)


def get_args_parser(argv=None):
    """The parsed flags as a Namespace, `-bert_dir` resolved.

    Args:
      argv: list of str; default: the command line.

    Returns:
      Flags. Those of CHOSEN_BY_DATA that were not given have the archive's values; finetuning/choices.py chooses better
      ones.

    Raises:
      UserError: a flag that is not known, or a value it does not take.
    """
    parser = build_parser()
    unset = object()
    args = parser.parse_args(argv, Flags(**dict.fromkeys(CHOSEN_BY_DATA, unset)))
    not_given = tuple(name for name in CHOSEN_BY_DATA if getattr(args, name) is unset)
    defaults = parser.parse_args([]) if not_given else None
    for name in not_given:
        setattr(args, name, getattr(defaults, name))
    args.not_given = not_given
    if args.bert_dir:
        _fill_in_bert_dir(args)
    return args


def build_parser():
    """The FlagParser of run.py, with all its flags."""
    parser = FlagParser(
        prog="run.py", description="Fine-tunes, evaluates, predicts and exports a BERT + BiLSTM + CRF tagger."
    )
    _add_task_flags(parser)
    _add_model_flags(parser)
    _add_training_flags(parser)
    add_speed_flags(parser)
    _add_large_file_flags(parser)
    add_strategy_flags(*parser.flag_group("devices"))

    flag, switch = parser.flag_group("other")
    switch("verbose", False, help="show TensorFlow's own log too")
    flag("ner", default="ner", help="kind of model; only ner")
    flag("version", action="version", version=__version__, help="print the version and exit")
    return parser


def _add_task_flags(parser):
    """Adds the flags for the files and for the steps of a run."""
    flag, switch = parser.flag_group("files")
    flag("data_dir", help="directory with train.txt, dev.txt and test.txt, or annotated texts as .jsonl")
    flag("output_dir", help="directory for checkpoints, reports and the export")
    flag("bert_dir", help="directory or zip of a Google BERT release; sets the next three flags")
    flag("bert_config_file", help="sizes of the encoder, bert_config.json")
    flag("vocab_file", help="word pieces of the encoder, one per line")
    flag("init_checkpoint", help="checkpoint to start from, its directory or zip; without it random weights")
    switch("init_head", True, help="take the head of a trained tagger too; false: its encoder alone")
    add_init_partial(switch)
    flag("label_list", help="the labels in the order of their ids: a file with one per line, or a comma-separated list")
    add_reading_flags(flag)
    switch("clean", False, help="start a finished run afresh: remove what an earlier run wrote to -output_dir")

    flag, switch = parser.flag_group("what to do")
    switch("do_train", True, help="fine-tune on train.txt")
    switch("do_eval", True, help="evaluate on dev.txt, write eval_results.txt")
    switch("do_predict", True, help="tag dev.txt and test.txt, write label_*.txt and predict_score*.txt")
    switch("report", False, help="with -do_predict: write report.html, a page on what the tagger gets right and wrong")
    switch("do_export", False, help="write a SavedModel to export/")
    switch("calibrate", True, help="after training fit a temperature and offsets of types on dev.txt, so that "
           "probabilities mean what they say; tags stay the same")  # fmt: skip
    switch("filter_adam_var", False, help="write model.ckpt without the optimizer's variables, a third the size")


def _add_model_flags(parser):
    """Adds the flags of the model.

    A checkpoint can only be used with the values it was trained with, except for -dropout_rate and -constrain.
    """
    flag, switch = parser.flag_group("text")
    flag("max_seq_length", type=positive_int, default=128, help="pieces in a window; longer sentences become several")
    switch("do_lower_case", True, help="lower-case and strip accents; false for a cased vocabulary")
    flag(
        "subword_labels",
        choices=SUBWORD_LABELS,
        default="x",
        help="x: later pieces of a word are labelled X; first: RNN and CRF see first pieces only; default: first, but "
        "what a tagger was trained with where a run goes on or starts from one, and x for the archive's",
    )
    flag(
        "word_units",
        choices=WORD_UNITS,
        help="what the model sees of a word such as don't: text: don, ' and t, as it sees them in plain text; words: "
        "the whole; default: text, but what -output_dir was trained with where a run goes on",
    )
    flag("context", type=non_negative_int, default=0, help="pieces of the sentences before and after that the model "
         "reads with each sentence, on either side at most; -DOCSTART- lines part documents")  # fmt: skip

    flag, switch = parser.flag_group("model")
    flag("cell", choices=CELLS, default="lstm", help="kind of RNN")
    flag("lstm_size", type=positive_int, default=128, help="RNN units in each direction")
    flag("num_layers", type=positive_int, default=1, help="RNN layers")
    flag("head", choices=HEADS, help="what labels are predicted by: crf: scores for each word and a CRF; softmax: each "
         "label by itself; blstm_crf, blstm_softmax: a BiLSTM before them (default: blstm_crf)")  # fmt: skip
    switch("crf_only", False, help="the archive's head without an RNN: a CRF on tanh scores")
    flag("dropout_rate", type=fraction, default=0.5, help="fraction dropped before and after the RNN; default: 0.2")
    switch(
        "constrain",
        True,
        help="predict only tag sequences that are well-formed; false: the model's best path, of BILOU, BMES and IO "
        "its entities in well-formed tags",
    )


def _add_training_flags(parser):
    flag, switch = parser.flag_group("training")
    flag(
        "batch_size",
        type=positive_int,
        default=64,
        help="windows in a batch, over all replicas; default: by the size of the data",
    )
    flag("learning_rate", type=positive_float, default=1e-5, help="peak learning rate of Adam; default: by the width "
         "of the encoder")  # fmt: skip
    flag("head_learning_rate", type=positive_float, help="the same for RNN, projection and CRF; default: 0.001")
    flag("num_train_epochs", type=positive_float, default=10.0, help="times through train.txt; default: by the size of "
         "the data")  # fmt: skip
    flag("warmup_proportion", type=proportion, default=0.1, help="share of the steps in which the rate rises")
    switch(
        "bias_correction",
        True,
        help="correct the bias of Adam's moments, without which, as in Google's optimizer, the first hundreds of steps "
        "are up to three times as large; default: if the encoder has trained weights",
    )
    flag("adversarial", type=non_negative_float, default=0.0, help="learn from each batch a second time, with the "
         "vectors of a sentence's words moved so far to where its loss rises; takes 1.6 times the time; 0: do "
         "not; default: by the size of the data")  # fmt: skip
    flag("clip", type=positive_float, default=1.0, help="largest global norm of the gradients")
    flag(
        "gradient_accumulation_steps",
        type=positive_int,
        default=1,
        help="batches whose gradients are averaged into one step",
    )
    flag("freeze_layers", type=non_negative_int, help="leave the embeddings and this many first layers untrained")
    flag("eval_every", type=positive_int, help="steps between evaluations on dev.txt; default: once an epoch")
    flag("early_stop", type=positive_int, help="stop after this many evaluations without a better F1, counted from the "
         "first above 0")  # fmt: skip
    flag("save_checkpoints_steps", type=positive_int, default=500, help="steps between checkpoints")
    flag("save_summary_steps", type=positive_int, default=500, help="most steps between TensorBoard summaries; fewer "
         "where a run would have less than 50")  # fmt: skip
    flag("seed", type=non_negative_int, default=42, help="of initialisation, dropout and shuffling")


def _add_large_file_flags(parser):
    flag, switch = parser.flag_group("large training files")
    flag("processes", type=positive_int, help="processes that read and encode train.txt; default: one for each core "
         "from 16 MB on, else one; what they write does not depend on it")  # fmt: skip
    flag("record_shards", type=positive_int, default=1, help="files that train.tf_record is written in, as "
         "train.tf_record-00000-of-00016")  # fmt: skip
    flag("share_records", choices=["batch", "file"], default="batch",
         help="how several machines share train.tf_record out: each takes its part of every batch, the same batches as "
         "on one; or each reads shards of its own, which costs less reading")  # fmt: skip
    switch("deterministic", True, help="read shards in an order that the seed says; false: several at a time, as they "
           "come")  # fmt: skip


def _fill_in_bert_dir(args):
    if release.is_zip(args.bert_dir):
        args.bert_dir = release.unpack(args.bert_dir, args.output_dir)
    if not filesystem.isdir(args.bert_dir):
        checkpoint_files.check_no_foreign_file(args.bert_dir)
        raise UserError(f"{args.bert_dir}: expected a directory with bert_config.json and vocab.txt")
    names = filesystem.listdir(args.bert_dir)
    missing = [file for name, file in BERT_FILES.items() if getattr(args, name) is None and file not in names]
    if missing:
        if not args.bert_config_file and any(map(checkpoint_files.HUGGING_FACE_FILE.match, names)):
            raise checkpoint_files.not_ours(args.bert_dir, "a directory of Hugging Face, no release of Google's")
        found = f"only {shown_list(sorted(names))}" if names else "nothing"
        raise UserError(
            f"{args.bert_dir}: no {' and no '.join(missing)} in it, {found}; expected the directory of a BERT release"
        )
    for name, file in BERT_FILES.items():
        if getattr(args, name) is None:
            setattr(args, name, os.path.join(args.bert_dir, file))
    if args.output_dir and filesystem.realpath(args.output_dir) == filesystem.realpath(args.bert_dir):
        # What the run itself saves there is no release.
        names = [name for name in names if not name.startswith("model.ckpt")]
    # A directory without weights, such as the demo's, is an encoder with random ones.
    if args.init_checkpoint is None and checkpoint_files.has_weights(names):
        whole, _ = checkpoint_files.prefixes(names)
        # Which of several it is, or what is wrong with a piece of one, matters only where training starts from it.
        args.init_checkpoint = os.path.join(args.bert_dir, whole[0]) if len(whole) == 1 else args.bert_dir


def splits_used(args):
    """The splits that the flags call for: a list of some of "train", "dev" and "test"."""
    splits = ["train"] if args.do_train else []
    splits += ["dev"] if args.do_train or args.do_eval or args.do_predict else []
    return splits + (["test"] if args.do_predict else [])


def check_flags(args):
    """Raises UserError where a flag is missing or two flags contradict each other."""
    if not (args.do_train or args.do_eval or args.do_predict or args.do_export or args.filter_adam_var):
        raise UserError("nothing to do: expected at least one of -do_train -do_eval -do_predict -do_export")
    needed = ["output_dir", "bert_config_file", "vocab_file"] + (["data_dir"] if splits_used(args) else [])
    require(args, *[f"{name} (or -bert_dir)" if name in BERT_FILES else name for name in needed])
    if args.crf_only and args.head:
        raise UserError(f"-crf_only is a head of its own; expected no -head {args.head} with it")
    if args.ner != "ner":
        raise UserError(f"-ner {args.ner}: expected ner, the only kind of model there is")
    if args.report and not args.do_predict:
        raise UserError("-report is about what -do_predict tags; expected -do_predict with it")
    if args.clean and not args.do_train:
        raise UserError("-clean starts a run afresh; expected -do_train with it")
    most = min(MOST, args.max_seq_length - 3)  # [CLS], [SEP], and a piece of the sentence's own
    if args.context and args.context > most:
        raise UserError(f"-context {args.context}: expected at most {most} with -max_seq_length {args.max_seq_length}")
