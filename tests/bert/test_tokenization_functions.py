"""The functions of bert/tokenization.py beside the tokenizers: kinds of characters, Unicode, a release's case."""

import doctest

import pytest

from bert import tokenization
from bert.system.errors import UserError


def test_character_classes():
    for char in " \t\r\n\u00a0\u3000\u2003":
        assert tokenization._is_whitespace(char)
    for char in "A-\u2028\u200b\x0b":
        assert not tokenization._is_whitespace(char)
    for char in "\x00\x05\x0b\x7f\u0085\u200b\u200d\ufeff\u00ad":
        assert tokenization._is_control(char)
    for char in "A \t\r\n\u2028\u0378\ue000💩":
        assert not tokenization._is_control(char)
    for char in "-$`.^~|+<=>。，“…·¿":
        assert tokenization._is_punctuation(char)
    for char in "Aé1 中€×😀":
        assert not tokenization._is_punctuation(char)


def test_ascii_punctuation_is_all_that_is_visible_and_not_alphanumeric():
    for codepoint in range(128):
        char = chr(codepoint)
        visible = char.isprintable() and char != " "
        assert tokenization._is_punctuation(char) == (visible and not char.isalnum())


def test_convert_to_unicode_and_printable_text():
    for convert in (tokenization.convert_to_unicode, tokenization.printable_text):
        assert convert("né") == "né"
        assert convert(b"n\xc3\xa9\xff") == "né"
        with pytest.raises(ValueError, match="int"):
            convert(3)


def test_whitespace_tokenize():
    assert tokenization.whitespace_tokenize("  a\tb\n\u2028c ") == ["a", "b", "c"]
    assert tokenization.whitespace_tokenize(" ") == []


@pytest.mark.parametrize(
    "release, cased",
    [
        ("uncased_L-12_H-768_A-12", False),
        ("uncased_L-24_H-1024_A-16", False),
        ("uncased_L-2_H-128_A-2", False),
        ("uncased_L-8_H-512_A-8", False),
        ("wwm_uncased_L-24_H-1024_A-16", False),
        ("multilingual_L-12_H-768_A-12", False),
        ("chinese_L-12_H-768_A-12", False),
        ("cased_L-12_H-768_A-12", True),
        ("cased_L-24_H-1024_A-16", True),
        ("wwm_cased_L-24_H-1024_A-16", True),
        ("multi_cased_L-12_H-768_A-12", True),
    ],
)
def test_case_of_released_checkpoints(release, cased):
    for path in ("/models/%s/bert_model.ckpt", "%s/bert_model.ckpt", r"C:\bert\%s\bert_model.ckpt"):
        checkpoint = path % release
        tokenization.validate_case_matches_checkpoint(not cased, checkpoint)
        with pytest.raises(ValueError, match="do_lower_case") as caught:
            tokenization.validate_case_matches_checkpoint(cased, checkpoint)
        assert isinstance(caught.value, UserError) and checkpoint in str(caught.value)


@pytest.mark.parametrize(
    "checkpoint",
    [
        None,
        "",
        "bert_model.ckpt",
        "/models/mine/bert_model.ckpt",
        "/models/my_uncased_L-12_H-768_A-12/bert_model.ckpt",
        "/models/cased_L-2_H-128_A-2/bert_model.ckpt",
        "/models/cased_L-12_H-768_A-12/finetuned/model.ckpt-100",
        "/models/cased_L-12_H-768_A-12/model.ckpt-100",
    ],
)
def test_case_of_unknown_checkpoints_is_anyones_guess(checkpoint):
    for do_lower_case in (True, False):
        tokenization.validate_case_matches_checkpoint(do_lower_case, checkpoint)


def test_docstring_examples():
    result = doctest.testmod(tokenization)
    assert result.attempted and not result.failed
