"""The demo data: reproducible, well-formed, not leaking from split to split, and fully covered by its vocabulary."""

import collections
import json
import os
import re
import string
import subprocess
import sys

import pytest

from bert.system.errors import UserError
from bert.tokenization import FullTokenizer
from data_demo import make_demo

FOLDER = os.path.dirname(os.path.abspath(make_demo.__file__))
FILES = ["train.txt", "dev.txt", "test.txt", "vocab.txt", "bert_config.json"]
TYPES = {"PER", "LOC", "ORG", "TIM"}
IDEOGRAPH = re.compile("[\u4e00-\u9fff]")


def read_bytes(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def read_sentences(split):
    """Returns [[(token, tag)]], having checked the file's shape line by line."""
    text = read_bytes(FOLDER, split + ".txt").decode("utf-8")
    assert text.endswith("\n") and not text.endswith("\n\n")
    sentences = []
    for block in text[:-1].split("\n\n"):
        lines = block.split("\n")
        assert all(re.fullmatch(r"\S+ (O|[BI]-(PER|LOC|ORG|TIM))", line) for line in lines), block
        sentences.append([tuple(line.split(" ")) for line in lines])
    return sentences


def chunks(sentence):
    """Returns [(lower-cased text, type)]; written apart from the generator's own reading of its tags."""
    text = " ".join(f"{tag}\t{token}" for token, tag in sentence)
    return [
        (" ".join(piece.split("\t")[1] for piece in match.group().split(" ")).lower(), match.group(1))
        for match in re.finditer(r"B-(\w+)\t\S+(?: I-\1\t\S+)*", text)
    ]


@pytest.fixture(scope="module")
def splits():
    return {split: read_sentences(split) for split in ("train", "dev", "test")}


@pytest.fixture(scope="module")
def vocabulary():
    text = read_bytes(FOLDER, "vocab.txt").decode("utf-8")
    assert text.endswith("\n")
    return text[:-1].split("\n")


@pytest.fixture(scope="module")
def tokenizer():
    return FullTokenizer(os.path.join(FOLDER, "vocab.txt"), do_lower_case=True)


def is_chinese(sentence):
    return any(IDEOGRAPH.search(token) for token, _ in sentence)


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_running_the_generator_again_gives_the_committed_bytes(tmp_path, hash_seed):
    program = os.path.join(FOLDER, "make_demo.py")
    target = tmp_path / "new" / "folder"
    environment = dict(os.environ, PYTHONHASHSEED=hash_seed, PYTHONIOENCODING="utf-8")
    subprocess.run(
        [sys.executable, program, "--output_dir", str(target)], check=True, env=environment, stdout=subprocess.DEVNULL
    )
    assert sorted(os.listdir(str(target))) == sorted(FILES)
    for name in FILES:
        assert read_bytes(str(target), name) == read_bytes(FOLDER, name), name


def test_line_ends_are_plain():
    assert not any(b"\r" in read_bytes(FOLDER, name) for name in FILES)


def test_sizes_languages_and_types(splits):
    for split, least in (("train", 800), ("dev", 150), ("test", 150)):
        sentences = splits[split]
        assert len(sentences) >= least
        chinese = [sentence for sentence in sentences if is_chinese(sentence)]
        english = [sentence for sentence in sentences if not is_chinese(sentence)]
        assert 0.4 < len(chinese) / len(sentences) < 0.6
        for part in (chinese, english):
            counts = collections.Counter(type_ for sentence in part for _, type_ in chunks(sentence))
            assert set(counts) == TYPES and min(counts.values()) >= 20
            without = sum(not chunks(sentence) for sentence in part)
            assert 0.05 < without / len(part) < 0.3


def test_tokens_are_characters_in_chinese_and_words_in_english(splits):
    for sentence in sum(splits.values(), []):
        assert 4 <= len(sentence) <= 64
        for token, _ in sentence:
            assert token.isprintable()
            assert len(token) == 1 or (token.isalnum() and not is_chinese(sentence)), token


def test_tags_are_bio(splits):
    for sentence in sum(splits.values(), []):
        previous = "O"
        for _, tag in sentence:
            assert not tag.startswith("I-") or previous[2:] == tag[2:], sentence
            previous = tag
        assert len(chunks(sentence)) == sum(tag.startswith("B-") for _, tag in sentence)


def test_no_sentence_occurs_twice(splits):
    texts = [" ".join(token.lower() for token, _ in sentence) for sentence in sum(splits.values(), [])]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_third_of_the_entities_is_unseen_in_training(splits, split):
    trained = {chunk for sentence in splits["train"] for chunk in chunks(sentence)}
    found = [chunk for sentence in splits[split] for chunk in chunks(sentence)]
    for occurrences in (found, sorted(set(found))):
        assert sum(chunk not in trained for chunk in occurrences) / len(occurrences) >= 1 / 3
    for type_ in TYPES:
        of_type = [chunk for chunk in found if chunk[1] == type_]
        assert 0.15 < sum(chunk not in trained for chunk in of_type) / len(of_type) < 0.75, type_


def test_context_must_settle_some_words(splits):
    """A tagger that only looks words up cannot be right: names among the O words, O words among the names."""
    entity_types = collections.defaultdict(set)
    outside = set()
    adjacent = set()
    for sentence in splits["train"]:
        for text, type_ in chunks(sentence):
            entity_types[text].add(type_)
        outside.update(token.lower() for token, tag in sentence if tag == "O")
        for (_, before), (_, after) in zip(sentence, sentence[1:]):
            if before != "O" and after.startswith("B-"):
                adjacent.add((before[2:], after[2:]))
    assert any(len(types) > 1 for types in entity_types.values())
    assert {"will", "mark", "monday"} <= outside
    assert {("TIM", "PER"), ("ORG", "PER"), ("LOC", "LOC")} <= adjacent


def test_vocabulary_entries(vocabulary):
    assert vocabulary[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert len(set(vocabulary)) == len(vocabulary) <= 3000
    assert all(piece and not re.search(r"\s", piece) for piece in vocabulary)
    assert all(piece == piece.lower() for piece in vocabulary[5:])
    for character in string.ascii_lowercase + string.digits:
        assert {character, "##" + character} <= set(vocabulary)
    assert set(string.punctuation) <= set(vocabulary)


def test_vocabulary_covers_every_token(splits, vocabulary, tokenizer):
    known = set(vocabulary)
    for sentence in sum(splits.values(), []):
        for token, _ in sentence:
            pieces = tokenizer.tokenize(token)
            assert "[UNK]" not in pieces, token
            assert [piece.startswith("##") for piece in pieces] == [False] + [True] * (len(pieces) - 1), token
            assert "".join(piece[2:] if piece.startswith("##") else piece for piece in pieces) == token.lower()
            if is_chinese(sentence):
                assert token.lower() in known


def test_frequent_words_are_whole_and_held_out_names_are_not(splits, tokenizer):
    assert tokenizer.tokenize("The river on Monday") == ["the", "river", "on", "monday"]
    pieces = [
        len(tokenizer.tokenize(token))
        for sentence in splits["test"]
        if not is_chinese(sentence)
        for token, _ in sentence
    ]
    assert 0.05 < sum(count > 1 for count in pieces) / len(pieces) < 0.4
    for name in ("Beatrix", "Fujimoto", "Tollesford", "Zephyr", "Mongolia"):
        assert len(tokenizer.tokenize(name)) > 1


def test_encoder_configuration_fits_the_vocabulary(vocabulary):
    config = json.loads(read_bytes(FOLDER, "bert_config.json").decode("utf-8"))
    assert config == {
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 128,
        "initializer_range": 0.02,
        "intermediate_size": 512,
        "max_position_embeddings": 128,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "type_vocab_size": 2,
        "vocab_size": len(vocabulary),
    }


@pytest.mark.parametrize("name", ["texts_chinese.txt", "texts_english.txt"])
def test_texts_have_enough_sentences_and_no_list_that_nothing_uses(name):
    texts = make_demo.read_texts(os.path.join(FOLDER, name))
    assert len(texts["sentences"].usual) >= 60
    reached, waiting = set(), ["sentences"]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            entries = texts[current].usual + texts[current].held_out
            waiting.extend(slot for entry in entries for slot in re.findall(r"\{(.+?)\}", entry))
    assert set(texts) - reached <= {"more characters"}


def write_texts(tmp_path, content):
    path = tmp_path / "texts.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return str(path)


def test_held_out_entries_stay_out_of_training(tmp_path):
    path = write_texts(
        tmp_path,
        "# a comment\n[sentences]\n{PER} met {PER:short} {n}.\n\n[PER] {first} {last}\n[PER:short] {first}\n"
        "[first] Ann | Bob\nheld out: Cid\n[last] Day\nheld out:\nEve | Fay\n[n] " + " | ".join(map(str, range(99))),
    )
    texts = make_demo.read_texts(path)
    assert texts["last"] == (["Day"], ["Eve", "Fay"])
    maker = make_demo.SentenceMaker(texts, make_demo.ENGLISH_TOKEN, seed=1)
    training = [maker.sentence(training=True) for _ in range(50)]
    others = [maker.sentence(training=False) for _ in range(50)]
    assert {token for sentence in training for token, _ in sentence}.isdisjoint({"Cid", "Eve", "Fay"})
    assert {"Cid", "Eve", "Fay", "Ann", "Day"} <= {token for sentence in others for token, _ in sentence}
    for sentence in training + others:
        assert [tag for _, tag in sentence] == ["B-PER", "I-PER", "O", "B-PER", "O", "O"]
        assert make_demo.entities_of(sentence) == chunks(sentence)


@pytest.mark.parametrize(
    "content, line, found",
    [
        ("hello\n[sentences] a\n", 1, "hello"),
        ("[sentences]\na\n{nobody} came\n", 3, "nobody"),
        ("[sentences]\n{empty}\n[empty]\n", 2, "empty"),
        ("[sentences]\n{PER came\n", 2, "brace"),
        ("[words] a\n", 1, "sentences"),
        (b"[sentences]\n\xff\xfe\n", 2, "UTF-8"),
    ],
)
def test_a_mistake_in_the_texts_is_told_with_its_line(tmp_path, content, line, found):
    path = write_texts(tmp_path, content)
    with pytest.raises(UserError) as caught:
        make_demo.read_texts(path)
    assert str(caught.value).startswith(f"{path}:{line}: ") and found in str(caught.value)


def test_too_few_texts_are_told(tmp_path):
    maker = make_demo.SentenceMaker(
        make_demo.read_texts(write_texts(tmp_path, "[sentences] a | b\n")), make_demo.ENGLISH_TOKEN, seed=1
    )
    assert {maker.sentence(training=True)[0] for _ in range(2)} == {("A", "O"), ("B", "O")}
    with pytest.raises(UserError):
        maker.sentence(training=True)


def test_an_output_dir_that_is_a_file_exits_2_and_is_left_alone(tmp_path):
    target = tmp_path / "taken"
    target.write_text("mine")
    program = os.path.join(FOLDER, "make_demo.py")
    done = subprocess.run(
        [sys.executable, program, "--output_dir", str(target)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert done.returncode == 2
    error = done.stderr.decode("utf-8")
    assert len(error.splitlines()) == 1 and str(target) in error
    assert target.read_text() == "mine"
