"""This project as a contender of benchmarks/speed.py, on its own code; and the archive's way of doing the same.

The archive's way: every batch padded to the longest length there may be, float32, TensorFlow's dynamic RNN, nothing
fused, prediction from variables.
"""

import contextlib
import multiprocessing
import os
import tempfile

import tensorflow.compat.v1 as tf

from benchmarks import workload
from bert import modeling, tokenization
from bert.encoder import kernels
from bert.optimization import build_train_step
from bert.runtime import devices
from bert.runtime.estimator import ModeKeys
from train.bert_lstm_ner import model_fn_builder
from train.data.labels import label_ids
from train.data.windows import encode_words, join_windows
from train.inference.frozen import FrozenTagger
from train.tagger import crf, decoding
from train.tagger.settings import TaggerSettings
from train.train_helper import get_args_parser

IDS = label_ids(workload.LABELS)


def _compute(options):
    fused = options["fused"] and kernels.can_fuse()
    kind = kernels.FUSED if fused else kernels.PLAIN
    return kernels.Compute(devices.DTYPES[options["precision"]], kind, options["recompute"], packed=fused)


def _args(options):
    return get_args_parser(["-batch_size", str(options["batch_size"]), "-learning_rate", "1e-5"])


def bert_config(options):
    given = dict(workload.read_config(options["config"]), **options.get("changes", {}))
    return modeling.BertConfig.from_dict(dict(modeling.BertConfig(vocab_size=0).to_dict(), **given))


def _placeholders():
    return {
        name: tf.placeholder(tf.int32, [None, None], name)
        for name in ("input_ids", "input_mask", "segment_ids", "label_ids")
    }


def _feed(placeholders, batch):
    values = dict(zip(("input_ids", "input_mask", "label_ids"), batch), segment_ids=0 * batch[0])
    return {placeholders[name]: value for name, value in values.items()}


def training_step(options, num_labels):
    """A function that trains on one batch."""
    session, train_op, feed = training_graph(options, num_labels)
    return lambda batch: session.run(train_op, feed(batch))


def training_graph(options, num_labels):
    """(session, training op, function from a batch to what is fed), by the model function of train/bert_lstm_ner.py."""
    devices.prepare()
    tf.set_random_seed(_args(options).seed)
    features = _placeholders()
    model_fn = model_fn_builder(
        bert_config(options), num_labels, None, 1e-5, 10000, 0, _args(options), IDS, "BIO", _compute(options)
    )
    train_op = model_fn(features, None, ModeKeys.TRAIN, {}).train_op
    config = devices.session_config()
    config.graph_options.rewrite_options.disable_meta_optimizer = not options["rewriting"]
    session = tf.Session(config=config)
    session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    return session, train_op, lambda batch: _feed(features, batch)


def trainer(options, given):
    """A function that trains on all sentences once."""
    multiple = 4 if options["fused"] else 1  # as bert.data.batches.trim rounds lengths
    pad_to = None if options["bucket"] else options["max_seq_length"]
    vocab_size = workload.read_config(options["config"])["vocab_size"]
    made = workload.batches(given, options["batch_size"], vocab_size, pad_to, multiple)
    step = training_step(options, len(workload.LABELS) + 1)

    def train():
        for batch in made:
            step(batch)

    return train


def tagger(options, given):
    """A function that tags all sentences, from words to labels, by what -do_predict does."""
    devices.prepare()
    tokenizer = tokenization.FullTokenizer(options["vocab"])
    with random_tagger(options) as (prefix, settings, compute):
        frozen = FrozenTagger(prefix, settings, compute)

    def tag():
        windows = list(encode_words(given, tokenizer, options["max_seq_length"]))
        label_ids = [found.label_ids for found in frozen.tag(windows, options["batch_size"])]
        return _join(given, windows, label_ids, "BIO")

    return tag


@contextlib.contextmanager
def random_tagger(options):
    """Within it, (checkpoint prefix, TaggerSettings, Compute) of a tagger with random weights."""
    config, args = bert_config(options), _args(options)
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, "model.ckpt")
        # In a process of its own, as it takes more memory than tagging.
        with multiprocessing.get_context("spawn").Pool(1) as another:
            another.apply(random_checkpoint, (prefix, config, args))
        yield prefix, TaggerSettings.of_flags(args, workload.LABELS, "BIO", config.to_dict()), _compute(options)


