"""Text gives the entities that words give, by a tagger that knows its training windows by heart and nothing else."""

import pytest

from bert.tokenization import FullTokenizer
from train.data import units
from train.data.conll import Sentence
from train.data.labels import label_list
from train.data.schemes import entities
from train.data.splitting import WordCounts
from train.data.text import CHARACTERS, MARKS, Splitter
from train.data.windows import Prediction, encode
from train.inference import text_tagger
from train.inference.text_tagger import TextTagger
from train.tagger.settings import EARLIER, TaggerSettings

pytestmark = pytest.mark.one_tensorflow  # Python alone

PIECES = "[PAD] [UNK] [CLS] [SEP] ann gross ##gerau gerau u s don t bob lee x 1 9 7 年 北 京 @ # - ' . , _ ( )".split()
ENGLISH = [
    "Groß-Gerau/S-LOC ,/O U.S./S-LOC and/O don't/O 's/O ./O",
    "@ann_lee/S-PER #x/O Ann/B-PER 's/E-PER Bob_Lee./S-PER",
    "(/O Ann/B-PER Groß-Gerau/I-PER x-x/E-PER )/O -/O @bob/O \u200b/O x-1/O",
]
CHINESE = ["1/B-TIM 9/I-TIM 9/I-TIM 7/I-TIM 年/E-TIM 北/B-LOC 京/E-LOC ，/O u/B-ORG s/E-ORG 1/S-NUM"]
JOINING = Splitter("together", inner="-_'.", leading="@#", trailing="_")


class ByHeart(TextTagger):
    """Knows the labels of each of the windows of its training, and of no other."""

    def __init__(self, tokenizer, settings, sentences):
        super().__init__(tokenizer, settings)
        cut = units.cut_sentences(sentences, settings.cutting)
        windows = encode(cut, tokenizer, settings.label_ids, settings.max_seq_length)
        self._labels = {tuple(window.input_ids): window.label_ids for window in windows}

    def _tag_windows(self, windows):
        labels = [self._labels[tuple(window.input_ids)] for window in windows]
        return [Prediction(ids, [0.5] * len(ids)) for ids in labels]

    def close(self):
        pass


def read(lines):
    pairs = [[item.rsplit("/", 1) for item in line.split(" ")] for line in lines]
    return [Sentence([word for word, _ in each], [tag for _, tag in each], 1) for each in pairs]


@pytest.mark.parametrize(
    "lines, space, chosen",
    [
        (ENGLISH, " ", MARKS),
        (ENGLISH, " ", JOINING),
        (ENGLISH, " ", None),
        (CHINESE, "", CHARACTERS),
        (CHINESE, "", None),
    ],
)
def test_text_gives_what_words_give(lines, space, chosen, tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    sentences = read(lines)
    counts = WordCounts.of(sentences * 4)
    splitter = chosen or counts.splitter()
    assert space or splitter == CHARACTERS
    tags = {tag for sentence in sentences for tag in sentence.tags} | counts.unit_tags(splitter, "BIOES")
    values = dict(EARLIER, cell="lstm", lstm_size=8, num_layers=1, crf_only=False, subword_labels="x", constrain=True)
    values.update(max_seq_length=64, do_lower_case=True, labels=label_list(tags), scheme="BIOES")
    values.update(
        bert_config={"vocab_size": 30, "max_position_embeddings": 64}, word_units="text", splitter=splitter.to_json()
    )
    tokenizer = FullTokenizer(str(tmp_path / "vocab.txt"))
    tagger = ByHeart(tokenizer, TaggerSettings.from_json(values, "the test"), sentences)

    tagged = tagger.tag_words([sentence.words for sentence in sentences])
    assert [[tag for tag, _ in pairs] for pairs in tagged] == [sentence.tags for sentence in sentences]
    for sentence in sentences:
        text, spans = "", []
        for word in sentence.words:
            text += "" if not text or word in list(".,)") else space
            spans.append((len(text), len(text) + len(word)))
            text += word
        expected = [(kind, spans[a][0], spans[b - 1][1]) for kind, a, b in entities(sentence.tags, "BIOES")]
        assert [(entity.type, entity.start, entity.end) for entity in tagger(text)] == expected


class AlwaysAnn(TextTagger):
    """Takes each Ann for a person, and notes how many characters it is given at once."""

    def __init__(self, tokenizer, settings):
        super().__init__(tokenizer, settings)
        self.at_once = []

    def _tokens(self, texts):
        self.at_once.append(sum(map(len, texts)))
        return super()._tokens(texts)

    def _tag_windows(self, windows):
        ids = {"ann": self.settings.label_ids["S-PER"]}
        label_ids = [[ids.get(token, self.settings.label_ids["O"]) for token in window.tokens] for window in windows]
        return [Prediction(each, [0.5] * len(each)) for each in label_ids]

    def close(self):
        pass


def test_long_texts_and_many_are_tagged_a_part_at_a_time(tmp_path, monkeypatch):
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    values = dict(EARLIER, cell="lstm", lstm_size=8, num_layers=1, crf_only=False, subword_labels="x", constrain=True)
    values.update(max_seq_length=16, do_lower_case=True, labels=label_list(["S-PER"]), scheme="BIOES")
    values.update(bert_config={"vocab_size": 30, "max_position_embeddings": 64})
    tagger = AlwaysAnn(FullTokenizer(str(tmp_path / "vocab.txt")), TaggerSettings.from_json(values, "the test"))
    long = "Bob and Ann, lee. Ann x " * 1000
    texts = ["", "Ann", long, "u s", *["Bob lee and Ann"] * 1000, long + "Ann"]
    expected, tokens = tagger(texts), tagger.tokens(texts)
    assert len(tagger.at_once) == 2
    monkeypatch.setattr(text_tagger, "SECTION", 5000)
    assert tagger(texts) == expected and tagger.tokens(texts) == tokens and tagger(long) == expected[2]
    assert len(tagger.at_once) > 30 and max(tagger.at_once[2:]) <= 5000
    assert [long[entity.start : entity.end] for entity in expected[2]] == ["Ann"] * 2000 and tagger([]) == []
