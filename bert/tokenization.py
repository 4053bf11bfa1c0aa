"""Text in, WordPiece pieces and their ids out: BERT's tokenizer, with the interface of Google BERT's module.

`BasicTokenizer` splits a text into words and punctuation marks. `WordpieceTokenizer` splits each word into pieces of
the vocabulary. `FullTokenizer` does both and maps pieces to ids. No text has a special meaning: "[CLS]" is split like
any other.

Character classes come from Python's `unicodedata`; newer Pythons have newer versions of Unicode. Unassigned characters
are kept, so that an older Python does not drop what a newer one keeps. Two Pythons then differ only on characters that
the older one does not know and whose class matters here (punctuation, accents, format characters, capitals), and on
three rare ones whose class Unicode has changed (U+166D, U+1734, U+A9BD).
"""

import collections
import os
import re
import string
import sys
import unicodedata

if not __package__:  # imported as `tokenization`, by a script in this folder
    sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bert.system import lines
from bert.system.errors import UserError

UNKNOWN = "[UNK]"

# The blocks of CJK ideographs, first and last code point. Hangul, Hiragana and Katakana are not among them: text in
# these scripts is split at spaces, as in an alphabet.
_CJK_BLOCKS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)

_ASCII_PUNCTUATION = frozenset(string.punctuation)

# The names of the checkpoints that Google released: those with a lower-cased vocabulary, and those with a cased one.
_UNCASED_RELEASES = {
    "chinese_L-12_H-768_A-12",
    "multilingual_L-12_H-768_A-12",
    "uncased_L-24_H-1024_A-16",
    "wwm_uncased_L-24_H-1024_A-16",
}
for _layers in (2, 4, 6, 8, 10, 12):
    for _hidden in (128, 256, 512, 768):
        _UNCASED_RELEASES.add(f"uncased_L-{_layers}_H-{_hidden}_A-{_hidden // 64}")
_CASED_RELEASES = {
    "cased_L-12_H-768_A-12",
    "cased_L-24_H-1024_A-16",
    "multi_cased_L-12_H-768_A-12",
    "wwm_cased_L-24_H-1024_A-16",
}


class CaseMismatchError(UserError, ValueError):
    """do_lower_case does not fit the checkpoint. Also a ValueError, which is what Google's module raises."""


def validate_case_matches_checkpoint(do_lower_case, init_checkpoint):
    """Checks that `do_lower_case` fits a checkpoint that Google released; the name of its folder says which it is.

    Args:
        do_lower_case: whether text will be lower-cased.
        init_checkpoint: path such as `.../uncased_L-12_H-768_A-12/bert_model.ckpt`, or None. A folder with any other
            name passes.

    Raises:
        CaseMismatchError: it does not fit.
    """
    match = re.search(r"([^/\\]+)[/\\]bert_model\.ckpt[^/\\]*$", init_checkpoint or "")
    release = match.group(1) if match else None
    if release in _CASED_RELEASES and do_lower_case:
        found, expected = "do_lower_case is true", "false, as its vocabulary is cased"
    elif release in _UNCASED_RELEASES and not do_lower_case:
        found, expected = "do_lower_case is false", "true, as its vocabulary is lower-cased"
    else:
        return
    raise CaseMismatchError(f"{init_checkpoint}: {found}, expected {expected}")


def convert_to_unicode(text):
    """Returns `text` as str; bytes are decoded as UTF-8, leaving out what is not. ValueError on any other type."""
    if isinstance(text, str):
        return text
    if isinstance(text, bytes):
        return text.decode("utf-8", "ignore")
    raise ValueError(f"expected str or bytes, got {type(text).__name__}")


def printable_text(text):
    """Returns `text`, a str or UTF-8 bytes, as the str that `print` takes."""
    return convert_to_unicode(text)


