"""Entities from plain text by a model that TF Serving serves.

    from train.serving.client import ServingClient

    client = ServingClient("localhost:8501", "ner")
    client("Ann Lee lives in Paris.")

It takes and gives what `predictor.Predictor` does. With the signature `serving_text` it needs nothing else. With
`serving_default` it cuts words into pieces itself, by the assets of the export. It needs TensorFlow only for gRPC.
"""

import os
import random
import time

from bert.data.lengths import batches_by_length
from bert.system.errors import UserError
from train.data.text import cut_places
from train.data.windows import Part, cut_windows, join_windows, pad_windows, settle_seams
from train.inference.entities import Token
from train.inference.text_tagger import TextTagger, join_both_scores, load_tokenizer
from train.serving.answers import ENTITY_SCORES, OF_TEXTS, OF_WINDOWS, text_answers
from train.serving.answers import predictions as read_predictions
from train.serving.errors import Retriable, ServingError
from train.serving.rest import Rest
from train.serving.signatures import ASSETS, DEFAULT, TEXT, VOCAB, newest, read_settings

PROTOCOLS = ("rest", "grpc")
INPUTS = ("input_ids", "input_mask", "segment_ids", "word_start")  # of the signature DEFAULT
EXTRA = "train/requirements-serving.txt"

FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0  # seconds between attempts; each is about twice the one before
LONGEST_TIMEOUT = 1000000  # seconds; sockets refuse much longer ones
MAX_ANSWER_MB, LARGEST_ANSWER_MB = 64, 2047  # gRPC has no larger messages
TIMED_OUT_ATTEMPTS = 2  # a server that was too slow twice is overloaded; more requests would make it worse

# Characters that cannot be sent, and what is sent for them, which is the same to the tokenizer: a character that it
# drops, and one that no vocabulary has.
_SENDABLE = {0: "\ufffd"}
_SENDABLE.update(dict.fromkeys(range(55296, 57344), "\U0010ffff"))


class ServingClient(TextTagger):
    """A tagger behind TF Serving; may be called from several threads. Every call may raise ServingError.

    Args:
      url: the server, `host:port`; for REST also `http://host:port` or `https://...`.
      model_name: the server's `--model_name`.
      protocol: one of PROTOCOLS.
      signature: TEXT or DEFAULT; None: ask the server, and take the first of them that the model has.
      export_dir: directory of the served export; needed for DEFAULT.
      timeout: seconds until a request has its answer, all attempts and the waits between them included.
      retries: how often to try again within that time, with growing delays, while the server is not there or is
        overloaded. A request that the server refuses is not repeated.
      batch_size: texts, or windows, in a request. A call of more texts, and one of texts that are too long for the
        model, makes several requests.
      max_answer_mb: megabytes that are read of an answer at most; of the answer to a small request less.

    Raises:
      UserError: the arguments do not fit.
    """

    def __init__(
        self,
        url,
        model_name,
        protocol="rest",
        signature=None,
        export_dir=None,
        timeout=10.0,
        retries=3,
        batch_size=32,
        max_answer_mb=MAX_ANSWER_MB,
    ):
        if protocol not in PROTOCOLS:
            raise UserError(f"protocol {protocol}: expected one of {', '.join(PROTOCOLS)}")
        if signature not in (None, TEXT, DEFAULT):
            raise UserError(f"signature {signature}: expected {TEXT} or {DEFAULT}")
        if not 0 < timeout <= LONGEST_TIMEOUT:
            raise UserError(f"timeout {timeout:g}: expected seconds, above 0 and at most {LONGEST_TIMEOUT}")
        if not 0 < max_answer_mb <= LARGEST_ANSWER_MB:
            raise UserError(f"max_answer_mb {max_answer_mb:g}: expected megabytes, at most {LARGEST_ANSWER_MB}")
        self._server = _connect(protocol, url, model_name, timeout, max_answer_mb)
        self._timeout = timeout
        self._retries = retries
        self._batch_size = batch_size
        if signature is None:
            signature = TEXT if TEXT in self._call(self._server.signatures) else DEFAULT
        if signature == DEFAULT and export_dir is None:
            raise UserError(f"{url}: {DEFAULT} takes pieces of words; expected export_dir, the export served")
        self._signature = signature
        if signature == DEFAULT:
            directory = newest(export_dir) or export_dir
            self._settings = read_settings(directory)
            self._tokenizer = load_tokenizer(os.path.join(directory, ASSETS, VOCAB), self._settings)

    def close(self):
        """Ends the connection, if there is one."""
        self._server.close()

    @property
    def tokenizer(self):
        """The export's FullTokenizer; UserError with TEXT."""
        self._check_export()
        return self._tokenizer

    @property
    def settings(self):
        """The export's settings.TaggerSettings; UserError with TEXT."""
        self._check_export()
        return self._settings

    def _check_export(self):
        """Raises UserError where only the server has tokenizer and settings."""
        if self._signature == TEXT:
            raise UserError(f"{TEXT} takes only text; this needs {DEFAULT} and export_dir")

    def _call(self, request, *args):
        """The result of request(*args, deadline), which is tried again after failures that may pass."""
        deadline = time.monotonic() + self._timeout
        attempts = timed_out = 0
        while True:
            try:
                return request(*args, deadline)
            except Retriable as error:
                failure = error
            attempts += 1
            timed_out += failure.timed_out
            delay = random.uniform(0.5, 1.0) * min(FIRST_DELAY * 2**attempts, LONGEST_DELAY)
            if attempts > self._retries or timed_out == TIMED_OUT_ATTEMPTS or time.monotonic() + delay > deadline:
                raise ServingError(f"{failure} (attempt {attempts}, the last)")
            time.sleep(delay)

    def _ask(self, inputs, outputs, read, *args):
        """The answer to a request, checked: what the function `read` makes of its outputs and of `args`."""
        answer = self._call(self._server.predict, self._signature, inputs, outputs + (ENTITY_SCORES,))
        try:
            return read(answer, *args)
        except ValueError as error:
            raise ServingError(f"{self._server}: expected an answer as {self._signature} gives it: {error}")

    def _tag_windows(self, windows):
        predictions = [None] * len(windows)
        for batch in batches_by_length([len(window.input_ids) for window in windows], self._batch_size):
            inputs = pad_windows([windows[i] for i in batch], INPUTS)
            shape = inputs["input_ids"].shape
            found = self._ask(inputs, OF_WINDOWS, read_predictions, *shape, self._settings.num_labels)
            for i, prediction in zip(batch, found):
                predictions[i] = prediction
        return predictions

    def _tokens(self, texts):
        if self._signature == DEFAULT:
            return super()._tokens(texts)
        answers = self._ask_texts(texts)
        parts = [part for number in range(len(texts)) for part in _cut(number, texts[number], answers[number])]
        again = {}  # the parts of texts that are too long for the model: each is sent by itself
        for i, part in enumerate(parts):
            if answers[part.sentence].too_long:
                spans = answers[part.sentence].spans
                again[i] = texts[part.sentence][spans[part.seen[0][1]][0] : spans[part.seen[-1][1]][1]]
        found = [answers[part.sentence] for part in parts]
        for i, answer in zip(again, self._ask_texts(list(again.values()))):
            first, last = parts[i].seen[0][1], parts[i].seen[-1][1]
            if answer.too_long or len(answer.spans) != last + 1 - first:
                raise ServingError(f"{self._server}: the model was replaced between two requests; expected one model")
            parts[i], found[i] = _from_word(parts[i], first), answer
        scheme = (answers[0].scheme if answers else "") or None
        tags, scores, entity_scores = _join(answers, parts, found, scheme)
        tokens = [
            [Token(text[start:end], start, end, *said) for (start, end), *said in zip(answer.spans, *of_text)]
            for text, answer, *of_text in zip(texts, answers, tags, scores)
        ]
        return tokens, entity_scores, scheme

    def _ask_texts(self, texts):
        """For each text an Answer."""
        found = [None] * len(texts)
        for batch in batches_by_length([len(text) for text in texts], self._batch_size):
            inputs = {"text": [texts[i].translate(_SENDABLE) for i in batch]}
            for i, answer in zip(batch, self._ask(inputs, OF_TEXTS, text_answers, [len(texts[i]) for i in batch])):
                found[i] = answer
        return found


