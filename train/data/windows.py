"""From sentences to what the model reads, and from its predictions back to one tag for every word.

A sentence too long for the model is cut into windows. Each word belongs to exactly one of them and sees, near a seam,
some of its neighbours in the next; training sees the same windows.
"""

import collections

import numpy as np

from train.data import schemes
from train.data.context import Words, fit_around
from train.data.kept import of_words
from train.data.labels import CLS, PIECE, SEP, SPECIAL
from train.data.schemes import OUTSIDE

# The words [first, last) of a sentence are in the window, [start, end) are those it decides.
Window = collections.namedtuple("Window", ["first", "start", "end", "last"])
# The words of a sentence that are in one window, which is all that joining needs. `sentence`: index of the sentence;
# `words`: for each word the window decides the pair (position of its first piece, index of the word in its sentence);
# `seen`: as `words`, for all the words in the window.
Part = collections.namedtuple("Part", ["sentence", "words", "seen"])
# What one window gives the model, as lists of the length of its pieces. `word_start`: 1 at the first piece of each
# word; `label_ids`: None where they are not known; `own`: the slice of the pieces of the words it decides; `part`:
# Part.
Encoded = collections.namedtuple("Encoded", ["tokens", "input_ids", "word_start", "label_ids", "own", "part"])
# What a tagger predicts for one window: lists or arrays `label_ids`, `scores` and `entity_scores`, see
# decoding.Decoded, one of each for every piece, and the `loss`. None is what was not asked for, and the entity_scores
# of an export of an earlier version.
Prediction = collections.namedtuple(
    "Prediction", ["label_ids", "scores", "loss", "entity_scores"], defaults=[None, None]
)

FIELDS = ("input_ids", "input_mask", "segment_ids", "label_ids")  # of a window in a record file
CONTEXT_SHARE = 4  # a window keeps a quarter of its room for neighbours on either side


def cut_windows(sizes, capacity, places=None):
    """Cuts a sentence into windows of at most `capacity` pieces.

    Args:
      sizes: pieces of each word, each from 1 to capacity.
      capacity: pieces a window may hold.
      places: for each word how good it is to cut before it. Of the cuts that leave a window at least half of the words
        it could decide, the best is taken, and of equals the last. Default: all are equal.

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
        if places and end < len(sizes):
            end, used = _best_cut(sizes, places, start, end, used)
        last = end
        while last < len(sizes) and used + sizes[last] <= capacity:
            used += sizes[last]
            last += 1
        windows.append(Window(first, start, end, last))
        ahead -= sum(sizes[start:end])
        start = end
    return windows


def _best_cut(sizes, places, start, end, used):
    """Moves a window's `end` back to the best place to cut; returns it and the pieces used up to there."""
    half = sum(sizes[start:end]) / 2
    best, best_used = end, used
    for i in range(end - 1, start, -1):
        used -= sizes[i]
        half -= sizes[i]
        if half < 0:
            break
        if places[i] > places[best]:
            best, best_used = i, used
    return best, best_used


def encode(sentences, tokenizer, ids, max_seq_length, context=0):
    """Encodes sentences with their labels.

    Args:
      sentences: iterable of conll.Sentence.
      tokenizer: FullTokenizer.
      ids: dict from label to id.
      max_seq_length: pieces a window may have, [CLS] and [SEP] included; at least 3.
      context: pieces of the words before and after a sentence in its document that a window has on either side, as far
        as there is room for them; they are labelled X, and no word starts at them.

    Yields:
      Encoded, in order. A sentence of words that tokenize to nothing yields none.
    """
    tokenize = _first_pieces(tokenizer, max_seq_length - 2)
    for number, sentence in enumerate(sentences):
        for window in _encode_sentence(number, sentence, tokenizer, tokenize, max_seq_length, context):
            label_ids = [ids[PIECE]] * len(window.tokens)
            label_ids[0], label_ids[-1] = ids[CLS], ids[SEP]
            for position, word in window.part.seen:
                label_ids[position] = ids[sentence.tags[word]]
            yield window._replace(label_ids=label_ids)


