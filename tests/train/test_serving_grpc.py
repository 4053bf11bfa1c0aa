"""The client over gRPC, against a server that answers with TF Serving's own messages."""

import concurrent.futures
import sys
import threading
import time

import pytest
import tensorflow.compat.v1 as tf

from bert.system.errors import UserError
from tests import serving, serving_messages
from tests.hostile import HostileServer, endless, silent
from tests.serving import check_same
from train.serving_client import ServingClient, ServingError

pytestmark = [pytest.mark.one_tensorflow, pytest.mark.usefixtures("quick")]


class GrpcServer:
    """Answers on 127.0.0.1 with TF Serving's own messages; `faults`: (status code, details) for the next requests."""

    def __init__(self, model):
        import grpc
        from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

        outer, lock = self, threading.Lock()
        self.faults, self.requests = [], 0

        class Service:
            def _check(self, request, context):
                with lock:
                    outer.requests += 1
                    fault = outer.faults.pop(0) if outer.faults else None
                if fault == "hang":
                    threading.Event().wait(0.5)
                elif fault:
                    context.abort(*fault)
                if request.model_spec.name != "ner":
                    context.abort(
                        grpc.StatusCode.NOT_FOUND,
                        f"Servable not found for request: Latest({request.model_spec.name})",
                    )

            def Predict(self, request, context):
                self._check(request, context)
                name = request.model_spec.signature_name
                if name not in model.signatures:
                    context.abort(grpc.StatusCode.INVALID_ARGUMENT, f'Serving signature key "{name}" not found.')
                inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
                answer = predict_pb2.PredictResponse()
                for key, value in model(name, inputs).items():
                    answer.outputs[key].CopyFrom(tf.make_tensor_proto(value))
                return answer

            def GetModelMetadata(self, request, context):
                self._check(request, context)
                signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=dict(model.signatures.items()))
                answer = get_model_metadata_pb2.GetModelMetadataResponse()
                answer.metadata["signature_def"].Pack(signatures)
                return answer

        service = Service()
        handlers = {
            "Predict": (service.Predict, predict_pb2.PredictRequest),
            "GetModelMetadata": (service.GetModelMetadata, get_model_metadata_pb2.GetModelMetadataRequest),
        }
        for name, (method, request) in handlers.items():
            handlers[name] = grpc.unary_unary_rpc_method_handler(
                method, request.FromString, lambda answer: answer.SerializeToString()
            )
        self._server, self.url = start_server(handlers)

    def close(self):
        self._server.stop(None)


