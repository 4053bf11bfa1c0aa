"""Reads the tensors of a pytorch_model.bin without PyTorch and without running code in it.

Such a file is a pickle of tensors that name their storages, and the storages' bytes. Unpickling may call whatever a
file names, so here a file may name only what is in `_ALLOWED`, which makes nothing but records of numbers. PyTorch's
own `weights_only` is no better guard: up to 2.9 it had holes (CVE-2025-32434, CVE-2026-24747), and no release without
them runs on Python 3.7. Both layouts are read: the zip archive, since PyTorch 1.6, and the earlier one, several
pickles in a row.
"""

import collections
import pickle
import re
import struct
import zipfile

import numpy as np

from bert.huggingface.tensor_files import MOST_DIMENSIONS, STORAGE, Tensor
from bert.system import archives, filesystem
from bert.system.errors import UserError

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # the first bytes of the layout before 1.6

MOST_ITEMS = 1 << 20  # in the dicts of a file
_BLOCK = 1 << 20  # bytes

_Storage = collections.namedtuple("_Storage", "kind key count")
_View = collections.namedtuple("_View", "storage offset shape strides")  # a tensor; offsets and strides count elements

_STORAGE_KINDS = {
    **{"DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16"},
    **{"LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8"},
    "BoolStorage": "BOOL",
}


def _rebuild_tensor(storage, offset, shape, strides, *_):
    """Replaces PyTorch's function; the arguments after the strides are about gradients."""
    if not isinstance(storage, _Storage) or max(len(shape), len(strides)) > MOST_DIMENSIONS:
        raise pickle.UnpicklingError("not a tensor")
    return _View(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(data, *_):
    return data


_ALLOWED = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
}
_ALLOWED.update({("torch", name): kind for name, kind in _STORAGE_KINDS.items()})
_ORDERED_DICT = ("collections", "OrderedDict")
# What PyTorch writes none of: numbers as text, which take long to read, and arrays that are made before they are read.
_REFUSED = b"".join([b"ILFPSV", pickle.LONG4, pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX])
_REFUSED += b"\x96\x97\x98"  # of protocol 5, which Python 3.7 does not know


class _Unpickler(pickle._Unpickler):
    """Unpickles tensors as _View and their storages as _Storage, and refuses everything else.

    Python's own unpickler in C would make room for whatever index a file names; the one in Python has a dict.
    """

    def __init__(self, path, file):
        super().__init__(_Exact(file), encoding="utf-8")
        self._path = path
        self._items_left = MOST_ITEMS

    dispatch = {code: load for code, load in pickle._Unpickler.dispatch.items() if code not in _REFUSED}

    def find_class(self, module, name):
        if (module, name) == _ORDERED_DICT:
            return self._ordered_dict
        if (module, name) not in _ALLOWED:
            raise UserError(f"{self._path}: it names {module}.{name}, which is not executed; expected only tensors")
        return _ALLOWED[module, name]

    def _ordered_dict(self, items=()):
        self._items_left -= len(items)
        if self._items_left < 0:
            raise pickle.UnpicklingError("too many items")
        return collections.OrderedDict(items)

    def load_build(self):
        """Drops the attributes of an object: those that PyTorch writes tell the versions of layers."""
        self.stack.pop()

    dispatch[pickle.BUILD[0]] = load_build

    def persistent_load(self, pid):
        what, kind, key, _, count = pid[:5]
        if what != "storage" or any(pid[5:]):  # a storage that is a part of another: PyTorch 0.3 and before
            raise pickle.UnpicklingError("not a storage")
        if not isinstance(kind, str) or not isinstance(key, (str, int)) or type(count) is not int or count < 0:
            raise pickle.UnpicklingError("not a storage")
        return _Storage(kind, str(key), count)


