"""Every reader of files and answers: from what good content it is attacked, and how its result is used.

A reader gets a directory with one damaged file in it, beside good ones. It returns, or raises UserError.
"""

import collections
import json
import os
import pathlib
import re
import shutil
import tempfile
import zipfile
from unittest import mock

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import modeling
from bert.classification import inputs as classification_inputs
from bert.classification import tasks
from bert.data import records
from bert.data.shards import count_by_length
from bert.encoder.config import BertConfig
from bert.huggingface import directory as hf_directory
from bert.huggingface import weights as hf_weights
from bert.huggingface.pytorch_file import read_pytorch
from bert.huggingface.tensor_files import read_safetensors, to_float32
from bert.pretraining import records as pretraining_records
from bert.runtime import release
from bert.sentence2veclib import read_config
from bert.squad import questions
from bert.system.errors import UserError
from bert.tokenization import FullTokenizer
from tests import hf_models
from tests.bert.huggingface.test_pytorch_file import LAYOUTS
from tests.serving import LABELS
from tests.small_task import HARD, PIECES, sentence
from train import check_data, conlleval, run_dir
from train.bulk import loop, resumable, texts
from train.bulk.page import EntitiesPage
from train.data import labels
from train.data import overview as overviews
from train.data.columns import Format
from train.finetuning import changes, schedule
from train.inference.entities import entity_values
from train.report.learning import learning_section, training_losses
from train.serving import answers, client, rest, signatures
from train.sweeping import folds, runs
from train.tagger.calibration import Calibration
from train.tagger.settings import TaggerSettings

# name: of the reader; files: dict from a name to good content, bytes or a JSON value; attacked: the names of those that
# are damaged, None for all; read: function from the directory.
Reader = collections.namedtuple("Reader", "name files attacked read")

TEXT = "Ann Lee lives in Paris."
SIZES = dict(BertConfig(len(PIECES), 16, 2, 2, 32, max_position_embeddings=32, type_vocab_size=2).to_dict())
VOCAB = ("\n".join(PIECES) + "\n").encode("utf-8")
CALIBRATION = {"entity_slope": 0.9, "entity_offset": 0.1, "entity_offsets": {"PER": -0.5}}
SETTINGS = {
    "cell": "lstm", "lstm_size": 8, "num_layers": 1, "crf_only": False, "subword_labels": "x", "max_seq_length": 16,
    "do_lower_case": True, "scheme": "BIO", "labels": LABELS, "constrain": True, "bert_config": SIZES,
    "word_units": "text", "splitter": {"inner": "-", "leading": "", "trailing": ""}, "context": 0, **CALIBRATION,
}  # fmt: skip
SCORES = {"step": 4, "loss": 0.5, "accuracy": 0.9, "precision": 0.5, "recall": 1.0, "f1": 0.6}
STATE = {
    "model": dict(SETTINGS, vocab="abc", spelling={"PER": "B-PER"}), "training": {"columns": None, "clip": 1.0},
    "finished": True, "evaluations": [SCORES, dict(SCORES, step=8)], "best": SCORES, "foreign": [],
    "copied": ["vocab.txt"],
    "calibration": dict(CALIBRATION, checkpoint="model.ckpt-8", temperature=1.5),
}  # fmt: skip


TASK = {"task_name": "tsv", "labels": ["0", "1"], "pair": False}
VECTORS = {"bert_config_file": "bert_config.json", "vocab_file": "vocab.txt", "max_seq_length": 128, "pooling": "mean"}


def data_text():
    rng = np.random.RandomState(0)
    return ("\n".join(sentence(rng, 6) for _ in range(8)) + "\n" + HARD).encode("utf-8")


def read_data(directory):
    corpus, splits, problems = check_data.read_splits(directory, Format())
    found = {split: overviews.overview(of_split, scheme, None, 16) for split, (of_split, scheme) in splits.items()}
    rows, notes = check_data.table_rows(found, 16), list(check_data.find_notes(corpus, found, False))
    check_data.page(directory, list(found), rows, notes, problems).encode("utf-8")


def read_folds(directory):
    with tempfile.TemporaryDirectory() as folder:
        folds.make_folds(directory, os.path.join(folder, "folds"), 2, 1, Format())


def read_result(directory):
    run = runs.Run(None, 1, None, directory, [])
    assert all(found is None or f"{found:.2f}" for found in (runs.test_f1(run), (runs.score(run) or (None,))[0]))


def read_sizes(directory):
    modeling.encoder_shapes(BertConfig.from_json_file(os.path.join(directory, "bert_config.json")))


