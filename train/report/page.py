"""The report page of -report: the scores of a run, its learning curves and its mistakes, in one HTML file.

In: the tagged dev and test set, run.json, and the training loss from the run's TensorBoard events. Out: report.html.
It loads nothing from elsewhere, and is complete without its script, which only filters the sentences. Scores and counts
of entities are those of conlleval, and all other counts add up to them.
"""

import logging
import os

from bert.system.files import atomic_open
from train import __version__, conlleval, run_dir
from train.chunks import OUTSIDE_TAGS, parse_tag, reading_tag
from train.data.labels import SPECIAL
from train.pages import charts, tables
from train.pages.spans import escape, page_end, page_start, type_classes
from train.report import mistakes
from train.report.learning import learning_section, training_losses
from train.report.scores import calibration_section, confusion_section, types_section
from train.report.sentences import sentences_section

log = logging.getLogger(__name__)


def write_page(output_dir, evaluated, prefix, step, settings):
    """Writes report.html into the run's directory.

    Args:
      output_dir: directory with run.json and the events of training, where there are any.
      evaluated: list of finetuning.evaluation.Evaluated.
      prefix, step: prefix and global step of the checkpoint that tagged them.
      settings: (model, training), two dicts of settings, used where there is no run.json.
    """
    state = run_dir.read_state(output_dir) or {"evaluations": [], "best": None, "foreign": []}
    model, training = (state.get(name, given) for name, given in zip(("model", "training"), settings))
    losses = training_losses(output_dir, state["foreign"])
    path = os.path.join(output_dir, run_dir.REPORT_PAGE)
    with atomic_open(path) as writer:
        writer.writelines(page(evaluated, prefix, step, state, losses, model, training))
    log.info("wrote %s", path)


def page(evaluated, prefix, step, state, losses, model, training):
    """Yields the page piece by piece.

    Args:
      evaluated, prefix, step: as `write_page`.
      state: dict with `evaluations` and `best`, as run.json has them.
      losses: list of (step, training loss).
      model, training: dicts of settings.
    """
    script = _read("page.js")
    classes = type_classes(_types(evaluated, model))
    yield page_start(f"Report: {prefix}", tables.CSS + _read("page.css") + charts.CSS, script)
    yield f"<header><h1>Tagging report</h1><p>Checkpoint <code>{escape(prefix)}</code>, step {step:,}</p>"
    yield _navigation(evaluated) + "</header>\n<main>\n"
    yield _summary(evaluated)
    yield learning_section(state["evaluations"], state["best"], losses)
    for part in evaluated:
        yield from _split(part, classes)
    yield _settings(model, training)
    yield f"</main>\n<footer><p>Written by version {escape(__version__)}.</p></footer>\n"
    yield page_end(script)


def _read(name):
    """The text of a file beside this one."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), encoding="utf-8") as reader:
        return reader.read()


def _types(evaluated, model):
    """The set of all types of entities, in the model's labels and in the files' tags."""
    tags = {(label, model.get("scheme")) for label in model.get("labels", []) if label not in SPECIAL}
    for part in evaluated:
        for sentence, predicted in zip(part.sentences, part.tagged.tags):
            tags.update((tag, part.scheme) for tag in sentence.tags + predicted)
    parsed = {parse_tag(reading_tag(*tag)) for tag in tags}
    return {kind for prefix, kind in parsed if prefix not in OUTSIDE_TAGS}


def _navigation(evaluated):
    sections = [
        ("types", "types"),
        ("confusion", "confusion"),
        ("calibration", "calibration"),
        ("wrong", "wrong sentences"),
    ]
    items = [_link("summary", "Summary"), _link("learning", "Learning")]
    for part in evaluated:
        links = (_link(f"{part.split}-{name}", text) for name, text in sections)
        items.append(f"{_link(part.split, part.split)}: {', '.join(links)}")
    items.append(_link("settings", "Settings"))
    return f'<nav aria-label="Contents"><ul>{"".join(f"<li>{item}</li>" for item in items)}</ul></nav>'


def _link(target, text):
    return f'<a href="#{target}">{escape(text)}</a>'


def _summary(evaluated):
    cards = "".join(map(_summary_card, evaluated))
    return (
        f'<section id="summary"><h2>Summary</h2><div class="cards">{cards}</div>'
        '<p class="soft">Precision, recall and F1 in percent, of entities, as conlleval counts them: an entity is '
        "correct if its type, its first and its last word are. Accuracy: percent of tokens whose tag is right. Loss: "
        "negative log-likelihood of the gold labels, mean over windows.</p></section>\n"
    )


def _summary_card(part):
    counts = part.counts
    precision, recall, f1 = conlleval.percentages(counts.correct_chunk, counts.found_guessed, counts.found_correct)
    accuracy = 100 * counts.correct_tags / counts.token_counter if counts.token_counter else 0.0
    figures = [("F1", f"{f1:.2f}"), ("Precision", f"{precision:.2f}"), ("Recall", f"{recall:.2f}")]
    figures += [("Accuracy", f"{accuracy:.2f}"), ("Loss", f"{part.tagged.loss:.4f}")]
    terms = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures)
    return (
        f'<article class="card"><h3>{escape(part.split)} <code>{escape(part.file)}</code></h3>'
        f'<dl class="figures">{terms}</dl>'
        f"<p>{len(part.sentences):,} sentences, {counts.token_counter:,} tokens, "
        f"{counts.found_correct:,} entities; {counts.found_guessed:,} found, {counts.correct_chunk:,} of them "
        "correct.</p></article>"
    )


def _split(part, classes):
    """Yields the sections on one file."""
    comparisons = [
        mistakes.compare(sentence.tags, tags, scores, part.scheme)
        for sentence, tags, scores in zip(part.sentences, part.tagged.tags, part.tagged.scores)
    ]
    yield f'<section id="{part.split}"><h2>{escape(part.split)} <code>{escape(part.file)}</code></h2>\n'
    yield types_section(part, classes)
    yield confusion_section(part, comparisons, classes)
    yield calibration_section(part)
    yield from sentences_section(part, comparisons, classes)
    yield "</section>\n"


def _settings(model, training):
    """The run's settings as a list of names and values."""
    encoder = model.get("bert_config", {})
    values = [(name, value) for name, value in model.items() if name != "bert_config"]
    values += list(training.items()) + list(encoder.items())
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(_setting(value))}</dd></div>" for name, value in values)
    return f'<section id="settings"><h2>Settings</h2><dl class="settings">{items}</dl></section>\n'


def _setting(value):
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
