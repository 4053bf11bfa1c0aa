"""Tags files group after group: reads texts, tags them, writes the results, and records how far the output is whole.

TensorFlow is loaded when it is needed and not before, so that bad input shows at once.
"""

import collections
import contextlib
import functools
import json
import logging
import sys
import time

from tqdm import tqdm

from bert.system import filesystem
from bert.system.errors import cannot_be_written
from bert.system.files import atomic_path
from train import __version__
from train.bulk import resumable
from train.bulk import texts as bulk_texts
from train.bulk.formats import ConllColumns, JsonLines, tag
from train.bulk.page import EntitiesPage
from train.data.columns import BY_DEFAULT, TAB, Format

log = logging.getLogger(__name__)

FORMATS = ("jsonl", "conll", "html")
# What comes in and what goes out. input: key of texts.KINDS; output: one of FORMATS; scores: whether "conll" has a
# column with them.
Formats = collections.namedtuple("Formats", ["input", "output", "scores"])


def tag_files(sources, formats, output_file, arguments, resume=False, device_map=None):
    """Tags everything in the sources.

    Args:
      sources: list of texts.Source; a run can be resumed if all have their sha256.
      formats: Formats.
      output_file: name of the file to write, or None for standard output.
      arguments: dict of the arguments of predictor.Predictor.
      resume: go on with the file of a run that was killed.
      device_map: GPUs to use, see devices.prepare.

    Raises:
      UserError: there is no usable model, or the output cannot be written or resumed.
    """
    with _open_output(sources, formats, output_file, arguments, resume) as output:
        if output.complete:
            log.info("%s was complete", output_file)
            return
        with load_predictor(arguments, device_map) as predictor:
            show_progress = output_file is not None or not sys.stdout.isatty()
            _tag_into(output, sources, formats, predictor, arguments, show_progress)


def _open_output(sources, formats, output_file, arguments, resume):
    if not output_file:
        return _StandardOutput()
    if filesystem.is_remote(output_file):
        return _StoredOutput(output_file)
    made_from = {
        "-format": formats.output,
        "-input": formats.input,
        "-scores": formats.scores,
        "-batch_size": arguments["batch_size"],  # the last digit of a score may depend on it
        "-precision": arguments["precision"],
        "this program's version": __version__,
        "the input files": [source.name for source in sources],
        "the input's content": {source.name: source.sha256 for source in sources},
    }
    if arguments.get("min_score"):  # else as in the files of earlier versions
        made_from["-min_score"] = arguments["min_score"]
    read = [source.form[:3] for source in sources]
    if set(read) - {Format()[:3], BY_DEFAULT[:3]}:  # else as in the files of earlier versions
        made_from["how columns are read (-columns, -comment, -separator)"] = json.loads(json.dumps(read))
    made_from.update(model_identity(arguments))
    can_resume = all(source.sha256 is not None for source in sources)
    is_progress = functools.partial(_is_progress, files=len(sources))
    return resumable.ResumableFile(output_file, made_from, resume, can_resume, is_progress)


def _is_progress(value, files):
    """Whether a JSON value is what `_tag_into` records of an input of so many files; see Format.accepts, too."""
    optional = {"left_out", "before"}
    if not isinstance(value, dict) or set(value) - optional != {"position", "texts", "entities", "format"}:
        return False
    before = value.get("before", [])
    if not isinstance(before, list) or not all(isinstance(word, str) for word in before):
        return False
    position = value["position"]
    counted = [value["texts"], value["entities"], value.get("left_out", 0)]
    numbers = [*position, *counted] if isinstance(position, list) else []
    counts = all(type(number) is int and number >= 0 for number in numbers)
    return len(numbers) == 6 and counts and position[0] <= files


class _StandardOutput:
    """Does what resumable.ResumableFile does, for a stream that nobody can go back in."""

    progress = None
    complete = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def write(self, data):
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise cannot_be_written("standard output", error)

    def record(self, progress):
        pass

    def finish(self, progress):
        pass


class _StoredOutput(_StandardOutput):
    """The same for a file in a remote store, which is there when it is complete, and not before.

    Args:
      path: of the file.
    """

    def __init__(self, path):
        self._path = path
        self._open = contextlib.ExitStack()

    def __enter__(self):
        temporary = self._open.enter_context(atomic_path(self._path))
        self._file = self._open.enter_context(filesystem.open_file(temporary, "wb"))
        return self

    def __exit__(self, *error):
        return self._open.__exit__(*error)

    def write(self, data):
        self._file.write(data)


