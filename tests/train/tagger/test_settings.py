"""TaggerSettings: there and back through JSON, from the flags, and what no run writes refused by name."""

import json
import subprocess
import sys

import pytest

from bert.modeling import BertConfig
from bert.system.errors import UserError
from tests.paths import REPOSITORY
from train.data import labels
from train.tagger.settings import EARLIER, MODEL_FLAGS, TaggerSettings
from train.train_helper import get_args_parser

LABELS = ["O", "B-A", "I-A", "X", "[CLS]", "[SEP]"]
# As runs of earlier versions wrote it: "model" of run.json, and "constrain" of its "training".
VALUES = {
    "cell": "gru", "lstm_size": 8, "num_layers": 2, "crf_only": False, "subword_labels": "first", "max_seq_length": 16,
    "do_lower_case": False, "labels": LABELS, "scheme": "BIO", "bert_config": BertConfig(30).to_dict(),
    "constrain": True,
}  # fmt: skip


@pytest.mark.parametrize("changed", [{}, {"crf_only": True}, {"scheme": None, "constrain": False}])
def test_there_and_back(changed):
    values = dict(VALUES, **changed)
    settings = TaggerSettings.from_json(dict(values, vocab="abc", clip=1.0), "run.json")
    assert settings.to_json() == json.loads(json.dumps(settings.to_json())) == dict(values, **EARLIER)
    assert list(settings.to_json()) == list(VALUES) + list(EARLIER)
    assert TaggerSettings.from_json(settings.to_json(), "run.json") == settings


def test_of_flags_and_from_json_are_the_same():
    flags = ["-cell", "gru", "-lstm_size", "8", "-num_layers", "2", "-subword_labels", "first", "-max_seq_length", "16"]
    args = get_args_parser(flags + ["-do_lower_case=false"])
    settings = TaggerSettings.of_flags(args, tuple(LABELS), "BIO", VALUES["bert_config"])
    assert settings == TaggerSettings.from_json(VALUES, "run.json")
    assert {name: settings.to_json()[name] for name in MODEL_FLAGS} == {
        name: getattr(args, name) for name in MODEL_FLAGS
    }


def test_what_follows_from_them():
    settings = TaggerSettings.from_json(VALUES, "run.json")
    assert settings.num_labels == 7 and settings.label_ids == labels.label_ids(LABELS) and settings.head == "blstm_crf"
    assert settings.required_scheme == "BIO"
    expected = labels.constraint(LABELS, "BIO")
    assert all((one == other).all() for one, other in zip(settings.constraint[:4], expected[:4]))
    free = settings._replace(constrain=False)
    assert free.constraint is None and free.required_scheme is None and free.scheme == "BIO"


@pytest.mark.parametrize("name", sorted(VALUES))
def test_a_setting_that_is_missing(name):
    values = {key: value for key, value in VALUES.items() if key != name}
    with pytest.raises(UserError, match=f"^run.json: expected the settings of a run; not found: '{name}'$"):
        TaggerSettings.from_json(values, "run.json")


@pytest.mark.parametrize(
    "name,wrong,expected",
    [
        ("cell", ["rnn", None, ["lstm"]], "lstm or gru"),
        ("lstm_size", [0, -1, 1.5, "8", True, None, 1 << 40], "1 to 65536"),
        ("num_layers", [0, True, None, 257], "1 to 256"),
        ("crf_only", [1, None, "false"], "true or false"),
        ("subword_labels", ["X", None], "x or first"),
        ("word_units", ["unit", None], "text or words"),
        ("splitter", ["edges", None, 1, {"inner": "-"}], "marks, characters or the punctuation marks that join words"),
        ("max_seq_length", [2, 513, 16.0, "16", None], "3 to 512"),
        ("do_lower_case", [1, None], "true or false"),
        ("constrain", [0, None], "true or false"),
        ("scheme", ["IOB3", "", ["BIO"]], "null or one of BIO, BIOES, BILOU, BMES, IO, IOB1, IOE2, IOE1"),
        ("labels", [None, "O", [1], {"O": 1}, []], "a list of names"),
        ("bert_config", [None, []], "the sizes of an encoder"),
    ],
)
def test_a_value_that_no_run_writes(name, wrong, expected):
    for value in wrong:
        with pytest.raises(UserError) as caught:
            TaggerSettings.from_json(dict(VALUES, **{name: value}), "run.json")
        assert str(caught.value) == f"run.json: {name} {value}; expected {expected}"


@pytest.mark.parametrize(
    "wrong, expected",
    [
        ({"bert_config": {}}, "bert_config: vocab_size is None; expected a whole number of at least 1"),
        (
            {"bert_config": {"vocab_size": 9, "max_position_embeddings": "5"}},
            "max_position_embeddings is '5'; expected",
        ),
        ({"labels": LABELS + ["O"]}, "the label 'O' is there twice"),
        ({"labels": LABELS + ["B-\ud800"]}, "a label that cannot be written in UTF-8; expected a list of names"),
        ({"labels": LABELS[:4]}, r"\[CLS\], \[SEP\] not in labels; expected them where constrain is true"),
    ],
)
def test_values_that_do_not_fit_each_other(wrong, expected):
    with pytest.raises(UserError, match="^run.json: .*" + expected):
        TaggerSettings.from_json(dict(VALUES, **wrong), "run.json")


@pytest.mark.parametrize("values", [None, [], "{}"])
def test_no_settings_at_all(values):
    with pytest.raises(UserError, match="tagger.json: expected the settings of a run; found "):
        TaggerSettings.from_json(values, "tagger.json")


def test_tensorflow_is_not_needed():
    program = "import sys, train.tagger.settings; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.call([sys.executable, "-c", program], cwd=REPOSITORY) == 0
