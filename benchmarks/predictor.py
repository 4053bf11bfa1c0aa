"""What a call of Predictor takes, against calling estimator.predict each time, as the archive's scripts do.

    python -m benchmarks.predictor [--config=bert_config.json] [--sentences=256]

Both have the same random weights, float32 and the same sentences. estimator.predict builds its graph and reads its
checkpoint at every call; Predictor did both when it was made, and a first call adds what TensorFlow does at the first
run of a graph. Ratios are of one run; latency is of one sentence per call, throughput of 32 in a batch.
"""

from bert.system import startup  # noqa: F401, I001  before TensorFlow

import argparse
import os
import tempfile
import time

import numpy as np
import tensorflow.compat.v1 as tf

from benchmarks import ours, workload
from benchmarks.workload import timed
from bert.runtime import devices
from bert.runtime.estimator import Estimator, RunConfig
from bert.encoder import kernels
from bert import modeling, tokenization
from bert.system.files import sha256
from train import run_dir
from train.bert_lstm_ner import model_fn_builder
from train.data.windows import encode_words, pad_windows
from train.predictor import Predictor
from train.tagger.settings import TaggerSettings
from train.train_helper import get_args_parser

BATCH_SIZE = 32
CALLS = 5  # of estimator.predict, the slow one


def main():
    tf.logging.set_verbosity(tf.logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="bert_config.json; default: BERT-Base, Chinese vocabulary size")
    parser.add_argument("--sentences", type=int, default=256)
    options = parser.parse_args()
    devices.prepare()
    args = get_args_parser(["-batch_size", str(BATCH_SIZE)])
    given = workload.read_config(options.config)
    config = modeling.BertConfig.from_dict(dict(modeling.BertConfig(vocab_size=0).to_dict(), **given))
    sentences = workload.sentences(options.sentences, None, args.max_seq_length - 2, config.vocab_size)
    with tempfile.TemporaryDirectory() as folder:
        make_run(folder, config, args)
        compare(folder, config, args, sentences)


def make_run(folder, config, args):
    """An -output_dir as a run leaves it, its weights random."""
    vocab = os.path.join(folder, run_dir.VOCAB)
    workload.write_vocab(vocab, config.vocab_size)
    settings = TaggerSettings.of_flags(args, workload.LABELS, "BIO", config.to_dict())
    model = dict(settings.to_json(), vocab=sha256(vocab))
    run_dir.write_state(folder, run_dir.new_state(folder, model, {"constrain": True}))
    ours.random_checkpoint(os.path.join(folder, run_dir.CHECKPOINT), config, args)


def compare(folder, config, args, sentences):
    """Prints the times of Predictor and of estimator.predict on the same sentences, lists of words."""
    texts = ["".join(words) for words in sentences]
    start = time.perf_counter()
    with Predictor(folder, BATCH_SIZE) as predict:
        loaded = time.perf_counter()
        first, again = timed(lambda: predict(texts[0])), timed(lambda: predict(texts[0]))
        predict(texts)  # as every length of batch costs TensorFlow something once
        each = [timed(lambda text=text: predict(text)) for text in texts]
        together = timed(lambda: predict(texts))
    by_estimator = estimator_predict(folder, config, args)
    by_estimator(sentences[:1])
    single = np.median([timed(lambda i=i: by_estimator(sentences[i : i + 1])) for i in range(CALLS)])
    batch = np.median([timed(lambda: by_estimator(sentences[:BATCH_SIZE])) for _ in range(CALLS)])

    latency, throughput = np.median(each), len(texts) / together
    print(f"{len(texts)} sentences, {np.mean([len(text) for text in texts]):.0f} characters on average")
    print(
        f"Predictor: {loaded - start:.2f} s to make, first call {1e3 * first:.1f} ms, same again {1e3 * again:.1f} ms"
    )
    print("                                    Predictor   estimator.predict     ratio")
    print(f"a call of one sentence, ms       {1e3 * latency:12.1f} {1e3 * single:19.1f} {single / latency:9.1f}")
    print(f"  the slowest of a hundred       {1e3 * np.percentile(each, 99):12.1f}")
    rate = BATCH_SIZE / batch
    print(f"sentences a second, {BATCH_SIZE} a batch  {throughput:12.1f} {rate:19.1f} {throughput / rate:9.1f}")


def estimator_predict(folder, config, args):
    """A function that tags sentences, lists of words, by one call of estimator.predict."""
    tokenizer = tokenization.FullTokenizer(os.path.join(folder, run_dir.VOCAB))
    model_fn = model_fn_builder(
        config, len(workload.LABELS) + 1, None, 1e-5, 1, 0, args, ours.IDS, "BIO", kernels.REFERENCE
    )
    run_config = RunConfig(session_config=devices.session_config())
    estimator = Estimator(model_fn, folder, run_config)

    def predict(sentences):
        windows = list(encode_words(sentences, tokenizer, args.max_seq_length))
        features = pad_windows(windows, ("input_ids", "input_mask", "segment_ids", "word_start"))
        return list(estimator.predict(lambda: tf.data.Dataset.from_tensor_slices(features).batch(BATCH_SIZE)))

    return predict


if __name__ == "__main__":
    main()
