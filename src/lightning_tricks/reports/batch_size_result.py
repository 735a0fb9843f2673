"""Batch size result: trials of several batch sizes and the suggestion, as data that can be printed and drawn."""

import math
import textwrap
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any, Literal

from lightning_tricks.reports.curves import new_figure
from lightning_tricks.reports.text_and_figure import text_and_figure

State = Literal["completed", "diverged", "out of memory", "too slow", "failed", "not tried"]


@dataclass(frozen=True)
class BatchSizeTrial:
    """The result of training at one batch size.

    Attributes:
        size: rows per batch, on each process.
        lr: the learning rate, in the parameter group with the largest rate.
        state: ``"completed"``; ``"diverged"``: the score or the loss is not finite; ``"out of memory"``;
            ``"too slow"``: one step takes longer than the time of a size; ``"failed"``: the training step raised;
            ``"not tried"``: a smaller size ran out of memory.
        steps: optimizer steps taken.
        seconds: training time, including data loading and excluding validation.
        rows: total number of rows read on all processes.
        curve: seconds, rows and score at each validation, the first before training.
        detail: the message of a failure.
    """

    size: int
    lr: float
    state: State
    steps: int = 0
    seconds: float = 0.0
    rows: int = 0
    curve: list[tuple[float, int, float]] = field(default_factory=list)
    detail: str = ""

    @property
    def score(self) -> float:
        """The mean of the last third of the validations after the start; NaN if training did not complete."""
        scores = [score for _, _, score in self.curve[1:]]
        if self.state != "completed" or not scores:
            return math.nan
        return fmean(scores[-max(1, len(scores) // 3) :])


@dataclass(frozen=True, repr=False)
class BatchSizeResult:
    """Trials of several batch sizes, each from the same state for the same time, and the suggestion.

    Attributes:
        suggestion: the suggested batch size, in rows per process, or ``None``.
        reason: the reason for the suggestion, or why there is none.
        trials: one per size, increasing.
        lr: the learning rate that goes with the suggestion; ``None`` without one.
        start: the score before training.
        seconds: wall-clock training time of each size.
        monitor: the validation metric.
        mode: ``"min"`` or ``"max"``.
        lr_rule: how the rate scales with the size.
        tolerance: the share of the best improvement that may be missing.
        batch_size: the loader's own batch size, from which the rates are scaled.

    Example:
        >>> trials = [BatchSizeTrial(32, 0.1, "completed", 90, 5.0, 2880, [(0.0, 0, 2.3), (5.0, 2880, 0.4)])]
        >>> print(BatchSizeResult(32, "`val_loss` goes from 2.3 to 0.4, the best improvement", trials, 0.1, 2.3, 5.0))
        batch size 32: `val_loss` goes from 2.3 to 0.4, the best improvement
        each size was trained for 5 s from the same state; learning rates by the rule sqrt
          size       lr  steps      rows  val_loss
            32      0.1     90     2,880       0.4
    """

    suggestion: int | None
    reason: str
    trials: list[BatchSizeTrial]
    lr: float | None
    start: float
    seconds: float
    monitor: str = "val_loss"
    mode: str = "min"
    lr_rule: str = "sqrt"
    tolerance: float = 0.02
    batch_size: int = 0

    def __str__(self) -> str:
        head = f"batch size {self.suggestion}" if self.suggestion is not None else "no suggestion"
        about = f"each size was trained for {self.seconds:.3g} s from the same state; "
        lines = [f"{head}: {self.reason}", f"{about}learning rates by the rule {self.lr_rule}"]
        width = max(9, len(self.monitor))
        lines.append(f"{'size':>6} {'lr':>8} {'steps':>6} {'rows':>9} {self.monitor:>{width}}")
        return "\n".join([*lines, *(_row(trial, width) for trial in self.trials)])

    def _repr_html_(self) -> str:
        return text_and_figure(str(self), self.plot, f"{self.monitor} over time for each batch size")

    def __repr__(self) -> str:
        sizes = [trial.size for trial in self.trials]
        return f"BatchSizeResult(suggestion={self.suggestion}, sizes={sizes})"

    def plot(self) -> Any:
        """Draw the score of each size over seconds of training and over rows, with the suggested one in bold.

        Returns:
            The matplotlib ``Figure``.

        Raises:
            ModuleNotFoundError: matplotlib is not installed (the extra ``plot``).
        """
        figure = new_figure((10, 4.2))
        panels = figure.subplots(1, 2, sharey=True)
        drawn = [trial for trial in self.trials if len(trial.curve) > 1]
        for place, axes in enumerate(panels):
            for order, trial in enumerate(drawn):
                self._draw(axes, trial, place, order / max(1, len(drawn) - 1))
            axes.set_xlabel("seconds of training" if place == 0 else "rows")
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel(self.monitor)
        if drawn:
            panels[1].legend(title="batch size", fontsize=8, frameon=False)
        head = f"batch size {self.suggestion}" if self.suggestion is not None else "no suggestion"
        figure.suptitle("\n".join(textwrap.wrap(f"{head}: {self.reason}", 110)), fontsize=9)
        return figure

    def _draw(self, axes: Any, trial: BatchSizeTrial, place: int, shade: float) -> None:
        from matplotlib import colormaps

        chosen = trial.size == self.suggestion
        heights = [point[2] for point in trial.curve]
        label = f"{trial.size}" if trial.state == "completed" else f"{trial.size} ({trial.state})"
        axes.plot([point[place] for point in trial.curve], heights, marker=".", label=label,
                  color=colormaps["viridis"](0.9 * shade), linewidth=3.0 if chosen else 1.2)  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, strings, lists and dicts."""
        trials = [{**asdict(trial), "curve": [list(point) for point in trial.curve]} for trial in self.trials]
        return {**asdict(self), "trials": trials}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "BatchSizeResult":
        """Create the result from the output of :meth:`to_dict`."""
        trials = [
            BatchSizeTrial(**{**trial, "curve": [tuple(point) for point in trial["curve"]]})
            for trial in plain["trials"]
        ]
        return cls(**{**plain, "trials": trials})


def _row(trial: BatchSizeTrial, width: int) -> str:
    score = f"{trial.score:.4g}" if math.isfinite(trial.score) else ""
    line = f"{trial.size:>6} {trial.lr:>8.3g} {trial.steps:>6} {trial.rows:>9,} {score:>{width}}"
    if trial.state == "completed":
        return line
    return f"{line.rstrip()}  {trial.state}" + (f": {trial.detail}" if trial.detail else "")