class _Exact:
    """A file that makes no room for more than it has; EOFError for what it lacks."""

    def __init__(self, file):
        self._file = file
        self.readline = file.readline

    def read(self, size):
        content = self._file.read(min(size, _BLOCK))
        if len(content) == size:
            return content
        blocks = [content]
        missing = size - len(content)
        while missing:
            blocks.append(self._file.read(min(missing, _BLOCK)))
            if not blocks[-1]:
                raise EOFError("cut off")
            missing -= len(blocks[-1])
        return b"".join(blocks)


def read_pytorch(path):
    """The tensors of a file that `torch.save` wrote of a model's `state_dict`: dict from name to Tensor.

    Raises:
      UserError: the file is missing, cut off, not of this format, or holds other objects than tensors.
    """
    try:
        with filesystem.open_file(path, "rb") as file:
            views, storages = _read_zip(path, file) if zipfile.is_zipfile(file) else _read_pickles(path, file)
        return {_name(name): _tensor(storages, view) for name, view in views.items() if isinstance(view, _View)}
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}")
    except Exception as error:  # a damaged pickle may raise any exception
        raise UserError(f"{path}: cut off, damaged or no weights of PyTorch: {str(error) or type(error).__name__}")


def _read_zip(path, file):
    with archives.opened(path, file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        archives.check_members(path, archive, list(members.values()))
        (top,) = [name[: -len("data.pkl")] for name in members if re.match(r"[^/]*/data\.pkl$", name)]
        if top + "byteorder" in members and archive.read(top + "byteorder") != b"little":
            raise UserError(f"{path}: written on a big-endian machine; expected little-endian")
        with archive.open(top + "data.pkl") as pickled:
            views = _Unpickler(path, pickled).load()
        contents, storages = {}, {}
        for storage in _storages(views):
            if storage.key not in contents:
                contents[storage.key] = archive.read(f"{top}data/{storage.key}")
            storages[storage] = np.frombuffer(contents[storage.key], STORAGE[storage.kind], storage.count)
    return views, storages


def _read_pickles(path, file):
    file.seek(0)
    if _Unpickler(path, file).load() != MAGIC_NUMBER:
        raise pickle.UnpicklingError("expected PyTorch's magic number")
    _Unpickler(path, file).load()  # the layout's version
    if not _Unpickler(path, file).load()["little_endian"]:
        raise UserError(f"{path}: written on a big-endian machine; expected little-endian")
    views = _Unpickler(path, file).load()
    by_key = {storage.key: storage for storage in _storages(views)}
    left = filesystem.getsize(path)
    storages = {}
    for key in _Unpickler(path, file).load():
        dtype = np.dtype(STORAGE[by_key[key].kind])
        (count,) = struct.unpack("<q", file.read(8))
        if not 0 <= count * dtype.itemsize <= left - file.tell():
            raise pickle.UnpicklingError("a storage does not end within the file")
        storages[by_key[key]] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    return views, storages


def _name(name):
    if not isinstance(name, str):
        raise pickle.UnpicklingError("a tensor without a name")
    return name


def _storages(views):
    return {view.storage for view in views.values() if isinstance(view, _View)}


def _tensor(storages, view):
    values = storages[view.storage]
    if len(view.shape) != len(view.strides) or not all(
        type(number) is int and number >= 0 for number in (view.offset, *view.shape, *view.strides)
    ):
        raise ValueError("a tensor's shape or strides are no natural numbers")
    if 0 in view.shape:
        return Tensor(view.storage.kind, np.zeros(view.shape, values.dtype))
    size = 1
    for length in view.shape:
        size *= length
    if size > len(values):  # with strides of 0 a file of a kilobyte could ask for more memory than there is
        raise ValueError("a tensor has more values than its storage")
    last = view.offset + sum((length - 1) * stride for length, stride in zip(view.shape, view.strides))
    if last >= len(values):
        raise ValueError("a tensor reaches beyond its storage")
    strides = [stride * values.itemsize for stride in view.strides]
    strided = np.lib.stride_tricks.as_strided(values[view.offset :], view.shape, strides, writeable=False)
    return Tensor(view.storage.kind, strided)
