"""Answers in Google BERT's way: from the logits of InputFeatures to the files of predictions.

The names, parameters and defaults are those of Google's run_squad.py, and the text of an answer is found as there: by
`get_final_text`, which falls back to whole words. Our own program cuts answers exactly, see answers.py.
"""

import collections
import json
import logging

from bert.squad.answers import choose_answer
from bert.squad.windows import ContextWindow
from bert.system.files import atomic_open
from bert.tokenization import BasicTokenizer

log = logging.getLogger(__name__)

# start_logits, end_logits: lists of float, one for each position.
RawResult = collections.namedtuple("RawResult", ["unique_id", "start_logits", "end_logits"])


def write_predictions(
    all_examples,
    all_features,
    all_results,
    n_best_size,
    max_answer_length,
    do_lower_case,
    output_prediction_file,
    output_nbest_file,
    output_null_log_odds_file,
    version_2_with_negative=False,
    null_score_diff_threshold=0.0,
):
    """Writes the best answers, the n best, and for SQuAD 2.0 how much better no answer scores: JSON by question id.

    Args:
      all_examples: list of examples.SquadExample.
      all_features: list of examples.InputFeatures.
      all_results: list of RawResult.
      n_best_size: number of candidates kept, and of start and end positions tried in each window.
      max_answer_length: most pieces in an answer.
      do_lower_case: whether the features are lower-cased.
      output_prediction_file, output_nbest_file, output_null_log_odds_file: paths.
      version_2_with_negative, null_score_diff_threshold: SQuAD 2.0, see run_squad's flags; Google's function takes them
        from its flags of these names.
    """
    features_of = collections.defaultdict(list)
    for feature in all_features:
        features_of[feature.example_index].append(feature)
    result_of = {result.unique_id: result for result in all_results}
    threshold = null_score_diff_threshold if version_2_with_negative else None
    predictions, n_best, null_odds = (collections.OrderedDict() for _ in range(3))
    for number, example in enumerate(all_examples):
        features = features_of[number]
        logits = [result_of[feature.unique_id][1:] for feature in features]
        text_of = _text_finder(example, features, do_lower_case)
        answer = choose_answer(_windows(features), logits, text_of, n_best_size, max_answer_length, threshold)
        predictions[example.qas_id] = answer.best
        n_best[example.qas_id] = answer.n_best
        null_odds[example.qas_id] = answer.null_odds
    written = [(output_prediction_file, predictions), (output_nbest_file, n_best)]
    for path, value in written + [(output_null_log_odds_file, null_odds)] * version_2_with_negative:
        log.info("writes %s", path)
        with atomic_open(path) as writer:
            writer.write(json.dumps(value, indent=4) + "\n")


def _windows(features):
    """The features as ContextWindows whose pieces are numbered through, one window after the other."""
    windows, first = [], 0
    for feature in features:
        positions = sorted(feature.token_to_orig_map)
        is_max_context = [feature.token_is_max_context.get(position, False) for position in positions]
        windows.append(ContextWindow((), min(positions, default=0), first, len(positions), is_max_context))
        first += len(positions)
    return windows


def _text_finder(example, features, do_lower_case):
    """The function from the (first, last) piece, as `_windows` numbers them, to the answer's text."""
    places = [(feature, position) for feature in features for position in sorted(feature.token_to_orig_map)]

    def text_of(first, last):
        (feature, start), (_, end) = places[first], places[last]
        pieces = " ".join(feature.tokens[start : end + 1]).replace(" ##", "").replace("##", "")
        words = example.doc_tokens[feature.token_to_orig_map[start] : feature.token_to_orig_map[end] + 1]
        return get_final_text(" ".join(pieces.split()), " ".join(words), do_lower_case)

    return text_of


def get_final_text(pred_text, orig_text, do_lower_case, verbose_logging=False):
    """The part of an original text that a tokenized answer stands for; the whole text where it cannot be found.

    Both texts are compared without spaces; that fails where tokenizing has changed the number of characters.

    Args:
      pred_text: str, the answer's pieces, joined.
      orig_text: str, the words that they are from.
      do_lower_case: whether the pieces are lower-cased.
      verbose_logging: log each failure. Google's function takes it from its flag of this name.

    >>> get_final_text("steve smith", "Steve Smith's", True)
    'Steve Smith'
    """
    tokenized = " ".join(BasicTokenizer(do_lower_case=do_lower_case).tokenize(orig_text))
    start = tokenized.find(pred_text)
    found = _without_spaces(tokenized)
    original = _without_spaces(orig_text)
    if start >= 0 and len(found) == len(original):
        number_of = {position: number for number, position in enumerate(found)}
        end = start + len(pred_text) - 1
        if start in number_of and end in number_of:
            return orig_text[original[number_of[start]] : original[number_of[end]] + 1]
    if verbose_logging:
        log.warning("cannot find the answer %r in %r: takes all of it", pred_text, orig_text)
    return orig_text


def _without_spaces(text):
    """The positions of all characters but spaces."""
    return [position for position, char in enumerate(text) if char != " "]
