"""LR sweep: one training step at each of many increasing learning rates, until the loss diverges."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from lightning_tricks.engine.trial.trial_run import TrialRun
from lightning_tricks.functional.sweep_curve import find_divergence, smooth

_READ_EVERY = 5


class LRSweep(NamedTuple):
    """The outcome of a sweep.

    Attributes:
        lrs: the rates that were tried.
        losses: the loss of the step at each rate, averaged over the processes.
        diverged: whether the sweep ended before its last rate, or at a loss that is not finite.
    """

    lrs: list[float]
    losses: list[float]
    diverged: bool


class _Course:
    """The steps of a sweep so far; their losses are read after every few steps."""

    def __init__(self, steps: int, smoothing: float, stop_factor: float) -> None:
        self._steps, self._smoothing, self._stop_factor = steps, smoothing, stop_factor
        self.tried: list[float] = []
        self.losses: list[float] = []
        self._waiting: list[Tensor] = []

    def add(self, lr: float, loss: Tensor | None) -> None:
        """Add a step."""
        if loss is not None:
            self.tried.append(lr)
            self._waiting.append(loss)

    def is_time_to_read(self, place: int) -> bool:
        """Return whether the losses are due after this step: the first, the last, and every few in between."""
        return bool(self._waiting) and (len(self._waiting) == _READ_EVERY or place in (0, self._steps - 1))

    def read(self, run: TrialRun) -> None:
        """Read the losses that are not read yet."""
        self.losses += run.read(self._waiting) if self._waiting else []
        self._waiting = []

    def end(self) -> LRSweep | None:
        """Return the sweep up to where it has diverged; ``None`` if it has not."""
        place = find_divergence(smooth(self.losses, self._smoothing), self._stop_factor, skip=self._steps // 10)
        if place is None:
            return None
        end = place + bool(math.isfinite(self.losses[place]))
        return LRSweep(self.tried[:end], self.losses[:end], True)


def sweep(
    run: TrialRun, grid: Sequence[float], smoothing: float, stop_factor: float, show: Callable[[int], None]
) -> LRSweep:
    """Take a step at each rate, and compare the losses with the best so far after every few steps.

    Args:
        run: the trial run in which the steps are taken.
        grid: the rates, increasing.
        smoothing: weight of the previous losses in the moving average.
        stop_factor: the sweep ends when the average exceeds this multiple of the best so far.
        show: takes the number of completed steps.

    Raises:
        RuntimeError: the first loss is not finite, or no step returned a loss.
        Exception: an exception of the user's step that no loss explains.
    """
    course = _Course(len(grid), smoothing, stop_factor)
    for place, lr in enumerate(grid):
        try:
            course.add(lr, run.step(lr))
        except Exception as error:
            if not run.has_broken():
                _say_where(error, place, lr)
                raise
            course.read(run)  # a callback that raises on a non-finite loss ends the sweep
            return course.end() or LRSweep(course.tried, course.losses, True)
        if course.is_time_to_read(place):
            course.read(run)
            show(place + 1)
            _check_first(course.losses[0], lr)
            ended = course.end()
            if ended is not None:
                return ended
    if not course.losses:
        raise RuntimeError("`training_step` returned no loss in any step of the range test. Return the loss.")
    return LRSweep(course.tried, course.losses, False)


def _check_first(loss: float, lr: float) -> None:
    if not math.isfinite(loss):
        raise RuntimeError(
            f"The loss is {loss} at the first step of the range test, at a learning rate of {lr:g}, "
            "before any weight has changed. Check the data and the loss."
        )


def _say_where(error: Exception, place: int, lr: float) -> None:
    if hasattr(error, "add_note"):  # Python 3.11
        error.add_note(f"in step {place} of the range test of `LRFinder`, at a learning rate of {lr:g}")