def load_vocab(vocab_file):
    """Reads a vocabulary: one piece per line, its id the number of lines above it.

    The file is UTF-8, with or without BOM. A line ends at "\\n" or "\\r\\n" only: U+2028, a line separator to
    Python, is an entry of the Chinese vocabulary. Spaces, tabs and carriage returns around an entry are
    dropped (no piece can hold one), and so are empty lines at the file's end.

    Returns:
        OrderedDict from piece to id, in the file's order.

    Raises:
        UserError: the file cannot be read, is empty or not UTF-8, or has an entry twice.
    """
    expected = "a vocabulary file, one piece per line, in UTF-8"
    pieces = [line.strip(" \t\r") for _, line in lines.read(vocab_file, expected)]
    while pieces and not pieces[-1]:
        pieces.pop()
    if not pieces:
        raise UserError(f"{vocab_file}: the file is empty, expected one piece per line")

    vocab = collections.OrderedDict()
    for index, piece in enumerate(pieces):
        if piece in vocab:
            raise UserError(
                f"{vocab_file}:{index + 1}: {piece!r} is on line {vocab[piece] + 1} already; expected each piece once"
            )
        vocab[piece] = index
    return vocab


def convert_by_vocab(vocab, items):
    """Looks up each of `items` in `vocab` (piece to id, or id to piece); KeyError if one is not in it."""
    return [vocab[item] for item in items]


def convert_tokens_to_ids(vocab, tokens):
    """Returns the ids of the pieces `tokens`; KeyError if one is not in `vocab`."""
    return convert_by_vocab(vocab, tokens)


def convert_ids_to_tokens(inv_vocab, ids):
    """Returns the pieces with these `ids`; KeyError if one is not in `inv_vocab`."""
    return convert_by_vocab(inv_vocab, ids)


def whitespace_tokenize(text):
    """Splits `text` at runs of whitespace (as of `str.split`, so U+2028 too); returns a list without empty words."""
    return text.split()


class FullTokenizer:
    """From a text to pieces, and from pieces to ids.

    Attributes:
        vocab: OrderedDict from piece to id.
        inv_vocab: dict from id to piece.
        basic_tokenizer, wordpiece_tokenizer: the two stages.
    """

    def __init__(self, vocab_file, do_lower_case=True):
        """Reads the vocabulary.

        Args:
            vocab_file: see `load_vocab`.
            do_lower_case: see `BasicTokenizer`.

        Raises:
            UserError: the file is not a vocabulary, or it has no [UNK].
        """
        self.vocab = load_vocab(vocab_file)
        if UNKNOWN not in self.vocab:
            message = "{}: none of its {} lines is {}, expected a BERT vocabulary"
            raise UserError(message.format(vocab_file, len(self.vocab), UNKNOWN))
        self.inv_vocab = {index: piece for piece, index in self.vocab.items()}
        self.basic_tokenizer = BasicTokenizer(do_lower_case=do_lower_case)
        self.wordpiece_tokenizer = WordpieceTokenizer(vocab=self.vocab)

    def tokenize(self, text):
        """Returns the pieces of `text` (str or UTF-8 bytes): a list of str, all of them in the vocabulary."""
        pieces = []
        for word in self.basic_tokenizer.tokenize(text):
            pieces.extend(self.wordpiece_tokenizer.tokenize(word))
        return pieces

    def convert_tokens_to_ids(self, tokens):
        """Returns the ids of `tokens`; KeyError if one is not in the vocabulary."""
        return convert_by_vocab(self.vocab, tokens)

    def convert_ids_to_tokens(self, ids):
        """Returns the pieces with these `ids`; KeyError if the vocabulary has no such id."""
        return convert_by_vocab(self.inv_vocab, ids)


class BasicTokenizer:
    """Splits a text into words; each CJK ideograph and each punctuation mark is a word."""

    def __init__(self, do_lower_case=True):
        """With `do_lower_case`, words are lower-cased and accents are removed."""
        self.do_lower_case = do_lower_case

    def tokenize(self, text):
        """Returns the words of `text` (str or UTF-8 bytes): a list of str, none empty or with whitespace."""
        # Each step works on the whole text. Word by word would give the same: no step depends on what is behind a
        # space, and only the first step removes spaces.
        text = convert_to_unicode(text).translate(_CLEANED)
        if self.do_lower_case:
            text = unicodedata.normalize("NFD", text.lower()).translate(_WITHOUT_ACCENTS)
        return whitespace_tokenize(text.translate(_PUNCTUATION_APART))


