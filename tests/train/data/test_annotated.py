"""Annotated texts: the JSON they come in, how spans become tags, and what is said of spans that do not fit."""

import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert.system.errors import UserError
from train.data import annotated, corpus
from train.data import spans as kinds
from train.data.annotated import find_file, read_annotated, read_with, rewrite_tags, tag_words
from train.data.documents import Span, read_document
from train.data.spans import Notes
from train.data.text import Splitter, split_words
from train.inference.entities import Token, entities

TEXT = "Ann Lee saw Rome."
TAGS = ["B-PER", "I-PER", "O", "B-LOC", "O"]
SPANS = [(0, 7, "PER"), (12, 16, "LOC")]


def label_studio(start, end, *kinds, **more):
    return {"start": start, "end": end, "labels": list(kinds), **more}


def result(start, end, kind):
    value = label_studio(start, end, kind, text=TEXT[start:end])
    return {"id": "x", "from_name": "label", "to_name": "text", "type": "labels", "value": value}


def task(*annotations, **more):
    return {"id": 1, "data": {"text": TEXT}, "annotations": [{"id": 2, "result": each} for each in annotations], **more}


FORMS = {
    "train.predict": {
        "line": 3,
        "text": TEXT,
        "entities": [{"type": t, "text": TEXT[s:e], "start": s, "end": e, "score": 0.9} for s, e, t in SPANS],
        "gold": [],
    },
    "doccano": {"id": 1, "text": TEXT, "label": [[s, e, t] for s, e, t in SPANS]},
    "doccano, labels": {"text": TEXT, "labels": [[s, e, t] for s, e, t in SPANS], "Comments": []},
    "doccano, data": {"id": 1, "data": TEXT, "label": [[s, e, t] for s, e, t in SPANS]},
    "doccano, relations": {
        "text": TEXT,
        "entities": [{"id": i, "label": t, "start_offset": s, "end_offset": e} for i, (s, e, t) in enumerate(SPANS)],
        "relations": [],
    },
    "Prodigy": {"text": TEXT, "spans": [{"start": s, "end": e, "label": t} for s, e, t in SPANS], "answer": "accept"},
    "spaCy": [TEXT, {"entities": [[s, e, t] for s, e, t in SPANS]}],
    "Label Studio": task([result(*span) for span in SPANS], predictions=[]),
    "Label Studio, JSON_MIN": {"id": 1, "text": TEXT, "label": [label_studio(*span) for span in SPANS]},
    "Label Studio, JSON_MIN of a name": {"text": TEXT, "annotator": 1, "ner": [label_studio(*span) for span in SPANS]},
    "Label Studio, another field": {"data": {"body": TEXT}, "annotations": [{"result": [result(*s) for s in SPANS]}]},
}


