"""From documents to examples for pre-training: pairs of segments, masked pieces, records.

The procedure is that of "BERT: Pre-training of Deep Bidirectional Transformers" (Devlin et al., 2018), appendix A.2,
with the details of Google's create_pretraining_data.py. All random numbers come from random.Random.random(), the
only method whose numbers stay the same over versions of Python.
"""

import bisect
import collections
import random

from bert.data.example_bytes import example_bytes, float_feature, int64_feature
from bert.pretraining import corpus
from bert.system.errors import UserError

SPECIAL = 3  # [CLS] and two [SEP]
SHORTEST_SEQUENCE = SPECIAL + 2  # a piece in each segment
BLOCKS_IN_A_GROUP = 16

# How examples are made: flags, and ids of the vocabulary; `continues` are the ids of ##pieces.
Settings = collections.namedtuple(
    "Settings",
    "max_seq_length max_predictions_per_seq masked_lm_prob short_seq_prob do_whole_word_mask random_seed "
    "vocab_size cls sep mask continues",
)

# A unit of work: the seed of its random numbers, the blocks that examples are made of, and blocks that only lend
# sentences.
Group = collections.namedtuple("Group", "name blocks lending")

# input_ids: list of int with [CLS] and [SEP], pieces masked; first: pieces of segment 0; positions, labels: of the
# masked pieces; is_random: whether the second segment is from another document.
Example = collections.namedtuple("Example", "input_ids first positions labels is_random")


def make_settings(vocab, vocab_file, **flags):
    """Settings, of a vocabulary and of flags.

    Args:
      vocab: dict from word piece to id.
      vocab_file: path of the vocabulary, for errors.
      flags: the fields of Settings that are flags, max_seq_length to random_seed, by name.

    Raises:
      UserError: the vocabulary lacks a special piece.
    """
    for token in ("[CLS]", "[SEP]", "[MASK]"):
        if token not in vocab:
            raise UserError(f"{vocab_file}: expected an entry {token}")
    return Settings(
        vocab_size=len(vocab),
        cls=vocab["[CLS]"],
        sep=vocab["[SEP]"],
        mask=vocab["[MASK]"],
        continues=frozenset(index for piece, index in vocab.items() if piece.startswith("##")),
        **flags,
    )


