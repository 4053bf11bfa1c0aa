"""TF Serving's gRPC interface. Needs TensorFlow and tensorflow-serving-api, see requirements-serving.txt."""

from bert.system import startup  # noqa: F401, I001  before TensorFlow

import grpc
import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from bert.system.errors import UserError, first_line
from train.serving.errors import Retriable, ServingError


class Grpc:
    """TF Serving's gRPC interface; one channel for all requests. Its methods are those of rest.Rest.

    Args:
      url: `host:port`.
      model_name: the server's `--model_name`.
      timeout: seconds to wait for an answer.

    Raises:
      UserError: the url names no server.
    """

    def __init__(self, url, model_name, timeout):
        if "://" in url or any(character.isspace() for character in url):
            raise UserError(f"{url}: expected a server as host:port")
        # No limit: the answer for a batch may exceed the library's default of 4 MB.
        self._channel = grpc.insecure_channel(url, [("grpc.max_receive_message_length", -1)])
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._url, self._model_name, self._timeout = url, model_name, timeout

    def __str__(self):
        return self._url

    def close(self):
        self._channel.close()

    def predict(self, signature, inputs):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model_name
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        answer = self._request(self._stub.Predict, request)
        arrays = {name: tf.make_ndarray(value) for name, value in answer.outputs.items()}
        return {
            name: np.char.decode(array.astype(bytes), "utf-8").tolist() if array.dtype == object else array.tolist()
            for name, array in arrays.items()
        }

    def signatures(self):
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self._model_name
        answer = self._request(self._stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        return signatures.signature_def

    def _request(self, method, request):
        codes = grpc.StatusCode
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            code = error.code()
            message = f"{self._url}: model {self._model_name}: {code.name}: {first_line(error.details())}"
            if code == codes.DEADLINE_EXCEEDED:
                raise Retriable(f"{self._url}: no answer in {self._timeout:g} seconds", timed_out=True)
            raise Retriable(message) if code == codes.UNAVAILABLE else ServingError(message)
