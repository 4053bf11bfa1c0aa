"""The spans of annotated texts: where they are in the text, and what is said of those that are not as they should be.

In: documents.Span. Out: characters of the text, and Notes for the log. Loads no TensorFlow.
"""

import collections

from bert.system.errors import UserError, shown_list

LISTED = 10  # places of each kind in the log
LONGEST_LIST = 240  # characters of these places
MANY_SPANS = 10  # from so many on, most of them have to be right

# What happens to a span or a text that is not as it should be, by a key of `Notes.counts`.
MOVED = "cut a word, and are taken as the whole words"
OUTSIDE_TEXT = "lie outside the text or have no length, and are dropped"
WORDLESS = "have no word in them, and are dropped"
OVERLAPPING = "overlap a longer span or one before them, and are dropped"
OTHER_TEXT = "have another text than stands at their offsets, which count"
UTF_8 = "have offsets that count bytes of UTF-8, and are taken so"
INCLUSIVE = "have the offset of their last character as their end, and are taken so"
UTF_16 = "have offsets that count UTF-16 units, as JavaScript does, and are taken so"
CHOICES = "have several types, of which the first is taken"
NOT_ANNOTATED = "have no annotation, and are passed over"
REJECTED = "are rejected or ignored by their 'answer', and are passed over"
EMPTY = "have no word in them, and are passed over"
SEVERAL = "have several annotations, of which the first is taken"
IGNORED = "have results that are no spans, such as relations, which are passed over"
OF_TEXTS = (NOT_ANNOTATED, REJECTED, EMPTY, SEVERAL, IGNORED)


class Notes:
    """What was not as it should be in annotated texts.

    Attributes:
      texts, entities: how many are taken; spans: how many there are in these texts.
      counts: Counter of the constants of this module; places: dict from these to their first places, list of str.
    """

    def __init__(self):
        self.texts = self.entities = self.spans = 0
        self.counts = collections.Counter()
        self.places = collections.defaultdict(list)

    def __eq__(self, other):
        return vars(self) == vars(other)

    def add(self, kind, place):
        self.counts[kind] += 1
        if len(self.places[kind]) < LISTED:
            self.places[kind].append(place)

    def merge(self, later):
        """Adds the Notes of texts that follow these."""
        self.texts += later.texts
        self.entities += later.entities
        self.spans += later.spans
        self.counts.update(later.counts)
        for kind, places in later.places.items():
            self.places[kind] += places[: LISTED - len(self.places[kind])]

    def lines(self):
        """Yields what is to be said, a line for each kind."""
        for kind, count in sorted(self.counts.items()):
            what = "texts" if kind in OF_TEXTS else "spans"
            yield f"{what} that {kind}: {count} ({shown_list(self.places[kind], longest=LONGEST_LIST, total=count)})"

    def check(self, path):
        """UserError where most spans cannot be meant as they stand.

        Offsets that count something else cut words, but so do texts without spaces between words; only the first also
        overlap or fall between words.
        """
        wrong = {kind: self.counts[kind] for kind in (OTHER_TEXT, OUTSIDE_TEXT)}
        if self.spans >= MANY_SPANS and 2 * sum(wrong.values()) > self.spans:
            kind = max(wrong, key=wrong.get)
            places = shown_list(self.places[kind], shown=3, total=wrong[kind])
            raise UserError(
                f"{path}: {wrong[kind]} of {self.spans} spans {kind.partition(',')[0]} ({places}); expected "
                f"offsets that count characters from 0, the end behind the last one"
            )
        apart = self.counts[OVERLAPPING] + self.counts[WORDLESS]
        if self.spans >= MANY_SPANS and 2 * self.counts[MOVED] > self.spans and 10 * apart > self.spans:
            places = shown_list(self.places[MOVED], shown=3, total=self.counts[MOVED])
            raise UserError(
                f"{path}: {self.counts[MOVED]} of {self.spans} spans cut a word ({places}), and {apart} overlap or "
                f"have no word in them; expected offsets that count characters from 0, the end behind the last one"
            )


def bounds(text, span, notes, place):
    """Where a span is in its text.

    Args:
      text: str.
      span: documents.Span.
      notes: Notes to which what is wrong with it is added.
      place: where the text is, for these, such as "line 7".

    Returns:
      (start, end) in characters; (None, None) where it is outside the text.
    """
    start, end = span.start, span.end
    is_whole = type(start) is int and type(end) is int and start >= 0
    if is_whole and span.text and span.text != text[start:end]:
        for kind, found in _other_meanings(text, span):
            if text[slice(*found)] == span.text:
                notes.add(kind, f"{place} {shown_text(span.text)}")
                return found
    if not is_whole or not start < end <= len(text):
        notes.add(OUTSIDE_TEXT, f"{place} {start}-{end}"[:30])
        return None, None
    if span.text is not None and span.text != text[start:end]:
        notes.add(OTHER_TEXT, f"{place} {shown_text(span.text)}")
    return start, end


def _other_meanings(text, span):
    """Yields (constant of this module, (start, end) in characters) for what else the offsets of a span may count."""
    for kind, encoding, size in ((UTF_16, "utf-16-le", 2), (UTF_8, "utf-8", 1)):
        units = text.encode(encoding)
        try:
            before = units[: size * span.start].decode(encoding)
            inside = units[size * span.start : size * span.end].decode(encoding)
        except UnicodeDecodeError:
            continue
        yield kind, (len(before), len(before) + len(inside))
    yield INCLUSIVE, (span.start, span.end + 1)


def shown_text(text):
    """The text as a Python literal, cut after some characters."""
    return repr(text if len(text) <= 10 else text[:8] + "...")
