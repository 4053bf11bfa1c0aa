"""Entities from plain text by a model that TF Serving serves.

    from train.serving.client import ServingClient

    client = ServingClient("localhost:8501", "ner")
    client("Ann Lee lives in Paris.")

It takes and gives what `predictor.Predictor` does. With the signature `serving_text` it needs nothing else. With
`serving_default` it cuts words into pieces itself, by the assets of the export. It needs TensorFlow only for gRPC.
"""

import collections
import os
import random
import time

from bert.data.lengths import batches_by_length
from bert.system.errors import UserError, shown_list
from train.data.schemes import SCHEMES
from train.data.text import cut_places
from train.data.windows import Part, Prediction, cut_windows, join_scores, join_windows, pad_windows, settle_seams
from train.inference.entities import Token
from train.inference.text_tagger import TextTagger, load_tokenizer
from train.serving.errors import Retriable, ServingError
from train.serving.rest import Rest
from train.serving.signatures import ASSETS, DEFAULT, TEXT, VOCAB, newest, read_settings

PROTOCOLS = ("rest", "grpc")
INPUTS = ("input_ids", "input_mask", "segment_ids", "word_start")  # of the signature DEFAULT
EXTRA = "train/requirements-serving.txt"

FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0  # seconds between attempts; each is about twice the one before
LONGEST_TIMEOUT = 1000000  # seconds; sockets refuse much longer ones
TIMED_OUT_ATTEMPTS = 2  # a server that was too slow twice is overloaded; more requests would make it worse

# Characters that cannot be sent, and what is sent for them, which is the same to the tokenizer: a character that it
# drops, and one that no vocabulary has.
_SENDABLE = {0: "\ufffd"}
_SENDABLE.update(dict.fromkeys(range(55296, 57344), "\U0010ffff"))

# The server's answer for a text: for each of its words spans (start, end), tags, scores and pieces; whether it is
# too_long, how many pieces the model takes, and the tags' scheme or "" for none.
Answer = collections.namedtuple("Answer", "spans tags scores pieces too_long max_pieces scheme")


