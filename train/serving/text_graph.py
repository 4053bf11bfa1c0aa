"""Tokenization inside the graph: texts in, the model's inputs and each word's place in its text out.

Equal to `FullTokenizer` on the words of `text.split_words`, character by character of Unicode: what decides about a
character is looked up in tables that are filled, at export, by asking the very functions the tokenizer in Python
uses; the vocabulary is a trie in two arrays. The graph is one of TensorFlow's ordinary operations and of constants, so
that it runs in either TensorFlow and in any server, with no custom operations and no tables to initialise.

Shapes: batch texts with `chars` characters, `words` words and `pieces` pieces in all, one text after another.
"""

import collections

import numpy as np
import tensorflow.compat.v1 as tf

from bert import tokenization
from train.data.labels import CLS, PADDING, SEP, SPECIAL
from train.data.schemes import OUTSIDE
from train.data.text import MARKS
from train.serving import unicode_tables
from train.serving.unicode_tables import (
    ALONE,
    CASED,
    CODE_POINTS,
    DROPPED,
    FINAL_SIGMA,
    IGNORABLE,
    MARK,
    NOTHING,
    PART,
    SIGMA,
    SPACE,
    lookup,
)

# Words of a batch of texts. text [words]: row of the word's text; index [words]: which word of its text it is; starts,
# ends [words]: characters of its text; count [batch]: words of each text. All int32.
Words = collections.namedtuple("Words", ["text", "index", "starts", "ends", "count"])
# Pieces of words. ids [pieces]; word [pieces]: which of all words each is of; count [words]: pieces of each. All int32.
Pieces = collections.namedtuple("Pieces", ["ids", "word", "count"])
# What the model reads, int32 [batch, seq_len], and where it finds each word: position int32 [words], of its first
# piece, 0 for a word that tokenizes to nothing; seen bool [words], whether the word is in what the model reads; size
# int32 [words]: pieces the model would read of it; too_long bool [batch].
Batch = collections.namedtuple(
    "Batch", ["input_ids", "input_mask", "segment_ids", "word_start", "position", "seen", "size", "too_long"]
)


def split_texts(texts, splitter=MARKS):
    """The words of texts and their characters.

    Args:
      texts: string [batch], UTF-8. A byte that is not counts as one character, U+FFFD, which is in no word.
      splitter: text.Splitter.

    Returns:
      (Words, characters int32 [chars], word int32 [chars]): the code points that are in a word, and in which.
    """
    decoded = tf.strings.unicode_decode(texts, "UTF-8")
    characters = decoded.flat_values
    row = tf.cast(decoded.value_rowids(), tf.int32)
    place = tf.range(tf.size(characters)) - tf.gather(tf.cast(decoded.row_starts(), tf.int32), row)

    kind = lookup(unicode_tables.kinds(), characters)
    kind, characters, row, place = _select(kind < DROPPED, kind, characters, row, place)
    begins = _begins_word(kind, row)
    if splitter.letters == "apart":
        begins |= tf.equal(kind, PART)
    elif splitter != MARKS:
        begins &= ~_is_joined(characters, kind, row, begins, splitter)
    word = tf.cumsum(tf.cast(begins, tf.int32)) - 1
    inside = kind < SPACE
    ends = 1 + tf.segment_max(*_select(inside, place, word))
    text, starts = _select(begins, row, place)
    count = tf.unsorted_segment_sum(tf.ones_like(text), text, tf.size(texts))
    index = tf.range(tf.size(text)) - tf.gather(tf.cumsum(count, exclusive=True), text)
    return (Words(text, index, starts, ends, count),) + tuple(_select(inside, characters, word))


def tokenize(characters, word, word_count, vocab, do_lower_case):
    """The pieces of words, as FullTokenizer gives them.

    Args:
      characters, word: int32 [chars], as `split_texts` gives them.
      word_count: words in all.
      vocab: dict from piece to id.
      do_lower_case: as FullTokenizer's.

    Returns:
      Pieces.
    """
    if do_lower_case:
        characters, word = _lower(characters, word)
    kind = lookup(unicode_tables.kinds(), characters)
    goes_on = (_shifted(kind, SPACE) < ALONE) & (kind < ALONE) & tf.equal(_shifted(word, -1), word)
    ids, is_piece = _wordpiece(characters, ~goes_on, vocab)
    ids, word = _select(is_piece, ids, word)
    return Pieces(ids, word, tf.unsorted_segment_sum(tf.ones_like(word), word, word_count))


