"""Size trial: a training at one batch size, for a given wall-clock time."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from lightning.pytorch.utilities.memory import is_oom_error

from lightning_tricks.reports.batch_size_result import BatchSizeTrial, State

_RAMP = 0.1  # share of a trial for the linear warm-up to a higher rate
_MOST_CHARS = 120


class Outcome(NamedTuple):
    """The outcome of a part of a trial."""

    state: State = "completed"
    detail: str = ""


class SizeTrial:
    """A training at one batch size, in the trial run of a search, which rewinds before each part.

    Args:
        search: provides the run, the clock, the validation and the time per size.
        size: rows of a batch.
        lr: the learning rate.
    """

    def __init__(self, search: Any, size: int, lr: float) -> None:
        self.size, self._lr = size, lr
        self._search, self._run = search, search.run
        self._steps, self._spent, self._pace = 0, 0.0, 0.0
        self._curve: list[tuple[float, int, float]] = [(0.0, 0, search.start)]

    def look_ahead(self) -> Outcome:
        """Run forward and backward once without communication, because each process may run out of memory."""

        def one_pass() -> Outcome:
            self._run.rewind(self.size)
            self._run.look_ahead()
            return Outcome()

        return self._guarded(one_pass)

    def warm_up(self) -> Outcome:
        """Take two steps that do not count, to check that memory is sufficient and to time the second one."""

        def two_steps() -> Outcome:
            self._run.step(self._lr)
            begin = self._search.now()
            self._run.step(self._lr)
            self._pace = self._search.since(begin)
            limit = self._search.seconds
            if self._pace > limit:
                return Outcome("too slow", f"a step takes {self._pace:.3g} s, but a size has only {limit:.3g} s")
            return Outcome()

        return self._guarded(two_steps)

    def train(self) -> Outcome:
        """Train for the time of a size, with evenly spaced validations."""
        return self._guarded(self._train)

    def _train(self) -> Outcome:
        points = self._search.plan.points
        for point in range(1, points + 1):
            due = self._search.seconds * point / points
            while due - self._spent > self._pace / 2:
                self._take_steps(due - self._spent)
            score = self._search.score()
            self._curve.append((self._spent, self._rows(), score))
            if not math.isfinite(score):
                return Outcome("diverged", f"`{self._search.monitor}` is {score}")
        return Outcome()

    def _take_steps(self, seconds: float) -> None:
        """Take steps for at most this time; their number follows from the pace, which the first steps misjudge.

        All processes take the same number of steps, so no process checks its own clock in between.
        """
        count = max(1, min(int(seconds / self._pace / 2), self._steps))
        begin = self._search.now()
        for _ in range(count):
            self._run.step(self._rate())
            self._steps += 1
            if self._run.trainer.world_size == 1 and self._search.now() - begin > seconds:
                break
        self._spent += self._search.since(begin)
        self._pace = max(self._spent / self._steps, 1e-9)

    def _rate(self) -> float:
        """Return the rate of the next step; a rate above that of the loader's own size is reached linearly."""
        low, ramp = self._search.lr, _RAMP * self._search.seconds / self._pace
        return self._lr if self._lr <= low else low + (self._lr - low) * min(1.0, self._steps / max(1.0, ramp))

    def _rows(self) -> int:
        rows: int = self._run.rows_read * self._run.trainer.world_size
        return rows

    def _guarded(self, part: Callable[[], Outcome]) -> Outcome:
        """Run a part, and distinguish lack of memory and non-finite losses from errors of the user's step."""
        try:
            return part()
        except Exception as error:
            if not _is_out_of_memory(error):
                return self._failed(error)
            detail = _first_line(str(error))
        return Outcome("out of memory", detail)  # the error is released, and with it the objects in its frames

    def _failed(self, error: Exception) -> Outcome:
        if self._run.has_broken():
            return Outcome("diverged", "the loss is not finite")
        if self.size == self._search.own or self._run.trainer.world_size > 1:
            raise error
        return Outcome("failed", _first_line(f"{type(error).__name__}: {error}"))

    def result(self, outcome: Outcome) -> BatchSizeTrial:
        """Return the result of the trial."""
        found = (self._steps, self._spent, self._rows(), self._curve) if self._steps else (0, 0.0, 0, self._curve)
        return BatchSizeTrial(self.size, self._lr, outcome.state, *found, outcome.detail)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or is_oom_error(error) or "out of memory" in str(error).lower()


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:_MOST_CHARS]
