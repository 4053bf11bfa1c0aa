"""Checkpoints as users have them: whole, cut off, damaged, not there; and what starts from one or is made of one."""

import logging
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from bert.optimization import create_optimizer
from bert.runtime import checkpoint, init_weights
from bert.runtime.weight_names import Model
from bert.system.errors import UserError
from bert.system.files import make_dir


@pytest.fixture
def saved(graph, evaluate, tmp_path):
    """(prefix, values by name) of a checkpoint as training leaves it: weights, their slots, the global step."""
    kernel = tf.get_variable("dense/kernel", [60, 40])
    bias = tf.get_variable("dense/bias", [40])
    tf.get_variable("words", initializer=tf.constant(["北京", ""]), trainable=False)
    tf.get_variable("Dense/counts", initializer=tf.constant([1, 2**40], tf.int64), trainable=False)
    tf.get_variable("half", initializer=tf.constant([1.5], tf.float16), trainable=False)
    loss = tf.reduce_sum(tf.square(kernel)) + tf.reduce_sum(tf.square(bias))
    train_op = create_optimizer(loss, 0.1, 10, 0, False)
    evaluate(train_op)
    prefix = tf.train.Saver().save(evaluate.session, str(tmp_path / "model.ckpt"), global_step=7)
    return prefix, evaluate({var.op.name: var for var in tf.global_variables()})


def contents(prefix):
    reader = tf.train.load_checkpoint(prefix)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def size(prefix):
    return sum(os.path.getsize(prefix + suffix) for suffix in (".index", ".data-00000-of-00001"))


def cut(path, share):
    with open(path, "r+b") as file:
        file.truncate(int(os.path.getsize(path) * share))


def overwrite(path):
    """Random bytes, as many as there were."""
    length = os.path.getsize(path)
    with open(path, "wb") as file:
        file.write(np.random.RandomState(0).bytes(length))


def flip_a_byte(path):
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 10)  # within the kernel, not its slots
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 255]))


DATA, INDEX = ".data-00000-of-00001", ".index"
DAMAGES = {
    "data cut off": lambda prefix: cut(prefix + DATA, 0.6),
    "data empty": lambda prefix: cut(prefix + DATA, 0),
    "data overwritten": lambda prefix: overwrite(prefix + DATA),
    "one byte of data wrong": lambda prefix: flip_a_byte(prefix + DATA),
    "data missing": lambda prefix: os.remove(prefix + DATA),
    "index cut off": lambda prefix: cut(prefix + INDEX, 0.6),
    "index empty": lambda prefix: cut(prefix + INDEX, 0),
    "index overwritten": lambda prefix: overwrite(prefix + INDEX),
    "one byte of index wrong": lambda prefix: flip_a_byte(prefix + INDEX),
    "index missing": lambda prefix: os.remove(prefix + INDEX),
}
MODEL = Model({"dense/kernel": [60, 40]}, {}, "the head", [], "")
NEED_WHOLE = {
    "check_whole": checkpoint.check_whole,
    "check_model": lambda prefix: checkpoint.check_model(prefix, {"dense/bias": [40]}),
    "write_without_slots": lambda prefix: checkpoint.write_without_slots(prefix, prefix + "-small"),
}
NEED_INDEX = {
    "open_checkpoint": checkpoint.open_checkpoint,
    "check_shapes": lambda prefix: checkpoint.check_shapes(prefix, {}),
    "init_weights": lambda prefix: init_weights.find(prefix, MODEL),
}


def assert_users_error(call, prefix):
    with pytest.raises(UserError) as caught:
        call(prefix)
    message = str(caught.value)
    assert message.startswith(f"{prefix}: ") and "\n" not in message
    return message


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_the_users_to_mend(damage, saved, tmp_path):
    prefix, _ = saved
    DAMAGES[damage](prefix)
    before = sorted(os.listdir(str(tmp_path)))
    calls = dict(NEED_WHOLE, **(NEED_INDEX if "index" in damage else {}))
    for call in calls.values():
        assert_users_error(call, prefix)
    assert sorted(os.listdir(str(tmp_path))) == before


