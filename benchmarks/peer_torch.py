"""The PyTorch peer: Hugging Face's BertModel and tokenizer, an LSTM and pytorch-crf, on batches by length.

Its best on a CPU: bfloat16 autocast, scaled-dot-product attention, the fused AdamW. The CRF stays in float32.
"""

import os

import torch
import torchcrf
import transformers
from torch import nn

from benchmarks import workload
from benchmarks.peer_quality import load_tokenizer


class Tagger(nn.Module):
    """Encoder, dropout, BiLSTM, dropout, tanh projection, CRF, as train/ has them."""

    def __init__(self, config):
        super().__init__()
        num_labels = len(workload.LABELS) + 1
        self.bert = transformers.BertModel(config, add_pooling_layer=False)
        self.lstm = nn.LSTM(config.hidden_size, workload.LSTM_SIZE, batch_first=True, bidirectional=True)
        self.hidden = nn.Linear(2 * workload.LSTM_SIZE, workload.LSTM_SIZE)
        self.output = nn.Linear(workload.LSTM_SIZE, num_labels)
        self.dropout = nn.Dropout(0.5)
        self.crf = torchcrf.CRF(num_labels, batch_first=True)

    def logits(self, input_ids, input_mask):
        """Float32 [batch, seq_len, num_labels]."""
        vectors = self.dropout(self.bert(input_ids, attention_mask=input_mask).last_hidden_state)
        packed = nn.utils.rnn.pack_padded_sequence(vectors, input_mask.sum(1), batch_first=True, enforce_sorted=False)
        outputs, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.output(torch.tanh(self.hidden(self.dropout(outputs)))).float()


def autocast(options):
    """The context in which matmuls have the precision of the options."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=options["precision"] == "bf16")


def make_model(options):
    """A Tagger of random weights, with the sizes of the options' config."""
    torch.manual_seed(0)
    config = workload.read_config(options["config"])
    return Tagger(transformers.BertConfig(**config, attn_implementation="sdpa"))


def trainer(options, given):
    """A function that trains on all sentences once."""
    model = make_model(options).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01, fused=True)
    made = workload.batches(given, options["batch_size"], model.bert.config.vocab_size)

    def step(input_ids, input_mask, label_ids):
        with autocast(options):
            logits = model.logits(input_ids, input_mask)
        loss = -model.crf(logits, label_ids, mask=input_mask.bool(), reduction="mean")
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    def train():
        for batch in made:
            step(*[torch.from_numpy(array).long() for array in batch])

    return train


def tagger(options, given):
    """A function that tags all sentences, from words to labels."""
    tag = make_tag(options)
    return lambda: tag(given)


def make_tag(options):
    """A function from sentences, lists of words, to the labels of their words."""
    model = make_model(options).eval()
    tokenizer = load_tokenizer(os.path.dirname(options["vocab"]))
    batch_size = options["batch_size"]

    def tag(sentences):
        encoded = tokenizer(sentences, is_split_into_words=True, truncation=True, max_length=options["max_seq_length"])
        by_length = sorted(range(len(sentences)), key=lambda i: len(encoded["input_ids"][i]))
        tags = [None] * len(sentences)
        for start in range(0, len(sentences), batch_size):
            chosen = by_length[start : start + batch_size]
            padded = tokenizer.pad({"input_ids": [encoded["input_ids"][i] for i in chosen]}, return_tensors="pt")
            mask = padded["attention_mask"]
            with torch.inference_mode():
                with autocast(options):
                    logits = model.logits(padded["input_ids"], mask)
                paths = model.crf.decode(logits, mask=mask.bool())
            for i, path in zip(chosen, paths):
                first_pieces = {}
                for position, word in enumerate(encoded.word_ids(i)):
                    if word is not None:
                        first_pieces.setdefault(word, path[position])
                tags[i] = [workload.LABELS[max(label - 1, 0)] for label in first_pieces.values()]
        return tags

    return tag
