"""benchmarks/quality.py without its training: samples, settings, the cache, the table."""

import json
import os
import subprocess
import sys
import time

import pytest

from benchmarks import quality, quality_runs, samples
from benchmarks.quality_runs import Cache, Common, Data, Setting, parse_setting
from bert.system.errors import UserError
from bert.system.portable import has_ended
from bert.system.run_lock import locked
from tests.paths import REPOSITORY

DOCUMENTS = "-DOCSTART- O\n\na B-PER\n\nb O\n\n-DOCSTART- O\n\nc O\nd O\n\ne B-LOC\n\nf O\n"
OURS = Setting("ours", None, ["-clip", "1"])
# In place of run.py: an entity is found, and the seed is the F1 on dev.
TRAINS = """
import json, os, sys
folder, seed = sys.argv[1:]
for split in ("dev", "test"):
    with open(os.path.join(folder, "label_%s.txt" % split), "w") as writer:
        writer.write("a B-PER B-PER\\n\\nb B-PER %s\\n\\n" % ("O" if seed == "1" else "B-PER"))
best = {"step": 3, "f1": int(seed) / 100}
with open(os.path.join(folder, "run.json"), "w") as writer:
    json.dump({"best": best, "evaluations": [best, {"step": 6, "f1": 0.0}]}, writer)
"""
# A benchmark whose run writes its process number to the log and sleeps.
ENDED_BY_A_SIGNAL = """
import sys
from benchmarks.quality_runs import _run_process
from bert.system.errors import run_program
sleep = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
run_program(lambda: _run_process([sys.executable, "-c", sleep], sys.argv[1]))
"""


@pytest.fixture
def data_dir(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.txt").write_text(DOCUMENTS)
    for split in ("dev", "test"):
        (folder / f"{split}.txt").write_text("a B-PER\n\nb B-PER\n")
    return str(folder)


@pytest.fixture
def bert_dir(tmp_path):
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("[PAD]\n")
    return str(folder)


@pytest.fixture
def common(bert_dir):
    return Common(bert_dir, None, 4.0, sys.executable, "")


def put_process(monkeypatch, code):
    """Runs a piece of Python with the output directory and the seed in place of run.py and the peer."""

    def command(self, setting, data, data_dir, label_file, output_dir):
        return [sys.executable, "-c", code, output_dir, str(data.seed)]

    monkeypatch.setattr(Cache, "_command", command)


def test_documents_are_read_whole(data_dir):
    documents = samples.read_documents(os.path.join(data_dir, "train.txt"))
    start = "-DOCSTART- O\n"
    assert documents == [[start, "a B-PER\n", "b O\n"], [start, "c O\nd O\n", "e B-LOC\n", "f O\n"]]


def test_without_documents_each_sentence_is_one(tmp_path):
    path = tmp_path / "train.txt"
    path.write_bytes("a O\r\n\r\n\r\n\u2028 O\r\nb O".encode())
    assert samples.read_documents(str(path)) == [["a O\n"], ["\u2028 O\nb O\n"]]


@pytest.mark.parametrize("way", samples.WAYS)
def test_a_sample_is_of_the_size_asked_for_and_in_order(way):
    documents = [[f"{number} O\n"] for number in range(50)]
    drawn = [int(sentence.split()[0]) for sentence in samples.sample(documents, 20, way, 1)]
    assert len(drawn) == 20 and drawn == sorted(drawn)
    assert (drawn == list(range(20))) == (way == "first")
    assert samples.sample(documents, 20, way, 1) == samples.sample(documents, 20, way, 1)
    assert (samples.sample(documents, 20, way, 1) == samples.sample(documents, 20, way, 2)) == (way == "first")
    assert len(samples.sample(documents, 1000, way, 1)) == 50


def test_a_sample_of_documents_cuts_the_last_one(data_dir):
    documents = samples.read_documents(os.path.join(data_dir, "train.txt"))
    start = "-DOCSTART- O\n"
    assert samples.sample(documents, 2, "first", 1) == documents[0]
    assert samples.sample(documents, 3, "first", 1) == documents[0] + [start, "c O\nd O\n"]
    assert samples.sample(documents, 1, "random", 1)[0].startswith(start)


def test_a_sample_that_lacks_a_tag_gets_the_list_of_all(data_dir, tmp_path):
    output_dir = str(tmp_path / "sample")
    labels = samples.write_sample(data_dir, 2, "first", 1, output_dir)
    with open(labels) as reader:
        assert reader.read().split() == ["O", "B-LOC", "B-PER"]
    with open(os.path.join(output_dir, "train.txt")) as reader:
        assert reader.read() == "-DOCSTART- O\n\na B-PER\n\nb O\n\n"
    assert samples.write_sample(data_dir, 4, "first", 1, output_dir) is None
    assert samples.write_sample(data_dir, None, "random", 1, output_dir) is None
    with open(os.path.join(output_dir, "train.txt")) as reader:
        assert reader.read() == DOCUMENTS


def test_settings_of_both_sides():
    assert parse_setting("a b: -clip 1 -label_list 'O, B'") == Setting(
        "a b", None, ["-clip", "1", "-label_list", "O, B"]
    )
    assert parse_setting("defaults:") == Setting("defaults", None, [])
    assert parse_setting("peer-linear 2: lr=1e-4") == Setting("peer-linear 2", "linear", ["-lr", "1e-4"])
    assert parse_setting("peer-blstm-crf:").head == "blstm_crf"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("-clip 1", "a name, a colon and flags"),
        (": -clip 1", "a name, a colon and flags"),
        ("a: -clip '1", "No closing quotation"),
        ("peer: lr=1", "expected peer-linear or peer-blstm-crf"),
        ("peer-linear: -lr 1", "key=value with one of lr"),
        ("peer-linear: rate=1", "key=value with one of lr"),
    ],
)
def test_settings_that_cannot_be_read(text, expected):
    with pytest.raises(UserError, match=expected):
        parse_setting(text)


