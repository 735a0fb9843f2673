"""Thaw times: when each layer group begins to train, from the head downwards."""

import math
from collections.abc import Sequence
from fractions import Fraction

from lightning_tricks.core.arguments import shown
from lightning_tricks.core.durations import Duration, RunLength, Unit, measure, parse_duration


def plan_thaw(
    schedule: str | Sequence[Duration | None], every: Duration, num_groups: int, run: RunLength
) -> tuple[list[Fraction | None], Unit]:
    """Return the time at which each group thaws, from input to head, and its clock.

    Args:
        schedule: ``"halves"``: the last group at 0, the upper half of all (rounded up) after ``every``, all after twice
            that; ``"one_per_epoch"``: one more, downwards, per ``every``; or a list of Durations, one a group from the
            head downwards, ``None`` for never.
        every: the length of a stage.
        num_groups: how many groups there are.
        run: what bounds the run.

    Raises:
        ValueError: a list of another length, times on two clocks, or a share of a run that nothing bounds.

    Example:
        >>> times, unit = plan_thaw("halves", "2ep", 5, RunLength(epochs=10, steps=None))
        >>> [int(time) for time in times], unit
        ([4, 4, 2, 2, 0], 'ep')
        >>> [int(time) for time in plan_thaw(["0st", "10st", "30st"], 1, 3, RunLength(None, None))[0]]
        [30, 10, 0]

    References:
        Howard & Ruder, Universal Language Model Fine-tuning, 2018, section 3.3 (one group per epoch).
    """
    depths = [num_groups - 1 - i for i in range(num_groups)]  # the head's is 0
    if isinstance(schedule, str):
        stage, unit = measure(parse_duration(every, "every"), run, "every")
        if schedule == "one_per_epoch":
            return [depth * stage for depth in depths], unit
        upper = math.ceil(num_groups / 2)
        return [stage * (0 if depth == 0 else 1 if depth < upper else 2) for depth in depths], unit
    if len(schedule) != num_groups:
        raise ValueError(
            f"`schedule` has {len(schedule)} times, one a group from the head downwards, but there are {num_groups} "
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


def run_end(unit: Unit, run: RunLength, parts: int | None) -> Fraction | None:
    """Return when a run ends on a clock, ``None`` if that is not known.

    Args:
        unit: the clock.
        run: what bounds the run.
        parts: optimizer steps in an epoch, ``None`` if not known.

    Example:
        >>> run_end("ep", RunLength(epochs=None, steps=30), parts=20)
        Fraction(3, 2)
    """
    own, other = (run.epochs, run.steps) if unit == "ep" else (run.steps, run.epochs)
    if own is not None:
        return Fraction(own)
    if other is None or parts is None:
        return None
    return Fraction(other, parts) if unit == "ep" else Fraction(other * parts)
