"""Search spaces: map points of the unit cube to values, each parameter on its own scale.

A point depends on the seed, its index and the name of the parameter, not on the number of points, so a search can be
extended with more points.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from lightning_tricks.core.arguments import check_choice, check_count

Scale = Literal["linear", "log", "log1m"]
Method = Literal["random", "sobol", "grid"]

METHODS = ("random", "sobol", "grid")


@dataclass(frozen=True)
class Interval:
    r"""Numbers between two bounds.

    With :math:`u \in [0, 1)`, bounds :math:`a < b`:

    .. math::
        \text{linear: } a + u (b - a) \qquad
        \text{log: } a (b / a)^u \qquad
        \text{log1m: } 1 - (1 - a) \left(\frac{1 - b}{1 - a}\right)^u

    Args:
        low: the lower bound.
        high: the upper bound.
        scale: ``"log"`` for parameters whose order of magnitude matters (learning rate, weight decay); ``"log1m"`` for
            parameters whose distance from 1 matters (momentum, the betas of Adam).
        whole: whether to draw whole numbers, including both bounds, with equal probability (on a log scale, with the
            probability of the part of the scale that is rounded to them).

    Raises:
        ValueError: `low >= high`, or the bounds are not finite or not valid for the scale.

    Example:
        >>> Interval(1e-4, 1.0, "log").value(0.5)
        0.01
        >>> Interval(0.9, 0.999, "log1m").value(0.5)
        0.99
        >>> [Interval(16, 256, whole=True).value(u) for u in (0.0, 0.5, 0.999)]
        [16, 136, 256]

    References:
        Bergstra & Bengio, Random Search for Hyper-Parameter Optimization, 2012.
    """

    low: float
    high: float
    scale: Scale = "linear"
    whole: bool = False

    def __post_init__(self) -> None:
        name = f"interval({self.low:g}, {self.high:g})"
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"{name} must have finite bounds.")
        if self.low >= self.high:
            raise ValueError(f"{name} is empty: `low` must be less than `high`; the lower bound comes first.")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"{name} has no log scale: its lower bound must be > 0, got {self.low:g}.")
        if self.scale == "log1m" and self.high >= 1:
            raise ValueError(f"{name} has no log1m scale: its upper bound must be < 1, got {self.high:g}.")
        if self.whole and self.scale == "log1m":
            raise ValueError(f"{name} has no whole numbers on a log1m scale.")

    def value(self, u: float) -> float | int:
        """Return the value at position ``u`` of the scale, in [0, 1)."""
        if self.whole:
            # half a unit beyond each bound, so that the bounds are as likely as their neighbors
            low, high = (self.low - 0.5, self.high + 0.5)
            number = _between(low, high, u) if self.scale == "linear" else _between_logs(low, high, u)
            return int(min(max(math.floor(number + 0.5), self.low), self.high))
        if self.scale == "log":
            number = _between_logs(self.low, self.high, u)
        elif self.scale == "log1m":
            number = 1 - _between_logs(1 - self.low, 1 - self.high, u)
        else:
            number = _between(self.low, self.high, u)
        # 15 digits, so that the value is 0.01 and not 0.009999999999999998
        return float(min(max(float(f"{number:.15g}"), self.low), self.high))


@dataclass(frozen=True)
class Choice:
    """A choice among strings with equal probability.

    Example:
        >>> Choice(("adam", "sgd")).value(0.7)
        'sgd'
    """

    options: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError(
                "A choice must have at least one option; check that a range is not empty and that its "
                "step has the right sign."
            )

    def value(self, u: float) -> str:
        """Return the option at ``u`` in [0, 1)."""
        return self.options[min(int(u * len(self.options)), len(self.options) - 1)]


Parameter = Interval | Choice
Space = Mapping[str, Parameter]
Trial = dict[str, float | int | str]


def draw_trials(space: Space, count: int, seed: int = 0, method: Method = "random") -> list[Trial]:
    """Return the first trials of a search.

    Args:
        space: the parameters by name, in any order.
        count: number of trials; not used by ``"grid"``.
        seed: seed of the search.
        method: ``"random"``: independent points; ``"sobol"``: scrambled Sobol points, which fill the space more evenly,
            especially if ``count`` is a power of two; ``"grid"``: every combination of choices, the last one varying
            fastest.

    Raises:
        ValueError: there is nothing to draw, ``count`` is 0, or a grid contains an interval.

    Example:
        >>> space = {"lr": Interval(1e-4, 1.0, "log"), "net": Choice(("cnn", "mlp"))}
        >>> draw_trials(space, 8)[:3] == draw_trials(space, 3)
        True
        >>> draw_trials({"lr": Choice(("0.1", "1")), "net": Choice(("cnn", "mlp"))}, 0, method="grid")[1]
        {'lr': '0.1', 'net': 'mlp'}
    """
    check_choice("method", method, METHODS)
    if not space:
        raise ValueError("There is nothing to draw: no parameter has an interval, a range or a choice.")
    if method == "grid":
        return _grid(space)
    count = check_count("n_trials", count, 1)
    names = sorted(space)
    points = _sobol_points(names, count, seed) if method == "sobol" else _random_points(names, count, seed)
    return [{name: space[name].value(point[name]) for name in space} for point in points]


def _grid(space: Space) -> list[Trial]:
    options = []
    for name, parameter in space.items():
        if not isinstance(parameter, Choice):
            raise ValueError(f"A grid needs lists, but `{name}` is an interval: use random or sobol.")
        options.append(parameter.options)
    return [dict(zip(space, combination, strict=True)) for combination in product(*options)]


def _random_points(names: Sequence[str], count: int, seed: int) -> list[dict[str, float]]:
    # one generator per number, so that adding a parameter or a trial does not change the others
    return [{name: random.Random(f"{seed}/{i}/{name}").random() for name in names} for i in range(count)]


def _sobol_points(names: Sequence[str], count: int, seed: int) -> list[dict[str, float]]:
    import torch  # takes seconds to import and is only needed here

    engine = torch.quasirandom.SobolEngine(len(names), scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    return [dict(zip(names, row, strict=True)) for row in engine.draw(count, dtype=torch.float64).tolist()]


def _between(low: float, high: float, u: float) -> float:
    return (1 - u) * low + u * high  # high - low may overflow


def _between_logs(low: float, high: float, u: float) -> float:
    return math.exp((1 - u) * math.log(low) + u * math.log(high))
