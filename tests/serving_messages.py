"""TF Serving's messages where tensorflow-serving-api is not installed, so that the gRPC client is tested everywhere."""

import functools
import importlib.util
import sys
import types

import pytest
import tensorflow.core.protobuf.meta_graph_pb2  # noqa: F401  messages that those below are made of
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory  # noqa: F401

PACKAGE = "tensorflow.serving"
TENSOR, SIGNATURE, ANY = "tensorflow.TensorProto", "tensorflow.SignatureDef", "google.protobuf.Any"
SPEC = f"{PACKAGE}.ModelSpec"
# For each message its fields: (name, number, type); "*" for repeated strings, "map " before the type of a map's values.
MESSAGES = {
    "ModelSpec": [("name", 1, ""), ("signature_name", 3, "")],
    "PredictRequest": [("model_spec", 1, SPEC), ("inputs", 2, "map " + TENSOR), ("output_filter", 3, "*")],
    "PredictResponse": [("outputs", 1, "map " + TENSOR), ("model_spec", 2, SPEC)],
    "SignatureDefMap": [("signature_def", 1, "map " + SIGNATURE)],
    "GetModelMetadataRequest": [("model_spec", 1, SPEC), ("metadata_field", 2, "*")],
    "GetModelMetadataResponse": [("model_spec", 1, SPEC), ("metadata", 2, "map " + ANY)],
}
APIS = "tensorflow_serving.apis"


def provide(monkeypatch):
    """Lets `import tensorflow_serving.apis.*` of the client's messages succeed until the test's end."""
    if importlib.util.find_spec("tensorflow_serving"):
        return
    if not hasattr(message_factory, "GetMessageClass"):  # old protobuf would make new classes for TensorFlow's messages
        pytest.skip("tensorflow-serving-api is not installed, and this protobuf cannot make its messages")
    apis = types.ModuleType(APIS)
    apis.predict_pb2 = apis.get_model_metadata_pb2 = types.SimpleNamespace(**_made())
    monkeypatch.setitem(sys.modules, APIS.split(".")[0], types.ModuleType(APIS.split(".")[0]))
    monkeypatch.setitem(sys.modules, APIS, apis)
    monkeypatch.delitem(sys.modules, "train.serving.grpc", raising=False)


@functools.lru_cache(maxsize=None)
def _made():
    """dict from name to class of MESSAGES; a process may make them once."""
    file = descriptor_pb2.FileDescriptorProto(name="tests/serving.proto", package=PACKAGE, syntax="proto3")
    file.dependency.extend(["tensorflow/core/protobuf/meta_graph.proto", "tensorflow/core/framework/tensor.proto"])
    file.dependency.append("google/protobuf/any.proto")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields:
            _add_field(message, *field)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES}


def _add_field(message, name, number, kind):
    field = message.field.add(name=name, number=number, label=1, type=9)
    if kind.startswith(("*", "map ")):
        field.label = 3
    if kind.startswith("map "):
        entry = message.nested_type.add(name="".join(part.title() for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "")
        _add_field(entry, "value", 2, kind[4:])
        kind = f"{PACKAGE}.{message.name}.{entry.name}"
    if kind not in ("", "*"):
        field.type, field.type_name = 11, "." + kind
