"""Fine-tuning as bert_lstm_ner, with curves and tables of how well each label is tagged on the dev set.

    python -m train.bert_lstm_ner_cg_estimator -data_dir ... -bert_dir ... -output_dir ...
    tensorboard --logdir ...

The flags and the files are those of run.py. The curves are `dev/accuracy/<label>` in -output_dir/eval; -eval_every says
how often they get a point.
"""

import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file, `python train/bert_lstm_ner_cg_estimator.py`
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bert.system import startup  # noqa: F401, I001  before TensorFlow

from bert.system.errors import run_program
from train import bert_lstm_ner
from train.bert_lstm_ner import (  # noqa: F401  for scripts that import them from here
    DataProcessor,
    NerProcessor,
    adam_filter,
    convert_single_example,
    file_based_input_fn_builder,
    filed_based_convert_examples_to_features,
    get_last_checkpoint,
    model_fn_builder,
    write_tokens,
)
from train.finetuning.label_scores import LabelScores
from train.train_helper import get_args_parser


def train(args):
    """The whole run, see bert_lstm_ner.train.

    Args:
      args: Namespace of train_helper.get_args_parser.
    """
    return bert_lstm_ner.train(args, on_dev=LabelScores)


if __name__ == "__main__":
    run_program(lambda: train(get_args_parser()))