def start_server(handlers):
    """(grpc.Server, host:port) with TF Serving's methods; handlers: dict from name to grpc.RpcMethodHandler."""
    import grpc

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    service = grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", handlers)
    server.add_generic_rpc_handlers([service])
    url = "127.0.0.1:{}".format(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    return server, url


@pytest.fixture(scope="module", autouse=True)
def messages():
    """TF Serving's messages, and the module that needs them."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        serving_messages.provide(monkeypatch)
        pytest.importorskip("grpc", reason="grpcio is not installed")
        yield
    sys.modules.pop("train.serving.grpc", None)


@pytest.fixture(scope="module")
def grpc_server(exported):
    model = serving.Model(exported)
    server = GrpcServer(model)
    yield server
    server.close()
    model.close()


def check_grpc(server, predict, **settings):
    with ServingClient(server.url, "ner", protocol="grpc", batch_size=3, timeout=60, **settings) as client:
        check_same(client.tokens(serving.TEXTS), predict.tokens(serving.TEXTS))
        check_same(client(serving.TEXTS), predict(serving.TEXTS))


@pytest.mark.every_tensorflow
def test_grpc_says_what_predictor_says(grpc_server, predict):
    check_grpc(grpc_server, predict)


def test_grpc_says_it_of_windows_too(grpc_server, exported, predict):
    check_grpc(grpc_server, predict, signature="serving_default", export_dir=exported)


def test_grpc_failures(grpc_server):
    import grpc

    def client(**settings):
        grpc_server.faults, grpc_server.requests = [], 0
        return ServingClient(grpc_server.url, "ner", protocol="grpc", signature="serving_text", **settings)

    with client() as one:
        grpc_server.faults = [(grpc.StatusCode.UNAVAILABLE, "busy")] * 3
        assert len(one.tokens("Ann Bob")) == 2 and grpc_server.requests == 4
    with client() as one:
        grpc_server.faults = [(grpc.StatusCode.UNAVAILABLE, "busy")] * 9
        with pytest.raises(ServingError, match=r"model ner: UNAVAILABLE: busy \(attempt 4, the last\)"):
            one("Ann")
    with client() as one:
        grpc_server.faults = [(grpc.StatusCode.INVALID_ARGUMENT, "no\nway")]
        with pytest.raises(ServingError, match="model ner: INVALID_ARGUMENT: no$"):
            one("Ann")
        assert grpc_server.requests == 1
    with client(timeout=0.1) as one:
        grpc_server.faults = ["hang"] * 5
        with pytest.raises(ServingError, match=r"no answer in 0.1 seconds \(attempt 1, the last\)"):
            one("Ann")
    grpc_server.faults = []
    with pytest.raises(ServingError, match="model nerd: NOT_FOUND: Servable not found"):
        ServingClient(grpc_server.url, "nerd", protocol="grpc")
    with pytest.raises(UserError, match="expected a server as host:port"):
        ServingClient("http://" + grpc_server.url, "ner", protocol="grpc")
    with pytest.raises(ServingError, match="UNAVAILABLE"):
        ServingClient("127.0.0.1:1", "ner", protocol="grpc", retries=0)


def tensor(*dimensions, **values):
    """A TensorProto of this shape that may have other values than the shape says."""
    made = tf.make_tensor_proto(0)
    made.Clear()
    for name, value in values.items():
        setattr(made, name, value) if name == "dtype" else getattr(made, name).extend(value)
    for size in dimensions:
        made.tensor_shape.dim.add().size = size
    return made


@pytest.mark.parametrize(
    "wrong",
    [
        {"starts": tensor(1 << 20, 1 << 20, dtype=3, int_val=[1])}, {"starts": tensor(-1, dtype=3, int_val=[1])},
        {"starts": tensor(1, 3, dtype=3, int_val=[1])}, {"starts": tensor(1, 1, dtype=1, float_val=[0.0])},
        {"starts": tensor(1, 1, dtype=20, resource_handle_val=[])}, {"starts": tensor(1, 1, dtype=77)},
        {"tags": tensor(1, 1, dtype=7, string_val=[b"\xff"])}, {"tags": tensor(1, 1, dtype=3, int_val=[5])},
        {"scores": tensor(1, 1, dtype=1, float_val=[float("nan")])}, {"scheme": tensor(dtype=7, string_val=[b"BIO"])},
        {"too_long": tensor(1, dtype=3, int_val=[0])}, {"word_count": tensor(1, dtype=9, int64_val=[1 << 40])},
    ],
)  # fmt: skip
def test_grpc_answers_that_are_none(wrong, grpc_server, monkeypatch):
    """The check of REST's answers, and one before arrays are made: a shape alone asks for any memory."""
    right = {
        "starts": [[0]], "ends": [[1]], "tags": [["O"]], "scores": [[1.0]], "pieces": [[1]], "word_count": [1],
        "too_long": [False], "max_pieces": [9], "scheme": ["BIO"],
    }  # fmt: skip
    outputs = {name: tf.make_tensor_proto(value) for name, value in right.items()}

    def put(_method, _request, answer, *_):
        for name, value in outputs.items():
            answer.outputs[name].CopyFrom(value)

    with ServingClient(grpc_server.url, "ner", protocol="grpc", signature="serving_text") as client:
        monkeypatch.setattr(client._server, "_request", put)
        assert client.tokens("x")[0].tag == "O"
        outputs.update(wrong)
        with pytest.raises(ServingError, match="expected an answer as serving_text gives it: ") as raised:
            client.tokens("x")
    assert len(str(raised.value)) <= 300


PREFACE = b"\0\0\0\4\0\0\0\0\0"  # an empty frame of settings, with which each side begins
PING = b"\0\0\x08\6\0\0\0\0\0" + b"x" * 8
HEADERS = b"\0\x40\0\1\0\0\0\0\1" + b"\0\1a\1b" * 3276 + b"\0\0\0\0"  # which go on
HOSTILE = {
    "nothing": silent(),
    "nothing after the settings": silent(PREFACE),
    "HTTP/1.1": silent(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    "slow pings": endless(PREFACE, PING, 0.05),
    "a slow frame": endless(PREFACE + b"\0\x40\0\0\0\0\0\0\1", b"x", 0.05),
    "pings at full speed": endless(PREFACE, PING * 1000),
    "headers without an end": endless(PREFACE, HEADERS, 0.001),
    "no HTTP/2": endless(b"", b"\xff\0" * 5000),
    "a frame of 16 MB": endless(PREFACE + b"\xff\xff\xff\0\0\0\0\0\1", b"x" * 10000),
    "the end": lambda connection: None,
}


def test_a_hostile_grpc_server_holds_no_call():
    """gRPC's own deadline is for the whole call; the client's is for all attempts together."""
    servers = {name: HostileServer(answer) for name, answer in HOSTILE.items()}

    def outcome(server, signature):
        started = time.monotonic()
        with pytest.raises(ServingError) as raised:
            ServingClient(server.url, "ner", protocol="grpc", timeout=0.5, signature=signature)("Ann Bob")
        return time.monotonic() - started, str(raised.value)

    with concurrent.futures.ThreadPoolExecutor(2 * len(servers)) as pool:
        calls = {
            (name, each): pool.submit(outcome, servers[name], each)
            for name in servers
            for each in (None, "serving_text")
        }
        found = {key: call.result() for key, call in calls.items()}
    for server in servers.values():
        server.close()
    for key, (seconds, said) in found.items():
        assert seconds < 1.5 and len(said) <= 300 and said.isprintable(), (key, seconds, said)


@pytest.mark.parametrize("answer, found", [
    (b"\n\2\n\0" * (1 << 19), "an answer of more than 1048576 bytes; expected no more for this request while"),
    (b"\n\xff\xff", "expected an answer of TF Serving; found b"),
    (b"", "expected "),
])  # fmt: skip
def test_the_length_of_an_answer_comes_before_its_content(answer, found):
    """What is made of an answer takes up to twenty times its size."""
    import grpc

    handler = grpc.unary_unary_rpc_method_handler(lambda *_: answer)
    server, url = start_server({"Predict": handler, "GetModelMetadata": handler})
    for signature in (None, "serving_text"):
        with pytest.raises(UserError) as raised:
            ServingClient(url, "ner", protocol="grpc", timeout=20, signature=signature)("Ann Bob")
        assert found in str(raised.value)
    server.stop(None)
