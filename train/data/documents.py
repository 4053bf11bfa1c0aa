"""The JSON that annotated texts come in: what train.predict writes, doccano's export, Label Studio's, and others'.

    {"text": "Ann ran", "entities": [{"type": "PER", "start": 0, "end": 3}]}                      train.predict
    {"text": "Ann ran", "label": [[0, 3, "PER"]]}                                                 doccano
    {"text": "Ann ran", "label": [{"start": 0, "end": 3, "labels": ["PER"]}]}                     Label Studio, JSON_MIN
    {"data": {"text": "Ann ran"}, "annotations": [{"result": [{"value": {"start": 0, ...}}]}]}    Label Studio, JSON
    {"text": "Ann ran", "spans": [{"start": 0, "end": 3, "label": "PER"}], "answer": "accept"}    Prodigy
    ["Ann ran", {"entities": [[0, 3, "PER"]]}]                                                    spaCy

In: one such object. Out: the text and its spans, in characters; annotated.py makes words and tags of them.
"""

import collections

from bert.system.errors import shorten

# start, end: characters of the text, as the file has them, of any value; type: str; text: what the file says stands
# there, or None.
Span = collections.namedtuple("Span", ["start", "end", "type", "text"])
# spans: list of Span, None where nobody has annotated the text; several: whether there are several annotations, of
# which the first is taken; ignored: how many results are no spans, such as relations; choices: list of the Spans that
# have several types, of which the first is taken; is_rejected: the annotator has rejected the text or left it out.
Document = collections.namedtuple(
    "Document", ["text", "spans", "several", "ignored", "choices", "is_rejected"], defaults=[False]
)

_LISTS = ("entities", "label", "labels", "spans")  # keys of a text's spans
_STARTS, _ENDS = ("start", "start_offset"), ("end", "end_offset")
_TYPES = ("type", "label", "labels", "hypertextlabels")
_SHOWN = 60


def read_document(value):
    """The Document of a JSON value.

    Raises:
      ValueError: it is none of those that this module knows. The message says what was expected.
    """
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
        value = dict(value[1], text=value[0])
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object with 'text' and 'entities', found {_shown(value)}")
    document = _of_label_studio(value) if isinstance(value.get("data"), dict) else _of_object(value)
    try:
        document.text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"the text has half a surrogate pair at {error.start}; expected whole characters")
    return document


def _of_object(value):
    text = value.get("text", value.get("data"))
    if "text" in value and not isinstance(text, str):
        raise ValueError(f"'text' is {_shown(text)}; expected a string")
    if not isinstance(text, str):
        raise ValueError(f"expected a JSON object with 'text', found the keys {_shown(', '.join(map(str, value)))}")
    if value.get("answer") in ("reject", "ignore"):
        return Document(text, None, False, 0, [], True)
    key = next((key for key in _LISTS if key in value), None)
    if key is None:  # Label Studio names the list as the task's author did
        key = next((key for key, found in value.items() if _is_list_of_spans(found)), None)
    if key is None or value[key] is None:
        return Document(text, None, False, 0, [])
    if not isinstance(value[key], list):
        raise ValueError(f"{key!r} is {_shown(value[key])}; expected a list of spans [start, end, type]")
    spans, choices = _spans(value[key])
    return Document(text, spans, False, 0, choices)


def _of_label_studio(value):
    data = value["data"]
    texts = [found for found in data.values() if isinstance(found, str)]
    text = data.get("text", texts[0] if len(texts) == 1 else None)
    if not isinstance(text, str):
        raise ValueError(f"expected 'text' in 'data', found the keys {_shown(', '.join(map(str, data)))}")
    annotations = value.get("annotations", value.get("completions"))
    if not isinstance(annotations, list) or not all(isinstance(found, dict) for found in annotations):
        raise ValueError("expected a list 'annotations' beside 'data', as in Label Studio's JSON")
    annotations = [found for found in annotations if not found.get("was_cancelled")]
    if not annotations:
        return Document(text, None, False, 0, [])
    results = annotations[0].get("result")
    if not isinstance(results, list):
        raise ValueError(f"'result' is {_shown(results)}; expected a list, as in Label Studio's JSON")
    values = [result.get("value") for result in results if isinstance(result, dict)]
    values = [found for found in values if isinstance(found, dict) and _is_span(found)]
    spans, choices = _spans(values)
    return Document(text, spans, len(annotations) > 1, len(results) - len(values), choices)


def _is_list_of_spans(value):
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) and _is_span(each) for each in value)


def _is_span(value):
    return any(key in value for key in _STARTS) and any(key in value for key in _TYPES)


def _spans(values):
    """(list of Span, those of them that have several types)."""
    spans, choices = [], []
    for value in values:
        if isinstance(value, list) and len(value) == 3:
            start, end, kinds, text = *value, None
        elif isinstance(value, dict) and _is_span(value):
            offsets = value.get("globalOffsets", value)  # of what Label Studio takes for HTML
            start, end = (_first(offsets, keys) for keys in (_STARTS, _ENDS))
            kinds, text = _first(value, _TYPES), value.get("text")
        else:
            raise ValueError(f"{_shown(value)} is no span; expected [start, end, type] or an object with these keys")
        several = isinstance(kinds, list) and len(kinds) > 1
        kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
        if not isinstance(kind, str) or not kind.strip() or any(char in kind for char in "\t\r\n"):
            raise ValueError(f"the span {_shown(value)} has the type {_shown(kind)}; expected a name")
        spans.append(Span(start, end, kind.strip(), text if isinstance(text, str) else None))
        choices += [spans[-1]] if several else []
    return spans, choices


def _first(value, keys):
    return next((value[key] for key in keys if key in value), None)


def _shown(value):
    return shorten(repr(value), _SHOWN)
