"""Which files -clean may remove, and which state of a run is none."""

import json

import pytest

from bert.system.errors import UserError
from train import run_dir

OURS = """run.json label2id.json label_list.pkl train.tf_record train.tf_record.json predict_score.txt checkpoint
model.ckpt-12.index model.ckpt-12.data-00000-of-00001 model.ckpt-12.meta model.ckpt.index best/checkpoint
best/model.ckpt-3.index events.out.tfevents.17.host eval/events.out.tfevents.17.host export/1234/saved_model.pb
export/1234/assets/vocab.txt export/1234/variables/variables.index export/temp-1234-assets/vocab.txt
export/1234.tmp-7/saved_model.pb export/1234.tmp-7-assets/vocab.txt
run.json.tmp-77 best/model.ckpt-3.index.tmp-8 model.ckpt-5.data-00000-of-00001.tempstate123
model.ckpt.tmp-77.index""".split()
NOT_OURS = """graph.pbtxt train.txt vocab.txt bert_config.json bert_model.ckpt.index notes.txt model.ckpt-12.index.bak
mymodel.ckpt-1.index best/notes.txt export/readme export/1234/notes.txt export/mine/saved_model.pb
sub/run.json label_test.txt~ run.json5
bert/model.ckpt-3.index""".split()


@pytest.mark.parametrize("path", OURS)
def test_ours(path):
    assert run_dir.OURS.match(path)


@pytest.mark.parametrize("path", NOT_OURS)
def test_not_ours(path):
    assert not run_dir.OURS.match(path)


SCORES = {"step": 4, "loss": 0.5, "accuracy": 0.9, "precision": 0.5, "recall": 1, "f1": 0.6}
STATE = {
    "model": {"scheme": "BIO"}, "training": {"columns": None}, "finished": False, "evaluations": [SCORES],
    "best": SCORES, "foreign": ["best/mine"], "copied": ["vocab.txt"],
}  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": None}, {"model": []}, {"training": "x"}, {"finished": 1}, {"evaluations": {}}, {"evaluations": [4]},
        {"evaluations": [{}]}, {"evaluations": [dict(SCORES, step="4")]}, {"evaluations": [dict(SCORES, step=-1)]},
        {"evaluations": [dict(SCORES, step=True)]}, {"evaluations": [dict(SCORES, f1=None)]}, {"best": 5},
        {"best": dict(SCORES, loss="0.5")}, {"best": {}}, {"foreign": [1]}, {"foreign": None},
        {"copied": ["thesis.txt"]}, {"copied": [["vocab.txt"]]}, {"copied": None},
        {"training": {"columns": 5}}, {"training": {"comment": ["#"]}},
        {"training": {"init_checkpoint": {}}}, {"model": {"spelling": {"A": 1}}}, {"model": {"spelling": ["A"]}},
    ],
)  # fmt: skip
def test_a_state_that_no_run_wrote(wrong, tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(STATE))
    assert run_dir.read_state(str(tmp_path)) == STATE
    path.write_text(json.dumps(dict(STATE, **wrong)))
    with pytest.raises(UserError, match=r"run.json: damaged \(.*\); expected the state of a run") as raised:
        run_dir.read_state(str(tmp_path))
    assert len(str(raised.value)) < 300 + len(str(tmp_path))
