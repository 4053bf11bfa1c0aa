"""What tests of serving share: the export of a small model, and a server that speaks TF Serving's REST format."""

import http.server
import json
import threading
import time

import numpy as np
import tensorflow.compat.v1 as tf

from bert.modeling import BertConfig
from tests.small_task import PIECES
from train.models import build_tagger
from train.serving import saved_model
from train.tagger.settings import TaggerSettings

LABELS = ["O", "B-LOC", "B-PER", "I-LOC", "I-PER", "X", "[CLS]", "[SEP]"]
MAX_SEQ_LENGTH = 16
# What is of interest to a tagger of text: nothing, words of nothing, words of many pieces, texts that become windows.
TEXTS = [
    "Ann Bob met the man in London.",
    "",
    " \u200b\n",
    "unaffable\u0301 \u0301 Ann\u200b北\u0301京 caf\u00e9 \u2260\r\n",
    "我在北京 saw Bob\u0301 \u0301 \u200bin Paris, 北京。 " * 9,
    "\U0001f468\u200d\U0001f469 \x00 Ann\ud800 London \ufb01",
    "x" * 300 + " Ann the man yesterday" * 30,
    "unaffable " * 5 + "London",
]


def make_export(directory, **changed):
    """Writes an export of a model of random weights, large ones so that its tags are of all kinds; returns its path.

    Args:
      directory: pathlib.Path of an empty directory.
      changed: settings other than the usual ones, under their keys in JSON.
    """
    vocab_file = str(directory / "vocab.txt")
    (directory / "vocab.txt").write_bytes(("\n".join(PIECES) + "\n").encode("utf-8"))
    config = BertConfig(len(PIECES), 16, 2, 2, 32, max_position_embeddings=32, type_vocab_size=2, initializer_range=0.9)
    values = dict(
        {"cell": "lstm", "lstm_size": 8, "num_layers": 1, "crf_only": False, "subword_labels": "x"},
        max_seq_length=MAX_SEQ_LENGTH, do_lower_case=True, scheme="BIO", labels=LABELS, constrain=True,
        bert_config=config.to_dict(),
    )  # fmt: skip
    settings = TaggerSettings.from_json(dict(values, **changed), "the test")
    prefix = str(directory / "model.ckpt")
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(2)
        ids = tf.zeros([1, 4], tf.int32)
        features = {"input_ids": ids, "input_mask": ids + 1, "segment_ids": ids, "word_start": ids + 1}
        build_tagger(settings, features, is_training=False)
        session.run(tf.global_variables_initializer())
        head = [variable for variable in tf.global_variables() if not variable.name.startswith("bert/")]
        session.run([variable.assign(variable * 4.0) for variable in head])
        tf.train.Saver().save(session, prefix)
    return saved_model.export_saved_model(str(directory / "export"), prefix, settings, vocab_file)


def check_same(found, expected):
    """Tokens of texts, or entities of texts: the same, with scores as close as sums taken in another order are."""
    assert [[item[:4] for item in row] for row in found] == [[item[:4] for item in row] for row in expected]
    for one, other in zip(found, expected):
        np.testing.assert_allclose([item.score for item in one], [item.score for item in other], atol=1e-4)


class Model:
    """An export's signatures as functions from arrays to arrays."""

    def __init__(self, path):
        self._session = tf.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            loaded = tf.saved_model.loader.load(self._session, ["serve"], path)
        self.signatures = loaded.signature_def

    def __call__(self, name, inputs):
        signature = self.signatures[name]
        fed = {signature.inputs[key].name: value for key, value in inputs.items()}
        return self._session.run({key: info.name for key, info in signature.outputs.items()}, fed)

    def close(self):
        self._session.close()


class RestServer:
    """Answers on 127.0.0.1 as TF Serving does, and badly where a test says so.

    Attributes:
      faults: what to do instead with the next requests: a function from the handler each; then all is well.
      paths: of the requests so far.
    """

    def __init__(self, model, name="ner"):
        self.faults, self.paths = [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer._answer(self, model, name, None)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer._answer(self, model, name, json.loads(body.decode("utf-8")))

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler, model, name, content):
        self.paths.append(handler.path)
        if self.faults:
            self.faults.pop(0)(handler)
        elif not handler.path.startswith(f"/v1/models/{name}") or handler.path[11 + len(name)] not in ":/":
            asked = handler.path[11:].split(":")[0].split("/")[0]
            refuse(handler, 404, f"Servable not found for request: Latest({asked})")
        elif handler.path.endswith("/metadata"):
            signatures = {key: {"inputs": {}, "outputs": {}, "method_name": ""} for key in model.signatures}
            send(handler, 200, {"metadata": {"signature_def": {"signature_def": signatures}}})
        elif content["signature_name"] not in model.signatures:
            refuse(handler, 400, 'Serving signature key "{}" not found.'.format(content["signature_name"]))
        else:
            inputs = {key: np.array(value) for key, value in content["inputs"].items()}
            if "text" in inputs:
                inputs["text"] = np.array([text.encode("utf-8") for text in content["inputs"]["text"]], object)
            outputs = model(content["signature_name"], inputs)
            send(handler, 200, {"outputs": {key: as_json(value) for key, value in outputs.items()}})


def as_json(array):
    """Nested lists; TF Serving writes bytes as a JSON string, and a float in as few digits as tell it from others."""
    if array.dtype == object:
        return [as_json(row) if isinstance(row, np.ndarray) else row.decode("utf-8") for row in array]
    return array.tolist()


def send(handler, status, content):
    body = json.dumps(content).encode("utf-8") if not isinstance(content, bytes) else content
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def refuse(handler, status, message):
    send(handler, status, {"error": message})


def hang(handler):
    """No answer while anybody waits for one."""
    time.sleep(1.0)
    handler.close_connection = True


def hang_up(handler):
    handler.close_connection = True
