"""From a tagger of windows of pieces to a tagger of text and of words; needs no TensorFlow.

In: texts of any length, or sentences that are cut into words already. Out: entities or words with character offsets
into the text as it was given.
"""

import array
import collections.abc
import contextlib
import itertools

from bert.system.errors import UserError
from bert.tokenization import FullTokenizer
from train.data import units
from train.data.context import Words, with_neighbours
from train.data.labels import CLS, SEP, SPECIAL
from train.data.schemes import OUTSIDE, split_tag
from train.data.text import SECTION, cut_places, sections, split_words
from train.data.windows import (
    encode_in_context,
    encode_words,
    join_scores,
    join_windows,
    put_scores,
    put_tags,
    repaired,
    settle_seams,
)
from train.inference.entities import TaggingInParts, Token

WINDOWS_AT_ONCE = 4096  # of sentences of words; a window takes some 15 KB
WORDS_AT_ONCE = 1 << 16


def load_tokenizer(vocab_file, settings):
    """The FullTokenizer of a tagger.

    Args:
      vocab_file: path of the vocabulary.
      settings: settings.TaggerSettings.

    Raises:
      UserError: the vocabulary is damaged, or is no vocabulary of BERT.
    """
    tokenizer = FullTokenizer(vocab_file, do_lower_case=settings.do_lower_case)
    for token in (CLS, SEP):
        if token not in tokenizer.vocab:
            raise UserError(f"{vocab_file}: expected an entry {token}")
    return tokenizer


