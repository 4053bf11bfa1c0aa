"""The metrics of classification and regression, in numpy.

Every function takes the expected and the predicted values, arrays [n] with n > 0, and returns a float.
"""

import numpy as np

POSITIVE = 1  # the id of the label whose F1 is computed


def accuracy(expected, predicted):
    """Share of predictions that are right."""
    return float(np.mean(np.equal(expected, predicted)))


def f1(expected, predicted):
    """Harmonic mean of precision and recall of the label POSITIVE; 0 if it neither occurs nor is predicted."""
    is_expected, is_predicted = np.equal(expected, POSITIVE), np.equal(predicted, POSITIVE)
    both = 2.0 * np.sum(is_expected & is_predicted)
    total = np.sum(is_expected) + np.sum(is_predicted)
    return float(both / total) if total else 0.0


def matthews(expected, predicted):
    """Matthews' correlation coefficient for any number of labels (Gorodkin 2004); 0 where either side has one label.

    Computed as Pearson's correlation of the two assignments as one-hot rows.
    """
    labels = np.unique(np.concatenate([expected, predicted]))
    one_hot = [np.equal(np.asarray(ids)[:, None], labels).astype(np.float64) for ids in (expected, predicted)]
    centred = [rows - rows.mean(axis=0) for rows in one_hot]
    scale = np.sqrt(np.sum(centred[0] ** 2) * np.sum(centred[1] ** 2))
    return float(np.sum(centred[0] * centred[1]) / scale) if scale else 0.0


def pearson(expected, predicted):
    """Pearson's correlation; nan where either side is constant."""
    if np.ptp(expected) == 0 or np.ptp(predicted) == 0:
        return float("nan")
    x, y = (np.asarray(values, np.float64) - np.mean(values, dtype=np.float64) for values in (expected, predicted))
    return float(np.sum(x * y) / np.sqrt(np.sum(x**2) * np.sum(y**2)))


def spearman(expected, predicted):
    """Spearman's correlation: Pearson's correlation of the ranks; equal values share their mean rank."""
    return pearson(_ranks(expected), _ranks(predicted))


def _ranks(values):
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # the rank of the last value of each group of equals
    return (last - (counts - 1) / 2.0)[group]


METRICS = {"f1": f1, "matthews": matthews, "pearson": pearson, "spearman": spearman}
