"""In every program a path in a store that is unknown or mistyped is one line, before anything else is done."""

import pytest

from bert import convert_checkpoint, create_pretraining_data
from bert.classification.flags import parse_args as parse_classifier
from bert.pretraining.flags import parse_args as parse_pretraining
from bert.runtime.vector_flags import parse_features_flags, parse_sentence_flags
from bert.squad.flags import parse_args as parse_squad
from bert.system.errors import UserError, fit_message, run_program
from tests import stores  # noqa: F401  these tests are of TensorFlow
from train import check_data, conlleval, predict, predict_beam, serving_client, sweep
from train.train_helper import get_args_parser

SHARED = ["vocab_file", "bert_config_file", "init_checkpoint"]
# The parser of each program, what it needs beside, and flags that are paths.
PROGRAMS = {
    "run.py": (get_args_parser, [], ["data_dir", "output_dir", "bert_dir", "label_list", *SHARED]),
    "run_classifier": (parse_classifier, [], ["data_dir", "output_dir", *SHARED]),
    "run_squad": (parse_squad, [], ["train_file", "predict_file", "output_dir", *SHARED]),
    "run_pretraining": (parse_pretraining, [], ["input_file", "output_dir", "bert_config_file", "init_checkpoint"]),
    "create_pretraining_data": (
        create_pretraining_data.parse_flags,
        [],
        ["input_file", "output_file", "vocab_file"],
    ),
    "extract_features": (parse_features_flags, [], ["input_file", "output_file", *SHARED]),
    "sentence2vec": (parse_sentence_flags, [], ["config", "input_file", "output_file", *SHARED]),
    "convert_checkpoint": (convert_checkpoint.parse_flags, [], ["input_dir", "output_dir"]),
    "predict": (predict.parse_flags, ["-model_dir", "m"], ["model_dir", "output", "vocab_file"]),
    "predict_beam": (predict_beam.parse_flags, ["-input_files=a", "-output=b"], ["model_dir", "vocab_file"]),
    "serving_client": (serving_client.parse_flags, ["-url=http://h:1", "-model_name=m"], ["export_dir"]),
    "check_data": (check_data.parse_flags, ["-data_dir=a"], ["data_dir", "bert_dir"]),
    "sweep": (sweep.parse_flags, ["-data_dir=a", "-output_dir=b"], ["data_dir", "output_dir"]),
}


@pytest.mark.parametrize("program, flag", [(name, flag) for name in PROGRAMS for flag in PROGRAMS[name][2]])
def test_a_path_that_cannot_be(program, flag, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parse, needed, _ = PROGRAMS[program]
    for path, expected in (("foo://bucket/a", "no file system foo://"), ("gs:/typo/a", "expected gs://typo/a")):
        with pytest.raises(SystemExit) as caught:
            run_program(lambda path=path: parse([*needed, f"-{flag}", path]))
        assert caught.value.code == 2
        written = capsys.readouterr().err
        assert written.count("\n") == 1 and expected in written and path in written, written
        assert len(written) <= len("error: \n") + 300
    assert list(tmp_path.iterdir()) == []


def test_files_to_tag():
    with pytest.raises(UserError, match="-files gs:/typo: expected gs://typo"):
        predict.parse_flags(["-model_dir", "m", "gs:/typo"])


def test_addresses_and_texts_are_no_paths():
    args = serving_client.parse_flags(["-url", "foo://h:1", "-model_name=m", "https://example.org is a page"])
    assert args.url == "foo://h:1" and args.text == ["https://example.org is a page"]
    assert get_args_parser(["-tpu_name", "grpc://10.0.0.1:8470"]).tpu_name == "grpc://10.0.0.1:8470"
    sweep.parse_flags(["-data_dir=a", "-output_dir=b", "-tpu_name", "grpc://10.0.0.1:8470"])
    predict_beam.parse_flags(["-model_dir=m", "-input_files=s3://bucket/a", "-output=foo://b"])


@pytest.mark.parametrize("path", ["foo://bucket/a", "gs:/typo/a"])
def test_conlleval(path):
    with pytest.raises(UserError) as caught:
        conlleval.return_report(path)
    assert str(caught.value).startswith(f"{path}: cannot be read: ") and "\n" not in fit_message(caught.value)
