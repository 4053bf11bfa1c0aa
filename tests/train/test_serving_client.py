"""The client against a server that speaks TF Serving's REST format, in front of a real export; and as a command."""

import concurrent.futures
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert.system.errors import UserError
from tests import serving
from tests.paths import REPOSITORY
from tests.serving import check_same
from tests.train.data.test_text import CHARACTERS
from train.inference.entities import entities
from train.predictor import Predictor
from train.serving_client import ID_SIGNATURE, TEXT_SIGNATURE, ServingClient, ServingError

pytestmark = pytest.mark.one_tensorflow


@pytest.fixture(scope="module")
def rest(exported):
    model = serving.Model(exported)
    server = serving.RestServer(model)
    yield server
    server.close()
    model.close()


@pytest.fixture(autouse=True)
def no_faults(quick, rest):
    """None is left over."""
    rest.faults, rest.paths = [], []


@pytest.fixture(scope="module")
def clients(rest, exported):
    return [
        ServingClient(rest.url, "ner", batch_size=3, timeout=60),
        ServingClient("http://" + rest.url + "/", "ner", signature="serving_default", export_dir=exported, timeout=60),
    ]


def test_it_says_what_predictor_says(clients, predict):
    for client in clients:
        check_same(client(serving.TEXTS), predict(serving.TEXTS))
        check_same(client.tokens(serving.TEXTS), predict.tokens(serving.TEXTS))
        check_same([client(serving.TEXTS[4])], [predict(serving.TEXTS[4])])
        assert client([]) == [] and client("") == []


def test_the_least_score(rest, predict):
    found = predict(serving.TEXTS)
    scores = sorted(entity.score for row in found for entity in row)
    _, least = max((high - low, (low + high) / 2) for low, high in zip(scores, scores[1:]))  # in the widest gap
    with ServingClient(rest.url, "ner", timeout=60) as client:
        client.min_score = least
        kept = client(serving.TEXTS)
    check_same(kept, [[entity for entity in row if entity.score >= least] for row in found])
    assert 0 < sum(map(len, kept)) < len(scores)


def test_an_export_of_an_earlier_version(exported, predict):
    """It says nothing of entities: the score of one is the least of its words'."""

    def earlier(name, inputs):
        return {key: value for key, value in model(name, inputs).items() if key != "entity_scores"}

    model = serving.Model(exported)
    earlier.signatures = model.signatures
    server = serving.RestServer(earlier)
    tokens = predict.tokens(serving.TEXTS)
    expected = [entities(*pair, predict.settings.scheme) for pair in zip(serving.TEXTS, tokens)]
    for arguments in ({}, {"signature": "serving_default", "export_dir": exported}):
        with ServingClient(server.url, "ner", timeout=60, **arguments) as client:
            check_same(client(serving.TEXTS), expected)
    server.close()
    model.close()


@given(texts=st.lists(st.lists(st.one_of(CHARACTERS, st.sampled_from(["Ann ", "London", " unaffable"]))), max_size=3))
@settings(max_examples=20)
def test_any_text(clients, predict, texts):
    texts = ["".join(parts) * 4 for parts in texts]
    for client in clients:
        check_same(client.tokens(texts), predict.tokens(texts))


def test_words(clients, predict):
    words = [["Ann", "\u0301", "unaffable"], [], ["London"] * 40]
    check = [[tag for tag, _ in row] for row in predict.tag_words(words)]
    assert [[tag for tag, _ in row] for row in clients[1].tag_words(words)] == check
    assert clients[1].types == ["LOC", "PER"]
    for call in (lambda: clients[0].tag_words(words), lambda: clients[0].types):
        with pytest.raises(UserError, match="this needs serving_default and export_dir"):
            call()


@pytest.mark.parametrize(
    "splitter, words",
    [("characters", ["A", "n", "n"]), ({"inner": ".-", "leading": "@", "trailing": "_"}, ["Ann_", "in", "-", "@Bob"])],
)
def test_plain_text_is_cut_as_the_model_says(tmp_path, splitter, words):
    """By Predictor, in the graph, by the client that has the export, and where a long text is asked for in parts."""
    exported = serving.make_export(tmp_path, splitter=splitter, word_units="text", crf_only=True)
    texts = ["Ann_ in-@Bob @London.Paris_. met", *serving.TEXTS, "Ann_ in-@Bob @London.Paris_.met-北 " * 9]
    model = serving.Model(exported)
    server = serving.RestServer(model)
    with Predictor(exported) as predict:
        expected = predict.tokens(texts)
        assert [token.text for token in expected[0][: len(words)]] == words
        for signature in (TEXT_SIGNATURE, ID_SIGNATURE):
            with ServingClient(server.url, "ner", signature=signature, export_dir=exported, timeout=60) as client:
                check_same(client.tokens(texts), expected)
        assert len(predict.tag_words([["Ann", "in-@Bob"]])[0]) == 2
    server.close()
    model.close()


def test_threads(clients, predict):
    expected = predict(serving.TEXTS)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for found in pool.map(clients[0], [serving.TEXTS] * 16):
            check_same(found, expected)


