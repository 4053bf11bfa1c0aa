"""What the programs decide of precision and fusion, on machines of every kind; how sessions are set up."""

import io
import types

import pytest
import tensorflow.compat.v1 as tf

from bert.encoder import kernels
from bert.runtime import devices
from bert.system.errors import UserError

AMX, AVX = {"amx_bf16", "avx512_bf16", "avx2"}, {"avx512_bf16", "avx2"}
MANY = 10000  # steps


@pytest.fixture
def machine(monkeypatch):
    """`machine(tf2=True, gpus=(), cpu=())` puts the decisions on such a machine."""

    def machine(tf2=True, gpus=(), cpu=()):
        monkeypatch.setattr(kernels, "can_fuse", lambda: tf2)
        monkeypatch.setattr(kernels, "FUSED", "fused" if tf2 else None)
        monkeypatch.setattr(devices, "gpus", lambda: list(gpus))
        monkeypatch.setattr(devices, "_cpu_flags", lambda: set(cpu))

    return machine


@pytest.mark.parametrize(
    "kind,hidden_size,expected",
    [
        ({"cpu": AMX}, 768, tf.bfloat16),
        ({"cpu": AVX}, 768, tf.bfloat16),
        ({"cpu": {"avx2"}}, 768, tf.float32),
        ({}, 768, tf.float32),
        ({"cpu": AMX}, 512, tf.bfloat16),
        ({"cpu": AMX}, 312, tf.float32),
        ({"cpu": AMX, "tf2": False}, 768, tf.float32),
        ({"gpus": [8.0]}, 768, tf.bfloat16),
        ({"gpus": [9.0, 8.6]}, 768, tf.bfloat16),
        ({"gpus": [8.0]}, 128, tf.float32),
        ({"gpus": [8.0, 7.0], "cpu": AMX}, 768, tf.float32),
        ({"gpus": [7.5], "cpu": AMX}, 768, tf.float32),
        ({"gpus": [8.0], "tf2": False}, 768, tf.float32),
    ],
)
def test_precision_of_auto(kind, hidden_size, expected, machine):
    machine(**kind)
    assert devices.choose_compute("auto", hidden_size, MANY).dtype == expected


@pytest.mark.parametrize(
    "hidden_size,steps,dtype,fused",
    [
        (384, MANY, tf.bfloat16, True),
        (384, 800, tf.bfloat16, True),
        (384, 799, tf.bfloat16, False),
        (256, 1800, tf.bfloat16, True),
        (256, 1799, tf.bfloat16, False),
        (255, MANY, tf.float32, False),
        (768, 200, tf.bfloat16, True),
    ],
)
def test_training_gains_with_narrower_encoders_than_tagging(hidden_size, steps, dtype, fused, machine):
    """The narrower the encoder, the more steps it takes until to compile kernels pays."""
    machine(cpu=AMX)
    found = devices.choose_compute("auto", hidden_size, steps, trains=True)
    assert (found.dtype, found.kernels == "fused") == (dtype, fused)
    if hidden_size < 512:
        found = devices.choose_compute("auto", hidden_size, steps)
        assert found.dtype == tf.float32 and found.kernels != "fused"


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_what_is_asked_for_is_what_there_is(precision, machine):
    """Whatever would be faster, and for small encoders too."""
    machine(gpus=[7.0], cpu=AMX)
    assert devices.choose_compute(precision, 32, 1).dtype == devices.DTYPES[precision]
    machine(cpu=AMX)
    if precision != "fp16":
        assert devices.choose_compute(precision, 32, 1).dtype == devices.DTYPES[precision]


@pytest.mark.parametrize(
    "kind,precision,xla,expected",
    [
        ({"tf2": False}, "bf16", None, r"-precision bf16 needs TensorFlow 2; this is "),
        ({"tf2": False, "gpus": [8.0]}, "bf16", None, r"-precision bf16 needs TensorFlow 2; this is "),
        ({"tf2": False}, "fp32", True, r"-xla needs TensorFlow 2; this is "),
        ({"tf2": False}, "auto", True, r"-xla needs TensorFlow 2; this is "),
        ({"cpu": AMX}, "fp16", None, r"-precision fp16 needs a GPU, and there is none; expected bf16, fp32 or auto"),
    ],
)
def test_what_cannot_be_is_refused(kind, precision, xla, expected, machine):
    machine(**kind)
    with pytest.raises(UserError, match=expected):
        devices.choose_compute(precision, 768, MANY, xla=xla)
    with pytest.raises(UserError, match=expected):
        devices.check_possible(precision, xla)


