"""The flags of run_classifier. Loads no TensorFlow, so that -help and a wrong or missing flag need not wait for it."""

import argparse

from bert.runtime import flags
from bert.system.errors import UserError
from bert.system.flags import FlagParser, HelpFormatter, require

DESCRIPTION = """\
Classifies texts, or pairs of texts, with BERT.

-task_name is one of the GLUE tasks cola, mnli, mrpc, qnli, qqp, rte, sst-2, sts-b (a regression), wnli, with
GLUE's files train.tsv, dev.tsv, test.tsv in -data_dir; or xnli, with multinli/multinli.train.zh.tsv,
xnli.dev.tsv and xnli.test.tsv; or tsv, with files of your own, a tab between the columns:

  train.tsv, dev.tsv   text<TAB>label             or   text<TAB>text<TAB>label
  test.tsv             text                       or   text<TAB>text

The labels of tsv are those of train.tsv in sorted order. Without a header line, unless -tsv_header is given;
without quoting: a text holds neither tab nor line break.
"""


class _HelpFormatter(HelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows the defaults and leaves the lines of the description as they are."""


def parse_args(argv=None):
    """The parsed flags as a Namespace; `argv` defaults to the command line. `check_flags` says which are missing."""
    parser = FlagParser(prog="run_classifier.py", description=DESCRIPTION, formatter_class=_HelpFormatter)
    flag, switch = parser.flag_group("task")
    flag("task_name", help="what to learn, see above")
    flag("data_dir", help="directory with the task's files")
    flag("output_dir", help="directory for checkpoints and results; a run that was stopped goes on from there")
    switch("do_train", False, help="fine-tune on the training file, from -init_checkpoint")
    switch("do_eval", False, help="score the dev file: eval_results.txt")
    switch("do_predict", False, help="probabilities of the labels for the test file: test_results.tsv")
    switch("do_export", False, help="write a SavedModel to export/")
    switch("tsv_header", False, help="-task_name tsv: the files begin with a line of column names")
    flag("xnli_language", default="zh", help="-task_name xnli: which language")
    flags.add_encoder_flags(parser)
    flags.add_training_flags(parser)
    flags.add_speed_flags(parser)
    flags.add_device_flags(parser)
    return parser.parse_args(argv)


def splits_used(args):
    """The splits that the flags call for: a list of some of "train", "dev" and "test"."""
    wanted = {"train": args.do_train, "dev": args.do_eval, "test": args.do_predict}
    return [split for split in wanted if wanted[split]]


def check_flags(args):
    """Raises UserError where there is nothing to do or flags are missing."""
    splits = splits_used(args)
    if not splits and not args.do_export:
        raise UserError("nothing to do: expected -do_train, -do_eval, -do_predict or -do_export")
    require(args, "task_name", "bert_config_file", "vocab_file", "output_dir", *["data_dir"] * bool(splits))
