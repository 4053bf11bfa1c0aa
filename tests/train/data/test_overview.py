"""What check_data counts, by hand and by brute force."""

import collections

from hypothesis import given
from hypothesis import strategies as st

from train.data import overview as overviews
from train.data.conll import Sentence


class Tokenizer:
    """One piece for each character; capitals are unknown."""

    def tokenize(self, word):
        return ["[UNK]"] if word != word.lower() else list(word)


def sentence(text, tags=None):
    words = text.split()
    return Sentence(words, tags or ["O"] * len(words), 1)


def test_a_small_data_set():
    found = overviews.overview(
        [
            sentence("ann lee saw Rome", ["B-PER", "I-PER", "O", "B-LOC"]),
            sentence("abcdefgh ij"),
            sentence("bo Rome Rome", ["B-PER", "B-LOC", "B-LOC"]),
        ],
        "BIO",
        Tokenizer(),
        max_seq_length=10,
    )
    assert (found.sentences, found.words, found.longest) == (3, 9, 4)
    assert found.entities == {"PER": 2, "LOC": 3}
    assert found.unknown == {"Rome": 3}
    # 10 pieces in the first sentence, 10 in the second, 4 in the third; a window holds 8 beside [CLS] and [SEP].
    assert (found.cut, found.windows) == (2, 5)
    assert overviews.rare_types(found) == [("PER", 2), ("LOC", 3)]


def test_without_a_vocabulary_pieces_are_not_counted():
    found = overviews.overview([sentence("a b")], None)
    assert found.unknown is found.cut is found.windows is None


TEXTS = st.lists(st.lists(st.sampled_from(["a", "A", "b"]), min_size=1, max_size=2), max_size=8)


@given(TEXTS, TEXTS)
def test_shared_sentences(first, second):
    one, other = (overviews.overview([Sentence(words, ["O"] * len(words), 1) for words in texts], None)
                  for texts in (first, second))  # fmt: skip
    exact = sum(words in second for words in first)
    folded = [[word.lower() for word in words] for words in second]
    assert overviews.shared(one, other) == (exact, sum([word.lower() for word in words] in folded for words in first))


def test_a_type_with_enough_examples_is_not_rare():
    many = overviews.overview([], None)._replace(entities=collections.Counter(PER=20, LOC=19))
    assert overviews.rare_types(many) == [("LOC", 19)]
