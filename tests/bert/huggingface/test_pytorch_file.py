"""pytorch_model.bin: what PyTorch itself wrote is read to the bit, and nothing in a file is ever executed."""

import base64
import collections
import io
import os
import pickle
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from bert.huggingface.pytorch_file import MAGIC_NUMBER, read_pytorch
from bert.huggingface.tensor_files import to_float32
from bert.system.errors import UserError
from tests import hf_models

# Written by PyTorch 2.13: torch.save(tensors, file, _use_new_zipfile_serialization=True / False) of an OrderedDict,
# with `base = torch.arange(12.0).reshape(3, 4)`: whole=base, turned=base.t(), part=base[1:, 2:],
# half=float16 [1.5, -0.0, 65504], brain=bfloat16 [3.140625, -inf], counts=int64 [[1, 2**40]],
# parameter=Parameter([7.0]), empty=zeros(0, 3), scalar=2.5; `_metadata` set as in a model's state_dict.
ZIP = """
    eNqlVktvG1UUvuN3TB5OaRsaSghvB1rH47ebNnGcYlqmUGfaIouNmdiT2GJs58xcpxQUKRJyALFDXSOQWCFVZYcEm4h/QJeIRSUkpK5Y8APK
    vXeS6dybOCH1yMcjj+/3ne/cOeebKSteH0KhENp3RNAJpJm1RnNDn61rWIutf2yUiqPoQ+7Y8tRqHcPQa7jZaVvh62ZdN/X65WYNhwHNqCBF
    K35CdrvRMXTw1HCHMMaqXdw0rHDV1Fe6TaNexXrb6pjVjUQYvNFoJUgAFlmprengsyHhktHR8A37Yhj8FYmsiUOg4iXn2noXgsowhtCyghSv
    4tuGIcWnSNsQ/qpBRTyDYViFkUqALMZds63XYbRBMjV8DX8j0GDYMYr1Kd5tiCgSpRi3sScwPKvCyQrZJbSumRhOicjTy0pA8SiebZiwsz5n
    I89gmFTheYZsaMYqnLWRuxVdIZecgl5gBckwRSi9GF5khfRgWpF68JJN9zKGV1R4lW3niqk12/Aax1dkWyRnHM7XGWcC3iCcHgxRyunpwQzl
    fNPmfAvDORXOs42pdbptbEGMI73Waa85hLOMMAlxm1CmhBKtO0HKJ3UnbdIUhrQKmcqQvWNaS8e6Cdk+995ZEYbc3s6yPCnIkzwShgssTw/m
    6NdFO8clDPMqLHzJfhS+gEUVimxn9NY6vgNLHFMaLhMmhOFtyoToPS6RNiGK37HZrmC4qsK7bBusmmZoJigcQwau2VreIwwzMzbqfQzXVSh3
    N2GZ1VolZWh0UkBl/9+o0DGCm5twi7X0hm5aZEjgA0WyLGslVlaCoR8034M50sM0yn1HcQIVnFGMrXbMloaru2yl4kVhIo93yFTFz//8+Tkt
    k0Z/FZMo+0TF7nxWNaO51m7pbVwqJp9GSCZFBSzchkceksJzqIBxtOAIWLmD9Q41m1JxbpANMJoYGzrV0Lv01xnaAIFDNYyiec4VZ+Ol4oUB
    BNisWwvkq0A+JLZIfEdih8RDEmiReDGJaRLxRar0k83V+Tj1vyOUnuSVyqViZJ9SUs7W488oq+fRqcmnqD8xWP1XC1uPafZ7iaXvqVH6jshe
    4LMnB+1/yU0v0dzB0L8/jS9F2BPwcC0pXkuqVIyj49//hwWa86PW30N8/ej/1J8etP5j9E/mwP5B00x/7Jezvx19/8ZcE+wY2EDzmwzT7L9/
    u3braP+YQoknBsZKsnSzSRzsU42+vVSb9VIxdkwx8Uwun07k05lUNpdOxDPpdDYnZ5IJOS6Tc17Ox+V8OpdlNvvrjzt/RImOKFMpUbGOTveD
    ILJPufgeJqLdBj7BIb/2on6PDpHEbcKTvPH60CHOL/K4jXSc4/nGxeMYuAh3u9soBz/tR4L3ili3h/HYHREri1i3Awl5AwI2IWLdjsFj74rY
    pIh1Tz6PnQ4K2NQe9mBv4PKK2LSY1z2xPJay85MvYt3zNsZBb7qwffrMPQZTHPiBC3zwgJaVQODc3jh7zzvIEeGc9e4205B9Jjj6CobuDztO
    T675AzZmhK231/4Hcn7iQA==
"""
PICKLES = """
    eNp9lFtT00AUx3OjSATEu3it99ZLbUvpxQsURATDNXjJi5MJ6UrihKQn2eCg05m+tKKfwQcf/Rh+FF/9CM44gydJqSDBzOxOdnPy+5/979lt
    cp9F6/eX6V/Jt9+WhjNNbv4nj30DmJQyxDBM3XWoozuWukFcz3RsYDFAGcAvlkmpRVRi10zNBm5LEXGSbtaJ6pnviQd8A4SU0oOTnuG4FHok
    TuFxZNoUEpKgCAHDsdegVxJ8HzV1lLGITlHFExfdGnFJbcrUqQhMWgY2Yr0zHIsAp1PH1Y2M6lPT8kTVJau+adVUSmzPcdWNvAh8KqX0BuIY
    qa0REKJfxGnL0ehKNClCjzKIMZVCqZTPZ4vFXGm0WIZEmKde9zG1/gUKh5YlRuIloQ19kiCxbRA/GUFKhyn0yzCgJIKF+65NajBooK4hGLHc
    I0bEGwp4gsS34ajEBthjEe84hRMynAydqWto2an/0U53aGeWpYTESVwbhqPszka0cxTOy3AhpBma9QYuRrSODzM41bXh0l+BXK5cKGULhTIk
    UYBHgcvh8ltwRWJbcDWCX6NwXYYb4Zasupppw8099MnQ5lyxq5D6V6FcKUIaFThUuBUocC24HSjciRTuUsjIcC80V3d8m3qQ3SMxh7XTxef2
    4LEvFwuQ7+BHAjwbOFRAo9Ch0UiiSKEkQ1npi/zW1gklLlQOqK1uhAj39+9LqDoymi3AA1RlUfVhqNqCR0E3FimOU6jKMLEVDiY/wmMZpkIP
    yXqdbsKTA7jlSi4P08hlkPs04DJB9cxgUeJqZiP2MwqSDHOhYZ6uWZoL8wfwKtl8ARY6eS4iL52OGEsUlmWQ/QashK6ouGCtplENnoffXyg4
    ycDLBrwKD9fOpaBIrOd5q3iIXwcXR0wxsXH7z8XtGh9nqhDnSOyyEnFnpZdkgiMdPmNMc/sD1xnMVpvbO+8ss+thd49/VJl9Mclq/+54pjmO
    HcZVsTWxfcX2vdr5d4JhhrAlsWUn/gDSh1XW
"""
LAYOUTS = {
    "zip": zlib.decompress(base64.b64decode(ZIP)),
    "pickles": zlib.decompress(base64.b64decode(PICKLES)),
}


