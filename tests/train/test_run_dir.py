"""Which files -clean may remove; what best/ holds."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.runtime import checkpoint
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


def test_the_best_checkpoint_replaces_the_one_before(tmp_path):
    for step in (5, 10):
        for end in (".index", ".data-00000-of-00001", ".meta"):
            (tmp_path / f"model.ckpt-{step}{end}").write_text(f"{step}{end}")
        (tmp_path / "best").mkdir(exist_ok=True)
        (tmp_path / "best" / "mine").write_text("mine")
        run_dir.keep_as_best(str(tmp_path), str(tmp_path / f"model.ckpt-{step}"))
        kept = {path.name: path.read_text() for path in (tmp_path / "best").iterdir()}
        assert set(kept) == {f"model.ckpt-{step}{end}" for end in (".index", ".data-00000-of-00001", ".meta")} | {
            "checkpoint", "mine"
        }  # fmt: skip
        assert kept[f"model.ckpt-{step}.meta"] == f"{step}.meta" and f"model.ckpt-{step}" in kept["checkpoint"]


def test_the_best_checkpoint_does_not_change_when_its_step_is_saved_again(graph, tmp_path):
    """TensorFlow writes into an index that is there already."""
    variable = tf.get_variable("v", initializer=tf.zeros([1000]))
    prefix = str(tmp_path / "model.ckpt-5")
    with tf.Session() as session:
        session.run(variable.initializer)
        saver = tf.train.Saver(sharded=True)
        saver.save(session, str(tmp_path / "model.ckpt"), 5)
        run_dir.keep_as_best(str(tmp_path), prefix)
        variable.load(np.ones(1000), session)
        saver.save(session, str(tmp_path / "model.ckpt"), 5)
    best = checkpoint.latest(str(tmp_path / "best"))
    checkpoint.check_whole(best)
    assert not tf.train.load_variable(best, "v").any() and tf.train.load_variable(prefix, "v").all()