class TextTagger(contextlib.AbstractContextManager):
    """Tags text by the predictions that a subclass's `_tag_windows` makes for windows of pieces.

    Args:
      tokenizer: FullTokenizer.
      settings: settings.TaggerSettings.

    Attributes:
      min_score: entities with a lower score are left out, and their words are O; 0.0 keeps all.
    """

    min_score = 0.0

    def __init__(self, tokenizer, settings):
        self.tokenizer = tokenizer
        self.settings = settings

    def close(self):
        """Frees what a subclass holds; nothing else can be called afterwards."""
        raise NotImplementedError

    def __exit__(self, *exception):
        self.close()

    def _tag_windows(self, windows):
        """The model's predictions for windows.

        Args:
          windows: list of windows.Encoded, without labels.

        Returns:
          list of windows.Prediction, in the order of the windows.
        """
        raise NotImplementedError

    @property
    def types(self):
        """The types of entity that the model knows, a sorted list."""
        tags = [label for label in self.settings.labels if label not in (OUTSIDE, *SPECIAL)]
        return sorted({split_tag(tag, self.settings.scheme)[1] for tag in tags})

    def __call__(self, texts):
        """The entities of a text or of several.

        Args:
          texts: str, or an iterable of str.

        Returns:
          list of entities.Entity, in order, none overlapping; for several texts a list of such lists.

        Raises:
          TypeError: something is no str.
        """
        if isinstance(texts, str):
            return self([texts])[0]
        return [of_text.entities for of_text in self.taggings(texts, keep_tokens=False)]

    def tokens(self, texts):
        """All the words of a text or of several, O included.

        Args:
          texts: str, or an iterable of str.

        Returns:
          list of entities.Token, in order; for several texts a list of such lists.

        Raises:
          TypeError: something is no str.
        """
        if isinstance(texts, str):
            return self.tokens([texts])[0]
        return [of_text.tokens for of_text in self.taggings(texts)]

    def taggings(self, texts, keep_tokens=True):
        """Words and entities of several texts.

        Args:
          texts: iterable of str.
          keep_tokens: false for a Tagging with `tokens` None, which takes much less memory.

        Returns:
          list of entities.Tagging, one for each text.

        Raises:
          TypeError: something is no str.
        """
        texts = _checked_texts(texts)
        found = [TaggingInParts(text, self.min_score, keep_tokens) for text in texts]
        for number, *part in self._parts(texts):
            found[number].add(*part)
            del part  # which takes much room while the next is tagged
        return [of_text.result() for of_text in found]

    def tag_words(self, sentences, documents=None):
        """Tags sentences that are cut into words, each exactly as -do_predict tags it in a data file.

        Args:
          sentences: iterable of lists of str. A model with -context reads each with those around it.
          documents: for each sentence the name or number of its document: neighbouring sentences with equal ones are of
            one document. Default: all are of one. A sentence without words ends a document, too.

        Returns:
          for each sentence a list with a pair for every word, (tag, score); scores are those of entities.Token.

        Raises:
          TypeError: a sentence is a str, or a word is none.
          ValueError: there are not as many documents as sentences.
        """
        found = self.word_taggings(sentences, documents=documents)
        return [[(token.tag, token.score) for token in each.tokens] for each in found]

    def word_taggings(self, sentences, keep_tokens=True, documents=None):
        """Words and entities of sentences that are cut into words, each as -do_predict tags it in a data file.

        Args:
          sentences, documents: as `tag_words`.
          keep_tokens: false for a Tagging with `tokens` None, which takes much less memory.

        Returns:
          list of entities.Tagging, one for each sentence; their offsets count in the words joined by single spaces.

        Raises:
          TypeError, ValueError: as `tag_words`.
        """
        sentences = _in_documents(_checked_sentences(sentences), documents)
        return self.taggings_in_context(with_neighbours(sentences, self.settings.context), keep_tokens)

    def taggings_in_context(self, sentences, keep_tokens=True):
        """As `word_taggings`, of an iterable of context.Words, which have the words around them."""
        return list(self._taggings_in_context(sentences, keep_tokens))

    def _taggings_in_context(self, sentences, keep_tokens):
        """Yields what `taggings_in_context` returns; a limited number of characters at a time."""
        settings = self.settings
        for group in _groups(sentences, _characters):
            cut = [units.cut(sentence.words, settings.cutting) for sentence in group]
            of_units = [
                units.cut_around(sentence, settings.cutting)._replace(words=each.units)
                for sentence, each in zip(group, cut)
            ]
            tags, scores, entity_scores = self._tag_words_of(of_units)
            if settings.cutting:
                tags = units.word_tags(cut, tags, settings.scheme, settings.constrain)
                scores, entity_scores = units.word_scores(cut, scores), units.word_scores(cut, entity_scores)
            for (words, *_), *of_words, of_entities in zip(group, tags, scores, entity_scores):
                found = TaggingInParts(" ".join(words), self.min_score, keep_tokens)
                tokens = _placed(words, *of_words)
                for start in range(0, len(words), WORDS_AT_ONCE):
                    some = list(itertools.islice(tokens, WORDS_AT_ONCE))
                    found.add(some, of_entities[start : start + WORDS_AT_ONCE], settings.scheme)
                yield found.result()

    def _parts(self, texts):
        """Tags any number of texts of any length, a limited number of characters at a time.

        Yields:
          (index of the text, tokens, scores, scheme): a part of a text, see `_tokens`; the parts of each in order.
        """
        parts = ((i, start, end) for i, text in enumerate(texts) for start, end in sections(text, SECTION))
        for group in _groups(parts, lambda part: part[2] - part[1]):
            yield from self._tag_parts(texts, group)

    def _tag_parts(self, texts, group):
        """Yields what `_parts` does; group: list of (index of the text, start, end)."""
        found, entity_scores, scheme = self._tokens([texts[i][start:end] for i, start, end in group])
        for (i, start, _), of_part, of_entities in zip(group, found, entity_scores):
            for k, token in enumerate(of_part if start else ()):
                of_part[k] = token._replace(start=token.start + start, end=token.end + start)
            yield i, of_part, of_entities, scheme

    def _tokens(self, texts):
        """The words of texts.

        Returns:
          (tokens, scores, scheme): for each text the list of its Tokens, and that of the scores of `entities.entities`;
          the name of the scheme that the tags are written in, or None.
        """
        settings = self.settings
        offsets = [split_words(text, settings.splitter) for text in texts]
        words = [[text[start:end] for start, end in spans] for text, spans in zip(texts, offsets)]

        def places(number):
            return cut_places(texts[number], offsets[number])

        encoded = list(encode_words(words, self.tokenizer, settings.max_seq_length, places))
        predictions = self._tag_windows(encoded)
        ids = [prediction.label_ids for prediction in predictions]
        parts = settle_seams([window.part for window in encoded], ids, settings.labels, settings.scheme)
        sizes = list(map(len, words))
        tags = join_windows(sizes, parts, ids, settings.labels, settings.required_scheme)
        scores, entity_scores = join_both_scores(sizes, parts, predictions)
        tokens = [
            [Token(word, start, end, tag, score) for word, (start, end), tag, score in zip(*columns)]
            for columns in zip(words, offsets, tags, scores)
        ]
        return tokens, entity_scores, settings.scheme

    def _tag_words_of(self, sentences):
        """Tags sentences, each cut into windows as in training; some windows after the others.

        Args:
          sentences: list of context.Words.

        Returns:
          (tags, scores, entity_scores): for each sentence a list, or array, of one for every word.
        """
        settings = self.settings
        sizes = [len(sentence.words) for sentence in sentences]
        tags = [[OUTSIDE] * size for size in sizes]
        scores, entity_scores = ([array.array("d", [1.0]) * size for size in sizes] for _ in range(2))
        encoded = encode_in_context(sentences, self.tokenizer, settings.max_seq_length, settings.context)
        for windows in iter(lambda: list(itertools.islice(encoded, WINDOWS_AT_ONCE)), []):
            predictions, parts = self._tag_windows(windows), [window.part for window in windows]
            put_tags(tags, parts, [each.label_ids for each in predictions], settings.labels)
            put_scores(scores, parts, [each.scores for each in predictions])
            put_scores(entity_scores, parts, _entity_scores(predictions))
        return repaired(tags, settings.required_scheme), scores, entity_scores


