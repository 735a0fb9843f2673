"""Rate curve: find restarts, a final fall and a warm-up in the rates that a scheduler will write."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lightning_tricks.functional.scheduler_groups import schedulers_in

_FALLEN, _RISEN, _LOW = 0.5, 0.25, 0.1
_ROUNDING = 1e-9


@dataclass(frozen=True)
class SampledCycles:
    """Cycles that begin with a restart, known by the times of the restarts.

    Attributes:
        restarts: the times, increasing, at least one.
    """

    restarts: tuple[float, ...]

    @property
    def first(self) -> float:
        """Length of the first cycle."""
        return self.restarts[0]

    def longest_after_restart(self, end: float | None) -> float:
        """Return the length of the longest cycle after the first, as far as it lies in the run; 0 if there is none.

        Example:
            >>> [SampledCycles((5.0, 10.0)).longest_after_restart(end) for end in (5, 8, 30)]
            [0.0, 3.0, 20.0]
        """
        last = self.restarts[-1] if end is None else end
        inside = [time for time in self.restarts if time < last * (1 - _ROUNDING)]
        return max((b - a for a, b in pairwise([*inside, last])), default=0.0)

    def since_restart(self, end: float) -> float:
        """Return the time between the last restart before the end of a run and this end."""
        return end - max((time for time in self.restarts if time < end * (1 - _ROUNDING)), default=0.0)


def restarts_in(rates: Sequence[float]) -> list[int]:
    """Return the places of restarts: after a fall below half of the peak, a rise by a quarter of that fall.

    A first rise is a warm-up, not a restart. A smooth rise restarts at its lowest rate, a jump at the first high one.

    Example:
        >>> restarts_in([0.2, 1.0, 0.5, 0.0, 1.0, 0.4, 0.1, 0.2, 0.4])
        [4, 6]
    """
    found: list[int] = []
    peak = lowest = rates[0] if rates else 0.0
    place = 0
    for i, rate in enumerate(rates):
        if lowest < _FALLEN * peak and rate > lowest + _RISEN * (peak - lowest):
            found.append(i if i == place + 1 else place)
            peak = lowest = rate
        elif rate > peak:
            peak = lowest = rate
        elif rate <= lowest:
            lowest, place = rate, i
    return found


def has_fallen(rates: Sequence[float]) -> bool:
    """Return whether the rate ends at less than a tenth of its peak, without restarts.

    Example:
        >>> has_fallen([0.1, 1.0, 0.5, 0.0]), has_fallen([1.0, 0.0, 1.0, 0.0]), has_fallen([1.0, 0.5])
        (True, False, False)
    """
    return bool(rates) and rates[-1] < _LOW * max(rates) and not restarts_in(rates)


def warmup_calls(scheduler: Any) -> int:
    """Return after how many calls the warm-up of a torch scheduler ends, also of one inside it; 0 without a warm-up.

    Example:
        >>> import torch
        >>> sgd = torch.optim.SGD([torch.zeros(1)], lr=0.1)
        >>> warmup_calls(torch.optim.lr_scheduler.LinearLR(sgd, start_factor=0.1, total_iters=7))
        7
    """
    return max((_own_warmup(vars(part)) for part in schedulers_in(scheduler)), default=0)


def _own_warmup(settings: dict[str, Any]) -> int:
    start = settings.get("start_factor", settings.get("factor"))
    length, end = settings.get("total_iters"), settings.get("end_factor", 1.0)
    rises = isinstance(start, (int, float)) and isinstance(length, int) and start < end
    return int(length) if rises and length else 0