@pytest.mark.parametrize(
    "kind,hidden_size,steps,xla,fused",
    [
        ({}, 768, MANY, None, True),
        ({}, 768, 200, None, True),
        ({}, 768, 199, None, False),
        ({}, 1024, 113, None, True),
        ({}, 511, MANY, None, False),
        ({"gpus": [8.0]}, 768, MANY, None, False),
        ({"tf2": False}, 768, MANY, None, False),
        ({}, 768, MANY, False, False),
        ({}, 32, 1, True, True),
        ({"gpus": [8.0]}, 768, 1, True, True),
        ({"tf2": False}, 768, MANY, False, False),
    ],
)
def test_fusion(kind, hidden_size, steps, xla, fused, machine):
    machine(**kind)
    found = devices.choose_compute("fp32", hidden_size, steps, xla=xla)
    assert found.kernels == ("fused" if fused else kernels.PLAIN)
    assert found.packed
    assert devices.choose_compute("fp32", hidden_size, steps, xla=fused, trains=True).packed == fused


def test_an_export_computes_on_any_machine(machine):
    machine(cpu=AMX)
    assert devices.export_compute("auto") == kernels.REFERENCE._replace(packed=True)


def test_it_says_what_it_chose_and_why(machine, monkeypatch):
    lines = []
    monkeypatch.setattr(devices.log, "info", lambda text, *values: lines.append(text % values))
    machine(cpu=AMX)
    devices.choose_compute("auto", 768, MANY, trains=True)
    devices.choose_compute("auto", 64, MANY, trains=True)
    devices.choose_compute("bf16", 64, MANY, trains=True)
    machine(gpus=[7.0])
    devices.choose_compute("auto", 768, MANY, trains=True)
    assert lines == [
        "computes in bf16 (the CPU has amx_bf16), elementwise work fused by XLA",
        "computes in fp32 (hidden size 64 is too small to gain from less)",
        "computes in bf16 (-precision)",
        "computes in fp32 (-precision fp16 is faster on GPUs of compute capability 7 and above)",
    ]


@pytest.mark.parametrize("recompute", [False, True])
def test_recomputation_is_as_asked_for(recompute, machine):
    machine()
    assert devices.choose_compute("fp32", 768, MANY, recompute).recompute is recompute


@pytest.mark.parametrize(
    "content,expected",
    [
        ("processor\t: 0\nflags\t\t: fpu amx_bf16\nvmx flags\t: x\n\nflags\t\t: fpu\n", "fpu amx_bf16"),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", ""),
        (None, ""),
    ],
)
def test_what_the_cpu_can_do(content, expected, monkeypatch):
    def open_cpuinfo(path, **kwargs):
        if content is None:
            raise FileNotFoundError(path)
        return io.StringIO(content)

    monkeypatch.setattr(devices, "open", open_cpuinfo, raising=False)
    assert devices._cpu_flags() == set(expected.split())


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_gpus_that_may_not_be_used_are_none(hidden, monkeypatch):
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert devices.gpus() == []


def test_graphs_are_rewritten_for_gpus_only(monkeypatch):
    assert devices.session_config().graph_options.rewrite_options.disable_meta_optimizer
    monkeypatch.setattr(devices, "gpus", lambda: [7.0])
    assert not devices.session_config().graph_options.rewrite_options.disable_meta_optimizer


def test_gpus_are_listed_once_for_all_sessions(monkeypatch):
    from tensorflow.python.client import device_lib

    gpu = types.SimpleNamespace(device_type="GPU", physical_device_desc="device: 0, compute capability: 8.0")
    calls = []
    monkeypatch.setattr(device_lib, "list_local_devices", lambda config: calls.append(config) or [gpu])
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "only-in-this-test")
    assert devices.gpus() == [8.0] and not devices.session_config().graph_options.rewrite_options.disable_meta_optimizer
    assert len(calls) == 1
