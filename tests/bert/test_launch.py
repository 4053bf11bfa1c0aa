"""The launcher with small programs as tasks: what they are told, what becomes of them when one dies."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from bert import launch
from bert.system.errors import UserError
from tests.paths import REPOSITORY

WHO = "import json, os, sys; c = json.loads(os.environ['TF_CONFIG']); t = c['task']; me = t['type']; n = t['index']\n"


def start(folder, program, *flags, launcher=("-m", "bert.launch")):
    """The launcher, started with a program for its tasks that runs in the folder."""
    (folder / "task.py").write_text(WHO + program)
    command = [sys.executable, *launcher, *flags, "--", "task.py", "-a=b"]
    return subprocess.Popen(
        command,
        cwd=str(folder),
        env=dict(os.environ, PYTHONPATH=REPOSITORY),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as reader:
            return reader.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def run(folder, program, *flags):
    """(exit code, standard output, standard error) of the launcher."""
    process = start(folder, program, *flags)
    out, err = process.communicate(timeout=1200)
    return process.returncode, out, err


def test_every_task_gets_its_place_in_one_cluster(tmp_path):
    program = "print(json.dumps(c), sys.argv[1:]); print('wrong', file=sys.stderr)"
    code, out, err = run(tmp_path, program, "-workers=3", "-evaluator")
    assert code == 0
    found = {}
    for line in out.splitlines():
        name, config = re.match(r"\[(.+?)\] (.+) \['-a=b'\]$", line).groups()
        found[name] = json.loads(config)
    assert sorted(found) == ["chief 0", "evaluator 0", "worker 0", "worker 1"]
    clusters = [config["cluster"] for config in found.values()]
    assert all(cluster == clusters[0] for cluster in clusters)
    assert {name: len(addresses) for name, addresses in clusters[0].items()} == {
        "chief": 1, "worker": 2, "evaluator": 1,
    }  # fmt: skip
    addresses = sum(clusters[0].values(), [])
    assert len(set(addresses)) == 4 and all(re.match(r"127\.0\.0\.1:\d+$", address) for address in addresses)
    for name, config in found.items():
        assert name == f"{config['task']['type']} {config['task']['index']}"
    assert sorted(err.splitlines()) == sorted(f"[{name}] wrong" for name in found)


# Each task notes that it has begun; the one that is to die waits until all have.
NOTE = (
    "import signal, time\n"
    "open(f'{me}{n}-{os.getpid()}', 'w').close()\n"
    "while len(os.listdir('.')) % 3 != 1: time.sleep(0.01)\n"
)


@pytest.mark.parametrize("victim", ["chief", "worker", "evaluator"])
def test_when_one_is_killed_all_start_again(victim, tmp_path):
    program = NOTE + (
        "first = len(os.listdir('.')) == 4\n"
        f"if first and me == '{victim}': os.kill(os.getpid(), signal.SIGKILL)\n"
        "if first: time.sleep(60)\n"
        "print('done')\n"
    )
    code, out, err = run(tmp_path, program, "-workers=2", "-evaluator")
    assert code == 0
    assert sorted(out.splitlines()) == ["[chief 0] done", "[evaluator 0] done", "[worker 0] done"]
    assert err == f"[launch] {victim} 0 died of SIGKILL; all tasks start again from the last checkpoint (1 of 10)\n"
    assert len(os.listdir(str(tmp_path))) == 7


def test_it_gives_up_in_the_end(tmp_path):
    program = "import time\nsys.exit(3) if n else time.sleep(60)"
    code, _, err = run(tmp_path, program, "-workers=3", "-restarts=2")
    assert code == 1
    assert err.splitlines()[-1] == "[launch] worker 1 died of exit code 3; started again 2 times already, see -restarts"
    assert err.count("start again") == 2


def test_output_of_any_bytes_and_a_reader_that_goes(tmp_path, monkeypatch):
    """Neither keeps a task from its work."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    program = (
        "out = sys.stdout.buffer\n"
        "for _ in range(20000): out.write(b'caf\\xc3\\xa9 \\xff\\n'); out.flush()\n"
        "open(me, 'w').close()\n"
    )
    (tmp_path / "task.py").write_text(WHO + program)
    process = subprocess.Popen(
        [sys.executable, "-m", "bert.launch", "-workers=1", "--", "task.py"],
        cwd=str(tmp_path), env=dict(os.environ, PYTHONPATH=REPOSITORY), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == b"[chief 0] caf\xc3\xa9 \xff\n"
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.wait(300)
    assert (tmp_path / "chief").exists()


def test_a_program_that_is_not_there(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "bert.launch", "--", "nosuchprogram"],
        cwd=str(tmp_path), env=dict(os.environ, PYTHONPATH=REPOSITORY), stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    assert process.returncode == 2
    assert process.stderr == "error: nosuchprogram: cannot be started: No such file or directory\n"


@pytest.mark.parametrize("code", [2, 143])
def test_what_was_asked_for_is_not_started_again(code, tmp_path):
    found, _, err = run(tmp_path, f"sys.exit({code}) if me == 'chief' else __import__('time').sleep(1)")
    assert (found, err) == (code, "")


# Those that train end by SIGTERM or SIGINT with what those have for exit codes, the chief having saved.
ENDING = (
    "import signal, time\n"
    "def end(signum, frame):\n"
    "    if me == 'chief': time.sleep(1.5); print('saved')\n"
    "    sys.exit(128 + signum)\n"
    "for signum in (signal.SIGTERM, signal.SIGINT): signal.signal(signum, end if me != 'ps' else signal.SIG_DFL)\n"
    "print(me, os.getpid()); time.sleep(60)\n"
)


@pytest.mark.parametrize("victim", ["chief", "worker", "evaluator"])
def test_a_signal_to_one_task_ends_all_and_the_chief_saves(victim, tmp_path):
    # Where the chief ends first, the others have only so long.
    quick = "from bert import launch; launch.SHORT_GRACE = 1.0; launch.run_program(launch.main)"
    process = start(tmp_path, ENDING, "-workers=2", "-evaluator", launcher=["-c", quick])
    pids = dict(process.stdout.readline().split()[-2:] for _ in range(3))
    os.kill(int(pids[victim]), signal.SIGTERM)
    out, err = process.communicate(timeout=1200)
    assert process.returncode == 143 and out == "[chief 0] saved\n"
    said = f"[launch] {victim} 0: asked to end, so all do; the same command goes on from the last checkpoint\n"
    assert err == ("" if victim == "chief" else said)
    assert not any(is_alive(int(pid)) for pid in pids.values())


def test_a_chief_that_does_not_end_is_killed(tmp_path, monkeypatch, capsys):
    """As one in a step that lacks its parameter server."""
    (tmp_path / "task.py").write_text(
        WHO + "import signal, time\n"
        "if me == 'chief': signal.signal(signal.SIGTERM, signal.SIG_IGN); open('deaf', 'w').close(); time.sleep(60)\n"
        "while not os.path.exists('deaf'): time.sleep(0.01)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "SHORT_GRACE", 0.5)
    assert launch.launch(*launch.parse_args(["-workers=1", "-ps=1", "--", "task.py"])) == 143
    assert capsys.readouterr().err == (
        "[launch] ps 0: asked to end, so all do; the same command goes on from the last checkpoint\n"
        "[launch] chief 0 does not end and is killed; the same command goes on from the last checkpoint\n"
    )


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_launcher_ends_all(signum, tmp_path):
    process = start(tmp_path, ENDING, "-workers=2", "-ps=1")
    pids = [int(process.stdout.readline().split()[-1]) for _ in range(3)]
    process.send_signal(signum)
    out, _ = process.communicate(timeout=1200)
    assert process.returncode == 128 + signum and out == "[chief 0] saved\n"
    assert not any(map(is_alive, pids))


def test_tasks_end_with_the_launcher(tmp_path):
    process = start(tmp_path, "import time\nprint(me, os.getpid()); time.sleep(60)\n")
    pids = [int(process.stdout.readline().split()[-1]) for _ in range(2)]
    process.kill()
    process.wait()
    deadline = time.time() + 300
    while any(map(is_alive, pids)) and time.time() < deadline:
        time.sleep(0.01)
    assert not any(map(is_alive, pids))


@pytest.mark.parametrize(
    "argv,expected",
    [
        (["--", "run.py", "-x"], [sys.executable, "run.py", "-x"]),
        (["-workers", "3", "--", "-m", "bert.run_squad"], [sys.executable, "-m", "bert.run_squad"]),
        (["--", "./train.sh", "--", "y"], ["./train.sh", "--", "y"]),
    ],
)
def test_command_of_a_task(argv, expected):
    assert launch.parse_args(argv)[1] == expected


@pytest.mark.parametrize("argv", [[], ["-workers=2"], ["-workers=2", "--"], ["-workers=0", "--", "run.py"], ["run.py"]])
def test_wrong_command_lines(argv):
    with pytest.raises(UserError):
        launch.parse_args(argv)
