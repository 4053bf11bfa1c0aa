"""Where the files of the tiny encoder are, and what is in its vocabulary."""

import os

from bert import modeling, tokenization

VOCAB = "[PAD] [UNK] [CLS] [SEP] [MASK] the man ann bob met saw in at london paris . , ' un ##aff ##able 北 京 good bad"
VOCAB = VOCAB.split()


class Release:
    """A directory with bert_config.json, vocab.txt and bert_model.ckpt."""

    def __init__(self, directory):
        self.vocab_file = os.path.join(directory, "vocab.txt")
        self.config_file = os.path.join(directory, "bert_config.json")
        self.checkpoint = os.path.join(directory, "bert_model.ckpt")

    @property
    def config(self):
        return modeling.BertConfig.from_json_file(self.config_file)

    @property
    def tokenizer(self):
        return tokenization.FullTokenizer(self.vocab_file)
