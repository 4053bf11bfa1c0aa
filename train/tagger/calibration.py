"""What a tagger's probabilities are calibrated with, and how the files of a run and of an export say it.

The CRF's scores are divided by a temperature before they become probabilities. The score of an entity is then mapped by

    sigmoid(slope * logit(score) + offset of the entity's type)

(Platt, "Probabilistic Outputs for Support Vector Machines", 1999, with an offset for each class), as a tagger may be
too sure of one type and not sure enough of another. The slope is above 0, so entities of one type stay in the order of
their scores. The scores of words are those of the temperature alone. Tags depend on none of this.

Needs no TensorFlow; decoding.py computes the map.
"""

import collections
import os

from bert.system.errors import UserError, shorten, shown_list
from train import run_dir
from train.chunks import parse_tag, reading_tag

LEAST = 1e-6  # distance of a score from 0 and 1 in the map; float32 has no more digits

# A Calibration by the labels of a tagger. temperature, slope: float; offsets: for each label id that of its type, all 0
# or empty for none. Or tensors of several, [count], [count] and [count, num_labels].
LabelCalibration = collections.namedtuple(
    "LabelCalibration", ["temperature", "slope", "offsets"], defaults=[1.0, 1.0, ()]
)
NO_CALIBRATION = LabelCalibration()


class Calibration(
    collections.namedtuple("Calibration", ["temperature", "slope", "offset", "offsets"], defaults=[1.0, 1.0, 0.0, {}])
):
    """What the probabilities of a tagger are calibrated with.

    Fields:
      temperature: float that divides the CRF's scores before they become probabilities.
      slope: float above 0 that multiplies the log-odds of an entity.
      offset: float that is added to the log-odds of an entity whose type is not in `offsets`.
      offsets: dict from type to the float that is added to the log-odds of its entities.
    """

    __slots__ = ()

    @classmethod
    def from_json(cls, values, where):
        """The calibration in JSON values, as `to_json` gives them.

        Args:
          values: dict; what is missing is as in UNCALIBRATED, and other keys are ignored.
          where: name of the file they come from, for errors.

        Raises:
          UserError: a value is none that a run writes.
        """
        for name, (is_right, expected) in _RULES.items():
            if name in values and not is_right(values[name]):
                raise UserError(f"{where}: {name} {shorten(values[name], 100)}; expected {expected}")
        given = [values.get(name, default) for name, default in zip(_RULES, UNCALIBRATED)]
        return cls(*map(float, given[:3]), {kind: float(offset) for kind, offset in given[3].items()})

    @classmethod
    def of_run(cls, output_dir, state, prefix):
        """The calibration that a run keeps for a checkpoint, UNCALIBRATED where it keeps none.

        Args:
          output_dir: directory of the run.
          state: its state, see run_dir, or None.
          prefix: prefix of the checkpoint.

        Raises:
          UserError: as `from_json`.
        """
        return cls.from_json(run_dir.calibration(state, prefix), os.path.join(output_dir, run_dir.RUN_STATE))

    def to_json(self):
        """The calibration as a dict of JSON values; what is as in UNCALIBRATED is left out."""
        return {name: value for name, value, default in zip(_RULES, self, UNCALIBRATED) if value != default}

    @property
    def maps_entities(self):
        """Whether the scores of entities are mapped, beyond the temperature."""
        return self._replace(temperature=1.0) != UNCALIBRATED

    @property
    def shown_offsets(self):
        """The offsets by type as a text, those of ten types at most."""
        return shown_list(f"{kind or 'no type'} {offset:+.2f}" for kind, offset in sorted(self.offsets.items()))

    def of_labels(self, labels, scheme):
        """The LabelCalibration for a tagger.

        Args:
          labels: list of labels, ids from 1.
          scheme: name of the scheme they are written in, a key of schemes.SCHEMES, or None.
        """
        if not self.maps_entities:
            return LabelCalibration(self.temperature, 1.0, (0.0,) * (len(labels) + 1))
        types = [parse_tag(reading_tag(label, scheme))[1] for label in labels]
        offsets = (self.offset,) + tuple(self.offsets.get(kind, self.offset) for kind in types)
        return LabelCalibration(self.temperature, self.slope, offsets)


UNCALIBRATED = Calibration()


def _is_number(value):
    return type(value) in (int, float) and -1000 < value < 1000


def _is_positive(value):
    return _is_number(value) and value > 0


def _are_offsets(value):
    return isinstance(value, dict) and all(map(_is_number, value.values()))


# For each field its key in JSON, whether a value is one that a run writes, and what is expected, in words.
_RULES = {
    "temperature": (_is_positive, "a number above 0"),
    "entity_slope": (_is_positive, "a number above 0"),
    "entity_offset": (_is_number, "a number"),
    "entity_offsets": (_are_offsets, "a number for each type"),
}
