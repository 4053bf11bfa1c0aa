"""The work every contender of benchmarks/speed.py does: sentences with the lengths of real ones, and their batches.

Imports numpy only, so that each contender starts with no library but its own.
"""

import json
import time

import numpy as np

LABELS = ["O", "B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "X", "[CLS]", "[SEP]"]  # ids from 1
LSTM_SIZE = 128
# Deciles of the words in a sentence of a Chinese newspaper corpus, one character a word; mean 46.
WORD_DECILES = (3, 20, 25, 30, 35, 40, 46, 53, 63, 79, 126)
SPECIAL_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
FIRST_CHARACTER = 0x4E00


def timed(function):
    """The seconds that function() takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def read_config(path):
    """bert_config.json as a dict; without a path BERT-Base with the Chinese release's vocabulary size."""
    if path is None:
        return {"vocab_size": 21128, "type_vocab_size": 2}
    with open(path, encoding="utf-8") as reader:
        return json.load(reader)


def write_vocab(path, size):
    """A vocabulary of Chinese characters; what they leave is filled up with pieces that occur nowhere."""
    characters = [chr(FIRST_CHARACTER + i) for i in range(min(size - len(SPECIAL_PIECES), 20902))]
    pieces = SPECIAL_PIECES + characters
    pieces += [f"##unused{i}" for i in range(size - len(pieces))]
    with open(path, "w", encoding="utf-8") as writer:
        writer.write("\n".join(pieces) + "\n")


def sentences(count, data, max_words, vocab_size):
    """Lists of words: random characters in sentences as long as WORD_DECILES says, or a CoNLL file's, shuffled.

    Args:
      count: sentences, at most.
      data: path of a CoNLL file, or None.
      max_words: longer sentences are cut.
      vocab_size: as that of `write_vocab`.
    """
    rng = np.random.RandomState(1)
    if data is None:
        sizes = np.interp(rng.uniform(0, 10, count), np.arange(11), WORD_DECILES).astype(int)
        known = min(vocab_size - len(SPECIAL_PIECES), 20902)
        made = [[chr(FIRST_CHARACTER + code) for code in rng.randint(0, known, size)] for size in sizes]
    else:
        with open(data, encoding="utf-8") as reader:
            blocks = [block.strip().split("\n") for block in reader.read().split("\n\n") if block.strip()]
        made = [[line.split()[0] for line in blocks[i]] for i in rng.permutation(len(blocks))[:count]]
    return [words[:max_words] for words in made]


def batches(given, batch_size, vocab_size, pad_to=None, multiple=1):
    """Batches for training, of random ids: list of (input_ids, input_mask, label_ids), int32 [batch, seq_len].

    Args:
      given: from `sentences`.
      pad_to: length of every batch; None: sentences of about one length in a batch, which is as long as its longest.
      multiple: what the length of such a batch is rounded up to.
    """
    rng = np.random.RandomState(0)
    sizes = np.array([len(words) + 2 for words in given])
    ordered = np.sort(sizes) if pad_to is None else sizes
    made = []
    for start in range(0, len(ordered), batch_size):
        chosen = ordered[start : start + batch_size]
        seq_len = -(-chosen.max() // multiple) * multiple if pad_to is None else pad_to
        mask = (np.arange(seq_len) < chosen[:, None]).astype(np.int32)
        ids, labels = rng.randint(1, vocab_size, mask.shape), rng.randint(1, len(LABELS) + 1, mask.shape)
        made.append(((ids * mask).astype(np.int32), mask, (labels * mask).astype(np.int32)))
    return [made[i] for i in rng.permutation(len(made))]


def useful_flop(given, config):
    """Floating-point operations of the encoder's matmuls, forward, over all pieces but no padding."""
    hidden, layers = config.get("hidden_size", 768), config.get("num_hidden_layers", 12)
    intermediate = config.get("intermediate_size", 3072)
    pieces = np.array([len(words) + 2 for words in given], np.float64)
    dense = 2 * (4 * hidden * hidden + 2 * hidden * intermediate)
    return float(layers * (pieces * dense + 4 * pieces * pieces * hidden).sum())
