"""Which scheme a corpus is tagged in, how its tags are spelled, and where they slip.

Annotators write tags in many ways: another scheme, `PER-B`, `b-PER`, `0` for O. What has one reading only is read so;
the rest is refused. All is decided by counts of transitions, so memory does not grow with the corpus.
"""

import argparse
import collections
import os
import re
import unicodedata

from bert.system.errors import UserError, shown_list
from train.data.columns import BRACKETS, shown
from train.data.schemes import BARE, OUTSIDE, SCHEMES, may_follow, prefixes, split_tag

SLIP_SHARE = 0.02  # of the tags of entities may be slips: annotators make a few mistakes
LISTED = 10
NONE = "none"  # in -tag_scheme: as the tags stand, read as the CoNLL-2000 script does, decoded without rules
ALIASES = {"IOB": "IOB1", "IOB2": "BIO", "IOE": "IOE2", "IOBES": "BIOES", "BIOLU": "BILOU", "BIOUL": "BILOU"}
ALIASES.update({"BMEO": "BMES", "BMESO": "BMES", "BMEWO": "BMES"})

# How a tag joins its prefix and its type. separator: between them; is_suffix: PER-B for B-PER.
Style = collections.namedtuple("Style", ["separator", "is_suffix"])
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212\uff0d"  # that word processors make of a hyphen
STYLES = [Style(separator, is_suffix) for separator in "-_:/.|" + DASHES for is_suffix in (False, True)]
PLAIN = STYLES[0]
LETTERS = "OBIESLUMW"
ROLES = {"L": "E", "U": "S", "M": "I", "W": "S"}
LOOKALIKES = str.maketrans("0ОоΟοВЕМЅІΒΕΜΙ", "OOOOOBEMSIBEMI")
_SEVERAL = re.compile(r"[BIESLUM]-[^|,/;+&#]+[|,/;+&#][BIESLUM]-.")  # B-PER|B-TITLE
MOST_TYPES = 2000  # without prefixes; more are words
LEAST_OUTSIDE = 0.05  # of all tags, where types stand without prefixes

# How the tags of a corpus are read. scheme: key of SCHEMES or None; spelling: dict from a tag as it stands to the one
# it is read as, where they differ; guessed: the tags that are slips wherever they stand.
Reading = collections.namedtuple("Reading", ["scheme", "spelling", "guessed"])
AS_THEY_STAND = Reading(None, {}, frozenset())
# What breaks the scheme. count: how many tags; first: (line, what) of the first ones.
Slips = collections.namedtuple("Slips", ["count", "first"])


def scheme_flag(text):
    """The type of the flag -tag_scheme: NONE, or the key of SCHEMES, which is known by other names and in any case.

    Raises:
      ArgumentTypeError: it is the name of none.
    """
    name = NONE if text.lower() == NONE else ALIASES.get(text.upper(), text.upper())
    if name not in (NONE, *SCHEMES):
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(SCHEMES)}, {NONE}, got '{text}'")
    return name


def count_transitions(sentences):
    """How often each tag follows each, of lists of tags: Counter of (previous, tag); None is a sentence's border."""
    counts = collections.Counter()
    for tags in sentences:
        counts.update(zip([None] + tags, tags + [None]))
    return counts


