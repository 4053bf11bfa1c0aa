"""Windows of SQuAD questions: the context in pieces that know their place in the text, laid out for the encoder.

A window is `[CLS] question [SEP] context pieces [SEP]`. A context that does not fit becomes several windows, each
beginning doc_stride pieces after the one before.
"""

import bisect
import collections
import unicodedata

from bert.data import pairs

SPECIAL_PIECES = 3  # [CLS], [SEP], [SEP]

# text: str; pieces: list of str; starts, ends: lists of int, piece i is text[starts[i]:ends[i]] before lower-casing.
AlignedText = collections.namedtuple("AlignedText", ["text", "pieces", "starts", "ends"])

# query: list of str, the question's pieces; offset: position of the first context piece in the window; first, count:
# which pieces of the context follow from there; is_max_context: list of bool for each of those, whether no other window
# shows it with more context around it.
ContextWindow = collections.namedtuple("ContextWindow", ["query", "offset", "first", "count", "is_max_context"])


class Aligner:
    """Tokenizes texts and finds the characters that each piece comes from."""

    def __init__(self, tokenizer):
        """`tokenizer` is a tokenization.FullTokenizer."""
        self._basic = tokenizer.basic_tokenizer
        self._wordpiece = tokenizer.wordpiece_tokenizer
        self._kept = {}

    def align(self, text):
        """Tokenizes a text as `tokenize` does; returns AlignedText, which has the place of each piece too.

        An accent that the tokenizer strips belongs to the character before it.
        """
        # Lower-casing and decomposing a text give as many characters as doing so one character at a time, and in an
        # order that differs within one character and its marks at most. So counting is enough.
        origins = []
        for index, char in enumerate(text):
            origins.extend([index] * self._characters_left(char))
        pieces, starts, ends = [], [], []
        position = 0
        for word in self._basic.tokenize(text):
            for piece, length in self._pieces(word):
                pieces.append(piece)
                starts.append(origins[position])
                ends.append(self._behind_accents(text, origins[position + length - 1] + 1))
                position += length
        return AlignedText(text, pieces, starts, ends)

    def _characters_left(self, char):
        """How many characters tokenizing makes of one character: 0 of a space, 3 of a Hangul syllable."""
        if char not in self._kept:
            self._kept[char] = sum(len(word) for word in self._basic.tokenize(char))
        return self._kept[char]

    def _pieces(self, word):
        """Yields each piece with the number of the word's characters that it stands for."""
        pieces = self._wordpiece.tokenize(word)
        if len(pieces) == 1:  # the word itself, or [UNK] in its place
            return [(pieces[0], len(word))]
        return [(piece, len(piece) - (2 if i else 0)) for i, piece in enumerate(pieces)]  # 2 for ##

    def _behind_accents(self, text, end):
        while end < len(text) and unicodedata.category(text[end]) == "Mn" and not self._characters_left(text[end]):
            end += 1
        return end


def text_of(aligned, first, last):
    """The original text of the pieces from first to last, both included."""
    return aligned.text[aligned.starts[first] : aligned.ends[last]]


def pieces_of(aligned, start, end):
    """The (first, last) pieces that cover a span of characters; None where some character belongs to no piece.

    The pieces may cover more than the span, where it begins or ends inside a piece.
    """
    first = bisect.bisect_right(aligned.ends, start)
    last = bisect.bisect_left(aligned.starts, end) - 1
    if first > last or aligned.starts[first] > start or aligned.ends[last] < end:
        return None
    return first, last


def cut_spans(length, max_length, doc_stride):
    """Cuts a sequence into windows of at most max_length, one every doc_stride, without gaps: [(first, count)].

    An empty sequence has one window, which is empty.
    """
    spans = []
    first = 0
    while True:
        count = min(length - first, max_length)
        spans.append((first, count))
        if first + count == length:
            return spans
        first += min(count, doc_stride)


def most_context(spans, length):
    """For each position of the sequence, the index of the span that has the most context around it.

    Context is the smaller of what is left and right of the position in the span, plus 1% of the span's length, as in
    Google BERT's run_squad.py. Of equal spans the first is taken.
    """
    best_span, best_score = [0] * length, [-1.0] * length
    for index, (first, count) in enumerate(spans):
        for i in range(count):
            score = min(i, count - 1 - i) + 0.01 * count
            if score > best_score[first + i]:
                best_score[first + i] = score
                best_span[first + i] = index
    return best_span


def align_questions(questions, tokenizer):
    """Yields each question with the AlignedText of its context; a paragraph is tokenized once for all its questions."""
    aligner = Aligner(tokenizer)
    aligned = None
    for question in questions:
        if aligned is None or question.context is not aligned.text:
            aligned = aligner.align(question.context)
        yield question, aligned


def make_windows(question, aligned, tokenizer, max_seq_length, doc_stride, max_query_length):
    """The windows of one question: list of ContextWindow, at least one.

    Args:
      question: Question; the first max_query_length pieces of its text are taken.
      aligned: AlignedText of its context.
      max_seq_length: above max_query_length + 3.
    """
    query = tokenizer.tokenize(question.text)[:max_query_length]
    spans = cut_spans(len(aligned.pieces), max_seq_length - len(query) - SPECIAL_PIECES, doc_stride)
    best_span = most_context(spans, len(aligned.pieces))
    windows = []
    for number, (first, count) in enumerate(spans):
        is_max_context = [best == number for best in best_span[first : first + count]]
        windows.append(ContextWindow(query, len(query) + 2, first, count, is_max_context))
    return windows


def length_of(window):
    """The number of pieces in the window, with the special ones."""
    return window.offset + window.count + 1


def features_of(window, aligned, tokenizer):
    """The window as pairs.PairFeatures; the question is the first text of the pair."""
    context = aligned.pieces[window.first : window.first + window.count]
    return pairs.join(tokenizer, window.query, context, length_of(window))


def target_of(window, pieces):
    """The (start, end) positions of the answer in the window; both 0, the position of [CLS], if it is not all in it.

    Args:
      pieces: (first, last) of the answer in the context, or None for an unanswerable question.
    """
    if pieces is None or pieces[0] < window.first or pieces[1] >= window.first + window.count:
        return 0, 0
    shift = window.offset - window.first
    return pieces[0] + shift, pieces[1] + shift
