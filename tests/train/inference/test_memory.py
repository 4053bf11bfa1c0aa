"""What tagging takes does not grow with the input beyond a few bytes for each of its bytes."""

import random
import tracemalloc

import pytest

from bert.tokenization import FullTokenizer
from train.data.labels import label_list
from train.data.windows import Prediction
from train.inference import text_tagger
from train.inference.entities import TaggingInParts, Token, tagging
from train.inference.text_tagger import TextTagger
from train.tagger.settings import EARLIER, TaggerSettings

pytestmark = pytest.mark.one_tensorflow  # Python alone


class AllOutside(TextTagger):
    def _tag_windows(self, windows):
        outside = self.settings.label_ids["O"]
        return [Prediction([outside] * len(each.tokens), [0.5] * len(each.tokens)) for each in windows]

    def close(self):
        pass


@pytest.fixture
def tagger(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nab\n北\n", encoding="utf-8")
    values = dict(EARLIER, cell="lstm", lstm_size=8, num_layers=1, crf_only=False, subword_labels="x", constrain=True)
    values.update(max_seq_length=32, do_lower_case=True, labels=label_list(["B-PER", "I-PER"]), scheme="BIO")
    values.update(bert_config={"vocab_size": 6, "max_position_embeddings": 32})
    return AllOutside(FullTokenizer(str(tmp_path / "vocab.txt")), TaggerSettings.from_json(values, "the test"))


def taken(function, *args, **settings):
    """The most bytes that a call takes at once."""
    tracemalloc.start()
    try:
        function(*args, **settings)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# most: bytes that each word more of the input may take.
@pytest.mark.parametrize(
    "call, make, most",
    [
        (TextTagger.__call__, lambda count: "北" * count, 16),
        (TextTagger.__call__, lambda count: "ab " * count, 16),
        (TextTagger.__call__, lambda count: ["ab " * 10] * (count // 10), 64),
        (TextTagger.word_taggings, lambda count: [["ab"] * count], 64),
        (TextTagger.word_taggings, lambda count: [["ab"] * 10] * (count // 10), 64),
    ],
)
def test_windows_do_not_pile_up(call, make, most, tagger, monkeypatch):
    monkeypatch.setattr(text_tagger, "SECTION", 4500)
    monkeypatch.setattr(text_tagger, "WINDOWS_AT_ONCE", 32)
    monkeypatch.setattr(text_tagger, "WORDS_AT_ONCE", 1024)
    settings = {} if call is TextTagger.__call__ else {"keep_tokens": False}
    call(tagger, make(100), **settings)
    few, many = (taken(call, tagger, make(count), **settings) for count in (10000, 30000))
    assert (many - few) / 20000 < most


@pytest.mark.parametrize("scheme", ["BIO", "BIOES", "IO", "IOE1", None])
@pytest.mark.parametrize("min_score", [0.0, 0.6])
def test_words_that_come_in_parts_have_the_same_entities(scheme, min_score):
    rng = random.Random(f"{scheme} {min_score}")
    for _ in range(200):
        tags = rng.choices(["O", "B-PER", "I-PER", "E-PER", "S-PER", "I-LOC", "E-LOC", "PER"], k=rng.randrange(12))
        tokens = [Token("ab", 3 * i, 3 * i + 2, tag, rng.random()) for i, tag in enumerate(tags)]
        scores = [rng.random() for _ in tokens]
        text = "ab " * len(tags)
        expected = tagging(text, list(tokens), scheme, list(scores), min_score)
        cuts = sorted(rng.choices(range(len(tags) + 1), k=3))
        for keep_tokens in (False, True):
            found = TaggingInParts(text, min_score, keep_tokens)
            for start, stop in zip([0, *cuts], [*cuts, len(tags)]):
                found.add(tokens[start:stop], scores[start:stop], scheme)
            assert found.result() == expected._replace(tokens=expected.tokens if keep_tokens else None)
