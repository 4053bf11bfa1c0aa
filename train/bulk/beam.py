"""Tagging as a Beam pipeline: names of files in, the JSON lines of train/predict.py out.

The unit of work is a group of texts. Files are cut into the same groups as in train/predict.py, so each line has the
same bytes. Workers pass on the place of a group, not its text; the worker that tags it reads it from the file. The code
that workers run is here and not in the program, because they have to import it. Needs apache-beam.
"""

import collections
import contextlib
import itertools
import logging
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
from train.data.columns import Format
from train.data.context import MOST

log = logging.getLogger(__name__)

# file: index of the file; number: of the group in it; name: the file's; position: texts.Position as a tuple, where
# it begins; count: texts in it; form: columns.Format of "conll" as a tuple; before: the words before it in its
# document, as many as any model reads.
Group = collections.namedtuple("Group", ["file", "number", "name", "position", "count", "form", "before"])


def find_files(patterns):
    """Finds files on any file system that Beam knows.

    Args:
      patterns: list of names and patterns.

    Returns:
      list of names, in the order of the patterns; the names that one pattern finds are sorted.

    Raises:
      UserError: a pattern finds no file.
    """
    found = []
    for pattern in patterns:
        names = _match(pattern)
        if not names:
            raise UserError(f"{pattern}: no such file")
        found += [name for name in names if name not in found]
    return found


def _match(pattern):
    """The sorted names of the files that a pattern finds."""
    # Beam matches a local name only if it has a directory.
    prefix = "" if os.path.dirname(pattern) else os.path.join(".", "")
    found = FileSystems.match([prefix + pattern])[0].metadata_list
    return sorted(metadata.path[len(prefix) :] for metadata in found)


def tagged_lines(pipeline, names, kind, arguments, given=None):
    """Adds the tagging of files to a pipeline.

    Args:
      pipeline: beam.Pipeline.
      names: list of names of files.
      kind: key of texts.KINDS.
      arguments: dict of the arguments of predictor.Predictor.
      given: columns.Format of the flags, for "conll".

    Returns:
      PCollection of ((file, number), JSON lines of a group), in no order.
    """
    return (
        pipeline
        | "files" >> beam.Create(list(enumerate(names)))
        | "spread files" >> beam.Reshuffle()
        | "find groups" >> beam.ParDo(FindGroups(kind, given or Format()))
        | "spread groups" >> beam.Reshuffle()
        | "tag" >> beam.ParDo(TagGroup(kind, arguments, len(names) > 1))
    )


class FindGroups(beam.DoFn):
    """(index, name) of a file to its Groups."""

    def __init__(self, kind, given):
        super().__init__()
        self._kind = kind
        self._given = tuple(given)

    def process(self, element):
        file, name = element
        position = bulk_texts.START
        form = Format(*self._given)
        if self._kind == "conll":
            with _open(name) as stream:
                form, said = bulk_texts.find_format(stream, name, form)
            if said:
                log.info("%s: %s", name, said)
        before = []
        with _open(name) as stream:
            texts = bulk_texts.read_stream(stream, name, self._kind, form=form)
            for number, group in enumerate(bulk_texts.groups(texts, self._kind)):
                yield Group(file, number, name, tuple(position), len(group), tuple(form), before)
                position, before = group[-1].next, bulk_texts.next_before(group, before, MOST)


class TagGroup(beam.DoFn):
    """A Group to ((file, number), its JSON lines). All threads of a process share one Predictor."""

    def __init__(self, kind, arguments, several):
        super().__init__()
        self._kind = kind
        self._arguments = arguments
        self._several = several
        self._shared = Shared()
        self._texts = Metrics.counter("tagging", "texts")
        self._entities = Metrics.counter("tagging", "entities")
        self._left_out = Metrics.counter("tagging", "left_out")

    def setup(self):
        self._predictor = self._shared.acquire(self._load)

    def _load(self):
        return load_predictor(self._arguments)

    def process(self, group):
        with _open(group.name) as stream:
            position, form = bulk_texts.Position(*group.position), Format(*group.form)
            texts = bulk_texts.read_stream(stream, group.name, self._kind, position, form)
            texts = bulk_texts.in_context(texts, self._kind, self._predictor.settings.context, group.before)
            texts = list(itertools.islice(texts, group.count))
        tagged = tag(self._predictor, texts, self._kind, self._arguments["batch_size"], keep_tokens=False)
        self._texts.inc(len(tagged))
        self._entities.inc(sum(len(one.entities) for one in tagged))
        self._left_out.inc(sum(one.left_out for one in tagged))
        yield (group.file, group.number), JsonLines([group.name], self._kind, self._several).format(tagged)


def _open(name):
    # Never decompressed: a position counts the bytes of the file.
    return FileSystems.open(name, compression_type=CompressionTypes.UNCOMPRESSED)


def write_shards(lines, output, num_shards):
    """Writes OUTPUT-00000-of-00007 and so on; the lines of a group stay together, the groups are in no order.

    Args:
      lines: PCollection of `tagged_lines`.
      output: beginning of the names.
      num_shards: how many; 0 leaves it to the runner.
    """
    blocks = lines | "without numbers" >> beam.Map(lambda numbered: numbered[1][:-1])
    blocks | "write" >> beam.io.WriteToText(output, num_shards=num_shards)


@contextlib.contextmanager
def temporary_folder(output):
    """Gives a name beside `output`; the folder of that name is removed at the end, also after an error."""
    folder = f"{output}.parts-{uuid.uuid4().hex}"

    def clean_up():
        if FileSystems.exists(folder):
            FileSystems.delete([folder])

    with signals.cleanup_on_exit(clean_up):
        yield folder


def write_in_order(lines, output, folder):
    """Writes one file in the order of the input: each group goes to a file of its own, and one worker joins these.

    No worker holds more than the groups' numbers in memory; `output` appears when it is complete.

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
        # A group may be tagged twice, if a worker was thought lost; both put the same bytes there.
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
    """Checks that the output can be written and does not mix with files that are there.

    Args:
      output: the file's name, or the beginning of the shards' names.
      ordered: whether one file is written.
      inputs: list of the names of the input files.

    Raises:
      UserError: it cannot be written, or there is something of that name.
    """
    if "://" not in output:
        make_dir(os.path.dirname(os.path.abspath(output)))
    if ordered:
        if output in inputs or os.path.isdir(output):
            raise UserError(f"{output}: expected the name of a new file, not of a directory or of the input")
        return
    shards = _match(output + "-?????-of-?????")
    if shards:
        raise UserError(f"{shards[0]}: of an earlier run; remove its shards or name another -output")
