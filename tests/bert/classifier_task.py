"""Small data for run_classifier, a tiny encoder for it, and how what it writes is read."""

import numpy as np
import tensorflow.compat.v1 as tf

from bert import modeling

GOOD, BAD = "fine great lovely super".split(), "awful poor sad ugly".split()
OTHER = "the film was a story of people".split()
PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK]".split() + GOOD + BAD + OTHER + ["##s"]
MRPC_HEAD = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
CONFIG = {
    "vocab_size": len(PIECES), "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 32, "type_vocab_size": 2, "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0, "initializer_range": 0.05,
}  # fmt: skip


def text(rng, words, length):
    """A text with one of the words in it."""
    chosen = [OTHER[i] for i in rng.randint(len(OTHER), size=length)]
    chosen[rng.randint(length)] = words[rng.randint(len(words))]
    return " ".join(chosen)


def pairs(seed, count):
    """(text a, text b, label): the label says what b is like; a is one or the other."""
    rng = np.random.RandomState(seed)
    for _ in range(count):
        label = rng.randint(2)
        distractor = (GOOD, BAD)[rng.randint(2)]
        yield text(rng, distractor, rng.randint(2, 6)), text(rng, GOOD if label else BAD, rng.randint(2, 9)), label


def write_lines(path, lines):
    path.write_bytes("".join(line + "\n" for line in lines).encode("utf-8"))


def write_mrpc(directory, train=512, others=60):
    for split, seed, count in (("train", 1, train), ("dev", 2, others), ("test", 3, others)):
        head = MRPC_HEAD if split != "test" else MRPC_HEAD.replace("Quality", "index")
        rows = [
            f"{label if split != 'test' else i}\t{i}\t{i}\t{a}\t{b}"
            for i, (a, b, label) in enumerate(pairs(seed, count))
        ]
        write_lines(directory / f"{split}.tsv", [head] + rows)


def save_random_encoder(prefix, num_labels=None):
    """A checkpoint of an encoder alone, as pre-training would leave one; of a classifier where it has labels."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(5)
        ids = tf.placeholder(tf.int32, [None, None])
        modeling.BertModel(modeling.BertConfig.from_dict(dict(CONFIG, initializer_range=0.1)), False, ids)
        if num_labels:
            tf.get_variable("output_weights", [num_labels, CONFIG["hidden_size"]])
            tf.get_variable("output_bias", [num_labels])
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, prefix)


def flags_of(encoder, data, output, task="mrpc", *more):
    return [
        f"--task_name={task}", f"--data_dir={data}", f"--output_dir={output}", f"--vocab_file={encoder}/vocab.txt",
        f"--bert_config_file={encoder}/bert_config.json", "--max_seq_length=24", "--train_batch_size=16",
        "--learning_rate=1e-3", "--num_train_epochs=12", *more,
    ]  # fmt: skip


def results_of(output, name="eval_results.txt"):
    lines = (output / name).read_text().splitlines()
    assert lines == sorted(lines)
    return {key: float(value) for key, value in (line.split(" = ") for line in lines)}


def predictions_of(output, name="test_results.tsv"):
    return np.array([line.split("\t") for line in (output / name).read_text().splitlines()], np.float64)
