"""Fine-tunes a BERT + BiLSTM + CRF tagger: `python run.py -help` lists the flags."""

from bert.system.errors import run_program
from train.commands import fine_tune as main

if __name__ == "__main__":
    run_program(main)
