"""The names and shapes of the variables of a tagger's head, known before a graph is built. Loads no TensorFlow."""

LOGITS, LOGITS_BIAS = "project/logits/W", "project/logits/b"
TRANSITIONS = "crf_loss/transitions"
# The axes of each variable that run over label ids.
LABEL_AXES = {LOGITS: (1,), LOGITS_BIAS: (0,), TRANSITIONS: (0, 1)}


def head_shapes(settings, num_labels=None):
    """The shape of every variable that a tagger has on the encoder: dict from name to list of ints.

    Args:
      settings: settings.TaggerSettings.
      num_labels: number of label ids, padding included; default: that of the settings.
    """
    labels = num_labels or settings.num_labels
    hidden, size = settings.bert_config["hidden_size"], settings.lstm_size
    shapes = {}
    if settings.has_rnn:
        for direction in ("fw", "bw"):
            for k in range(settings.num_layers):
                cell = f"multi_rnn_cell/cell_{k}/" if settings.num_layers > 1 else ""
                scope = f"rnn_layer/bidirectional_rnn/{direction}/{cell}"
                shapes.update(_cell_shapes(scope, settings.cell, hidden if k == 0 else size, size))
        shapes.update({"project/hidden/W": [2 * size, size], "project/hidden/b": [size]})
    width = size if settings.has_rnn else hidden
    shapes.update({LOGITS: [width, labels], LOGITS_BIAS: [labels]})
    if settings.has_crf:
        shapes[TRANSITIONS] = [labels, labels]
    return shapes


def _cell_shapes(scope, cell, width, size):
    """The variables of one RNN cell that reads vectors of this width."""
    units = {"lstm_cell": 4 * size} if cell == "lstm" else {"gru_cell/gates": 2 * size, "gru_cell/candidate": size}
    shapes = {f"{scope}{name}/kernel": [width + size, number] for name, number in units.items()}
    return dict(shapes, **{f"{scope}{name}/bias": [number] for name, number in units.items()})