def encode_texts(texts, vocab, do_lower_case, max_seq_length, splitter=MARKS):
    """What the model reads of texts.

    Args:
      texts: string [batch].
      vocab: dict from piece to id.
      do_lower_case: as FullTokenizer's.
      max_seq_length: pieces of a text the model takes, [CLS] and [SEP] included. Of a text that has more it reads as
        many words as fit, and the text is marked too long.
      splitter: text.Splitter.

    Returns:
      (Batch, Words).
    """
    words, characters, word = split_texts(texts, splitter)
    pieces = tokenize(characters, word, tf.size(words.text), vocab, do_lower_case)
    capacity = max_seq_length - 2
    batch = tf.size(texts)

    size = tf.minimum(pieces.count, capacity)
    pieces_before_text = tf.cumsum(tf.unsorted_segment_sum(size, words.text, batch), exclusive=True)
    position = 1 + tf.cumsum(size, exclusive=True) - tf.gather(pieces_before_text, words.text)
    seen = position + size <= capacity + 1
    too_long = tf.unsorted_segment_sum(tf.cast(~seen, tf.int32), words.text, batch) > 0
    used = tf.unsorted_segment_sum(tf.where_v2(seen, size, 0), words.text, batch)
    shape = tf.stack([batch, tf.reduce_max(tf.concat([used, [0]], 0)) + 2])

    nth = tf.range(tf.size(pieces.ids)) - tf.gather(tf.cumsum(pieces.count, exclusive=True), pieces.word)
    read = tf.gather(seen, pieces.word) & (nth < capacity)
    ids, word, nth = _select(read, pieces.ids, pieces.word, nth)
    where = tf.stack([tf.gather(words.text, word), tf.gather(position, word) + nth], 1)
    rows = tf.range(batch)
    at_cls, at_sep = tf.stack([rows, tf.zeros_like(rows)], 1), tf.stack([rows, used + 1], 1)
    input_ids = tf.scatter_nd(
        tf.concat([where, at_cls, at_sep], 0),
        tf.concat([ids, tf.fill([batch], vocab[CLS]), tf.fill([batch], vocab[SEP])], 0),
        shape,
    )
    return (
        Batch(
            input_ids=input_ids,
            input_mask=tf.sequence_mask(used + 2, shape[1], tf.int32),
            segment_ids=tf.zeros_like(input_ids),
            word_start=tf.scatter_nd(where, tf.cast(tf.equal(nth, 0), tf.int32), shape),
            position=tf.where_v2(seen & (size > 0), position, 0),
            seen=seen,
            size=size,
            too_long=too_long,
        ),
        words,
    )


def word_outputs(batch, words, decoded, labels):
    """The predictions for each word, padded to the text with the most words.

    As `windows.join_windows` and `join_scores` have it: a word that tokenizes to nothing is O, and that is certain.

    Args:
      batch, words: of `encode_texts`.
      decoded: decoding.Decoded of the pieces, [batch, seq_len].
      labels: list of labels, ids from 1.

    Returns:
      dict of tensors. [batch, words]: tags string, starts, ends, pieces int32, scores, entity_scores float32; [batch]:
      word_count int32, too_long bool.
    """
    where = tf.stack([words.text, words.index], 1)
    shape = tf.stack([tf.size(words.count), tf.reduce_max(tf.concat([words.count, [0]], 0))])

    def padded(values):
        return tf.scatter_nd(where, values, shape)

    first_piece = tf.stack([words.text, batch.position], 1)
    tokenizes = batch.position > 0
    ids = tf.where_v2(tokenizes, tf.gather_nd(decoded.tags, first_piece), 0)

    def of_words(scores):
        known = tf.minimum(tf.gather_nd(scores, first_piece), 1.0)
        return padded(tf.where_v2(tokenizes, known, tf.cast(batch.seen, tf.float32)))

    tags = [OUTSIDE if label in SPECIAL + (PADDING,) else label for label in [PADDING] + list(labels)]
    return {
        "tags": tf.gather(tf.constant([""] + tags), padded(tf.where_v2(batch.seen, 1 + ids, 0)), name="tags"),
        "scores": tf.identity(of_words(decoded.scores), "word_scores"),
        "entity_scores": tf.identity(of_words(decoded.entity_scores), "word_entity_scores"),
        "starts": tf.identity(padded(words.starts), "starts"),
        "ends": tf.identity(padded(words.ends), "ends"),
        "pieces": tf.identity(padded(batch.size), "pieces"),
        "word_count": tf.identity(words.count, "word_count"),
        "too_long": tf.identity(batch.too_long, "too_long"),
    }


def _select(condition, *tensors):
    """Of each tensor the elements where the condition holds."""
    chosen = tf.where(condition)[:, 0]
    return [tf.gather(tensor, chosen) for tensor in tensors]


def _shifted(values, first):
    """Each element's neighbour before it; the first one's is `first`."""
    return tf.concat([[first], values], 0)[:-1]


