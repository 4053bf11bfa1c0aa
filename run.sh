#!/usr/bin/env bash
# Fine-tunes, evaluates, predicts, scores, writes report.html and exports: the demo, or your own data with your own BERT.
#
#   bash run.sh
#   BERT_DIR=chinese_L-12_H-768_A-12 DATA_DIR=my_data OUTPUT_DIR=output/mine bash run.sh [flags of run.py]
set -euo pipefail
cd "$(dirname "$0")"
. .ci/environment.sh

# shellcheck disable=SC2086,SC2154  # a list of versions, from environment.sh
python=$(need_python $supported_pythons)
make_venv .venv "$python" requirements.txt

if [ -z "${BERT_DIR:-}" ] && [ -z "${DATA_DIR:-}" ]; then
    # The demo trains its tiny encoder from scratch, which takes larger steps than fine-tuning.
    set -- -batch_size 16 -learning_rate 1e-3 -num_train_epochs 10 -dropout_rate 0.3 "$@"
fi
exec .venv/bin/python run.py -do_export -report \
    -bert_dir "${BERT_DIR:-data_demo}" -data_dir "${DATA_DIR:-data_demo}" -output_dir "${OUTPUT_DIR:-output/demo}" "$@"