def read_vocab(directory):
    tokenizer = FullTokenizer(os.path.join(directory, "vocab.txt"))
    tokenizer.convert_tokens_to_ids(tokenizer.tokenize(TEXT + "北京 unaffable"))


def read_run(directory):
    state = run_dir.read_state(directory)
    if state:
        TaggerSettings.from_json(dict(state["training"], **state["model"]), "run.json").to_json()
        learning_section(state["evaluations"], state["best"], training_losses(directory, state["foreign"]))
        prefix = (state.get("calibration") or {}).get("checkpoint", "")
        Calibration.of_run(directory, state, prefix).shown_offsets.encode("utf-8")
        changes.retrained(state, {"learning_rate": 1.0, "init_checkpoint": "x"})
        schedule.Schedule(0, 10, 1, 2, 3).should_stop(state)
        conlleval._of_run(os.path.join(directory, run_dir.TAGGED["dev"]))


def read_export(directory):
    settings = signatures.read_settings(directory)
    assert settings.constraint is None or len(settings.constraint.on_word) == settings.num_labels
    BertConfig.from_dict(settings.bert_config).to_json_string()
    settings.cutting and settings.to_json()


def read_labels(directory):
    labels.label_ids(labels.read_labels(os.path.join(directory, "label2id.json")))
    labels.label_ids(labels.read_label_list(os.path.join(directory, "labels.txt")))


def read_hugging_face(directory):
    config, _ = hf_directory.read_config(directory)
    hf_directory.read_tokenizer(directory, config.vocab_size)
    path, tensors = hf_directory.read_weights(directory)
    hf_weights.to_google(path, tensors, config, False)


def read_weights(name, read):
    def of_directory(directory):
        path = os.path.join(directory, name)
        hf_weights.to_google(path, read(path), BertConfig.from_dict(hf_models.CONFIG), False)

    return of_directory


def read_tensors(directory):
    for tensor in read_pytorch(os.path.join(directory, "model")).values():
        to_float32(tensor)


def read_zip(directory):
    release.unpack(os.path.join(directory, "release.zip"))


def read_records(directory):
    path = os.path.join(directory, "train.tf_record")
    if records.made(path, "test", lambda: [b"record %d" % i for i in range(20)]) != 20:
        raise AssertionError("not all records")


def read_other_records(directory):
    path = os.path.join(directory, "text.tf_record")
    count_by_length(path)
    pretraining_records.count_records([path], 4, 2, 30)


def read_glue(directory):
    for name in ("mrpc", "sst-2", "sts-b", "cola"):
        task = tasks.find_task(name)
        tasks.read_examples(task, task.splits["train"][0]._replace(file=name + ".tsv"), directory)


def read_own_tsv(directory):
    task = tasks.tsv_task_of(directory, False)
    tasks.read_examples(task, task.splits["train"][0], directory)


def read_task(directory):
    classification_inputs.read_task(os.path.join(directory, "classifier.json"), None, False)


def read_squad(directory):
    path = os.path.join(directory, "train.json")
    questions.read_training(path, True)
    questions.read_prediction(path)


def read_scored(directory):
    conlleval.return_report(os.path.join(directory, "label_test.txt"))


def read_vector_config(directory):
    read_config(os.path.join(directory, "sentence2vec.json"))


def read_partial(directory):
    path, types = os.path.join(directory, "out.jsonl"), ["PER"]
    with resumable.ResumableFile(path, {"a": 1}, True, is_progress=lambda value: loop._is_progress(value, 1)) as output:
        writer = EntitiesPage(["a.txt"], "lines", types)
        if output.complete:
            return
        if output.progress and not writer.accepts(output.progress["format"]):
            raise output.damaged()
        writer.state = output.progress and output.progress["format"]
        writer.end()
        output.finish(output.progress)


def read_texts(directory):
    for kind in texts.KINDS:
        list(texts.groups(texts.read([os.path.join(directory, "texts.txt")], kind), kind))


def read_answers(directory):
    """What a server says, after the bounds of HTTP: to a question for the metadata, to a text, to the text's parts."""
    answered = iter(["metadata.json", "answer.json", "parts.json"])

    def answer(*_):
        with open(os.path.join(directory, next(answered)), "rb") as reader:
            return reader.read()

    with mock.patch.object(rest.bounded_http, "post_or_get", answer):
        made = client.ServingClient("127.0.0.1:1", "ner", timeout=1)
        for entity in made(TEXT):
            json.dumps(entity_values(entity), ensure_ascii=False).encode("utf-8")


