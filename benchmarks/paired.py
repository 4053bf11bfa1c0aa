"""Whether one tagger is better than another: entity counts by sentence, and tests on pairs.

In: files of `word gold predicted` lines, as a run writes label_test.txt, one for each setting and seed. Out: F1, means,
spreads and p-values. Two questions are asked. The t-test on pairs of runs with the same seed asks whether the next seed
would show the same sign. Approximate randomisation over sentences asks whether other test sentences would; source:
Yeh, "More accurate tests for the statistical significance of result differences" (COLING 2000).
"""

import math
import statistics

import numpy as np

from bert.system import lines
from bert.system.errors import UserError
from train.chunks import chunks, recognise

ROUNDS = 10000  # of the randomisation
_ROUNDS_AT_ONCE = 500
_SEED = 1  # of the randomisation, so that a table comes out the same again


def entity_counts(path):
    """Counts the entities of a tagged file as conlleval does.

    Args:
      path: a file of `word gold predicted` lines, a blank line after each sentence.

    Returns:
      int array [sentences, 3]: right, predicted and gold entities of each sentence.
    """
    sentences = read_tagged(path)
    scheme = recognise({tag for gold, _ in sentences for tag in gold})
    counts = np.zeros([len(sentences), 3], np.int64)
    for row, (gold, predicted) in enumerate(sentences):
        right, found = set(chunks(gold, scheme)), set(chunks(predicted, scheme))
        counts[row] = len(right & found), len(found), len(right)
    return counts


def read_tagged(path):
    """The sentences of a tagged file: list of (gold tags, predicted tags).

    Raises:
      UserError: a line has not three columns.
    """
    sentences, gold, predicted = [], [], []
    for number, line in lines.read(path):
        columns = line.split("\t" if "\t" in line else " ")
        if len(columns) == 3:
            gold.append(columns[1])
            predicted.append(columns[2])
        elif line:
            raise UserError(f"{path}:{number}: expected word, gold and predicted tag")
        elif gold:
            sentences.append((gold, predicted))
            gold, predicted = [], []
    return sentences + ([(gold, predicted)] if gold else [])


def f1(counts):
    """F1 in percent.

    Args:
      counts: array [..., 3] of right, predicted and gold entities.

    Returns:
      float array [...], 0 where there is no entity at all.
    """
    counts = np.asarray(counts, np.float64)
    return 200 * counts[..., 0] / np.maximum(counts[..., 1] + counts[..., 2], 1)


def spread(values):
    """The sample's standard deviation, 0 of a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def paired_t(first, second):
    """The two-sided p-value of a t-test on pairs, for a mean difference of 0.

    Args:
      first, second: lists of float of one length, one of each for a pair.

    Returns:
      float; None where there are fewer than two pairs.
    """
    differences = [b - a for a, b in zip(first, second)]
    if len(differences) < 2:
        return None
    mean, error = statistics.mean(differences), spread(differences) / math.sqrt(len(differences))
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return 1 - t_within(abs(mean) / error, len(differences) - 1)


def t_within(t, freedom):
    """The probability that Student's t lies between -t and t.

    Args:
      t: float, at least 0.
      freedom: int, degrees of freedom, at least 1.

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4.
    """
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(2 + odd, freedom + 1, 2):  # one term for each two degrees of freedom
        total += term
        term *= cosine * cosine * (k - 1) / k
    if not odd:
        return sine * total
    return 2 / math.pi * (angle + sine * total)


def randomised(first, second, rounds=ROUNDS):
    """The two-sided p-value of a difference in F1 by approximate randomisation over sentences.

    In each round each sentence's results are swapped or not, at random. The p-value is the share of rounds with a
    difference at least as large as the one found.

    Args:
      first, second: int arrays [sentences, 3] as `entity_counts` gives, of the same sentences. Counts of several seeds
        are added up by sentence: a sentence is then swapped in all seeds at once.
      rounds: int.

    Returns:
      float.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape:
        raise UserError(f"{len(first)} and {len(second)} tagged sentences; expected the same ones")
    both, half = (first + second).sum(0), first - second
    found = abs(f1(first.sum(0)) - f1(second.sum(0)))
    random, extreme = np.random.RandomState(_SEED), 0
    for start in range(0, rounds, _ROUNDS_AT_ONCE):
        size = min(_ROUNDS_AT_ONCE, rounds - start)
        signs = random.randint(0, 2, [size, len(first)]) * 2.0 - 1
        difference = signs @ half  # [rounds, 3], the first side's counts less the second's
        swapped = np.abs(f1((both + difference) / 2) - f1((both - difference) / 2))
        extreme += int((swapped >= found - 1e-9).sum())
    return (extreme + 1) / (rounds + 1)