@pytest.fixture
def write(tmp_path):
    def write(content, name="train.jsonl"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return str(path)

    return write


def lines(*values):
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_as_lines_and_as_an_array(form, write):
    for name, content, second in (
        ("train.jsonl", lines(FORMS[form], FORMS[form]), 2),
        ("train.jsonl", "\ufeff" + lines(FORMS[form]) + "\r\n  \n" + json.dumps(FORMS[form]), 4),
        ("train.json", json.dumps([FORMS[form]] * 2), 2),
        ("train.jsonl", "\ufeff\n " + json.dumps([FORMS[form]] * 2, indent=2), 2),
    ):
        texts, notes = read_annotated(write(content, name))
        assert [(each.words, each.tags, each.text) for each in texts] == [
            (["Ann", "Lee", "saw", "Rome", "."], TAGS, TEXT)
        ] * 2
        assert [TEXT[start:end] for start, end in texts[0].offsets] == texts[0].words
        assert (notes.texts, notes.entities, notes.counts) == (2, 4, {})
        assert [each.line_of(3) for each in texts] == [1, second]


@pytest.mark.parametrize(
    "value,expected",
    [
        ("{", r"line 1|:1: no JSON \(Expecting"),
        ('["a", 1]', r"line 1: expected a JSON object with 'text' and 'entities'"),
        ("[1]", r"text 1: expected a JSON object with 'text' and 'entities', found 1"),
        ("[{]", r":1: no JSON"),
        ('{"text": "a"}\n"b"', r"line 2: expected a JSON object"),
        ('{"words": [], "tags": []}', r"line 1: expected a JSON object with 'text', found the keys 'words, tags'"),
        ('{"text": 7}', r"line 1: 'text' is 7; expected a string"),
        ('{"text": ["a"], "label": []}', r"line 1: 'text' is \['a'\]; expected a string"),
        ('{"text": "a", "label": "x"}', r"line 1: 'label' is 'x'; expected a list of spans"),
        ('{"text": "a", "label": ["positive"]}', r"line 1: 'positive' is no span; expected \[start, end, type\]"),
        ('{"text": "a", "label": [[0, 1]]}', r"line 1: \[0, 1\] is no span"),
        ('{"text": "a", "label": [[0, 1, ""]]}', r"line 1: the span .* has the type ''; expected a name"),
        ('{"text": "a", "label": [[0, 1, "A\\nB"]]}', r"has the type 'A\\nB'; expected a name"),
        ('{"text": "a", "label": [{"start": 0, "end": 1, "labels": []}]}', r"has the type \[\]; expected a name"),
        ('{"text": "a \\ud800", "label": []}', r"line 1: the text has half a surrogate pair at 2"),
        ('{"data": {}, "annotations": []}', r"line 1: expected 'text' in 'data'"),
        ('{"data": {"text": "a"}}', r"line 1: expected a list 'annotations' beside 'data'"),
        ('{"data": {"text": "a"}, "annotations": [{}]}', r"line 1: 'result' is None; expected a list"),
        (b'{"text": "a", "label": []}\n{"\xff"}', r":2: byte 3 of the line is not UTF-8"),
        ("", r"no annotated text in it; expected a JSON object"),
        ("[]", r"no annotated text in it"),
        (lines({"text": "a"}), r"no annotated text in it"),
        (lines(["x" * 1000]), r"line 1: expected a JSON object .* found \['x{20,30}\.\.\.x{20,30}"),
    ],
)
def test_files_that_are_something_else(value, expected, write):
    path = write(value)
    with pytest.raises(UserError, match=expected) as caught:
        read_annotated(path)
    assert str(caught.value).startswith(path) and len(str(caught.value)) - len(path) < 260


def tags_of(text, *spans):
    notes = Notes()
    found = [Span(*span, None) if len(span) == 3 else Span(*span) for span in spans]
    return tag_words(text, split_words(text), found, notes, "line 1"), dict(notes.counts)


@pytest.mark.parametrize(
    "spans,tags,counts",
    [
        ([(0, 7, "PER")], "B-PER I-PER O O O", {}),
        ([(0, 3, "PER"), (4, 7, "PER")], "B-PER B-PER O O O", {}),
        ([(0, 8, "PER"), (11, 17, "LOC")], "B-PER I-PER O B-LOC I-LOC", {}),  # white space at the ends
        ([(0, 7, "PER"), (0, 7, "PER")], "B-PER I-PER O O O", {}),
        ([(1, 6, "PER")], "B-PER I-PER O O O", {kinds.MOVED: 1}),
        ([(13, 15, "LOC")], "O O O B-LOC O", {kinds.MOVED: 1}),
        ([(0, 99, "X"), (-1, 3, "X"), (3, 3, "X"), (7, 3, "X"), ("0", 3, "X"), (None, 3, "X"), (0.0, 3, "X")],
         "O O O O O", {kinds.OUTSIDE_TEXT: 7}),
        ([(3, 4, "X")], "O O O O O", {kinds.WORDLESS: 1}),
        ([(4, 7, "B"), (0, 7, "A"), (0, 3, "C")], "B-A I-A O O O", {kinds.OVERLAPPING: 2}),
        ([(0, 7, "A"), (0, 7, "B")], "B-A I-A O O O", {kinds.OVERLAPPING: 1}),
        ([(0, 7, "A"), (4, 11, "B")], "B-A I-A O O O", {kinds.OVERLAPPING: 1}),
        ([(0, 7, "PER", "Ann Lee")], "B-PER I-PER O O O", {}),
        ([(0, 7, "PER", "Bob")], "B-PER I-PER O O O", {kinds.OTHER_TEXT: 1}),
        ([(0, 3, "Full name")], "B-Full name O O O O", {}),
    ],
)  # fmt: skip
def test_spans_become_tags(spans, tags, counts):
    found = tags_of(TEXT, *spans)
    assert " ".join(found[0]) == tags and found[1] == counts


def test_offsets_of_javascript():
    """Label Studio counts UTF-16 units; where the span's text is beside it, that shows."""
    text = "\U0001f600\U0001f600 Ann saw \U0001f600 Rome"
    units = len(text.encode("utf-16-le")) // 2
    found = tags_of(text, (5, 8, "PER", "Ann"), (units - 4, units, "LOC", "Rome"))
    assert found == (["O", "B-PER", "O", "O", "B-LOC"], {kinds.UTF_16: 2})
    assert tags_of(text, (3, 6, "PER", "Ann"))[1] == {}
    assert tags_of(text, (1, 4, "PER", "Ann"))[1] == {kinds.OTHER_TEXT: 1, kinds.MOVED: 1}


@pytest.mark.parametrize(
    "text,span,kind",
    [
        ("王小明在北京", (12, 18, "LOC", "北京"), kinds.UTF_8),
        ("王小明在北京", (4, 5, "LOC", "北京"), kinds.INCLUSIVE),
        ("在京。", (1, 1, "LOC", "京"), kinds.INCLUSIVE),
        ("saw \U0001f600 Rome", (7, 11, "LOC", "Rome"), kinds.UTF_16),
    ],
)
def test_offsets_that_count_something_else_are_read_by_their_text(text, span, kind):
    tags, counts = tags_of(text, span)
    found = [text[slice(*word)] for word, tag in zip(split_words(text), tags) if tag != "O"]
    assert "".join(found) == span[3] and counts == {kind: 1}


@pytest.mark.parametrize(
    "span,expected",
    [
        (["0", "3", "PER"], r"10 of 10 spans lie outside the text or have no length \(line 1 0-3, "),
        ([4, 7, "PER", "Ann"], r"10 of 10 spans have another text than stands at their offsets \(line 1 'Ann', "),
    ],
)
def test_a_file_of_wrong_offsets_is_refused(span, expected, write):
    keys = ("start", "end", "label", "text")
    values = [{"text": TEXT, "entities": [dict(zip(keys, span))]}] * 10
    expected += r".* and 7 more\); expected offsets that count characters from 0"
    with pytest.raises(UserError, match=expected) as caught:
        read_annotated(write(lines(*values)))
    assert len(str(caught.value)) < 300
    read_annotated(write(lines(*values[:9])))  # of so few it is only said


def test_what_is_said_of_texts(write, caplog, tmp_path):
    caplog.set_level(logging.INFO)
    both = [result(*span) for span in SPANS]
    values = [
        task(),  # nobody has seen it
        task([]),  # there is nothing in it
        task(both, both),
        task(both + [{"type": "relation", "from_id": "x"}, {"type": "choices", "value": {"choices": ["a"]}}]),
        dict(task(both), annotations=[{"result": [], "was_cancelled": True}, {"result": both}]),
        {"text": TEXT},
        {"text": TEXT, "label": []},
        {"text": TEXT, "label": [label_studio(0, 7, "PER", "ORG")]},
        {"text": " \u200b", "label": []},
        {"text": TEXT, "spans": [{"start": 0, "end": 3, "label": "X"}], "answer": "reject"},
        {"text": TEXT, "spans": [], "answer": "ignore"},
    ]
    path = write(lines(*values))
    texts, notes = read_annotated(path)
    assert [each.line for each in texts] == [2, 3, 4, 5, 7, 8] and notes.entities == 7
    assert [record.getMessage()[len(path) + 2 :] for record in caplog.records] == [
        "texts that are rejected or ignored by their 'answer', and are passed over: 2 (line 10, line 11)",
        "texts that have no annotation, and are passed over: 2 (line 1, line 6)",
        "texts that have no word in them, and are passed over: 1 (line 9)",
        "texts that have results that are no spans, such as relations, which are passed over: 1 (line 4)",
        "texts that have several annotations, of which the first is taken: 1 (line 3)",
        "spans that have several types, of which the first is taken: 1 (line 8 'PER')",
        "6 annotated texts, 7 entities",
    ]


def test_ten_are_listed(write, caplog):
    path = write(lines(*[{"text": TEXT * 9, "label": [[1, 150, "PER"]]}] * 13))
    read_annotated(path)
    (line,) = [record.getMessage() for record in caplog.records if "cut a word" in record.getMessage()]
    assert ": 13 (line 1 'nn Lee s...', " in line and line.endswith("line 10 'nn Lee s...' and 3 more)")
    assert len(line) - len(path) < 300


@given(
    st.text(st.sampled_from("ab1 .\n北\u0301\u200b\U0001f600"), max_size=12),
    st.lists(st.tuples(st.integers(-1, 13), st.integers(-1, 13), st.sampled_from("AB")), max_size=5),
)
@settings(max_examples=200, deadline=None)
def test_as_a_reader_does_that_looks_at_each_character(text, spans):
    words = split_words(text)
    if not words:
        return
    kept, of_word = [], [None] * len(words)
    for index, (start, end, kind) in enumerate(spans):
        covered = [i for i, word in enumerate(words) if set(range(*word)) & set(range(start, end))]
        if 0 <= start < end <= len(text) and covered:
            kept.append((-len(covered), index, covered, kind))
    for _, index, covered, kind in sorted(kept):
        if all(of_word[i] is None for i in covered):
            for i in covered:
                of_word[i] = (index, kind)
    expected = [
        "O" if found is None else ("I-" if i and of_word[i - 1] == found else "B-") + found[1]
        for i, found in enumerate(of_word)
    ]
    tags, counts = tags_of(text, *spans)
    assert tags == expected
    different = {(tuple(covered), kind) for _, _, covered, kind in kept}
    assert len(different) <= sum(tag.startswith("B-") for tag in tags) + counts.get(kinds.OVERLAPPING, 0)
    # The entities of these tags are spans that change nothing more.
    tokens = [Token(text[start:end], start, end, tag, 1.0) for (start, end), tag in zip(words, tags)]
    again = [(each.start, each.end, each.type, each.text) for each in entities(text, tokens)]
    assert tags_of(text, *again) == (tags, {})


def test_offsets_of_words_are_refused(write):
    """They cut words, as offsets do in a language without spaces, and overlap too."""
    text = "Ann Lee saw New York and Rome in May"
    spans = [(1, 3, "PER"), (2, 3, "LOC"), (5, 6, "LOC"), (8, 9, "TIM")]
    with pytest.raises(UserError, match=r" of 12 spans cut a word .*, and \d overlap or have no word in them;"):
        read_annotated(write(lines(*[{"text": text, "label": spans}] * 3)))
    cut = [{"text": "AnnLeewent away", "label": [[0, 3, "PER"]]}] * 12
    assert read_annotated(write(lines(*cut)))[1].entities == 12


@pytest.mark.parametrize(
    "scheme,tags",
    [
        ("BIO", "B-PER I-PER O B-PER B-PER"),
        (None, "B-PER I-PER O B-PER B-PER"),
        ("BIOES", "B-PER E-PER O S-PER S-PER"),
        ("BMES", "B-PER E-PER O S-PER S-PER"),
        ("BILOU", "B-PER L-PER O U-PER U-PER"),
        ("IOB1", "I-PER I-PER O I-PER B-PER"),
        ("IO", "PER PER O PER PER"),
    ],
)
def test_tags_in_the_scheme_of_a_run(scheme, tags, write):
    (text,), _ = read_annotated(
        write(lines({"text": TEXT, "label": [[0, 7, "PER"], [12, 16, "PER"], [16, 17, "PER"]]}))
    )
    labels = tags.split(" ")
    assert rewrite_tags(text, labels, scheme) == text._replace(tags=labels)


def test_words_as_another_splitter_cuts_them(write):
    path = write(lines({"text": "hi @Ann_Lee 12", "label": [[3, 11, "PER"]]}))
    assert read_annotated(path)[0][0].words == ["hi", "@", "Ann", "_", "Lee", "12"]
    (text,) = read_with(path, Splitter("together", inner="_", leading="@", trailing=""))
    assert (text.words, text.tags) == (["hi", "@Ann_Lee", "12"], ["O", "B-PER", "O"])


def test_one_file_for_each_split(tmp_path):
    with pytest.raises(UserError, match=r"dev\.txt: no such file; expected .*, and the directory is empty$"):
        find_file(str(tmp_path), "dev")
    (tmp_path / "dev.jsonl").write_text("")
    assert find_file(str(tmp_path), "dev") == str(tmp_path / "dev.jsonl")
    (tmp_path / "dev.txt").write_text("")
    with pytest.raises(UserError, match=r"dev\.txt: dev\.jsonl is there too; expected one file for each split"):
        find_file(str(tmp_path), "dev")


@pytest.mark.parametrize("other", ["valid.txt", "val.jsonl", "dev.conll", "Validation.TSV"])
def test_a_split_of_another_name_is_named(other, tmp_path):
    (tmp_path / other).write_text("")
    with pytest.raises(UserError, match=rf"dev\.txt: no such file; expected that name, not {other}"):
        find_file(str(tmp_path), "dev")
    with pytest.raises(UserError, match=rf"test\.txt: no such file; expected .*, not only {other}$"):
        find_file(str(tmp_path), "test")
    assert find_file(str(tmp_path / "none"), "test") == str(tmp_path / "none" / "test.txt")


def test_blocks_and_processes_change_nothing(write, monkeypatch):
    values = [dict(FORMS["doccano"], label=[[i % 3, 7, "PER"]]) for i in range(40)]
    path = write(lines(*values))
    whole, notes = read_annotated(path)
    summaries = [corpus.summarize(path, 1)]
    monkeypatch.setattr(annotated, "BLOCK_BYTES", 100)
    assert len(list(annotated.find_blocks(path))) > 10
    assert read_annotated(path) == (whole, notes) and notes.counts[kinds.MOVED] == 26
    summaries += [corpus.summarize(path, processes) for processes in (1, 2)]
    assert summaries[0] == summaries[1] == summaries[2] and summaries[0].seen == notes
    assert list(corpus.read_sentences(path)) == whole and summaries[0][1:4] == (40, {"B-PER", "I-PER", "O"}, "BIO")


def test_the_spans_of_a_document():
    document = read_document({"text": "ab", "entities": [{"type": "A", "start": 0, "end": 1, "text": "a"}]})
    assert document.spans == [Span(0, 1, "A", "a")]
    assert read_document({"text": "ab", "entities": None}).spans is None
