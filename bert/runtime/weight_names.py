"""Which tensors of a checkpoint are the variables of a model, told by names and shapes alone. Loads no TensorFlow.

Checkpoints name the variables of a BERT encoder as this project does, `bert/encoder/layer_0/...`, or all under another
prefix: none, `electra/`, `module/bert/`, or with an ending that says they are averages.
"""

import collections
import re

from bert.system.errors import UserError, shown_list

ENCODER = "bert/"
# The endings of tf.train.ExponentialMovingAverage and of a variable as it is.
_ENDINGS = ("", "/ExponentialMovingAverage")
_PARTS = re.compile(r"(?:^|/)(?=(?:embeddings|encoder|pooler)/)")
# What the names in a checkpoint say it is, in the order in which they are tried.
_OTHERS = (
    (r"_CHECKPOINTABLE_OBJECT_GRAPH$|/\.ATTRIBUTES/", "a TensorFlow 2 object-based checkpoint",
     "one by variable names, as tf.compat.v1.train.Saver writes it"),
    (r"(^|/)encoder/transformer/group_\d+/inner_group_\d+/", "an ALBERT encoder", "one of BERT"),
    (r"(^|/)model/transformer/.*/rel_attn/", "an XLNet encoder", "one of BERT"),
    (r"\.(weight|bias)$|\.(weight|bias)_orig$", "a model with the names of PyTorch",
     "what python -m bert.convert_checkpoint makes of its Hugging Face directory"),
)  # fmt: skip


class Model(collections.namedtuple("Model", ["encoder", "head", "head_name", "unused", "head_remedy"])):
    """The variables of a model.

    Fields:
      encoder: dict from the name of each variable of the encoder to its shape, a list of ints.
      head: the same for what stands on the encoder; empty where nothing of it is to come from the checkpoint.
      head_name: what stands on the encoder, in words, such as "the tagging head".
      unused: names of variables of the encoder that no output depends on.
      head_remedy: what helps where a variable of the head has another shape, in words, or "".
    """


class Match(collections.namedtuple("Match", ["names", "naming", "missing", "layers_left_out"])):
    """The tensors of a checkpoint that a model starts from.

    Fields:
      names: dict from the name of each variable that is in the checkpoint to its name there.
      naming: how the checkpoint names the encoder, in words; "" where it does as this project.
      missing: names of the model's variables, encoder and head, that it lacks.
      layers_left_out: how many layers the checkpoint has beyond those of the model.
    """


def match(where, found, model, partial=False):
    """The Match of a checkpoint and a model.

    Args:
      where: the checkpoint's prefix, for the errors.
      found: dict from the name of each tensor in the checkpoint to its shape, a list of ints.
      model: Model.
      partial: whether variables of the encoder may be missing; None where that cannot be asked for.

    Raises:
      UserError: none of the encoder's variables is in the checkpoint, or several encoders are; or some of them are
        missing and it is not `partial`; or a variable has another shape there.
    """
    naming = _naming(where, found, model)
    names = {name: naming.in_checkpoint(name) for name in [*model.encoder, *model.head]}
    names = {name: there for name, there in names.items() if there in found}
    missing = [name for name in [*model.encoder, *model.head] if name not in names]
    lacks = [name for name in missing if name in model.encoder and name not in model.unused]
    if lacks and not partial:
        _check_is_bert(where, found)
        raise UserError(
            f"{where}: {len(lacks)} of {len(model.encoder)} encoder variables are not in it: "
            f"{grouped(naming.in_checkpoint(name) for name in lacks)}; "
            + ("expected all of them" if partial is None else "-init_partial starts them from random weights")
        )
    check_shapes(where, found, model.encoder, names)
    check_shapes(where, found, model.head, names, model.head_remedy)
    return Match(names, naming.in_words(), missing, _layers_left_out(found, model, naming))


def check_shapes(where, found, shapes, names, remedy=""):
    """UserError, naming both shapes, if a variable has another shape in the checkpoint than in the model.

    Args:
      where: the checkpoint's prefix, for the error.
      found: dict from the names in the checkpoint to shapes.
      shapes: dict from the names in the model to shapes.
      names: dict from the names in the model to those in the checkpoint; others than those of `shapes` are skipped.
      remedy: what helps, in words, or "".
    """
    for name, there in names.items():
        if name in shapes and list(found[there]) != list(shapes[name]):
            raise UserError(
                f"{where}: {there} has the shape {list(found[there])}; the model of these settings expects "
                f"{list(shapes[name])}{remedy and '; '}{remedy}"
            )


