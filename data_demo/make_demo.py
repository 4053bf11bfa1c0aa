"""Writes the demo data: train.txt, dev.txt, test.txt, vocab.txt and bert_config.json.

In: texts_chinese.txt and texts_english.txt beside this file; to add a sentence or a name, add it there.
Out, in --output_dir (default: this folder): sentences with BIO tags of PER, LOC, ORG and TIM, half of them Chinese
(one character a line) and half English (one word a line), and the vocabulary and configuration of a tiny encoder.

    python data_demo/make_demo.py [--output_dir DIR]

The same texts give the same files, byte for byte, under every Python: `random()` is the only method of
random.Random whose values the language promises to keep, so nothing else is drawn from.
"""

import argparse
import collections
import json
import os
import random
import re
import string
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from bert.system.errors import UserError, run_program  # noqa: E402

SEED = 7
SPLITS = (("train", 4000), ("dev", 200), ("test", 200))
TYPES = ("PER", "LOC", "ORG", "TIM")
# Which characters of a text are one token.
CHINESE_TOKEN = re.compile(r"\S")
ENGLISH_TOKEN = re.compile(r"[^\W_]+|\S")
# How many entities of dev and test are taken from training; the others may be new.
REPEATED = 0.4

SPECIAL_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHINESE_PUNCTUATION = "，。、？！：；“”‘’（）《》【】…—·"
# An English word this frequent in training is one vocabulary entry. Rarer ones are spelled in pieces, so that training
# sees pieces about as often as dev and test with their new names do.
WHOLE_WORD_COUNT = 5
# A beginning or an ending of 2 to 6 letters that this many training words share is a piece.
PIECE_WORDS = 4

ENCODER = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 128,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 128,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "type_vocab_size": 2,
}

# The entries of one list of the texts: those for every split and those for dev and test only.
Entries = collections.namedtuple("Entries", ["usual", "held_out"])

_HEADER = re.compile(r"\[([^\]]+)\](.*)")
_SLOT = re.compile(r"\{([^{}]*)\}")
_HELD_OUT = "held out:"


