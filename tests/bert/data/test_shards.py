"""Record files in shards: their names, how they are counted, and how a set of them is written."""

import os
import tracemalloc

import pytest

from bert.data import records as record_files
from bert.data import shards
from bert.system.errors import UserError
from tests.bert.data.window_records import LENGTH, batches, contents, numbers, window, write, write_shards
from train.data import corpus


@pytest.fixture
def touch(tmp_path):
    """`touch(*names)`: makes empty files; returns the path before a name."""

    def make(*names):
        for name in names:
            (tmp_path / name).write_bytes(b"")
        return str(tmp_path) + "/"

    return make


def test_what_a_name_stands_for(touch):
    set_of_2 = ["r-00000-of-00002", "r-00001-of-00002"]
    folder = touch("one", "other", "x-00000-of-00001", "r.json", "r-00000-of-00002.tmp-3", "[a]", "a", *set_of_2)
    for path, expected in (
        ("one", ["one"]),
        ("r", set_of_2),
        ("x", ["x-00000-of-00001"]),  # as other programs write it
        ("r-00001-of-00002", set_of_2[1:]),
        ("r*", set_of_2),
        ("r-00001-of-*", set_of_2[1:]),  # that the pattern leaves shards out is no mistake
        ("o*", ["one", "other"]),
        ("[a]", ["[a]"]),
    ):
        assert shards.find_shards(folder + path) == [folder + name for name in expected], path
    found = shards.find_shards([folder + "other", folder + "r", folder + "o*"])
    assert found == [folder + name for name in ["other"] + set_of_2 + ["one"]]


@pytest.mark.parametrize("path", ["r", "r-*", "r-0000?-of-00003", ["one", "r"]])
def test_a_missing_shard_is_named(path, touch):
    folder = touch("one", "r-00000-of-00003", "r-00002-of-00003")
    with pytest.raises(
        UserError, match=f"^{folder}r-00001-of-00003: no such file; expected all 3 shards of {folder}r$"
    ):
        shards.find_shards([folder + part for part in path] if isinstance(path, list) else folder + path)


def test_names_that_stand_for_nothing_or_for_too_much(touch):
    folder = touch("r-00000-of-00001", "r-00000-of-00002", "r-00001-of-00002")
    with pytest.raises(UserError, match="r: found sets of 1 and 2 shards; expected one set"):
        shards.find_shards(folder + "r")
    for path in ("s", "s*", "r-", "r-00000"):
        with pytest.raises(UserError, match="no such record file"):
            shards.find_shards(folder + path)


@pytest.mark.parametrize("count", ["99999999999", "999999", "9" * 200])
def test_a_name_that_lies_about_the_number_of_shards_takes_neither_time_nor_room(count, touch):
    folder = touch(f"r-00000-of-{count}", f"r-00001-of-{count}")
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="no such"):
            shards.find_shards(folder + "r")
        if count == "999999":
            with pytest.raises(UserError, match="no such"):
                shards.find_shards(folder + "r*")
        assert not shards.is_set([f"{folder}r-00000-of-{count}"])
        assert len(shards.other_shards(folder + "r", 1)) == 2 * (count == "999999")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_records_are_counted_without_a_fingerprint(tmp_path):
    write_shards(tmp_path / "a", 10, 3)
    write_shards(tmp_path / "b", 4, 1)
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert [record_files.count_records(path) for path in paths] == [10, 4]
    assert record_files.count_records(paths) == 14 == record_files.count_records(str(tmp_path / "[ab]*"))
    os.remove(paths[0] + ".json")
    assert record_files.count_records(paths[0]) == 10
    cut = tmp_path / "a-00001-of-00003"
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(UserError, match="a-00001-of-00003: cut off in record 3"):
        record_files.count_records(paths[0])


def test_shards_hold_the_records_by_turns_and_one_fingerprint_is_for_all(tmp_path):
    path = tmp_path / "train.tf_record"
    write_shards(path, 10, 3)
    assert sorted(os.listdir(str(tmp_path))) == [f"train.tf_record-0000{i}-of-00003" for i in range(3)] + [
        "train.tf_record.json"
    ]
    for i in range(3):
        assert numbers(batches(f"{path}-0000{i}-of-00003", None)) == list(range(i, 10, 3))
    assert numbers(batches(path, None)) == list(range(10)) == numbers(batches(f"{path}-*", None))
    assert record_files.is_current(str(path), "test", 3)
    for made_from, count in (("other", 3), ("test", 1), ("test", 2), ("test", 4)):
        assert not record_files.is_current(str(path), made_from, count)
    # Not a set: one file after the other.
    some = [f"{path}-00002-of-00003", f"{path}-00000-of-00003"]
    assert numbers(batches(some, None)) == [2, 5, 8, 0, 3, 6, 9]
    os.remove(f"{path}-00001-of-00003")
    assert not record_files.is_current(str(path), "test", 3)


def test_one_shard_is_the_file_itself_as_it_always_was(tmp_path):
    write(tmp_path / "a", 9)
    write_shards(tmp_path / "b", 9, 1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "b.json").read_text() == '{\n  "made_from": "test",\n  "records": 9\n}\n'


@pytest.mark.parametrize("first,then", [(1, 3), (3, 1), (3, 2)])
def test_a_set_of_another_size_takes_the_place_of_the_old_one(first, then, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "old").mkdir()
    write_shards(tmp_path / "old" / "r", 10, first)
    write_shards(tmp_path / "old" / "r", 8, then)
    write_shards(tmp_path / "new" / "r", 8, then)
    assert contents(tmp_path / "old") == contents(tmp_path / "new")


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, "full"])
def test_a_set_is_replaced_as_a_whole_or_not_at_all(error, count, tmp_path):
    """Whenever writing ends too early the old records are all there, and nothing says what they are made from."""
    path = tmp_path / "r"
    write_shards(path, 50, count)
    before = contents(tmp_path)
    del before["r.json"]

    def examples():
        for number in range(500):
            yield corpus.record(window(number, 5), LENGTH)
        if error != "full":
            raise error

    if error == "full":
        os.symlink("/dev/full", f"{shards.shard_names(str(path), count)[-1]}.tmp-{os.getpid()}")
    with pytest.raises(UserError if error == "full" else error):
        record_files.write_records(str(path), examples(), "test", count)
    assert contents(tmp_path) == before
    assert not record_files.is_current(str(path), "test", count)
