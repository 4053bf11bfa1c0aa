"""The step that benchmarks/xla_step.py writes: compiled by XLA it is the step that a session runs."""

import gzip
import json

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from tensorflow.python.eager import context

from benchmarks import run_xla_step, xla_step

pytestmark = pytest.mark.one_tensorflow


def config():
    return dict(xla_step.tiny_config(), num_hidden_layers=1, max_position_embeddings=8)


@pytest.mark.parametrize("kind, precision, fused", [(xla_step.TRAIN, "fp32", False), (xla_step.TAG, "bf16", True)])
def test_the_compiled_step_is_the_sessions(kind, precision, fused):
    """Loss, norm, rate, every variable and moment; or tags and scores."""
    case = xla_step.Case("any", kind, 3, 8, precision, fused, False)
    settings = xla_step.settings_of(config(), 4)
    with tf.Graph().as_default() as graph:
        step = xla_step.build(case, settings)
        told = json.loads(json.dumps(xla_step.description(case, settings, step)))
        values = run_xla_step.arguments_of(told)
        right = xla_step.expected(step, values)
        with context.eager_mode():
            tensors = [tf.constant(value, spec.dtype) for value, spec in zip(values, xla_step.specs(step))]
            found = xla_step.as_function(step, True)(*tensors)
            found = {entry["name"]: value.numpy() for entry, value in zip(told["results"], found)}
        trained = {var.op.name for var in graph.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES)}
    gaps = run_xla_step.differences(told, values, found, right)
    assert all(gap <= 1.0 for gap, _ in gaps.values()), gaps
    if kind == xla_step.TAG:
        assert set(found) == {"tags", "scores"} and not told["donated"]
        assert len(set(found["tags"].ravel())) > 2
        return
    learned = {name for name in trained if not name.startswith("bert/pooler/")}
    moments = {f"{name}/{moment}" for name in learned for moment in ("adam_m", "adam_v")}
    assert set(found) == learned | moments | {"global_step", "loss", "gradient_norm", "learning_rate"}
    # Each variable's new value takes the place of its old one, and all of them changed.
    before = dict(zip((entry["name"] for entry in told["arguments"]), values))
    pairs = [(told["arguments"][i]["name"], told["results"][j]["name"]) for i, j in told["donated"]]
    assert sorted(pairs) == sorted((name, name) for name in set(found) & set(before)) and len(pairs) == len(found) - 3
    assert all(np.any(found[name] != before[name]) for name, _ in pairs)


def test_a_written_case_can_be_read(tmp_path):
    """Also with dropout, which is for timing: nothing in the step is for a host."""
    settings = xla_step.settings_of(config(), 4)
    xla_step.write(xla_step.Case("timed", xla_step.TRAIN, 2, 8, "bf16", True, True), settings, str(tmp_path))
    with open(str(tmp_path / "timed.json"), encoding="utf-8") as reader:
        case = json.load(reader)
    for entry, value in zip(case["arguments"], run_xla_step.arguments_of(case)):
        assert [list(value.shape), value.dtype.name] == [entry["shape"], entry["dtype"]], entry
    with gzip.open(str(tmp_path / "timed.hlo.gz")) as reader:
        assert b"rng" in reader.read()
    assert not (tmp_path / "timed.npz").exists()


def told_of_one_gradient():
    names = ["w", "w/adam_m"]
    entries = [{"name": name, "shape": [2], "dtype": "float32"} for name in names]
    return {"precision": "fp32", "arguments": entries, "results": entries}


@pytest.mark.parametrize("wrong", [{}, {"w": [1.0, 2.1]}, {"w/adam_m": [0.2, np.nan]}, {"w/adam_m": [0.2, 0.21]}])
def test_differences_are_seen(wrong):
    arguments = [np.array([1.0, 2.0]), np.array([0.1, 0.1])]
    right = {"w": np.array([1.0, 2.0]), "w/adam_m": np.array([0.2, 0.2])}
    found = dict(right, **{name: np.array(value) for name, value in wrong.items()})
    gaps = run_xla_step.differences(told_of_one_gradient(), arguments, found, right)
    assert [gap > 1.0 for gap, _ in gaps.values()] == [name in wrong for name in ("w", "w/adam_m")]
    norms = {"norm:w": run_xla_step.norms(told_of_one_gradient(), arguments, right)["w"]}
    gaps = run_xla_step.differences(told_of_one_gradient(), arguments, found, norms)
    assert [not gap <= 1.0 for gap, _ in gaps.values()] == ["w/adam_m" in wrong]
