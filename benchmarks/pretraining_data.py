"""How long create_pretraining_data takes and how much memory, with 1 and with 2 processes, on a corpus of 200 MB.

    python benchmarks/pretraining_data.py --vocab_file=data_demo/vocab.txt [--megabytes=200] [--dupe_factor=1]

The corpus is made of the words of bert/sample_text.txt in random order. Memory is the largest sum over all processes of
what each has of its own and its share of what several have (PSS), seen by a look every half second; Linux only.
"""

import argparse
import glob
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocab_file", default=os.path.join(REPOSITORY, "data_demo", "vocab.txt"))
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--dupe_factor", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = os.path.join(folder, "corpus.txt")
        write_corpus(corpus, args.megabytes)
        seconds, digests = {}, set()
        for processes in (1, 2):
            output = os.path.join(folder, f"records-{processes}")
            seconds[processes], memory = measure(args, corpus, output, processes)
            digests.add(digest(output))
            size = os.path.getsize(output) / 1e6
            print(
                f"processes: {processes}, {seconds[processes]:.1f} s, {memory:.0f} MB of memory, {size:.0f} MB written"
            )
            os.remove(output)
        print(f"{seconds[1] / seconds[2]:.2f} times faster; the records are the same: {len(digests) == 1}")


def write_corpus(path, megabytes):
    """Documents of 5 to 60 sentences, each of 5 to 30 words of the sample text or as many Chinese characters."""
    with open(os.path.join(REPOSITORY, "bert", "sample_text.txt"), encoding="utf-8") as reader:
        text = reader.read()
    english = [word for word in text.split() if ord(max(word)) < 0x250]
    chinese = [char for char in text if ord(char) > 0x2FFF]
    rng = random.Random(1)
    with open(path, "w", encoding="utf-8") as writer:
        while writer.tell() < megabytes * 1e6:
            for _ in range(rng.randint(5, 60)):
                words, space = (chinese, "") if rng.random() < 0.5 else (english, " ")
                writer.write(space.join(rng.choice(words) for _ in range(rng.randint(5, 30))) + "\n")
            writer.write("\n")


def measure(args, corpus, output, processes):
    """(seconds, peak megabytes) of one run."""
    program = os.path.join(REPOSITORY, "bert", "create_pretraining_data.py")
    start, peak = time.time(), 0
    run = subprocess.Popen(
        [sys.executable, program, f"--input_file={corpus}", f"--output_file={output}"]
        + [f"--vocab_file={args.vocab_file}", f"--dupe_factor={args.dupe_factor}", f"--num_processes={processes}"]
    )
    while run.poll() is None:
        peak = max(peak, sum(map(proportional_megabytes, family(run.pid))))
        time.sleep(0.5)
    if run.returncode:
        sys.exit(f"create_pretraining_data ended with {run.returncode}")
    return time.time() - start, peak


def family(pid):
    """A process and all below it."""
    found = [pid]
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        try:
            with open(path) as reader:
                children = reader.read().split()
        except OSError:  # it has ended meanwhile
            continue
        for child in children:
            found.extend(family(int(child)))
    return found


def proportional_megabytes(pid):
    """The PSS of a process; 0 where it has ended."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as reader:
            return sum(int(line.split()[1]) for line in reader if line.startswith("Pss:")) / 1024
    except OSError:
        return 0


def digest(path):
    """Hex digest of a file's content."""
    result = hashlib.sha256()
    with open(path, "rb") as reader:
        for block in iter(lambda: reader.read(1 << 20), b""):
            result.update(block)
    return result.hexdigest()


if __name__ == "__main__":
    main()