def join_both_scores(sizes, parts, predictions):
    """(scores, entity_scores) of words, as windows.join_scores.

    Args:
      sizes, parts: as `windows.join_scores`.
      predictions: for each part what has `scores` and `entity_scores` by position.
    """
    scores = join_scores(sizes, parts, [each.scores for each in predictions])
    return scores, join_scores(sizes, parts, _entity_scores(predictions))


def _entity_scores(predictions):
    """The entity_scores of predictions, a list; where the model gives none, the scores."""
    return [each.scores if each.entity_scores is None else each.entity_scores for each in predictions]


def _placed(words, tags, scores):
    """Yields the Tokens of words that a single space stands between."""
    start = 0
    for word, tag, score in zip(words, tags, scores):
        yield Token(word, start, start + len(word), tag, score)
        start += len(word) + 1


def _groups(items, size_of):
    """Yields lists of items of at most SECTION characters together, and of one at least; size_of: how many one has."""
    group, characters = [], 0
    for item in items:
        size = size_of(item)
        if group and characters + size > SECTION:
            yield group
            group, characters = [], 0
        group.append(item)
        characters += size
    if group:
        yield group


def _checked_texts(texts):
    """The texts as a list; TypeError unless all are str."""
    if isinstance(texts, (bytes, dict)) or not isinstance(texts, collections.abc.Iterable):
        raise TypeError(f"expected a text (str) or several, got {type(texts).__name__}")
    texts = list(texts)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {number}: expected str, got {type(text).__name__}")
    return texts


def _characters(sentence):
    """The number of characters of a context.Words, and of words around it, which take room too."""
    return sum(map(len, sentence.words)) + len(sentence.words) + len(sentence.before) + len(sentence.after)


def _in_documents(sentences, documents):
    """Lists of words as context.Words; documents: as of `TextTagger.tag_words`."""
    documents = [None] * len(sentences) if documents is None else list(documents)
    if len(documents) != len(sentences):
        raise ValueError(f"{len(documents)} documents, {len(sentences)} sentences; expected one for each")
    before = documents[:1] + documents
    return [Words(words, not words or own != other) for words, own, other in zip(sentences, documents, before)]


def _checked_sentences(sentences):
    """The sentences as a list of lists; TypeError unless all are of str."""
    checked = []
    for number, words in enumerate(sentences):
        if isinstance(words, (str, bytes)):
            raise TypeError(f"sentence {number}: expected a list of words, got {type(words).__name__}")
        checked.append(list(words))
        for word in checked[-1]:
            if not isinstance(word, str):
                raise TypeError(f"sentence {number}: expected words of str, got {type(word).__name__}")
    return checked
