"""Which checkpoint a directory holds, by the names of its files; and what is no checkpoint."""

import re

import pytest

from bert.runtime import checkpoint_files
from bert.system.errors import UserError

DATA, INDEX = ".data-00000-of-00001", ".index"


def whole(prefix):
    return [prefix + INDEX, prefix + DATA]


@pytest.mark.parametrize("prefix", ["bert_model.ckpt", "model.ckpt-1000000", "electra_small", "a.b"])
def test_the_one_checkpoint_is_taken_whatever_its_name(prefix):
    names = [*whole(prefix), "vocab.txt", "checkpoint", "pytorch_model.bin.index.json"]
    assert checkpoint_files.the_one("dir", names) == prefix
    assert checkpoint_files.the_one("dir", names + ["other" + DATA]) == prefix


@pytest.mark.parametrize(
    "left", ["m.ckpt.tmp-12.index", "m.ckpt.index.tempstate12", "m.ckpt.data-00000-of-00001.tmp-3"]
)
def test_what_is_being_written_is_no_checkpoint(left):
    assert checkpoint_files.the_one("dir", [*whole("bert_model.ckpt"), left]) == "bert_model.ckpt"
    assert not checkpoint_files.has_weights([left])


@pytest.mark.parametrize(
    "names,expected",
    [
        ([*whole("b"), *whole("a")], r"several checkpoints in it; expected one of a, b behind its name"),
        ([f"m-{i:02}.index" for i in range(12)], r"several .* m-09 and 2 more"),
        (
            ["a" + DATA, "vocab.txt"],
            r"only a piece of a checkpoint in it, a\.data-00000-of-00001; expected its \.index",
        ),
        (["config.json", "model.safetensors"], r"a directory of Hugging Face, .*python -m bert\.convert_checkpoint"),
        (["tf_model.h5"], r"a directory of Hugging Face, .*python -m bert\.convert_checkpoint"),
        (
            ["model.onnx", "vocab.txt", "a.npz"],
            r"no TensorFlow checkpoint in it, but a\.npz, model\.onnx; expected",
        ),
        (["saved_model.pb", "variables", "vocab.txt"], r"no TensorFlow checkpoint in it, but saved_model\.pb; "),
        (["vocab.txt", "bert_config.json", "README.md", "tokenizer.json"], r"no checkpoint in it"),
    ],
)
def test_none_or_several_are_refused(names, expected):
    with pytest.raises(UserError, match="^dir: " + expected):
        checkpoint_files.the_one("dir", names)
    assert checkpoint_files.has_weights(names) == (expected != "no checkpoint in it")


@pytest.mark.parametrize(
    "name,content,expected",
    [
        ("tagger.pt", b"PK\x03\x04....", "a file of PyTorch, no TensorFlow checkpoint"),
        ("best.bin", b"\x80\x02\x8a\nl", "a file of PyTorch"),
        ("weights.h5", b"\x89HDF\r\n", "weights of Keras"),
        ("pytorch_model.bin", b"", "weights of Hugging Face"),
        ("biobert.tar.gz", b"\x1f\x8b", "a packed archive; expected it unpacked"),
    ],
)
def test_files_of_others_are_called_by_their_name(name, content, expected, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"^{re.escape(str(tmp_path / name))}: {expected}"):
        checkpoint_files.check_no_foreign_file(str(tmp_path / name))


def test_names_on_hugging_face(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("bert-base-cased", "google/electra-base-discriminator", "dmis-lab/biobert-v1.1"):
        with pytest.raises(UserError, match=f"^{name}: no such directory; a model of Hugging Face"):
            checkpoint_files.check_no_foreign_file(name)
    (tmp_path / "google").mkdir()
    for path in ("bert_model.ckpt", "google/bert", "/data/models/bert", "out/model.ckpt-5", "notes.txt"):
        checkpoint_files.check_no_foreign_file(path)


def test_a_prefix_of_which_only_a_piece_is_there(tmp_path):
    (tmp_path / ("model.ckpt-5" + DATA)).write_text("")
    checkpoint_files.check_no_foreign_file(str(tmp_path / "model.ckpt"))
    with pytest.raises(UserError, match=r"model\.ckpt-5: only a piece of a checkpoint, .*; expected .*\.index too"):
        checkpoint_files.check_no_foreign_file(str(tmp_path / "model.ckpt-5"))


def test_a_pointer_of_git_lfs_is_called_so(tmp_path):
    prefix = str(tmp_path / "bert_model.ckpt")
    (tmp_path / "bert_model.ckpt.index").write_bytes(b"\0" * 60)
    checkpoint_files.check_no_pointer(prefix)
    (tmp_path / ("bert_model.ckpt" + DATA)).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(UserError, match=r"bert_model\.ckpt\.data-.*: a pointer of Git LFS; .* git lfs pull"):
        checkpoint_files.check_no_pointer(prefix)
