"""Whether several TensorFlows train, tag and serve the same: run by hand after a change of version.

    python -m benchmarks.across_tensorflows .venv/bin/python .venv-tf1/bin/python .venv-tf-new/bin/python

In: a Python for each TensorFlow. The first one trains a tagger on the demo's data. From its weights each of them trains
twenty steps without dropout, tags the test set and exports. Each then tags the same texts with the exports of all.
Out: the largest differences of losses (relative) from the first's; and for each export the largest difference of words'
scores (absolute) from those that the first finds with it, and the number of tags that differ.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STEPS = 20
# Prints the losses in a run's events: in a process, as only one with TensorFlow can read them.
LOSSES = """
import glob, json, sys
from bert.system import startup
import tensorflow.compat.v1 as tf
found = {}
for path in sorted(glob.glob(sys.argv[1] + "/events.*")):
    for event in tf.train.summary_iterator(path):
        found.update({event.step: value.simple_value for value in event.summary.value if value.tag == "loss"})
print(json.dumps([found[step] for step in sorted(found)]))
"""
# Prints (tag, score) for each word that an export finds in a file of texts.
WORDS = """
import json, sys
from train.predictor import Predictor
with open(sys.argv[2], encoding="utf-8") as reader, Predictor(sys.argv[1]) as predictor:
    print(json.dumps([(token.tag, token.score) for tokens in predictor.tokens(list(reader)) for token in tokens]))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pythons", nargs="+", help="the Python of each TensorFlow")
    pythons = parser.parse_args().pythons
    with tempfile.TemporaryDirectory() as folder:
        compare(pythons, folder)


def compare(pythons, folder):
    """Prints the comparison; `folder` is an empty directory for all that is made."""
    first = os.path.join(folder, "first")
    data = "data_demo"
    encoder = without_dropout(data, folder)
    flags = ["-bert_dir", encoder, "-data_dir", data, "-batch_size", "16", "-bucket=false", "-xla=false"]
    run(pythons[0], "run.py", *flags, "-output_dir", first, "-learning_rate", "1e-3", "-num_train_epochs", "0.2")
    prefix = newest_checkpoint(os.path.join(first, "best"))
    texts = os.path.join(folder, "texts.txt")
    with open(os.path.join(data, "test.txt"), encoding="utf-8") as reader, open(texts, "w", encoding="utf-8") as writer:
        for sentence in reader.read().strip().split("\n\n")[:200]:
            writer.write(" ".join(line.split()[0] for line in sentence.splitlines()) + "\n")

    losses, runs = [], []
    for number, python in enumerate(pythons):
        output = os.path.join(folder, f"run{number}")
        epochs = STEPS * 16 / count_sentences(os.path.join(data, "train.txt"))
        run(
            python, "run.py", *flags, "-output_dir", output, "-init_checkpoint", prefix, "-dropout_rate", "0",
            "-learning_rate", "1e-4", "-num_train_epochs", str(epochs), "-save_summary_steps", "1", "-do_export",
        )  # fmt: skip
        losses.append(np.array(json.loads(run(python, "-c", LOSSES, output))))
        runs.append(output)
    for number, python in enumerate(pythons):
        difference = np.max(np.abs(losses[number] / losses[0] - 1.0))
        same = read(os.path.join(runs[number], "label_test.txt")) == read(os.path.join(runs[0], "label_test.txt"))
        print(f"{python}: {STEPS} losses within {difference:.1e} of the first's; the same label_test.txt: {same}")

    for output, maker in zip(runs, pythons):
        reference = None
        for python in pythons:
            words = json.loads(run(python, "-c", WORDS, os.path.join(output, "export"), texts))
            reference = reference or words
            tags = sum(a[0] != b[0] for a, b in zip(words, reference))
            scores = max(abs(a[1] - b[1]) for a, b in zip(words, reference))
            print(
                f"{python} on the export of {maker}: {len(words)} words, {tags} other tags, scores within {scores:.1e}"
            )


def without_dropout(data, folder):
    """A copy of the demo's encoder whose config has no dropout; its directory."""
    encoder = os.path.join(folder, "encoder")
    os.makedirs(encoder)
    config = json.loads(read(os.path.join(data, "bert_config.json")))
    config.update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    with open(os.path.join(encoder, "bert_config.json"), "w") as writer:
        json.dump(config, writer)
    with open(os.path.join(encoder, "vocab.txt"), "w", encoding="utf-8") as writer:
        writer.write(read(os.path.join(data, "vocab.txt")))
    return encoder


def newest_checkpoint(folder):
    steps = [int(name[len("model.ckpt-") : -len(".index")]) for name in os.listdir(folder) if name.endswith(".index")]
    return os.path.join(folder, f"model.ckpt-{max(steps)}")


def count_sentences(path):
    return len([sentence for sentence in read(path).split("\n\n") if sentence.strip()])


def read(path):
    with open(path, encoding="utf-8", newline="") as reader:
        return reader.read()


def run(*command):
    """The standard output of a command in the repository; its end where it fails."""
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    main()
