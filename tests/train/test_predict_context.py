"""The bulk tagger with a model that reads neighbouring sentences (-context): each gets those of its document, whatever
the groups, and over a kill."""

import contextlib
import json
import random

import pytest

from bert.system.errors import UserError
from tests.fake_predictor import FakePredictor
from tests.train.bulk_tagging import LINES, rows, run
from train.bulk import loop
from train.bulk import texts as bulk_texts
from train.bulk.formats import tag

pytestmark = pytest.mark.one_tensorflow

SIZE = 4  # words on either side


class Recorder(FakePredictor):
    """Remembers each sentence with the words around it."""

    def __init__(self):
        super().__init__(context=SIZE)
        self.found = {}

    def taggings_in_context(self, sentences, keep_tokens=True):
        for sentence in sentences:
            self.found[tuple(sentence.words)] = list(sentence.before), list(sentence.after)
        return super().taggings_in_context(sentences, keep_tokens)


@pytest.fixture
def predictor(place, monkeypatch):
    made = Recorder()
    monkeypatch.setattr(loop, "load_predictor", lambda *_: made)
    return made


def documents(rng):
    """Documents of sentences of words, each word in one place only."""
    numbers = iter(range(10000))
    return [
        [[f"w{next(numbers)}" for _ in range(rng.randrange(1, 5))] for _ in range(rng.randrange(1, 7))]
        for _ in range(rng.randrange(1, 9))
    ]


def write(path, found, kind, rng):
    """Writes documents as a file of this kind; between CoNLL sentences stands what may stand there."""
    if kind == "words":
        path.write_text("\n\n".join("\n".join(map(" ".join, document)) for document in found) + "\n")
        return
    text = ""
    for number, document in enumerate(found):
        if number or rng.random() < 0.7:
            text += rng.choice(["", "\n"]) + rng.choice(["-DOCSTART- -X- O\n", "-DOCSTART- O\n\n", "-DOCSTART-\n\n\n"])
        between = rng.choice(["\n", "\n \n", "\n\n\n"])
        text += between.join("".join(f"{word} O\n" for word in sentence) for sentence in document)
    path.write_text(text)


def expected(found):
    around = {}
    for document in found:
        for i, sentence in enumerate(document):
            before = [word for each in document[:i] for word in each]
            after = [word for each in document[i + 1 :] for word in each]
            around[tuple(sentence)] = before[-SIZE:], after[:SIZE]
    return around


@pytest.mark.parametrize("kind", ["conll", "words"])
@pytest.mark.parametrize("seed", range(12))
def test_each_sentence_gets_the_words_around_it(kind, seed, place, predictor, monkeypatch):
    """Of two files, tagged at once and by a run that is stopped after each group and goes on."""
    rng = random.Random(seed)
    found = documents(rng), documents(rng)
    found = found[0], [[["v" + word for word in sentence] for sentence in document] for document in found[1]]
    for name, of_file in zip(("a", "b"), found):
        write(place / name, of_file, kind, rng)
    monkeypatch.setattr(bulk_texts, "GROUP_TEXTS", rng.randrange(1, 9))
    flags = ["a", "b", "-input", kind, "-format", "conll", "-scores", "-output"]
    run(*flags, "whole")
    predictor.found.pop((), None)  # an empty line of "words" is a text without any
    assert predictor.found == {**expected(found[0]), **expected(found[1])}
    calls = []

    def tag_once(*arguments):
        calls.append(1)
        if len(calls) % 2 == 0:
            raise KeyboardInterrupt
        return tag(*arguments)

    monkeypatch.setattr(loop, "tag", tag_once)
    while not (place / "out").exists():
        with contextlib.suppress(KeyboardInterrupt):
            run(*flags, "out", "-resume")
    assert len(calls) > 2  # the two files are never of one group
    assert (place / "out").read_bytes() == (place / "whole").read_bytes()


def test_other_inputs_stand_alone_and_the_log_says_so(place, predictor, capfd):
    run("in.txt", "-output", "out")
    assert [row["text"] for row in rows(place / "out")] == LINES and not predictor.found
    said = "the model reads up to 4 pieces of the texts before and after (-context)"
    assert f"{said}, with -input words and conll; with lines each text stands alone" in capfd.readouterr().err
    run("in.txt", "-input", "words", "-output", "out")
    assert f"{said}; an empty line ends a document" in capfd.readouterr().err


@pytest.mark.parametrize("before", ["w1", [1], {"a": 1}])
def test_a_state_that_no_run_wrote(before, place, predictor, monkeypatch):
    monkeypatch.setattr(bulk_texts, "GROUP_TEXTS", 2)

    def tag_once(*arguments):
        if predictor.found:
            raise KeyboardInterrupt
        return tag(*arguments)

    monkeypatch.setattr(loop, "tag", tag_once)
    (place / "a").write_text("Ann\nran\nhome\nnow\n")
    flags = ["a", "-input", "words", "-output", "out"]
    with pytest.raises(KeyboardInterrupt):
        run(*flags)
    state = json.loads((place / "out.partial.json").read_text())
    assert state["progress"]["before"] == ["Ann", "ran"]
    state["progress"]["before"] = before
    (place / "out.partial.json").write_text(json.dumps(state))
    with pytest.raises(UserError, match=r"out\.partial\.json: expected what an unfinished run wrote"):
        run(*flags, "-resume")