def _join(given, windows, label_ids, scheme=None):
    sizes, parts = [len(words) for words in given], [window.part for window in windows]
    return join_windows(sizes, parts, label_ids, workload.LABELS, scheme)


def random_checkpoint(prefix, config, args):
    """Writes a checkpoint of a tagger with random weights; returns its prefix."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.get_or_create_global_step()  # an Estimator restores it too
        features = _placeholders()
        model_fn = model_fn_builder(config, len(workload.LABELS) + 1, None, 1e-5, 1, 0, args, IDS, "BIO")
        model_fn(features, None, ModeKeys.EVAL, {})
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, prefix, write_meta_graph=False)


def _archive_tagger(config, features, is_training):
    """(logits, transitions, lengths) of the archive's graph, its BiLSTM switched on."""
    # The plain path's own dropout is cheaper than TensorFlow's.
    kernels.dropout = lambda x, rate, seed=None: tf.nn.dropout(x, rate=rate) if rate else x
    encoder = modeling.BertModel(
        config, is_training, features["input_ids"], features["input_mask"], features["segment_ids"]
    )
    lengths = tf.reduce_sum(features["input_mask"], axis=1)
    vectors = kernels.dropout(encoder.get_sequence_output(), 0.5 if is_training else 0.0)
    cells = [tf.nn.rnn_cell.LSTMCell(workload.LSTM_SIZE) for _ in range(2)]
    outputs, _ = tf.nn.bidirectional_dynamic_rnn(*cells, vectors, sequence_length=lengths, dtype=tf.float32)
    outputs = kernels.dropout(tf.concat(outputs, axis=-1), 0.5 if is_training else 0.0)
    num_labels = len(workload.LABELS) + 1
    hidden = tf.reshape(outputs, [-1, 2 * workload.LSTM_SIZE])
    hidden = modeling.dense(hidden, workload.LSTM_SIZE, "hidden", 0.02, tf.tanh)
    logits = modeling.dense(hidden, num_labels, "logits", 0.02)
    logits = tf.reshape(logits, [-1, tf.shape(vectors)[1], num_labels])
    return logits, tf.get_variable("transitions", [num_labels, num_labels]), lengths


def archive_trainer(options, given):
    """As `trainer`, the archive's way."""
    devices.prepare()
    config = bert_config(options)
    features = _placeholders()
    logits, transitions, lengths = _archive_tagger(config, features, True)
    loss = -tf.reduce_mean(crf.crf_log_likelihood(logits, features["label_ids"], lengths, transitions))
    train_op = build_train_step(loss, 1e-5, 10000, 0).train_op
    made = workload.batches(given, options["batch_size"], config.vocab_size, options["max_seq_length"])
    session = tf.Session()
    session.run(tf.global_variables_initializer())

    def train():
        for batch in made:
            session.run(train_op, _feed(features, batch))

    return train


def archive_tagger(options, given):
    """As `tagger`, the archive's way."""
    devices.prepare()
    config = bert_config(options)
    tokenizer = tokenization.FullTokenizer(options["vocab"])
    features = _placeholders()
    logits, transitions, lengths = _archive_tagger(config, features, False)
    tags = decoding.decode(logits, lengths, transitions).tags
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    batch_size, max_seq_length = options["batch_size"], options["max_seq_length"]

    def tag():
        windows = list(encode_words(given, tokenizer, max_seq_length))
        found = []
        for start in range(0, len(windows), batch_size):
            rows = [window.input_ids for window in windows[start : start + batch_size]]
            ids = [row + [0] * (max_seq_length - len(row)) for row in rows]
            mask = [[1] * len(row) + [0] * (max_seq_length - len(row)) for row in rows]
            fed = {features["input_ids"]: ids, features["input_mask"]: mask}
            fed[features["segment_ids"]] = [[0] * max_seq_length] * len(rows)
            found.extend(session.run(tags, fed))
        return _join(given, windows, found)

    return tag
