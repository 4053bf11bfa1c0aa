"""The training file as a stream: checked and encoded block by block, by several processes where it is large.

Memory does not grow with the file, and the results are the same for any number of processes. This module loads no
TensorFlow, as every process would load it too.
"""

import collections
import itertools

from tqdm import tqdm

from bert.data.example_bytes import example_bytes, int64_feature
from bert.system import filesystem
from bert.system.workers import Workers, cores
from train.data import annotated, conll, spans, splitting, units
from train.data.columns import Format
from train.data.conll import inspect, no_sentence, settle, survey_block
from train.data.context import with_neighbours
from train.data.recognition import LISTED, Reading, Slips, count_transitions, recognise, slips, tag_counts
from train.data.spelling import described, described_slips, described_spelling, described_twins
from train.data.windows import encode

LONG_SENTENCE, FEW_SENTENCES = 200, 20  # words of one sentence, and sentences of one word, that are looked at twice
LARGE = 1 << 24  # bytes; for a smaller file it is not worth it to start processes, which takes half a second each

# path: the file; sentences: how many it has; tags: the set of its tags, as they are read; scheme: their tagging scheme,
# or None; form: columns.Format to read it with, and seen: survey.Survey of it; of annotated texts None, and
# spans.Notes; words: splitting.WordCounts; reading: recognition.Reading of its tags; slips: recognition.Slips;
# said: what the log says of its tags and sentences, tuple of str, the first of them the scheme; documents: how many
# of its sentences begin a document.
Corpus = collections.namedtuple(
    "Corpus", ["path", "sentences", "tags", "scheme", "form", "seen", "words", "reading", "slips", "said", "documents"]
)


def summarize(path, processes=None, given=None, scheme=None):
    """Looks at a file to find its columns, then reads it once, checking each line.

    Args:
      path: CoNLL file, or one of annotated texts.
      processes: how many; None for one where the file is small, else as many as there are cores.
      given: columns.Format of the flags.
      scheme: value of -tag_scheme, or None: it is found out.

    Returns:
      Corpus.

    Raises:
      UserError: as conll.read_conll, or annotated.read_annotated; or the tags are of no scheme.
    """
    if annotated.is_annotated(path):
        return _summarize_texts(path, processes)
    given = given or Format()
    form, seen = settle(path, given, _map_blocks(_survey_block, given.comment, path, processes, "looking at"))
    sentences, documents, transitions, words = 0, 0, collections.Counter(), splitting.WordCounts()
    blocks = conll.find_blocks(path, form.comment)
    for count, begun, counted, of_block in _map_blocks(_summarize_block, form, path, processes, "reading", blocks):
        sentences += count
        documents += begun
        transitions.update(counted)
        words.update(of_block)
    if not sentences:
        raise no_sentence(path)

    def find_slips(reading):
        found = list(_map_blocks(_slips_block, (form, reading), path, processes, "checking"))
        return Slips(sum(part.count for part in found), [each for part in found for each in part.first][:LISTED])

    reading, found = recognise(transitions, find_slips, path, scheme)
    counts = tag_counts(transitions)
    tags = {reading.spelling.get(tag, tag) for tag in counts}
    spelling = {tag: read_as for tag, read_as in reading.spelling.items() if tag not in reading.guessed}
    said = described(tags, reading.scheme), described_spelling(spelling, counts), described_slips(found)
    said += described_twins(tags, reading.scheme), described_division(sentences, words.words)
    form = form._replace(spelling=reading.spelling or None)
    words.respell(reading.spelling)
    return Corpus(path, sentences, tags, reading.scheme, form, seen, words, reading, found, said, documents)


def described_division(sentences, words):
    """What looks wrong in where sentences end, in words, for the log; "" where nothing does."""
    if sentences == 1 and words > LONG_SENTENCE:
        return f"all {words} words are one sentence; expected an empty line between sentences"
    if sentences == words > FEW_SENTENCES:
        return f"each of its {words} words is a sentence of its own; expected empty lines between sentences alone"
    return ""


def _slips_block(state, block):
    form, reading = state
    return block.size, slips(reading, conll.read_block(block, form))


def _summarize_texts(path, processes):
    notes, transitions, words = spans.Notes(), collections.Counter(), splitting.WordCounts()
    for found, counted, of_block in _map_blocks(_summarize_texts_block, None, path, processes, "reading"):
        notes.merge(found)
        transitions.update(counted)
        words.update(of_block)
    annotated.report(path, notes)
    tags = {tag for _, tag in transitions} - {None}
    tags |= {f"I-{tag[2:]}" for tag in tags if tag.startswith("B-")}  # a longer entity may follow in dev or test
    scheme = annotated.SCHEME if len(tags) > 1 else None
    return Corpus(
        path,
        notes.texts,
        tags,
        scheme,
        None,
        notes,
        words,
        Reading(scheme, {}, frozenset()),
        Slips(0, []),
        (described(tags, scheme), described_twins(tags, scheme)),
        documents=notes.texts,
    )


