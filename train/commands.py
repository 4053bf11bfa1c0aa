"""The commands that `pip install` makes of the programs, see [project.scripts] in pyproject.toml.

Each loads its program only when it is called, so that none waits for what another needs.
"""

from bert.system.errors import run_program


def fine_tune():
    """What run.py does."""
    from train.train_helper import check_flags, get_args_parser

    args = get_args_parser()
    check_flags(args)
    # Behind the flags, so that -help and a wrong or missing flag need not wait for TensorFlow.
    from train import bert_lstm_ner

    bert_lstm_ner.train(args)


def train():
    """bert-ner-train: run.py."""
    run_program(fine_tune)


def predict():
    """bert-ner-predict: python -m train.predict."""
    from train.predict import main

    run_program(main)


def serve_client():
    """bert-ner-serve-client: python -m train.serving_client."""
    from train.serving_client import main

    run_program(main)


def check_data():
    """bert-ner-check-data: python -m train.check_data."""
    from train.check_data import main

    run_program(main)


def sweep():
    """bert-ner-sweep: python -m train.sweep."""
    from train.sweep import main

    run_program(main)


def convert():
    """bert-ner-convert: python -m bert.convert_checkpoint."""
    from bert.convert_checkpoint import main

    run_program(main)
