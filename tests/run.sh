#!/usr/bin/env bash
# Sets up what the tests need and runs them. Further arguments go to pytest.
#
#   bash tests/run.sh             on the first TensorFlow that there is a Python for: 2.15, else 2.21, else 1.15
#   bash tests/run.sh --tf1       on TensorFlow 1.15
#   bash tests/run.sh --tf-new    on TensorFlow 2.21
#
# With the last two, what does not depend on TensorFlow is left to the first (tests/selection.py), unless --everything
# is given.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/environment.sh

case "${1:-}" in
    --tf1) versions=3.7 venv=.venv-tf1; shift ;;
    --tf-new) versions="3.13 3.12" venv=.venv-tf-new; shift ;;
    *) versions=$supported_pythons venv=.venv; set -- --everything "$@" ;;
esac
# shellcheck disable=SC2086  # a list of versions
python=$(need_python $versions)
command -v perl > /dev/null || { echo "the tests of train/conlleval.pl need perl on the PATH" >&2; exit 2; }
make_venv "$venv" "$python" requirements.txt tests/requirements.txt
# Where bytecode is not written, every worker and every program that a test starts compiles all modules anew.
export PYTHONDONTWRITEBYTECODE=
# One worker more than there are cores: tests wait for processes that they start. At most 4: each takes a gigabyte.
workers=$("$venv/bin/python" -c 'import os; print(min(os.cpu_count() + 1, 4))')
exec "$venv/bin/python" -m pytest -n "$workers" --dist worksteal "$@"
