"""What a run costs beside the model: start-up, and the input pipeline.

    python -m benchmarks.overheads [--config=bert_config.json] [--batch_size=32]

Start-up: seconds to import, to build the training graph, to initialise it and to run its first step, against a later
step on the same batch. Input: batches a second that training's input function gives with nobody slowing it down,
from one file, from shards and as one of several workers, against what the model takes; and how fast a training file is
read and encoded.

    python -m benchmarks.overheads --input_only [--processes=2] [--megabytes=20]
"""

import argparse
import os
import tempfile
import time

START = time.perf_counter()

import tensorflow.compat.v1 as tf  # noqa: E402

from benchmarks import ours, speed, workload  # noqa: E402
from benchmarks.workload import timed  # noqa: E402
from bert import tokenization  # noqa: E402
from bert.data.batches import WHOLE, Reading, Share  # noqa: E402
from bert.data.records import write_records  # noqa: E402
from bert.runtime import devices  # noqa: E402
from bert.system import workers  # noqa: E402
from train.data import corpus  # noqa: E402
from train.data.records import file_based_input_fn_builder, file_examples  # noqa: E402

MAX_SEQ_LENGTH = 128
BATCHES = 400
SHARDS = 16
WORKERS = 4


def main():
    imported = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="bert_config.json; default: BERT-Base, Chinese vocabulary size")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--contender", default="ours", choices=["ours", "ours-fp32"])
    parser.add_argument("--input_only", action="store_true", help="leave the model out")
    parser.add_argument("--processes", type=int, default=1, help="that read and encode the training file")
    parser.add_argument("--megabytes", type=int, default=5, help="size of the training file")
    args = parser.parse_args()
    if args.input_only:
        measure_input(args)
        return
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
    print(f"the model {1 / min(steps):.2f} batches/s")
    measure_input(args)


def measure_input(args):
    """Prints the rates of reading, encoding and the input pipeline, on a file of random sentences."""
    vocab_size = workload.read_config(args.config)["vocab_size"]
    with tempfile.TemporaryDirectory() as folder:
        vocab, data = os.path.join(folder, "vocab.txt"), os.path.join(folder, "train.txt")
        workload.write_vocab(vocab, vocab_size)
        write_data(data, args.megabytes << 20, vocab_size)
        size = os.path.getsize(data) / 1e6
        tokenizer = tokenization.FullTokenizer(vocab)
        seconds = timed(lambda: corpus.summarize(data, args.processes))
        print(f"{args.processes} processes on {workers.cores()} cores: reads {size / seconds:.1f} MB/s")
        for shards in (1, SHARDS):
            path = os.path.join(folder, f"records-{shards}")
            examples = file_examples(data, tokenizer, ours.IDS, MAX_SEQ_LENGTH, args.processes)
            writing = (path, examples, {}, shards)
            seconds = timed(lambda writing=writing: write_records(*writing))
            print(f"{shards} shards: encodes {size / seconds:.2f} MB/s; input pipeline, batches/s:")
            for share, reader in (
                (WHOLE, "the only process"),
                (Share(WORKERS, 0), f"one of {WORKERS} workers, its rows of each batch"),
                (Share(WORKERS, 0, by_file=True), f"one of {WORKERS} workers, files of its own"),
            ):
                print(f"  {batches_a_second(path, args.batch_size, share):.0f}  {reader}")


def write_data(path, size, vocab_size):
    """A CoNLL file of about `size` bytes."""
    given = workload.sentences(10000, None, MAX_SEQ_LENGTH - 2, vocab_size)
    text = "".join("".join(f"{word} O\n" for word in words) + "\n" for words in given).encode("utf-8")
    with open(path, "wb") as writer:
        for _ in range(max(round(size / len(text)), 1)):
            writer.write(text)


def batches_a_second(path, batch_size, share):
    """Of training's input function over a record file."""
    with tf.Graph().as_default(), tf.Session(config=devices.session_config()) as session:
        input_fn = file_based_input_fn_builder(
            path, MAX_SEQ_LENGTH, True, False, ours.IDS, batch_size, reading=Reading(by_length=True, share=share)
        )
        batch = tf.data.make_one_shot_iterator(input_fn()).get_next()
        session.run(batch)
        return BATCHES / timed(lambda: [session.run(batch) for _ in range(BATCHES)])


if __name__ == "__main__":
    main()