@pytest.mark.one_tensorflow
@pytest.mark.parametrize("call", [*NEED_WHOLE.values(), *NEED_INDEX.values()], ids=[*NEED_WHOLE, *NEED_INDEX])
def test_what_is_no_prefix_of_a_checkpoint(call, saved, tmp_path):
    prefix, _ = saved
    assert "no checkpoint of that name" in assert_users_error(call, str(tmp_path / "nothing.ckpt"))
    assert_users_error(call, str(tmp_path / "not" / "even" / "a directory"))
    assert_users_error(call, "")
    (tmp_path / "empty").mkdir()
    assert_users_error(call, str(tmp_path / "empty"))
    (tmp_path / "notes.txt").write_text("not a checkpoint\n" * 50)
    assert_users_error(call, str(tmp_path / "notes.txt"))
    for suffix in (INDEX, DATA, ".meta"):
        assert assert_users_error(call, prefix + suffix).endswith(
            f"expected the common beginning of its files, {prefix}"
        )


def test_a_whole_checkpoint_passes(saved):
    prefix, values = saved
    checkpoint.check_whole(prefix)
    assert set(checkpoint.open_checkpoint(prefix).get_variable_to_shape_map()) == set(values)


def test_check_shapes_names_both_shapes(saved):
    prefix, _ = saved
    checkpoint.check_shapes(prefix, {"dense/kernel": [60, 40], "not/in/it": [1], "global_step": []})
    with pytest.raises(UserError) as caught:
        checkpoint.check_shapes(prefix, {"dense/bias": [40], "dense/kernel": [40, 60]})
    message = str(caught.value)
    assert message.startswith(f"{prefix}: dense/kernel ") and "\n" not in message
    assert "[60, 40]" in message and "[40, 60]" in message and "dense/bias" not in message
    with pytest.raises(UserError, match=r"\[40\].*\[40, 1\]"):
        checkpoint.check_shapes(prefix, {"dense/bias": [40, 1]})


def test_check_model_names_what_is_missing(saved):
    prefix, _ = saved
    shapes = {"head/b": [2], "head/a": [2], "dense/bias": [40]}
    checkpoint.check_model(prefix, shapes, optional=["head/a", "head/b"])
    with pytest.raises(UserError) as caught:
        checkpoint.check_model(prefix, shapes, missing="expected a tagger; {} is not in it")
    assert str(caught.value) == f"{prefix}: expected a tagger; head/b is not in it"
    with pytest.raises(UserError, match="head/a is not in it"):
        checkpoint.check_model(prefix, shapes, optional=["head/b"])
    with pytest.raises(UserError, match=r"dense/bias has the shape \[40\].*\[41\]"):
        checkpoint.check_model(prefix, {"dense/bias": [41]}, optional=["dense/bias"])


@pytest.fixture
def log_lines(caplog):
    """A function that gives the lines of our log so far."""
    caplog.set_level(logging.INFO, logger="bert")
    return lambda: caplog.messages


def test_without_slots_everything_else_is_bit_for_bit_the_same(saved, tmp_path):
    prefix, values = saved
    slots = {f"dense/{name}/{slot}" for name in ("kernel", "bias") for slot in ("adam_m", "adam_v")}
    assert slots < set(values)
    before = set(os.listdir(str(tmp_path)))
    target = str(tmp_path / "small.ckpt")
    checkpoint.write_without_slots(prefix, target)
    found, given = contents(target), contents(prefix)
    assert set(found) == set(values) - slots
    for name, value in found.items():
        assert value.dtype == given[name].dtype and value.shape == given[name].shape
        assert value.tobytes() == given[name].tobytes() if value.dtype != object else list(value) == list(given[name])
    assert set(os.listdir(str(tmp_path))) - before == {"small.ckpt" + suffix for suffix in (INDEX, DATA)}
    assert size(target) < 0.36 * size(prefix)
    checkpoint.check_whole(prefix)


