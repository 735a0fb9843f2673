"""Score history: the validation scores of a run over its training time, in steps weighted with their learning rate."""

from typing import Any

from lightning_tricks.functional.lr_trials import fall_exponent


class ScoreHistory:
    """Scores and the training time at which each was measured.

    Attributes:
        time: the sum of the learning rates of all optimizer steps so far.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin a new history."""
        self.time = 0.0
        self._step = 0
        self._times: list[float] = []
        self._scores: list[float] = []

    def advance(self, step: int, lr: float) -> None:
        """Advance the time to this optimizer step; the last ones were taken at this rate."""
        self.time += (step - self._step) * lr
        self._step = step

    def add(self, score: float) -> None:
        """Add a score that was measured now."""
        self._times.append(self.time)
        self._scores.append(score)

    def exponent(self) -> float:
        """Return the exponent of the power law along which the scores have fallen lately; 0 if they have not."""
        return fall_exponent(self._times, self._scores)

    def plain_state(self) -> dict[str, Any]:
        """Return the state that must survive a restart, as plain values."""
        return {"time": self.time, "step": self._step, "times": list(self._times), "scores": list(self._scores)}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from such a state."""
        self.time, self._step = state["time"], state["step"]
        self._times, self._scores = list(state["times"]), list(state["scores"])