def test_requests(rest):
    client = ServingClient(rest.url, "ner", signature="serving_text", batch_size=2)
    assert rest.paths == []
    client(["Ann"] * 5)
    assert rest.paths == ["/v1/models/ner:predict"] * 3
    ServingClient(rest.url, "ner")
    assert rest.paths[3:] == ["/v1/models/ner/metadata"]


def answering(outputs, rows):
    """A fault of the server's: these outputs for each of so many texts."""
    return lambda handler: serving.send(handler, 200, {"outputs": {k: [v] * rows for k, v in outputs.items()}})


@pytest.mark.parametrize(
    "wrong",
    [
        {"tags": []}, {"tags": None}, {"tags": [5]}, {"scores": ["a"]}, {"word_count": "x"}, {"word_count": 5},
        {"scheme": "ZZ"}, {"ends": [99]}, {"starts": [None]}, {"pieces": 3}, {"max_pieces": 0}, {"max_pieces": None},
    ],
)  # fmt: skip
def test_an_answer_that_is_none(wrong, rest, clients):
    right = {
        "starts": [0], "ends": [1], "tags": ["O"], "scores": [1.0], "pieces": [1], "word_count": 1, "too_long": False,
        "max_pieces": 9, "scheme": "BIO",
    }  # fmt: skip
    rest.faults = [answering(right, 1), answering(dict(right, **wrong), 1)]
    assert clients[0].tokens("x")[0].tag == "O"
    with pytest.raises(ServingError, match="expected an answer as serving_text gives it: "):
        clients[0].tokens("x")


def test_a_replaced_model_is_noticed(rest, clients):
    """Parts of a long text come back cut in another way than they were."""
    outputs = {
        "starts": [0, 1], "ends": [1, 2], "tags": ["O", "O"], "scores": [1.0, 1.0], "pieces": [1, 1],
        "word_count": 2, "too_long": True, "max_pieces": 1, "scheme": "BIO",
    }  # fmt: skip
    of_parts = dict(outputs, word_count=0)
    rest.faults = [answering(outputs, 1), answering(of_parts, 2)]
    with pytest.raises(ServingError, match="the model was replaced between two requests"):
        clients[0]("北" * 2)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_overload_is_waited_for(rest, clients, predict, status):
    rest.faults = [lambda handler: serving.refuse(handler, status, "busy")]
    check_same([clients[0]("Ann")], [predict("Ann")])
    assert len(rest.paths) == 2


def test_a_lost_connection_is_made_again(rest, clients, predict):
    rest.faults = [serving.hang_up] * 3
    check_same([clients[0]("Ann")], [predict("Ann")])
    rest.faults, rest.paths = [serving.hang_up] * 9, []
    with pytest.raises(ServingError, match=r"no answer: .*\(attempt 4, the last\)"):
        clients[0]("Ann")
    assert len(rest.paths) == 4


@pytest.mark.parametrize("status", [400, 401, 404, 412, 429, 500])
def test_a_refusal_is_final(rest, clients, status):
    rest.faults = [lambda handler: serving.refuse(handler, status, "no\nway")]
    with pytest.raises(ServingError, match=f"^http://{rest.url}: model ner: HTTP {status}: no$"):
        clients[0]("Ann")
    assert len(rest.paths) == 1


def test_no_answer_in_time(rest):
    client = ServingClient(rest.url, "ner", signature="serving_text", timeout=0.1, retries=5)
    rest.faults = [serving.hang] * 5
    with pytest.raises(ServingError, match=r"no answer in 0.1 seconds \(attempt 1, the last\)"):
        client("Ann")
    assert len(rest.paths) == 1


def test_a_server_that_is_too_slow_twice_is_left_alone(rest, clients):
    rest.faults = [lambda handler: serving.refuse(handler, 504, "slow")] * 5
    with pytest.raises(ServingError, match=r"HTTP 504: slow \(attempt 2, the last\)"):
        clients[0]("Ann")
    assert len(rest.paths) == 2


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"outputs": [1]}', b'{"predictions": []}', b'{"outputs": {"tags": []}}', b"\xff"]
)
def test_another_server(rest, clients, body):
    rest.faults = [lambda handler: serving.send(handler, 200, body)]
    with pytest.raises(ServingError, match="expected"):
        clients[0]("Ann")
    assert len(rest.paths) == 1


def test_wrong_model_and_wrong_signature(rest, exported):
    with pytest.raises(ServingError, match=r"model nerd: HTTP 404: Servable not found for request: Latest\(nerd\)"):
        ServingClient(rest.url, "nerd")
    older = type("Older", (), {"signatures": {"serving_default": None}})()
    server = serving.RestServer(older)
    with pytest.raises(ServingError, match='HTTP 400: Serving signature key "serving_text" not found.'):
        ServingClient(server.url, "ner", signature="serving_text")("Ann")
    with pytest.raises(UserError, match="serving_default takes pieces of words; expected export_dir"):
        ServingClient(server.url, "ner")
    with pytest.raises(UserError, match="label2id.json"):
        ServingClient(server.url, "ner", export_dir=os.path.dirname(REPOSITORY) + "/nothing")
    assert ServingClient(server.url, "ner", export_dir=os.path.dirname(exported)).types == ["LOC", "PER"]
    server.close()


