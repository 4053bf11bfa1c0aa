"""Files of named tensors: reads and writes safetensors, and holds the types of tensors.

A .safetensors file is eight bytes with the length of its header, the header in JSON (name -> type, shape, first and
last byte) and the bytes of the tensors. The library of that name reads no bfloat16 into NumPy (0.4.5 for Python 3.7,
0.8.0 for later ones), so much of this module would be needed with it too.
"""

import collections
import json
import struct

import numpy as np

from bert.system import filesystem
from bert.system.errors import UserError
from bert.system.files import parse_json

# kind: the type as safetensors names it; values: NumPy array, of BF16 the bits as uint16.
Tensor = collections.namedtuple("Tensor", "kind values")

# The types and the NumPy types that hold them; types that NumPy lacks are kept as bits.
STORAGE = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"},
    **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1"},
    **{"BOOL": "<u1", "F8_E4M3": "<u1", "F8_E5M2": "<u1"},
}
LONGEST_HEADER = 100000000  # bytes; the limit of the format's own library
MOST_DIMENSIONS = 32  # of a NumPy array
_BYTES_OF_A_LIST = 10  # a header has fewer lists and objects than one in so many bytes: each tensor has three


def to_float32(tensor):
    """The tensor as a new float32 array of exactly the same values; None if its type does not allow that."""
    if tensor.kind == "BF16":  # float32 without its last 16 bits
        return (tensor.values.astype(np.uint32) << 16).view(np.float32)
    return tensor.values.astype(np.float32) if tensor.kind in ("F32", "F16") else None


def read_safetensors(path):
    """The tensors of a .safetensors file: dict from name to Tensor. Values are read from disk when they are used.

    Raises:
      UserError: the file is missing, cut off or not of this format.
    """
    try:
        size = filesystem.getsize(path)
        with filesystem.open_file(path, "rb") as reader:
            length = struct.unpack("<Q", reader.read(8).ljust(8, b"\xff"))[0]
            if length > min(size - 8, LONGEST_HEADER):
                raise UserError(f"{path}: cut off or no safetensors file: its header does not end within it")
            header = reader.read(length)
        data = np.memmap(path, np.uint8, "r", offset=8 + length) if size > 8 + length else np.zeros(0, np.uint8)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}")
    try:
        if header.count(b"[") + header.count(b"{") > len(header) / _BYTES_OF_A_LIST + 100:
            raise ValueError  # they take twenty times as much memory as room in the header
        entries = parse_json(header)
        entries.pop("__metadata__", None)
        return {name: _tensor(path, name, entry, data) for name, entry in entries.items()}
    except (ValueError, AttributeError, KeyError, TypeError, OverflowError):
        raise UserError(f"{path}: no safetensors file: expected a header in JSON with the types and shapes of tensors")


def _tensor(path, name, entry, data):
    kind, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if len(shape) > MOST_DIMENSIONS or not all(type(number) is int and number >= 0 for number in [start, end, *shape]):
        raise ValueError
    dtype = np.dtype(STORAGE.get(kind, "<u1"))
    count = 1
    for length in shape:  # not np.prod, which overflows
        count *= length
    if kind not in STORAGE:
        count, shape = end - start, [end - start]  # never used but to be named
    if end > len(data):
        raise UserError(f"{path}: cut off: {name} ends at byte {end} of the data, of which there are {len(data)}")
    if end - start != count * dtype.itemsize:
        raise UserError(f"{path}: {name} is {kind} of the shape {shape} in {end - start} bytes, which do not match")
    return Tensor(kind, np.frombuffer(data, dtype, count, start).reshape(shape) if count else np.zeros(shape, dtype))


def write_safetensors(path, arrays):
    """Writes a dict of float32 arrays as a .safetensors file that Transformers loads as PyTorch weights."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(arrays):
        start, end = end, end + arrays[name].nbytes
        header[name] = {"dtype": "F32", "shape": list(arrays[name].shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 8)  # so that the tensors begin at a multiple of 8
    with filesystem.open_file(path, "wb") as writer:
        writer.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(arrays):
            writer.write(np.ascontiguousarray(arrays[name], "<f4").data)
