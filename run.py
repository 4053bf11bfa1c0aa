"""Fine-tunes a BERT + BiLSTM + CRF tagger: `python run.py -help` lists the flags."""

from bert.system.errors import run_program
from train.train_helper import get_args_parser


def main():
    args = get_args_parser()
    # Behind the flags, so that -help and a wrong flag need not wait for TensorFlow.
    from train.bert_lstm_ner import train

    train(args)


if __name__ == "__main__":
    run_program(main)
