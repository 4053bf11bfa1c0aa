"""From the CRF's scores to a tag and a probability for every position, with or without constraints.

Under a constraint, a word has a tag that the scheme allows there, its later pieces have X, and the two ends have
[CLS] and [SEP]. The rule between two words also holds across the X between them: B-PER X I-PER is allowed,
O X I-PER is not. So the CRF's states are always tags of words, and the state of a piece is the tag of its word.
Only the transition scores change from token to token. Best path and marginals come from the same scores, so they agree.
"""

import tensorflow.compat.v1 as tf

from train.data.labels import FORBIDDEN
from train.tagger import crf

WORD, LATER_PIECE, SPECIAL = 0, 1, 2


def decode(logits, lengths, transitions):
    """The best path over all label sequences, without a constraint.

    Args:
      logits: float [batch, steps, num_labels].
      lengths: int [batch].
      transitions: float [num_labels, num_labels].

    Returns:
      (pred_ids, scores): int32 [batch, steps], 0 at padding; float [batch, steps], the posterior probability of each
      chosen label, 0 at padding.
    """
    return _tags_and_scores(logits, lengths, transitions)


def decode_words(logits, lengths, transitions, constraint):
    """The best well-formed path where every step is a word; arguments and result as `decode`."""
    steps = tf.range(tf.shape(logits)[1])[None, :]
    is_first = tf.equal(steps, 0)
    is_last = tf.equal(steps, lengths[:, None] - 1)
    allowed = logits + _word_rules(constraint, is_first, is_last)  # [batch, steps, num_labels]
    return _tags_and_scores(allowed, lengths, transitions + constraint.follow)


def decode_pieces(logits, lengths, transitions, word_start, constraint):
    """The best well-formed path over [CLS], the pieces of words and [SEP].

    Args:
      word_start: int or bool [batch, steps], whether a position is the first piece of a word. The first and the last
        position of a sentence count as [CLS] and [SEP] unless marked so.

    Returns:
      As `decode`; positions whose label is not in question (pieces, [CLS], [SEP]) have probability 1.
    """
    steps = tf.range(tf.shape(logits)[1])[None, :]
    inside = steps < lengths[:, None]  # [batch, steps]
    is_word = tf.logical_and(tf.cast(word_start, tf.bool), inside)
    is_cls = tf.logical_and(tf.equal(steps, 0), tf.logical_not(is_word))
    is_end = tf.equal(steps, lengths[:, None] - 1)
    is_sep = tf.logical_and(is_end, tf.logical_not(tf.logical_or(is_word, is_cls)))
    is_piece = tf.logical_not(tf.logical_or(is_word, tf.logical_or(is_cls, is_sep)))

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
    tags, probability = _tags_and_scores(scores, lengths, table, 2 * kind + after_piece)
    is_inner_piece = tf.logical_and(is_piece, inside)
    return (
        tf.where_v2(is_inner_piece, constraint.piece, tags),
        tf.where_v2(is_inner_piece, tf.ones_like(probability), probability),
    )


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


def _tags_and_scores(potentials, lengths, transitions, kinds=None):
    tags, _ = crf.crf_decode(potentials, lengths, transitions, kinds)
    marginals = crf.crf_marginals(potentials, lengths, transitions, kinds)  # [batch, steps, num_labels]
    chosen = tf.one_hot(tags, tf.shape(potentials)[-1], dtype=marginals.dtype)
    return tags, tf.reduce_sum(marginals * chosen, axis=-1)