def recognise(transitions, find_slips, path, name=None):
    """Finds out how the tags of a corpus are read.

    Args:
      transitions: Counter, see `count_transitions`.
      find_slips: function from a Reading to the Slips of the corpus, see `slips`; called only where there are any.
      path: of the corpus, for errors.
      name: value of -tag_scheme, or None: the scheme is to be found out.

    Returns:
      (Reading, Slips).

    Raises:
      UserError: the tags can be read in no way, or in none that most of them obey.
    """
    counts = tag_counts(transitions)
    entity_tags = sum(counts.values()) - max([n for tag, n in counts.items() if _letter(tag) == OUTSIDE], default=0)
    if name == NONE:
        return AS_THEY_STAND, Slips(0, [])
    if not entity_tags:  # O alone fits every scheme and calls for none
        return Reading(name, _spelled(dict.fromkeys(counts, OUTSIDE)), frozenset()), Slips(0, [])
    readings = [_read_in(style, scheme, counts) for style in STYLES for scheme in SCHEMES if name in (None, scheme)]
    readings += [_read_bare(counts, name is not None)] if name in (None, BARE) else []
    scored = [(_cost(reading, transitions, counts), i) for i, reading in enumerate(readings) if reading]
    if not scored:
        raise _refused(path, counts, find_slips(Reading(None, {}, _strange(counts))))
    cost, best = min(scored)
    reading = _with_slips(readings[best], counts, entity_tags)
    if name is None:
        _check_one_each(path, reading, counts, find_slips)
    found = find_slips(reading) if cost or reading.guessed else Slips(0, [])
    outside = sum(
        n for tag, n in counts.items() if reading.spelling.get(tag, tag) == OUTSIDE and tag not in reading.guessed
    )
    entity_tags = sum(counts.values()) - outside
    if name or found.count <= SLIP_SHARE * entity_tags:
        if not name and reading.scheme == BARE:
            _check_no_prefixes(path, transitions, find_slips)
        return reading, found
    parsed = {tag: _parse(tag, PLAIN) for tag in counts}
    foreign = sum(counts[tag] for tag, of_tag in parsed.items() if not of_tag or of_tag[0] not in "OBIES")
    if foreign > SLIP_SHARE * entity_tags:
        raise UserError(
            f"{path}: the tags look like {reading.scheme}, but {found.count} of {entity_tags} break it "
            f"({_places(found)}); expected one scheme, or -tag_scheme {reading.scheme} to read them so, {NONE} as they "
            f"stand"
        )
    mixed = _read_in(PLAIN, "BIOES", counts)._replace(scheme=None)  # conlleval reads these in any order
    return mixed, find_slips(mixed) if mixed.guessed else Slips(0, [])


def _check_one_each(path, reading, counts, find_slips):
    """UserError where a tag is several; counts: Counter of tags; reading: how they are read; others as `recognise`."""
    several = [tag for tag in counts if _SEVERAL.match(tag)]
    entity_tags = sum(count for tag, count in counts.items() if reading.spelling.get(tag, tag) != OUTSIDE)
    if sum(counts[tag] for tag in several) > SLIP_SHARE * entity_tags:
        places = _places(find_slips(Reading(None, {}, frozenset(several))))
        raise UserError(
            f"{path}: several tags in one ({places}); expected one tag for each word, or -tag_scheme "
            f"{reading.scheme or 'BIO'} if these are types"
        )


def _check_no_prefixes(path, transitions, find_slips):
    """UserError where types that stand alone have prefixes in a spelling of their own; arguments as of `recognise`."""
    pair = _pair(transitions)
    if pair:
        places = _places(find_slips(Reading(None, {}, frozenset(pair))))
        raise UserError(
            f"{path}: {shown(pair[1])} stands after {shown(pair[0])} alone, like a prefix and a type in another "
            f"spelling ({places}); expected such as B-PER I-PER, or -tag_scheme {BARE} if each is a type"
        )


def _pair(transitions):
    """Two tags that are most likely the beginning and the inside of one type, such as BLOC and ILOC; None if none are.

    The second of such a pair stands after the first or itself alone, and other pairs differ in the same way.
    """
    before = collections.defaultdict(collections.Counter)
    for (previous, tag), count in transitions.items():
        if tag not in (None, previous):
            before[tag][previous] += count
    pairs = collections.defaultdict(list)
    for tag, found in sorted(before.items()):
        previous, most = found.most_common(1)[0]
        if previous is not None and OUTSIDE not in (_letter(previous), _letter(tag)) and most == sum(found.values()):
            head = len(os.path.commonprefix([previous, tag]))
            tail = len(os.path.commonprefix([previous[head:][::-1], tag[head:][::-1]]))
            if head + tail > 1:
                pairs[previous[head : len(previous) - tail], tag[head : len(tag) - tail]].append((previous, tag))
    return next((found[0] for _, found in sorted(pairs.items()) if len(found) > 1), None)


