"""The PyTorch peer of benchmarks/quality.py: Hugging Face's BertModel under a linear head, or BiLSTM and pytorch-crf.

A process of its own, on any Python that has benchmarks/requirements.txt. It sees the first piece of each word only. The
optimizer is AdamW with linear warm-up and decay, as Devlin et al. (2019) and Hugging Face's examples have it; biases
and layer norms do not decay. After each epoch it is scored on dev.txt, and the best weights tag dev.txt and test.txt.
Out: label_dev.txt, label_test.txt and run.json in -output_dir, in the form in which run.py writes them.
"""

import argparse
import copy
import math
import os
import random

import torch
import torchcrf
import transformers
from torch import nn

from bert.system.errors import UserError, run_program
from bert.system.files import atomic_open, write_json
from train import conlleval
from train.chunks import recognise
from train.data.conll import read_conll

HEADS = ("linear", "blstm_crf")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
POOL = 50  # batches that are sorted by length together
BATCH_IN_TAGGING = 64
LONGEST = 512
NO_DECAY = ("bias", "LayerNorm")


class Tagger(nn.Module):
    """Encoder, first pieces, and a head; `loss` and `decode` are its two uses."""

    def __init__(self, encoder, head, num_labels, dropout, lstm_size):
        super().__init__()
        size = encoder.config.hidden_size
        self.bert = encoder
        self.dropout = nn.Dropout(dropout)
        self.lstm = self.crf = None
        if head == "blstm_crf":
            self.lstm = nn.LSTM(size, lstm_size, batch_first=True, bidirectional=True)
            self.crf = torchcrf.CRF(num_labels, batch_first=True)
            size = 2 * lstm_size
        self.output = nn.Linear(size, num_labels)

    def logits(self, batch):
        """Float32 [batch, words, num_labels]."""
        pieces, first, words = batch["input_ids"], batch["first"], batch["word_mask"]
        vectors = self.bert(pieces, attention_mask=batch["piece_mask"]).last_hidden_state  # [batch, pieces, hidden]
        vectors = torch.gather(
            vectors, 1, first[:, :, None].expand(-1, -1, vectors.shape[-1])
        )  # [batch, words, hidden]
        vectors = self.dropout(vectors)
        if self.lstm is not None:
            packed = nn.utils.rnn.pack_padded_sequence(vectors, words.sum(1), batch_first=True, enforce_sorted=False)
            vectors, _ = nn.utils.rnn.pad_packed_sequence(
                self.lstm(packed)[0], batch_first=True, total_length=words.shape[1]
            )
            vectors = self.dropout(vectors)
        return self.output(vectors).float()

    def loss(self, logits, batch):
        """The mean over words of a linear head, over sentences of a CRF."""
        mask = batch["word_mask"]
        if self.crf is None:
            return nn.functional.cross_entropy(logits[mask], batch["label_ids"][mask])
        return -self.crf(logits, batch["label_ids"], mask=mask, reduction="mean")

    def decode(self, logits, batch):
        """Label ids for each sentence: list of lists of int, at least as long as it has words."""
        if self.crf is None:
            return logits.argmax(-1).tolist()
        return self.crf.decode(logits, mask=batch["word_mask"])


def main():
    args = parse_flags()
    torch.manual_seed(args.seed)
    splits = {split: read_conll(os.path.join(args.data_dir, split + ".txt")) for split in ("train", "dev", "test")}
    labels = sorted({tag for sentence in splits["train"] for tag in sentence.tags})
    tokenizer = load_tokenizer(args.weights)
    encoded = {split: encode(tokenizer, sentences, labels) for split, sentences in splits.items()}
    model = Tagger(make_encoder(args.weights), args.head, len(labels), args.dropout, args.lstm_size)

    def tag(split):
        return tag_sentences(model, splits[split], encoded[split], labels, args.precision)

    evaluations, best, best_weights = [], None, None
    for step in train(model, encoded["train"], args):
        tags = tag("dev")
        evaluations.append({"step": step, "f1": score(splits["dev"], tags)})
        print("step {step}: dev F1 {f1:.4f}".format(**evaluations[-1]), flush=True)
        if best is None or evaluations[-1]["f1"] > best["f1"]:
            best, best_weights = evaluations[-1], copy.deepcopy(model.state_dict())
            write_tagged(os.path.join(args.output_dir, "label_dev.txt"), splits["dev"], tags)
    model.load_state_dict(best_weights)
    write_tagged(os.path.join(args.output_dir, "label_test.txt"), splits["test"], tag("test"))
    write_json(os.path.join(args.output_dir, "run.json"), {"evaluations": evaluations, "best": best})