class WordpieceTokenizer:
    """Splits words into pieces of a vocabulary, the longest match first; pieces after the first begin with `##`."""

    def __init__(self, vocab, unk_token=UNKNOWN, max_input_chars_per_word=100):
        """`vocab`: container of str. A word with more than `max_input_chars_per_word` characters gives `unk_token`."""
        self.vocab = vocab
        self.unk_token = unk_token
        self.max_input_chars_per_word = max_input_chars_per_word

    def tokenize(self, text):
        """Returns the pieces of each word of `text`, a list of str.

        A word that pieces of the vocabulary cannot make up gives one `unk_token`.

        >>> vocab = ["[UNK]", "un", "##aff", "##able"]
        >>> WordpieceTokenizer(vocab).tokenize("unaffable unable unwanted")
        ['un', '##aff', '##able', 'un', '##able', '[UNK]']
        """
        pieces = []
        for word in whitespace_tokenize(convert_to_unicode(text)):
            pieces.extend(self._pieces(word))
        return pieces

    def _pieces(self, word):
        if len(word) > self.max_input_chars_per_word:
            return [self.unk_token]
        if word in self.vocab:  # most words, and every known ideograph
            return [word]
        pieces = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                piece = prefix + word[start:end]
                if piece in self.vocab:
                    break
            else:
                return [self.unk_token]
            pieces.append(piece)
            start = end
        return pieces


class CharacterTable(dict):
    """A table for `str.translate` that calls `replacement(character)` once for each different character.

    Classifying each character of each text would take most of the time of tokenizing.
    """

    def __init__(self, replacement):
        super().__init__()
        self._replacement = replacement

    def __missing__(self, codepoint):
        self[codepoint] = result = self._replacement(chr(codepoint))
        return result


def _cleaned(char):
    """A character after cleaning: control characters give "", whitespace a space, ideographs get spaces around them."""
    if char == "\ufffd" or _is_control(char):
        return ""
    if _is_whitespace(char):
        return " "
    return " " + char + " " if _is_chinese(char) else char


def _without_accent(char):
    return "" if unicodedata.category(char) == "Mn" else char


def _punctuation_apart(char):
    return " " + char + " " if _is_punctuation(char) else char


_CLEANED = CharacterTable(_cleaned)
_WITHOUT_ACCENTS = CharacterTable(_without_accent)
_PUNCTUATION_APART = CharacterTable(_punctuation_apart)


# The kinds of characters for `BasicTokenizer`, see `character_kinds`.
DROPPED, SPACE, ALONE, MARK, PART = "d", "s", "a", "m", "p"


def character_kinds(text):
    """The kind of each character of `text` (str) for `BasicTokenizer`: a str of the same length.

    DROPPED: removed. SPACE: whitespace, as of `str.split`. ALONE: a word by itself, so an ideograph or a punctuation
    mark. MARK: a combining mark (M*) on the character before it. PART: part of a word.
    """
    return text.translate(_KINDS)


def character_kind(char):
    """The kind of one character. Caches nothing, so it suits callers that go through all of Unicode."""
    cleaned = _cleaned(char)
    if not cleaned:
        return DROPPED
    if cleaned.isspace():
        return SPACE
    if _is_chinese(char) or _is_punctuation(char):
        return ALONE
    return MARK if unicodedata.category(char).startswith("M") else PART


_KINDS = CharacterTable(character_kind)


def _is_whitespace(char):
    """Space, tab, newline, carriage return, and Unicode's other spaces (Zs)."""
    return char in (" ", "\t", "\n", "\r") or unicodedata.category(char) == "Zs"


def _is_control(char):
    """Control and format characters (Cc, Cf), without the three that count as whitespace."""
    return char not in ("\t", "\n", "\r") and unicodedata.category(char) in ("Cc", "Cf")


def _is_punctuation(char):
    """Unicode punctuation (P*), and ASCII characters such as `$`, `+` and `^`, which Unicode calls symbols."""
    return char in _ASCII_PUNCTUATION or unicodedata.category(char).startswith("P")


def _is_chinese(char):
    codepoint = ord(char)
    return any(first <= codepoint <= last for first, last in _CJK_BLOCKS)
