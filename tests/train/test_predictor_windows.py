"""Where long text is cut into windows, and how entities over a seam are put together."""

import re

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from train.data.text import split_words
from train.data.windows import cut_windows
from train.inference.frozen import Prediction
from train.predictor import Predictor


class ByRule:
    """In place of the tagger: finds names by a pattern of words, those it sees whole in a window."""

    def __init__(self, predictor, pattern):
        self._ids, self._pattern = predictor.settings.label_ids, pattern
        self.windows = []

    def tag(self, windows, batch_size):
        self.windows = windows
        return [self._tag(window.tokens) for window in windows]

    def _tag(self, tokens):
        label_ids = np.full([len(tokens)], self._ids["O"])
        starts = np.cumsum([0] + [len(token) + 1 for token in tokens])
        for match in re.finditer(self._pattern, "".join(token + " " for token in tokens)):
            first, behind = np.searchsorted(starts, match.span())
            label_ids[first:behind] = self._ids["I-PER"]
            label_ids[first] = self._ids["B-PER"]
        return Prediction(label_ids, np.ones([len(tokens)], np.float32), None)

    def close(self):
        pass


def by_rule(finished, pattern):
    predictor = Predictor(finished[0])
    predictor.close()
    predictor._tagger = ByRule(predictor, pattern)
    return predictor


@pytest.mark.parametrize(
    "pattern,longest",
    [
        (r"(bob )+", 40),  # known from any part of it
        (r"(ann )(bob )*(?=the )", 6),  # only where its end is seen
        (r"(ann )(bob )*london ", 5),
    ],
)
@pytest.mark.one_tensorflow
def test_an_entity_over_a_seam_is_whole(pattern, longest, finished):
    """Windows hold 14 pieces here and see 3 of their neighbours: of an entity of 6 cut in two, one sees all."""
    predictor = by_rule(finished, pattern)

    @hypothesis.settings(max_examples=120, deadline=None)
    @hypothesis.given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, longest - 1)), max_size=12))
    def check(parts):
        text = " ".join("the " * before + "Ann " + "Bob " * more + "London the" for before, more in parts)
        found = [entity.text.lower() + " " for entity in predictor(text)]
        assert found == [match.group() for match in re.finditer(pattern, text.lower() + " ")]
        decided = [word for window in predictor._tagger.windows for _, word in window.part.words]
        assert decided == list(range(len(split_words(text))))

    check()


def test_long_text_is_cut_where_sentences_end(finished):
    predictor = by_rule(finished, "$^")
    words = ("我 在 北 京 上 海 . the man , in 上 海 . Bob saw . 京 京 京 京 京 . " * 8).split()
    predictor(" ".join(words))
    windows = predictor._tagger.windows
    assert len(windows) > 15
    for window in windows[:-1]:
        first, last = window.part.words[0][1], window.part.words[-1][1]
        # A window may decide 11 or, where it sees something on the left, 8 of its words: it may end behind the half.
        furthest = first + (8 if first else 11) - 1
        ends = [
            i for i in range(first, furthest + 1) if words[i] == "." and 2 * (i - first + 1) >= furthest - first + 1
        ]
        assert last == max(ends, default=furthest)


@hypothesis.settings(max_examples=120)
@hypothesis.given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2)), max_size=80), st.integers(4, 40))
def test_windows_end_at_the_best_place(words, capacity):
    sizes, places = [size for size, _ in words], [place for _, place in words]
    windows = cut_windows(sizes, capacity, places)
    assert [i for window in windows for i in range(window.start, window.end)] == list(range(len(sizes)))
    for window in windows:
        assert 0 <= window.first <= window.start < window.end <= window.last <= len(sizes)
        assert sum(sizes[window.first : window.last]) <= capacity
    for window in windows[:-1]:
        # How far it could have gone, as if all places were equal, and from where on a cut is allowed.
        used = sum(sizes[window.first : window.start])
        room = capacity - capacity // 4
        ends = [e for e in range(window.start + 1, len(sizes)) if used + sum(sizes[window.start : e]) <= room]
        ends = ends or [window.start + 1]
        whole = sum(sizes[window.start : ends[-1]])
        ends = [e for e in ends if 2 * sum(sizes[window.start : e]) >= whole]
        assert window.end == max(ends, key=lambda end: (places[end], end))
    assert cut_windows(sizes, capacity, [1] * len(sizes)) == cut_windows(sizes, capacity)
