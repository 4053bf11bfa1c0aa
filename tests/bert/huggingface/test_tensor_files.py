"""safetensors: what the format allows is read, what it does not is refused by a UserError and nothing else."""

import json
import struct

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from bert.huggingface.tensor_files import Tensor, read_safetensors, to_float32, write_safetensors
from bert.system.errors import UserError
from tests import hf_models


def test_every_type(tmp_path):
    path = tmp_path / "model.safetensors"
    arrays = {
        "F64": np.array([[1e300, -2]], "<f8"),
        "F32": hf_models.SPECIAL,
        "F16": np.array([[1.5], [-0.0]], "<f2"),
        "I64": np.array(2**40, "<i8"),
        "U8": np.zeros([0, 3], "<u1"),
        "BF16": np.array([0x3FC0, 0xFF80], "<u2"),
        "BOOL": np.array([1, 0, 1], "<u1"),
    }
    # A last byte of odd size before it: the tensors need not be aligned.
    entries = [("odd", "F8_E8M0", [3], b"abc")]
    entries += [(kind.lower(), kind, value.shape, value.tobytes()) for kind, value in arrays.items()]
    hf_models.write_safetensors(path, entries)
    tensors = read_safetensors(str(path))
    assert set(tensors) == {"odd"} | {kind.lower() for kind in arrays}
    assert tensors["odd"].kind == "F8_E8M0" and to_float32(tensors["odd"]) is None
    for kind, value in arrays.items():
        found = tensors[kind.lower()]
        assert found.kind == kind and found.values.shape == value.shape
        assert found.values.tobytes() == value.tobytes()


@hypothesis.given(st.lists(st.integers(0, 2**16 - 1), min_size=1))
def test_bfloat16_is_float32_cut_off(bits):
    widened = to_float32(Tensor("BF16", np.array(bits, "<u2")))
    assert widened.dtype == np.float32
    assert [struct.unpack("<I", value.tobytes())[0] for value in widened] == [value * 2**16 for value in bits]


def test_every_float16_is_exact():
    bits = np.arange(2**16, dtype=np.uint16)
    widened = to_float32(Tensor("F16", bits.view(np.float16)))
    sign, exponent, fraction = bits >> 15, (bits >> 10) & 31, (bits & 1023).astype(np.float64)
    size = np.where(exponent == 0, fraction * 2.0**-24, (1 + fraction / 1024) * 2.0 ** (exponent.astype(float) - 15))
    expected, finite = np.where(sign == 1, -size, size), exponent < 31
    np.testing.assert_array_equal(widened[finite], expected[finite])
    np.testing.assert_array_equal(np.isnan(widened), ~finite & (fraction != 0))
    infinite = ~finite & (fraction == 0)
    np.testing.assert_array_equal(np.isinf(widened), infinite)
    np.testing.assert_array_equal(np.signbit(widened), sign == 1)


def test_written_as_the_format_wants_it(tmp_path):
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.float32(1).reshape([]), "c": hf_models.SPECIAL}
    path = tmp_path / "model.safetensors"
    write_safetensors(str(path), arrays)
    metadata, found = hf_models.read_safetensors(path)
    assert metadata == {"format": "pt"}
    assert {name: value.tobytes() for name, value in found.items()} == {n: v.tobytes() for n, v in arrays.items()}
    assert {name: value.shape for name, value in found.items()} == {n: v.shape for n, v in arrays.items()}
    (length,) = struct.unpack("<Q", path.read_bytes()[:8])
    assert length % 8 == 0 and path.stat().st_size == 8 + length + 4 * (6 + 1 + 4)
    # No gaps, as the format's own library demands.
    header = json.loads(path.read_bytes()[8 : 8 + length].decode())
    ranges = sorted(entry["data_offsets"] for name, entry in header.items() if name != "__metadata__")
    assert [start for start, _ in ranges] == [0] + [end for _, end in ranges[:-1]]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("tensors") / "model.safetensors"


def test_cut_off_anywhere(path):
    hf_models.write_safetensors(path, hf_models.float32_entries({"a": np.ones(3, "<f4"), "b": np.ones([2, 2], "<f4")}))
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(UserError) as caught:
            read_safetensors(str(path))
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


numbers = st.one_of(st.integers(-2, 20), st.just(10**30), st.floats(), st.booleans(), st.none())
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "BF16", "U8", "F4", "", None, 3, []]),
        "shape": st.one_of(st.lists(numbers, max_size=3), numbers, st.just("ab")),
        "data_offsets": st.one_of(st.lists(numbers, max_size=3), numbers, st.just("ab"), st.just([0, 4])),
    }
)
headers = st.one_of(st.dictionaries(st.text(max_size=3), st.one_of(entries, numbers)), st.lists(entries), numbers)


@hypothesis.given(headers, st.integers(0, 12), st.integers(-3, 3))
def test_any_header(path, header, data, error):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", max(len(text) + error, 0)) + text + bytes(data))
    try:
        tensors = read_safetensors(str(path))
    except UserError as problem:
        assert str(problem).startswith(f"{path}: ") and "\n" not in str(problem)
    else:
        assert sum(tensor.values.nbytes for tensor in tensors.values()) <= data * max(len(tensors), 1)


@hypothesis.given(st.binary(max_size=40))
def test_any_bytes(path, content):
    path.write_bytes(content)
    try:
        assert read_safetensors(str(path)) == {}
    except UserError as problem:
        assert str(problem).startswith(f"{path}: ")


def test_a_header_nested_too_deeply(path):
    text = b"[" * 100000
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(UserError, match="expected a header in JSON"):
        read_safetensors(str(path))


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_safetensors(str(tmp_path / "none"))