def _summarize_texts_block(_, block):
    texts, notes = annotated.read_block(block)
    return block.size, (notes, count_transitions([text.tags for text in texts]), splitting.WordCounts.of(texts))


def read_sentences(path, form=None):
    """Yields the sentences of a data file, CoNLL or annotated texts; form: as conll.read_sentences."""
    form = form or _form(path)
    for block in _find_blocks(path, form):
        yield from _read_block(block, form)


def _form(path):
    """The columns.Format of a file that `summarize` has not looked at; None for annotated texts."""
    return None if annotated.is_annotated(path) else inspect(path, Format())[0]


def _find_blocks(path, form):
    """The blocks of a data file; form: columns.Format that it is read with, None for annotated texts."""
    return annotated.find_blocks(path) if annotated.is_annotated(path) else conll.find_blocks(path, form.comment)


def _read_block(block, form):
    return annotated.read_block(block)[0] if annotated.is_annotated(block.path) else conll.read_block(block, form)


def _survey_block(comment, block):
    return block.size, survey_block(comment, block)


def _summarize_block(form, block):
    sentences = list(conll.read_block(block, form))
    transitions = count_transitions([sentence.tags for sentence in sentences])
    documents = sum(sentence.begins_document for sentence in sentences)
    return block.size, (len(sentences), documents, transitions, splitting.WordCounts.of(sentences))


def encoded_records(path, tokenizer, ids, max_seq_length, processes=None, form=None, cutting=None, context=0):
    """The records of all windows of a file, in order.

    Args:
      path, processes: as `summarize`.
      tokenizer, ids, max_seq_length, context: as windows.encode.
      form: columns.Format to read the file with, as `summarize` found it; default: it is found here.
      cutting: units.Cutting of the file's words, or None.

    Yields:
      bytes, see `record`.
    """
    form = form or _form(path)
    context = 0 if annotated.is_annotated(path) else context  # of which each text stands alone
    settings = (tokenizer, ids, max_seq_length, form, cutting, context)
    blocks = _with_blocks_around(_find_blocks(path, form))
    for records in _map_blocks(_encode_block, settings, path, processes, "encoding", blocks):
        yield from records


def _with_blocks_around(blocks):
    """Yields (block before it or None, block, block after it or None) for each block."""
    blocks = itertools.chain([None], blocks, [None])
    before, block = next(blocks), next(blocks)
    for after in blocks:
        yield before, block, after
        before, block = block, after


def _encode_block(settings, blocks):
    tokenizer, ids, max_seq_length, form, cutting, context = settings
    sentences = units.cut_sentences(_read_in_context(blocks, form, context), cutting)
    windows = encode(sentences, tokenizer, ids, max_seq_length, context)
    return blocks[1].size, [record(window, max_seq_length) for window in windows]


def _read_in_context(blocks, form, context):
    """The sentences of a block, with the words around them where there is a context.

    These may be of the blocks beside it, and of no others.

    Args:
      blocks: (block before it or None, block, block after it or None).
      form: columns.Format.
      context: words on either side of a sentence, at most.

    Returns:
      iterable of sentences.
    """
    if not context:
        return _read_block(blocks[1], form)
    before, inside, after = (_read_block(block, form) if block else [] for block in blocks)
    # A sentence has a word or more.
    before, inside, after = collections.deque(before, context), list(inside), itertools.islice(after, context)
    sentences = with_neighbours(itertools.chain(before, inside, after), context)
    return itertools.islice(sentences, len(before), len(before) + len(inside))


def record(window, max_seq_length):
    """A windows.Encoded as the bytes of a tf.train.Example, see train/data/records.py."""
    length = len(window.input_ids)
    values = {
        "input_ids": window.input_ids,
        "input_mask": [1] * length,
        "segment_ids": [0] * length,
        "label_ids": window.label_ids,
    }
    padding = [0] * (max_seq_length - length)
    return example_bytes({name: int64_feature(value + padding) for name, value in values.items()})


def _map_blocks(function, state, path, processes, doing, blocks=None):
    """Yields the results for all blocks of a file, in order; function(state, block) returns (block size, result).

    `blocks` is what the function is called with, where that is not the blocks alone.
    """
    size = filesystem.getsize(path) if filesystem.exists(path) else 0
    if processes is None:
        processes = cores() if size >= LARGE else 1
    # Without a bar where standard error is no terminal.
    with Workers(processes, state, fresh=True) as workers, tqdm(
        desc=doing, total=size, unit="B", unit_scale=True, disable=None, leave=False
    ) as bar:
        for done, result in workers.map(function, blocks or _find_blocks(path, Format())):
            bar.update(done)
            yield result
