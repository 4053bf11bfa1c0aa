"""Thousands of damaged files for every reader: a result or a UserError, in bounded time and memory.

    pytest tests/fuzz --mutations 10000 -k PyTorch

attacks each reader that often. A failure names its reader and number, by which `attack` makes the same file again.
"""

import random
import resource
import time
import traceback
import tracemalloc

import pytest

from bert.system.errors import UserError
from tests.fuzz.mutations import mutated, mutated_json
from tests.fuzz.readers import all_readers, write_files

pytestmark = pytest.mark.one_tensorflow

SECONDS = 5.0  # of the processor: a busy machine is no failure
TIMES_THE_INPUT, AND = 10, 100 << 20  # bytes that a reader may take
LEFT_EACH_TIME = 64 << 10  # bytes that the test itself may keep of each mutation
READERS = {reader.name: reader for reader in all_readers()}


def attack(reader, number, directory):
    """What goes wrong where a reader gets its damaged files of a number; None where nothing does.

    Args:
      reader: readers.Reader.
      number: which of all mutations.
      directory: str, where the files are written; what is there goes.
    """
    rng = random.Random(f"{reader.name} {number}")
    files = dict(reader.files)
    name = rng.choice(reader.attacked or sorted(files))
    damage = mutated if isinstance(files[name], bytes) else mutated_json
    files[name] = damage(files[name], rng)
    write_files(directory, files)
    size = sum(len(content) for content in files.values() if isinstance(content, bytes))
    started = time.process_time()
    tracemalloc.start()
    try:
        reader.read(directory)
    except UserError as error:
        if not str(error).strip():
            return "an error without a text"
    except BaseException:
        return traceback.format_exc(limit=-6)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    if peak > TIMES_THE_INPUT * size + AND:
        return f"{peak} bytes of memory"
    seconds = time.process_time() - started
    return f"{seconds:.1f} seconds" if seconds > SECONDS else None


@pytest.mark.parametrize("name", READERS)
def test_a_result_or_one_line(name, tmp_path, request):
    directory = str(tmp_path / "files")
    write_files(directory, READERS[name].files)
    READERS[name].read(directory)  # the good files
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found, mutations = {}, request.config.getoption("--mutations")
    for number in range(mutations):
        wrong = attack(READERS[name], number, directory)
        if wrong and wrong.strip().splitlines()[-1] not in found:
            found[wrong.strip().splitlines()[-1]] = f"{name}, mutation {number}: {wrong}"
    assert not found, "\n".join(found.values())
    # What TensorFlow allocates, Python does not see. Tracing and the log that pytest keeps leave some kilobytes.
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < 2 * AND + mutations * LEFT_EACH_TIME