def test_no_server():
    server = serving.RestServer(None)
    server.close()
    with pytest.raises(ServingError, match=r"no answer: Connection refused \(attempt 3, the last\)"):
        ServingClient(server.url, "ner", retries=2)


@pytest.mark.parametrize("url", ["", "http://", "ftp://host", "host:port", "http://host:99999", "a b:1"])
def test_a_url_that_is_none(url):
    with pytest.raises(UserError, match="expected a server as host:port"):
        ServingClient(url, "ner")


def test_arguments_that_do_not_fit(rest):
    for wrong in ({"protocol": "soap"}, {"signature": "predict"}):
        with pytest.raises(UserError, match="expected"):
            ServingClient(rest.url, "ner", **wrong)
    client = ServingClient(rest.url, "ner")
    for texts in (None, 7, b"Ann", ["Ann", None]):
        with pytest.raises(TypeError):
            client(texts)


def run_cli(*flags, **kwargs):
    command = [sys.executable, "-m", "train.serving_client"] + list(flags)
    return subprocess.run(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", timeout=100, **kwargs
    )


def test_command_line(rest, predict):
    texts = ["Ann Bob met the man in London.", "我在北京"]
    flags = ["-url", rest.url, "-model_name", "ner"]
    environment = dict(os.environ, PYTHONIOENCODING="utf-8")
    by_arguments = run_cli(*flags, *texts, env=environment)
    assert by_arguments.returncode == 0, by_arguments.stderr
    found = [json.loads(line) for line in by_arguments.stdout.splitlines()]
    assert [line["text"] for line in found] == texts
    for line, expected in zip(found, predict(texts)):
        assert [tuple(entity.values())[:4] for entity in line["entities"]] == [entity[:4] for entity in expected]
    by_input = run_cli(*flags, input="\n".join(texts), env=environment)
    assert by_input.stdout == by_arguments.stdout


def test_standard_input_that_is_not_utf_8_and_a_reader_that_goes(rest):
    command = [sys.executable, "-m", "train.serving_client", "-url", rest.url, "-model_name", "ner", "-batch_size", "1"]
    for codec in ("utf-8", "utf-8:surrogateescape", "ascii"):
        environment = dict(os.environ, PYTHONIOENCODING=codec)
        done = subprocess.run(
            command, input=b"Ann\n\xe5\x8c\x97\nbad \xff\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=REPOSITORY, env=environment,
        )  # fmt: skip
        assert done.returncode == 2 and len(done.stdout.decode("utf-8").splitlines()) == 2
        expected = "error: standard input:3: byte 5 of the line is not UTF-8; expected one text per line, in UTF-8\n"
        assert done.stderr.decode() == expected
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY
    )
    process.stdin.write(b"Ann\n" * 100)
    process.stdin.flush()
    process.stdout.readline()
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == b"" and process.wait(30) == 141


def test_command_line_errors(rest):
    for flags, said in (
        (["-url", rest.url, "-model_name", "nerd", "Ann"], f"error: http://{rest.url}: model nerd: HTTP 404: "),
        (["-url", "127.0.0.1:1", "-model_name", "ner", "-retries", "0", "Ann"], "error: http://127.0.0.1:1: no answer"),
        (
            ["-url", rest.url, "-model_name", "ner", "-timeout", "1e300", "Ann"],
            "error: timeout 1e+300: expected seconds",
        ),
        (["-url", rest.url, "Ann"], "error: the following arguments are required: -model_name"),
    ):
        done = run_cli(*flags)
        assert done.returncode == 2 and done.stderr.startswith(said) and done.stderr.count("\n") == 1, done.stderr


def test_tensorflow_is_not_needed():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, train.serving_client, train.serving.rest; sys.exit('tensorflow' in sys.modules)",
        ],
        cwd=REPOSITORY,
    )
    assert done.returncode == 0


def test_grpc_fails_in_one_line():
    """Whether its extra is installed or not, nothing of TensorFlow's log is around it."""
    command = [sys.executable, "-m", "train.serving_client", "-protocol", "grpc", "-url", "127.0.0.1:1"]
    done = subprocess.run(
        command + ["-model_name", "ner", "-retries", "0", "-timeout", "1", "Ann"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY,
    )  # fmt: skip
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 2 and done.stdout == b"" and len(lines) == 1 and lines[0].startswith("error: "), lines


def test_grpc_needs_an_extra(monkeypatch, rest):
    monkeypatch.delitem(sys.modules, "train.serving.grpc", raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow_serving", None)
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(UserError, match="pip install -r train/requirements-serving.txt"):
        ServingClient(rest.url, "ner", protocol="grpc")


def test_the_signatures_have_names_beside_the_client():
    assert (TEXT_SIGNATURE, ID_SIGNATURE) == ("serving_text", "serving_default")
