"""From a tagger of windows of pieces to a tagger of text and of words; needs no TensorFlow.

In: texts of any length, or sentences that are cut into words already. Out: entities or words with character offsets
into the text as it was given.
"""

import collections.abc
import contextlib

from bert.system.errors import UserError
from bert.tokenization import FullTokenizer
from train.data import units
from train.data.labels import CLS, SEP, SPECIAL
from train.data.schemes import OUTSIDE, split_tag
from train.data.text import SECTION, cut_places, sections, split_words
from train.data.windows import encode_words, join_scores, join_windows, settle_seams
from train.inference.entities import Token, tagging


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
        return [of_text.entities for of_text in self.taggings(texts)]

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

    def taggings(self, texts):
        """Words and entities of several texts.

        Args:
          texts: iterable of str.

        Returns:
          list of entities.Tagging, one for each text.

        Raises:
          TypeError: something is no str.
        """
        texts = _checked_texts(texts)
        tokens, scores, scheme = self._tokens_by_groups(texts)
        return [tagging(*of_text, self.min_score) for of_text in zip(texts, tokens, [scheme] * len(texts), scores)]

    def tag_words(self, sentences):
        """Tags sentences that are cut into words, each exactly as -do_predict tags it in a data file.

        Args:
          sentences: iterable of lists of str.

        Returns:
          for each sentence a list with a pair for every word, (tag, score); scores are those of entities.Token.

        Raises:
          TypeError: a sentence is a str, or a word is none.
        """
        return [[(token.tag, token.score) for token in each.tokens] for each in self.word_taggings(sentences)]

    def word_taggings(self, sentences):
        """Words and entities of sentences that are cut into words, each as -do_predict tags it in a data file.

        Args:
          sentences: iterable of lists of str.

        Returns:
          list of entities.Tagging, one for each sentence; their offsets count in the words joined by single spaces.

        Raises:
          TypeError: a sentence is a str, or a word is none.
        """
        settings, sentences = self.settings, _checked_sentences(sentences)
        cut = [units.cut(words, settings.cutting) for words in sentences]
        tags, scores, entity_scores = self._tag([each.units for each in cut], None)
        tags = units.word_tags(cut, tags, settings.scheme, settings.constrain)
        scores, entity_scores = units.word_scores(cut, scores), units.word_scores(cut, entity_scores)
        tokens = [_placed(*columns) for columns in zip(sentences, tags, scores)]
        return [
            tagging(" ".join(words), of_words, settings.scheme, of_entities, self.min_score)
            for words, of_words, of_entities in zip(sentences, tokens, entity_scores)
        ]

    def _tokens_by_groups(self, texts):
        """As `_tokens`, for any number of texts of any length: a limited number of characters at a time."""
        tokens, scores, scheme = [[] for _ in texts], [[] for _ in texts], None
        parts = ((i, start, end) for i, text in enumerate(texts) for start, end in sections(text, SECTION))
        for group in _groups(parts):
            found, entity_scores, scheme = self._tokens([texts[i][start:end] for i, start, end in group])
            for (i, start, _), of_part, of_entities in zip(group, found, entity_scores):
                scores[i] += of_entities
                moved = [token._replace(start=token.start + start, end=token.end + start) for token in of_part]
                tokens[i] += moved if start else of_part
        return tokens, scores, scheme

    def _tokens(self, texts):
        """The words of texts.

        Returns:
          (tokens, scores, scheme): for each text the list of its Tokens, and that of the scores of `entities.entities`;
          the name of the scheme that the tags are written in, or None.
        """
        offsets = [split_words(text, self.settings.splitter) for text in texts]
        words = [[text[start:end] for start, end in spans] for text, spans in zip(texts, offsets)]
        tags, scores, entity_scores = self._tag(words, lambda number: cut_places(texts[number], offsets[number]))
        tokens = [
            [Token(word, start, end, tag, score) for word, (start, end), tag, score in zip(*columns)]
            for columns in zip(words, offsets, tags, scores)
        ]
        return tokens, entity_scores, self.settings.scheme

    def _tag(self, sentences, places):
        """(tags, scores, entity_scores): for each sentence a list of one for every word.

        Args:
          sentences: list of lists of words.
          places: where to cut long ones, see windows.encode_words; None: as training does.
        """
        settings = self.settings
        encoded = list(encode_words(sentences, self.tokenizer, settings.max_seq_length, places))
        predictions = self._tag_windows(encoded)
        ids = [prediction.label_ids for prediction in predictions]
        sizes, parts = [len(words) for words in sentences], [window.part for window in encoded]
        if places:
            parts = settle_seams(parts, ids, settings.labels, settings.scheme)
        tags = join_windows(sizes, parts, ids, settings.labels, settings.required_scheme)
        return (tags,) + join_both_scores(sizes, parts, predictions)


def join_both_scores(sizes, parts, predictions):
    """(scores, entity_scores) of words, as windows.join_scores; without entity_scores they are the scores.

    Args:
      sizes, parts: as `windows.join_scores`.
      predictions: for each part what has `scores` and `entity_scores` by position.
    """
    scores = join_scores(sizes, parts, [each.scores for each in predictions])
    if any(each.entity_scores is None for each in predictions):
        return scores, scores
    return scores, join_scores(sizes, parts, [each.entity_scores for each in predictions])


def _placed(words, tags, scores):
    """The Tokens of words that a single space stands between."""
    tokens, start = [], 0
    for word, tag, score in zip(words, tags, scores):
        tokens.append(Token(word, start, start + len(word), tag, score))
        start += len(word) + 1
    return tokens


def _groups(parts):
    """Yields lists of (text, start, end) of at most SECTION characters together, and of one at least."""
    group, characters = [], 0
    for part in parts:
        size = part[2] - part[1]
        if group and characters + size > SECTION:
            yield group
            group, characters = [], 0
        group.append(part)
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
