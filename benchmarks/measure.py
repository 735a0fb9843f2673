"""Measure: medians of interleaved repeats, so that a machine whose speed drifts slows both sides alike."""

import gc
import statistics
import time
from collections.abc import Callable


def interleaved(sides: dict[str, Callable[[], float]], repeats: int, warmup: int = 1) -> dict[str, list[float]]:
    """Run each side in turn, again and again.

    Args:
        sides: functions by name; each returns what it measured.
        repeats: how often each counts.
        warmup: how often each runs before that.

    Returns:
        What each side measured, in the order of the runs.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(warmup + repeats):
        for name, side in sides.items():
            value = side()
            if i >= warmup:
                found[name].append(value)
    return found


def timed(function: Callable[[], object], clock: Callable[[], float] = time.process_time) -> Callable[[], float]:
    """Return a function that measures the seconds of a call.

    By default those that this process computed: other work on the machine does not count. Child processes need
    ``time.perf_counter``.
    """

    def measure() -> float:
        gc.collect()  # what the other side left behind is not this side's to clear away
        start = clock()
        function()
        return clock() - start

    return measure


def median_ratio(found: dict[str, list[float]], side: str, to: str) -> float:
    """Return the median of the ratios of neighbouring runs."""
    return statistics.median(a / b for a, b in zip(found[side], found[to], strict=True))


def report(topic: str, figure: str, limit: str) -> None:
    """Print one line: what was measured, the figure, and the bound that we hold ourselves to."""
    print(f"{topic:<66} {figure:>14}   {limit}")
