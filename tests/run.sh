#!/usr/bin/env bash
# Sets up what the tests need and runs them: `bash tests/run.sh` on TensorFlow 2.15, `--tf1` on 1.15.
# Further arguments go to pytest. What does not depend on TensorFlow runs on 2.15 only (tests/selection.py); with
# --everything all tests run.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/environment.sh

versions="3.11 3.10 3.9" venv=.venv
if [ "${1:-}" = --tf1 ]; then
    shift
    versions=3.7 venv=.venv-tf1
fi
# shellcheck disable=SC2086  # a list of versions
python=$(find_python $versions) || { echo "no Python of $versions on the PATH" >&2; exit 2; }
command -v perl > /dev/null || { echo "the tests of train/conlleval.pl need perl on the PATH" >&2; exit 2; }
make_venv "$venv" "$python" requirements.txt tests/requirements.txt
exec "$venv/bin/python" -m pytest -n auto --maxprocesses 4 --dist worksteal "$@"