def _with_slips(reading, counts, entity_tags):
    """The Reading with the tags spelled otherwise than all others among the guessed ones, if they are few."""
    rare = set(reading.spelling) - reading.guessed
    is_rare = sum(counts[tag] for tag in rare) <= SLIP_SHARE * entity_tags
    return reading._replace(guessed=reading.guessed | rare) if is_rare else reading


def _strange(counts):
    return frozenset(tag for tag in counts if not _parse(tag, PLAIN) or _parse(tag, PLAIN)[0] not in "OBIES")


def _refused(path, counts, found):
    """The UserError for tags that no scheme explains; found: Slips with the first of them."""
    tags = "1 tag" if len(counts) == 1 else f"{len(counts)} tags"
    if all(map(BRACKETS.fullmatch, counts)):
        return UserError(
            f"{path}: {tags} in brackets, as CoNLL-2012 has them ({_places(found)}); expected one tag for each word, "
            f"such as B-PER I-PER for (PER* *)"
        )
    return UserError(
        f"{path}: {tags} of no scheme ({_places(found)}); expected such as B-PER, or -columns with the column of the "
        f"tags, or -tag_scheme {BARE} if each is a type, or {NONE}"
    )


def _places(found):
    """The first slips, with their lines, for an error; found: Slips."""
    return shown_list([f":{line} {what}" for line, what in found.first[:3]], longest=60)


def tag_counts(transitions):
    """How often each tag occurs: Counter, from what `count_transitions` gives."""
    counts = collections.Counter()
    for (_, tag), count in transitions.items():
        if tag is not None:
            counts[tag] += count
    return counts


def _letter(text):
    """The one letter of a prefix, in its plain form: `b` and a Cyrillic `В` are B, `0` is O; "" for other text."""
    if len(text) != 1:
        return ""
    letter = unicodedata.normalize("NFKC", text).translate(LOOKALIKES).upper()
    return letter if letter in LETTERS else ""


def _parse(tag, style):
    """The (prefix, type) of a tag in a style, the prefix a plain letter; None for what is no tag in it."""
    letter = _letter(tag)
    if letter:
        return letter, ""
    one, separator, other = tag.rpartition(style.separator) if style.is_suffix else tag.partition(style.separator)
    letter, kind = (_letter(other), one) if style.is_suffix else (_letter(one), other)
    return (letter, kind) if separator and letter not in ("", OUTSIDE) and (kind or style == PLAIN) else None


def _join(letter, kind, tag):
    """The tag of a prefix and a type; `tag`, as it stands, where it is that already."""
    joined = f"{letter}-{kind}" if kind else letter
    return tag if tag.partition("-")[::2] == (letter, kind) else joined


def _spelled(spelling):
    return {tag: read_as for tag, read_as in spelling.items() if tag != read_as}


def _read_in(style, scheme, counts):
    """The Reading of tags in a style and a scheme; None where none has an entity's prefix of it."""
    known = set(prefixes(scheme)) | ({"W"} if scheme == "BMES" else set())
    parsed = {tag: _parse(tag, style) for tag in counts}
    regular = {tag: found for tag, found in parsed.items() if found and found[0] in known}
    if not {letter for letter, _ in regular.values()} - {OUTSIDE}:
        return None
    spelling = {tag: _join("S" if letter == "W" else letter, kind, tag) for tag, (letter, kind) in regular.items()}
    rest = [tag for tag in counts if tag not in regular]
    if rest and OUTSIDE not in spelling.values():  # one other word for O, such as _ or OTHER
        most = max(rest, key=counts.get)
        is_tag = any(_parse(most, other) for other in STYLES)
        if not is_tag and counts[most] >= LEAST_OUTSIDE * sum(counts.values()):
            spelling[most] = OUTSIDE
            rest.remove(most)
    kinds = {kind for _, kind in regular.values()}
    spelling.update((tag, guess(tag, scheme, kinds) or OUTSIDE) for tag in rest)
    return Reading(scheme, _spelled(spelling), frozenset(rest))


