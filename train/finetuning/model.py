"""The tagger as an Estimator's model function: in training, in evaluation and in prediction."""

import tensorflow.compat.v1 as tf

from bert.encoder import kernels
from bert.optimization import STEP_DEFAULTS
from bert.runtime.estimator import EstimatorSpec, ModeKeys
from bert.training import strategies
from train.data.labels import PIECE
from train.data.records import word_starts
from train.finetuning import adversarial
from train.models import build_tagger, predict_tags
from train.tagger.metrics import estimator_metrics


def make_model_fn(
    settings,
    label_map,
    training=None,
    options=STEP_DEFAULTS,
    dropout_rate=0.0,
    compute=kernels.REFERENCE,
    adversarial_size=0.0,
):
    """The tagger as an Estimator's model function.

    Args:
      settings: settings.TaggerSettings.
      label_map: dict from label to id: the settings' label_ids, or empty where the names of the labels are not known.
      training: strategies.Training; None for a model function that only evaluates and predicts.
      options: optimization.StepOptions, for training.
      dropout_rate: fraction dropped in the head, in training.
      compute: kernels.Compute, how the encoder computes.
      adversarial_size: as of adversarial.gradients_of.

    Returns:
      model_fn(features, labels, mode, params). Features: int [batch, seq_len] `input_ids`, `input_mask`,
      `segment_ids`, `label_ids` (optional in prediction; `labels` serves too) and `word_start` (1 at the first piece
      of each word; default: from label_ids). Predictions: `pred_ids` int32 and `scores` float32, [batch, seq_len], and
      with labels `loss`, the negative log-likelihood of each sentence.
    """

    def model_fn(features, labels, mode, params):
        is_training = mode == ModeKeys.TRAIN
        label_ids = features.get("label_ids", labels)
        if "word_start" not in features and label_ids is not None and label_map:
            features = dict(features, word_start=word_starts(label_ids, label_map))
        word_start = features.get("word_start")
        if word_start is None and settings.subword_labels == "first":
            raise ValueError("-subword_labels first needs the feature word_start, or label_ids and a label_map")

        def build(word_offsets=None):
            given = label_ids, dropout_rate, compute, strategies.on_tpu(), word_offsets
            with strategies.building(training, is_training, options.accumulation_steps):
                return build_tagger(settings, features, is_training, *given)

        tagger = build()
        if is_training:
            return training_spec(tagger, adversarial.gradients_of(adversarial_size, tagger, build))

        rules = settings.constraint if word_start is not None else None
        piece_id = label_map.get(PIECE, 0)
        pred_ids, scores, _ = predict_tags(tagger, features["input_mask"], word_start, rules, piece_id)
        if mode == ModeKeys.PREDICT:
            predictions = {"pred_ids": pred_ids, "scores": scores}
            if tagger.losses is not None:
                predictions["loss"] = tagger.losses
            return EstimatorSpec(mode, predictions=predictions)
        # Of words where it is known which pieces begin one, else of pieces.
        counted = tf.cast(features["input_mask"] if word_start is None else word_start, tf.float32)
        metrics = estimator_metrics(tagger.losses, label_ids, pred_ids, counted, settings.num_labels, label_map)
        return EstimatorSpec(mode, loss=tf.reduce_mean(tagger.losses), eval_metric_ops=metrics)

    def training_spec(tagger, gradients_of):
        if not strategies.on_tpu():
            # A histogram of values that are not finite would end training with an error of its own.
            finite = tf.where_v2(tf.is_finite(tagger.transitions), tagger.transitions, 0.0)
            tf.summary.histogram("transitions", finite)
            tf.summary.image("transitions", tagger.transitions[None, :, :, None])
        loss = tf.reduce_mean(tagger.losses)
        return strategies.training_spec(loss, training, compute, options=options, gradients_of=gradients_of)

    return model_fn
