"""Warm-up requests: TF Serving runs them through a model it has loaded, so that no caller waits for the first one.

They are in `assets.extra/tf_serving_warmup_requests`, a TFRecord file of PredictionLog protos. The package
tensorflow-serving-api has these messages, but an export should not need it. Only six fields are written, so this
module writes them in protobuf's wire format; the tensors in them are TensorFlow's own TensorProto.
"""

import os

import tensorflow.compat.v1 as tf

from bert.data.example_bytes import bytes_field
from bert.system.files import make_dir

FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")

# Field numbers of tensorflow_serving/apis: prediction_log.proto, predict.proto, model.proto.
PREDICTION_LOG_PREDICT_LOG = 6
PREDICT_LOG_REQUEST = 1
PREDICT_REQUEST_MODEL_SPEC, PREDICT_REQUEST_INPUTS = 1, 2
MODEL_SPEC_SIGNATURE_NAME = 3
MAP_KEY, MAP_VALUE = 1, 2


def write(directory, requests):
    """Writes the requests beside a SavedModel.

    Args:
      directory: of the SavedModel.
      requests: (signature name, dict from input to numpy array) for each, at most 1,000.
    """
    path = os.path.join(directory, FILE)
    make_dir(os.path.dirname(path))
    with tf.python_io.TFRecordWriter(path) as writer:
        for signature_name, inputs in requests:
            writer.write(prediction_log(signature_name, inputs))


def prediction_log(signature_name, inputs):
    """A serialized PredictionLog with a PredictRequest. It names no model: it is stored in the one it is for."""
    model_spec = bytes_field(MODEL_SPEC_SIGNATURE_NAME, signature_name.encode("utf-8"))
    request = bytes_field(PREDICT_REQUEST_MODEL_SPEC, model_spec)
    for name, value in sorted(inputs.items()):
        entry = bytes_field(MAP_KEY, name.encode("utf-8"))
        entry += bytes_field(MAP_VALUE, tf.make_tensor_proto(value).SerializeToString())
        request += bytes_field(PREDICT_REQUEST_INPUTS, entry)
    return bytes_field(PREDICTION_LOG_PREDICT_LOG, bytes_field(PREDICT_LOG_REQUEST, request))
