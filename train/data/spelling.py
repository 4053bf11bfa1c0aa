"""How tags that do not stand as they are meant are read in all files of a run, and what the log says of it."""

import logging
import unicodedata

from bert.system.errors import UserError, shown_list
from train.data.columns import shown
from train.data.recognition import AS_THEY_STAND, NONE, Reading, count_transitions, guess, recognise, slips
from train.data.schemes import OUTSIDE, split_tag

log = logging.getLogger(__name__)
_LISTED = 200  # characters of a list in a line of the log


def scheme_to_find(given, model):
    """The scheme to read the train split in: -tag_scheme, else that of the run that goes on; None: to be found out.

    Args:
      given: value of -tag_scheme, or None.
      model: the model's settings in run.json, or None where training begins afresh.
    """
    if given or not model or model.get("spelling"):  # another spelling is found out again
        return given
    return model["scheme"] or NONE


def known_reading(given, model, sentences):
    """The Reading of a trained model's tags.

    Args:
      given: value of -tag_scheme, or None.
      model: the model's settings in run.json, or None for a checkpoint that has none.
      sentences: list of conll.Sentence to find the scheme in where nothing else says it, or None.
    """
    if given == NONE:
        return AS_THEY_STAND
    if given or model:
        model = model or {}
        return Reading(given or model["scheme"], model.get("spelling", {}), frozenset())
    sentences = sentences or []
    transitions = count_transitions(sentence.tags for sentence in sentences)
    try:
        return recognise(transitions, lambda reading: slips(reading, sentences), "")[0]
    except UserError:  # the labels are given, and each tag has to be one of them
        return AS_THEY_STAND


def spelled(sentences, labels, reading, path):
    """Reads the tags of the dev or the test split as those of the training data are read, and says so in the log.

    Args:
      sentences: list of conll.Sentence, their tags as they stand.
      labels: list of the model's labels.
      reading: Reading of the training data's tags.
      path: of the file.

    Returns:
      (list of conll.Sentence, dict as Reading.spelling).
    """
    spelling = spelling_of({tag for sentence in sentences for tag in sentence.tags}, labels, reading)
    if spelling:
        sentences = _respelled(sentences, spelling, path)
    is_known = set(labels).issuperset(tag for sentence in sentences for tag in sentence.tags)
    if reading.scheme and is_known:  # a file with other tags is refused
        found = slips(Reading(reading.scheme, {}, frozenset()), sentences)
        if found.count:
            log.warning("%s: %s", path, described_slips(found, f"{reading.scheme} of the training data"))
    return sentences, spelling


def _respelled(sentences, spelling, path):
    counts, first = dict.fromkeys(spelling, 0), {}
    read = []
    for sentence in sentences:
        for i, tag in enumerate(sentence.tags):
            if tag in spelling:
                counts[tag] += 1
                first.setdefault(tag, sentence.line_of(i))
        read.append(sentence._replace(tags=[spelling.get(tag, tag) for tag in sentence.tags]))
    log.warning("%s: %s, first in line %d", path, described_spelling(spelling, counts), min(first.values()))
    return read


def spelling_of(tags, labels, reading):
    """How tags of another file than the training data's are read: dict as Reading.spelling.

    Args:
      tags: set of the file's tags.
      labels: list of the model's labels.
      reading: Reading of the training data, or one with the model's scheme and what else is known.
    """
    if reading == AS_THEY_STAND:
        return {}
    scheme = reading.scheme or "BIOES"
    spelling = dict(reading.spelling)
    kinds = {split_tag(label, scheme)[1] for label in labels}
    for tag in tags - set(labels) - set(spelling):
        likely = guess(tag, scheme, kinds)
        for read_as in (likely, split_tag(likely or "")[1]):
            if read_as in labels and tag not in spelling:
                spelling[tag] = read_as
    return {tag: read_as for tag, read_as in spelling.items() if tag in tags}


def described(tags, scheme):
    """The scheme and the tags in words, for the log."""
    found = sorted(set(tags) - {OUTSIDE})
    listed = shown_list(shown(tag)[1:-1] for tag in found)
    name = f"tagging scheme {scheme}" if scheme else "no one tagging scheme, so none is imposed (-tag_scheme names one)"
    return f"{name}; tags {listed}" if found else "no tag but O: there is no entity to learn"


def described_spelling(spelling, counts):
    """How tags are read that do not stand so, in words, for the log; "" if there are none.

    Args:
      spelling: as Reading.spelling.
      counts: dict from tag to how often it is there.
    """
    found = [f"{shown(tag)} ({counts[tag]}) as {read_as}" for tag, read_as in sorted(spelling.items())]
    return f"tags read as others: {shown_list(found, longest=_LISTED)}" if found else ""


def described_slips(found, scheme=""):
    """The slips in words, for the log; "" if there are none.

    Args:
      found: Slips.
      scheme: name of the scheme that they break, where it is not clear.
    """
    if not found.count:
        return ""
    places = [f":{line} {what}" for line, what in found.first]
    listed = shown_list(places, longest=_LISTED - len(scheme), total=found.count)
    of_scheme = f"the scheme {scheme}".rstrip(" ")
    return f"{found.count} tag{' breaks' if found.count == 1 else 's break'} {of_scheme}: {listed}"


def described_twins(tags, scheme):
    """The types that look alike, in words, for the log; "" if there are none.

    >>> described_twins({"B-PER", "I-PER", "B-per", "O"}, "BIO")
    "types that look alike are learnt as different ones: 'PER' and 'per'"
    """
    twins = {}
    for kind in sorted({split_tag(tag, scheme)[1] for tag in tags} - {""}):
        plain = "".join(c for c in unicodedata.normalize("NFKC", kind) if unicodedata.category(c) != "Cf")
        twins.setdefault(plain.casefold().strip(), []).append(shown(kind))
    found = [" and ".join(kinds) for kinds in twins.values() if len(kinds) > 1]
    return f"types that look alike are learnt as different ones: {shown_list(found)}" if found else ""
