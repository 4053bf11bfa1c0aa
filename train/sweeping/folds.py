"""K-fold cross-validation: train and dev are put together and cut into folds, each the dev set of one data directory.

Whole documents stay together in a file with -DOCSTART- lines; else sentences, or annotated texts, are dealt out. Lines
are written as they stand in the files. Loads no TensorFlow.
"""

import collections
import json
import logging
import os
import random

from bert.system import filesystem, lines
from bert.system.directories import complete_directory
from bert.system.errors import UserError
from bert.system.files import parse_json, read_json, write_json
from train.data.annotated import find_file, is_annotated
from train.data.columns import DOCSTART, is_comment, is_wordless, split_columns
from train.data.corpus import summarize
from train.data.labels import label_list, problem
from train.data.splits import read_split

log = logging.getLogger(__name__)

# What stays together. lines: list of str without line ends; sentences: how many, by which folds are made even;
# is_document: whether it begins with a -DOCSTART- line.
Unit = collections.namedtuple("Unit", ["lines", "sentences", "is_document"])
LABELS, FLAGS = "labels.txt", "flags.json"


def make_folds(data_dir, directory, number, seed, given, scheme=None):
    """Writes the data directories of the folds, unless they are there.

    Args:
      data_dir: directory with train and dev, and perhaps test, of which each fold gets a copy.
      directory: where to write; its name has to stand for the data, the number and the seed.
      number: of folds.
      seed: of dealing out.
      given: columns.Format of the flags.
      scheme: value of -tag_scheme, or None.

    Returns:
      (list of data directories, dict of flags of run.py that say of the whole data what a fold may not show: all labels
      and the scheme).

    Raises:
      UserError: a file cannot be read, or there are fewer units than folds.
    """
    if not os.path.isdir(directory):
        files = {split: find_file(data_dir, split) for split in ("train", "dev")}
        if len(set(map(is_annotated, files.values()))) > 1:
            raise UserError(f"{data_dir}: CoNLL lines and annotated texts; expected one of them for train and dev")
        for path in files.values():
            read_split(path, given)  # what is wrong is said of these files, not of what is made of them
        units = [unit for path in files.values() for unit in read_units(path, given.comment)]
        if len(units) < number:
            raise UserError(f"{data_dir}: {_counted(units)} in train and dev; expected at least {number}, the -folds")
        parts = deal(units, number, seed)
        log.info("%s: %s in %d folds", data_dir, _counted(units), number)
        with complete_directory(directory) as temporary:
            _write_folds(temporary, units, parts, ".jsonl" if is_annotated(files["train"]) else ".txt", data_dir)
            _write_flags(temporary, units, given, scheme, data_dir)
    flags = dict(read_json(os.path.join(directory, FLAGS)), label_list=os.path.join(directory, LABELS))
    return [os.path.join(directory, str(fold + 1)) for fold in range(number)], flags


def check_documents(data_dir, comment):
    """Checks that folds keep together what -context reads together.

    Raises:
      UserError: sentences would be dealt out one by one, and get neighbours that they do not have.
    """
    for split in ("train", "dev"):
        path = find_file(data_dir, split)
        if not is_annotated(path) and not all(unit.is_document for unit in read_units(path, comment)):
            raise UserError(
                f"{path}: -folds deals its sentences out one by one, and -context reads those that are neighbours; "
                f"expected -DOCSTART- lines before all its documents, or -context 0"
            )


def _counted(units):
    documents = sum(unit.is_document for unit in units)
    sentences = sum(unit.sentences for unit in units)
    return f"{documents} documents of {sentences} sentences" if documents == len(units) else f"{sentences} sentences"


def read_units(path, comment=None):
    """The units of a data file: list of Unit, in its order.

    Args:
      path: CoNLL file, or one of annotated texts.
      comment: what comment lines begin with, or None.
    """
    if is_annotated(path):
        return [Unit([text], 1, False) for text in _texts(path)]
    sentences = list(_sentences(path, comment))
    starts = [i for i, sentence in enumerate(sentences) if sentence[0].split()[:1] == [DOCSTART]]
    if len(starts) < 2:  # one document divides nothing
        return [Unit(sentence, 1, False) for i, sentence in enumerate(sentences) if i not in starts]
    units, borders = [], sorted({0, *starts, len(sentences)})
    for start, end in zip(borders, borders[1:]):
        inside = sentences[start:end]
        is_document = start in starts
        text = [line for sentence in inside for line in sentence + [""]][:-1]
        units.append(Unit(text, len(inside) - is_document, is_document))
    return units


