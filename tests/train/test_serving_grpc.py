"""The client over gRPC, against a server that answers with TF Serving's own messages."""

import concurrent.futures
import threading
import types

import pytest
import tensorflow.compat.v1 as tf

from bert.system.errors import UserError
from tests import serving
from tests.serving import check_same
from train.serving_client import ServingClient, ServingError

pytestmark = [pytest.mark.one_tensorflow, pytest.mark.usefixtures("quick")]


class GrpcServer:
    """Answers on 127.0.0.1 with TF Serving's own messages; `faults`: (status code, details) for the next requests."""

    def __init__(self, model):
        import grpc
        from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

        outer, lock = self, threading.Lock()
        self.faults, self.requests = [], 0

        class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
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

        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), self._server)
        self.url = "127.0.0.1:{}".format(self._server.add_insecure_port("127.0.0.1:0"))
        self._server.start()

    def close(self):
        self._server.stop(None)


@pytest.fixture(scope="module")
def grpc_server(exported):
    pytest.importorskip("tensorflow_serving.apis.predict_pb2", reason="tensorflow-serving-api is not installed")
    model = serving.Model(exported)
    server = GrpcServer(model)
    yield server
    server.close()
    model.close()


@pytest.mark.every_tensorflow
def test_grpc_says_what_predictor_says(grpc_server, exported, predict):
    for others in ({}, {"signature": "serving_default", "export_dir": exported}):
        with ServingClient(grpc_server.url, "ner", protocol="grpc", batch_size=3, timeout=60, **others) as client:
            check_same(client.tokens(serving.TEXTS), predict.tokens(serving.TEXTS))
            check_same(client(serving.TEXTS), predict(serving.TEXTS))


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
    with ServingClient(grpc_server.url, "ner", protocol="grpc", signature="serving_text") as client:
        monkeypatch.setattr(client._server, "_request", lambda *_: types.SimpleNamespace(outputs=outputs))
        assert client.tokens("x")[0].tag == "O"
        outputs.update(wrong)
        with pytest.raises(ServingError, match="expected an answer as serving_text gives it: ") as raised:
            client.tokens("x")
    assert len(str(raised.value)) <= 300