def read_window_answers(directory):
    with open(os.path.join(directory, "answer.json"), "rb") as reader:
        content = reader.read()
    with mock.patch.object(rest.bounded_http, "post_or_get", lambda *_: content):
        found = rest.Rest("127.0.0.1:1", "ner", 1, 1).predict("serving_default", {"input_ids": np.zeros([2, 3])}, (), 0)
    try:
        answers.predictions(found, 2, 3, 8)
    except ValueError as error:
        raise UserError(str(error))


def answer_of(words, **changed):
    """A server's answer for the first words of TEXT, as a JSON value."""
    spans = [match.span() for match in re.finditer(r"\w+|\.", TEXT)][:words]
    outputs = {
        "starts": [[start for start, _ in spans]], "ends": [[end for _, end in spans]],
        "tags": [["B-PER", "I-PER", "O", "O", "B-LOC", "O"][:words]], "scores": [[0.5] * words],
        "pieces": [[1] * words], "word_count": [words], "too_long": [False], "max_pieces": [14], "scheme": ["BIO"],
    }  # fmt: skip
    return {"outputs": dict(outputs, **changed)}


def glue_file(columns, label):
    """A TSV file of so many columns, the label in one of them."""
    rows = [["a b"] * columns for _ in range(5)]
    for i, row in enumerate(rows):
        row[label] = str(i % 2)
    return "".join("\t".join(row) + "\n" for row in rows).encode("utf-8")


