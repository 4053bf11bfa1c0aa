"""Exports: where they are put. What is in them is tested with the programs that export."""

import os

import pytest
import tensorflow.compat.v1 as tf

from bert.runtime import saved_model


@pytest.mark.one_tensorflow
def test_of_two_exports_in_the_same_second_the_later_takes_the_next_number(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_model.time, "time", lambda: 1000.5)
    (tmp_path / "vocab.txt").write_text("a")
    exports = tmp_path / "exports"

    def signatures(session):
        x = tf.placeholder(tf.float32, [None])
        return {"serving_default": tf.saved_model.predict_signature_def({"x": x}, {"y": x * 2.0})}

    def export(meanwhile=None):
        return saved_model.write_saved_model(
            str(exports), signatures, str(tmp_path / "vocab.txt"), {}, lambda directory: meanwhile and meanwhile()
        )

    def export_by_another_process():
        with monkeypatch.context() as patched:
            patched.setattr(os, "getpid", lambda: 1)
            assert export() == str(exports / "1000")

    assert export(export_by_another_process) == str(exports / "1001")
    assert export() == str(exports / "1002")
    assert sorted(os.listdir(str(exports))) == ["1000", "1001", "1002"]
    for number in (1000, 1001):
        assert (exports / str(number) / "saved_model.pb").exists()
        assert (exports / str(number) / "assets" / "vocab.txt").read_text() == "a"
