"""Which files -clean may remove."""

import pytest

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