def parse_flags():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-data_dir", required=True, help="directory with train.txt, dev.txt and test.txt")
    parser.add_argument("-weights", required=True, help="a Hugging Face directory; random weights if it has none")
    parser.add_argument("-output_dir", required=True)
    parser.add_argument("-head", choices=HEADS, required=True)
    parser.add_argument("-seed", type=int, required=True)
    parser.add_argument("-epochs", type=float, required=True)
    parser.add_argument("-lr", type=float, default=5e-5, help="peak rate of the encoder")
    parser.add_argument("-head_lr", type=float, help="the same of the head; default: the encoder's")
    parser.add_argument("-batch", type=int, default=32)
    parser.add_argument("-dropout", type=float, help="default: 0.1 in a linear head, 0.5 in the other")
    parser.add_argument("-lstm_size", type=int, default=128)
    parser.add_argument("-weight_decay", type=float, default=0.01)
    parser.add_argument("-warmup", type=float, default=0.1, help="share of the steps in which the rate rises")
    parser.add_argument("-clip", type=float, default=1.0, help="largest norm of the gradients")
    parser.add_argument("-precision", choices=("fp32", "bf16"), default="fp32")
    args = parser.parse_args()
    args.head_lr = args.lr if args.head_lr is None else args.head_lr
    args.dropout = (0.1 if args.head == "linear" else 0.5) if args.dropout is None else args.dropout
    return args


def make_encoder(directory):
    """A BertModel without pooler; its weights are random where the directory has none."""
    if any(os.path.exists(os.path.join(directory, name)) for name in WEIGHTS):
        return transformers.BertModel.from_pretrained(directory, add_pooling_layer=False)
    names = [os.path.join(directory, name) for name in ("config.json", "bert_config.json")]
    config = transformers.BertConfig.from_json_file(next(filter(os.path.exists, names), names[0]))
    return transformers.BertModel(config, add_pooling_layer=False)


def load_tokenizer(directory):
    """The uncased tokenizer of a directory with vocab.txt.

    Raises:
      UserError: it does not know the words of vocab.txt. Transformers 5 ignores arguments that an earlier one took, and
        then all pieces are [UNK].
    """
    tokenizer = transformers.BertTokenizerFast.from_pretrained(directory, do_lower_case=True)
    path = os.path.join(directory, "vocab.txt")
    with open(path, encoding="utf-8", newline="\n") as reader:
        size = len(set(reader))
    if len(tokenizer) < size:
        raise UserError(f"{path}: the tokenizer has {len(tokenizer)} pieces of it, expected {size}")
    return tokenizer


def encode(tokenizer, sentences, labels):
    """Sentences as dicts: ids of the pieces, and of each word that has a piece its index, its first piece, its label.

    A word past the encoder's last position, or whose characters the tokenizer drops, is left out.
    """
    ids = {label: number for number, label in enumerate(labels)}
    encoded = tokenizer(
        [sentence.words for sentence in sentences], is_split_into_words=True, truncation=True, max_length=LONGEST
    )
    examples = []
    for number, sentence in enumerate(sentences):
        first = {}
        for position, word in enumerate(encoded.word_ids(number)):
            if word is not None:
                first.setdefault(word, position)
        words = list(first) or [0]  # the model takes no empty sentence
        examples.append(
            {
                "input_ids": encoded["input_ids"][number],
                "words": words,
                "first": [first.get(word, 0) for word in words],
                "label_ids": [ids.get(sentence.tags[word], 0) for word in words],
            }
        )
    return examples