def encode_words(sentences, tokenizer, max_seq_length, places=None):
    """Encodes sentences whose labels are not known, each by itself.

    Args:
      sentences: iterable of lists of words.
      tokenizer, max_seq_length: as `encode`.
      places: function from the index of a sentence to the places in it, see `cut_windows`; called only for sentences
        too long for one window. Default: all places are equal.

    Returns:
      iterator of Encoded, in order. A sentence of words that tokenize to nothing has none.
    """
    return encode_in_context(map(Words, sentences), tokenizer, max_seq_length, 0, places)


def encode_in_context(sentences, tokenizer, max_seq_length, context, places=None):
    """Encodes sentences whose labels are not known, with the words around them.

    Args:
      sentences: iterable of context.Words.
      tokenizer, max_seq_length, context: as `encode`.
      places: as `encode_words`.

    Yields:
      Encoded, in order. A sentence of words that tokenize to nothing yields none.
    """
    tokenize = _first_pieces(tokenizer, max_seq_length - 2)
    for number, sentence in enumerate(sentences):
        yield from _encode_sentence(number, sentence, tokenizer, tokenize, max_seq_length, context, places)


def _first_pieces(tokenizer, capacity):
    """The function from a word to its pieces, at most `capacity`."""
    return of_words(lambda word: tokenizer.tokenize(word)[:capacity])


def _pieces_around(sentence, tokenize, most):
    """(before, after): the pieces nearest a sentence on either side, lists of at most so many."""
    if not most:
        return (), ()
    before, after = (
        [piece for word in words for piece in tokenize(word)] for words in (sentence.before, sentence.after)
    )
    return before[-most:], after[:most]


def _encode_sentence(number, sentence, tokenizer, tokenize, max_seq_length, context, places=None):
    """Yields the windows of one sentence, without labels.

    Args:
      number: index of the sentence.
      sentence: context.Words, or what has its fields.
      tokenize: function from a word to those of its pieces that one window has room for.
      tokenizer, max_seq_length, context, places: as `encode_in_context`.
    """
    words, capacity = sentence.words, max_seq_length - 2
    around = _pieces_around(sentence, tokenize, context)
    pieces = [tokenize(word) for word in words]
    # The words that tokenize to something; mostly all, and a range takes no room.
    present = range(len(words)) if all(pieces) else [i for i, tokens in enumerate(pieces) if tokens]
    sizes = [len(pieces[i]) for i in present]
    preferred = None
    if places and sum(sizes) > capacity:
        of_words = places(number)
        preferred = [of_words[i] for i in present]
    for window in cut_windows(sizes, capacity, preferred):
        room = capacity - sum(sizes[window.first : window.last])
        before = around[0] if window.first == 0 else ()
        after = around[1] if window.last == len(sizes) else ()
        before, after = fit_around(before, after, room)
        tokens, word_start, seen = [CLS, *before], [0] * (1 + len(before)), []
        for word in present[window.first : window.last]:
            seen.append((len(tokens), word))
            tokens += pieces[word]
            word_start += [1] + [0] * (len(pieces[word]) - 1)
        tokens += [*after, SEP]
        word_start += [0] * (len(after) + 1)
        decided = seen[window.start - window.first : window.end - window.first]
        own = slice(decided[0][0], decided[-1][0] + len(pieces[decided[-1][1]]))
        input_ids = tokenizer.convert_tokens_to_ids(tokens)
        yield Encoded(tokens, input_ids, word_start, None, own, Part(number, decided, seen))


def pad_windows(windows, names, seq_len=None):
    """A batch of windows as the arrays that the model takes.

    Args:
      windows: list of Encoded.
      names: of the arrays, of input_ids, input_mask, segment_ids, word_start, label_ids.
      seq_len: length of the arrays; default: that of the longest window.

    Returns:
      dict from name to int32 [len(windows), seq_len], 0 where padded.
    """
    seq_len = seq_len or max(len(window.input_ids) for window in windows)
    batch = {name: np.zeros([len(windows), seq_len], np.int32) for name in names}
    for name, array in batch.items():
        if name == "segment_ids":  # a window is one segment, 0
            continue
        for row, window in enumerate(windows):
            array[row, : len(window.input_ids)] = 1 if name == "input_mask" else getattr(window, name)
    return batch


