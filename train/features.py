"""From sentences to what the model reads, and from what it says back to one tag for every word.

A sentence too long for the model is cut into windows. Each word belongs to exactly one of them and sees, near a seam,
some of its neighbours in the next; training sees the same windows.
"""

import collections

from train.conlleval import chunks
from train.labels import CLS, OUTSIDE, PIECE, SCHEMES, SEP, SPECIAL, split_tag, well_formed

# The words [first, last) of a sentence are in the window, [start, end) are those it decides.
Window = collections.namedtuple("Window", ["first", "start", "end", "last"])
# What one window gives the model, as lists of the length of its pieces; `words`: for each word it decides the pair
# (position of its first piece, index of the word in its sentence); `own`: the slice of pieces of these words;
# `sentence`: index of the sentence.
Encoded = collections.namedtuple("Encoded", ["tokens", "input_ids", "label_ids", "words", "own", "sentence"])

CONTEXT_SHARE = 4  # a window keeps a quarter of its room for neighbours on either side


def tokenize_words(words, tokenizer, max_pieces):
    """The pieces of each word, at most max_pieces of each: a word's tag is that of its first piece."""
    return [tokenizer.tokenize(word)[:max_pieces] for word in words]


def cut_windows(sizes, capacity):
    """Cuts a sentence into windows of at most `capacity` pieces.

    Args:
      sizes: pieces of each word, each from 1 to capacity.
      capacity: pieces a window may hold.

    Returns:
      list of Window; their [start, end) put together are all words, in order.
    """
    context = capacity // CONTEXT_SHARE
    windows = []
    start, ahead = 0, sum(sizes)
    while start < len(sizes):
        first, used = start, 0
        while first > 0 and used + sizes[first - 1] <= min(context, capacity - sizes[start]):
            first -= 1
            used += sizes[first]
        room = capacity if used + ahead <= capacity else capacity - context
        end = start
        while end < len(sizes) and (end == start or used + sizes[end] <= room):
            used += sizes[end]
            end += 1
        last = end
        while last < len(sizes) and used + sizes[last] <= capacity:
            used += sizes[last]
            last += 1
        windows.append(Window(first, start, end, last))
        ahead -= sum(sizes[start:end])
        start = end
    return windows


def encode(sentences, tokenizer, ids, max_seq_length):
    """Encodes sentences.

    Args:
      sentences: list of conll.Sentence.
      tokenizer: FullTokenizer.
      ids: dict from label to id.
      max_seq_length: pieces a window may have, [CLS] and [SEP] included; at least 3.

    Yields:
      Encoded, in order. A sentence of words that tokenize to nothing yields none.
    """
    capacity = max_seq_length - 2
    for number, sentence in enumerate(sentences):
        pieces = tokenize_words(sentence.words, tokenizer, capacity)
        present = [i for i, tokens in enumerate(pieces) if tokens]  # words that tokenize to something
        for window in cut_windows([len(pieces[i]) for i in present], capacity):
            tokens, labels, words = [CLS], [CLS], []
            for k in range(window.first, window.last):
                word = present[k]
                if window.start <= k < window.end:
                    words.append((len(tokens), word))
                tokens += pieces[word]
                labels += [sentence.tags[word]] + [PIECE] * (len(pieces[word]) - 1)
            tokens.append(SEP)
            labels.append(SEP)
            own = slice(words[0][0], words[-1][0] + len(pieces[words[-1][1]]))
            input_ids = tokenizer.convert_tokens_to_ids(tokens)
            yield Encoded(tokens, input_ids, [ids[label] for label in labels], words, own, number)


def join_windows(sentences, encoded, predictions, labels, scheme=None):
    """One tag for every word from one label for every position.

    Args:
      sentences: list of conll.Sentence.
      encoded: their windows, as `encode` yields them.
      predictions: for each window its label ids by position.
      labels: list of labels, ids from 1.
      scheme: the tagging scheme in which the tags of each sentence have to be well-formed, or None.

    Returns:
      list of lists of tags. A word that tokenizes to nothing is O, and so is one the model gave a label no word has.
    """
    tags = [[OUTSIDE] * len(sentence.words) for sentence in sentences]
    for window, label_ids in zip(encoded, predictions):
        for position, word in window.words:
            label = labels[label_ids[position] - 1] if label_ids[position] > 0 else OUTSIDE
            tags[window.sentence][word] = OUTSIDE if label in SPECIAL else label
    if scheme is None:
        return tags
    # Each window is well-formed in itself; seams, and words that tokenize to nothing, can cut an entity in two.
    return [spelled if well_formed(spelled, scheme) else spell(spelled, scheme) for spelled in tags]


def spell(tags, scheme):
    """The same entities, as conlleval reads them, in well-formed tags of the scheme.

    >>> spell(["O", "I-PER", "I-PER", "B-LOC"], "BIO")
    ['O', 'B-PER', 'I-PER', 'B-LOC']
    """
    spelled = [OUTSIDE] * len(tags)
    single, end = ("S", "E") if "S" in SCHEMES[scheme].free else ("B", "I")
    for _, start, stop in chunks(tags):
        kind = split_tag(tags[start])[1]  # as it is written; conlleval takes a type 0 for none
        prefixes = [single] if stop - start == 1 else ["B"] + ["I"] * (stop - start - 2) + [end]
        spelled[start:stop] = [f"{prefix}-{kind}" if kind else prefix for prefix in prefixes]
    return spelled
