"""Unfreezing times: when each layer group starts to train, from the head downwards."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from lightning_tricks.core.arguments import shown
from lightning_tricks.core.durations import Duration, Moment, RunLength, Unit, measure, parse_duration
from lightning_tricks.functional.schedules import linear_warmup


@dataclass(frozen=True)
class ThawPlan:
    """When each layer group starts to train, and how long its learning rate then warms up.

    Attributes:
        times: start of each group, from input to head; infinite for a group that stays frozen.
        unit: the clock of the times.
        rewarmup: length of the warm-up, on the same clock; 0 for none.
    """

    times: tuple[float, ...]
    unit: Unit
    rewarmup: float = 0.0

    @property
    def last(self) -> float:
        """The time of the last start of a group."""
        return max(time for time in self.times if time < math.inf)

    def warmups(self, moment: Moment) -> list[float]:
        """Return the warm-up multiplier of each group's learning rate; 1 for groups that train from the start.

        Example:
            >>> plan = ThawPlan((4.0, 0.0), "st", rewarmup=2.0)
            >>> [plan.warmups(Moment(0, step, 10, step)) for step in (0, 5, 6)]
            [[0.0, 1.0], [0.5, 1.0], [1.0, 1.0]]
        """
        now, warmup = moment.time(self.unit), linear_warmup(self.rewarmup)
        return [warmup(max(now - time, 0.0)) if time > 0 else 1.0 for time in self.times]


def plan_thaw(
    schedule: str | Sequence[Duration | None], every: Duration, num_groups: int, run: RunLength
) -> tuple[list[Fraction | None], Unit]:
    """Return the time at which each group is unfrozen, from input to head, and the clock of these times.

    Args:
        schedule: ``"halves"``: the last group at 0, the upper half of all groups (rounded up) after ``every``, all
            groups after twice that time; ``"one_per_epoch"``: one more group, downwards, per ``every``; or a list of
            Durations, one per group from the head downwards, with ``None`` for never.
        every: the length of a stage.
        num_groups: number of groups.
        run: what bounds the run.

    Raises:
        ValueError: a list of the wrong length, times on different clocks, or a share of an unbounded run.

    Example:
        >>> times, unit = plan_thaw("halves", "2ep", 5, RunLength(epochs=10, steps=None))
        >>> [int(time) for time in times], unit
        ([4, 4, 2, 2, 0], 'ep')
        >>> [int(time) for time in plan_thaw(["0st", "10st", "30st"], 1, 3, RunLength(None, None))[0]]
        [30, 10, 0]

    References:
        Howard & Ruder, Universal Language Model Fine-tuning, 2018, section 3.3 (one group per epoch).
    """
    depths = [num_groups - 1 - i for i in range(num_groups)]  # the head starts at 0
    if isinstance(schedule, str):
        stage, unit = measure(parse_duration(every, "every"), run, "every")
        if schedule == "one_per_epoch":
            return [depth * stage for depth in depths], unit
        upper = math.ceil(num_groups / 2)
        return [stage * (0 if depth == 0 else 1 if depth < upper else 2) for depth in depths], unit
    if len(schedule) != num_groups:
        raise ValueError(
            f"`schedule` needs one time per group, from the head downwards; it has {len(schedule)} for {num_groups} "
            f"groups; got {shown(list(schedule))}."
        )
    measured = [
        None if time is None else measure(parse_duration(time, "schedule"), run, "schedule") for time in schedule
    ]
    units: set[Unit] = {time[1] for time in measured if time is not None and time[0]}
    if len(units) > 1:
        raise ValueError(f"The times of `schedule` must share a clock, got {shown(list(schedule))}.")
    amounts = [None if time is None else time[0] for time in measured]
    return [amounts[depth] for depth in depths], units.pop() if units else "ep"


def run_end(unit: Unit, run: RunLength, steps_per_epoch: int | None) -> Fraction | None:
    """Return the end of a run on a clock, or ``None`` if it is unknown.

    Args:
        unit: the clock, ``"ep"`` or ``"st"``.
        run: what bounds the run.
        steps_per_epoch: optimizer steps per epoch, ``None`` if unknown.

    Example:
        >>> run_end("ep", RunLength(epochs=None, steps=30), steps_per_epoch=20)
        Fraction(3, 2)
    """
    own, other = (run.epochs, run.steps) if unit == "ep" else (run.steps, run.epochs)
    if own is not None:
        return Fraction(own)
    if other is None or steps_per_epoch is None:
        return None
    return Fraction(other, steps_per_epoch) if unit == "ep" else Fraction(other * steps_per_epoch)
