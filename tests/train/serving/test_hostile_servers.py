"""Whatever a server sends, a call ends in time, within memory and in one line."""

import concurrent.futures
import contextlib
import random
import time
import tracemalloc

import pytest

from bert.system.errors import LONGEST
from tests.fuzz.mutations import changed
from tests.hostile import ENDLESS, WHOLE, HostileServer, head, whole
from train.serving import answers
from train.serving.client import ServingClient
from train.serving.errors import ServingError

pytestmark = pytest.mark.one_tensorflow

TIMEOUT = 0.5
TEXT = "Ann Lee lives in Paris."
RIGHT = {
    "starts": [[0, 4]], "ends": [[3, 7]], "tags": [["B-PER", "I-PER"]], "scores": [[1.0, 0.5]], "pieces": [[1, 2]],
    "word_count": [2], "too_long": [False], "max_pieces": [14], "scheme": ["BIO"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def outcome(server, **settings):
    """(seconds, the text of the error or the answer) of a call."""
    started = time.monotonic()
    try:
        found = ServingClient(server.url, "ner", timeout=TIMEOUT, **settings)(TEXT)
    except ServingError as error:
        found = str(error)
    return time.monotonic() - started, found


def test_each_call_ends_in_time_within_memory_and_in_one_line():
    attacks = dict(ENDLESS, **WHOLE)
    servers = {name: HostileServer(answer) for name, answer in attacks.items()}
    tracemalloc.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(len(servers)) as pool:
            running = {
                (name, signature): pool.submit(outcome, server, signature=signature)
                for name, server in servers.items()
                for signature in (None, "serving_text")
            }
            found = {key: call.result() for key, call in running.items()}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        for server in servers.values():
            server.close()
    assert peak < 100e6  # all of them at once
    for key, (seconds, text) in found.items():
        assert isinstance(text, str) and len(text) <= LONGEST and text.isprintable(), (key, text)
        assert seconds < TIMEOUT + 1 and text.startswith("http://127.0.0.1:"), (key, seconds, text)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"])
def test_redirects_are_not_followed(status):
    with HostileServer(whole({"outputs": RIGHT})) as other:
        location = f"Location: http://{other.url}/elsewhere"
        with HostileServer(lambda connection: connection.sendall(head(status, location))) as server:
            _, text = outcome(server, signature="serving_text")
        assert f"HTTP {status[:3]}: it redirects to http://{other.url}/elsewhere, which is not followed" in text
        assert other.requests == []


def test_the_limit_is_in_proportion_to_the_request_and_a_flag_raises_it():
    with HostileServer(whole(b'{"outputs": "' + b"a" * (3 << 20) + b'"}')) as server:
        client = ServingClient(server.url, "ner", signature="serving_text")
        with pytest.raises(ServingError, match="an answer of more than 1048576 bytes; .* while -max_answer_mb is 64$"):
            client(TEXT)
        with pytest.raises(ServingError, match="expected an answer of TF Serving"):
            client("a " * 4000)  # whose answer may be longer
        client = ServingClient(server.url, "ner", signature="serving_text", max_answer_mb=256)
        with pytest.raises(ServingError, match="expected an answer of TF Serving"):
            client(TEXT)


def test_attempts_share_the_time():
    """A server that refuses slowly for ever holds no caller longer than one that is silent."""

    def busy(connection):
        time.sleep(0.2)
        connection.sendall(head("503 Busy"))

    with HostileServer(busy) as server:
        seconds, text = outcome(server, signature="serving_text", retries=100)
    assert seconds < TIMEOUT + 0.5 and len(server.requests) < 5 and text.endswith(", the last)"), text


@pytest.mark.parametrize(
    "metadata",
    [None, [], 5, {"signature_def": []}, {"signature_def": {"signature_def": ["serving_text"]}},
     {"signature_def": {"signature_def": "serving_text"}}],
)  # fmt: skip
def test_metadata_of_wrong_types(metadata):
    with HostileServer(whole({"metadata": metadata})) as server, pytest.raises(ServingError, match=": expected "):
        ServingClient(server.url, "ner")


@pytest.mark.parametrize(
    "wrong",
    [
        {"starts": [[0.0, 4]]}, {"starts": [[-1, 4]]}, {"starts": [[0, 2]]}, {"starts": [[4, 0]], "ends": [[7, 3]]},
        {"ends": [[0, 7]]}, {"ends": [[3, 24]]}, {"ends": [[3, True]]}, {"ends": [[3]]}, {"ends": [{}]}, {"ends": []},
        {"scores": [[None, 0.5]]}, {"scores": [[[], 0.5]]}, {"scores": [[float("nan"), 0.5]]}, {"scores": [[2, 0.5]]},
        {"scores": [["1", 0.5]]}, {"scores": [[True, 0.5]]}, {"scores": [[-1e30, 0.5]]}, {"scores": 1.0},
        {"tags": [["B-PER", ""]]}, {"tags": [["B-PER", "\ud800"]]}, {"tags": [["B-PER", None]]}, {"tags": "BB"},
        {"pieces": [[1, -1]]}, {"pieces": [[1, 15]]}, {"pieces": [[1, 1.5]]}, {"word_count": [1e9]},
        {"word_count": [2.0]}, {"word_count": [24]}, {"word_count": [-1]}, {"word_count": [[2]]},
        {"too_long": [0]}, {"too_long": ["yes"]}, {"max_pieces": [0]}, {"max_pieces": [1 << 40]}, {"scheme": [None]},
        {"scheme": ["ABC"]}, {"scheme": [["BIO"]]},
    ],
)  # fmt: skip
def test_outputs_of_texts(wrong):
    assert answers.text_answers(RIGHT, [len(TEXT)])[0].spans == [(0, 3), (4, 7)]
    with pytest.raises(ValueError, match="; (expected|found) ") as raised:
        answers.text_answers(dict(RIGHT, **wrong), [len(TEXT)])
    assert len(str(raised.value)) < 200


WINDOWS = {"pred_ids": [[5, 1, 0], [6, 2, 7]], "scores": [[1.0, 0.2, 0.0], [1, 1, 1.0000004]]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"pred_ids": [[5, 1], [6, 2, 7]]}, {"pred_ids": [[5, 1, 0, 0], [6, 2, 7]]}, {"pred_ids": [[5, 1, 0]]},
        {"pred_ids": [[5, 1, 8], [6, 2, 7]]}, {"pred_ids": [[5, 1, -1], [6, 2, 7]]}, {"pred_ids": [[5, 1, 0], None]},
        {"pred_ids": [[5, 1, 0.0], [6, 2, 7]]}, {"pred_ids": [[5, 1, True], [6, 2, 7]]}, {"pred_ids": None},
        {"scores": [[1, 0, 0], [1, 1, float("inf")]]}, {"scores": [[1, 0, 0], [1, 1, [1]]]}, {"scores": [[1], [1]]},
    ],
)  # fmt: skip
def test_outputs_of_windows(wrong):
    assert [len(found.label_ids) for found in answers.predictions(WINDOWS, 2, 3, 8)] == [3, 3]
    with pytest.raises(ValueError):
        answers.predictions(dict(WINDOWS, **wrong), 2, 3, 8)


def test_outputs_at_random():
    """What passes the check gives entities that can be written; all else is a ValueError."""
    rng = random.Random(1)
    for _ in range(2000):
        with contextlib.suppress(ValueError):
            for answer in answers.text_answers(changed(RIGHT, rng), [len(TEXT)]):
                assert all(TEXT[start:end] for start, end in answer.spans)
                "".join(answer.tags).encode("utf-8")
        with contextlib.suppress(ValueError):
            answers.predictions(changed(WINDOWS, rng), 2, 3, 8)
