"""Tagging a data file with a checkpoint, scoring the tags, and writing the reports on them."""

import collections
import json
import logging
import os
import sys

import numpy as np

from bert.system.files import atomic_open, write_results
from train import conlleval, run_dir
from train.data import schemes, units
from train.data.annotated import AnnotatedText
from train.data.windows import join_scores, join_windows
from train.inference.entities import Token, entities, entity_values
from train.mymetrics import entity_table
from train.tagger.calibration import UNCALIBRATED

log = logging.getLogger(__name__)

# tags: for each sentence the list of its words' predicted tags; loss: mean over windows; scores, entity_scores: for
# each sentence the list of its words' probabilities, see decoding.Decoded, None for a word that tokenizes to nothing;
# both None where they were not asked for.
Tagged = collections.namedtuple("Tagged", ["tags", "loss", "scores", "entity_scores"], defaults=[None])
# A tagged data file. split: "dev" or "test"; file: its path; sentences: list of conll.Sentence; tagged: Tagged;
# counts: conlleval.EvalCounts; scheme: the tags' scheme, or None; calibration: calibration.Calibration of the
# scores; uncalibrated: the entity_scores without it, where they are known and others.
Evaluated = collections.namedtuple(
    "Evaluated",
    ["split", "file", "sentences", "tagged", "counts", "scheme", "calibration", "uncalibrated"],
    defaults=[None, UNCALIBRATED, None],
)


def tag_file(tagger, sentences, encoded, settings, batch_size, calibrations=None):
    """Tags every word of a file.

    Args:
      tagger: frozen.Tagger that gives losses, with a graph that takes calibrations where they are given.
      sentences: list of conll.Sentence.
      encoded: list of windows.Encoded, the windows of these sentences.
      settings: settings.TaggerSettings of the tagger.
      batch_size: windows in a batch.
      calibrations: list of calibration.Calibration, or None for that of the settings.

    Returns:
      list of Tagged, one for each calibration; a single one, without scores, where the list is empty.
    """
    given = None
    if calibrations is not None:
        given = [each.of_labels(settings.labels, settings.scheme) for each in calibrations]
    predictions = tagger.tag(encoded, batch_size, given)
    cut = [units.cut(sentence.words, settings.cutting) for sentence in sentences]
    sizes, parts = [len(each.units) for each in cut], [window.part for window in encoded]
    ids = [prediction.label_ids for prediction in predictions]
    tags = join_windows(sizes, parts, ids, settings.labels, settings.required_scheme)
    tags = units.word_tags(cut, tags, settings.scheme, settings.constrain)
    losses = [prediction.loss for prediction in predictions]
    loss = float(np.mean(losses)) if losses else 0.0

    def joined(scores):
        return units.word_scores(cut, join_scores(sizes, parts, scores, unseen=None), unseen=None)

    tagged = []
    for i in range(len(calibrations)) if calibrations is not None else [Ellipsis]:  # which are all of a single one
        scores = [joined([getattr(each, name)[i] for each in predictions]) for name in ("scores", "entity_scores")]
        tagged.append(Tagged(tags, loss, *scores))
    return tagged or [Tagged(tags, loss, None, None)]


def count(sentences, tags, scheme=None):
    """The conlleval.EvalCounts of a tagged file.

    Args:
      sentences: list of conll.Sentence.
      tags: for each sentence the list of its predicted tags.
      scheme: name of the scheme they are written in, or None.
    """
    counts = conlleval.EvalCounts()
    for sentence, predicted in zip(sentences, tags):
        counts.add_sentence(sentence.tags, predicted, scheme)
    return counts


def evaluated(split, file, sentences, tagged, scheme, calibration):
    """The Evaluated of a split.

    Args:
      split, file, sentences, scheme, calibration: as its fields.
      tagged: list of Tagged: with this calibration and, where it is known and another, without.
    """
    counts = count(sentences, tagged[0].tags, scheme)
    uncalibrated = tagged[1].entity_scores if len(tagged) > 1 else None
    return Evaluated(split, file, sentences, tagged[0], counts, scheme, calibration, uncalibrated)