def groups_each_time(blocks):
    """How many groups `groups` makes of the blocks in one pass."""
    return -(-len(blocks) // BLOCKS_IN_A_GROUP)


def groups(blocks, dupe_factor, seed):
    """Passes through the corpus `dupe_factor` times, each time in another order, and yields Groups.

    The blocks of a group come from all parts of the corpus. Its documents lend each other sentences; if it has only one
    document, a block of another document is added.

    Args:
      blocks: list of corpus.Block, of two documents at least.
    """
    firsts = [block.first_document for block in blocks]
    lasts = [block.last_document for block in blocks]
    count = groups_each_time(blocks)
    for times in range(dupe_factor):
        rng = random.Random(f"{seed} {times}")
        order = shuffled(blocks, rng)
        for i in range(count):
            own = order[i * len(order) // count : (i + 1) * len(order) // count]
            lending = []
            only = own[0].first_document
            if all(block.first_document == block.last_document == only for block in own):
                begin, end = bisect.bisect_left(firsts, only), bisect.bisect_right(lasts, only)
                lending.append(blocks[_below_but(rng, len(blocks), begin, end)])
            yield Group(f"{seed} {times} {i}", own, lending)


def make_records(settings_and_path, group):
    """All examples of a group, shuffled: list of serialized tf.train.Example.

    Args:
      settings_and_path: Settings, and the path of the scratch file the blocks lie in.
      group: Group.
    """
    settings, path = settings_and_path
    rng = random.Random(group.name)
    own = [document for block in group.blocks for document in corpus.read_block(path, block)]
    lent = [document for block in group.lending for document in corpus.read_block(path, block)]
    lenders = Lenders(own + lent)
    records = []
    for number, sentences in own:
        for first, second, is_random in segment_pairs(number, sentences, lenders, settings, rng):
            first, second = truncate(first, second, settings.max_seq_length - SPECIAL, rng)
            records.append(serialize(mask(first, second, is_random, settings, rng), settings))
    return shuffled(records, rng)


class Lenders:
    """The documents that random sentences are taken from.

    Args:
      documents: list of (number, sentences); parts of one document have its number.
    """

    def __init__(self, documents):
        self._documents = sorted(documents, key=lambda document: document[0])
        self._numbers = [number for number, _ in self._documents]

    def sentences(self, number, rng):
        """The sentences of a random document other than `number`, from a random one on."""
        begin, end = bisect.bisect_left(self._numbers, number), bisect.bisect_right(self._numbers, number)
        _, sentences = self._documents[_below_but(rng, len(self._documents), begin, end)]
        return sentences[below(rng, len(sentences)) :]


def segment_pairs(number, sentences, lenders, settings, rng):
    """Pairs of segments of a document, each about as long as a sequence has room for.

    In half of the pairs the segments are consecutive. In the other half the second one is from another document, and
    the sentences that it replaces begin the next pair. A pair for which only one sentence is left is in that half, too.

    Args:
      number: number of the document.
      sentences: its sentences, lists of ids.
      lenders: Lenders.

    Yields:
      (first, second, is_random): new lists of ids, neither empty; together they may be longer than a sequence.
    """
    room = settings.max_seq_length - SPECIAL
    if rng.random() < settings.short_seq_prob:
        room = 2 + below(rng, room - 1)
    start = 0
    while start < len(sentences):
        end, length = start, 0
        while end < len(sentences) and length < room:
            length += len(sentences[end])
            end += 1
        middle = start + 1 if end - start == 1 else start + 1 + below(rng, end - start - 1)
        first = [piece for sentence in sentences[start:middle] for piece in sentence]
        is_random = middle == end or rng.random() < 0.5
        if is_random:
            second = []
            for sentence in lenders.sentences(number, rng):
                second.extend(sentence)
                if len(first) + len(second) >= room:
                    break
            start = middle
        else:
            second = [piece for sentence in sentences[middle:end] for piece in sentence]
            start = end
        yield first, second, is_random


def truncate(first, second, room, rng):
    """Shortens two lists to `room` pieces together: piece by piece, the longer one, at a random end."""
    spans = [[0, len(first)], [0, len(second)]]
    sizes = [len(first), len(second)]
    while sum(sizes) > room:
        longer = 0 if sizes[0] > sizes[1] else 1
        sizes[longer] -= 1
        if rng.random() < 0.5:
            spans[longer][0] += 1
        else:
            spans[longer][1] -= 1
    return first[slice(*spans[0])], second[slice(*spans[1])]


def mask(first, second, is_random, settings, rng):
    """An Example in which a share `masked_lm_prob` of the pieces is to be predicted.

    Of those, 80% become [MASK], 10% stay and 10% become a random piece of the vocabulary.
    """
    tokens = [settings.cls] + first + [settings.sep] + second + [settings.sep]
    tokens, chosen, labels = mask_words(tokens, _words(tokens, len(first), settings), settings, rng)
    return Example(tokens, len(first) + 2, chosen, labels, is_random)


def mask_words(tokens, words, settings, rng):
    """Masks pieces as `mask`.

    Args:
      tokens: list of pieces, changed in place.
      words: list of lists of positions, each masked as a whole or not at all.

    Returns:
      (tokens, positions, labels): the list itself; of the masked pieces their positions, ascending, and what was there.
    """
    count = min(settings.max_predictions_per_seq, max(1, int(round(len(tokens) * settings.masked_lm_prob))))
    chosen = []
    for word in shuffled(words, rng):
        if len(chosen) + len(word) <= count:
            chosen.extend(word)
        if len(chosen) == count:
            break
    chosen.sort()
    labels = [tokens[position] for position in chosen]
    for position in chosen:
        draw = rng.random()
        if draw < 0.8:
            tokens[position] = settings.mask
        elif draw < 0.9:
            tokens[position] = below(rng, settings.vocab_size)
    return tokens, chosen, labels


def _words(tokens, first, settings):
    """The positions that may be masked, in lists that are masked together: single positions, or whole words.

    A word continues through ##pieces, within its segment.
    """
    middle, last = first + 1, len(tokens) - 1
    positions = [position for position in range(1, last) if position != middle]
    if not settings.do_whole_word_mask:
        return [[position] for position in positions]
    words = []
    for position in positions:
        if tokens[position] in settings.continues and position not in (1, middle + 1):
            words[-1].append(position)
        else:
            words.append([position])
    return words


def serialize(example, settings):
    """The bytes of a record, padded with 0 to max_seq_length and max_predictions_per_seq, in Google BERT's layout."""
    tokens, labels = len(example.input_ids), len(example.labels)
    padding = [0] * (settings.max_seq_length - tokens)
    no_prediction = [0] * (settings.max_predictions_per_seq - labels)
    return example_bytes(
        {
            "input_ids": int64_feature(example.input_ids + padding),
            "input_mask": int64_feature([1] * tokens + padding),
            "segment_ids": int64_feature([0] * example.first + [1] * (tokens - example.first) + padding),
            "masked_lm_positions": int64_feature(example.positions + no_prediction),
            "masked_lm_ids": int64_feature(example.labels + no_prediction),
            "masked_lm_weights": float_feature([1.0] * labels + no_prediction),
            "next_sentence_labels": int64_feature([int(example.is_random)]),
        }
    )


def shuffled(items, rng):
    """A new list of the items in random order."""
    return sorted(items, key=lambda _: rng.random())


def below(rng, count):
    """A random int from 0 to count - 1."""
    return int(rng.random() * count)


def _below_but(rng, count, begin, end):
    """A random int from 0 to count - 1 that is not in the range from `begin` to end - 1."""
    drawn = below(rng, count - (end - begin))
    return drawn if drawn < begin else drawn + end - begin
