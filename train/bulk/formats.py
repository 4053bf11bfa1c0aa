"""The output of the bulk taggers: tagged texts in, JSON lines or CoNLL columns out.

bulk/page.py has the HTML page, which is a `Format` too.
"""

import collections
import io
import json

from bert.data.lengths import batches_by_length
from train.bulk.texts import length
from train.data.context import Words
from train.inference.entities import SCORE_DECIMALS, entity_values

# text, tokens, entities, left_out: as of entities.Tagging; file: index of the text's file; line: number of its first
# line there.
TaggedText = collections.namedtuple(
    "TaggedText", ["text", "tokens", "entities", "file", "line", "left_out"], defaults=[0]
)
BATCHES_A_CALL = 8


def tag(predictor, texts, kind, batch_size, progress=None, keep_tokens=True):
    """Tags a group.

    Args:
      predictor: predictor.Predictor.
      texts: list of texts.Text, with the words around them if the model has a context.
      kind: key of texts.KINDS.
      batch_size: the predictor's.
      progress: function that is called with the number of texts tagged since its last call, or None.
      keep_tokens: false for results with `tokens` None, for a format that does not need them.

    Returns:
      list of TaggedText, in the order of the texts. Words are joined to a text by single spaces.
    """
    # By length, so that a batch has little padding; in several calls, so that a slow model shows its progress.
    tagged = [None] * len(texts)
    for chosen in batches_by_length([length(text.content) for text in texts], BATCHES_A_CALL * batch_size):
        if isinstance(texts[chosen[0]].content, str):
            taggings = predictor.taggings([texts[i].content for i in chosen], keep_tokens)
        else:
            sentences = [Words(texts[i].content, before=texts[i].before, after=texts[i].after) for i in chosen]
            taggings = predictor.taggings_in_context(sentences, keep_tokens)
        for i, tagging in zip(chosen, taggings):
            # Where a file is one text, `next` is already in the next file.
            file = texts[i].next.file - (kind == "file")
            text, tokens, entities, left_out = tagging
            tagged[i] = TaggedText(text, tokens, entities, file, texts[i].line, left_out)
        if progress:
            progress(len(chosen))
    return tagged


class Format:
    """A file of tagged texts, piece by piece: `begin()` once, `format(tagged)` for each group, `end()` once.

    Attributes:
      state: JSON value that a later run sets to continue after a group; None for a format without a state.
      needs_tokens: whether it writes each word, not only the entities.
    """

    state = None
    needs_tokens = False

    def accepts(self, state):
        """Whether a JSON value can be the state of such a file; None stands for the state at its beginning."""
        return state is None

    def begin(self):
        return ""

    def format(self, tagged):
        """The part of the file for a group, a list of TaggedText."""
        return "".join(map(self._format_one, tagged))

    def end(self):
        return ""

    def _format_one(self, tagged):
        raise NotImplementedError


class JsonLines(Format):
    """{"file": "a.txt", "line": 1, "text": "Ann ran", "entities": [{"type": "PER", "text": "Ann", "start": 0, ...}]}

    `file` is left out where there is only one, `line` where each file is one text, which always has its `file`.

    Args:
      names: the inputs' names.
      kind: key of texts.KINDS.
      several: whether there are several inputs; default: as many as names.
    """

    def __init__(self, names, kind, several=None):
        several = len(names) > 1 if several is None else several
        self._names = names if several or kind == "file" else None
        self._has_lines = kind != "file"

    def _format_one(self, tagged):
        fields = {}
        if self._names:
            fields["file"] = self._names[tagged.file]
        if self._has_lines:
            fields["line"] = tagged.line
        fields["text"] = tagged.text
        fields["entities"] = list(map(entity_values, tagged.entities))
        return json.dumps(fields, ensure_ascii=False) + "\n"


class ConllColumns(Format):
    """`word tag` lines, a blank line after each text; a text without words is that blank line alone.

    Args:
      with_scores: whether a third column has the probability of the tag.
      tabs: whether tabs separate the columns, as spaces may be inside them. Once a column has a space, they always do.
    """

    needs_tokens = True

    def __init__(self, with_scores=False, tabs=False):
        self._with_scores = with_scores
        self._tabs = tabs

    def _format_one(self, tagged):
        self._tabs = self._tabs or any(" " in token.text or " " in token.tag for token in tagged.tokens)
        separator = "\t" if self._tabs else " "
        rows = io.StringIO()  # a list of the rows would take several times as much room
        for token in tagged.tokens:
            score = f"{separator}{float(token.score):.{SCORE_DECIMALS}f}" if self._with_scores else ""
            rows.write(f"{token.text}{separator}{token.tag}{score}\n")
        return rows.getvalue() + "\n"