def _read_bare(counts, is_given):
    """The Reading of types without prefixes; None where they do not look like types.

    Args:
      counts: Counter of tags.
      is_given: -tag_scheme says that they are types.
    """
    outside = {tag for tag in counts if _letter(tag) == OUTSIDE}
    odd = {tag for tag in counts if "-" in tag and _parse(tag, PLAIN)}
    kinds = set(counts) - outside - odd
    total = sum(counts.values())
    words = sum(counts[tag] for tag in kinds)
    is_likely = sum(counts[tag] for tag in outside) >= LEAST_OUTSIDE * total
    if all(kind.isdigit() for kind in kinds) and not is_given:  # ids, whose names are elsewhere
        return None
    if not kinds or not is_given and not (is_likely and len(kinds) <= min(max(30, words // 5), MOST_TYPES)):
        return None
    spelling = dict.fromkeys(outside, OUTSIDE)
    spelling.update((tag, split_tag(guess(tag, BARE, kinds) or OUTSIDE)[1] or OUTSIDE) for tag in odd)
    return Reading(BARE, _spelled(spelling), frozenset(odd))


def guess(tag, scheme, kinds):
    """What a tag that is none of the scheme's most likely means, as a tag of the scheme; None if nothing likely.

    Args:
      tag: str.
      scheme: key of SCHEMES.
      kinds: set of the types there are.

    >>> guess("PER", "BIO", {"PER"}), guess("S_PER", "BIO", {"PER"}), guess("0", "BIO", {"PER"})
    ('I-PER', 'B-PER', 'O')
    """
    if _letter(tag) == OUTSIDE:
        return OUTSIDE
    letters = dict(zip("BIES", SCHEMES[scheme]))
    for style in STYLES:
        found = _parse(tag, style)
        if found and found[1] in kinds and found[0] != OUTSIDE:
            letter = found[0] if found[0] in prefixes(scheme) else letters[ROLES.get(found[0], found[0])]
            return _join(letter, found[1], tag)
    kind = tag if tag in kinds else tag.partition("-")[2]
    if kind and kind in kinds:
        return _join(letters["I"], kind, tag)
    return None


def _cost(reading, transitions, counts):
    """How many transitions break the scheme, and tags do not belong to it, twice, since such a tag breaks two."""
    broken = 2 * sum(counts[tag] for tag in reading.guessed)
    for (previous, tag), count in transitions.items():
        if previous not in reading.guessed and tag not in reading.guessed:
            read_as = [reading.spelling.get(each, each) for each in (previous, tag)]
            broken += 0 if may_follow(reading.scheme, *read_as) else count
    return broken


def slips(reading, sentences):
    """Counts the tags that break the scheme.

    Args:
      reading: Reading.
      sentences: iterable of conll.Sentence, their tags as they stand.

    Returns:
      Slips; of two tags that cannot stand together, the second is the slip.
    """
    count, first = 0, []
    for sentence in sentences:
        previous, is_free = None, False  # after a slip anything may follow
        for i, tag in enumerate(sentence.tags + [None]):
            read_as = reading.spelling.get(tag, tag)
            if tag in reading.guessed:
                what = shown(tag) + (f" (read as {read_as})" if tag != read_as else "")
            elif is_free or reading.scheme is None or may_follow(reading.scheme, previous, read_as):
                what = None
            else:
                at_end = tag is None
                what = f"{shown(previous)} at the end" if at_end else f"{shown(tag)} {_place(previous)}"
            if what:
                count += 1
                if len(first) < LISTED:
                    first.append((sentence.line_of(min(i, len(sentence.tags) - 1)), what))
            previous, is_free = read_as, bool(what)
    return Slips(count, first)


def _place(previous):
    return "at the beginning" if previous is None else f"after {shown(previous)}"