def test_a_result_is_of_what_made_it(tmp_path, data_dir, bert_dir, common):
    whole = Data(data_dir, None, "random", 1)

    def folder(common=common, setting=OURS, data=whole):
        return Cache(str(tmp_path), common).folder(setting, data)

    assert folder() == folder(setting=OURS._replace(name="another name"))
    assert folder() == folder(data=Data(data_dir, None, "first", 1)), "all sentences are all sentences"
    others = [folder(), folder(setting=OURS._replace(flags=[])), folder(setting=OURS._replace(head="linear"))]
    others += [folder(common=common._replace(**change)) for change in ({"epochs": None}, {"tag": "new"})]
    others += [folder(data=Data(data_dir, 2, way, 1)) for way in samples.WAYS]
    others += [folder(data=Data(data_dir, 3, "first", 1)), folder(data=Data(data_dir, None, "first", 2))]
    with open(os.path.join(bert_dir, "vocab.txt"), "a") as writer:
        writer.write("[UNK]\n")
    others.append(folder())
    with open(os.path.join(data_dir, "test.txt"), "a") as writer:
        writer.write("\nc O\n")
    others.append(folder())
    assert len(set(others)) == len(others)


def test_a_run_is_done_once_and_its_folder_is_small(monkeypatch, tmp_path, data_dir, common):
    put_process(monkeypatch, TRAINS)
    cache, data = Cache(str(tmp_path / "cache"), common), Data(data_dir, None, "random", 1)
    assert cache.result(OURS, data) is None
    os.makedirs(os.path.join(cache.folder(OURS, data), "run", "output"))  # of a benchmark that was killed
    cache.run(OURS, data, keep=False)
    result = cache.result(OURS, data)
    assert (result["dev_f1"], result["best_step"], result["steps"]) == (1.0, 3, 6)
    assert result["test_f1"] == pytest.approx(200 / 3)
    assert sorted(os.listdir(result["folder"])) == ["label_dev.txt", "label_test.txt", "log.txt", "result.json"]
    put_process(monkeypatch, "raise SystemExit(1)")
    cache.run(OURS, data, keep=False)
    put_process(monkeypatch, TRAINS)
    cache.run(OURS, data._replace(seed=2), keep=True)
    assert os.path.exists(os.path.join(cache.folder(OURS, data._replace(seed=2)), "run", "output", "run.json"))