def test_a_checkpoint_without_slots_is_restored_by_name(saved, tmp_path):
    prefix, values = saved
    target = str(tmp_path / "small.ckpt")
    checkpoint.write_without_slots(prefix, target)
    checkpoint.write_without_slots(prefix, target)  # once more over what is there
    with tf.Graph().as_default(), tf.Session() as session:
        kernel, bias = tf.get_variable("dense/kernel", [60, 40]), tf.get_variable("dense/bias", [40])
        tf.train.Saver().restore(session, target)
        np.testing.assert_array_equal(session.run(kernel), values["dense/kernel"])
        np.testing.assert_array_equal(session.run(bias), values["dense/bias"])


def test_names_that_an_op_of_the_writing_graph_might_have(tmp_path):
    """Ops are numbered where names would clash, and case does not count there; names in a checkpoint are kept."""
    names = ["Placeholder", "SaveV2", "a", "A", "dense", "dense/kernel", "_object"]
    prefix, target = str(tmp_path / "model.ckpt"), str(tmp_path / "small.ckpt")
    with tf.Graph().as_default(), tf.Session() as session:
        values = [tf.constant(float(i)) for i in range(len(names))]
        no_slices = [""] * len(names)
        session.run(tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=no_slices, tensors=values))
    checkpoint.write_without_slots(prefix, target)
    assert contents(target) == {name: float(i) for i, name in enumerate(names)}


def test_where_nothing_can_be_written(saved, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        checkpoint.write_without_slots(saved[0], str(tmp_path / "file" / "small.ckpt"))
    assert str(caught.value).startswith(str(tmp_path / "file" / "small.ckpt") + ": cannot be written")
    assert "\n" not in str(caught.value)


def test_latest(saved, tmp_path):
    prefix, _ = saved
    assert checkpoint.latest(str(tmp_path)) == prefix
    (tmp_path / "empty").mkdir()
    assert checkpoint.latest(str(tmp_path / "empty")) is None


def test_the_step_of_a_checkpoint_is_what_it_holds_not_what_it_is_called(evaluate, tmp_path):
    step = tf.train.get_or_create_global_step()
    tf.get_variable("w", [1])
    evaluate(step.assign(7))
    named = tf.train.Saver().save(evaluate.session, str(tmp_path / "model.ckpt"))
    assert checkpoint.step_of(named) == 7
    without = tf.train.Saver(tf.trainable_variables()).save(evaluate.session, str(tmp_path / "bert_model.ckpt-3"))
    assert checkpoint.step_of(without) == 0


def save(session, directory, step):
    return tf.train.Saver().save(session, os.path.join(str(directory), "model.ckpt"), global_step=step)


def test_the_newest_whole_checkpoint(evaluate, tmp_path, log_lines):
    tf.get_variable("w", [100])
    assert checkpoint.newest_whole(str(tmp_path)) is None
    assert checkpoint.newest_whole(str(tmp_path / "missing")) is None
    evaluate([])
    prefixes = [save(evaluate.session, tmp_path, step) for step in (8, 9, 10, 100)]
    assert checkpoint.newest_whole(str(tmp_path)) == prefixes[3] and not log_lines()
    cut(prefixes[3] + DATA, 0.5)
    os.remove(prefixes[2] + DATA)
    assert checkpoint.newest_whole(str(tmp_path)) == prefixes[1]
    (line,) = log_lines()
    assert line.startswith(f"{prefixes[3]}: the checkpoint is cut off or damaged at w: ")
    assert line.endswith(f"; goes on from {prefixes[1]}, the newest that is whole")
    assert tf.train.latest_checkpoint(str(tmp_path)) == prefixes[1]
    for prefix in prefixes[:2]:
        cut(prefix + INDEX, 0)
    with pytest.raises(UserError, match=f"^{prefixes[1]}: .*; no other checkpoint in {tmp_path} is whole$"):
        checkpoint.newest_whole(str(tmp_path))


def test_the_checkpoint_that_is_named_goes_before_those_of_later_steps(evaluate, tmp_path):
    """As after a fall-back: the later ones are of the training that was given up."""
    tf.get_variable("w", [1])
    evaluate([])
    early, _ = (save(evaluate.session, tmp_path, step) for step in (5, 20))
    checkpoint.make_latest(early)
    assert checkpoint.latest(str(tmp_path)) == checkpoint.newest_whole(str(tmp_path)) == early
    plain = tf.train.Saver().save(evaluate.session, str(tmp_path / "alone" / "model.ckpt"))
    assert checkpoint.latest(str(tmp_path / "alone")) == checkpoint.newest_whole(str(tmp_path / "alone")) == plain


def test_a_first_checkpoint_that_a_kill_prevented_is_none(evaluate, tmp_path):
    """The index is written last; what has none was never finished."""
    tf.get_variable("w", [1])
    evaluate([])
    os.remove(save(evaluate.session, tmp_path, 0) + INDEX)
    os.remove(str(tmp_path / "checkpoint"))
    assert checkpoint.latest(str(tmp_path)) is None and checkpoint.newest_whole(str(tmp_path)) is None


def test_what_savers_left_half_written(tmp_path):
    hexadecimal = "0123456789abcdef" * 2
    left = [
        "model.ckpt-3_temp/part-00000-of-00001.data-00000-of-00001.tempstate5",
        f"model.ckpt-12_temp_{hexadecimal}/part-00001-of-00002.index",
        "model.ckpt-7.data-00000-of-00001.tempstate123",
        f"checkpoint.tmp{hexadecimal}",
        f"model.ckpt-7.meta.tmp{hexadecimal}",
    ]
    kept = ["model.ckpt-3.index", "checkpoint", "notes.tmp", "model.ckpt-4_temp/notes.txt", "model.ckpt_temp/part-1"]
    for name in left + kept:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "model.ckpt-9_temp").mkdir()
    checkpoint.remove_unfinished(str(tmp_path))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
    assert not (tmp_path / "model.ckpt-9_temp").exists() and not (tmp_path / "model.ckpt-3_temp").exists()


