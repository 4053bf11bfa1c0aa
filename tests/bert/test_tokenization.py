"""The tokenizers against hand examples, a brute-force WordPiece and a word-by-word BasicTokenizer."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert import tokenization
from bert.system.errors import UserError


@pytest.fixture
def vocab_file(tmp_path):
    """Returns a function that writes bytes, or a list of entries, to a vocabulary file and gives its path."""

    def write(content):
        path = tmp_path / "vocab.txt"
        path.write_bytes(content if isinstance(content, bytes) else "\n".join(content).encode() + b"\n")
        return str(path)

    return write


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", []),
        (" \t\r\n\u00a0\u3000 ", []),
        ("  New\tYork \n is BIG ", ["new", "york", "is", "big"]),
        ("don't pay $5.00^2", ["don", "'", "t", "pay", "$", "5", ".", "00", "^", "2"]),
        ("a——b“c”，d。", ["a", "—", "—", "b", "“", "c", "”", "，", "d", "。"]),
        ("我爱BERT模型", ["我", "爱", "bert", "模", "型"]),
        ("\u3400\U00020000x\uf900", ["\u3400", "\U00020000", "x", "\u8c48"]),  # NFD unifies U+F900
        ("ひらがなカナ", ["ひらかなカナ"]),  # no ideographs; NFD takes the voicing mark off が
        ("한국어", ["\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165"]),  # NFD takes syllables apart
        ("Crème BRÛLÉE", ["creme", "brulee"]),
        ("e\u0301\u0327te", ["ete"]),
        ("Straße GROẞ", ["straße", "groß"]),
        ("İstanbul", ["istanbul"]),  # lower-cased to i and a dot above, which is an accent
        ("ΟΔΟΣ ΣΑΣ", ["οδος", "σας"]),
        ("ＡＢＣ１２！", ["ａｂｃ１２", "！"]),  # full-width forms stay full-width
        ("I ❤ 😀ok", ["i", "❤", "😀ok"]),
        ("👨\u200d👩\u200d👧", ["👨👩👧"]),  # the joiner is a format character
        ("❤\ufe0f", ["❤"]),  # the variation selector is a mark
        ("\u0301 \u0300\u0301", []),
        ("\0\ufffd\u0001\u200b\ufeff\u00ad", []),
        ("a\0b\ufffdc\u0085d\u200be", ["abcde"]),
        ("a\x0bb\x1cc", ["abc"]),  # whitespace to Python, control characters to Unicode
        ("a\u2028b\u2029c", ["a", "b", "c"]),
        ("[CLS] x [MASK]", ["[", "cls", "]", "x", "[", "mask", "]"]),
        ("a\u20dd", ["a\u20dd"]),  # an enclosing mark (Me) is no accent
        ("\u0378", ["\u0378"]),  # unassigned: stays, whatever the Unicode version makes of it
        (b"caf\xc3\xa9 \xff!", ["cafe", "!"]),
    ],
)
def test_basic_lower(text, expected):
    assert tokenization.BasicTokenizer(do_lower_case=True).tokenize(text) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Crème BRÛLÉE, İ!", ["Crème", "BRÛLÉE", ",", "İ", "!"]),
        ("e\u0301te\u200d", ["e\u0301te"]),
        ("한국어", ["한국어"]),
        ("が豈x", ["が", "豈", "x"]),
        ("\u0301", ["\u0301"]),
    ],
)
def test_basic_cased(text, expected):
    assert tokenization.BasicTokenizer(do_lower_case=False).tokenize(text) == expected


IDEOGRAPH = re.compile(
    "[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\U00020000-\U0002a6df"
    "\U0002a700-\U0002b73f\U0002b740-\U0002b81f\U0002b820-\U0002ceaf\U0002f800-\U0002fa1f]"
)


def reference_words(text, do_lower_case):
    """The definition read off one step after the other: characters in loops, words one at a time."""
    kept = ""
    for char in text:
        category = unicodedata.category(char)
        if char in "\t\n\r" or category == "Zs":
            kept += " "
        elif char != "\ufffd" and category not in ("Cc", "Cf"):
            kept += " " + char + " " if IDEOGRAPH.match(char) else char
    words = []
    for word in kept.split():
        if do_lower_case:
            letters = unicodedata.normalize("NFD", word.lower())
            word = "".join(char for char in letters if unicodedata.category(char) != "Mn")
        current = ""
        for char in word:
            ascii_mark = ord(char) < 128 and not char.isalnum()
            if ascii_mark or unicodedata.category(char)[0] == "P":
                words += [current, char]
                current = ""
            else:
                current += char
        words.append(current)
    return [word for word in words if word]


LETTERS = "aBİßΣσς.'$é\u0301\u0327中\uf900\U0002f800が한ﬀＡ，😀"
SPACES = " \t\n\r\0\x1c\u0085\u00a0\u2028\u3000\u200d\ufffd\ufeff"
TEXTS = st.one_of(st.text(alphabet=LETTERS + SPACES, max_size=40), st.text(max_size=40))


@settings(deadline=None)
@given(TEXTS, st.booleans())
def test_basic_equals_word_by_word(text, do_lower_case):
    words = tokenization.BasicTokenizer(do_lower_case).tokenize(text)
    assert words == reference_words(text, do_lower_case)


@settings(deadline=None)
@given(TEXTS, st.booleans())
def test_basic_properties(text, do_lower_case):
    tokenizer = tokenization.BasicTokenizer(do_lower_case)
    words = tokenizer.tokenize(text)
    assert tokenizer.tokenize(" ".join(words)) == words
    assert all(word and word.split() == [word] for word in words)


def test_ideograph_blocks():
    tokenizer = tokenization.BasicTokenizer(do_lower_case=False)
    for first, last in [
        (0x4E00, 0x9FFF),
        (0x3400, 0x4DBF),
        (0x20000, 0x2A6DF),
        (0x2A700, 0x2B73F),
        (0x2B740, 0x2B81F),
        (0x2B820, 0x2CEAF),
        (0xF900, 0xFAFF),
        (0x2F800, 0x2FA1F),
    ]:
        for inside in (first, last):
            assert tokenizer.tokenize("a" + chr(inside) + "b") == ["a", chr(inside), "b"]
    for outside in (0x33FF, 0x4DC0, 0xA000, 0xAC00, 0x3042, 0x30A2, 0xFB00, 0x1F600, 0x2FA20):
        assert tokenizer.tokenize("a" + chr(outside) + "b") == ["a" + chr(outside) + "b"]


def test_wordpiece_by_hand():
    vocab = {
        piece: index
        for index, piece in enumerate(
            ["[UNK]", "play", "##ing", "##in", "##g", "##s", "pl", "p", "##l", "中", "##中", "😀"]
        )
    }
    tokenizer = tokenization.WordpieceTokenizer(vocab)
    assert tokenizer.tokenize("") == []
    assert tokenizer.tokenize("  \n ") == []
    assert tokenizer.tokenize("playing plays") == ["play", "##ing", "play", "##s"]
    assert tokenizer.tokenize("plg pll") == ["pl", "##g", "pl", "##l"]
    assert tokenizer.tokenize("playinX playing") == ["[UNK]", "play", "##ing"]
    assert tokenizer.tokenize("ing") == ["[UNK]"]
    assert tokenizer.tokenize("中 中中 国") == ["中", "中", "##中", "[UNK]"]
    assert tokenizer.tokenize("😀") == ["😀"]
    assert tokenizer.tokenize(b"plays \xff") == ["play", "##s"]


def test_greedy_does_not_go_back():
    """ "ab" + "##cd" would fit, but the longest first piece "abc" leaves an unknown rest."""
    tokenizer = tokenization.WordpieceTokenizer(["ab", "abc", "##cd"])
    assert tokenizer.tokenize("abcd") == ["[UNK]"]


def test_word_length_limit():
    vocab = {"a", "##a", "aaaa"}
    tokenizer = tokenization.WordpieceTokenizer(vocab, unk_token="?", max_input_chars_per_word=3)
    assert tokenizer.tokenize("aaa aaaa") == ["a", "##a", "##a", "?"]
    tokenizer = tokenization.WordpieceTokenizer({"x", "##x"})
    assert tokenizer.tokenize("x" * 100) == ["x"] + ["##x"] * 99
    assert tokenizer.tokenize("x" * 101) == ["[UNK]"]


def reference_pieces(word, vocab, limit):
    """Greedy matching by trying the whole vocabulary, the longest entry first."""
    if len(word) > limit:
        return ["[UNK]"]
    pieces, rest = [], word
    while rest:
        fits = [
            (text, piece)
            for piece in vocab
            for text in [piece if not pieces else piece[2:] if piece.startswith("##") else ""]
            if text and rest.startswith(text)
        ]
        if not fits:
            return ["[UNK]"]
        text, piece = max(fits, key=lambda fit: len(fit[0]))
        pieces.append(piece)
        rest = rest[len(text) :]
    return pieces


PIECES = st.builds(
    lambda later, text: "##" + text if later else text,
    st.booleans(),
    st.text("abc#é", min_size=1, max_size=3),
)


@settings(deadline=None)
@given(
    st.lists(PIECES, max_size=25, unique=True),
    st.lists(st.text("abc#é", min_size=1, max_size=9), max_size=4),
    st.integers(1, 9),
)
def test_wordpiece_equals_brute_force(vocab, words, limit):
    tokenizer = tokenization.WordpieceTokenizer(vocab, max_input_chars_per_word=limit)
    expected = [piece for word in words for piece in reference_pieces(word, vocab, limit)]
    assert tokenizer.tokenize(" ".join(words)) == expected


@settings(deadline=None)
@given(st.lists(PIECES, max_size=25, unique=True), st.text("abc#é", min_size=1, max_size=9))
def test_pieces_join_to_the_word(vocab, word):
    pieces = tokenization.WordpieceTokenizer(vocab).tokenize(word)
    assert all(pieces)
    if pieces != ["[UNK]"]:
        assert pieces[0] + "".join(piece[2:] for piece in pieces[1:]) == word
        assert all(piece.startswith("##") for piece in pieces[1:])


VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##want", "##ed", "want", "runn", "##ing", ",", "北", "京"]


def test_full_tokenizer(vocab_file):
    tokenizer = tokenization.FullTokenizer(vocab_file(VOCAB))
    pieces = tokenizer.tokenize("UNwantéd,running北京 東")
    assert pieces == ["un", "##want", "##ed", ",", "runn", "##ing", "北", "京", "[UNK]"]
    ids = [4, 5, 6, 10, 8, 9, 11, 12, 1]
    assert tokenizer.convert_tokens_to_ids(pieces) == ids
    assert tokenizer.convert_ids_to_tokens(ids) == pieces
    assert tokenization.convert_tokens_to_ids(tokenizer.vocab, pieces) == ids
    assert tokenization.convert_ids_to_tokens(tokenizer.inv_vocab, ids) == pieces
    assert tokenization.convert_by_vocab(tokenizer.vocab, pieces) == ids
    assert tokenizer.basic_tokenizer.tokenize("Aé") == ["ae"]
    assert tokenizer.wordpiece_tokenizer.tokenize("unwanted") == ["un", "##want", "##ed"]


def test_full_tokenizer_cased(vocab_file):
    tokenizer = tokenization.FullTokenizer(vocab_file(VOCAB), do_lower_case=False)
    assert tokenizer.tokenize("unwanted UNwanted") == ["un", "##want", "##ed", "[UNK]"]


def test_words_without_pieces(vocab_file):
    tokenizer = tokenization.FullTokenizer(vocab_file(VOCAB))
    for word in ("\u200b", "\x07\x7f", "\ufeff", "\u0301", "\u2028"):
        assert tokenizer.tokenize(word) == []


def test_unknown_piece_or_id_is_a_key_error(vocab_file):
    tokenizer = tokenization.FullTokenizer(vocab_file(VOCAB))
    with pytest.raises(KeyError):
        tokenizer.convert_tokens_to_ids(["nowhere"])
    with pytest.raises(KeyError):
        tokenizer.convert_ids_to_tokens([len(VOCAB)])


@settings(deadline=None)
@given(TEXTS)
def test_full_tokenizer_stays_in_the_vocabulary(text):
    vocab = ["[UNK]", "a", "##b", "i", "中", ".", "'", "σ", "##σ"]
    basic = tokenization.BasicTokenizer()
    wordpiece = tokenization.WordpieceTokenizer(vocab)
    pieces = [piece for word in basic.tokenize(text) for piece in wordpiece.tokenize(word)]
    assert set(pieces) <= set(vocab)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last", [True, False])
def test_load_vocab_line_ends(vocab_file, end, bom, last):
    entries = ["[PAD]", "[UNK]", "\u2028", "##\u2028", "\u0085", "a\x0bb", "a\rb", "\u3000", "的"]
    content = end.join(entries) + (end if last else "")
    vocab = tokenization.load_vocab(vocab_file(bom + content.encode()))
    assert list(vocab.items()) == [(entry, index) for index, entry in enumerate(entries)]


def test_load_vocab_surrounding_and_empty_lines(vocab_file):
    vocab = tokenization.load_vocab(vocab_file(b" the\t\n\n[UNK] \n\n\n"))
    assert list(vocab.items()) == [("the", 0), ("", 1), ("[UNK]", 2)]


def test_load_vocab_asks_for_no_particular_piece(vocab_file):
    vocab = tokenization.load_vocab(vocab_file("the\n\u2028\n##s\n".encode()))
    assert list(vocab.items()) == [("the", 0), ("\u2028", 1), ("##s", 2)]


@pytest.mark.parametrize(
    "content, parts",
    [
        (b"", ["empty"]),
        (b"\n\r\n \n", ["empty"]),
        (b"[UNK]\na\nb\na\n", [":4:", "'a'", "line 2"]),
        (b"[UNK]\n\na\n\nb\n", [":4:", "''", "line 2"]),
        (b"[UNK]\r\nok\r\n\xe4\xb8\n", [":3: byte 1 of the line", "UTF-8"]),
        (b"\xef\xbb\xbf[UNK]\n\xff\n", [":2: byte 1 of the line"]),
        ("[UNK]\na\n".encode("utf-16"), [": a UTF-16 file", "UTF-8"]),
        (b"[PAD]\n[unk]\n", ["[UNK]", "2 lines"]),
    ],
)
def test_load_vocab_refuses(vocab_file, content, parts):
    path = vocab_file(content)
    with pytest.raises(UserError) as caught:
        tokenization.FullTokenizer(path)
    message = str(caught.value)
    assert message.startswith(path) and "expected" in message and "\n" not in message
    assert all(part in message for part in parts), message


def test_load_vocab_missing_file(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(UserError, match="expected a vocabulary file") as caught:
            tokenization.load_vocab(str(path))
        assert str(path) in str(caught.value)
