"""Text gives the entities that words give, by a tagger that knows its training windows by heart and nothing else."""

import pytest

from bert.tokenization import FullTokenizer
from train.data import units
from train.data.conll import Sentence
from train.data.context import with_neighbours
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
DIGITS = ["19/S-NUM 年/O", "北/O 京/O 97/S-NUM", "9/S-NUM 北/B-LOC 京/E-LOC 1997/S-NUM"]
JOINING = Splitter("together", inner="-_'.", leading="@#", trailing="_")


class ByHeart(TextTagger):
    """Knows the labels of each of the windows of its training, and of no other."""

    def __init__(self, tokenizer, settings, sentences):
        super().__init__(tokenizer, settings)
        cut = units.cut_sentences(with_neighbours(sentences, settings.context), settings.cutting)
        windows = encode(cut, tokenizer, settings.label_ids, settings.max_seq_length, settings.context)
        self._labels = {self._key(window): window.label_ids for window in windows}

    @staticmethod
    def _key(window):
        # Two sentences of a short document may have the same pieces in context.
        return tuple(window.input_ids), tuple(window.word_start)

    def _tag_windows(self, windows):
        labels = [self._labels[self._key(window)] for window in windows]
        return [Prediction(ids, [0.5] * len(ids)) for ids in labels]

    def close(self):
        pass


def read(lines):
    pairs = [[item.rsplit("/", 1) for item in line.split(" ")] for line in lines]
    return [Sentence([word for word, _ in each], [tag for _, tag in each], 1) for each in pairs]


def by_heart(sentences, splitter, folder, **others):
    """The ByHeart of these sentences; others: settings other than usual ones."""
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    tags = {tag for sentence in sentences for tag in sentence.tags}
    tags |= WordCounts.of(sentences * 4).unit_tags(splitter, "BIOES")
    values = dict(EARLIER, cell="lstm", lstm_size=8, num_layers=1, crf_only=False, subword_labels="x", constrain=True)
    values.update(max_seq_length=64, do_lower_case=True, labels=label_list(tags), scheme="BIOES")
    values.update(
        bert_config={"vocab_size": 30, "max_position_embeddings": 64}, word_units="text", splitter=splitter.to_json()
    )
    settings = TaggerSettings.from_json(dict(values, **others), "the test")
    return ByHeart(FullTokenizer(str(folder / "vocab.txt")), settings, sentences)


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
    sentences = read(lines)
    splitter = chosen or WordCounts.of(sentences * 4).splitter()
    assert space or splitter == CHARACTERS
    tagger = by_heart(sentences, splitter, tmp_path)
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


@pytest.mark.parametrize("lines, chosen", [(ENGLISH, MARKS), (ENGLISH, JOINING), (DIGITS, CHARACTERS)])
@pytest.mark.parametrize("context", [1, 4, 30])
def test_words_in_context_have_the_windows_of_training(lines, chosen, context, tmp_path, monkeypatch):
    """Their neighbours cut as they are; however many sentences are tagged at once."""
    sentences = [each._replace(begins_document=number == 2) for number, each in enumerate(read(lines + lines[:2]))]
    tagger = by_heart(sentences, chosen, tmp_path, subword_labels="first", context=context)
    words, expected = [each.words for each in sentences], [each.tags for each in sentences]
    for section in (text_tagger.SECTION, 20):
        monkeypatch.setattr(text_tagger, "SECTION", section)
        tagged = tagger.tag_words(words, documents=["a", "a", "b", "b", "b"])
        assert [[tag for tag, _ in pairs] for pairs in tagged] == expected
    tagged = tagger.tag_words([*words[:2], [], *words[2:]])  # as an empty line of a file
    assert [[tag for tag, _ in pairs] for pairs in tagged] == [*expected[:2], [], *expected[2:]]
    with pytest.raises(KeyError):  # a window that training did not have
        tagger.tag_words(words)


def test_the_words_around_sentences_count_among_what_is_tagged_at_once(tmp_path, monkeypatch):
    sentences = read(["Ann/S-PER bob/O lee/O s/O t/O"] * 20)
    tagger = by_heart(sentences, MARKS, tmp_path, subword_labels="first", context=60)
    groups, tag_words_of = [], tagger._tag_words_of
    monkeypatch.setattr(tagger, "_tag_words_of", lambda group: groups.append(group) or tag_words_of(group))
    monkeypatch.setattr(text_tagger, "SECTION", 300)
    tagger.tag_words([each.words for each in sentences])
    assert 5 < len(groups) < 15
    for group in groups:
        assert sum(len(each.words) + len(each.before) + len(each.after) for each in group) <= 300


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
