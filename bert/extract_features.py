"""Writes features of each piece of a text: its vectors in chosen layers of an encoder.

In: a file with one text per line, or a pair `text ||| second text`. Out: JSON lines in the format of Google BERT's
program, or one .npz file, whose arrays `write_npz` describes.

    python -m bert.extract_features --input_file=input.txt --output_file=output.jsonl --layers=-1,-2,-3,-4 \\
        --vocab_file=... --bert_config_file=... --init_checkpoint=.../bert_model.ckpt
"""

import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file: its own directory is no place to import from
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
elif not __package__:  # imported as `extract_features`, by a script in this folder
    sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bert.system import startup  # noqa: I001  before TensorFlow
from bert.runtime.vector_flags import check_features_flags as check_flags
from bert.runtime.vector_flags import parse_features_flags as parse_flags
from bert.system.errors import run_program

if __name__ == "__main__":  # before TensorFlow is loaded, which takes seconds
    run_program(lambda: check_flags(parse_flags()))

import contextlib
import json
import logging
import shutil
import tempfile
import zipfile

import numpy as np
from tqdm import tqdm

from bert.data.pairs import truncate_seq_pair as _truncate_seq_pair  # noqa: F401
from bert.runtime import devices, encoding
from bert.runtime.encoder_files import EncoderFiles
from bert.runtime.features import (  # noqa: F401  for scripts that import them from here
    InputExample,
    InputFeatures,
    convert_examples_to_features,
    input_fn_builder,
    model_fn_builder,
    read_examples,
)
from bert.system import filesystem, lines
from bert.system.files import atomic_open, atomic_path, check_output

log = logging.getLogger("bert.extract_features")  # the same however it is started
DECIMALS = 6


def main():
    args = parse_flags()
    check_flags(args)
    devices.prepare(args.device_map)
    startup.set_up_program(args.verbose)
    check_output(args.output_file, args.input_file)
    count = lines.count(args.input_file, "one text per line")
    encoder = encoding.Encoder(
        EncoderFiles.from_dict(vars(args)),
        args.layers,
        args.batch_size,
        args.use_one_hot_embeddings,
        args.precision,
        args.xla,
    )
    with encoder:
        pairs = (encoding.split_pair(line) for _, line in lines.read(args.input_file, "one text per line, in UTF-8"))
        features = tqdm(encoder.encode(pairs), total=count, unit="line", disable=None)
        if args.format == "npz":
            count = write_npz(args.output_file, features, args.layers, encoder)
        else:
            count = write_json_lines(args.output_file, features, args.layers)
    log.info("wrote %s: layers %s of %d texts", args.output_file, args.layers, count)


def write_json_lines(path, features, layers):
    """Writes one JSON object per text, in the order of the texts; returns their number.

    {"linex_index": 0, "features": [{"token": "[CLS]", "layers": [{"index": -1, "values": [0.1, ...]}, ...]}, ...]}

    Args:
      path: file to write.
      features: iterable of encoding.EncodedText.
      layers: list of int, the `index` of each layer.
    """
    count = 0
    with atomic_open(path) as writer:
        for count, (tokens, values) in enumerate(features, 1):
            rounded = np.round(values.astype(np.float64), DECIMALS).tolist()
            pieces = [
                {"token": token, "layers": [{"index": layer, "values": row} for layer, row in zip(layers, rows)]}
                for token, rows in zip(tokens, rounded)
            ]
            # json.dump would be several times slower: it goes through the values in Python.
            writer.write(json.dumps({"linex_index": count - 1, "features": pieces}) + "\n")
    return count


def write_npz(path, features, layers, encoder):
    """Writes the features of all texts as arrays for `numpy.load`; returns the number of texts.

    Text i has the rows from offsets[i] up to, but without, offsets[i + 1] of `tokens` and `values`:

      values   float32 [pieces of all texts, layers, hidden], not rounded
      tokens   str [pieces of all texts], with [CLS] and [SEP]
      offsets  int64 [texts + 1]
      layers   int64 [layers], as given by -layers

    Args:
      path: file to write; no ending is added.
      features: iterable of encoding.EncodedText.
      layers: list of int.
      encoder: encoding.Encoder.
    """
    longest = max(len(token) for token in encoder.tokenizer.vocab)
    # Beside the output, where there is room; else in the folder of temporary files.
    folder = None if filesystem.is_remote(path) else os.path.dirname(filesystem.abspath(path))
    with atomic_path(path) as temporary, contextlib.ExitStack() as stack:

        def column(dtype, *row_shape):
            return _Column(dtype, row_shape, stack.enter_context(tempfile.TemporaryFile(dir=folder)))

        columns = {
            "values": column("<f4", len(layers), encoder.hidden_size),
            "tokens": column(f"<U{longest}"),
            "offsets": column("<i8"),
            "layers": column("<i8"),
        }
        columns["layers"].append(layers)
        columns["offsets"].append([0])
        for tokens, values in features:
            columns["values"].append(values)
            columns["tokens"].append(tokens)
            columns["offsets"].append([columns["tokens"].rows])
        with filesystem.open_file(temporary, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            for name, column in columns.items():
                column.copy_into(archive, name)
    return columns["offsets"].rows - 1


class _Column:
    """An array that grows in a temporary file. An .npy file begins with its number of rows, so it is written last."""

    def __init__(self, dtype, row_shape, file):
        self._dtype = np.dtype(dtype)
        self._row_shape = row_shape
        self._file = file
        self.rows = 0

    def append(self, rows):
        self._file.write(np.asarray(rows, self._dtype).tobytes())
        self.rows += len(rows)

    def copy_into(self, archive, name):
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.rows, *self._row_shape)}
        self._file.seek(0)
        with archive.open(name + ".npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            shutil.copyfileobj(self._file, member, 1 << 20)


if __name__ == "__main__":
    run_program(main)
