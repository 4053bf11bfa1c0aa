"""-init_checkpoint as users give it: a prefix, a directory, a release's zip."""

import os
import stat
import zipfile

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert import modeling
from bert.runtime import checkpoint, encoder_files, init_weights, release
from bert.system import filesystem
from bert.system.errors import UserError
from tests import stores

CONFIG = modeling.BertConfig(
    vocab_size=7, hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6,
    max_position_embeddings=8, type_vocab_size=2,
)  # fmt: skip
NAMES = ["bert_config.json", "bert_model.ckpt.data-00000-of-00001", "bert_model.ckpt.index", "vocab.txt"]


@pytest.fixture
def folder(tmp_path):
    """The unpacked release, with a whole checkpoint."""
    path = tmp_path / "unpacked"
    path.mkdir()
    random = np.random.RandomState(0)
    values = {name: random.randn(*shape).astype("f") for name, shape in modeling.encoder_shapes(CONFIG).items()}
    checkpoint.write(str(path / "bert_model.ckpt"), values)
    (path / "bert_config.json").write_text(CONFIG.to_json_string())
    (path / "vocab.txt").write_text("[UNK]\n")
    assert sorted(os.listdir(str(path))) == NAMES
    return path


@pytest.fixture
def make_zip(folder, tmp_path):
    """`make_zip(name, top, **more)`: the path of a zip of the release in the folder `top`, and of more files."""

    def make(name="uncased_L-2_H-128_A-2.zip", top="uncased_L-2_H-128_A-2/", **more):
        path = tmp_path / "downloads" / name
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(str(path), "w", zipfile.ZIP_DEFLATED) as archive:
            if top:
                archive.writestr(top, "")
            for file in folder.iterdir():
                archive.write(str(file), top + file.name)
            for file, content in more.items():
                archive.writestr(file.replace("|", "/"), content)
        return path

    return make


def test_a_zip_in_a_store(make_zip, folder):
    """It is unpacked beside it, there too, and once."""
    path = f"file://{make_zip()}"
    prefix = checkpoint.resolve(path)
    assert prefix == path[: -len(".zip")] + "/bert_model.ckpt" and checkpoint.is_whole(prefix)
    assert stores.files(os.path.dirname(prefix)) == NAMES
    filesystem.remove(f"{os.path.dirname(prefix)}/vocab.txt")
    assert checkpoint.resolve(path) == prefix and stores.files(os.path.dirname(prefix)) == NAMES
    stores.write(f"{os.path.dirname(prefix)}/vocab.txt", b"mine")
    with pytest.raises(UserError, match="vocab.txt: exists with another content"):
        checkpoint.resolve(path)
    with pytest.raises(UserError, match="none.zip: cannot be read: No such file or directory"):
        checkpoint.resolve(os.path.dirname(path) + "/none.zip")


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_prefix_is_itself(folder):
    prefix = str(folder / "bert_model.ckpt")
    assert checkpoint.resolve(prefix) == prefix
    assert checkpoint.resolve(str(folder / "nothing.ckpt")) == str(folder / "nothing.ckpt")
    assert checkpoint.resolve(None) is None and checkpoint.resolve("") is None


@pytest.mark.parametrize("slash", ["", "/", "//"])
def test_a_directory_with_one_checkpoint(slash, folder):
    assert checkpoint.resolve(str(folder) + slash) == str(folder / "bert_model.ckpt")


def test_a_directory_that_a_run_left(evaluate, tmp_path):
    tf.get_variable("w", [1])
    evaluate(tf.no_op())
    saver = tf.train.Saver()
    for step in (5, 10, 7):
        saver.save(evaluate.session, str(tmp_path / "model.ckpt"), global_step=step)
    assert checkpoint.resolve(str(tmp_path)) == str(tmp_path / "model.ckpt-7")  # the newest, as `checkpoint` says
    os.remove(str(tmp_path / "checkpoint"))
    with pytest.raises(UserError, match=r"several checkpoints .* model\.ckpt-10, model\.ckpt-5, model\.ckpt-7 "):
        checkpoint.resolve(str(tmp_path))


def test_a_prefix_that_is_a_directorys_name_too(folder):
    (folder / "bert_model.ckpt").mkdir()
    assert checkpoint.resolve(str(folder / "bert_model.ckpt")) == str(folder / "bert_model.ckpt")


def test_a_directory_without_a_checkpoint(tmp_path):
    with pytest.raises(UserError, match=r"no checkpoint in it; expected files as bert_model\.ckpt\.index"):
        checkpoint.resolve(str(tmp_path))
    (tmp_path / "model-00001-of-00002.safetensors").write_text("")
    for path in (tmp_path, tmp_path / "model.safetensors", tmp_path / "pytorch_model.bin"):
        with pytest.raises(UserError, match=r"Hugging Face, .* python -m bert\.convert_checkpoint"):
            checkpoint.resolve(str(path))


@pytest.mark.parametrize("top", ["uncased_L-2_H-128_A-2/", "", "publish/deep/"])
def test_a_zip_is_unpacked_beside_itself_once(top, folder, make_zip):
    path = make_zip(top=top)
    target = path.parent / "uncased_L-2_H-128_A-2"
    assert checkpoint.resolve(str(path)) == str(target / "bert_model.ckpt")
    assert contents(target) == contents(folder)
    assert sorted(os.listdir(str(path.parent))) == [target.name, path.name]
    before = {file.name: file.stat().st_mtime_ns for file in target.iterdir()}
    inodes = {file.name: file.stat().st_ino for file in target.iterdir()}
    assert checkpoint.resolve(str(path)) == str(target / "bert_model.ckpt")
    assert before == {file.name: file.stat().st_mtime_ns for file in target.iterdir()}
    assert inodes == {file.name: file.stat().st_ino for file in target.iterdir()}


