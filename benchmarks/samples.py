"""A smaller training set: some sentences of a CoNLL file, in the file's order."""

import os
import random
import shutil

from bert.system.files import atomic_open
from bert.system.lines import read
from train.data.columns import DOCSTART
from train.data.conll import read_conll

SPLITS = ("train.txt", "dev.txt", "test.txt")
WAYS = ("random", "first")


def write_sample(data_dir, size, way, seed, output_dir):
    """Writes train.txt with fewer sentences, and dev.txt and test.txt as they are.

    Where the sample lacks a tag that the data has, labels.txt lists all of them, O first.

    Args:
      data_dir: directory of the three files.
      size: number of sentences, None for all.
      way: one of WAYS; random: drawn by the seed, whole documents where the file has them.
      seed: int.
      output_dir: directory to write, made if there is none.

    Returns:
      The path of labels.txt, or None.
    """
    os.makedirs(output_dir, exist_ok=True)
    for split in SPLITS:
        shutil.copyfile(os.path.join(data_dir, split), os.path.join(output_dir, split))
    if size is None:
        return None
    train = os.path.join(output_dir, SPLITS[0])
    documents = read_documents(os.path.join(data_dir, SPLITS[0]))
    with atomic_open(train) as writer:
        writer.write("\n".join(sample(documents, size, way, seed)) + "\n")
    return _write_labels([os.path.join(data_dir, split) for split in SPLITS], train, output_dir)


def read_documents(path):
    """The documents of a CoNLL file: list of lists of sentences, each the text of its lines.

    A -DOCSTART- line is a sentence of its own. A file without such lines has a document for each sentence.
    """
    documents, lines, divided = [], [], False

    def end_sentence():
        if lines and (not divided or not documents or lines[0].startswith(DOCSTART)):
            documents.append([])
        if lines:
            documents[-1].append("".join(line + "\n" for line in lines))
            lines.clear()

    for _, line in read(path):
        if line.startswith(DOCSTART):
            end_sentence()
            divided = True
        if line.strip(" \t"):
            lines.append(line)
        if not line.strip(" \t") or line.startswith(DOCSTART):
            end_sentence()
    end_sentence()
    return documents


def sample(documents, size, way, seed):
    """Chooses sentences: whole documents until there are enough, the last one cut short.

    Args:
      documents: list of lists of str, as `read_documents` gives them.
      size: number of sentences; -DOCSTART- lines are not counted.
      way: one of WAYS.
      seed: int.

    Returns:
      list of str, in the order of the file.
    """
    order = list(range(len(documents)))
    if way == "random":
        random.Random(seed).shuffle(order)
    chosen, left = {}, size
    for index in order:
        for sentence in documents[index] if left else ():
            if left:
                chosen.setdefault(index, []).append(sentence)
                left -= not sentence.startswith(DOCSTART)
    return [sentence for index in sorted(chosen) for sentence in chosen[index]]


def _write_labels(all_files, train, output_dir):
    """Writes labels.txt if train.txt lacks a tag of the data; returns its path or None."""
    tags = {tag for path in all_files for sentence in read_conll(path) for tag in sentence.tags}
    if tags == {tag for sentence in read_conll(train) for tag in sentence.tags}:
        return None
    path = os.path.join(output_dir, "labels.txt")
    with atomic_open(path) as writer:
        writer.writelines(tag + "\n" for tag in ["O"] + sorted(tags - {"O"}))
    return path
