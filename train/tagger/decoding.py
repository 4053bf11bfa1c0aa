"""From the CRF's scores to a tag and its probability for every position, and to the probabilities of entities.

Under a constraint, a word has a tag that the scheme allows there, its later pieces have X, and the two ends have
[CLS] and [SEP]. The rule between two words also holds across the X between them: B-PER X I-PER is allowed,
O X I-PER is not. So the CRF's states are always tags of words, and the state of a piece is the tag of its word.
Only the transition scores change from token to token. Best path and marginals come from the same scores, so they agree.

A temperature divides all scores before they become probabilities (Guo et al., "On Calibration of Modern Neural
Networks", 2017). The best path is that of the scores as they are, so it does not depend on the temperature. The
probabilities of entities are then mapped, see calibration.py.
"""

import collections

import tensorflow.compat.v1 as tf

from train.data.labels import FORBIDDEN
from train.tagger import crf
from train.tagger.calibration import LEAST, NO_CALIBRATION, LabelCalibration

WORD, LATER_PIECE, SPECIAL = 0, 1, 2

# The best path and how probable it is. tags: int32 [batch, steps], 0 at padding; scores: float [batch, steps], the
# posterior probability of each chosen label, 0 at padding; entity_scores: as scores, but at the words of an entity the
# probability of exactly this entity, see `_entity_scores`; None where it is not known how labels spell entities.
# Several calibrations give both kinds of scores a leading axis.
Decoded = collections.namedtuple("Decoded", ["tags", "scores", "entity_scores"])

# What each step of a path is, bool [batch, steps]. is_word: whether its label is the tag of a word, which its
# neighbours are compared with; is_piece: whether it is a later piece of the word before it.
_Steps = collections.namedtuple("_Steps", ["is_word", "is_piece"])


def decode(logits, lengths, transitions, word_start=None, entities=None, calibration=NO_CALIBRATION):
    """The best path over all label sequences, without a constraint.

    Args:
      logits: float [batch, steps, num_labels].
      lengths: int [batch].
      transitions: float [num_labels, num_labels].
      word_start: int or bool [batch, steps], whether a step is the first piece of a word; None: every step is a word.
      entities: labels.EntityRules, or None.
      calibration: calibration.LabelCalibration.

    Returns:
      Decoded.
    """
    every = tf.ones(tf.shape(logits)[:2], tf.bool)
    steps = _Steps(every, tf.logical_not(every))
    if word_start is not None:
        is_word, _, _, is_piece = _kinds(word_start, lengths)
        steps = _Steps(is_word, is_piece)
    return _decoded(logits, lengths, transitions, None, steps, entities, calibration)


def decode_words(logits, lengths, transitions, constraint, entities=None, calibration=NO_CALIBRATION):
    """The best well-formed path where every step is a word; arguments and result as `decode`."""
    steps = tf.range(tf.shape(logits)[1])[None, :]
    is_first = tf.equal(steps, 0)
    is_last = tf.equal(steps, lengths[:, None] - 1)
    allowed = logits + _word_rules(constraint, is_first, is_last)  # [batch, steps, num_labels]
    every = tf.ones(tf.shape(logits)[:2], tf.bool)
    steps = _Steps(every, tf.logical_not(every))
    return _decoded(allowed, lengths, transitions + constraint.follow, None, steps, entities, calibration)


def decode_pieces(logits, lengths, transitions, word_start, constraint, entities=None, calibration=NO_CALIBRATION):
    """The best well-formed path over [CLS], the pieces of words and [SEP].

    Args:
      word_start: int or bool [batch, steps], whether a position is the first piece of a word. The first and the last
        position of a sentence count as [CLS] and [SEP] unless marked so.

    Returns:
      As `decode`; positions whose label is not in question (pieces, [CLS], [SEP]) have probability 1.
    """
    is_word, is_cls, is_sep, is_piece = _kinds(word_start, lengths)
    inside = tf.sequence_mask(lengths, tf.shape(logits)[1])  # [batch, steps]
    num_labels = logits.shape.as_list()[-1]
    word_count = tf.cumsum(tf.cast(is_word, tf.int32), axis=1)  # [batch, steps]
    is_first = tf.equal(word_count, 1)
    is_last = tf.equal(word_count, word_count[:, -1:])
    word_scores = logits + _word_rules(constraint, is_first, is_last)  # [batch, steps, num_labels]
    piece_scores = logits[:, :, constraint.piece, None]  # [batch, steps, 1]: the same for each tag of the last word
    scores = tf.where_v2(is_word[:, :, None], word_scores, piece_scores)  # [batch, steps, num_labels]
    scores = tf.where_v2(is_cls[:, :, None], logits + _only(constraint.cls, num_labels), scores)
    scores = tf.where_v2(is_sep[:, :, None], logits + _only(constraint.sep, num_labels), scores)

    kind = tf.where_v2(is_word, WORD, tf.where_v2(is_piece, LATER_PIECE, SPECIAL))  # [batch, steps]
    after_piece = tf.pad(tf.cast(is_piece, tf.int32)[:, :-1], [[0, 0], [1, 0]])  # [batch, steps]
    table = _transition_table(transitions, constraint, num_labels)  # [6, num_labels, num_labels]
    # The state of a piece is the tag of its word, so the label of every step is what its neighbours go by.
    steps = _Steps(tf.ones_like(is_word), is_piece)
    decoded = _decoded(scores, lengths, table, 2 * kind + after_piece, steps, entities, calibration)
    is_inner_piece = tf.logical_and(is_piece, inside)

    def certain_at_pieces(values):
        return None if values is None else tf.where_v2(is_inner_piece, tf.ones_like(values), values)

    return Decoded(
        tf.where_v2(is_inner_piece, constraint.piece, decoded.tags),
        certain_at_pieces(decoded.scores),
        certain_at_pieces(decoded.entity_scores),
    )


