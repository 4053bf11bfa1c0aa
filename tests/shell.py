"""Shell examples without the start of the programs that they call: those are run in this process."""

import json
import os
import subprocess
import sys

RECORDER = """#!{python} -S
import json, os, sys
with open({record!r}, "a") as writer:
    writer.write(json.dumps(sys.argv[1:]) + "\\n")
"""


def commands_of(script, *flags, cwd, **variables):
    """What a script of bash has Python do: for each call of `$PYTHON` its arguments.

    Args:
      script: path of the script.
      flags: its arguments.
      cwd: pathlib.Path, the directory in which it is run.
      variables: further variables of its environment.
    """
    record, python = cwd / "commands", cwd / "python"
    python.write_text(RECORDER.format(python=sys.executable, record=str(record)))
    python.chmod(0o755)
    done = subprocess.run(
        ["bash", script, *flags], cwd=str(cwd), env=dict(os.environ, PYTHON=str(python), **variables),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with open(str(record)) as reader:
        return [json.loads(line) for line in reader]