def test_a_checkpoint_written_over_another_is_never_a_mixture(saved, tmp_path, monkeypatch):
    """Killed between any two of its steps: the old one, none of that name, or the new one."""
    prefix, values = saved
    target = str(tmp_path / "small.ckpt")
    checkpoint.write(target, {"dense/bias": np.zeros([40], np.float32)})
    seen = []
    replace = os.replace

    def look(*names):
        replace(*names)
        seen.append(checkpoint.is_whole(target))
        if not seen[-1]:
            assert not os.path.exists(target + INDEX)

    monkeypatch.setattr(os, "replace", look)
    checkpoint.write_without_slots(prefix, target)
    assert seen == [False, True]
    np.testing.assert_array_equal(contents(target)["dense/bias"], values["dense/bias"])


@pytest.mark.parametrize("name", ["o[1]", "m*", "a?", "x\\y"])
def test_a_name_that_tensorflow_takes_for_a_pattern(name, tmp_path):
    """It would write a checkpoint there and not find it again."""
    folder = str(tmp_path / name)
    calls = [
        lambda: make_dir(folder),
        lambda: checkpoint.write(folder + "/model.ckpt", {"v": np.zeros(1)}),
        lambda: checkpoint.check_whole(folder + "/model.ckpt"),
    ]
    for call in calls:
        with pytest.raises(UserError, match="TensorFlow takes a path of checkpoints with . in it for a pattern"):
            call()
    assert not os.listdir(str(tmp_path))


def test_checkpoints_from_a_step_on_are_removed(tmp_path):
    """One that is no run's stays."""
    for name in ("model.ckpt-8", "model.ckpt-12", "model.ckpt-100", "bert_model.ckpt"):
        checkpoint.write(str(tmp_path / name), {"v": np.zeros(2, np.float32)})
    (tmp_path / "model.ckpt-100.meta").write_text("graph")
    checkpoint.make_latest(str(tmp_path / "model.ckpt-100"))
    kept = str(tmp_path / "model.ckpt-8")
    assert checkpoint.remove_since(str(tmp_path), 9) == kept == checkpoint.latest(str(tmp_path))
    assert checkpoint.remove_since(str(tmp_path), 9) == kept
    assert checkpoint.remove_since(str(tmp_path), 0) is None and checkpoint.latest(str(tmp_path)) is None
    assert {path.name for path in tmp_path.iterdir()} == {
        "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"
    }  # fmt: skip
    assert checkpoint.remove_since(str(tmp_path / "missing"), 0) is None