def word_positions(word_start, steps=None):
    """Where the words of each sentence begin: (positions [batch, steps], number of words [batch]).

    Positions after the last word are those of pieces that begin none; nothing reads them.

    Args:
      word_start: int or bool [batch, seq_len], whether a piece is the first of a word.
      steps: how many positions to give; default: as many as the longest sentence has words.
    """
    word_start = tf.cast(word_start, tf.int32)
    lengths = tf.reduce_sum(word_start, axis=1)
    # A static length stays one, for XLA; else as many steps as the longest sentence has words, at least one.
    if steps is None:
        steps = word_start.shape.as_list()[1] or tf.maximum(tf.reduce_max(lengths), 1)
    # Keys that all differ, those of words the greatest, and of these the earlier ones.
    length = tf.shape(word_start)[1]
    _, positions = tf.math.top_k(word_start * length - tf.range(length), k=steps)
    return positions, lengths


def gather_steps(values, positions):
    """values[b, positions[b, t]]: [batch, seq_len, ...] by [batch, steps] to [batch, steps, ...]."""
    return tf.gather(values, positions, axis=1, batch_dims=1)


def _kinds(word_start, lengths):
    """Which steps are words, [CLS], [SEP] and later pieces: four times bool [batch, steps]."""
    steps = tf.range(tf.shape(word_start)[1])[None, :]
    is_word = tf.logical_and(tf.cast(word_start, tf.bool), steps < lengths[:, None])
    is_cls = tf.logical_and(tf.equal(steps, 0), tf.logical_not(is_word))
    is_end = tf.equal(steps, lengths[:, None] - 1)
    is_sep = tf.logical_and(is_end, tf.logical_not(tf.logical_or(is_word, is_cls)))
    return is_word, is_cls, is_sep, tf.logical_not(tf.logical_or(is_word, tf.logical_or(is_cls, is_sep)))


def _transition_table(transitions, constraint, num_labels):
    """[6, L, L], row 2 * kind + (1 after a later piece): scores from the last word's tag to this token."""
    # [num_labels, num_labels]: the same row for each tag of the last word
    from_piece = tf.ones([num_labels, 1]) * transitions[constraint.piece]
    stay = tf.one_hot(tf.range(num_labels), num_labels, 0.0, FORBIDDEN)  # a piece keeps the last word's tag
    into_piece = transitions[:, constraint.piece, None]  # [num_labels, 1]
    return tf.stack(
        [
            transitions + constraint.follow,  # word after word
            from_piece + constraint.follow,  # word after piece
            into_piece + stay,  # piece after word
            transitions[constraint.piece, constraint.piece] + stay,  # piece after piece
            transitions,  # [SEP] after word
            from_piece,  # [SEP] after piece
        ]
    )


def _word_rules(constraint, is_first, is_last):
    """What to add to the scores of words: [batch, steps, num_labels]."""
    rules = constraint.on_word + tf.where_v2(is_first[:, :, None], constraint.first, 0.0)
    return rules + tf.where_v2(is_last[:, :, None], constraint.last, 0.0)


def _only(label, num_labels):
    """[num_labels]: 0 for one label, FORBIDDEN for the others."""
    return tf.one_hot(label, num_labels, 0.0, FORBIDDEN)


