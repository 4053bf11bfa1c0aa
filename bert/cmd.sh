#!/usr/bin/env bash
# Features of each piece of each line of INPUT, as JSON lines and as arrays:
#
#   BERT_DIR=uncased_L-12_H-768_A-12 bash bert/cmd.sh
#   BERT_DIR=... INPUT=my.txt OUTPUT_DIR=output/features LAYERS=-1 bash bert/cmd.sh [flags of extract_features.py]
#
# BERT_DIR is a Google BERT release, unpacked: bert_config.json, vocab.txt, bert_model.ckpt.*
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${BERT_DIR:?expected the directory of a BERT release}"
INPUT=${INPUT:-$here/sample_text.txt}
OUTPUT_DIR=${OUTPUT_DIR:-output/features}

mkdir -p "$OUTPUT_DIR"
extract() {
    "${PYTHON:-python}" "$here/extract_features.py" --input_file="$INPUT" \
        --bert_config_file="$BERT_DIR/bert_config.json" --vocab_file="$BERT_DIR/vocab.txt" \
        --init_checkpoint="$BERT_DIR/bert_model.ckpt" \
        --layers="${LAYERS:--1,-2,-3,-4}" --max_seq_length="${MAX_SEQ_LENGTH:-128}" "$@"
}
extract --output_file="$OUTPUT_DIR/features.jsonl" "$@"
extract --output_file="$OUTPUT_DIR/features.npz" --format=npz "$@"