def made_files(write):
    """The content of the file that a function writes to a path."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "file"
        write(path)
        return path.read_bytes()


def safetensors_file():
    entries = hf_models.float32_entries(hf_models.random_weights())
    return made_files(lambda path: hf_models.write_safetensors(path, entries))


def pytorch_file():
    with pytest.MonkeyPatch.context() as patch:
        return made_files(lambda path: hf_models.write_pytorch(path, hf_models.random_weights(), patch))


def zip_file():
    def write(path):
        with zipfile.ZipFile(str(path), "w", zipfile.ZIP_DEFLATED) as archive:
            for name in (
                "bert_model.ckpt.index",
                "bert_model.ckpt.data-00000-of-00001",
                "vocab.txt",
                "bert_config.json",
            ):
                archive.writestr("uncased/" + name, name * 20)

    return made_files(write)


def record_file(contents):
    def write(path):
        with tf.io.TFRecordWriter(str(path)) as writer:
            for content in contents:
                writer.write(content)

    return made_files(write)


def pretraining_file():
    values = {
        "input_ids": [1, 2, 3, 4], "input_mask": [1] * 4, "segment_ids": [0] * 4, "masked_lm_positions": [1, 2],
        "masked_lm_ids": [5, 6], "masked_lm_weights": [1.0, 0.0], "next_sentence_labels": [1],
    }  # fmt: skip
    return record_file([records.make_example(values).SerializeToString()] * 5)


def all_readers():
    """list of Reader."""
    data, rows = data_text(), [b"record %d" % i for i in range(20)]
    recorded = {"train.tf_record": record_file(rows), "train.tf_record.json": {"made_from": "test", "records": 20}}
    annotated = {"text": TEXT, "label": [[0, 7, "PER"], [17, 22, "LOC"]]}
    question = {
        "is_impossible": False,
        "id": "1",
        "question": "who?",
        "answers": [{"text": "Ann Lee", "answer_start": 0}],
    }
    squad = {"data": [{"paragraphs": [{"context": TEXT, "qas": [question, dict(question, id="2")]}]}]}
    hf_config, ids = dict(hf_models.CONFIG), {piece: i for i, piece in enumerate(hf_models.VOCAB[:-1])}
    hf_files = {
        "config.json": hf_config, "vocab.txt": "".join(piece + "\n" for piece in hf_models.VOCAB).encode("utf-8"),
        "tokenizer_config.json": {"do_lower_case": False, "tokenizer_class": "BertTokenizer", "strip_accents": None},
        "tokenizer.json": {
            "normalizer": {"lowercase": True}, "model": {"type": "WordPiece", "vocab": ids},
            "added_tokens": [{"id": len(ids), "content": "word"}],
        },
        "added_tokens.json": {"[MASK]": 11}, "model.safetensors": safetensors_file(),
    }  # fmt: skip
    no_vocab = {name: content for name, content in hf_files.items() if name != "vocab.txt"}
    index = {"weight_map": dict.fromkeys(hf_models.random_weights(), "weights")}
    sharded = dict(hf_files, **{"model.safetensors.index.json": index, "weights": hf_files["model.safetensors"]})
    del sharded["model.safetensors"]
    outputs = answer_of(6)["outputs"]
    metadata = {"metadata": {"signature_def": {"signature_def": {"serving_text": {"inputs": {}}}}}}
    windows = {"outputs": {"pred_ids": [[5, 1, 0], [6, 2, 7]], "scores": [[1.0, 0.2, 0.0], [1, 1, 1.0000004]]}}
    talk = {"metadata.json": metadata, "answer.json": {"outputs": outputs}, "parts.json": answer_of(6)}
    long = answer_of(6, too_long=[True], max_pieces=[8])
    progress = {"position": [0, 1, 2], "texts": 1, "entities": 2}
    progress["format"] = {"texts": 1, "counts": {"PER": 2}, "file": 0}
    state = {"made_from": {"a": 1}, "progress": progress, "bytes": 3, "complete": False}
    export = {
        f"assets/{name}": content
        for name, content in {
            "label2id.json": {label: i for i, label in enumerate(LABELS, 1)}, "bert_config.json": SIZES,
            "tagger.json": {name: SETTINGS[name] for name in SETTINGS if name not in ("labels", "bert_config")},
        }.items()
    }  # fmt: skip
    run = {"run.json": STATE, "label_dev.txt": b"Ann B-PER O\n"}
    result = {"run.json": STATE, "predict_score.txt": b"accuracy:  98.0%; recall:  90.6%; FB1:  89.62\n"}
    glue = {"mrpc.tsv": glue_file(5, 0), "sst-2.tsv": glue_file(2, 1), "sts-b.tsv": glue_file(10, 9)}
    glue["cola.tsv"] = glue_file(4, 1)
    conll = {"train.txt": data, "dev.txt": data}
    scored = "".join(line + (" B-PER\n" if line else "\n") for line in data.decode("utf-8").split("\n")).encode("utf-8")
    return [
        Reader("CoNLL", conll, ["train.txt", "dev.txt"], read_data),
        Reader("annotated", {"train.jsonl": annotated, "dev.txt": data}, ["train.jsonl"], read_data),
        Reader("folds", conll, ["train.txt", "dev.txt"], read_folds),
        Reader("folds, annotated", {"train.jsonl": annotated, "dev.json": [annotated]}, None, read_folds),
        Reader("vocab", {"vocab.txt": VOCAB}, ["vocab.txt"], read_vocab),
        Reader("config", {"bert_config.json": SIZES}, ["bert_config.json"], read_sizes),
        Reader("labels", {"label2id.json": {"O": 1, "X": 2}, "labels.txt": b"O\nB-PER\n"}, None, read_labels),
        Reader("run.json", run, ["run.json"], read_run),
        Reader("result of a run", result, None, read_result),
        Reader("export", export, None, read_export),
        Reader("Hugging Face", hf_files, None, read_hugging_face),
        Reader("Hugging Face tokenizer", no_vocab, ["tokenizer.json", "added_tokens.json"], read_hugging_face),
        Reader("Hugging Face index", sharded, ["model.safetensors.index.json", "config.json"], read_hugging_face),
        Reader("safetensors", {"model": safetensors_file()}, None, read_weights("model", read_safetensors)),
        Reader("PyTorch", {"model": pytorch_file()}, None, read_weights("model", read_pytorch)),
        Reader("PyTorch, zip", {"model": LAYOUTS["zip"]}, None, read_tensors),
        Reader("PyTorch, pickles", {"model": LAYOUTS["pickles"]}, None, read_tensors),
        Reader("zip", {"release.zip": zip_file()}, None, read_zip),
        Reader("TFRecord", recorded, None, read_records),
        Reader("TFRecord of pre-training", {"text.tf_record": pretraining_file()}, None, read_other_records),
        Reader("GLUE", glue, None, read_glue),
        Reader("TSV", {"train.tsv": glue_file(2, 1)}, None, read_own_tsv),
        Reader("classifier.json", {"classifier.json": TASK}, None, read_task),
        Reader("SQuAD", {"train.json": squad}, None, read_squad),
        Reader("conlleval", {"label_test.txt": scored}, None, read_scored),
        Reader("sentence2vec.json", {"sentence2vec.json": VECTORS}, None, read_vector_config),
        Reader("partial output", {"out.jsonl.partial": b"abc", "out.jsonl.partial.json": state}, None, read_partial),
        Reader("texts", {"texts.txt": data}, None, read_texts),
        Reader("answers", talk, None, read_answers),
        Reader("answers of long texts", dict(talk, **{"answer.json": long}), None, read_answers),
        Reader("answers of windows", {"answer.json": windows}, None, read_window_answers),
    ]


def write_files(directory, files):
    """Writes the files of a Reader, bytes as they are and other values in JSON, and nothing else is left there."""
    shutil.rmtree(directory, ignore_errors=True)
    for name, content in files.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as writer:
            writer.write(content if isinstance(content, bytes) else json.dumps(content).encode("ascii"))
