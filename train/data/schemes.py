"""The tagging schemes, stated as data: how tags write entities, which tag may follow which, and how entities are read.

    BIO     B I O, also called IOB2: an entity begins with B
    IOB1    I O, and B where an entity follows one of its own type without a gap
    IO      I O, or types without a prefix (PER, O): an entity is a run of one type
    IOE2    I E O: an entity ends with E
    IOE1    I O, and E where an entity of the same type follows without a gap
    BIOES   B I E for entities of several words, S for those of one; also called IOBES
    BILOU   the same with L for E and U for S
    BMES    the same with M for I; also called BMEO

Entities are what `chunks.chunks` reads; nothing else in the project turns tags into entities. The name None stands
for no scheme: conlleval's reading and no rules.
"""

import collections

from train.chunks import READINGS, chunks, reading_tag

OUTSIDE = "O"

# begin, inside, end, single: the prefixes of the first, a middle and the last word of an entity of several words, and
# of the word of an entity of one. same[prefix], other[prefix]: the prefixes that may follow with the same type, and
# with another type or none. What may follow O may begin a sentence, and what O may follow may end one.
Scheme = collections.namedtuple("Scheme", ["begin", "inside", "end", "single", "same", "other"])
_BIOES = Scheme(
    *"BIES",
    same={"B": "IE", "I": "IE", "E": "BS", "S": "BS"},
    other={"O": "OBS", "B": "", "I": "", "E": "OBS", "S": "OBS"},
)


def _renamed(scheme, letters):
    """The scheme with other letters for the same prefixes; letters: such as {"E": "L"}."""

    def rename(prefixes):
        return "".join(letters.get(prefix, prefix) for prefix in prefixes)

    same, other = ({rename(key): rename(value) for key, value in rules.items()} for rules in scheme[4:])
    return Scheme(*map(rename, scheme[:4]), same, other)


# In the order in which they are preferred where several explain the tags equally well.
SCHEMES = {
    "BIO": Scheme(*"BIIB", same={"B": "BI", "I": "BI"}, other={"O": "OB", "B": "OB", "I": "OB"}),
    "BIOES": _BIOES,
    "BILOU": _renamed(_BIOES, {"E": "L", "S": "U"}),
    "BMES": _renamed(_BIOES, {"I": "M"}),
    "IO": Scheme(*"IIII", same={"I": "I"}, other={"O": "OI", "I": "OI"}),
    "IOB1": Scheme(*"IIII", same={"B": "BI", "I": "BI"}, other={"O": "OI", "B": "OI", "I": "OI"}),
    "IOE2": Scheme(*"IIEE", same={"I": "IE", "E": "IE"}, other={"O": "OIE", "I": "", "E": "OIE"}),
    "IOE1": Scheme(*"IIII", same={"I": "IE", "E": "IE"}, other={"O": "OIE", "I": "OIE", "E": ""}),
}
BARE = "IO"  # the scheme whose tags may be types alone


def prefixes(scheme_name):
    """The prefixes of a scheme, O included: a str of single letters."""
    return "".join(SCHEMES[scheme_name].other)


def split_tag(tag, scheme_name=None):
    """A tag's prefix and its type: ("B", "PER") for "B-PER", (tag, "") for a tag without a hyphen.

    In the scheme IO the type may stand alone: "PER" is ("I", "PER").
    """
    prefix, _, kind = (reading_tag(tag, BARE) if scheme_name == BARE else tag).partition("-")
    return prefix, kind


def entities(tags, scheme_name):
    """The entities of one sentence, its tags well-formed or not.

    Args:
      tags: list of tags.
      scheme_name: key of SCHEMES, or None.

    Returns:
      list of (type as it is written, start, end): word positions from 0, `end` exclusive.

    >>> entities(["PER", "PER", "O", "LOC", "PER"], "IO")
    [('PER', 0, 2), ('LOC', 3, 4), ('PER', 4, 5)]
    """
    return [(split_tag(tags[i], scheme_name)[1], i, stop) for _, i, stop in chunks(tags, scheme_name)]