def _decoded(potentials, lengths, transitions, kinds, steps, entities, calibration):
    """The Decoded of a CRF; `steps` is _Steps, the others are as in `decode` and in crf.py."""
    tags, _ = crf.crf_decode(potentials, lengths, transitions, kinds)
    shape = tf.shape(tags)
    temperature = calibration.temperature
    several = not isinstance(temperature, float)
    if several:
        count = tf.shape(temperature)[0]
        of_row = tf.reshape(tf.tile(tf.range(count)[:, None], [1, shape[0]]), [-1])  # [count * batch]
        calibration = LabelCalibration(*(tf.gather(values, of_row) for values in calibration))
        potentials, transitions, kinds = _at_temperatures(potentials, transitions, kinds, temperature, of_row)
        lengths, path = tf.tile(lengths, [count]), tf.tile(tags, [count, 1])
        steps = _Steps(*(tf.tile(each, [count, 1]) for each in steps))
    else:
        path = tags
        if temperature != 1.0:
            potentials, transitions = potentials / temperature, transitions / temperature
    forward, backward = crf.crf_forward_backward(potentials, lengths, transitions, kinds)
    real = tf.sequence_mask(lengths, shape[1])  # [batch, steps]
    log_scores = _chosen(tf.nn.log_softmax(forward + backward), path)  # [batch, steps]
    scores = tf.where_v2(real, tf.exp(log_scores), 0.0)
    entity_scores = None
    if entities is not None:
        onward, inward = _around(path, potentials, transitions, kinds, forward, backward)
        spans = _spans(path, lengths, steps, entities)
        log_entities = _entity_scores(path, log_scores, onward, inward, spans, entities)
        entity_scores = tf.where_v2(spans.inside, _calibrated(tf.exp(log_entities), spans.label, calibration), scores)
    if several:
        scores, entity_scores = (
            None if values is None else tf.reshape(values, [count, shape[0], shape[1]])
            for values in (scores, entity_scores)
        )
    return Decoded(tags, scores, entity_scores)


def _calibrated(scores, label, calibration):
    """The scores of entities, mapped as calibration.py says.

    Args:
      scores: float [batch, steps].
      label: int32 [batch, steps], the label that says the entity's type.
      calibration: LabelCalibration, of all rows or with one of each row, [batch] and [batch, num_labels].
    """
    _, slope, offsets = calibration
    if not isinstance(slope, float):
        slope, offsets = slope[:, None], gather_steps(offsets, label)
    elif slope != 1.0 or any(offsets):
        offsets = tf.gather(tf.constant(offsets), label)
    else:
        return scores
    scores = tf.clip_by_value(scores, LEAST, 1.0 - LEAST)
    return tf.sigmoid(slope * tf.math.log(scores / (1.0 - scores)) + offsets)


def _at_temperatures(potentials, transitions, kinds, temperatures, of_row):
    """The scores of a batch at several temperatures, as one batch with the sentences once for each: as `_decoded`'s.

    Args:
      of_row: int32 [count * batch], which of the temperatures each sentence of this batch is at.
    """
    count = tf.shape(temperatures)[0]
    table = transitions if kinds is not None else transitions[None]  # [K, L, L]
    size = table.shape.as_list()[0]
    kinds = tf.zeros(tf.shape(potentials)[:2], tf.int32) if kinds is None else kinds
    table = table[None] / temperatures[:, None, None, None]  # [count, K, L, L]
    return (
        tf.tile(potentials, [count, 1, 1]) / tf.gather(temperatures, of_row)[:, None, None],
        tf.reshape(table, [-1] + table.shape.as_list()[2:]),
        tf.tile(kinds, [count, 1]) + size * of_row[:, None],
    )


# The entities of a path, [batch, steps]. inside: bool, whether a step is part of one; first, last: bool, whether one
# begins or ends with it; number: int32, of the last one that began; label: int32, the tag of the last word; compared:
# bool, whether the label of a step says which tag a word has.
_Spans = collections.namedtuple("_Spans", ["inside", "first", "last", "number", "label", "compared"])