@pytest.fixture
def file(tmp_path):
    """`file(content)`: the path of a file with it."""

    def write(content):
        path = tmp_path / "pytorch_model.bin"
        path.write_bytes(content)
        return str(path)

    return write


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_pytorch_wrote(layout, file):
    tensors = read_pytorch(file(LAYOUTS[layout]))
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    expected = {
        "whole": ("F32", base),
        "turned": ("F32", base.T),
        "part": ("F32", base[1:, 2:]),
        "half": ("F16", np.array([1.5, -0.0, 65504], np.float16)),
        "brain": ("BF16", np.array([0x4049, 0xFF80], np.uint16)),
        "counts": ("I64", np.array([[1, 2**40]])),
        "parameter": ("F32", np.array([7], np.float32)),
        "empty": ("F32", np.zeros([0, 3], np.float32)),
        "scalar": ("F32", np.array(2.5, np.float32)),
    }
    assert set(tensors) == set(expected)
    for name, (kind, values) in expected.items():
        assert tensors[name].kind == kind
        assert tensors[name].values.dtype == values.dtype and tensors[name].values.shape == values.shape
        assert tensors[name].values.tobytes() == values.tobytes()
    np.testing.assert_array_equal(to_float32(tensors["brain"]), np.array([3.140625, -np.inf], np.float32))
    np.testing.assert_array_equal(to_float32(tensors["half"]), np.array([1.5, 0, 65504], np.float32))
    assert np.signbit(to_float32(tensors["half"])[1])
    assert to_float32(tensors["counts"]) is None


