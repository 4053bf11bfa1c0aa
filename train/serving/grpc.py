"""TF Serving's gRPC interface. Needs TensorFlow and tensorflow-serving-api, see requirements-serving.txt."""

from bert.system import startup  # noqa: F401, I001  before TensorFlow

import time

import grpc
import numpy as np
import tensorflow.compat.v1 as tf
from google.protobuf import message
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from bert.system.errors import UserError, first_line, shorten, shown_list
from train.serving.answers import most_bytes, size_of, too_much
from train.serving.errors import Retriable, ServingError

_SERVICE = "/tensorflow.serving.PredictionService/"


class Grpc:
    """TF Serving's gRPC interface; one channel for all requests. Its methods are those of rest.Rest.

    Args:
      url: `host:port`.
      model_name: the server's `--model_name`.
      timeout: seconds that a caller waits for an answer, for messages.
      max_answer_mb: megabytes of an answer at most.

    Raises:
      UserError: the url names no server.
    """

    def __init__(self, url, model_name, timeout, max_answer_mb):
        if "://" in url or any(character.isspace() for character in url):
            raise UserError(f"{url}: expected a server as host:port")
        # The answer for a batch may exceed the library's default of 4 MB.
        longest = [("grpc.max_receive_message_length", int(max_answer_mb * (1 << 20)))]
        self._channel = grpc.insecure_channel(url, longest)
        self._url, self._model_name, self._timeout = url, model_name, timeout
        self._max_answer_mb = max_answer_mb

    def __str__(self):
        return self._url

    def close(self):
        self._channel.close()

    def predict(self, signature, inputs, outputs, deadline):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model_name
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        answer = predict_pb2.PredictResponse()
        self._request("Predict", request, answer, deadline, size_of(inputs))
        most = np.prod(size_of(inputs))
        try:
            return {name: _values(name, answer.outputs[name], most) for name in outputs if name in answer.outputs}
        except (ValueError, TypeError, KeyError, OverflowError) as error:  # make_ndarray has many ways to fail
            raise ServingError(f"{self._url}: expected an answer as {signature} gives it: {first_line(error)}")

    def signatures(self, deadline):
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self._model_name
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        self._request("GetModelMetadata", request, answer, deadline, (1, 1))
        signatures = get_model_metadata_pb2.SignatureDefMap()
        try:
            answer.metadata["signature_def"].Unpack(signatures)
        except message.DecodeError:
            raise ServingError(f"{self._url}: expected the metadata of a model, with signature_def; found none")
        return list(signatures.signature_def)

    def _request(self, method, request, answer, deadline, size):
        """Reads the answer to a request into a message; `size` is that of the request, see `answers.size_of`."""
        codes, most = grpc.StatusCode, most_bytes(size, self._max_answer_mb)
        # As bytes: what is made of an answer takes up to twenty times as much memory, so its length comes first.
        send = self._channel.unary_unary(_SERVICE + method, type(request).SerializeToString)
        try:
            content = send(request, timeout=max(deadline - time.monotonic(), 0))
        except grpc.RpcError as error:
            code = error.code()
            said = f"{self._url}: model {self._model_name}: {code.name}: {shorten(first_line(error.details()), 120)}"
            if code == codes.DEADLINE_EXCEEDED:
                raise Retriable(f"{self._url}: no answer in {self._timeout:g} seconds", timed_out=True)
            raise Retriable(said) if code == codes.UNAVAILABLE else ServingError(said)
        if len(content) > most:
            raise too_much(self._url, most, self._max_answer_mb)
        try:
            answer.ParseFromString(content)
        except message.DecodeError:
            raise ServingError(f"{self._url}: expected an answer of TF Serving; found {content[:40]!r}")


def _values(name, tensor, most):
    """A tensor's values as nested lists; ValueError where it says to have more than `most`.

    Of a tensor with one value and a large shape, make_ndarray would make a large array.
    """
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    size = 1
    for length in shape:
        size *= length
    if tensor.tensor_shape.unknown_rank or min(shape, default=0) < 0 or size > most:
        raise ValueError(f"{name} of the shape {shown_list(shape)}; expected at most {most} values")
    return _with_texts(tf.make_ndarray(tensor).tolist())


def _with_texts(values):
    """Nested lists with str in place of bytes; ValueError where these are not UTF-8."""
    if isinstance(values, list):
        return list(map(_with_texts, values))
    return values.decode("utf-8") if isinstance(values, bytes) else values