@pytest.mark.parametrize("place", ["{}/other/", "../other/", "sub/../../other/"])
@pytest.mark.parametrize("newest", ["model.ckpt-9", "biobert-2", "model.ckpt-100"])
def test_no_checkpoint_of_another_directory_is_gone_on_from_or_removed(place, newest, tmp_path, caplog):
    """As in a copy of a run whose file `checkpoint` has the paths of the original."""
    place = place.format(tmp_path)
    for folder in ("run", "other"):
        (tmp_path / folder).mkdir()
        for name in ("model.ckpt-8", "model.ckpt-9", "biobert-2"):
            checkpoint.write(str(tmp_path / folder / name), {"v": np.zeros(2, np.float32)})
    run = str(tmp_path / "run")
    for first, listed in ((newest, ["model.ckpt-8", newest]), (place + newest, [place + "model.ckpt-8", newest])):
        lines = [f'model_checkpoint_path: "{first}"'] + [f'all_model_checkpoint_paths: "{name}"' for name in listed]
        (tmp_path / "run" / "checkpoint").write_text("\n".join(lines) + "\n")
        assert checkpoint.latest(run) == str(tmp_path / "run" / newest.replace("100", "9"))
        caplog.clear()
        checkpoint.remove_outdated(run, 2)
        state = tf.train.get_checkpoint_state(run)
        paths = [state.model_checkpoint_path, *state.all_model_checkpoint_paths]
        assert {os.path.dirname(path) for path in paths} == {run} and os.path.basename(paths[0]) == newest
        assert ("named checkpoints of other places" in caplog.text) == (first != newest)


def test_a_directory_in_another_spelling_is_the_same_directory(tmp_path, monkeypatch, caplog):
    """As where a run goes on with a relative -output_dir that began with an absolute one."""
    monkeypatch.chdir(str(tmp_path))
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    checkpoint.write(str(tmp_path / "run" / "model.ckpt-9"), {"v": np.zeros(2, np.float32)})
    prefix = tmp_path / "run" / "model.ckpt-9"
    text = f'model_checkpoint_path: "{prefix}"\nall_model_checkpoint_paths: "{prefix}"\n'
    for spelling in ("run", "./run/", "link", str(tmp_path / "run") + "/"):
        (tmp_path / "run" / "checkpoint").write_text(text)
        checkpoint.remove_outdated(spelling, 2)
        assert os.path.samefile(checkpoint.latest(spelling) + ".index", str(prefix) + ".index")
    assert "other places" not in caplog.text


def test_what_a_kill_left_of_older_checkpoints_is_removed(tmp_path):
    """Of those that the run keeps none is, nor one that is newer, nor one that is no run's."""
    foreign = ["bert_model.ckpt", "biobert-2", "model.ckpt"]
    for name in [f"model.ckpt-{step}" for step in (3, 6, 8, 9, 12)] + foreign:
        checkpoint.write(str(tmp_path / name), {"v": np.zeros(2, np.float32)})
    for name in ("model.ckpt-2.data-00000-of-00001", "model.ckpt-6.meta", "model.ckpt-6.mine"):
        (tmp_path / name).write_text("")
    checkpoint.remove_outdated(str(tmp_path), 2)  # no file `checkpoint`: nothing says what is kept
    assert (tmp_path / "model.ckpt-3.index").exists()
    checkpoint.make_latest(str(tmp_path / "model.ckpt-9"))
    for _ in range(2):
        checkpoint.remove_outdated(str(tmp_path), 2)
        left = {f"{name}{end}" for name in foreign for end in (".index", ".data-00000-of-00001")}
        left |= {f"model.ckpt-{step}{end}" for step in (8, 9, 12) for end in (".index", ".data-00000-of-00001")}
        assert {path.name for path in tmp_path.iterdir()} == left | {"checkpoint", "model.ckpt-6.mine"}
        state = tf.train.get_checkpoint_state(str(tmp_path))
        assert [path[-1] for path in state.all_model_checkpoint_paths] == ["8", "9"]
        assert checkpoint.latest(str(tmp_path)) == str(tmp_path / "model.ckpt-9")
    checkpoint.remove_outdated(str(tmp_path / "missing"), 2)
