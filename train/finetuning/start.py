"""What a run starts from: the weights of -init_checkpoint, and which labels of a trained tagger are carried over."""

import collections
import logging
import os

from bert import modeling
from bert.runtime import checkpoint, init_weights
from bert.runtime.encoder_files import check_init_checkpoint
from bert.system import filesystem
from bert.system.errors import UserError, shown_list
from train import run_dir
from train.data.labels import label_ids, read_labels
from train.finetuning import checkpoints
from train.tagger.settings import EARLIER
from train.tagger.variables import LABEL_AXES, head_shapes

log = logging.getLogger(__name__)

# rows: for each label id of the new tagger the id in the old one, or -1; kept, new, dropped: lists of labels.
CarriedLabels = collections.namedtuple("CarriedLabels", ["rows", "kept", "new", "dropped"])


def find_start(init_checkpoint, settings, output_dir, init_head=True, init_partial=False):
    """The weights that a tagger starts from; the log says what comes from the checkpoint.

    The weights of a label go to the label of the same name, where label2id.json lies beside a tagger's checkpoint.

    Args:
      init_checkpoint: -init_checkpoint, see checkpoint.resolve; None or "" for random weights.
      settings: settings.TaggerSettings.
      output_dir: where a release is unpacked if nothing can be written beside it.
      init_head: whether the head of a trained tagger is taken too.
      init_partial: whether the checkpoint may lack variables of the encoder.

    Returns:
      init_weights.StartWeights, or None for random weights.

    Raises:
      UserError: there is no such checkpoint, or it does not fit.
    """
    prefix = checkpoint.resolve(init_checkpoint, output_dir)
    if not prefix:
        return None
    label_file = _label_file(prefix) if init_head else None
    labels = read_labels(label_file) if label_file else None
    if labels:
        checkpoints.check_num_labels(prefix, labels, label_file, "-init_head=false takes the encoder alone")
    shapes = head_shapes(settings, len(labels) + 1 if labels else None) if init_head else {}
    variables = init_weights.model_variables(
        modeling.BertConfig.from_dict(settings.bert_config), shapes, "the tagging head", uses_pooler=False
    )._replace(head_remedy="-init_head=false takes the encoder alone")
    start = check_init_checkpoint(prefix, variables, settings.do_lower_case, output_dir, init_partial)
    if not set(LABEL_AXES) & set(start.tensors):
        return start
    trained_with = _context_of(prefix)
    if trained_with != settings.context:
        log.info("%s: its tagger was trained with -context %d, not %d", prefix, trained_with, settings.context)
    if labels is None:
        log.info(
            "%s: no label2id.json beside it; the head's %d labels are taken to be those of the training data, in the "
            "order of their ids", prefix, len(settings.labels),
        )  # fmt: skip
        return start
    if labels == list(settings.labels):
        return start
    carried = carry_over(labels, settings.labels)
    log.info("%s: %s", label_file, _in_words(carried))
    return start.with_rows(carried.rows, LABEL_AXES)


def carry_over(old, new):
    """Which label of a trained tagger each label of a new one starts from: the one of the same name.

    Args:
      old, new: lists of labels, ids from 1; 0 is padding in both.

    Returns:
      CarriedLabels.
    """
    ids = label_ids(old)
    return CarriedLabels(
        rows=[0] + [ids.get(label, -1) for label in new],
        kept=[label for label in new if label in ids],
        new=[label for label in new if label not in ids],
        dropped=[label for label in old if label not in new],
    )


def _in_words(carried):
    text = f"labels whose weights are carried over: {shown_list(carried.kept, longest=90)}"
    if carried.new:
        text += f"; from random weights: {shown_list(carried.new, longest=60)}"
    if carried.dropped:
        text += f"; left out: {shown_list(carried.dropped, longest=60)}"
    return text


def _context_of(prefix):
    """The -context of the run that wrote a checkpoint; 0 where nothing says it."""
    try:
        state = run_dir.read_state(run_dir.folders_of(prefix)[-1])
    except UserError:  # what it says is not needed
        state = None
    return dict(EARLIER, **state["model"])["context"] if state else 0


def _label_file(prefix):
    """The label2id.json of the run that wrote a checkpoint, or None."""
    paths = [os.path.join(folder, run_dir.LABEL2ID) for folder in run_dir.folders_of(prefix)]
    return next((path for path in paths if filesystem.exists(path)), None)