def test_the_tests_own_writer(tmp_path, monkeypatch):
    weights = hf_models.random_weights()
    hf_models.write_pytorch(tmp_path / "model.bin", weights, monkeypatch)
    tensors = read_pytorch(str(tmp_path / "model.bin"))
    assert {name: tensor.values.tobytes() for name, tensor in tensors.items()} == {
        name: value.tobytes() for name, value in weights.items()
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cut_off_anywhere(layout, file):
    content = LAYOUTS[layout]
    for length in range(0, len(content), 5):
        path = file(content[:length])
        with pytest.raises(UserError) as caught:
            read_pytorch(path)
        assert str(caught.value).startswith(path + ": ") and "\n" not in str(caught.value)


class Harmful:
    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return os.mkdir, (self._path,)


def zipped(value, protocol=2):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(value, protocol))
    return buffer.getvalue()


def in_pickles(value):
    values = [MAGIC_NUMBER, 1001, {"little_endian": True}, value, []]
    return b"".join(pickle.dumps(value, 2) for value in values)


@pytest.mark.parametrize("write", [zipped, in_pickles, lambda value: pickle.dumps(value, 2)])
def test_nothing_is_executed(write, file, tmp_path):
    made = str(tmp_path / "made")
    path = file(write({"weight": Harmful(made)}))
    with pytest.raises(UserError, match=r"it names posix\.mkdir, which is not executed; expected only tensors"):
        read_pytorch(path)
    assert not os.path.exists(made)


@pytest.mark.parametrize("module,name", [("builtins", "eval"), ("torch._utils", "sys"), ("torch", "load")])
def test_no_other_name_is_looked_up(module, name, file):
    code = b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\n."
    with pytest.raises(UserError, match=f"it names {module}.{name}"):
        read_pytorch(file(code))


def test_what_is_no_weights(file, tmp_path):
    with pytest.raises(UserError, match="no weights of PyTorch"):
        read_pytorch(file(b"<html>not found</html>"))
    with pytest.raises(UserError, match="no weights of PyTorch"):
        read_pytorch(file(zipped([1, 2])))
    assert read_pytorch(file(zipped({"epoch": 3}))) == {}
    assert read_pytorch(file(zipped(collections.OrderedDict(epoch=3)))) == {}
    with pytest.raises(UserError, match="cannot be read"):
        read_pytorch(str(tmp_path / "missing.bin"))


