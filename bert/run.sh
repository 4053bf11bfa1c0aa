#!/usr/bin/env bash
# A vector for each line of INPUT (an id and a tab may precede the text), one a line in OUTPUT:
#
#   BERT_DIR=uncased_L-12_H-768_A-12 bash bert/run.sh
#   BERT_DIR=... INPUT=my.txt OUTPUT=my.tsv bash bert/run.sh --pooling=mean-max --layer=-2
#
# BERT_DIR is a Google BERT release, unpacked; without it the files that CONFIG names are used.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
INPUT=${INPUT:-$here/sample_text.txt}
OUTPUT=${OUTPUT:-output/sentence2vec.tsv}

if [ -n "${BERT_DIR:-}" ]; then
    set -- --bert_config_file="$BERT_DIR/bert_config.json" --vocab_file="$BERT_DIR/vocab.txt" \
        --init_checkpoint="$BERT_DIR/bert_model.ckpt" "$@"
fi
mkdir -p "$(dirname "$OUTPUT")"
exec "${PYTHON:-python}" "$here/sentence2vec.py" --config="${CONFIG:-$here/sentence2vec.json}" \
    --input_file="$INPUT" --output_file="$OUTPUT" "$@"