class ServingClient(TextTagger):
    """A tagger behind TF Serving; may be called from several threads. Every call may raise ServingError.

    Args:
      url: the server, `host:port`; for REST also `http://host:port` or `https://...`.
      model_name: the server's `--model_name`.
      protocol: one of PROTOCOLS.
      signature: TEXT or DEFAULT; None: ask the server, and take the first of them that the model has.
      export_dir: directory of the served export; needed for DEFAULT.
      timeout: seconds to wait for an answer.
      retries: how often to try again, with growing delays, while the server is not there or is overloaded. After a
        timeout it is tried again once. A request that the server refuses is not repeated.
      batch_size: texts, or windows, in a request.

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
    ):
        if protocol not in PROTOCOLS:
            raise UserError(f"protocol {protocol}: expected one of {', '.join(PROTOCOLS)}")
        if signature not in (None, TEXT, DEFAULT):
            raise UserError(f"signature {signature}: expected {TEXT} or {DEFAULT}")
        if not 0 < timeout <= LONGEST_TIMEOUT:
            raise UserError(f"timeout {timeout:g}: expected seconds, above 0 and at most {LONGEST_TIMEOUT}")
        self._server = _connect(protocol, url, model_name, timeout)
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
        """The result of request(*args), which is tried again after failures that may pass."""
        timed_out = 0
        for attempt in range(self._retries + 1):
            if attempt:
                time.sleep(random.uniform(0.5, 1.0) * min(FIRST_DELAY * 2**attempt, LONGEST_DELAY))
            try:
                return request(*args)
            except Retriable as error:
                failure = error
                timed_out += error.timed_out
                if timed_out == TIMED_OUT_ATTEMPTS:
                    break
        raise ServingError(f"{failure} (attempt {attempt + 1}, the last)")

    def _predict(self, rows, inputs, outputs):
        """The outputs of a request: dict from name to list, each with this many rows."""
        answer = self._call(self._server.predict, self._signature, inputs)
        for name in outputs:
            if not isinstance(answer.get(name), list) or len(answer[name]) != rows:
                found = shown_list(sorted(answer))
                raise ServingError(f"{self._server}: expected {name} of {rows} texts in an answer; found {found}")
        return answer

    def _tag_windows(self, windows):
        predictions = [None] * len(windows)
        for batch in batches_by_length([len(window.input_ids) for window in windows], self._batch_size):
            inputs = pad_windows([windows[i] for i in batch], INPUTS)
            answer = self._predict(len(batch), inputs, ("pred_ids", "scores"))
            for i, label_ids, scores in zip(batch, answer["pred_ids"], answer["scores"]):
                predictions[i] = Prediction(label_ids, scores)
        return predictions

    def _tokens(self, texts):
        if self._signature == DEFAULT:
            return super()._tokens(texts)
        answers = self._ask(texts)
        parts = [part for number in range(len(texts)) for part in _cut(number, texts[number], answers[number])]
        again = {}  # the parts of texts that are too long for the model: each is sent by itself
        for i, part in enumerate(parts):
            if answers[part.sentence].too_long:
                spans = answers[part.sentence].spans
                again[i] = texts[part.sentence][spans[part.seen[0][1]][0] : spans[part.seen[-1][1]][1]]
        found = [answers[part.sentence] for part in parts]
        for i, answer in zip(again, self._ask(list(again.values()))):
            first, last = parts[i].seen[0][1], parts[i].seen[-1][1]
            if answer.too_long or len(answer.spans) != last + 1 - first:
                raise ServingError(f"{self._server}: the model was replaced between two requests; expected one model")
            parts[i], found[i] = _from_word(parts[i], first), answer
        scheme = (answers[0].scheme if answers else "") or None
        tags, scores = _join(answers, parts, found, scheme)
        tokens = [
            [Token(text[start:end], start, end, *said) for (start, end), *said in zip(answer.spans, *of_text)]
            for text, answer, *of_text in zip(texts, answers, tags, scores)
        ]
        return tokens, scheme

    def _ask(self, texts):
        """For each text an Answer."""
        answers = [None] * len(texts)
        for batch in batches_by_length([len(text) for text in texts], self._batch_size):
            outputs = ("starts", "ends", "tags", "scores", "pieces", "word_count", "too_long", "max_pieces", "scheme")
            inputs = {"text": [texts[i].translate(_SENDABLE) for i in batch]}
            columns = self._predict(len(batch), inputs, outputs)
            for row, i in enumerate(batch):
                try:
                    answers[i] = _checked_answer(len(texts[i]), {name: columns[name][row] for name in outputs})
                except (TypeError, ValueError) as error:
                    raise ServingError(f"{self._server}: expected an answer as {TEXT} gives it: {error}")
        return answers


def _checked_answer(length, row):
    """The Answer for one text.

    Args:
      length: the number of characters of the text.
      row: dict from the name of an output to its value for this text.

    Raises:
      TypeError, ValueError: the outputs do not describe words of such a text.
    """
    count, max_pieces, scheme = row["word_count"], row["max_pieces"], row["scheme"]
    columns = [list(row[name][:count]) for name in ("starts", "ends", "tags", "scores", "pieces")]
    if [len(column) for column in columns] != [count] * len(columns):
        raise ValueError(f"not all outputs are for {count} words")
    for start, end, tag, score, _ in zip(*columns):
        if not 0 <= start < end <= length:
            raise ValueError(f"a word from {start} to {end} of {length} characters")
        if not isinstance(tag, str) or isinstance(score, str):
            raise TypeError(f"a tag {tag!r} with the probability {score!r}")
    if max_pieces < 1 or scheme not in ("", *SCHEMES):
        raise ValueError(f"max_pieces {max_pieces}, scheme {scheme!r}")
    starts, ends, tags, scores, pieces = columns
    return Answer(list(zip(starts, ends)), tags, scores, pieces, row["too_long"], max_pieces, scheme)


def _connect(protocol, url, model_name, timeout):
    """The server by one of PROTOCOLS; UserError where what that needs is not installed."""
    if protocol == "rest":
        return Rest(url, model_name, timeout)
    try:
        from train.serving.grpc import Grpc
    except ImportError as error:
        raise UserError(f"-protocol grpc: {error}; expected tensorflow-serving-api: pip install -r {EXTRA}")
    return Grpc(url, model_name, timeout)


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
    """(tags, scores): for each text a list of one for every word.

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
    return tags, join_scores(sizes, parts, [answer.scores for answer in found])
