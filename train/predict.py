"""Tags files with a trained model: text in, entities out, as JSON lines, CoNLL columns or a page to look at.

    python -m train.predict -model_dir output/demo news.txt -output news.jsonl
    echo 'Ann lives in Paris.' | python -m train.predict -model_dir output/demo

Results come in the order of the input, and what is held in memory does not grow with it. A run with -output that was
killed goes on with -resume and gives the same file. `-interactive` is a prompt.
"""

from bert.system import startup  # noqa: I001  before TensorFlow

import contextlib
import hashlib
import json
import logging
import os
import sys
import time

from tqdm import tqdm

from bert.system import signals
from bert.system.errors import UserError, cannot_be_written, run_program
from bert.system.files import sha256
from bert.system.flags import PRECISIONS, FlagParser, parse_bool, positive_int
from train import __version__
from train.bulk import texts as bulk_texts, resumable
from train.bulk.page import EntitiesPage
from train.bulk.formats import ConllColumns, JsonLines, tag

log = logging.getLogger(__name__)
FORMATS = ("jsonl", "conll", "html")


def main(argv=None):
    if sys.stderr is None:  # closed, as by 2>&-
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  for as long as the program runs
    args = parse_flags(argv)
    bulk_texts.check_streams([bulk_texts.STANDARD_INPUT] if args.interactive else args.files, not args.output)

    def describe(signum):
        hope = "; the same command with -resume goes on" if _can_resume(args.output, args.files) else ""
        return f"stopped by {signals.name(signum)}{hope}"

    with signals.exit_message(describe):
        interact(args) if args.interactive else tag_files(args)


def parse_flags(argv=None):
    """The flags as a Namespace, `files` a list of names."""
    parser = FlagParser(prog="predict.py", description="Finds the entities in texts with a trained model.")
    flag, switch = parser.flag_group("model")
    add_model_flags(flag)
    flag("device_map", help="GPUs to use, as CUDA_VISIBLE_DEVICES; default: all there are")

    flag, switch = parser.flag_group("input and output")
    flag("input", choices=list(bulk_texts.KINDS), default="lines", help=f"what a file holds. {kinds_help()}")
    flag("output", help="file to write; default: standard output")
    flag("format", choices=FORMATS, default="jsonl", help="jsonl: one JSON object per text; conll: `word tag` lines; "
         "html: a page with the entities highlighted")  # fmt: skip
    switch("scores", False, help="with -format conll, the probability of each tag as a third column")
    switch("resume", False, help="go on with the -output of a run that was killed")
    switch("interactive", False, help="a prompt: a text in, the text with its entities out")
    switch("verbose", False, help="show TensorFlow's own log too")
    parser.add_argument("files", nargs="*", metavar="FILE", help="what to tag; default, and -: standard input")
    argv = list(sys.argv[1:] if argv is None else argv)
    end = argv.index("--") if "--" in argv else len(argv)
    args = parser.parse_intermixed_args(_with_values(argv[:end], ["scores", "resume", "interactive", "verbose"]))
    args.files += argv[end + 1 :]  # which may begin with dashes
    _check(args)
    return args


def add_model_flags(flag):
    """-model_dir, -vocab_file, -batch_size, -precision: the arguments of predictor.Predictor."""
    flag("model_dir", help="a run's -output_dir, or an export")
    flag("vocab_file", help="the vocabulary, where it does not lie in -model_dir")
    flag("batch_size", type=positive_int, default=32, help="texts in a batch; those of about the same length share one")
    flag("precision", choices=PRECISIONS, default="fp32", help="of the encoder of a -model_dir that is no export")


def kinds_help():
    """The kinds of input with their meanings, for a flag's help text."""
    return "; ".join(f"{kind}: {meaning}" for kind, meaning in bulk_texts.KINDS.items())


def _with_values(argv, switches):
    """The arguments, `-resume` as `-resume=true`, so that a file that follows is not taken for the switch's value."""
    changed = []
    for i, argument in enumerate(argv):
        if argument in [dashes + name for name in switches for dashes in ("-", "--")] and not _is_bool(argv[i + 1 :]):
            argument += "=true"
        changed.append(argument)
    return changed


def _is_bool(following):
    with contextlib.suppress(Exception):
        parse_bool(following[0])
        return True
    return False


def _check(args):
    if not args.model_dir:
        raise UserError("-model_dir is missing")
    if args.interactive and (args.files or args.output or args.resume):
        raise UserError("-interactive takes texts from standard input; expected neither files nor -output nor -resume")
    if args.interactive:
        return
    if args.output == "":
        raise UserError("-output: empty; expected the name of a file to write")
    if args.scores and args.format != "conll":
        raise UserError(f"-scores is for -format conll; {args.format} has scores anyway")
    args.files = args.files or [bulk_texts.STANDARD_INPUT]
    if args.files.count(bulk_texts.STANDARD_INPUT) > 1:
        raise UserError("-: expected standard input once")
    if args.resume and not args.output:
        raise UserError("-resume needs -output: what was written to standard output cannot be gone on with")
    if args.resume and not _can_resume(args.output, args.files):
        raise UserError("-resume needs files as input, which standard input and pipes are not")
    if args.output and not os.path.isdir(os.path.dirname(os.path.abspath(args.output))):
        raise UserError(f"{args.output}: cannot be written: there is no such directory")
    written = [args.output + ending for ending in ("", resumable.PARTIAL, resumable.STATE)] if args.output else []
    for name in args.files:
        for output in written:
            if os.path.realpath(output) == os.path.realpath(name):
                raise UserError(f"{output}: input and output are the same file")


