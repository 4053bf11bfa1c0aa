"""Tables of how a tagging went: label by label, label against label, and entity type by entity type.

Gold and predicted labels in, counts or text out. The functions on single labels take the labels of all words
in one flat list, as tags (`"B-PER"`) or as ids. `labels` says which there are and in what order, and comes
from the caller's label map:

    a list of the labels                        ["O", "B-PER", "I-PER"], or [1, 2, 3]
    or a dict from label to the name to print   {1: "O", 2: "B-PER", 3: "I-PER"}

A label that does not occur in the data still has its row. Names may hold East Asian wide characters; columns
line up in a terminal, where those are two cells wide.
"""

import collections
import unicodedata

import numpy as np

from train.chunks import chunks

OF_NO_ENTITY = ("O", "X", "[CLS]", "[SEP]")

LabelScore = collections.namedtuple("LabelScore", ["support", "correct", "accuracy"])


def confusion_matrix(gold, predicted, labels):
    """Counts how often each gold label was predicted as each label.

    Args:
        gold, predicted: labels of the same N words, flat; tags or ids.
        labels: the labels in the order of rows and columns (see the module's text).

    Returns:
        int64 array [L, L], rows gold, columns predicted; the sum is N.

    Raises:
        ValueError: lengths differ, a label of the data is not in `labels`, or `labels` has one twice.

    >>> confusion_matrix(["O", "B", "O"], ["O", "O", "B"], ["O", "B"])
    array([[1, 1],
           [1, 0]])
    """
    labels = list(labels)
    rows = {label: row for row, label in enumerate(labels)}
    if len(rows) < len(labels):
        raise ValueError(f"labels are {labels}, expected each once")
    gold, predicted = list(gold), list(predicted)
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold labels and {len(predicted)} predicted, expected as many")
    unknown = (set(gold) | set(predicted)) - set(labels)
    if unknown:
        raise ValueError(f"the data has {sorted(unknown, key=str)}, expected only {labels}")

    matrix = np.zeros([len(labels), len(labels)], np.int64)
    for pair, count in collections.Counter(zip(gold, predicted)).items():
        matrix[rows[pair[0]], rows[pair[1]]] = count
    return matrix


def label_accuracy(gold, predicted, labels):
    """Counts for each gold label how many of its words were predicted right.

    Arguments and errors as `confusion_matrix`.

    Returns:
        OrderedDict from label, in the order of `labels`, to LabelScore: `support` words have it in the gold,
        `correct` of them were predicted right, `accuracy` is their share (0.0 where support is 0).
    """
    matrix = confusion_matrix(gold, predicted, labels)
    return collections.OrderedDict(
        (label, _score(support, correct))
        for label, support, correct in zip(labels, matrix.sum(axis=1).tolist(), matrix.diagonal().tolist())
    )


def compute(prediction, label_ids, label_list, labels=None):
    """Prints for each label how often the tagging is right about it: whether a word has it or not.

    In the archive the labels are written into the function, and padding counts as right.

    Args:
        prediction, label_ids: predicted and gold label ids, [batch, seq_len]; positions with the gold id 0, which is
            padding, do not count.
        label_list: labels in the order of their ids, from 1.
        labels: those to print; default: all but O, X, [CLS] and [SEP].

    Returns:
        OrderedDict from label to that share, 0 to 1.

    >>> _ = compute([[1, 2, 0]], [[1, 1, 0]], ["O", "B-PER"])
    accuracy: B-PER 0.50
    """
    prediction, label_ids = np.asarray(prediction), np.asarray(label_ids)
    counts = label_ids != 0
    ids = {label: number for number, label in enumerate(label_list, 1)}
    if labels is None:
        labels = [label for label in label_list if label not in OF_NO_ENTITY]
    shares = collections.OrderedDict()
    for label in labels:
        agrees = (prediction[counts] == ids[label]) == (label_ids[counts] == ids[label])
        shares[label] = float(agrees.mean()) if agrees.size else 0.0
        print(f"accuracy: {label} {shares[label]:.2f}")
    return shares