def test_what_is_beside_the_checkpoints_folder_stays_in_the_zip(folder, make_zip):
    path = make_zip(**{"readme.txt": "hello", "__MACOSX|uncased_L-2_H-128_A-2|._bert_model.ckpt.index": "x"})
    assert release.unpack(str(path)) == str(path.parent / "uncased_L-2_H-128_A-2")
    assert contents(path.parent / "uncased_L-2_H-128_A-2") == contents(folder)


def test_an_interrupted_unpacking_by_hand_is_completed(folder, make_zip):
    path = make_zip()
    target = path.parent / "uncased_L-2_H-128_A-2"
    target.mkdir()
    (target / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes())
    (target / "notes").write_text("mine")
    checkpoint.resolve(str(path))
    assert contents(target) == dict(contents(folder), notes=b"mine")


def test_another_directory_of_that_name_is_not_touched(make_zip):
    path = make_zip()
    target = path.parent / "uncased_L-2_H-128_A-2"
    target.mkdir()
    (target / "vocab.txt").write_text("another\n")
    with pytest.raises(UserError, match=r"vocab\.txt: exists with another content; expected what .*\.zip holds"):
        checkpoint.resolve(str(path))
    assert contents(target) == {"vocab.txt": b"another\n"}


def test_where_the_zips_folder_cannot_be_written(make_zip, monkeypatch, tmp_path):
    path = make_zip()
    # Not by permissions, which root ignores.
    monkeypatch.setattr(os, "access", lambda name, mode: str(name) != str(path.parent))
    output = tmp_path / "output"
    prefix = checkpoint.resolve(str(path), str(output))
    assert prefix == str(output / "uncased_L-2_H-128_A-2" / "bert_model.ckpt")
    assert os.listdir(str(path.parent)) == [path.name]
    with pytest.raises(UserError, match="expected a directory that can be written"):
        checkpoint.resolve(str(path))


@pytest.mark.parametrize(
    "member", ["../evil.txt", "uncased/../../evil.txt", "/tmp/evil.txt", "..\\evil.txt", "C:\\evil.txt", "\\evil.txt"]
)
def test_a_zip_that_leads_out_of_itself(member, make_zip):
    path = make_zip(**{member: "evil"})
    with pytest.raises(UserError, match="evil.txt', outside of it"):
        checkpoint.resolve(str(path))
    assert os.listdir(str(path.parent)) == [path.name]


def test_a_link_in_a_zip_is_never_made(folder, make_zip):
    path = make_zip()
    link = zipfile.ZipInfo("uncased_L-2_H-128_A-2/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(str(path), "a") as archive:
        archive.writestr(link, "/etc/passwd")
    target = release.unpack(str(path))
    assert not any(os.path.islink(os.path.join(target, name)) for name in os.listdir(target))


@pytest.mark.parametrize("character", ["x", "\n", "\u202e"])
def test_names_that_no_file_can_have(character, make_zip):
    path = make_zip(**{"uncased_L-2_H-128_A-2|" + character * 300: "x"})
    with pytest.raises(UserError, match="File name too long"):
        release.unpack(str(path))
    assert os.listdir(str(path.parent)) == [path.name]


def spoil(path, change):
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(bytes(content))


def half(content):
    del content[len(content) // 2 :]


def flip(content):
    content[200] ^= 255  # within the data of a file


def nothing(content):
    del content[:]


@pytest.mark.parametrize("change", [half, flip, nothing])
def test_a_damaged_zip(change, make_zip):
    path = make_zip()
    spoil(path, change)
    with pytest.raises(UserError) as caught:
        checkpoint.resolve(str(path))
    assert str(caught.value).startswith(f"{path}: damaged, or no zip file") and "\n" not in str(caught.value)
    assert os.listdir(str(path.parent)) == [path.name]


def test_a_zip_without_a_checkpoint_or_with_two(folder, make_zip):
    two = make_zip(**{"other|bert_model.ckpt.index": "x"})
    with pytest.raises(UserError, match=r"expected one checkpoint in it.*; found other/.*, uncased_L-2_H-128_A-2/"):
        checkpoint.resolve(str(two))
    (folder / "bert_model.ckpt.index").unlink()
    with pytest.raises(UserError, match=r"expected one checkpoint in it, as bert_model\.ckpt\.index; found none"):
        checkpoint.resolve(str(make_zip()))
    with pytest.raises(UserError, match=r"missing\.zip: cannot be read: No such file"):
        checkpoint.resolve(str(two.parent / "missing.zip"))
    assert os.listdir(str(two.parent)) == [two.name]


def test_the_door_of_the_programs(make_zip):
    path = make_zip()
    model = init_weights.model_variables(CONFIG)
    assert encoder_files.check_init_checkpoint(str(path), model, True).prefix == str(
        path.parent / "uncased_L-2_H-128_A-2" / "bert_model.ckpt"
    )
    # The name of a release tells how its vocabulary is cased, unpacked by us too.
    with pytest.raises(UserError, match="do_lower_case is false"):
        encoder_files.check_init_checkpoint(str(path), model, False)
    assert encoder_files.check_init_checkpoint(None, model, False) is None