def _can_resume(output, files):
    return bool(output) and all(os.path.isfile(name) for name in files)


def tag_files(args):
    """Everything but the prompt: reads, tags and writes group after group."""
    sources = bulk_texts.inspect(args.files, args.input, fingerprint=_can_resume(args.output, args.files))
    check_model(args.model_dir)
    startup.set_up_logging(args.verbose)
    with _open_output(args, sources) as output:
        if output.complete:
            log.info("%s was complete", args.output)
            return
        with load_predictor(args) as predictor:
            _tag_into(output, sources, predictor, args)


def _tag_into(output, sources, predictor, args):
    names = [source.name for source in sources]
    page_or_lines = {
        "jsonl": lambda: JsonLines(names, args.input),
        "conll": lambda: ConllColumns(args.scores),
        "html": lambda: EntitiesPage(names, args.input, predictor.types),
    }[args.format]()
    progress = output.progress or {"position": bulk_texts.START, "texts": 0, "entities": 0, "format": None}
    start, texts, entities = bulk_texts.Position(*progress["position"]), progress["texts"], progress["entities"]
    page_or_lines.state = progress["format"]
    if output.progress is None:
        output.write(page_or_lines.begin().encode("utf-8"))
    else:
        log.info("goes on after the first %d texts", texts)

    started, tagged_before = time.time(), texts
    counts = [source.count for source in sources]
    # The rate is the mean of the run: within a group short texts come first, and long ones take longer.
    bar = tqdm(
        total=None if None in counts else sum(counts), initial=texts, unit=" texts", smoothing=0, leave=False,
        disable=True if not args.output and sys.stdout.isatty() else None,
    )  # fmt: skip
    with bar:
        for group in bulk_texts.groups(bulk_texts.read(names, args.input, start), args.input):
            tagged = tag(predictor, group, args.input, args.batch_size, bar.update)
            output.write(page_or_lines.format(tagged).encode("utf-8"))
            texts += len(tagged)
            entities += sum(len(text.entities) for text in tagged)
            progress = {
                "position": group[-1].next, "texts": texts, "entities": entities, "format": page_or_lines.state,
            }  # fmt: skip
            output.record(progress)
    output.write(page_or_lines.end().encode("utf-8"))
    output.finish(progress)
    rate = (texts - tagged_before) / max(time.time() - started, 1e-3)
    log.info("tagged %d texts, %d entities in them; %.0f texts/s", texts, entities, rate)


def _open_output(args, sources):
    if not args.output:
        return _StandardOutput()
    made_from = {
        "-format": args.format,
        "-input": args.input,
        "-scores": args.scores,
        "-batch_size": args.batch_size,  # the last digit of a score may depend on it
        "-precision": args.precision,
        "the model": model_fingerprint(args.model_dir, args.vocab_file),
        "this program's version": __version__,
        "TensorFlow": tensorflow_version(),
        "the input files": [source.name for source in sources],
        "the input's content": {source.name: source.sha256 for source in sources},
    }
    return resumable.ResumableFile(args.output, made_from, args.resume, _can_resume(args.output, args.files))


class _StandardOutput:
    """What resumable.ResumableFile is, for a stream that nothing can go back in."""

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


def check_model(model_dir):
    """UserError where there is plainly no model, before TensorFlow is loaded to say so."""
    if not os.path.isdir(model_dir):
        raise UserError(f"{model_dir}: no such directory; expected a run's -output_dir or an export")


def load_predictor(args):
    """The Predictor of the flags."""
    # Behind the flags and the input, so that what is wrong with them shows without waiting for TensorFlow.
    from bert.runtime import devices
    from train.predictor import Predictor

    devices.prepare(args.device_map)
    return Predictor(args.model_dir, args.batch_size, args.vocab_file, args.precision)


def tensorflow_version():
    """The version string; loads TensorFlow."""
    import tensorflow.compat.v1 as tf

    return tf.__version__


def model_fingerprint(model_dir, vocab_file=None):
    """Hex digest of a model; another model, or the same one trained further, has a different one.

    A checkpoint's index holds a checksum of every tensor; an export has its weights in its graph.
    """
    from train import run_dir
    from train.serving import saved_model

    state = run_dir.read_state(model_dir)
    if state is not None:
        prefix = run_dir.checkpoint_to_use(model_dir)
        files = [prefix + ".index"] if prefix else []
        settings = [state.get("model"), (state.get("training") or {}).get("constrain")]
    else:
        directory = saved_model.newest(model_dir)
        if directory is None:
            raise UserError(f"{model_dir}: neither {run_dir.RUN_STATE} of a run in it nor an export")
        files = [os.path.join(directory, "saved_model.pb"), os.path.join(directory, "assets", "tagger.json")]
        settings = []
    files += [vocab_file] if vocab_file else []
    try:
        digests = [sha256(file) for file in files]
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read: {error.strerror}")
    return hashlib.sha256(json.dumps([digests, settings], sort_keys=True).encode()).hexdigest()


def interact(args):
    """The prompt, until the input ends."""
    from train.inference import prompt

    check_model(args.model_dir)
    startup.set_up_logging(args.verbose)
    with load_predictor(args) as predictor:
        prompt.run(predictor)


if __name__ == "__main__":
    run_program(main)
