"""Reading SQuAD files: spans of answers, and everything that can be wrong with a file."""

import json
import re

import pytest

from bert.squad.questions import read_prediction, read_training
from bert.system.errors import UserError

CONTEXT = "Marie Curie was born in  Warsaw.\nShe won 2 prizes."


def squad(qas, context=CONTEXT):
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": qas}]}]}


def qa(name="q1", answers=(), **more):
    answers = [{"text": text, "answer_start": start} for text, start in answers]
    return dict({"id": name, "question": "Who?", "answers": answers}, **more)


@pytest.fixture
def write(tmp_path):
    def write(value):
        path = tmp_path / "train.json"
        text = value if isinstance(value, str) else json.dumps(value)
        path.write_bytes(text.encode("utf-8"))
        return str(path)

    return write


def span_of(write, text, start, context=CONTEXT):
    (question,) = read_training(write(squad([qa(answers=[(text, start)])], context)), False)
    return question.span


def test_answers_at_their_offset(write):
    assert span_of(write, "Marie Curie", 0) == (0, 11)
    assert span_of(write, "Warsaw", 25) == (25, 31)
    assert span_of(write, ".", len(CONTEXT) - 1) == (len(CONTEXT) - 1, len(CONTEXT))


def test_white_space_at_the_ends_is_no_part_of_an_answer(write):
    assert span_of(write, "  Warsaw", 23) == (25, 31)
    assert span_of(write, "Warsaw.\n", 25) == (25, 32)


def test_white_space_may_differ(write):
    assert span_of(write, "in Warsaw", 21) == (21, 31)  # the context has two spaces
    assert span_of(write, "Warsaw. She", 25) == (25, 36)
    assert span_of(write, "Warsaw", 24) == (25, 31)
    assert span_of(write, "北 京", 1, "在北京") == (1, 3)
    assert span_of(write, "a.b (c)", 0, "a.b(c)") == (0, 6)  # nothing in an answer is a pattern
    long = "ab" * 100000  # a pattern of it would take a minute
    assert span_of(write, long, 1, " " + long[:9] + "\n" + long[9:] + "c") == (1, len(long) + 2)


@pytest.mark.parametrize(
    "text,start,found",
    [("Warsaw", 26, "arsaw."), ("warsaw", 25, "Warsaw"), ("Paris", 25, "Warsa"), ("prizes..", 43, "prizes."),
     ("Marie", -1, ""), ("Marie", 999, "")],
)  # fmt: skip
def test_an_answer_that_is_not_at_its_offset(text, start, found, write):
    expected = f"train.json: question q1: expected the answer {text!r} at its answer_start {start}, found {found!r}"
    with pytest.raises(UserError, match=re.escape(expected) + "; no question is left"):
        span_of(write, text, start)


@pytest.mark.parametrize("with_negative", [False, True])
@pytest.mark.parametrize("misplaced", [1, 10, 13])
def test_questions_whose_answer_is_not_there_are_passed_over(misplaced, with_negative, write, caplog):
    more = {"is_impossible": False} if with_negative else {}
    qas = [qa(f"bad{i}", [("Warsaw" * 20, i)], **more) for i in range(misplaced)]
    path = write(squad([*qas, qa("good", [("Warsaw", 25)], **more)]))
    assert [question.id for question in read_training(path, with_negative)] == ["good"]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == min(misplaced, 10) + 1 and all(len(line) - len(path) < 250 for line in lines)
    assert f"question bad{min(misplaced, 10) - 1}: expected the answer 'WarsawW" in lines[-2]
    above = ", the first 10 above" if misplaced > 10 else ""
    assert lines[-1] == (
        f"{path}: {misplaced} questions passed over, whose answer is not at its answer_start{above}; 1 are left"
    )
    if with_negative:  # questions without an answer are no reason to go on
        with pytest.raises(UserError, match="question bad0: .*no question is left"):
            read_training(write(squad([*qas, qa("none", is_impossible=True)])), True)


def test_squad_2(write):
    qas = [qa("a", [("Marie", 0)], is_impossible=False), qa("b", is_impossible=True)]
    first, second = read_training(write(squad(qas)), True)
    assert (first.id, first.span, second.id, second.span) == ("a", (0, 5), "b", None)
    with pytest.raises(UserError, match="question b: no answer; expected one, or -version_2_with_negative"):
        read_training(write(squad(qas)), False)
    with pytest.raises(UserError, match="question a: expected an object with 'is_impossible'"):
        read_training(write(squad([qa("a", [("Marie", 0)])])), True)


def test_prediction_needs_no_answers_and_no_offsets(write):
    without = qa("c")
    del without["answers"]
    offset_missing = {"id": "d", "question": "?", "answers": [{"text": "x"}]}
    questions = read_prediction(write(squad([qa("a", [("no such", 99), ("b", 0)]), qa("b"), without, offset_missing])))
    assert [(question.id, question.answers) for question in questions] == [
        ("a", ("no such", "b")), ("b", ()), ("c", None), ("d", ("x",)),
    ]  # fmt: skip
    assert all(question.context is questions[0].context for question in questions)
    with pytest.raises(UserError, match=r"train\.json: two questions have the id a"):
        read_prediction(write(squad([qa("a"), qa("a")])))


@pytest.mark.parametrize(
    "value,expected",
    [
        ("{", r"expected JSON"),
        ([], r"expected an object with 'data'"),
        ({}, r"expected an object with 'data'"),
        ({"data": {}}, r"'data' is \{\}; expected a list"),
        ({"data": []}, r"no question in it"),
        ({"data": [{"paragraphs": [{"context": "x", "qas": []}]}]}, r"no question in it"),
        ({"data": [{}]}, r"data\[0\]: expected an object with 'paragraphs'"),
        ({"data": [{"paragraphs": ["x"]}]}, r"data\[0\] paragraphs\[0\]: expected an object with 'context'"),
        ({"data": [{"paragraphs": [{"context": "x"}]}]}, r"paragraphs\[0\]: expected an object with 'qas'"),
        (squad([{"question": "?"}]), r"paragraphs\[0\]: expected an object with 'id'"),
        (squad([{"id": 7}]), r"'id' is 7; expected a string"),
        (squad([{"id": "q1"}]), r"question q1: expected an object with 'question'"),
        (squad([{"id": "q1", "question": None}]), r"question q1: 'question' is None; expected a string"),
        (squad([{"id": "q1", "question": "?"}]), r"question q1: expected an object with 'answers'"),
        (squad([{"id": "q1", "question": "?", "answers": ["x"]}]), r"question q1: expected an object with 'text'"),
        (squad([{"id": "q1", "question": "?", "answers": [{"text": "x"}]}]), r"q1: expected .* 'answer_start'"),
        (squad([qa(answers=[("x", True)])]), r"question q1: 'answer_start' is True; expected a whole number"),
        (squad([qa(answers=[(" ", 3)])]), r"question q1: the answer is empty"),
        (squad([qa(answers=[("x", 0)])], "x \ud800"), r"'context' has half a surrogate pair at 2"),
    ],
)
def test_malformed(value, expected, write):
    with pytest.raises(UserError, match=r"train\.json: .*" + expected):
        read_training(write(value), False)


def test_files_that_cannot_be_read(tmp_path):
    for read in (read_prediction, lambda path: read_training(path, False)):
        with pytest.raises(UserError, match="no.json: cannot be read: No such file"):
            read(str(tmp_path / "no.json"))
    (tmp_path / "bytes.json").write_bytes(b'{"data": "\xff"}')
    with pytest.raises(UserError, match="bytes.json: expected JSON"):
        read_prediction(str(tmp_path / "bytes.json"))
