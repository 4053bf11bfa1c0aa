"""What a data set holds, counted before anything is trained: words, entities, what the splits share, what is cut.

In: the sentences of a split. Out: Overview. Loads no TensorFlow.
"""

import collections

from bert.tokenization import UNKNOWN
from train.data.kept import of_words
from train.data.schemes import entities
from train.data.windows import cut_windows

FEW = 20  # examples of a type in train with which little is learnt

# sentences, words: how many; documents: how many of the sentences begin one; entities: Counter of types; longest: words
# of the longest sentence; unknown: Counter of words of which the vocabulary lacks a piece; cut: number of sentences of
# more than one window; windows: of all sentences; these three are None without a vocabulary; texts, folded_texts: a
# number for each sentence, equal for equal ones, as it is and after case.
Overview = collections.namedtuple(
    "Overview", "sentences documents words entities longest unknown cut windows texts folded_texts"
)


def overview(sentences, scheme, tokenizer=None, max_seq_length=128):
    """Counts a split.

    Args:
      sentences: iterable of conll.Sentence, read once.
      scheme: tagging scheme of the corpus, or None.
      tokenizer: FullTokenizer, or None to leave out what needs one.
      max_seq_length: pieces in a window, [CLS] and [SEP] included.

    Returns:
      Overview.
    """
    tokenize = tokenizer and of_words(tokenizer.tokenize)
    count = documents = words = longest = cut = windows = 0
    kinds, unknown = collections.Counter(), collections.Counter()
    texts, folded = [], []
    for sentence in sentences:
        count += 1
        documents += sentence.begins_document
        words += len(sentence.words)
        longest = max(longest, len(sentence.words))
        kinds.update(kind for kind, _, _ in entities(sentence.tags, scheme))
        texts.append(hash(tuple(sentence.words)))
        folded.append(hash(tuple(word.casefold() for word in sentence.words)))
        if tokenize:
            pieces = [tokenize(word)[: max_seq_length - 2] for word in sentence.words]
            unknown.update(word for word, of_word in zip(sentence.words, pieces) if UNKNOWN in of_word)
            needed = len(cut_windows([len(of_word) for of_word in pieces if of_word], max_seq_length - 2))
            windows += needed
            cut += needed > 1
    if not tokenizer:
        unknown = cut = windows = None
    return Overview(count, documents, words, kinds, longest, unknown, cut, windows, texts, folded)


def shared(train, other):
    """How many sentences of train are in another split too: (exactly, after case), of two Overviews."""
    return tuple(
        sum(text in known for text in texts)
        for texts, known in (
            (train.texts, set(other.texts)),
            (train.folded_texts, set(other.folded_texts)),
        )
    )


def rare_types(train):
    """The types of which train has fewer than FEW examples: list of (type, number), the rarest first."""
    found = [(number, kind) for kind, number in train.entities.items() if number < FEW]
    return [(kind, number) for number, kind in sorted(found)]
