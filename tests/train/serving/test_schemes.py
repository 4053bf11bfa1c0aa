"""Text in, entities out, in schemes that conlleval does not read by itself: the export, Predictor and the client."""

import pytest

from tests import serving
from train.predictor import Predictor
from train.serving.client import ServingClient

SPECIAL = ["X", "[CLS]", "[SEP]"]
LABELS = {
    "BILOU": ["O", *(f"{prefix}-{kind}" for prefix in "BILU" for kind in ("LOC", "PER"))],
    "BMES": ["O", *(f"{prefix}-{kind}" for prefix in "BMES" for kind in ("LOC", "PER"))],
    "IO": ["O", "LOC", "PER"],
}
# Of an entity: the prefixes that begin it, and those that end it. Each of IO is a run of one type.
BEGIN, END = {"BILOU": "BU", "BMES": "BS"}, {"BILOU": "LU", "BMES": "ES"}
TEXTS = [text.replace("\ud800", "") for text in serving.TEXTS]


def by_brute_force(text, spans, tags, scheme):
    """(type, text) of the entities of well-formed tags, read by the definition of the scheme."""
    found, first, previous = [], None, "O"
    for (start, end), tag in zip(spans, tags):
        prefix, _, kind = tag.rpartition("-")
        begins = prefix in list(BEGIN[scheme]) if scheme != "IO" else tag not in ("O", previous)
        first = start if begins else first
        ends = tag != "O" and (scheme == "IO" or prefix in list(END[scheme]))
        if ends and (scheme != "IO" or begins):
            found.append((kind, text[first:end]))
        elif ends:
            found[-1] = (kind, text[first:end])
        previous = tag
    return found


@pytest.mark.one_tensorflow  # other rules, which are data to the same operations
@pytest.mark.parametrize("scheme, constrain", [("BILOU", True), ("BMES", False), ("IO", True)])
def test_text_gives_the_same_entities_everywhere(scheme, constrain, tmp_path):
    labels = LABELS[scheme] + SPECIAL
    exported = serving.make_export(tmp_path, labels=labels, scheme=scheme, constrain=constrain, crf_only=True)
    with Predictor(exported) as predict:
        of_predictor = predict(TEXTS)
        tokens = predict.tokens(TEXTS)
    spans = [[(token.start, token.end) for token in of_text] for of_text in tokens]
    tags = [[token.tag for token in of_text] for of_text in tokens]
    expected = [by_brute_force(*each, scheme) for each in zip(TEXTS, spans, tags)]
    assert [[(entity.type, entity.text) for entity in found] for found in of_predictor] == expected
    assert sum(map(len, expected)) > 1

    model = serving.Model(exported)
    answer = model("serving_text", {"text": [text.encode("utf-8") for text in TEXTS]})
    assert {name.decode() for name in answer["scheme"]} == {scheme}
    server = serving.RestServer(model)
    with ServingClient(server.url, "ner", timeout=60) as client:
        assert [[entity[:4] for entity in found] for found in client(TEXTS)] == [
            [entity[:4] for entity in found] for found in of_predictor
        ]
    server.close()
    model.close()
