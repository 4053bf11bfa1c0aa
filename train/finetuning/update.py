"""What the flags say about an update: clipping, the rate of the head, what is frozen, accumulation."""

import functools
import re

from bert.optimization import StepOptions


def step_options(args, learning_rate):
    """The StepOptions that the flags give, with learning_rate as the encoder's."""
    return StepOptions(
        clip_norm=args.clip,
        lr_multiplier=_head_multiplier(learning_rate, args.head_learning_rate),
        is_frozen=functools.partial(_is_frozen, freeze_layers=args.freeze_layers),
        accumulation_steps=args.gradient_accumulation_steps,
        bias_correction=args.bias_correction,
    )


def _is_frozen(name, freeze_layers):
    """Whether a variable belongs to what -freeze_layers leaves as it is: embeddings and the first layers."""
    if freeze_layers is None:
        return False
    layer = re.match(r"bert/encoder/layer_(\d+)/", name)
    return name.startswith("bert/embeddings/") or (layer is not None and int(layer.group(1)) < freeze_layers)


def _head_multiplier(learning_rate, head_learning_rate):
    """The factor on a variable's learning rate that gives all outside the encoder a rate of its own."""
    if head_learning_rate is None:
        return None
    return lambda name: 1.0 if name.startswith("bert/") else head_learning_rate / learning_rate
