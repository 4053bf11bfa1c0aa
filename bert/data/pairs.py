"""A text, or a pair of texts, as the ids BERT reads: `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`."""

import collections

CLS, SEP = "[CLS]", "[SEP]"

# tokens, input_ids, segment_ids: lists of one length, without padding.
PairFeatures = collections.namedtuple("PairFeatures", ["tokens", "input_ids", "segment_ids"])
FIELDS = ("input_ids", "input_mask", "segment_ids")  # the arrays that a model is fed with


def shortest_length(is_pair):
    """The least max_seq_length that has room for a piece of each text beside the special pieces."""
    return 5 if is_pair else 3


def encode(tokenizer, text_a, text_b, max_seq_length):
    """Tokenizes one or two texts and cuts them to fit.

    Args:
      tokenizer: FullTokenizer.
      text_a: str.
      text_b: str, or None for one text.
      max_seq_length: most pieces, [CLS] and [SEP] included.

    Returns:
      PairFeatures. Segment 0 is [CLS], a and its [SEP]; segment 1 b and its [SEP].
    """
    tokens_a = tokenizer.tokenize(text_a)
    tokens_b = None if text_b is None else tokenizer.tokenize(text_b)
    return join(tokenizer, tokens_a, tokens_b, max_seq_length)


def encode_if_any(tokenizer, text_a, text_b, max_seq_length):
    """As `encode`, but a second text without any piece counts as none, as in Google BERT's programs."""
    tokens_b = tokenizer.tokenize(text_b) if text_b else None
    return join(tokenizer, tokenizer.tokenize(text_a), tokens_b or None, max_seq_length)


def join(tokenizer, tokens_a, tokens_b, max_seq_length):
    """As `encode`, for texts that are lists of pieces already."""
    tokens_a, tokens_b = truncate(tokens_a, tokens_b, max_seq_length)
    tokens = [CLS] + tokens_a + [SEP]
    segment_ids = [0] * len(tokens)
    if tokens_b is not None:
        tokens += tokens_b + [SEP]
        segment_ids += [1] * (len(tokens_b) + 1)
    return PairFeatures(tokens, tokenizer.convert_tokens_to_ids(tokens), segment_ids)


def truncate(tokens_a, tokens_b, max_seq_length):
    """Cuts pieces off the ends until they fit with their special pieces; returns both lists.

    As Google BERT does: one piece at a time from the longer text, from b where both are of one length. So the shorter
    text, where each piece says more, stays whole as long as possible.
    """
    if tokens_b is None:
        return tokens_a[: max(max_seq_length - 2, 0)], None
    room = max(max_seq_length - 3, 0)
    if len(tokens_a) + len(tokens_b) <= room:
        return tokens_a, tokens_b
    # The longer one shrinks to the length of the shorter, then both in turns, b first.
    keep_a = min(len(tokens_a), max(room - len(tokens_b), room - room // 2))
    keep_b = min(len(tokens_b), room - keep_a)
    return tokens_a[:keep_a], tokens_b[:keep_b]


def truncate_seq_pair(tokens_a, tokens_b, max_length):
    """Cuts two lists of pieces, in place, to `max_length` together; in Google BERT's modules `_truncate_seq_pair`."""
    kept_a, kept_b = truncate(tokens_a, tokens_b, max_length + 3)
    del tokens_a[len(kept_a) :], tokens_b[len(kept_b) :]


def padded(features, max_seq_length):
    """dict of FIELDS, each a list of max_seq_length ints: mask 1 at pieces, everything 0 at padding."""
    padding = [0] * (max_seq_length - len(features.input_ids))
    return {
        "input_ids": features.input_ids + padding,
        "input_mask": [1] * len(features.input_ids) + padding,
        "segment_ids": features.segment_ids + padding,
    }