def read_texts(path):
    """Reads a file of texts (its format is told at its top).

    Returns:
      {list name: Entries}.
    Raises:
      UserError: a line that is not UTF-8 or outside any list, or an entry with a `{name}` that no list has.
    """
    texts = {}
    slots = [("sentences", 1)]  # where the making of a sentence starts
    entries = None
    for number, line in enumerate(_decoded_lines(path), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        header = _HEADER.match(line)
        if header:
            name, line = header.group(1), header.group(2).strip()
            texts[name] = Entries([], [])
            entries = texts[name].usual
        elif entries is None:
            raise UserError(f"{path}:{number}: found {line!r}, expected a [name] before it")
        if line.startswith(_HELD_OUT):
            entries = texts[name].held_out
            line = line[len(_HELD_OUT) :]
        new = [entry.strip() for entry in line.split("|") if entry.strip()]
        entries.extend(new)
        slots.extend((slot, number) for entry in new for slot in _SLOT.findall(entry))
        if re.search("[{}]", _SLOT.sub("", line)):
            raise UserError(f"{path}:{number}: found a single brace, expected {{name}}")
    for slot, number in slots:
        if slot not in texts or not texts[slot].usual:
            raise UserError(f"{path}:{number}: found {{{slot}}}, expected the name of a list that has entries")
    return texts


def _decoded_lines(path):
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield line.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise UserError(f"{path}:{number}: expected UTF-8 ({error.reason})") from error


class SentenceMaker:
    """Makes sentences of one language; no two of them are the same.

    Args:
      texts: {list name: Entries}, as from read_texts.
      token_pattern: a compiled pattern that matches one token.
      seed: an int; each language has its own random numbers, so that a new Chinese sentence leaves the English be.
    """

    def __init__(self, texts, token_pattern, seed):
        self._texts = texts
        self._token_pattern = token_pattern
        self._rng = random.Random(seed)
        self._made = set()
        self._trained = collections.defaultdict(list)  # slot name -> the entities it had in training

    def sentence(self, training):
        """Returns a new sentence as [(token, tag)]; held-out entries are used only if not `training`."""
        for _ in range(1000):
            parts = self._parts(self._pick("sentences", training), training)
            entities = [(slot, text) for text, slot in parts if slot]
            tagged = self._tag(parts)
            words = tuple(token for token, _ in tagged)
            named_twice = len({text for _, text in entities}) < len(entities)
            if named_twice or words in self._made:
                continue
            self._made.add(words)
            if training:
                for slot, text in entities:
                    if text not in self._trained[slot]:
                        self._trained[slot].append(text)
            return tagged
        raise UserError("no new sentence in 1000 tries: expected more entries under [sentences]")

    def _choose(self, choices):
        return choices[int(self._rng.random() * len(choices))]

    def _pick(self, name, training):
        usual, held_out = self._texts[name]
        return self._choose(usual if training else usual + held_out)

    def _parts(self, entry, training):
        """Fills an entry; returns [(text, slot name of an entity, or None for text that is not one)]."""
        parts = []
        for i, piece in enumerate(_SLOT.split(entry)):
            if i % 2 == 0:
                parts.append((piece, None))
            elif _type_of(piece) in TYPES:
                parts.append((self._entity(piece, training), piece))
            else:
                parts.extend(self._parts(self._pick(piece, training), training))
        return parts

    def _entity(self, slot, training):
        if not training and self._trained[slot] and self._rng.random() < REPEATED:
            return self._choose(self._trained[slot])
        return self._plain(self._pick(slot, training), training)

    def _plain(self, entry, training):
        return _SLOT.sub(lambda slot: self._plain(self._pick(slot.group(1), training), training), entry)

    def _tag(self, parts):
        text = "".join(part for part, _ in parts)
        capital = re.search("[A-Za-z]", text)
        if capital:
            text = text[: capital.start()] + capital.group().upper() + text[capital.end() :]
        tags = []  # for each character of text
        for part, slot in parts:
            if slot:
                tags.extend(["B-" + _type_of(slot)] + ["I-" + _type_of(slot)] * (len(part) - 1))
            else:
                tags.extend("O" * len(part))
        return [(match.group(), tags[match.start()]) for match in self._token_pattern.finditer(text)]


def _type_of(slot):
    return slot.split(":")[0]


def make_vocabulary(chinese_texts, english_sentences):
    """Returns the vocabulary as a list of pieces, the order being their ids.

    Args:
      chinese_texts: {list name: Entries}; each character is a piece of its own.
      english_sentences: the English training sentences, [[(token, tag)]]. Words are lower-cased; any word of
        letters and digits can be spelled, held-out names too.
    """
    characters = {c for entries in chinese_texts.values() for e in entries.usual + entries.held_out for c in e}
    counts = collections.Counter(token.lower() for sentence in english_sentences for token, _ in sentence)
    words = {word: count for word, count in counts.items() if word.isalnum()}
    shared = collections.Counter()
    for word in words:
        for length in range(2, min(7, len(word))):
            shared[word[:length]] += 1
            shared["##" + word[-length:]] += 1
    letters = string.digits + string.ascii_lowercase
    groups = [
        string.punctuation,
        CHINESE_PUNCTUATION,
        letters,
        ["##" + letter for letter in letters],
        sorted(piece for piece, count in shared.items() if count >= PIECE_WORDS),
        sorted(word for word, count in words.items() if count >= WHOLE_WORD_COUNT),
        sorted(c for c in characters if not c.isspace() and not c.isascii()),
    ]
    pieces = SPECIAL_PIECES + [piece for group in groups for piece in group]
    return list(collections.OrderedDict.fromkeys(pieces))


def entities_of(sentence):
    """Returns the entities of [(token, tag)] as [(lower-cased text, type)]."""
    entities = []
    for token, tag in sentence:
        if tag.startswith("B-"):
            entities.append(([token.lower()], tag[2:]))
        elif tag.startswith("I-"):
            entities[-1][0].append(token.lower())
    return [(" ".join(tokens), type_) for tokens, type_ in entities]


def make_demo():
    """Returns ({split: [[(token, tag)]]}, vocabulary as a list of pieces)."""
    chinese = read_texts(os.path.join(HERE, "texts_chinese.txt"))
    english = read_texts(os.path.join(HERE, "texts_english.txt"))
    makers = (SentenceMaker(chinese, CHINESE_TOKEN, SEED), SentenceMaker(english, ENGLISH_TOKEN, SEED + 1))
    splits = {}
    for split, size in SPLITS:
        splits[split] = [makers[i % 2].sentence(split == "train") for i in range(size)]
    return splits, make_vocabulary(chinese, splits["train"][1::2])


def write_demo(output_dir):
    """Makes the demo data and writes its five files into `output_dir`; prints what they hold."""
    splits, vocabulary = make_demo()
    files = {
        split + ".txt": "\n".join("".join(f"{token} {tag}\n" for token, tag in sent) for sent in sentences)
        for split, sentences in splits.items()
    }
    files["vocab.txt"] = "".join(piece + "\n" for piece in vocabulary)
    encoder = dict(ENCODER, vocab_size=len(vocabulary))
    files["bert_config.json"] = json.dumps(encoder, indent=2, sort_keys=True) + "\n"
    try:
        os.makedirs(output_dir, exist_ok=True)
        for name, text in files.items():
            path = os.path.join(output_dir, name)
            with open(path + ".tmp", "w", encoding="utf-8", newline="\n") as out:
                out.write(text)
            os.replace(path + ".tmp", path)
    except OSError as error:
        raise UserError(f"{output_dir}: found no way to write there ({error.strerror}), expected a folder") from error
    print_summary(splits, vocabulary)


def print_summary(splits, vocabulary):
    """Prints, for each split, its size, its entities by type, and the share of them that training lacks."""
    trained = {entity for sentence in splits["train"] for entity in entities_of(sentence)}
    for split, sentences in splits.items():
        entities = [entity for sentence in sentences for entity in entities_of(sentence)]
        by_type = collections.Counter(type_ for _, type_ in entities)
        types = ", ".join(f"{type_} {by_type[type_]}" for type_ in TYPES)
        tokens = sum(len(sentence) for sentence in sentences)
        unseen = sum(entity not in trained for entity in entities) / len(entities)
        print(f"{split}: {len(sentences)} sentences, {tokens} tokens, {len(entities)} entities ({types}),", end=" ")
        print(f"{unseen:.0%} unseen in training")
    print(f"vocab: {len(vocabulary)} pieces")


def main():
    """Reads the command line and writes the files."""
    parser = argparse.ArgumentParser(description="Writes the demo data again; it comes out the same each time.")
    parser.add_argument("--output_dir", default=HERE, help="where to write (default: the folder of this program)")
    write_demo(parser.parse_args().output_dir)


if __name__ == "__main__":
    run_program(main)
