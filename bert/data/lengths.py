"""Batches of items of about the same length, which have little padding."""


def batches_by_length(lengths, batch_size):
    """Cuts items into batches, the shortest items first.

    Args:
      lengths: list of int, the length of each item.
      batch_size: items in a batch; the last batch may have fewer.

    Returns:
      list of lists of indices into `lengths`, each index once.

    >>> batches_by_length([5, 1, 4, 1], 2)
    [[1, 3], [2, 0]]
    """
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    return [by_length[start : start + batch_size] for start in range(0, len(by_length), batch_size)]
