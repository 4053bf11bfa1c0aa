"""Warm-up requests: read by protobuf itself, and answered by the model they lie beside."""

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import tensor_pb2

from tests import serving
from train.serving import warmup


def message(descriptor, name, *fields):
    """Adds a message; each field is (name, number, type or type name, repeated)."""
    added = descriptor.add(name=name)
    for field, number, kind, repeated in fields:
        one = added.field.add(name=field, number=number, label=3 if repeated else 1)
        if kind == "string":
            one.type = one.TYPE_STRING
        else:
            one.type, one.type_name = one.TYPE_MESSAGE, kind
    return added


def add_file(pool, file):
    """Adds a FileDescriptor to a pool, after those that it needs."""
    for needed in file.dependencies:
        add_file(pool, needed)
    copied = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(copied)
    pool.Add(copied)


@pytest.fixture(scope="module")
def prediction_log():
    """The class PredictionLog, made of the part of TF Serving's .proto files that matters here.

    In a pool of its own: in the default one, old releases of protobuf would make new classes for TensorFlow's messages,
    which TensorFlow then does not know.
    """
    file = descriptor_pb2.FileDescriptorProto(name="warmup_test.proto", package="test", syntax="proto3")
    file.dependency.append("tensorflow/core/framework/tensor.proto")
    message(file.message_type, "ModelSpec", ("name", 1, "string", False), ("signature_name", 3, "string", False))
    request = message(
        file.message_type,
        "PredictRequest",
        ("model_spec", 1, ".test.ModelSpec", False),
        ("inputs", 2, ".test.PredictRequest.InputsEntry", True),
    )
    entry = message(
        request.nested_type, "InputsEntry", ("key", 1, "string", False), ("value", 2, ".tensorflow.TensorProto", False)
    )
    entry.options.map_entry = True
    message(file.message_type, "PredictLog", ("request", 1, ".test.PredictRequest", False))
    message(file.message_type, "PredictionLog", ("predict_log", 6, ".test.PredictLog", False))
    pool = descriptor_pool.DescriptorPool()
    add_file(pool, tensor_pb2.DESCRIPTOR)
    pool.Add(file)
    found = pool.FindMessageTypeByName("test.PredictionLog")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(found)
    return message_factory.MessageFactory(pool).GetPrototype(found)


INPUTS = {
    "ids": np.arange(1000, dtype=np.int32).reshape([2, 500]),  # more bytes than one of a length holds
    "text": np.array(["北京".encode(), b""], object),
}


def check(log):
    request = log.predict_log.request
    assert request.model_spec.signature_name == "serving_text"
    assert sorted(request.inputs) == ["ids", "text"]
    for name, value in INPUTS.items():
        found = tf.make_ndarray(request.inputs[name])
        assert found.dtype == value.dtype
        np.testing.assert_array_equal(found, value)


def test_protobuf_reads_it(prediction_log):
    written = warmup.prediction_log("serving_text", INPUTS)
    log = prediction_log.FromString(written)
    check(log)
    assert len(log.SerializeToString()) == len(written)  # nothing in it that is not known


def test_tensorflow_serving_reads_it():
    log_pb2 = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2", reason="tensorflow-serving-api is not installed"
    )
    log = log_pb2.PredictionLog.FromString(warmup.prediction_log("serving_text", INPUTS))
    check(log)
    expected = log_pb2.PredictionLog()
    expected.predict_log.request.model_spec.signature_name = "serving_text"
    for name, value in INPUTS.items():
        expected.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    assert log == expected


@pytest.mark.one_tensorflow  # what is asked follows from the settings, and its bytes are read above
def test_the_model_answers_each(prediction_log, tmp_path):
    exported = serving.make_export(tmp_path, max_seq_length=24, crf_only=True)
    assert os.listdir(os.path.join(exported, "assets.extra")) == ["tf_serving_warmup_requests"]
    model = serving.Model(exported)
    asked = set()
    for record in tf.python_io.tf_record_iterator(os.path.join(exported, warmup.FILE)):
        request = prediction_log.FromString(record).predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        signature = request.model_spec.signature_name
        assert set(inputs) == set(model.signatures[signature].inputs)
        assert {len(value) for value in inputs.values()} == {1}  # what a server that batches requires
        answer = model(signature, inputs)
        if signature == "serving_text":
            assert not answer["too_long"].any()
            asked.add((signature, answer["word_count"][0] + 2))
        else:
            asked.add((signature, inputs["input_ids"].shape[1]))
    model.close()
    assert asked == {(signature, length) for signature in model.signatures for length in (16, 24)}
