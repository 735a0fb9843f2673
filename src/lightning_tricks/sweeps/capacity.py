"""Capacity: double the units of a network, then its layers, until the score improves by no more than its spread."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal, NamedTuple

from lightning_tricks.core.arguments import check_choice, check_count

Direction = Literal["minimize", "maximize"]
FEWEST_SEEDS = 2


class Size(NamedTuple):
    """A size of a network: units per layer and number of layers (``None`` if layers do not grow)."""

    units: int
    layers: int | None = None


class Step(NamedTuple):
    """The next action: try ``size`` or, if it is ``None``, stop for ``reason``; ``best`` is the best size so far."""

    size: Size | None
    best: Size | None
    reason: str


@dataclass(frozen=True)
class Growth:
    r"""The rule by which a network grows.

    Units are doubled while the mean score over seeds improves by more than the spread
    :math:`s = \sqrt{(s_a^2 + s_b^2) / 2}` of the two compared sizes, with :math:`s_a, s_b` the sample standard
    deviations over seeds. Then layers are doubled in the same way, at the best number of units.

    Args:
        units: the first number of units, at least 1.
        max_units: the largest number of units.
        layers: the first number of layers; ``None``: layers do not grow.
        max_layers: the largest number of layers.
        direction: ``"minimize"`` or ``"maximize"``.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Example:
        >>> growth = Growth(units=16, max_units=64)
        >>> growth.next({})
        Step(size=Size(units=16, layers=None), best=None, reason='')
        >>> growth.next({Size(16): [0.50, 0.54], Size(32): [0.31, 0.33]}).size
        Size(units=64, layers=None)
        >>> growth.next({Size(16): [0.50, 0.54], Size(32): [0.51, 0.52]}).best
        Size(units=16, layers=None)
    """

    units: int
    max_units: int
    layers: int | None = None
    max_layers: int = 1
    direction: Direction = "minimize"

    def __post_init__(self) -> None:
        check_count("capacity.units", self.units, 1)
        check_count("capacity.max_units", self.max_units, self.units)
        if self.layers is not None:
            check_count("capacity.layers", self.layers, 1)
            check_count("capacity.max_layers", self.max_layers, self.layers)
        check_choice("direction", self.direction, ("minimize", "maximize"))

    def next(self, scores: Mapping[Size, Sequence[float]]) -> Step:
        """Return the next size.

        Args:
            scores: the scores of each tried size, one number per seed that ended with one.
        """
        best, why = self._grow([Size(units, self.layers) for units in doubled(self.units, self.max_units)], scores)
        if isinstance(why, Size):
            return Step(why, best, "")
        if best is None or self.layers is None:
            return Step(None, best, why)
        deeper = [Size(best.units, layers) for layers in doubled(self.layers, self.max_layers)]
        deepest, ending = self._grow(deeper, scores)
        if isinstance(ending, Size):
            return Step(ending, deepest, "")
        return Step(None, deepest, f"units: {why}; layers: {ending}")

    def _grow(self, sizes: Sequence[Size], scores: Mapping[Size, Sequence[float]]) -> tuple[Size | None, "Size | str"]:
        """Return the best of the increasing sizes so far, and the next one to try or why there is none."""
        best: Size | None = None
        for size in sizes:
            if size not in scores:
                return best, size
            found = list(scores[size])
            if len(found) < FEWEST_SEEDS:
                return best, f"{_shown(size)} has only {len(found)} of the required {FEWEST_SEEDS} scores"
            if best is not None:
                gain, spread = self._gain(scores[best], found)
                if not gain > spread:
                    change = f"improves by {gain:.3g}" if gain > 0 else f"gets worse by {-gain:.3g}"
                    return best, f"from {_shown(best)} to {_shown(size)} the score {change}, its spread is {spread:.3g}"
            best = size
        return best, f"{_shown(sizes[-1])} is the largest size, and the score still improves"

    def _gain(self, before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
        sign = 1.0 if self.direction == "minimize" else -1.0
        spread = math.sqrt((stdev(before) ** 2 + stdev(after) ** 2) / 2)
        return sign * (fmean(before) - fmean(after)), spread


def doubled(first: int, most: int) -> list[int]:
    """Return a number and its repeated doublings up to a bound.

    Example:
        >>> doubled(12, 100)
        [12, 24, 48, 96]
    """
    found = [first]
    while 2 * found[-1] <= most:
        found.append(2 * found[-1])
    return found


def _shown(size: Size) -> str:
    units = f"{size.units} units"
    return units if size.layers is None else f"{units} in {size.layers} layer{'s' if size.layers != 1 else ''}"
