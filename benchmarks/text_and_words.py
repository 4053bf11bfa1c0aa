"""How well a trained tagger finds entities in plain text, against the words of the file.

    python -m benchmarks.text_and_words -model_dir output/btc -data data/test.txt [-joined chinese]

In: a run's -output_dir or an export, and a CoNLL file. Its sentences are joined as people write them. Out: precision,
recall and F1 of entities by character offsets, once where the tagger is given the words of the file and once where it
is given the joined text. An entity counts if its type and both ends are right.
"""

from bert.system import startup  # noqa: F401, I001  before TensorFlow

import argparse
import collections
import itertools

from train.chunks import chunks
from train.data.conll import read_conll
from train.predictor import Predictor

NO_SPACE_BEFORE = frozenset(".,;:!?)")
JOINED = ("english", "chinese")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-model_dir", required=True, help="a run's -output_dir or an export")
    parser.add_argument("-data", required=True, help="CoNLL file")
    parser.add_argument(
        "-joined", choices=JOINED, default="english", help="spaces between words, or none, as in Chinese"
    )
    args = parser.parse_args()
    sentences = read_conll(args.data)
    joined = [join(sentence.words, spaces=args.joined == "english") for sentence in sentences]
    gold = [spans(sentence.tags, offsets) for sentence, (_, offsets) in zip(sentences, joined)]
    with Predictor(args.model_dir) as predict:
        documents = list(itertools.accumulate(sentence.begins_document for sentence in sentences))
        tagged = predict.tag_words([sentence.words for sentence in sentences], documents)
        of_words = [spans([tag for tag, _ in words], offsets) for words, (_, offsets) in zip(tagged, joined)]
        found = predict([text for text, _ in joined])
    of_text = [{(entity.type, entity.start, entity.end) for entity in entities} for entities in found]
    print(f"{args.data}: {sum(map(len, gold))} entities")
    for name, predicted in (("words", of_words), ("text", of_text)):
        print("{:6} precision {:6.2%}  recall {:6.2%}  F1 {:6.2%}".format(name, *scores(gold, predicted)))


def join(words, spaces=True):
    """A sentence as people write it.

    Args:
      words: list of str.
      spaces: whether words are separated by spaces, with none before a closing mark such as a full stop.

    Returns:
      (text, list of (start, end) of each word in it).
    """
    text, offsets = "", []
    for word in words:
        if spaces and text and word[0] not in NO_SPACE_BEFORE:
            text += " "
        offsets.append((len(text), len(text) + len(word)))
        text += word
    return text, offsets


def spans(tags, offsets):
    """The entities of a sentence as a set of (type, start, end), characters of its text."""
    return {(kind, offsets[first][0], offsets[stop - 1][1]) for kind, first, stop in chunks(tags)}


def scores(gold, predicted):
    """(precision, recall, F1) over sentences, each a set of entities."""
    counts = collections.Counter()
    for right, found in zip(gold, predicted):
        counts.update(right=len(right & found), gold=len(right), found=len(found))
    precision, recall = counts["right"] / max(counts["found"], 1), counts["right"] / max(counts["gold"], 1)
    return precision, recall, 2 * counts["right"] / max(counts["gold"] + counts["found"], 1)


if __name__ == "__main__":
    main()