def test_a_run_that_fails_leaves_no_result_and_the_others_go_on(monkeypatch, tmp_path, data_dir, common, capfd):
    put_process(monkeypatch, TRAINS.replace("best =", "if seed == '1': sys.exit('what is wrong')\nbest ="))
    cache = Cache(str(tmp_path / "cache"), common)
    jobs = [(OURS, Data(data_dir, None, "random", seed)) for seed in (1, 2)]
    assert quality.run_all(cache, jobs, keep=False) == ["ours, seed 1"]
    assert [cache.result(*job) is None for job in jobs] == [True, False]
    printed = capfd.readouterr()
    assert "what is wrong" in printed.err and "exit code 1" in printed.err
    assert "ours, seed 2: dev 2.00 test 100.00" in printed.out


def test_a_signal_ends_the_run_too(tmp_path):
    log = tmp_path / "log.txt"
    command = [sys.executable, "-c", ENDED_BY_A_SIGNAL, str(log)]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL) as benchmark:
        wait_for(lambda: log.exists() and log.read_text().endswith("\n"))
        benchmark.terminate()
        assert benchmark.wait(timeout=60) == 143
    wait_for(lambda: has_ended(int(log.read_text())))


def wait_for(condition, seconds=60):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end
        time.sleep(0.05)


def test_a_run_of_another_benchmark_is_waited_for(monkeypatch, tmp_path, data_dir, common):
    put_process(monkeypatch, TRAINS)
    cache, data = Cache(str(tmp_path / "cache"), common), Data(data_dir, None, "random", 1)
    with locked(cache.folder(OURS, data)):
        with pytest.raises(quality_runs.Busy):
            cache.run(OURS, data, keep=False)

        def sleep(_):
            with open(os.path.join(cache.folder(OURS, data), "result.json"), "w") as writer:
                json.dump({"dev_f1": 7.0, "test_f1": 8.0, "seconds": 9.0}, writer)

        monkeypatch.setattr(quality.time, "sleep", sleep)
        assert quality.run_all(cache, [(OURS, data)], keep=False) == []
    assert cache.result(OURS, data)["dev_f1"] == 7


def test_the_table(monkeypatch, tmp_path, data_dir, common):
    put_process(monkeypatch, TRAINS)
    cache = Cache(str(tmp_path / "cache"), common)
    results = {}
    for name, seeds in (("ours", (1, 2)), ("more", (1, 2, 3)), ("none", ())):
        setting = Setting(name, None, [name])
        results[name] = {}
        for seed in seeds:
            cache.run(setting, Data(data_dir, None, "random", seed), keep=False)
            results[name][seed] = cache.result(setting, Data(data_dir, None, "random", seed))
            results[name][seed].update(seconds=10 * seed, cpu_seconds=seed)
    results["more"][1]["dev_f1"], results["more"][2]["dev_f1"] = 2.0, 5.0
    head, rule, *rows = quality.table(results, "dev").split("\n")
    assert head.count("|") == rule.count("|") == len(quality.COLUMNS) + 1
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert cells[0] == ["ours", "2", "1.50", "0.71", "1.00", "2.00", "-", "-", "-", "15", "2"]
    # Differences 1 and 3 on the two seeds that both have: t = 2 with one degree of freedom.
    assert cells[1] == ["more", "3", "3.33", "1.53", "2.00", "5.00", "+2.00", "0.295", "1.000", "20", "2"]
    assert cells[2] == ["none", "0"] + ["-"] * 9
