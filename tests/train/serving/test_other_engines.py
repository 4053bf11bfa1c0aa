"""An export in other engines: ONNX Runtime, by way of tf2onnx, and OpenVINO. Those two tests need the packages.

The others hold what tf2onnx needs of the graph; they run everywhere.
"""

import ast
import glob
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import saved_model_pb2

from bert.modeling import BertConfig
from tests import serving
from tests.paths import REPOSITORY
from tests.small_task import PIECES
from train.serving.signatures import DEFAULT

pytestmark = pytest.mark.one_tensorflow

TEXTS = 500
BATCH = 25
CLS, SEP = PIECES.index("[CLS]"), PIECES.index("[SEP]")
# Where a type has an offset, the slope of the map can be 2, and then rounding errors are twice as large.
MAP = {"entity_slope": 0.8, "entity_offset": 0.1, "entity_offsets": {"PER": 0.5, "LOC": -0.5}}
SETTINGS = {
    "blstm_crf": {},
    "crf": {"head": "crf", "temperature": 1.7, **MAP},
    "softmax": {"head": "softmax"},
    "blstm_softmax": {"head": "blstm_softmax", "cell": "gru", "num_layers": 2},
    "words": {"subword_labels": "first", "temperature": 0.6},
    "unconstrained": {"constrain": False},
}


def of_bodies(graph_def):
    """The names of the operations in the bodies of loops and branches."""
    return {node.name for function in graph_def.library.function for node in function.node_def}


def needed_by(graph_def, outputs):
    """The names of the operations that give these operations' values, they included."""
    nodes = {node.name: node for node in graph_def.node}
    found, waiting = set(), list(outputs)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [each.lstrip("^").split(":")[0] for each in nodes[name].input]
    return found


def test_no_operation_has_the_name_of_one_in_a_loop(exported):
    saved = saved_model_pb2.SavedModel()
    with tf.gfile.GFile(os.path.join(exported, "saved_model.pb"), "rb") as reader:
        saved.ParseFromString(reader.read())
    (model,) = saved.meta_graphs
    outputs = [info.name.split(":")[0] for info in model.signature_def[DEFAULT].outputs.values()]
    both = needed_by(model.graph_def, outputs) & of_bodies(model.graph_def)
    assert not both - {"input_ids", "input_mask", "segment_ids", "word_start"}, sorted(both)


def test_no_loop_counts_downwards():
    """tf2onnx takes no notice of tf.scan's `reverse`."""
    found = []
    for path in glob.glob(os.path.join(REPOSITORY, "train", "**", "*.py"), recursive=True):
        with open(path, encoding="utf-8") as reader:
            calls = [node for node in ast.walk(ast.parse(reader.read())) if isinstance(node, ast.Call)]
        scans = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "scan"]
        found += [path for call in scans if any(keyword.arg == "reverse" for keyword in call.keywords)]
    assert not found


@pytest.fixture(scope="module")
def onnxruntime():
    pytest.importorskip("tf2onnx", reason="tf2onnx is optional: pip install -r train/requirements-engines.txt")
    return pytest.importorskip("onnxruntime", reason="onnxruntime is optional, too")


@pytest.fixture(scope="module")
def openvino():
    return pytest.importorskip("openvino", reason="openvino is optional: pip install -r train/requirements-engines.txt")


@pytest.fixture(scope="module", params=list(SETTINGS))
def export(request, tmp_path_factory):
    """The path of an export. Its weights are smaller than those of other tests, which make rounding errors larger."""
    config = BertConfig(len(PIECES), 16, 2, 2, 32, max_position_embeddings=32, type_vocab_size=2, initializer_range=0.3)
    settings = dict(SETTINGS[request.param], bert_config=config.to_dict())
    return serving.make_export(tmp_path_factory.mktemp("export"), **settings)


def batches():
    """Inputs of `serving_default`, without word_start, of texts of random pieces."""
    rng = np.random.RandomState(3)
    first = SEP + 1
    longest = serving.MAX_SEQ_LENGTH - 2
    texts = [[CLS, *rng.randint(first, len(PIECES), rng.randint(longest + 1)), SEP] for _ in range(TEXTS)]
    for start in range(0, TEXTS, BATCH):
        chosen = texts[start : start + BATCH]
        seq_len = max(map(len, chosen))
        ids = np.array([text + [0] * (seq_len - len(text)) for text in chosen], np.int32)
        yield {"input_ids": ids, "input_mask": (ids > 0).astype(np.int32), "segment_ids": np.zeros_like(ids)}


def check_same(path, run, with_word_start=False):
    """Holds a function from inputs to outputs, dicts by name, against the export in TensorFlow."""
    model, rng = serving.Model(path), np.random.RandomState(4)
    tags = set()
    for inputs in batches():
        if with_word_start:
            inputs["word_start"] = rng.randint(-1, 2, inputs["input_ids"].shape).astype(np.int32)
        expected, found = model(DEFAULT, inputs), run(inputs)
        assert found["labels"].tolist() == [[label.decode() for label in row] for row in expected["labels"].tolist()]
        np.testing.assert_array_equal(found["pred_ids"], expected["pred_ids"])
        for name in ("scores", "entity_scores"):
            np.testing.assert_allclose(found[name], expected[name], atol=1e-5, rtol=0)
        tags.update(expected["pred_ids"].ravel())
    assert len(tags) > 4


@pytest.mark.parametrize("signature", ["serving_without_word_start", DEFAULT])
def test_onnx(onnxruntime, export, signature, tmp_path):
    model = str(tmp_path / "model.onnx")
    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", export, "--tag", "serve"]
    command += ["--signature_def", signature, "--output", model]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    check_same(export, lambda inputs: dict(zip(outputs, session.run(outputs, inputs))), signature == DEFAULT)


def test_openvino(openvino, export):
    # Where a CPU has bfloat16, OpenVINO computes in it unless it is told otherwise.
    model = openvino.Core().compile_model(export, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    check_same(export, model)
