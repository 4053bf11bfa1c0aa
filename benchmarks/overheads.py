"""What a run costs beside the model: start-up, and the input pipeline.

    python -m benchmarks.overheads [--config=bert_config.json] [--batch_size=32]

Start-up: seconds to import, to build the training graph, to initialise it and to run its first step, against a later
step on the same batch. Input: batches a second that training's input function gives with nobody slowing it down,
against what the model takes.
"""

import argparse
import os
import tempfile
import time

START = time.perf_counter()

import tensorflow.compat.v1 as tf  # noqa: E402

from benchmarks import ours, speed, workload  # noqa: E402
from bert import devices, tokenization  # noqa: E402
from train.conll import Sentence  # noqa: E402
from train.features import encode  # noqa: E402
from train.records import file_based_input_fn_builder, write_records  # noqa: E402

MAX_SEQ_LENGTH = 128
BATCHES = 400


def main():
    imported = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="bert_config.json; default: BERT-Base, Chinese vocabulary size")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--contender", default="ours", choices=["ours", "ours-fp32"])
    args = parser.parse_args()
    options = dict(speed.CONTENDERS[args.contender], **vars(args), max_seq_length=MAX_SEQ_LENGTH)
    config = workload.read_config(args.config)
    given = workload.sentences(20 * args.batch_size, None, MAX_SEQ_LENGTH - 2, config["vocab_size"])
    one_batch = sorted(given, key=len)[len(given) // 2 :][: args.batch_size]

    train = ours.trainer(options, one_batch)
    built = time.perf_counter()
    train()
    first = time.perf_counter()
    steps = [timed(train) for _ in range(5)]
    print(
        f"import {imported - START:.1f} s, graph and initialisation {built - imported:.1f} s, "
        f"first step {first - built:.1f} s, a later step {min(steps):.2f} s"
    )
    with tempfile.TemporaryDirectory() as folder:
        rate = batches_a_second(folder, given, config["vocab_size"], args.batch_size)
    print(f"input pipeline {rate:.0f} batches/s, the model {1 / min(steps):.2f} batches/s")


def timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def batches_a_second(folder, given, vocab_size, batch_size):
    """Of training's input function over a record file of these sentences."""
    vocab, path = os.path.join(folder, "vocab.txt"), os.path.join(folder, "train.tf_record")
    workload.write_vocab(vocab, vocab_size)
    sentences = [Sentence(words, ["O"] * len(words), 1) for words in given]
    windows = encode(sentences, tokenization.FullTokenizer(vocab), ours.IDS, MAX_SEQ_LENGTH)
    write_records(path, windows, MAX_SEQ_LENGTH, {})
    with tf.Graph().as_default(), tf.Session(config=devices.session_config()) as session:
        input_fn = file_based_input_fn_builder(path, MAX_SEQ_LENGTH, True, False, ours.IDS, batch_size, bucket=True)
        batch = tf.data.make_one_shot_iterator(input_fn()).get_next()
        session.run(batch)
        return BATCHES / timed(lambda: [session.run(batch) for _ in range(BATCHES)])


if __name__ == "__main__":
    main()
