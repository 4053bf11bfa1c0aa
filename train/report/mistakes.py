"""The mistakes of a tagger: pairs of gold and predicted entities, the wrong sentences, and how sure the tagger was.

In: words with their gold and predicted tags, and the probability of each predicted tag. Out: counts that add up to
those of conlleval, because tags are read in the same way.
"""

import collections

from train.chunks import chunks, same_tag

# A gold entity and the predicted entity that belongs to it, each (type, start, end) in words, end exclusive; None where
# there is no partner.
Pair = collections.namedtuple("Pair", ["gold", "predicted"])
# The comparison of a sentence. pairs: list of Pair, in order; wrong_words: indices of the words with a wrong tag;
# confidence: the highest probability that the tagger gave to one of those wrong tags, or None if none has one.
Comparison = collections.namedtuple("Comparison", ["pairs", "wrong_words", "confidence"])

RIGHT = "correct"
TYPE = "other type"
BOUNDS = "other bounds"
BOTH = "other type and bounds"
MISSED = "missed"
SPURIOUS = "spurious"
KINDS = [TYPE, BOUNDS, BOTH, MISSED, SPURIOUS]  # of mistakes


def compare(gold, predicted, scores, scheme=None):
    """Compares the two taggings of a sentence.

    Args:
      gold, predicted: list of tags.
      scores: for each word the probability of its predicted tag, or None.
      scheme: the tags' scheme, as of chunks.chunks.

    Returns:
      Comparison.
    """
    pairs = pair_entities(chunks(gold, scheme), chunks(predicted, scheme))
    wrong = [i for i, tags in enumerate(zip(gold, predicted)) if not same_tag(*tags, scheme)]
    known = [scores[i] for i in wrong if scores[i] is not None]
    return Comparison(pairs, wrong, max(known) if known else None)


def pair_entities(gold, predicted):
    """Pairs the entities of a sentence, each at most once.

    Two entities of the same words always make a pair, also if their types differ. The others are paired by the number
    of words they share, most first; at a tie, entities of the same type come first, then earlier ones. An entity that
    shares no word with a free entity has no partner.

    Args:
      gold, predicted: lists of (type, start, end), each in order and without overlap.

    Returns:
      list of Pair, in order of their first words.

    >>> [kind_of(pair) for pair in pair_entities([("PER", 0, 2), ("LOC", 5, 6)], [("PER", 0, 3), ("LOC", 8, 9)])]
    ['other bounds', 'missed', 'spurious']
    """
    candidates = []
    first = 0
    for i, (kind, start, end) in enumerate(gold):
        while first < len(predicted) and predicted[first][2] <= start:
            first += 1
        j = first
        while j < len(predicted) and predicted[j][1] < end:
            other_kind, other_start, other_end = predicted[j]
            shared = min(end, other_end) - max(start, other_start)
            candidates.append(((start, end) != (other_start, other_end), -shared, kind != other_kind, i, j))
            j += 1
    partner, taken = {}, set()
    for *_, i, j in sorted(candidates):
        if i not in partner and j not in taken:
            partner[i] = j
            taken.add(j)
    pairs = [Pair(entity, predicted[partner[i]] if i in partner else None) for i, entity in enumerate(gold)]
    pairs += [Pair(None, entity) for j, entity in enumerate(predicted) if j not in taken]
    return sorted(pairs, key=lambda pair: (pair.gold or pair.predicted)[1:])


def kind_of(pair):
    """The kind of a pair: RIGHT, or one of KINDS."""
    if pair.gold is None:
        return SPURIOUS
    if pair.predicted is None:
        return MISSED
    same_type, same_bounds = pair.gold[0] == pair.predicted[0], pair.gold[1:] == pair.predicted[1:]
    if same_type and same_bounds:
        return RIGHT
    return TYPE if same_bounds else BOUNDS if same_type else BOTH


def confusion(comparisons):
    """Counts how often an entity of one type was predicted as an entity of each type.

    Args:
      comparisons: list of Comparison.

    Returns:
      Counter of (gold type, predicted type, whether the words are the same); a type is None where there is no entity
      on that side. The sum over predicted types is conlleval's number of gold entities of a type, the sum over gold
      types its number of found ones; (type, type, True) is its number of correct ones.
    """
    counts = collections.Counter()
    for comparison in comparisons:
        for gold, predicted in comparison.pairs:
            same_words = gold is not None and predicted is not None and gold[1:] == predicted[1:]
            counts[gold and gold[0], predicted and predicted[0], same_words] += 1
    return counts


def most_confident_first(comparisons):
    """The indices of the sentences with a wrong tag, those with the highest confidence first.

    Sentences without a confidence come last; at a tie the earlier sentence comes first.
    """
    wrong = [i for i, comparison in enumerate(comparisons) if comparison.wrong_words]
    return sorted(wrong, key=lambda i: 1.0 if comparisons[i].confidence is None else -comparisons[i].confidence)
