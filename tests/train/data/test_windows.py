"""Windows, encoding and the way back: every word in exactly one place, whatever its length and its pieces."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bert.tokenization import FullTokenizer
from train import conlleval
from train.data import labels, schemes
from train.data import windows as data_windows
from train.data.conll import Sentence
from train.data.context import Words

LETTERS = "abcdefghij"
CHINESE = [chr(0x4E00 + i) for i in range(400)]
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list(LETTERS) + ["##" + c for c in LETTERS] + CHINESE + ["-"]
TAGS = {
    "BIO": ["O", "B-A", "I-A", "B-B", "I-B"],
    "BIOES": ["O", "B-A", "I-A", "E-A", "S-A", "B-B", "I-B", "E-B", "S-B"],
    None: ["O", "A", "B-A", "I-A", "E-B", "b"],
}
NOTHING = "\u200b\u200d"  # a word of format characters, which the tokenizer drops


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "vocab.txt"
    path.write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
    return FullTokenizer(str(path))


def encode(sentences, tokenizer, max_seq_length, names):
    return list(data_windows.encode(sentences, tokenizer, labels.label_ids(names), max_seq_length))


def join(sentences, encoded, predictions, *others):
    sizes = [len(each.words) for each in sentences]
    return data_windows.join_windows(sizes, [window.part for window in encoded], predictions, *others)


def sentence(*pairs):
    return Sentence([word for word, _ in pairs], [tag for _, tag in pairs], 1)


sizes_and_capacity = st.integers(1, 40).flatmap(
    lambda capacity: st.tuples(
        st.one_of(
            st.lists(st.integers(1, capacity), max_size=60), st.lists(st.integers(1, min(3, capacity)), max_size=60)
        ),
        st.just(capacity),
    )
)


@settings(max_examples=200, deadline=None)
@given(sizes_and_capacity)
def test_windows(problem):
    sizes, capacity = problem
    windows = data_windows.cut_windows(sizes, capacity)

    decided = [word for window in windows for word in range(window.start, window.end)]
    assert decided == list(range(len(sizes)))
    if sum(sizes) <= capacity:
        assert windows == ([(0, 0, len(sizes), len(sizes))] if sizes else [])
    context = capacity // 4
    for window in windows:
        assert 0 <= window.first <= window.start < window.end <= window.last <= len(sizes)
        assert sum(sizes[window.first : window.last]) <= capacity
        # What is left of the room does not hold the next word.
        assert window.last == len(sizes) or sum(sizes[window.first : window.last + 1]) > capacity
        # So with the context on the left, a quarter, less where the first word decided needs the room.
        left = sum(sizes[window.first : window.start])
        allowed = min(context, capacity - sizes[window.start])
        assert left <= allowed
        assert window.first == 0 or left + sizes[window.first - 1] > allowed


@pytest.mark.parametrize("capacity", [4, 10, 126])
def test_words_of_one_piece_see_a_quarter_of_the_window_on_either_side(capacity):
    windows = data_windows.cut_windows([1] * (5 * capacity), capacity)
    for window in windows[1:]:
        assert window.start - window.first == capacity // 4
    for window in windows[:-2]:
        assert window.last - window.end >= capacity // 4
    assert len(windows) <= 5 * capacity // (capacity - 2 * (capacity // 4)) + 1


def test_a_sentence_without_end_is_cut_in_time_of_its_length():
    assert sum(end - start for _, start, end, _ in data_windows.cut_windows([1] * 1000000, 126)) == 1000000


def test_encode_by_hand(tokenizer):
    names = ["O", "B-A", "I-A", "X", "[CLS]", "[SEP]"]
    data = [sentence(("abc", "B-A"), (NOTHING, "I-A"), ("d-e", "O"), ("\u4e00\u4e01", "I-A")), sentence(("zz", "O"))]
    first, second = encode(data, tokenizer, 12, names)
    assert first.tokens == ["[CLS]", "a", "##b", "##c", "d", "-", "e", "\u4e00", "\u4e01", "[SEP]"]
    assert first.input_ids == [VOCAB.index(token) for token in first.tokens]
    assert first.label_ids == [5, 2, 4, 4, 1, 4, 4, 3, 4, 6]
    assert first.part.words == [(1, 0), (4, 2), (7, 3)]
    assert first.own == slice(1, 9) and first.part.sentence == 0
    assert second.tokens == ["[CLS]", "[UNK]", "[SEP]"] and second.part.sentence == 1
    assert second.label_ids == [5, 1, 6] and second.part.words == [(1, 0)] and second.own == slice(1, 2)


def test_encode_a_seam_by_hand(tokenizer):
    names = ["O", "B-A", "I-A", "X", "[CLS]", "[SEP]"]
    data = [sentence(*[(c, "O") for c in "abcdefgh"])]
    windows = encode(data, tokenizer, 6, names)
    assert ["".join(window.tokens[1:-1]) for window in windows] == ["abcd", "cdef", "efgh"]
    assert ["".join(window.tokens[window.own]) for window in windows] == ["abc", "de", "fgh"]
    assert [window.part.words for window in windows] == [
        [(1, 0), (2, 1), (3, 2)],
        [(2, 3), (3, 4)],
        [(2, 5), (3, 6), (4, 7)],
    ]


def check_encoding(data, encoded, tokenizer, max_seq_length, names):
    """What must hold of any encoding, put together from the definition."""
    ids = labels.label_ids(names)
    decided = {i: [] for i in range(len(data))}
    own_tokens = {i: [] for i in range(len(data))}
    for window in encoded:
        length = len(window.tokens)
        assert 3 <= length <= max_seq_length
        assert len(window.input_ids) == len(window.label_ids) == len(window.word_start) == length
        special = [ids[label] for label in labels.SPECIAL]
        assert window.word_start == [int(i not in special) for i in window.label_ids]
        assert window.input_ids == tokenizer.convert_tokens_to_ids(window.tokens)
        assert (window.tokens[0], window.tokens[-1]) == ("[CLS]", "[SEP]")
        assert (window.label_ids[0], window.label_ids[-1]) == (ids["[CLS]"], ids["[SEP]"])
        assert not {"[CLS]", "[SEP]"} & set(window.tokens[1:-1])
        starts = [t for t in range(1, length - 1) if window.label_ids[t] != ids["X"]]
        assert starts[0] == 1  # a window begins with the beginning of a word
        ends = starts[1:] + [length - 1]
        found = dict(zip(starts, ends))
        for position, word in window.part.words:
            pieces = tokenizer.tokenize(data[window.part.sentence].words[word])[: max_seq_length - 2]
            assert window.tokens[position : found[position]] == pieces
            assert window.label_ids[position] == ids[data[window.part.sentence].tags[word]]
        assert window.own.start == window.part.words[0][0] and window.own.stop == found[window.part.words[-1][0]]
        decided[window.part.sentence] += [word for _, word in window.part.words]
        own_tokens[window.part.sentence] += window.tokens[window.own]
    unlabelled = data_windows.encode_words([each.words for each in data], tokenizer, max_seq_length)
    assert list(unlabelled) == [window._replace(label_ids=None) for window in encoded]
    for i, each in enumerate(data):
        pieces = [tokenizer.tokenize(word)[: max_seq_length - 2] for word in each.words]
        assert decided[i] == [word for word, tokens in enumerate(pieces) if tokens]
        assert own_tokens[i] == list(itertools.chain.from_iterable(pieces))
    assert [window.part.sentence for window in encoded] == sorted(window.part.sentence for window in encoded)


@pytest.mark.parametrize("max_seq_length", list(range(3, 11)) + [128])
def test_long_and_empty_words(max_seq_length, tokenizer):
    names = labels.label_list(TAGS["BIO"])
    data = [
        sentence(("abcdefghij" * 10, "B-A"), ("a" * 300, "I-A"), ("b", "O")),
        sentence(("".join(CHINESE[:300]), "B-B"), (CHINESE[0], "O"), ("-" * 300, "I-B")),
        sentence((NOTHING, "O")),
        sentence((NOTHING, "O"), ("\x01", "B-A"), ("\ufffd", "I-A")),
        sentence(("\U0001f600", "O"), (NOTHING, "O"), ("ab", "B-B"), ("\x02", "I-B")),
        sentence((NOTHING, "O"), *[("abc", "B-A"), (NOTHING, "I-A"), ("d\u4e00", "I-A")] * 40),
    ]
    encoded = encode(data, tokenizer, max_seq_length, names)
    check_encoding(data, encoded, tokenizer, max_seq_length, names)
    assert not {2, 3} & {window.part.sentence for window in encoded}
    joined = join(data, encoded, [window.label_ids for window in encoded], names)
    for each, tags in zip(data, joined):
        expected = [tag if tokenizer.tokenize(word) else "O" for word, tag in zip(each.words, each.tags)]
        assert tags == expected


words = st.one_of(
    st.text(LETTERS, min_size=1, max_size=6),
    st.text(CHINESE[:20], min_size=1, max_size=3),
    st.sampled_from(["z", "a-b", "a" * 101, "abcdefghij", NOTHING, "\x01"]),
)


def well_formed_tags(scheme, length):
    """Strategy: tags of a sentence of that length that obey the scheme, by its definition."""
    if scheme is None:
        return st.lists(st.sampled_from(TAGS[None]), min_size=length, max_size=length)

    def spelled(cuts_and_kinds):
        tags = []
        for size, kind in cuts_and_kinds:
            size = min(size, length - len(tags))
            if size == 0:
                break
            if kind == "O":
                tags += ["O"] * size
            elif scheme == "BIO":
                tags += ["B-" + kind] + ["I-" + kind] * (size - 1)
            elif size == 1:
                tags += ["S-" + kind]
            else:
                tags += ["B-" + kind] + ["I-" + kind] * (size - 2) + ["E-" + kind]
        return tags + ["O"] * (length - len(tags))

    return st.lists(st.tuples(st.integers(1, 6), st.sampled_from("OAB")), max_size=length).map(spelled)


def sentences_of(scheme):
    return st.lists(words, min_size=1, max_size=30).flatmap(
        lambda chosen: well_formed_tags(scheme, len(chosen)).map(lambda tags: Sentence(chosen, tags, 1))
    )


@pytest.mark.parametrize("scheme", ["BIO", "BIOES", None])
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), max_seq_length=st.integers(3, 20))
def test_join_undoes_encode(scheme, tokenizer, data, max_seq_length):
    corpus = data.draw(st.lists(sentences_of(scheme), min_size=1, max_size=3))
    names = labels.label_list(TAGS[scheme])
    encoded = encode(corpus, tokenizer, max_seq_length, names)
    check_encoding(corpus, encoded, tokenizer, max_seq_length, names)
    predictions = [window.label_ids + [0] * (max_seq_length - len(window.tokens)) for window in encoded]
    joined = join(corpus, encoded, predictions, names, scheme)
    assert [len(tags) for tags in joined] == [len(each.words) for each in corpus]
    for each, tags in zip(corpus, joined):
        lost = [not tokenizer.tokenize(word) for word in each.words]
        expected = ["O" if gone else tag for gone, tag in zip(lost, each.tags)]
        if scheme is None or not any(lost):
            assert tags == expected
        else:  # an entity may have been cut in two
            assert schemes.well_formed(tags, scheme)
            assert conlleval.chunks(tags) == conlleval.chunks(expected)


def flat_pieces(words, tokenizer, max_seq_length):
    return [piece for word in words for piece in tokenizer.tokenize(word)[: max_seq_length - 2]]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), max_seq_length=st.integers(3, 24), context=st.integers(1, 9))
def test_windows_in_context(tokenizer, data, max_seq_length, context):
    """As without it, and where there is room pieces of the neighbours, which are of no word."""
    corpus = data.draw(st.lists(sentences_of("BIO"), min_size=1, max_size=4))
    around = [data.draw(st.tuples(*[st.lists(words, max_size=context)] * 2)) for _ in corpus]
    corpus = [each._replace(before=before, after=after) for each, (before, after) in zip(corpus, around)]
    names = labels.label_list(TAGS["BIO"])
    ids = labels.label_ids(names)
    plain = encode(corpus, tokenizer, max_seq_length, names)
    found = list(data_windows.encode(corpus, tokenizer, ids, max_seq_length, context))
    alone = [Words(each.words, before=each.before, after=each.after) for each in corpus]
    unlabelled = list(data_windows.encode_in_context(alone, tokenizer, max_seq_length, context))
    assert unlabelled == [window._replace(label_ids=None) for window in found]
    assert len(found) == len(plain)
    for window, other in zip(found, plain):
        whole = corpus[window.part.sentence]
        own = [word for word, _ in enumerate(whole.words) if tokenizer.tokenize(whole.words[word])]
        seen = [word for _, word in other.part.seen]
        before = flat_pieces(whole.before, tokenizer, max_seq_length)[-context:] if seen[0] == own[0] else []
        after = flat_pieces(whole.after, tokenizer, max_seq_length)[:context] if seen[-1] == own[-1] else []
        added = len(window.tokens) - len(other.tokens)
        assert added == min(max_seq_length - len(other.tokens), len(before) + len(after))
        shift = window.part.seen[0][0] - 1
        before, after = before[len(before) - shift :], after[: added - shift]
        assert len(before) == shift
        assert window.tokens == ["[CLS]", *before, *other.tokens[1:-1], *after, "[SEP]"]
        assert window.input_ids == tokenizer.convert_tokens_to_ids(window.tokens)
        piece = ids["X"]
        assert window.label_ids[1:-1] == [piece] * shift + other.label_ids[1:-1] + [piece] * (added - shift)
        assert (window.label_ids[0], window.label_ids[-1]) == (ids["[CLS]"], ids["[SEP]"])
        assert window.word_start == [
            int(label not in (ids["X"], ids["[CLS]"], ids["[SEP]"])) for label in window.label_ids
        ]
        for ours, theirs in zip(window.part[1:], other.part[1:]):
            assert ours == [(position + shift, word) for position, word in theirs]
        assert window.tokens[window.own] == other.tokens[other.own]


def test_only_what_a_window_decides_is_taken_from_it(tokenizer):
    """Each window marks the words it decides; whatever it says of its neighbours and of pieces is not heard."""
    names = ["O", "A", "B", "X", "[CLS]", "[SEP]"]
    data = [sentence(*[("abc", "O")] * 30)]
    encoded = encode(data, tokenizer, 14, names)
    assert len(encoded) > 5
    predictions = []
    for number, window in enumerate(encoded):
        own = {position for position, _ in window.part.words}
        mark = names.index("AB"[number % 2]) + 1
        predictions.append([mark if t in own else 3 - mark + 2 for t in range(len(window.tokens))])
    (tags,) = join(data, encoded, predictions, names)
    expected = ["AB"[number % 2] for number, window in enumerate(encoded) for _ in window.part.words]
    assert tags == expected


def test_labels_of_no_word_become_outside(tokenizer):
    names = ["B-A", "X", "[SEP]", "O", "I-A", "[CLS]"]
    data = [sentence(*[(c, "O") for c in "abcdef"])]
    encoded = encode(data, tokenizer, 8, names)
    predictions = [[6, 1, 0, 2, 3, 6, 5, 3]]
    assert join(data, encoded, predictions, names) == [["B-A", "O", "O", "O", "O", "I-A"]]
    assert join(data, encoded, predictions, names, "BIO") == [["B-A", "O", "O", "O", "O", "B-A"]]


def test_pad_windows(tokenizer):
    names = ["O", "B-A", "I-A", "X", "[CLS]", "[SEP]"]
    windows = encode([sentence(("ab", "B-A"), ("c", "O")), sentence(("d", "O"))], tokenizer, 12, names)
    fields = ("input_ids", "input_mask", "segment_ids", "word_start", "label_ids")
    batch = data_windows.pad_windows(windows, fields)
    assert {str(array.dtype) for array in batch.values()} == {"int32"}
    ids = [VOCAB.index(token) for token in ("[CLS]", "a", "##b", "c", "[SEP]", "d")]
    assert batch["input_ids"].tolist() == [ids[:5], [ids[0], ids[5], ids[4], 0, 0]]
    assert batch["input_mask"].tolist() == [[1] * 5, [1, 1, 1, 0, 0]]
    assert batch["segment_ids"].tolist() == [[0] * 5] * 2
    assert batch["word_start"].tolist() == [[0, 1, 0, 1, 0], [0, 1, 0, 0, 0]]
    assert batch["label_ids"].tolist() == [[5, 2, 4, 1, 6], [5, 1, 6, 0, 0]]
    longer = data_windows.pad_windows(windows, ["input_mask"], 7)
    assert list(longer) == ["input_mask"] and longer["input_mask"].tolist() == [[1] * 5 + [0] * 2, [1] * 3 + [0] * 4]


def entities_across(tags_of_words, place):
    """The entities (type, first word, last word) that go on over the beginning of a word; from a dict by word."""
    words = sorted(tags_of_words)
    found = conlleval.chunks([tags_of_words[word] for word in words])
    return [(kind, words[a], words[b - 1]) for kind, a, b in found if words[a] < place <= words[b - 1]]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_seam_moves_to_the_nearest_place_where_both_windows_agree(data):
    """settle_seams against its own description, place by place."""
    names = ["O", "B-A", "I-A"]
    count = data.draw(st.integers(2, 10))
    seam = data.draw(st.integers(1, count - 1))
    left_end = data.draw(st.integers(seam, count))  # the left window sees words [0, left_end), the right one the rest
    right_start = data.draw(st.integers(0, seam))
    seen = [[(1 + i, i) for i in range(left_end)], [(1 + i - right_start, i) for i in range(right_start, count)]]
    parts = [
        data_windows.Part(0, [pair for pair in seen[0] if pair[1] < seam], seen[0]),
        data_windows.Part(0, [pair for pair in seen[1] if pair[1] >= seam], seen[1]),
    ]
    ids = [data.draw(st.lists(st.integers(1, 3), min_size=len(s), max_size=len(s))) for s in seen]
    predictions = [[0, *of_words, 0] for of_words in ids]
    tags = [{word: names[i - 1] for (_, word), i in zip(s, of_words)} for s, of_words in zip(seen, ids)]

    places = [
        place
        for place in range(1, count)  # each window keeps a word
        if right_start <= place <= left_end  # before it the left window decides, from it on the right one
        and entities_across(tags[0], place) == entities_across(tags[1], place)
    ]
    expected = min(places, key=lambda place: (abs(place - seam), place), default=seam)
    left, right = data_windows.settle_seams(parts, predictions, names)
    assert [word for _, word in left.words] == list(range(expected))
    assert [word for _, word in right.words] == list(range(expected, count))
    assert set(left.words) <= set(seen[0]) and set(right.words) <= set(seen[1])