@pytest.mark.parametrize(
    "arguments",
    [(0, (3,), (1,)), (1, (2,), (1,)), (0, (2,), (2,)), (0, (2,), (-1,)), (-1, (1,), (1,)), (0, (2, 2), (1,))],
)
def test_a_tensor_beyond_its_storage(arguments, tmp_path, monkeypatch):
    path = tmp_path / "model.bin"
    hf_models.write_pytorch(path, {"weight": np.zeros(2, np.float32)}, monkeypatch)
    with zipfile.ZipFile(str(path)) as archive:
        good = archive.read("model/data.pkl")
    assert good.count(b"K\x00K\x02\x85") == 1  # offset 0, shape (2,)

    def number(value):
        return b"J" + value.to_bytes(4, "little", signed=True)

    def numbers(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    before, after = good.split(b"K\x00K\x02\x85")
    assert after[:1] == b"q" and after[2:5] == b"K\x01\x85"  # memo, strides (1,)
    spoiled = before + number(arguments[0]) + numbers(arguments[1]) + after[:2] + numbers(arguments[2]) + after[5:]
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr("model/data.pkl", spoiled)
        archive.writestr("model/data/0", bytes(8))
    with pytest.raises(UserError, match="a tensor"):
        read_pytorch(str(path))


def with_pickle(path, change, monkeypatch):
    """A file whose one tensor is float32 [2], its data.pkl changed by a function."""
    hf_models.write_pytorch(path, {"weight": np.zeros(2, np.float32)}, monkeypatch)
    with zipfile.ZipFile(str(path)) as archive:
        good = archive.read("model/data.pkl")
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr("model/data.pkl", change(good))
        archive.writestr("model/data/0", bytes(8))
    return str(path)


def test_a_kilobyte_that_asks_for_more_memory_than_there_is(tmp_path, monkeypatch):
    """Strides of 0 give any shape to one number."""

    def expanded(good):
        before, after = good.split(b"K\x00K\x02\x85")
        million = b"J" + (1 << 20).to_bytes(4, "little")
        return before + b"K\x00" + million + million + b"\x86" + after.replace(b"K\x01\x85", b"K\x00K\x00\x86", 1)

    path = with_pickle(tmp_path / "model.bin", expanded, monkeypatch)
    with pytest.raises(UserError, match="a tensor has more values than its storage"):
        read_pytorch(path)


HEAD = b"\x80\x02"
LIST_OF_A_MILLION = b"](" + b"N" * 1000 + b"e"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(b"Nr" + b"\xff\xff\xff\x7f.", id="a memo of two billion"),
        pytest.param(b"\x8e" + b"\x00" * 6 + b"\x01\x00.", id="bytes that are not there"),
        pytest.param(b"\x8d" + b"\xff" * 7 + b"\x7f.", id="text that is not there"),
        pytest.param(b"\x96" + b"\x00" * 5 + b"\x01\x00\x00.", id="an array that is not there"),
        pytest.param(b"\x95" + b"\x00" * 5 + b"\x01\x00\x00.", id="a frame that is not there"),
        pytest.param(b"I" + b"9" * 100000 + b"\n.", id="a number of many digits"),
        pytest.param(
            b"]q\x01" + b"](h\x01h\x01eq\x01" * 64 + b"(X\x07\x00\x00\x00storageX\x01\x00\x00\x00ah\x01NK\x01tQ.",
            id="a key of nested lists",
        ),
        pytest.param(
            b"](" + b"]q\x02(K\x01K\x02e" * 2000 + b"eq\x01(" + b"ccollections\nOrderedDict\nh\x01\x85R" * 2000 + b"t.",
            id="dicts of dicts",
        ),
        pytest.param(
            LIST_OF_A_MILLION + b"q\x01(" + b"ctorch._utils\n_rebuild_tensor_v2\n(Nh\x01h\x01h\x01tR" * 500 + b"t.",
            id="a tensor of many dimensions",
        ),
        pytest.param(b"ctorch._utils\n_rebuild_tensor_v2\nN}X\x01\x00\x00\x00aNs\x86b.", id="an attribute"),
    ],
)  # fmt: skip
def test_pickles_that_would_fill_memory(code, file):
    tracemalloc.start()
    try:
        for content in (HEAD + code, HEAD + b"}" + code, in_pickles({})[: -len(pickle.dumps([], 2))] + HEAD + code):
            with pytest.raises(UserError, match="no weights of PyTorch"):
                read_pytorch(file(content))
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_names_and_attributes_that_mean_nothing(file):
    values = collections.OrderedDict(epoch=3)
    values._metadata = collections.OrderedDict(version=1)
    assert read_pytorch(file(zipped(values))) == {}