def join_windows(sizes, parts, predictions, labels, scheme=None):
    """One tag for every word from one label for every position.

    Args:
      sizes: how many words each sentence has.
      parts: list of Part, those of the sentences' windows.
      predictions: for each part the label ids of its window, by position.
      labels: list of labels, ids from 1.
      scheme: the tagging scheme in which the tags of each sentence have to be well-formed, or None.

    Returns:
      list of lists of tags. A word that tokenizes to nothing is O, and so is one the model gave a label no word has.
    """
    tags = [[OUTSIDE] * size for size in sizes]
    put_tags(tags, parts, predictions, labels)
    return repaired(tags, scheme)


def put_tags(tags, parts, predictions, labels):
    """Puts the tags of some windows' words into their places in `tags`; arguments as `join_windows` and its result."""
    for part, label_ids in zip(parts, predictions):
        label_ids = list(map(int, label_ids))  # indexing by an array's elements takes five times as long
        for position, word in part.words:
            tags[part.sentence][word] = _tag(labels, label_ids[position])


def repaired(tags, scheme):
    """Sentences' tags, well-formed in a scheme; None: as they are.

    Each window is well-formed in itself; seams, and words that tokenize to nothing, can cut an entity in two.
    """
    if scheme is None:
        return tags
    return [each if schemes.well_formed(each, scheme) else schemes.retag(each, scheme) for each in tags]


def _tag(labels, label_id):
    label = labels[label_id - 1] if label_id > 0 else OUTSIDE
    return OUTSIDE if label in SPECIAL else label


def join_scores(sizes, parts, scores, unseen=1.0):
    """The score of every word's tag from those of every position.

    Args:
      sizes, parts: as `join_windows`.
      scores: for each part the scores of its window, by position.
      unseen: the score of a word that tokenizes to nothing; that it is O is not in question.

    Returns:
      list of lists of float, at most 1.
    """
    joined = [[unseen] * size for size in sizes]
    put_scores(joined, parts, scores)
    return joined


def put_scores(joined, parts, scores):
    """Puts the scores of some windows' words into their places; arguments as `join_scores` and its result."""
    for part, by_position in zip(parts, scores):
        for position, word in part.words:
            joined[part.sentence][word] = min(float(by_position[position]), 1.0)


def settle_seams(parts, predictions, labels, scheme=None):
    """Moves the seams between windows out of entities, so that each entity comes from one window that sees all of it.

    A seam stays where the windows on both sides have the same entity across it, or none. Else it moves to the nearest
    such place in what both see; where there is none, as in an entity longer than that, it stays.

    Args:
      parts: list of Part, in the order of the sentences.
      predictions: for each part the label ids of its window, by position.
      labels: list of labels, ids from 1.
      scheme: the tagging scheme of the tags, or None.

    Returns:
      list of Part, with other `words` where a seam was moved.
    """
    settled = list(parts)
    for right in range(1, len(settled)):
        left = right - 1
        if settled[left].sentence != settled[right].sentence:
            continue
        one, other = settled[left], settled[right]
        seam = other.words[0][1]
        spans = [_spans(settled[i].seen, predictions[i], labels, scheme) for i in (left, right)]
        # Each window keeps a word, and the seam lies at most right after the words that the left one sees.
        common = sum(word <= one.seen[-1][1] for _, word in other.seen)
        inner = [word for _, word in other.seen[: common + 1] if one.words[0][1] < word <= other.words[-1][1]]
        for place in sorted(inner, key=lambda word: (abs(word - seam), word)):
            if _across(spans[0], place) == _across(spans[1], place):
                first, last = one.words[0][1], other.words[-1][1]
                settled[left] = one._replace(words=_between(one.seen, first, place - 1))
                settled[right] = other._replace(words=_between(other.seen, place, last))
                break
    return settled


def _spans(seen, label_ids, labels, scheme):
    """The entities of one window: (type, first word, last word)."""
    tags = [_tag(labels, label_ids[position]) for position, _ in seen]
    return [(kind, seen[start][1], seen[stop - 1][1]) for kind, start, stop in schemes.entities(tags, scheme)]


def _across(spans, place):
    """The entity that crosses a seam before the word `place`, in a list; empty if none does."""
    return [span for span in spans if span[1] < place <= span[2]]


def _between(seen, first, last):
    return [(position, word) for position, word in seen if first <= word <= last]