def _tag_into(output, sources, formats, predictor, arguments, show_progress):
    batch_size, min_score = arguments["batch_size"], arguments.get("min_score", 0.0)
    names = [source.name for source in sources]
    has_spaces = any(source.form.separator == TAB for source in sources) or " " in "".join(predictor.types)
    writer = _writer(formats, names, predictor.types, has_spaces)
    for source in sources:
        if source.said:
            log.info("%s: %s", source.name, source.said)
    progress = output.progress or {"position": bulk_texts.START, "texts": 0, "entities": 0, "format": None}
    forms = [source.form for source in sources]
    context = predictor.settings.context
    if context:
        log.info("%s", _described_context(context, formats.input))
    start, texts, entities = bulk_texts.Position(*progress["position"]), progress["texts"], progress["entities"]
    if not writer.accepts(progress["format"]):
        raise output.damaged()
    left_out = progress.get("left_out", 0)  # which the files of earlier versions lack
    writer.state = progress["format"]
    if output.progress is None:
        output.write(writer.begin().encode("utf-8"))
    else:
        log.info("goes on after the first %d texts", texts)

    started, tagged_before = time.time(), texts
    counts = [source.count for source in sources]
    # The rate is the mean of the run: within a group short texts come first, and long ones take longer.
    bar = tqdm(
        total=None if None in counts else sum(counts), initial=texts, unit=" texts", smoothing=0, leave=False,
        disable=None if show_progress else True,
    )  # fmt: skip
    with bar:
        read = bulk_texts.read(names, formats.input, start, forms)
        before = progress.get("before", [])
        read = bulk_texts.in_context(read, formats.input, context, before)
        for group in bulk_texts.groups(read, formats.input):
            tagged = tag(predictor, group, formats.input, batch_size, bar.update, writer.needs_tokens)
            output.write(writer.format(tagged).encode("utf-8"))
            texts += len(tagged)
            entities += sum(len(text.entities) for text in tagged)
            left_out += sum(text.left_out for text in tagged)
            progress = {"position": group[-1].next, "texts": texts, "entities": entities, "format": writer.state}
            progress.update({"left_out": left_out} if left_out else {})
            before = bulk_texts.next_before(group, before, context)
            progress.update({"before": before} if before else {})
            output.record(progress)
    output.write(writer.end().encode("utf-8"))
    output.finish(progress)
    rate = (texts - tagged_before) / max(time.time() - started, 1e-3)
    log.info("tagged %d texts, %d entities in them; %.0f texts/s", texts, entities, rate)
    if min_score:
        log.info("left out %d entities with a score below -min_score %g", left_out, min_score)


def _described_context(context, kind):
    """What the log says of a model with -context."""
    said = f"the model reads up to {context} pieces of the texts before and after (-context)"
    if kind in bulk_texts.IN_CONTEXT:
        return f"{said}; {bulk_texts.IN_CONTEXT[kind]} ends a document"
    return f"{said}, with -input {' and '.join(bulk_texts.IN_CONTEXT)}; with {kind} each text stands alone"


def _writer(formats, names, types, has_spaces):
    """The formats.Format that turns tagged texts into the content of the output."""
    if formats.output == "jsonl":
        return JsonLines(names, formats.input)
    if formats.output == "conll":
        return ConllColumns(formats.scores, tabs=has_spaces)
    return EntitiesPage(names, formats.input, types)


def load_predictor(arguments, device_map=None):
    """Loads TensorFlow and the model.

    Args:
      arguments: dict of the arguments of predictor.Predictor.
      device_map: GPUs to use, see devices.prepare.

    Returns:
      predictor.Predictor.
    """
    from bert.runtime import devices
    from train.predictor import Predictor

    devices.prepare(device_map)
    return Predictor(**arguments)


def model_identity(arguments):
    """What the results depend on beside the input and the flags, as a JSON dict; loads TensorFlow.

    Args:
      arguments: dict of the arguments of predictor.Predictor.
    """
    import tensorflow.compat.v1 as tf

    from train.predictor import model_fingerprint

    return {
        "the model": model_fingerprint(arguments["path"], arguments["vocab_file"]),
        "TensorFlow": tf.__version__,
    }
