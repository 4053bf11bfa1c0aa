"""The dev and the test file: read by the flags, then fitted to a model's labels. Loads no TensorFlow."""

import collections

from train.data.annotated import is_annotated, read_annotated, read_with, rewrite_tags
from train.data.conll import check_tags, inspect, read_conll
from train.data.spelling import spelled
from train.data.text import MARKS

# path: the file; sentences: list of conll.Sentence or annotated.AnnotatedText; form: columns.Format, how the file is
# read, None for annotated texts.
Split = collections.namedtuple("Split", ["path", "sentences", "form"])


def read_split(path, given):
    """The Split of a file, its tags as they stand there.

    Args:
      path: CoNLL file, or one of annotated texts.
      given: columns.Format of the flags.

    Raises:
      UserError: as conll.read_conll, or annotated.read_annotated.
    """
    if is_annotated(path):
        return Split(path, read_annotated(path)[0], None)
    form, _ = inspect(path, given)
    return Split(path, read_conll(path, form), form)


def fit_split(split, labels, reading, splitter):
    """The Split as a model sees it: tags are among the labels, annotated texts are cut into words as the model's text.

    Args:
      split: Split of `read_split`.
      labels: list of the model's labels.
      reading: recognition.Reading of the training data's tags.
      splitter: text.Splitter of the model.

    Raises:
      UserError: a tag is not among the labels, see conll.check_tags.
    """
    path, sentences, form = split
    if form:
        sentences, spelling = spelled(sentences, labels, reading, path)
        form = form._replace(spelling=spelling or None)
    else:
        texts = sentences if splitter == MARKS else read_with(path, splitter)
        sentences = [rewrite_tags(text, labels, reading.scheme) for text in texts]
    check_tags(path, sentences, labels)
    return Split(path, sentences, form)
