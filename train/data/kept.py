"""Functions of words that remember their results: most words of a file were there before. Loads no TensorFlow."""

import functools

KNOWN_WORDS = 1 << 16  # words whose results a function remembers
LONGEST_KNOWN = 100  # characters of these words at most, so that damaged files with huge words do not fill the memory


def of_words(function):
    """The function, which remembers its results for many words; not for long ones, which are rare.

    Args:
      function: takes a word (str), and hashable values; always has the same result for the same arguments.

    Returns:
      The function with the same arguments and results.
    """
    known = functools.lru_cache(KNOWN_WORDS)(function)

    @functools.wraps(function)
    def of_word(word, *values):
        return (function if len(word) > LONGEST_KNOWN else known)(word, *values)

    return of_word