def _connect(protocol, url, model_name, timeout, max_answer_mb):
    """The server by one of PROTOCOLS; UserError where what that needs is not installed."""
    if protocol == "rest":
        return Rest(url, model_name, timeout, max_answer_mb)
    try:
        from train.serving.grpc import Grpc
    except ImportError as error:
        raise UserError(f"-protocol grpc: {error}; expected tensorflow-serving-api: pip install -r {EXTRA}")
    return Grpc(url, model_name, timeout, max_answer_mb)


def _cut(number, text, answer):
    """The windows.Parts of a text that go through the model, as windows.encode_words has them; one if all of it fits.

    The server answers word by word, so the position of a word is its index.
    """
    present = [i for i, pieces in enumerate(answer.pieces) if pieces]
    places = None
    if answer.too_long:
        of_words = cut_places(text, answer.spans)
        places = [of_words[i] for i in present]
    windows = cut_windows([answer.pieces[i] for i in present], answer.max_pieces, places)
    words = [(i, i) for i in present]
    return [Part(number, words[window.start : window.end], words[window.first : window.last]) for window in windows]


def _from_word(part, first):
    """The Part with positions that count from a word of this index, as in an answer for the part alone."""
    words, seen = ([(position - first, word) for position, word in pairs] for pairs in (part.words, part.seen))
    return part._replace(words=words, seen=seen)


def _join(answers, parts, found, scheme):
    """(tags, scores, entity_scores): for each text a list of one for every word.

    Args:
      answers: list of Answer, one for each text.
      parts: list of windows.Part, those of the texts.
      found: for each part the Answer that its positions count in.
      scheme: the scheme that the tags obey, or None.
    """
    labels = sorted({tag for answer in answers + found for tag in answer.tags})
    ids = {label: i for i, label in enumerate(labels, 1)}
    label_ids = [[ids[tag] for tag in answer.tags] for answer in found]
    sizes = [len(answer.spans) for answer in answers]
    parts = settle_seams(parts, label_ids, labels, scheme)
    tags = join_windows(sizes, parts, label_ids, labels, scheme)
    return (tags,) + join_both_scores(sizes, parts, found)
