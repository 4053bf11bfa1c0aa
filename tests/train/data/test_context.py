"""The words around a sentence in its document, and the pieces of them that a window has room for."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from train.data import context
from train.data.context import Words, with_neighbours

WORDS = st.lists(st.sampled_from("abcdefgh"), max_size=5)
SENTENCES = st.lists(st.builds(Words, WORDS, st.booleans()), max_size=12)


def around(sentences, index, size):
    """(before, after) of a sentence, by collecting its whole document."""
    document = list(itertools.accumulate(sentence.begins_document for sentence in sentences))
    mine = [i for i in range(len(sentences)) if document[i] == document[index]]
    before = [word for i in mine if i < index for word in sentences[i].words]
    after = [word for i in mine if i > index for word in sentences[i].words]
    return before[max(len(before) - size, 0) :], after[:size]


@settings(deadline=None)
@given(SENTENCES, st.integers(0, 7))
def test_words_around(sentences, size):
    found = list(with_neighbours(iter(sentences), size))
    assert [(each.words, each.begins_document) for each in found] == [each[:2] for each in sentences]
    for index, sentence in enumerate(found):
        assert (list(sentence.before), list(sentence.after)) == around(sentences, index, size)


def test_it_reads_ahead_no_further_than_it_needs():
    read = []

    def sentences():
        for number in range(100):
            read.append(number)
            yield Words([str(number)], number == 50)

    found = with_neighbours(sentences(), 3)
    for number in range(100):
        assert next(found).words == [str(number)]
        assert len(read) <= number + 4 and (number > 49 or len(read) <= 51)


@given(st.lists(st.integers(), max_size=9), st.lists(st.integers(), max_size=9), st.integers(0, 20))
def test_pieces_that_fit(before, after, room):
    kept = context.fit_around(before, after, room)
    lengths = list(map(len, kept))
    assert kept[0] == before[len(before) - lengths[0] :] and kept[1] == after[: lengths[1]]
    assert sum(lengths) == min(room, len(before) + len(after))
    # A side gives way only to as much as the other has, or to half.
    assert lengths[0] in (len(before), room // 2, room - len(after))
    assert lengths[0] == len(before) or lengths[0] >= room // 2
    assert lengths[1] == len(after) or lengths[1] >= room // 2


def test_what_the_log_says():
    said = "sentences are read with up to 32 pieces before and after them (-context)"
    assert context.described(0, 9, 32) == f"{said}, and all are one document: the file has no -DOCSTART- line"
    assert context.described(2, 9, 32) == f"{said}; documents that -DOCSTART- lines begin: 2"
    assert context.described(9, 9, 32) == "each sentence is a document of its own, so -context 32 adds nothing"