def label_table(gold, predicted, labels):
    """`label_accuracy` as text, one line per label, and a last line over all words.

    >>> print(label_table([1, 2, 1], [1, 1, 2], {1: "O", 2: "B-PER", 3: "I-PER"}))
    label  support  correct  accuracy
    O            2        1    0.5000
    B-PER        1        0    0.0000
    I-PER        0        0    0.0000
    <BLANKLINE>
    all          3        1    0.3333
    """
    scores = label_accuracy(gold, predicted, labels)
    total = _score(sum(s.support for s in scores.values()), sum(s.correct for s in scores.values()))
    rows = list(zip(_names(labels), scores.values())) + [("all", total)]
    lines = aligned(
        [["label", "support", "correct", "accuracy"]]
        + [[name, str(score.support), str(score.correct), f"{score.accuracy:.4f}"] for name, score in rows]
    )
    return "\n".join(lines[:-1] + ["", lines[-1]])


def confusion_table(gold, predicted, labels):
    """`confusion_matrix` as text: a line for each gold label, a column for each predicted one.

    >>> print(confusion_table(["O", "B-PER", "O"], ["O", "O", "B-PER"], ["O", "B-PER"]))
    gold \\ predicted  O  B-PER
    O                 1      1
    B-PER             1      0
    """
    matrix = confusion_matrix(gold, predicted, labels)
    names = _names(labels)
    return "\n".join(
        aligned(
            [["gold \\ predicted"] + names]
            + [[name] + [str(count) for count in row] for name, row in zip(names, matrix.tolist())]
        )
    )


def entity_table(gold_sentences, predicted_sentences, scheme=None):
    """seqeval's report: precision, recall and F1 of the entities of each type, and their averages.

    An entity counts as found if its type, first and last word are all right. The entities are those that
    conlleval reads, well-formed or not: an `I-` after `O`, or after an entity of another type, begins an entity.
    So `O I-PER I-PER` is one PER, `B-PER I-LOC` a PER and a LOC. seqeval is given them in plain BIO, so that its
    table and conlleval's report always agree; a type without a name is `_`. Entities end with their sentence. A
    ratio with nothing below the line is 0.

    Args:
        gold_sentences, predicted_sentences: the same sentences, each a sequence of its words' tags.
        scheme: name of the scheme they are written in, as of chunks.chunks, or None.

    Returns:
        The text, ratios with four digits; one line in place of the table if there is no entity at all.

    Raises:
        ValueError: the sentences do not have the same lengths.
    """
    # Loads scikit-learn and SciPy, a fifth of what a program loads at its start; most make no table.
    from seqeval.metrics import classification_report
    from seqeval.metrics.sequence_labeling import get_entities

    gold = [_in_bio(list(sentence), scheme) for sentence in gold_sentences]
    predicted = [_in_bio(list(sentence), scheme) for sentence in predicted_sentences]
    if [len(sentence) for sentence in gold] != [len(sentence) for sentence in predicted]:
        raise ValueError("gold and predicted sentences differ in number or length, expected the same words")
    # seqeval cannot make a table without rows.
    if not get_entities(gold) and not get_entities(predicted):
        return "no entities, neither in the gold tags nor in the predicted ones\n"
    return classification_report(gold, predicted, digits=4, zero_division=0)


def _in_bio(tags, scheme):
    written = ["O"] * len(tags)
    for kind, start, end in chunks(tags, scheme):
        written[start:end] = [f"B-{kind or '_'}"] + [f"I-{kind or '_'}"] * (end - start - 1)
    return written


def _score(support, correct):
    return LabelScore(support, correct, correct / support if support else 0.0)


def _names(labels):
    """The printed names of the labels, a list of str."""
    return [str(name) for name in (labels.values() if isinstance(labels, dict) else labels)]


def aligned(rows):
    """The lines of a table: the first column flush left, the others flush right, two spaces between."""
    widths = [max(map(_cells, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        padding = [" " * (width - _cells(text)) for text, width in zip(row, widths)]
        numbers = [space + text for text, space in zip(row[1:], padding[1:])]
        lines.append("  ".join([row[0] + padding[0]] + numbers))
    return lines


def _cells(text):
    """Width of `text` in terminal cells."""
    visible = [char for char in text if not unicodedata.combining(char)]
    return len(visible) + sum(unicodedata.east_asian_width(char) in "WF" for char in visible)
