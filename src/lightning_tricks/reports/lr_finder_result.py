"""LR finder result: the curve and the suggestion of a range test, as data that can be printed, drawn and stored."""

from dataclasses import asdict, dataclass, field
from typing import Any

from lightning_tricks.functional.range_test import METHODS, Method, suggest
from lightning_tricks.functional.sweep_curve import CONSTANT, PlannedFactors, find_fault, read_curve, smooth
from lightning_tricks.reports.lr_sweep import describe_sweep, plot_sweep
from lightning_tricks.reports.text_and_figure import text_and_figure


@dataclass(frozen=True, repr=False)
class LRFinderResult:
    """The curve and the suggestion of a range test.

    All rates are those of the parameter group with the largest rate.

    Attributes:
        lrs: the rates that were tried, increasing.
        losses: the loss of the step at each rate, averaged over the processes.
        diverged: whether the sweep ended before ``max_lr`` or at a non-finite loss.
        suggestion: the suggested rate, or ``None``.
        reason: the reason for the suggestion, or why there is none.
        method: the requested rule.
        smoothing: the weight of the previous losses in ``smoothed``.
        planned_steps: optimizer steps of the planned training; ``None`` if unknown.
        factors: the mean and the highest multiplier of the rate that the schedules of that training plan.
        trials: with ``refine``, the rates of the trial trainings and their final losses.

    Example:
        >>> result = LRFinderResult([1e-3, 1e-2], [1.0, 1.0], False, None, "the loss is flat")
        >>> print(result)
        no suggestion: the loss is flat
        2 steps from 0.001 to 0.01; the smoothed loss goes from 1 down to 1
    """

    lrs: list[float]
    losses: list[float]
    diverged: bool
    suggestion: float | None
    reason: str
    method: str = "auto"
    smoothing: float = 0.9
    planned_steps: int | None = None
    factors: PlannedFactors = CONSTANT
    trials: list[tuple[float, float]] = field(default_factory=list)

    @property
    def smoothed(self) -> list[float]:
        """The bias-corrected exponential average of the losses."""
        return smooth(self.losses, self.smoothing)

    @property
    def still_falls(self) -> bool:
        """Whether the loss is still falling at the highest rate, so that the best rate may be above it."""
        curve = read_curve(self.lrs, self.losses, self.smoothing)
        return not self.diverged and not self.trials and find_fault(curve) is None and curve.still_falls

    def suggest(self, method: Method = "auto") -> float | None:
        """Return the suggestion of another rule for the same sweep.

        Raises:
            ValueError: an unknown rule.
        """
        return suggest(self.lrs, self.losses, method, self.smoothing, self.planned_steps, self.factors).lr

    def __str__(self) -> str:
        return describe_sweep(self.lrs, self.smoothed, self.suggestion, self.reason, self.trials)

    def _repr_html_(self) -> str:
        return text_and_figure(str(self), self.plot, "loss over learning rate")

    def __repr__(self) -> str:
        return f"LRFinderResult(suggestion={self.suggestion}, reason={self.reason!r}, {len(self.lrs)} steps)"

    def plot(self, ax: Any = None) -> Any:
        """Draw the sweep on a logarithmic axis with every suggestion marked, the chosen one named, and the reason.

        Args:
            ax: matplotlib axes to draw into; by default a new figure.

        Returns:
            The matplotlib ``Figure``.
        """
        suggestions = {name: self.suggest(name) for name in METHODS if name != "auto"}  # type: ignore[arg-type]
        chosen = ("refined" if self.trials else self.method, self.suggestion)
        return plot_sweep(self.lrs, self.losses, self.smoothed, suggestions, chosen, ax, self.reason)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, strings and lists."""
        plain = asdict(self)
        lists = {"trials": [list(trial) for trial in self.trials], "factors": list(self.factors)}
        return {**plain, **lists, "smoothed": self.smoothed}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "LRFinderResult":
        """Create the result from the output of :meth:`to_dict`."""
        kept = {name: value for name, value in plain.items() if name != "smoothed"}
        factors = PlannedFactors(*kept.get("factors", CONSTANT))
        return cls(**{**kept, "factors": factors, "trials": [(lr, loss) for lr, loss in kept["trials"]]})