def grouped(names):
    """Names of variables for a message: those that differ in their end or their layer alone are one item.

    >>> grouped(["layer_0/dense/kernel", "layer_0/dense/bias", "layer_1/dense/kernel", "layer_1/dense/bias", "b"])
    'layer_{0,1}/dense/{kernel,bias}, b'
    """
    ends = collections.OrderedDict()  # from all but the end of a name to its ends
    for name in names:
        folder, slash, end = name.rpartition("/")
        ends.setdefault(folder + slash or name, []).append(end if slash else "")
    layers = collections.OrderedDict()  # from a name with {} for its layer to the numbers of its layers
    for folder, names_there in ends.items():
        end = "{" + ",".join(names_there) + "}" if len(names_there) > 1 else names_there[0]
        parts = re.match(r"(.*?)(?:(?<=layer_)([0-9]{1,9})(?=/)(.*))?$", folder + end)
        before, number, after = parts.groups(default="")
        layers.setdefault((before, after), []).append(number)
    items = []
    for (before, after), numbers in layers.items():
        first, last = numbers[0], numbers[-1]
        if len(numbers) > 2 and numbers == [str(i) for i, _ in enumerate(numbers, int(first))]:
            numbers = [f"{first}..{last}"]
        is_one = len(numbers) == 1 and ".." not in numbers[0]
        items.append(before + (numbers[0] if is_one else "{" + ",".join(numbers) + "}") + after)
    return shown_list(items)


class _Naming(collections.namedtuple("_Naming", ["prefix", "ending"])):
    """How a checkpoint names the encoder: `prefix` in place of bert/, and `ending` after each name."""

    def in_checkpoint(self, name):
        """The name there of a variable of the model."""
        if name.startswith(ENCODER):
            return self.prefix + name[len(ENCODER) :] + self.ending
        outer = self.prefix[: -len(ENCODER)] if self.prefix.endswith("/" + ENCODER) else ""
        return outer + name + self.ending

    def in_words(self):
        if self == _OURS:
            return ""
        if self == _Naming("", ""):
            return f"named without {ENCODER} there"
        return f"named {self.in_checkpoint(ENCODER + '...')} there"


_OURS = _Naming(ENCODER, "")


def _naming(where, found, model):
    """The _Naming of the encoder in a checkpoint; arguments and errors as of `match`."""
    inner = {name[len(ENCODER) :] for name in model.encoder}
    needed = {name[len(ENCODER) :] for name in model.encoder if name not in model.unused}
    having = collections.defaultdict(set)  # from _Naming to the inner names that are there
    for name in found:
        for ending in _ENDINGS:
            stem = name[: len(name) - len(ending)] if name.endswith(ending) else ""
            for part in _PARTS.finditer(stem):
                if stem[part.end() :] in inner:
                    having[_Naming(stem[: part.end()], ending)].add(stem[part.end() :])
    if not having:
        _check_is_bert(where, found)
        shown = shown_list(sorted(found), shown=3) if found else "nothing"
        raise UserError(
            f"{where}: none of the encoder's variables is in it, but {shown}; expected a checkpoint of BERT"
        )
    whole = [naming for naming in having if having[naming] >= needed]
    if _OURS in whole:
        return _OURS
    if len(whole) > 1:  # such as a small encoder beside a large one
        fitting = [naming for naming in whole if _fits(found, model, naming)]
        if len(fitting) != 1:
            shown = shown_list(sorted(naming.in_checkpoint(ENCODER + "...") for naming in whole))
            raise UserError(f"{where}: several encoders in it, {shown}; expected one")
        return fitting[0]
    # What has the most, ours before others.
    return whole[0] if whole else max(having, key=lambda naming: (len(having[naming]), naming == _OURS, naming))


def _fits(found, model, naming):
    names = {name: naming.in_checkpoint(name) for name in model.encoder}
    return all(list(found[names[name]]) == list(model.encoder[name]) for name in names if names[name] in found)


def _check_is_bert(where, found):
    """UserError if the names in a checkpoint show that it is something else."""
    for pattern, what, expected in _OTHERS:
        if any(re.search(pattern, name) for name in found):
            raise UserError(f"{where}: {what}; expected {expected}")


def _layers_left_out(found, model, naming):
    layer = re.compile(re.escape(naming.prefix) + r"encoder/layer_([0-9]+)/")
    there = {each.group(1) for each in map(layer.match, found) if each}
    in_model = {each for name in model.encoder for each in re.findall(r"/layer_([0-9]+)/", name)}
    return len(there - in_model)