def pad(examples):
    """A batch as tensors: input_ids, piece_mask [batch, pieces]; first, label_ids, word_mask [batch, words]."""

    def padded(name):
        longest = max(len(example[name]) for example in examples)
        return torch.tensor([example[name] + [0] * (longest - len(example[name])) for example in examples])

    def mask(name):
        lengths = torch.tensor([len(example[name]) for example in examples])
        return torch.arange(int(lengths.max()))[None, :] < lengths[:, None]

    batch = {name: padded(name) for name in ("input_ids", "first", "label_ids")}
    return dict(batch, piece_mask=mask("input_ids").long(), word_mask=mask("first"))


def training_batches(examples, size, shuffle):
    """One epoch: lists of examples of similar length, in random order."""
    order = list(range(len(examples)))
    shuffle(order)
    batches = []
    for start in range(0, len(order), size * POOL):
        pool = sorted(order[start : start + size * POOL], key=lambda number: len(examples[number]["input_ids"]))
        batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    shuffle(batches)
    return [[examples[number] for number in batch] for batch in batches]


def make_optimizer(model, args, steps):
    """AdamW with a rate for the encoder and one for the head, and its schedule."""
    groups = []
    for of_encoder, rate in ((True, args.lr), (False, args.head_lr)):
        for decays in (True, False):
            parameters = [
                parameter
                for name, parameter in model.named_parameters()
                if name.startswith("bert.") == of_encoder and decays != any(each in name for each in NO_DECAY)
            ]
            decay = args.weight_decay if decays else 0.0
            groups.append({"params": parameters, "lr": rate, "weight_decay": decay})
    optimizer = torch.optim.AdamW(groups, fused=True)
    return optimizer, transformers.get_linear_schedule_with_warmup(optimizer, int(args.warmup * steps), steps)


def train(model, examples, args):
    """Trains, and yields the step at the end of each epoch; the consumer evaluates meanwhile."""
    shuffle = random.Random(args.seed).shuffle
    steps = max(1, round(args.epochs * math.ceil(len(examples) / args.batch)))
    optimizer, schedule = make_optimizer(model, args, steps)
    step = 0
    while step < steps:
        model.train()
        for chosen in training_batches(examples, args.batch, shuffle)[: steps - step]:
            batch = pad(chosen)
            with autocast(args.precision):
                logits = model.logits(batch)
            model.loss(logits, batch).backward()
            nn.utils.clip_grad_norm_(model.parameters(), args.clip)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            step += 1
        yield step


def autocast(precision):
    """The context in which matmuls have this precision."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16")


def tag_sentences(model, sentences, examples, labels, precision):
    """The predicted tags of each sentence: list of lists of str, O for a word that the model does not see."""
    model.eval()
    tags = [["O"] * len(sentence.words) for sentence in sentences]
    by_length = sorted(range(len(examples)), key=lambda number: len(examples[number]["input_ids"]))
    for start in range(0, len(by_length), BATCH_IN_TAGGING):
        chosen = by_length[start : start + BATCH_IN_TAGGING]
        batch = pad([examples[number] for number in chosen])
        with torch.inference_mode():
            with autocast(precision):
                logits = model.logits(batch)
            paths = model.decode(logits, batch)
        for number, path in zip(chosen, paths):
            for word, label in zip(examples[number]["words"], path):
                tags[number][word] = labels[label]
    return tags


def score(sentences, tags):
    """Entity F1 from 0 to 1, as conlleval counts it."""
    scheme = recognise({tag for sentence in sentences for tag in sentence.tags})
    counts = conlleval.EvalCounts()
    for sentence, predicted in zip(sentences, tags):
        counts.add_sentence(sentence.tags, predicted, scheme)
    return conlleval.metrics(counts)[0].fscore


def write_tagged(path, sentences, tags):
    """Writes `word gold predicted` lines, a blank line after each sentence."""
    with atomic_open(path) as writer:
        for sentence, predicted in zip(sentences, tags):
            for columns in zip(sentence.words, sentence.tags, predicted):
                writer.write("\t".join(columns) + "\n")
            writer.write("\n")


if __name__ == "__main__":
    run_program(main)
