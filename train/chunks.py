"""What entities tags mean: the chunks of a sentence, by the reading of the CoNLL-2000 shared task.

Everything in the project that needs entities out of tags goes through `chunks`. Loads nothing.

Source: the IOB and IOE tags, Tjong Kim Sang and Veenstra, "Representing Text Chunks" (EACL 1999).
"""

# How tags divide a sentence into chunks, whichever of IOB1, IOB2, IOE1, IOE2 and BIOES they are written in.
OUTSIDE_TAGS = frozenset(["O", "."])
SINGLE = frozenset(["S", "[", "]"])  # a chunk of exactly one token
OPENING = SINGLE | {"B"}  # always the first token of a chunk
CLOSING = SINGLE | {"E"}  # always the last token of a chunk
# I and E go on with the chunk before them; after these tags there is none of their type to go on with.
STARTING_PAIRS = frozenset([("O", "I"), ("O", "E"), ("E", "I"), ("E", "E"), ("S", "I"), ("S", "E")])

# What the prefixes of other schemes are in these letters. In IO a tag may be a type alone, which is I- of that type.
READINGS = {
    "BIO": {},
    "IOB1": {},
    "IO": {},
    "IOE1": {},
    "IOE2": {},
    "BIOES": {},
    "BILOU": {"L": "E", "U": "S"},
    "BMES": {"M": "I"},
}


def parse_tag(label):
    """Returns (tag, type) of a label: `B-PER` is ("B", "PER"), `O` is ("O", ""); the first hyphen divides.

    The type `0` reads as no type: it is a false value in Perl, where the shared task's script tests for one.
    """
    tag, _, chunk_type = label.partition("-")
    return tag, "" if chunk_type == "0" else chunk_type


def reading_tag(tag, scheme):
    """A tag of a scheme in the letters that `chunks` reads.

    Args:
      tag: str.
      scheme: key of READINGS, or None: the tag stays as it is.

    >>> reading_tag("U-PER", "BILOU"), reading_tag("PER", "IO")
    ('S-PER', 'I-PER')
    """
    prefix, hyphen, chunk_type = tag.partition("-")
    if scheme == "IO":
        return tag if prefix == "I" or tag in OUTSIDE_TAGS else f"I-{tag}"
    return READINGS[scheme].get(prefix, prefix) + hyphen + chunk_type if scheme else tag


def starts_chunk(previous, current):
    """Whether a chunk starts at `current`, given its left neighbour; both are (tag, type)."""
    (previous_tag, previous_type), (tag, chunk_type) = previous, current
    if tag in OPENING or (previous_tag, tag) in STARTING_PAIRS:
        return True
    return tag not in OUTSIDE_TAGS and chunk_type != previous_type


def ends_chunk(previous, current):
    """Whether a chunk ends after `previous`, given its right neighbour; both are (tag, type)."""
    previous_tag, tag = previous[0], current[0]
    if previous_tag in OUTSIDE_TAGS:
        return False
    return previous_tag in CLOSING or tag in OUTSIDE_TAGS or starts_chunk(previous, current)


def chunks(tags, scheme=None):
    """Reads the tags of one sentence, well formed or not, as chunks.

    Args:
      tags: list of str, such as `B-PER`, one for each token.
      scheme: key of READINGS, the scheme they are written in; None: as the shared task's script reads them.

    Returns:
      list of (type, start, end): token positions from 0, `end` exclusive, in order, never overlapping.

    >>> chunks(["I-PER", "I-PER", "B-PER", "O", "S-LOC", "I-LOC"])
    [('PER', 0, 2), ('PER', 2, 3), ('LOC', 4, 5), ('LOC', 5, 6)]
    """
    outside = ("O", "")
    labels = [parse_tag(reading_tag(tag, scheme)) for tag in tags]
    found = []
    start = None
    for i, (previous, current) in enumerate(zip([outside] + labels, labels + [outside])):
        if start is not None and ends_chunk(previous, current):
            found.append((previous[1], start, i))
            start = None
        if starts_chunk(previous, current):
            start = i
    return found


def recognise(tags):
    """The scheme of tags that the shared task's script does not read: BILOU, BMES, IO, or None for any other.

    Args:
      tags: set of str.
    """
    prefixes = {tag.partition("-")[0] for tag in tags} - OUTSIDE_TAGS
    for scheme, letters in (("BILOU", "BILU"), ("BMES", "BMES")):
        if prefixes <= set(letters) and not prefixes <= set("BIES"):
            return scheme
    has_types = any(len(tag) > 1 for tag in tags - OUTSIDE_TAGS)
    return "IO" if has_types and not any("-" in tag for tag in tags) else None


def same_tag(gold, guessed, scheme=None):
    """Whether two tags agree, in the accuracy of the report; scheme: as of `chunks`."""
    return gold == guessed or parse_tag(reading_tag(gold, scheme)) == parse_tag(reading_tag(guessed, scheme))
