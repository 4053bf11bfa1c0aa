"""A Predictor without a model, for tests of what is built on it: capitalised words are persons, digits are dates.

Run as a program it is `python -m train.predict` with this predictor, in groups of GROUP_TEXTS texts, as slow as
SECONDS_A_TEXT says, and ended by Ctrl-C at the text that INTERRUPTED_AT names.
"""

import argparse
import os
import re
import signal
import time

from train.inference.entities import Token, tagging


class FakePredictor:
    types = ["DATE", "PER"]

    def __init__(self, path=None, batch_size=32, vocab_file=None, precision="fp32", min_score=0.0, context=0):
        self.calls = []
        self.min_score = min_score
        self.settings = argparse.Namespace(scheme=None, context=context)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __call__(self, text):
        return self.taggings([text])[0].entities

    def taggings(self, texts, keep_tokens=True):
        self.calls.append(list(texts))
        time.sleep(float(os.environ.get("SECONDS_A_TEXT", "0")) * len(texts))
        if os.environ.get("INTERRUPTED_AT") in texts:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        found = [re.finditer(r"[^\W\d]+|\d+|[^\w\s]", text) for text in texts]
        tokens = [[self._token(match.group(), *match.span()) for match in matches] for matches in found]
        return [tagging(text, of_text, min_score=self.min_score) for text, of_text in zip(texts, tokens)]

    def taggings_in_context(self, sentences, keep_tokens=True):
        self.calls.append([sentence.words for sentence in sentences])
        return [self._words(sentence.words, [*sentence.before, *sentence.after]) for sentence in sentences]

    def _words(self, words, around):
        tokens, start = [], 0
        for word in words:
            token = self._token(word, start, start + len(word))
            tokens.append(token._replace(score=token.score - sum(map(len, around)) / 1e5))
            start += len(word) + 1
        return tagging(" ".join(words), tokens, min_score=self.min_score)

    @staticmethod
    def _token(word, start, end):
        tag = "B-DATE" if word.isdigit() else "I-PER" if word[:1].isupper() else "O"
        return Token(word, start, end, tag, 1 - len(word) / 1000)


def main():
    from train import predict
    from train.bulk import loop, resumable
    from train.bulk import texts as bulk_texts

    bulk_texts.GROUP_TEXTS = int(os.environ.get("GROUP_TEXTS", "10"))
    loop.load_predictor = lambda arguments, *_: FakePredictor(min_score=arguments["min_score"])
    # Which take TensorFlow's time to load.
    predict.startup.set_up_program = lambda verbose: None
    loop.model_identity = lambda _: {"the model": os.environ.get("MODEL", "fake"), "TensorFlow": "2"}
    resumable.SECONDS_BETWEEN_RECORDS = 0
    predict.run_program(predict.main)


if __name__ == "__main__":
    main()