def _spans(path, lengths, steps, entities):
    """The _Spans of a path, labels int32 [batch, steps]; other arguments as `_decoded`."""
    real = tf.sequence_mask(lengths, tf.shape(path)[1])
    divides = tf.logical_not(steps.is_piece)  # a word, [CLS] or [SEP], after which the word before is over
    label = tf.where_v2(tf.logical_and(steps.is_word, real), path, 0)
    # The tag of a word at its later pieces too, found as the label of the last step that divides.
    positions, _ = word_positions(divides, tf.shape(path)[1])
    number = tf.maximum(tf.cumsum(tf.cast(divides, tf.int32), axis=1) - 1, 0)
    label = gather_steps(label, gather_steps(positions, number))  # [batch, steps]
    before = tf.pad(label[:, :-1], [[0, 0], [1, 0]])
    starts, ends = (tf.convert_to_tensor(rule) for rule in entities)
    inside = tf.logical_and(tf.gather(starts[0], label), real)
    first = tf.logical_and(tf.gather_nd(starts, tf.stack([before, label], -1)), tf.logical_and(divides, inside))
    after, divides_after = (tf.pad(values[:, 1:], [[0, 0], [0, 1]]) for values in (label, tf.cast(divides, tf.int32)))
    steps_left = lengths[:, None] - tf.range(tf.shape(path)[1])[None, :]
    ends_after = tf.logical_and(tf.gather_nd(ends, tf.stack([label, after], -1)), divides_after > 0)
    last = tf.logical_and(inside, tf.logical_or(ends_after, tf.equal(steps_left, 1)))
    return _Spans(
        inside, first, last, tf.cumsum(tf.cast(first, tf.int32), axis=1), label, tf.logical_and(steps.is_word, real)
    )


def _around(path, potentials, transitions, kinds, forward, backward):
    """The scores of a path's neighbours at each step, float [batch, steps, L]; those of the first step say nothing.

    Returns:
      (onward, inward): of each label at a step after the path's label at the step before, with all that can follow; and
      of each label at the step before, with all that can stand up to it, into the path's label at the step.
    """
    before = tf.pad(path[:, :-1], [[0, 0], [1, 0]])  # [batch, steps]
    columns = tf.transpose(transitions, [1, 0] if kinds is None else [0, 2, 1])
    if kinds is None:
        out_of, into = tf.gather(transitions, before), tf.gather(columns, path)
    else:
        out_of = tf.gather_nd(transitions, tf.stack([kinds, before], -1))
        into = tf.gather_nd(columns, tf.stack([kinds, path], -1))
    onward = out_of + potentials + backward
    return onward, into + tf.pad(forward[:, :-1], [[0, 0], [1, 0], [0, 0]])


def _entity_scores(path, log_scores, onward, inward, spans, entities):
    """The log-probability of the entity that each step of a path is part of, float [batch, steps].

    An entity has probability P(first label, and it begins there) * P(each further label | the one before) * P(it ends
    there | last label). That is the sum over all label sequences that agree with the path from the entity's first to
    its last step and in which it neither goes on nor begins earlier. Without a constraint, the labels of its later
    pieces have to agree too, and where a later piece stands before it, an earlier beginning is not ruled out.

    Args:
      path: int32 [batch, steps].
      log_scores: float [batch, steps], log-probability of each label of the path.
      onward, inward: as `_around` gives them.
      spans: _Spans.
      entities: labels.EntityRules.
    """
    may_start, may_end = (tf.where_v2(tf.convert_to_tensor(rule), 0.0, FORBIDDEN) for rule in entities)
    label_before = tf.pad(spans.label[:, :-1], [[0, 0], [1, 0]])
    compared_before = tf.pad(tf.cast(spans.compared[:, :-1], tf.int32), [[0, 0], [1, 0]]) > 0

    def share(scores, rules, applies):
        """Log of the share of the labels that the rules allow, [batch, steps]."""
        allowed = tf.where_v2(applies[:, :, None], scores + rules, scores)
        return tf.reduce_logsumexp(allowed, axis=-1) - tf.reduce_logsumexp(scores, axis=-1)

    # Nothing comes before the first step, and nothing is compared with it.
    begins = share(inward, tf.gather(tf.transpose(may_start), path), compared_before)
    stops = share(onward, tf.gather(may_end, label_before), spans.compared)
    stops = tf.pad(stops[:, 1:], [[0, 0], [0, 1]])  # at the step after which the entity ends; there is none at the end
    goes_on = _chosen(tf.nn.log_softmax(onward), path)
    parts = tf.where_v2(spans.first, log_scores + begins, goes_on)
    parts += tf.where_v2(spans.last, stops, tf.zeros_like(stops))
    parts = tf.where_v2(spans.inside, parts, tf.zeros_like(parts))

    shape = tf.shape(path)
    numbers = spans.number + tf.range(shape[0])[:, None] * (shape[1] + 1)  # one of its own for each entity
    sums = tf.math.unsorted_segment_sum(tf.reshape(parts, [-1]), tf.reshape(numbers, [-1]), shape[0] * (shape[1] + 1))
    return tf.gather(sums, numbers)


def _chosen(values, path):
    """values[b, t, path[b, t]], [batch, steps]."""
    return tf.reduce_sum(values * tf.one_hot(path, tf.shape(values)[-1], dtype=values.dtype.base_dtype), axis=-1)