def may_follow(scheme_name, previous, tag):
    """Whether `tag` may follow `previous`; None is the beginning of the sentence, and as `tag` its end."""
    scheme = SCHEMES[scheme_name]
    before, kind_before = split_tag(previous or OUTSIDE, scheme_name)
    prefix, kind = split_tag(tag or OUTSIDE, scheme_name)
    rules = scheme.same if OUTSIDE not in (before, prefix) and kind == kind_before else scheme.other
    return prefix in list(rules.get(before, ""))


def well_formed(tags, scheme_name):
    """Whether the tags of one sentence obey the scheme of that name."""
    return all(may_follow(scheme_name, *pair) for pair in zip([None] + tags, tags + [None]))


def retag(tags, scheme_name):
    """The same entities in well-formed tags of the scheme.

    >>> retag(["O", "I-PER", "I-PER", "B-LOC"], "BIO")
    ['O', 'B-PER', 'I-PER', 'B-LOC']
    """
    if scheme_name == BARE:  # each run is an entity, so there is nothing to mend
        return [tag if split_tag(tag, BARE)[0] == "I" else OUTSIDE for tag in tags]
    return write_tags(entities(tags, scheme_name), len(tags), scheme_name)


def write_tags(found, length, scheme_name):
    """The tags of one sentence with these entities.

    Args:
      found: list of (type, start, end), as `entities` gives them.
      length: how many words the sentence has.
      scheme_name: key of SCHEMES.

    Returns:
      list of tags.
    """
    scheme = SCHEMES[scheme_name]
    retagged = [OUTSIDE] * length
    for i, (kind, start, stop) in enumerate(found):
        many = [scheme.begin] + [scheme.inside] * (stop - start - 2) + [scheme.end]
        written = [scheme.single] if stop - start == 1 else many
        # A gap or another type divides two entities as well, so IOB1 and IOE1 mark a border only where there is none.
        if scheme_name == "IOB1" and i and found[i - 1][::2] == (kind, start):
            written[0] = "B"
        if scheme_name == "IOE1" and found[i + 1 : i + 2] and found[i + 1][:2] == (kind, stop):
            written[-1] = "E"
        retagged[start:stop] = [f"{prefix}-{kind}" if kind else prefix for prefix in written]
    return retagged


def spread(tag, units, scheme_name):
    """The tags of the units that one word is cut into.

    Args:
      tag: of the word.
      units: how many there are, 1 or more.
      scheme_name: key of SCHEMES, or None.

    Returns:
      list of tags, one for each unit.

    >>> spread("B-LOC", 3, "BIO"), spread("S-LOC", 3, "BIOES")
    (['B-LOC', 'I-LOC', 'I-LOC'], ['B-LOC', 'I-LOC', 'E-LOC'])
    """
    prefix, kind = split_tag(tag, scheme_name)
    role = READINGS.get(scheme_name, {}).get(prefix, prefix)
    if units == 1 or scheme_name == BARE or role not in ("B", "I", "E", "S"):
        return [tag] * units
    scheme = SCHEMES[scheme_name or "BIOES"]
    first = (scheme.begin if role == "S" else prefix) if role in "BS" else scheme.inside
    last = (scheme.end if role == "S" else prefix) if role in "ES" else scheme.inside
    written = [first] + [scheme.inside] * (units - 2) + [last]
    return [f"{prefix}-{kind}" if kind else prefix for prefix in written]


def gather(tags, scheme_name):
    """The tag of a word from those of its units, the inverse of `spread`; the type is the first unit's.

    Args:
      tags: list of the units' tags, well-formed or not.
      scheme_name: key of SCHEMES, or None.

    >>> gather(["I-LOC", "I-LOC", "E-LOC"], "BIOES"), gather(["B-LOC", "I-LOC"], "BIO")
    ('E-LOC', 'B-LOC')
    """
    prefix, kind = split_tag(tags[0], scheme_name)
    reading = READINGS.get(scheme_name, {})
    first = reading.get(prefix, prefix)
    if scheme_name == BARE or first not in ("B", "I"):
        return tags[0]
    of_first = chunks(tags, scheme_name)[0][2]
    last = split_tag(tags[of_first - 1], scheme_name)[0]
    if reading.get(last, last) not in ("E", "S"):
        return tags[0]
    scheme = SCHEMES[scheme_name or "BIOES"]
    written = scheme.single if first == "B" else last
    return f"{written}-{kind}" if kind else written
