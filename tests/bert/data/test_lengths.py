"""Batches by length: every item once, shortest first, equals in their order."""

from hypothesis import given
from hypothesis import strategies as st

from bert.data.lengths import batches_by_length


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 7))
def test_every_item_once_and_shortest_first(lengths, batch_size):
    batches = batches_by_length(lengths, batch_size)
    order = [i for batch in batches for i in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [(lengths[i], i) for i in order] == sorted((length, i) for i, length in enumerate(lengths))
    assert all(len(batch) == batch_size for batch in batches[:-1]) and all(batches)
