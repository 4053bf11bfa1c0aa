"""The checkpoint of a trained tagger that a run goes on from or uses: it has to be of these settings and labels."""

import os

from bert import modeling
from bert.runtime import checkpoint
from bert.system.errors import UserError, shown_list
from train import run_dir
from train.data.recognition import NONE
from train.finetuning import checkpoints
from train.tagger.settings import EARLIER, HEADS, MODEL_FLAGS
from train.tagger.variables import LOGITS_BIAS


def _other_labels(trained, given, prefix, resumes):
    """What is wrong where a checkpoint was trained with other labels, and what to do; arguments are lists of labels."""
    lacks = [label for label in given if label not in trained]
    more = [label for label in trained if label not in given]
    text = "the checkpoint was trained with the labels in another order"
    if lacks or more:
        pairs = (("without", lacks), ("with", more))
        parts = [f"{word} {shown_list(labels, longest=60)}" for word, labels in pairs if labels]
        text = f"the checkpoint was trained with the labels of other data, {' and '.join(parts)}"
    if not resumes:
        return f"{text}; expected data with its labels"
    return f"{text}; expected another -output_dir, with -init_checkpoint {prefix} to start from it, or -clean"


def check_trained(output_dir, resumes, state, model):
    """Checks the checkpoint that training goes on from, or that is used without training.

    Args:
      output_dir: directory of the run.
      resumes: whether training goes on from it.
      state: state of the run, or None.
      model: the model's settings by this run's flags.

    Raises:
      UserError: there is none, it is damaged, or it was trained with other settings.
    """
    find = checkpoints.checkpoint_to_resume_from if resumes else run_dir.checkpoint_to_use
    prefix = find(output_dir)
    if prefix is None:
        raise UserError(f"{output_dir}: no checkpoint of a trained tagger in it; expected one, or -do_train")
    label_file = os.path.join(output_dir, run_dir.LABEL2ID)
    for name, value in (dict(EARLIER, **state["model"]) if state else {}).items():
        if name == "spelling" or model.get(name) == value:
            continue
        if name == "labels":
            raise UserError(f"{label_file}: {_other_labels(value, model[name], prefix, resumes)}")
        if name in MODEL_FLAGS + ("word_units", "head", "context"):
            then, now = (HEADS[0] if name == "head" and each is None else each for each in (value, model[name]))
            raise UserError(f"{output_dir}: its model was trained with -{name} {then}, not {now}")
        if name == "scheme":
            raise UserError(f"{output_dir}: its model was trained with -tag_scheme {value or NONE}, not {model[name]}")
        raise UserError(f"{output_dir}: its model was trained with another {name}; expected that one")
    checkpoints.check_num_labels(prefix, model["labels"], label_file)
    encoder_shapes = modeling.encoder_shapes(modeling.BertConfig.from_dict(model["bert_config"]))
    checkpoint.check_model(
        prefix,
        dict({LOGITS_BIAS: [len(model["labels"]) + 1]}, **encoder_shapes),
        optional=encoder_shapes,
        missing="no tagger in it ({}); expected a checkpoint of one",
        whole=False,
    )
    if not resumes:  # a checkpoint to resume from was checked when it was found
        checkpoints.check_usable(output_dir, prefix)
