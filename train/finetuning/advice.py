"""What usually helps where no entity of the dev set is ever found."""

# A head that starts from random weights learns little at the rates that suit a trained encoder.
_HEAD_RATE = 1e-3
_FEW_STEPS = 300
_HIGH_RATE = 1e-3  # of a trained encoder: its weights are soon lost


def what_helps(evaluations, training):
    """The line on a run whose dev F1 stayed 0.

    Args:
      evaluations: list of the run's evaluations, see run_dir.new_state.
      training: dict, the settings of training, as run.json has them.

    Returns:
      str, what fits the settings first; None where F1 was ever above 0 or nothing was evaluated.
    """
    if not evaluations or any(scores["f1"] > 0.0 for scores in evaluations):
        return None
    steps = evaluations[-1]["step"]
    rate, head_rate = training["learning_rate"], training["head_learning_rate"]
    has_weights, batch = bool(training["init_checkpoint"]), training["batch_size"]
    helps = []
    if has_weights and rate > _HIGH_RATE:
        helps.append(f"a smaller -learning_rate, as 5e-5, than {rate:g}")
    if (head_rate or rate) < _HEAD_RATE:
        helps.append(f"-head_learning_rate {_HEAD_RATE:g}, as the head has {head_rate or rate:g}")
    if steps < _FEW_STEPS:
        smaller = f" or a smaller -batch_size than {batch}" if batch > 8 else ""
        helps.append(f"more than {steps} steps, by -num_train_epochs{smaller}")
    if not has_weights:
        helps.append("trained weights, by -bert_dir or -init_checkpoint")
    if training["freeze_layers"] is not None:
        helps.append("no -freeze_layers")
    if not helps:
        helps = ["more epochs", "another -learning_rate and -head_learning_rate"]
    return f"dev F1 stayed 0 in all {len(evaluations)} evaluations; what usually helps: {'; '.join(helps)}"
