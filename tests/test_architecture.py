"""The order in which folders may import each other: what stands further left may be imported, never the reverse.

A room is a folder of bert/ or train/, or a file at their top. The rooms of one step do not know each other.
"""

import ast
import os

import pytest

from tests.paths import REPOSITORY

STAIRS = {
    "bert": [
        "system",
        "data encoder tokenization",
        "modeling optimization",
        "runtime",
        "pretraining squad classification training",
        "huggingface",
        "sentence2veclib",
        "create_pretraining_data run_pretraining run_classifier run_squad extract_features sentence2vec "
        "convert_checkpoint launch",
    ],
    "train": [
        "chunks tf_metrics run_dir pages",
        "conlleval mymetrics",
        "data",
        "train_helper",
        "tagger report sweeping",
        "lstm_crf_layer",
        "models",
        "inference",
        "serving finetuning",
        "predictor bert_lstm_ner",
        "bert_lstm_ner_cg_estimator bert_lstm_ner_cg_variable",
        "bulk",
        "predict predict_beam serving_client check_data sweep",
        "commands",
    ],
}
STEP = {
    f"{top}.{room}": i for top, stairs in STAIRS.items() for i, rooms in enumerate(stairs) for room in rooms.split()
}
# Who may use what trains: bert's programs and the tagger's; a trained model at work does without.
TRAINING = {"bert.training", "train.finetuning"}
TRAINERS = {
    "bert.launch",
    "bert.run_pretraining",
    "bert.run_classifier",
    "bert.run_squad",
    "train.bert_lstm_ner",
    "train.bert_lstm_ner_cg_estimator",
    "train.bert_lstm_ner_cg_variable",
} | TRAINING
WITHOUT_TENSORFLOW = (
    "bert/system/ bert/data/lengths.py bert/data/shards.py bert/data/example_bytes.py bert/runtime/flags.py "
    "bert/runtime/vector_flags.py bert/classification/flags.py bert/squad/flags.py bert/pretraining/flags.py "
    "train/chunks.py train/conlleval.py "
    "train/data/annotated.py train/data/columns.py train/data/comments.py train/data/conll.py train/data/corpus.py "
    "train/data/documents.py train/data/labels.py train/data/layout.py train/data/recognition.py "
    "train/data/schemes.py train/data/spelling.py train/data/survey.py train/data/table.py "
    "train/data/flags.py train/data/splits.py train/data/uniform.py train/data/windows.py train/train_helper.py "
    "train/pages/ train/sweep.py train/sweeping/ "
    "train/tagger/calibration.py train/tagger/settings.py train/inference/text_tagger.py train/inference/entities.py "
    "train/serving/client.py train/serving/signatures.py train/serving/rest.py train/serving/errors.py"
).split()


def files(tops=tuple(STAIRS)):
    for top in tops:
        for folder, _, names in os.walk(os.path.join(REPOSITORY, top)):
            for name in sorted(names):
                if name.endswith(".py"):
                    yield os.path.relpath(os.path.join(folder, name), REPOSITORY).replace(os.sep, "/")


def room_of(module):
    """bert.data of "bert.data.records"; None of what is not ours, and of the package bert itself."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] in STAIRS and len(parts) > 1 else None


def imported(tree):
    """The modules that a file imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def breaches(path, source):
    """What a file does against the order: list of str."""
    room = room_of(path[: -len(".py")].replace("/", "."))
    tree = ast.parse(source)
    if path.endswith("__init__.py"):
        code = [node for node in tree.body[1:] if "__version__" not in ast.dump(node)]
        return [f"{path}: code in it"] if code or not ast.get_docstring(tree) else []
    if room not in STEP:
        return [f"{path}: {room} has no place in the order"]
    found = []
    for other in sorted(set(filter(None, map(room_of, imported(tree)))) - {room, "train.__version__"}):
        if other not in STEP:
            found.append(f"{path}: imports {other}, which has no place in the order")
        elif other in TRAINING and room not in TRAINERS:
            found.append(f"{path}: imports {other}, which is for programs that train")
        elif other.split(".")[0] == room.split(".")[0] and STEP[other] >= STEP[room]:
            found.append(f"{path}: imports {other}, which stands beside it or above")
        elif room.startswith("bert.") and other.startswith("train."):
            found.append(f"{path}: imports {other}; bert/ knows nothing of train/")
    at_once = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    if path.startswith(tuple(WITHOUT_TENSORFLOW)) and any(
        name.split(".")[0] == "tensorflow" for node in at_once for name in imported(node)
    ):
        found.append(f"{path}: loads TensorFlow")
    return found


def test_every_import_goes_down_the_stairs():
    found = []
    for path in files():
        with open(os.path.join(REPOSITORY, path), encoding="utf-8") as reader:
            found += breaches(path, reader.read())
    assert found == []


def test_no_file_is_too_long_and_the_tops_are_short():
    for path in files([*STAIRS, "tests", "benchmarks", "data_demo"]):
        with open(os.path.join(REPOSITORY, path), encoding="utf-8") as reader:
            assert len(reader.readlines()) <= 400, path
    for top in STAIRS:
        code = [name for name in os.listdir(os.path.join(REPOSITORY, top)) if name.endswith((".py", ".pl"))]
        assert len(code) <= 22, code


@pytest.mark.parametrize(
    "path, line, expected",
    [
        ("bert/system/files.py", "from bert.data import shards", "beside it or above"),
        ("bert/squad/model.py", "from bert.training import strategies", "for programs that train"),
        ("train/inference/frozen.py", "def f():\n    from train.finetuning.inputs import Inputs", "that train"),
        ("train/data/conll.py", "import train.tagger.crf", "beside it or above"),
        ("bert/runtime/devices.py", "from train import run_dir", "knows nothing of train/"),
        ("bert/helpers.py", "", "no place in the order"),
        ("bert/system/lines.py", "import tensorflow.compat.v1 as tf", "loads TensorFlow"),
        ("bert/data/__init__.py", '"""Data."""\nfrom bert.data import shards', "code in it"),
    ],
)
def test_each_kind_of_breach_is_seen(path, line, expected):
    assert any(expected in breach for breach in breaches(path, line))