def has_entities(sentences, scheme):
    """Whether the gold tags of a list of conll.Sentence, in a scheme, have an entity; without any F1 is always 0."""
    return any(schemes.entities(sentence.tags, scheme) for sentence in sentences)


def scores_of(counts, loss):
    """The scores of a tagged file.

    Args:
      counts: conlleval.EvalCounts.
      loss: float.

    Returns:
      dict: "loss"; "accuracy" of words and conlleval's "precision", "recall" and "f1" of entities, each from 0 to 1.
    """
    overall, _ = conlleval.metrics(counts)
    return {
        "loss": loss,
        "accuracy": counts.correct_tags / max(counts.token_counter, 1),
        "precision": overall.prec,
        "recall": overall.rec,
        "f1": overall.fscore,
    }


def write_report(output_dir, evaluated):
    """Writes the tagged file and its conlleval report; returns the report and, under it, seqeval's table."""
    sentences, tags = evaluated.sentences, evaluated.tagged.tags
    # Tabs where a space is no separator: in files with tabs a word or a tag may have spaces in it.
    with_spaces = any(" " in column for sentence in sentences for column in sentence.words + sentence.tags)
    separator = "\t" if with_spaces or any(" " in tag for each in tags for tag in each) else " "
    with atomic_open(os.path.join(output_dir, run_dir.TAGGED[evaluated.split])) as writer:
        for sentence, predicted in zip(sentences, tags):
            rows = zip(sentence.words, sentence.tags, predicted)
            writer.writelines(separator.join(columns) + "\n" for columns in rows)
            writer.write("\n")
    if writes_scores(sentences):
        with atomic_open(os.path.join(output_dir, run_dir.TAGGED_TEXTS[evaluated.split])) as writer:
            for text, predicted, scores in zip(sentences, tags, evaluated.tagged.entity_scores):
                writer.write(_tagged_text(text, predicted, scores, evaluated.scheme))
    report = "".join(conlleval.report_notprint(evaluated.counts))
    with atomic_open(os.path.join(output_dir, run_dir.REPORT[evaluated.split])) as writer:
        writer.write(report)
    return report + "\n" + entity_table([sentence.tags for sentence in sentences], tags, evaluated.scheme)


def writes_scores(sentences):
    """Whether `write_report` writes the scores of these sentences: those of annotated texts."""
    return isinstance(sentences[0], AnnotatedText)


def _tagged_text(text, tags, scores, scheme):
    """A line of JSON as train.predict writes it, with the annotated entities as `gold`.

    Args:
      text: annotated.AnnotatedText.
      tags: list of its words' predicted tags.
      scores: list of their entity scores, None for a word that tokenizes to nothing.
      scheme: name of the tags' scheme, or None.
    """

    def found(tags, scores):
        words = zip(text.words, text.offsets, tags, scores)
        tokens = [Token(word, start, end, tag, score) for word, (start, end), tag, score in words]
        return list(map(entity_values, entities(text.text, tokens, scheme)))

    predicted = found(tags, [1.0 if score is None else score for score in scores])
    gold = found(text.tags, [1.0] * len(tags))
    for entity in gold:
        del entity["score"]
    values = {"line": text.line, "text": text.text, "entities": predicted, "gold": gold}
    return json.dumps(values, ensure_ascii=False) + "\n"


def write_eval_results(output_dir, scores, step):
    """Writes eval_results.txt."""
    values = {f"eval_{name}": value for name, value in scores.items()}
    values["global_step"] = step
    write_results(os.path.join(output_dir, run_dir.EVAL_RESULTS), values)


def report_split(output_dir, evaluated, step, with_scores, with_tags):
    """Writes and prints what a run reports of a split; returns the split's scores, as `scores_of`.

    Args:
      output_dir: directory of the run.
      evaluated: Evaluated.
      step: global step of the checkpoint.
      with_scores: write eval_results.txt.
      with_tags: write the tagged file and its report, and print the report.
    """
    scores = scores_of(evaluated.counts, evaluated.tagged.loss)
    if with_scores:
        write_eval_results(output_dir, scores, step)
    if with_tags:
        _print(f"{evaluated.file}\n{write_report(output_dir, evaluated)}")
    return scores


def _print(text):
    """Prints a text; characters that the terminal's encoding lacks, such as types in Chinese, become escapes."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