def _begins_word(kind, row):
    """Whether a word of `text.split_words`, by MARKS, begins at each character: bool [chars].

    Args:
      kind: int32 [chars], PART, MARK, ALONE or SPACE.
      row: int32 [chars], the text each is of.
    """
    bases, rows = _select(tf.not_equal(kind, MARK), kind, row)
    number = tf.cumsum(tf.cast(tf.not_equal(kind, MARK), tf.int32), exclusive=True)

    def before(kinds, rows, index):
        """The kind that stands at index - 1; none if that is of another text."""
        same_text = tf.equal(tf.gather(tf.concat([[-1], rows], 0), index), row)
        return tf.where_v2(same_text, tf.gather(tf.concat([[SPACE], kinds], 0), index), SPACE)

    previous = before(kind, row, tf.range(tf.size(kind)))
    base = before(bases, rows, number)  # what the marks before a character are written over
    alone = tf.equal(kind, ALONE)
    return alone | ((kind < ALONE) & tf.equal(previous, SPACE)) | (tf.equal(kind, PART) & tf.equal(base, ALONE))


def _is_joined(characters, kind, row, begins, splitter):
    """Where a word by MARKS begins, whether the splitter joins it to the one before: bool [chars].

    Args:
      characters, kind, row: int32 [chars], the code point, its kind and its text.
      begins: bool [chars], where the words by MARKS begin.
      splitter: text.Splitter.
    """
    first = tf.cast(tf.where(begins)[:, 0], tf.int32)  # [words by MARKS], the place where each begins
    mark, of_text = tf.gather(characters, first), tf.gather(row, first)
    is_letters = tf.gather(kind, first) < ALONE
    space_before = tf.equal(tf.gather(_shifted(kind, SPACE), first), SPACE)
    follows = ~space_before & tf.equal(of_text, _shifted(of_text, -1))  # right after the word before, of the same text

    def is_among(marks):
        codes = tf.constant([ord(each) for each in marks], tf.int32, [len(marks)])
        return ~is_letters & tf.reduce_any(tf.equal(mark[:, None], codes), 1)

    def before(values):
        return tf.concat([[False], values], 0)[:-1]

    leading, trailing = is_among(splitter.leading), is_among(splitter.trailing)
    inner = is_among(splitter.inner) | (leading & trailing)
    after_letters = follows & before(is_letters)
    letters_follow = tf.concat([follows & is_letters, [False]], 0)[1:]
    joined = after_letters & (trailing | (inner & letters_follow))
    joined |= follows & is_letters & before(leading | (inner & after_letters))
    return tf.scatter_nd(first[:, None], tf.cast(joined, tf.int32), tf.shape(characters)) > 0


def _lower(characters, word):
    """Lower-cased and without accents: str.lower, NFD, all marks of category Mn dropped; (characters, word)."""
    characters = tf.where_v2(_is_final_sigma(characters, word), ord(FINAL_SIGMA), characters)
    ways = tf.stack([lookup(table, characters) for table in unicode_tables.decompositions()], 1)
    chosen = tf.where(ways > NOTHING)
    characters = tf.gather_nd(ways, chosen) + tf.gather(characters, chosen[:, 0])
    word = tf.gather(word, chosen[:, 0])

    combining = lookup(unicode_tables.combining_classes(), characters)
    is_mark = lookup(unicode_tables.accents(), characters) > 0
    order = tf.cond(
        # Accents are dropped, so their order matters to nobody; few other characters have one.
        tf.reduce_any((combining > 0) & ~is_mark),
        lambda: _canonical_order(combining, word),
        lambda: tf.range(tf.size(combining)),
    )
    return _select(tf.gather(~is_mark, order), tf.gather(characters, order), word)


def _is_final_sigma(characters, word):
    """Whether each character is a capital sigma that str.lower writes as a final one.

    It is where the next character before it that matters is cased and the next one after it is not (Unicode,
    section 3.13, Final_Sigma).
    """
    context = lookup(unicode_tables.sigma_contexts(), characters)
    places = tf.cast(tf.where(context < IGNORABLE)[:, 0], tf.int32)
    cased, of_word = tf.gather(context, places), tf.gather(word, places)
    # (word, is cased) as one number: a letter of another word is no context.
    before, after = _shifted(of_word * 2 + cased, -1), tf.concat([of_word * 2 + cased, [-1]], 0)[1:]
    cased_in_word = of_word * 2 + CASED
    is_final = tf.equal(tf.gather(characters, places), ord(SIGMA)) & tf.equal(before, cased_in_word)
    is_final &= tf.not_equal(after, cased_in_word)
    return tf.scatter_nd(places[:, None], tf.cast(is_final, tf.int32), tf.shape(characters)) > 0