def _texts(path):
    """The lines of a file of annotated texts; the elements of a JSON array, each as a line."""
    with lines.open_bytes(path) as stream:
        content = lines.decode(stream.read(), path)
    if content.lstrip().startswith("["):
        try:
            return [json.dumps(value) for value in parse_json(content)]
        except ValueError as error:
            raise UserError(f"{path}: expected JSON: {error}")
    return [line for line in content.replace("\r\n", "\n").split("\n") if line.strip()]


def _sentences(path, comment):
    """Yields the sentences of a CoNLL file, lists of lines: each with the comments before it.

    A -DOCSTART- line is a sentence of its own.
    """
    sentence, has_words = [], False
    for _, line in lines.read(path):
        columns = split_columns(line)
        is_start = columns[:1] == [DOCSTART]
        if (is_start or not columns) and has_words:
            yield sentence
            sentence, has_words = [], False
        if is_start:
            yield [line]
        elif columns:
            sentence.append(line)
            has_words = has_words or not (is_comment(line, comment) or is_wordless(line))
    if has_words:
        yield sentence


def deal(units, number, seed):
    """Deals units out to folds of about as many sentences each.

    Args:
      units: list of Unit.
      number: of folds.
      seed: int.

    Returns:
      list with the number of its fold, from 0, for each unit.
    """
    order = list(range(len(units)))
    random.Random(seed).shuffle(order)
    order.sort(key=lambda index: -units[index].sentences)  # the largest first, those of one size as shuffled
    sizes, folds = [0] * number, [0] * len(units)
    for index in order:
        folds[index] = sizes.index(min(sizes))
        sizes[folds[index]] += units[index].sentences
    return folds


def _write_folds(directory, units, folds, ending, data_dir):
    """Writes the data directories, 1, 2 and so on; folds: of `deal`, ending: of the files' names."""
    for fold in range(max(folds) + 1):
        folder = os.path.join(directory, str(fold + 1))
        os.mkdir(folder)
        for split, is_dev in (("train", False), ("dev", True)):
            part = [unit for unit, its_fold in zip(units, folds) if (its_fold == fold) == is_dev]
            write_units(os.path.join(folder, split + ending), part)
        test = find_test(data_dir)
        if test:
            filesystem.copyfile(test, os.path.join(folder, os.path.basename(test)))


def find_test(data_dir):
    """The test file of a data directory, or None where there is none."""
    path = find_file(data_dir, "test", is_needed=False)
    return path if filesystem.exists(path) else None


def write_units(path, units):
    """Writes a data file of units."""
    parting = "\n" if is_annotated(path) else "\n\n"
    before = False
    with open(path, "w", encoding="utf-8", newline="") as writer:
        for unit in units:
            if before and not unit.is_document:
                writer.write(f"{DOCSTART} O\n\n")  # this sentence is not of the document before it
            writer.write("\n".join(unit.lines) + parting)
            before = unit.is_document


def _write_flags(directory, units, given, scheme, data_dir):
    """Writes all labels of the data, and the flag of the scheme, as `summarize` finds them in all units together."""
    is_text = not os.path.exists(os.path.join(directory, "1", "train.jsonl"))
    whole = os.path.join(directory, "all" + (".txt" if is_text else ".jsonl"))
    write_units(whole, units)
    corpus = summarize(whole, None, given, scheme)
    os.remove(whole)
    labels = label_list(corpus.tags)
    if problem(labels):
        raise UserError(f"{data_dir}: {problem(labels)}")
    with open(os.path.join(directory, LABELS), "w", encoding="utf-8", newline="") as writer:
        writer.writelines(label + "\n" for label in labels)
    write_json(os.path.join(directory, FLAGS), {"tag_scheme": corpus.scheme} if is_text and corpus.scheme else {})
