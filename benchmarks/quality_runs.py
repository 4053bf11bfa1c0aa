"""The runs of benchmarks/quality.py: each a process of its own, its result in the cache.

A run's folder in the cache has result.json, label_dev.txt, label_test.txt and log.txt. It holds a lock while the run
goes on, so that several benchmarks can share a cache.
"""

import collections
import contextlib
import hashlib
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import time

from benchmarks.paired import entity_counts, f1
from benchmarks.samples import SPLITS, write_sample
from bert.system import signals
from bert.system.errors import UserError
from bert.system.files import read_json, sha256, write_json
from bert.system.run_lock import locked

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULT, LOG, WORK = "result.json", "log.txt", "run"
TAGGED = {"dev": "label_dev.txt", "test": "label_test.txt"}
PEER = re.compile(r"peer-(linear|blstm[-_]crf)\b")
PEER_KEYS = ("lr", "head_lr", "batch", "dropout", "lstm_size", "weight_decay", "warmup", "clip", "precision")
_SHOWN = 15  # lines of the log of a run that failed


class Busy(UserError):
    """Another process has this run in hand."""


# name: str; head: of the peer, None for ours; flags: list of str, of run.py or of the peer.
Setting = collections.namedtuple("Setting", ["name", "head", "flags"])
# data_dir: str; size: sentences of train.txt, None for all; way: how they are chosen; seed: int.
Data = collections.namedtuple("Data", ["data_dir", "size", "way", "seed"])
# What all runs of a benchmark share. bert_dir, peer_weights: directories; epochs: float or None; peer_python: path;
# tag: what the user calls this state of the code.
Common = collections.namedtuple("Common", ["bert_dir", "peer_weights", "epochs", "peer_python", "tag"])


def parse_setting(text):
    """The Setting of "name: -flag value ..." or, of the peer, "peer-linear: key=value ..."."""
    name, colon, values = text.partition(":")
    name = name.strip()
    try:
        words = shlex.split(values)
    except ValueError as error:
        raise UserError(f"-setting '{text}': {error}")
    if not (name and colon):
        raise UserError(f"-setting '{text}': expected a name, a colon and flags")
    if not name.startswith("peer"):
        return Setting(name, None, words)
    peer = PEER.match(name)
    if not peer:
        raise UserError(f"-setting '{text}': expected peer-linear or peer-blstm-crf, and what else you like after it")
    flags = []
    for word in words:
        key, equals, value = word.partition("=")
        if key not in PEER_KEYS or not equals:
            raise UserError(f"-setting '{text}': {word}: expected key=value with one of {', '.join(PEER_KEYS)}")
        flags += [f"-{key}", value]
    return Setting(name, peer.group(1).replace("-", "_"), flags)


class Cache:
    """The results in a directory, by what made them.

    Args:
      directory: made if there is none.
      common: Common.
    """

    def __init__(self, directory, common):
        self._directory = directory
        self._common = common
        self._digests = {}

    def folder(self, setting, data):
        """The folder of a run."""
        common = self._common
        weights = common.bert_dir if setting.head is None or not common.peer_weights else common.peer_weights
        made_of = {
            "head": setting.head,
            "flags": setting.flags,
            "data": [self._digest(data.data_dir, SPLITS), data.size, data.way if data.size else None, data.seed],
            "weights": self._digest(weights, sorted(os.listdir(weights))),
            "epochs": common.epochs,
            "tag": common.tag,
        }
        digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]
        name = os.path.basename(os.path.normpath(data.data_dir))
        return os.path.join(self._directory, f"{name}-{data.size or 'all'}-s{data.seed}-{digest}")

    def result(self, setting, data):
        """What `run` wrote, with the folder under "folder"; None where there is nothing yet."""
        folder = self.folder(setting, data)
        path = os.path.join(folder, RESULT)
        return dict(read_json(path), folder=folder) if os.path.exists(path) else None

    def run(self, setting, data, keep):
        """Trains, tags and scores, unless another process has done it meanwhile.

        Args:
          setting: Setting.
          data: Data.
          keep: whether the run's directory stays.

        Raises:
          Busy: another process runs it now.
          UserError: the run failed.
        """
        folder = self.folder(setting, data)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(folder))
            except UserError as error:
                raise Busy(str(error))
            if os.path.exists(os.path.join(folder, RESULT)):
                return
            work = os.path.join(folder, WORK)
            shutil.rmtree(work, ignore_errors=True)  # of a benchmark that was killed
            label_file = write_sample(data.data_dir, data.size, data.way, data.seed, os.path.join(work, "data"))
            output_dir = os.path.join(work, "output")
            os.mkdir(output_dir)
            command = self._command(setting, data, os.path.join(work, "data"), label_file, output_dir)
            seconds, cpu_seconds = _run_process(command, os.path.join(folder, LOG))
            result = _scores(output_dir)
            for name in TAGGED.values():
                shutil.copyfile(os.path.join(output_dir, name), os.path.join(folder, name))
            if not keep:
                shutil.rmtree(work)
            made_of = {"setting": setting.name, "head": setting.head, "flags": setting.flags, "data": list(data)}
            made_of.update(epochs=self._common.epochs, tag=self._common.tag, command=command)
            result.update(seconds=seconds, cpu_seconds=cpu_seconds, **made_of)
            write_json(os.path.join(folder, RESULT), result)

    def _command(self, setting, data, data_dir, label_file, output_dir):
        common = self._common
        files = ["-data_dir", data_dir, "-output_dir", output_dir, "-seed", str(data.seed)]
        if setting.head is not None:
            command = [common.peer_python, "-m", "benchmarks.peer_quality", "-head", setting.head]
            command += ["-weights", common.peer_weights or common.bert_dir, "-epochs", str(common.epochs)]
            return command + files + setting.flags
        command = [sys.executable, "run.py", "-bert_dir", common.bert_dir, *files, "-do_export=false", "-report=false"]
        command += ["-label_list", label_file] if label_file else []
        command += ["-num_train_epochs", str(common.epochs)] if common.epochs is not None else []
        return command + setting.flags

    def _digest(self, directory, names):
        if directory not in self._digests:
            files = [os.path.join(directory, name) for name in names]
            digests = [sha256(path) for path in files if os.path.isfile(path)]
            self._digests[directory] = hashlib.sha256("".join(digests).encode()).hexdigest()
        return self._digests[directory]


def _run_process(command, log_file):
    """Runs a command from the repository; returns its seconds on the clock and those of all cores."""
    used, start = _children_seconds(), time.time()
    with open(log_file, "wb") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=subprocess.STDOUT)
        # Killed, not waited for: the signal comes while this thread waits, and a second wait inside would never return.
        with signals.cleanup_on_exit(process.kill):
            process.wait()
    if process.returncode:
        with open(log_file, encoding="utf-8", errors="replace") as reader:
            sys.stderr.write("".join(reader.readlines()[-_SHOWN:]))
        raise UserError(f"{log_file}: the run ended with exit code {process.returncode}: {' '.join(command)}")
    return round(time.time() - start, 1), round(_children_seconds() - used, 1)


def _children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _scores(output_dir):
    """The scores of a run, from its run.json and its tagged files; F1 in percent."""
    state = read_json(os.path.join(output_dir, "run.json"))
    return {
        "dev_f1": 100 * state["best"]["f1"],
        "test_f1": float(f1(entity_counts(os.path.join(output_dir, TAGGED["test"])).sum(0))),
        "best_step": state["best"]["step"],
        "steps": state["evaluations"][-1]["step"],
        "evaluations": state["evaluations"],
    }