def _canonical_order(combining, word):
    """The order of characters in NFD: in each word, those after a starter (class 0) by their class, int32 [chars]."""
    place = tf.range(tf.size(combining))
    starts = tf.equal(combining, 0) | tf.not_equal(_shifted(word, -1), word)
    starter = tf.cumsum(tf.cast(starts, tf.int32))
    key = (tf.cast(starter, tf.int64) * 256 + tf.cast(combining, tf.int64)) * (1 << 31) + tf.cast(place, tf.int64)
    return tf.argsort(key)


def _wordpiece(characters, begins, vocab):
    """Greedy longest match first.

    Args:
      characters: int32 [chars].
      begins: bool [chars], whether each begins a part of a word that is cut into pieces by itself.
      vocab: dict from piece to id.

    Returns:
      (ids int32 [chars], is_piece bool [chars]): whether a piece begins at each character, and its id.
    """
    starts = tf.cast(tf.where(begins)[:, 0], tf.int32)
    ends = tf.concat([starts, [tf.size(characters)]], 0)[1:]
    part = tf.cumsum(tf.cast(begins, tf.int32)) - 1
    lengths, ids = _longest_match(characters, begins, tf.gather(ends, part), vocab)

    def next_piece(at, unknown, visited):
        going = at < ends
        here = tf.where(going)[:, 0]
        visited = tf.tensor_scatter_add(visited, tf.gather(at, here)[:, None], tf.ones_like(here, tf.int32))
        length = tf.gather(lengths, tf.minimum(at, tf.size(lengths) - 1))
        unknown |= going & tf.equal(length, 0)
        return tf.where_v2(going & (length > 0), at + length, ends), unknown, visited

    endless = ends - starts > tokenization.WordpieceTokenizer(vocab).max_input_chars_per_word
    _, unknown, visited = tf.while_loop(
        lambda at, *_: tf.reduce_any(at < ends),
        next_piece,
        [tf.where_v2(endless, ends, starts), endless, tf.zeros_like(characters)],
        back_prop=False,
    )
    is_unknown = tf.gather(unknown, part)
    is_piece = tf.where_v2(is_unknown, begins, visited > 0)
    return tf.where_v2(is_unknown, vocab[tokenization.UNKNOWN], ids), is_piece


def _longest_match(characters, begins, ends, vocab):
    """The longest piece of the vocabulary at each character: (length, 0 where there is none, id), int32 [chars].

    Args:
      begins: bool [chars], where pieces are those without ##.
      ends: int32 [chars], up to where the piece may go.
    """
    edges, children, piece_ids = (tf.constant(array) for array in _trie(vocab))
    place = tf.range(tf.size(characters))

    def next_character(length, node, best_length, best_id):
        at = place + length
        alive = (node >= 0) & (at < ends)
        character = tf.gather(characters, tf.minimum(at, tf.size(characters) - 1))
        edge = tf.cast(node, tf.int64) * CODE_POINTS + tf.cast(character, tf.int64)
        found = tf.raw_ops.LowerBound(sorted_inputs=edges[None], values=edge[None])[0]
        found = tf.minimum(found, tf.size(edges) - 1)
        alive &= tf.equal(tf.gather(edges, found), edge)
        node = tf.where_v2(alive, tf.gather(children, found), -1)
        piece = tf.where_v2(alive, tf.gather(piece_ids, tf.maximum(node, 0)), -1)
        is_piece = piece >= 0
        return length + 1, node, tf.where_v2(is_piece, length + 1, best_length), tf.where_v2(is_piece, piece, best_id)

    nothing = tf.zeros_like(characters)
    _, _, lengths, ids = tf.while_loop(
        lambda _, node, *__: tf.reduce_any(node >= 0),
        next_character,
        [0, tf.cast(~begins, tf.int32), nothing, nothing],
        back_prop=False,
    )
    return lengths, ids


def _trie(vocab):
    """The pieces as paths from root 0 for those that begin a word, from root 1 for those with ##.

    Returns:
      edges: int64 [edges], sorted, node * CODE_POINTS + the character that leads on.
      children: int32 [edges], where to.
      piece_ids: int32 [nodes], id of the piece that ends at a node, or -1.
    """
    edges = {}
    piece_ids = [-1, -1]
    for piece, i in vocab.items():
        later = piece.startswith("##") and len(piece) > 2
        node = int(later)
        for character in piece[2:] if later else piece:
            key = node * CODE_POINTS + ord(character)
            node = edges.get(key)
            if node is None:
                node = edges[key] = len(piece_ids)
                piece_ids.append(-1)
        if node > 1:
            piece_ids[node] = i
    keys = np.array(sorted(edges), np.int64)
    return keys, np.array([edges[key] for key in keys], np.int32), np.array(piece_ids, np.int32)
