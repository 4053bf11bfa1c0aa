"""Tagging as a Beam pipeline: names of files in, the JSON lines of train/predict.py out.

A file is cut into the same groups as there, so each line has the same bytes; a group is the unit of work. What goes
from worker to worker is where a group lies, not its text: whoever tags it reads it from the file. Needs apache-beam;
this module, not the program, holds what workers run, so that they can import it.
"""

import collections
import contextlib
import os
import shutil
import uuid

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics
from apache_beam.utils.shared import Shared

from bert.system import signals
from bert.system.errors import UserError
from bert.system.files import make_dir
from train.bulk import texts as bulk_texts
from train.bulk.formats import JsonLines, tag
from train.bulk.loop import load_predictor

# file: index of the file; number: of the group in it; name: the file's; position: texts.Position as a tuple, where
# it begins; count: texts in it.
Group = collections.namedtuple("Group", ["file", "number", "name", "position", "count"])


def find_files(patterns):
    """The names of the files, on any file system Beam knows; UserError where a pattern finds none.

    Args:
      patterns: list of names and patterns; in their order, what one finds sorted.
    """
    found = []
    for pattern in patterns:
        names = _match(pattern)
        if not names:
            raise UserError(f"{pattern}: no such file")
        found += [name for name in names if name not in found]
    return found


def _match(pattern):
    """Sorted names of what is there."""
    # Of local names Beam matches only those with a directory.
    prefix = "" if os.path.dirname(pattern) else os.path.join(".", "")
    found = FileSystems.match([prefix + pattern])[0].metadata_list
    return sorted(metadata.path[len(prefix) :] for metadata in found)


def tagged_lines(pipeline, names, kind, arguments):
    """Adds to a pipeline what tags files.

    Args:
      pipeline: beam.Pipeline.
      names: list of names of files.
      kind: key of texts.KINDS.
      arguments: dict of the arguments of predictor.Predictor.

    Returns:
      PCollection of ((file, number), JSON lines of a group), in no order.
    """
    return (
        pipeline
        | "files" >> beam.Create(list(enumerate(names)))
        | "spread files" >> beam.Reshuffle()
        | "find groups" >> beam.ParDo(FindGroups(kind))
        | "spread groups" >> beam.Reshuffle()
        | "tag" >> beam.ParDo(TagGroup(kind, arguments, len(names) > 1))
    )


class FindGroups(beam.DoFn):
    """(index, name) of a file to its Groups."""

    def __init__(self, kind):
        super().__init__()
        self._kind = kind

    def process(self, element):
        file, name = element
        position = bulk_texts.START
        with _open(name) as stream:
            texts = bulk_texts.read_stream(stream, name, self._kind)
            for number, group in enumerate(bulk_texts.groups(texts, self._kind)):
                yield Group(file, number, name, tuple(position), len(group))
                position = group[-1].next


class TagGroup(beam.DoFn):
    """A Group to ((file, number), its JSON lines). A process has one Predictor, whatever the threads in it."""

    def __init__(self, kind, arguments, several):
        super().__init__()
        self._kind = kind
        self._arguments = arguments
        self._several = several
        self._shared = Shared()
        self._texts = Metrics.counter("tagging", "texts")
        self._entities = Metrics.counter("tagging", "entities")

    def setup(self):
        self._predictor = self._shared.acquire(self._load)

    def _load(self):
        return load_predictor(self._arguments)

    def process(self, group):
        with _open(group.name) as stream:
            texts = bulk_texts.read_stream(stream, group.name, self._kind, bulk_texts.Position(*group.position))
            texts = [text for text, _ in zip(texts, range(group.count))]
        tagged = tag(self._predictor, texts, self._kind, self._arguments["batch_size"])
        self._texts.inc(len(tagged))
        self._entities.inc(sum(len(one.entities) for one in tagged))
        yield (group.file, group.number), JsonLines([group.name], self._kind, self._several).format(tagged)


def _open(name):
    # As it is: a position counts the file's bytes.
    return FileSystems.open(name, compression_type=CompressionTypes.UNCOMPRESSED)


def write_shards(lines, output, num_shards):
    """Writes OUTPUT-00000-of-00007 and so on; the lines of a group stay together, groups come in no order.

    Args:
      lines: PCollection of `tagged_lines`.
      output: beginning of the names.
      num_shards: how many; 0: as the runner likes.
    """
    blocks = lines | "without numbers" >> beam.Map(lambda numbered: numbered[1][:-1])
    blocks | "write" >> beam.io.WriteToText(output, num_shards=num_shards)


@contextlib.contextmanager
def temporary_folder(output):
    """A name beside `output`; what is there at the end is removed, whether all went well or not."""
    folder = f"{output}.parts-{uuid.uuid4().hex}"

    def clean_up():
        if FileSystems.exists(folder):
            FileSystems.delete([folder])

    with signals.cleanup_on_exit(clean_up):
        yield folder


def write_in_order(lines, output, folder):
    """Writes one file in the order of the input: each group to a file of its own, one worker joins these.

    Nothing but the groups' numbers is in one memory; `output` appears when it is complete.

    Args:
      lines: PCollection of `tagged_lines`.
      output: the file's name.
      folder: name of a directory to make, on the same file system.
    """
    FileSystems.mkdirs(folder)
    (
        lines
        | "write groups" >> beam.ParDo(_WriteGroup(folder))
        | "numbers" >> beam.combiners.ToList()
        | "join" >> beam.ParDo(_JoinGroups(folder, output))
    )


class _WriteGroup(beam.DoFn):
    def __init__(self, folder):
        super().__init__()
        self._folder = folder

    def process(self, numbered):
        numbers, lines = numbered
        # A group may be tagged twice, by a worker thought lost: whichever comes last puts the same bytes there.
        temporary = FileSystems.join(self._folder, uuid.uuid4().hex)
        with FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED) as writer:
            writer.write(lines.encode("utf-8"))
        FileSystems.rename([temporary], [_part(self._folder, numbers)])
        yield numbers


class _JoinGroups(beam.DoFn):
    def __init__(self, folder, output):
        super().__init__()
        self._folder = folder
        self._output = output

    def process(self, numbers):
        whole = FileSystems.join(self._folder, "whole")
        with FileSystems.create(whole, compression_type=CompressionTypes.UNCOMPRESSED) as writer:
            for part in sorted(map(tuple, numbers)):
                with _open(_part(self._folder, part)) as reader:
                    shutil.copyfileobj(reader, writer)
        FileSystems.rename([whole], [self._output])


def _part(folder, numbers):
    return FileSystems.join(folder, "{:08d}-{:08d}".format(*numbers))


def check_output(output, ordered, inputs):
    """UserError where the output would be mixed with what is there, or, on this machine, cannot be written."""
    if "://" not in output:
        make_dir(os.path.dirname(os.path.abspath(output)))
    if ordered:
        if output in inputs or os.path.isdir(output):
            raise UserError(f"{output}: expected the name of a new file, not of a directory or of the input")
        return
    shards = _match(output + "-?????-of-?????")
    if shards:
        raise UserError(f"{shards[0]}: of an earlier run; remove its shards or name another -output")
