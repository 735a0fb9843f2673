"""Context facts: columns and rows of the data, the planned run, earlier training."""

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ColumnsFact:
    """The columns of a floating-point tensor of the batch: features of ``(N, F)``, channels of ``(N, C, ...)`` images.

    Attributes:
        rows: the number of values measured per column.
        columns: the number of columns.
        constant: how many of them contain a single value.
        std_ratio: the largest standard deviation over the smallest, without constant columns.
        shares: shares of the values below -1, below 0 and above 1, in this order.
    """

    rows: int
    columns: int
    constant: int
    std_ratio: float
    shares: tuple[float, ...]


@dataclass(frozen=True)
class RowsFacts:
    """Evenly spaced rows of the training and validation sets; ``None``: not measured, see ``reasons``.

    Attributes:
        read: the number of training rows that were read.
        duplicates: the share of them that equal an earlier one, including targets.
        overlap: the share of the validation rows that are in the training set, estimated if not all were read.
        overlapping: the number of such rows that were found.
        by_chance: the number of them to expect if rows are coarse, from the repetitions among the training rows.
        overlap_by: ``indices`` if both are subsets of one dataset, ``rows`` if contents were compared.
        classes: the number of rows per class, if targets are classes.
        target_variance: the mean square error of always predicting the mean target, where targets are a few numbers.
        target_deviation: the mean absolute error of always predicting the median.
        sorted: whether rows are sorted by class.
        windows: whether each row is the previous one, shifted: windows over a series.
        reasons: why an attribute is ``None``, by name.
    """

    read: int
    duplicates: float | None = None
    overlap: float | None = None
    overlapping: int = 0
    by_chance: float = 0.0
    overlap_by: str = "rows"
    classes: dict[str, int] | None = None
    target_variance: float | None = None
    target_deviation: float | None = None
    sorted: bool = False
    windows: bool = False
    reasons: dict[str, str] = field(default_factory=dict)

    def overlap_beyond_chance(self) -> float:
        """Return the share of validation rows in the training set without those that coincide by chance.

        It is 0 if the number found is within three standard deviations of the number that chance gives.

        Example:
            >>> RowsFacts(100, overlap=0.2, overlapping=20, by_chance=16.0).overlap_beyond_chance()
            0.0
            >>> RowsFacts(100, overlap=0.5, overlapping=40, by_chance=8.0).overlap_beyond_chance()
            0.4
        """
        beyond = self.overlapping - self.by_chance
        if self.overlap is None or beyond <= 3 * math.sqrt(self.by_chance):
            return 0.0
        return self.overlap * (beyond / self.overlapping)


@dataclass(frozen=True)
class ShiftFact:
    """A floating-point input in rows of the training and validation sets; medians over its columns.

    Attributes:
        path: its place in a row.
        shift: the distance between the means, in standard deviations of training.
        ratio: the standard deviation of validation over that of training.
        means: over all columns, of training and validation.
        stds: the standard deviations, likewise.
        negatives: the shares of negative values, likewise.
        reversed: whether the means of three channels match only in reverse order.
    """

    path: str
    shift: float
    ratio: float
    means: tuple[float, ...]
    stds: tuple[float, ...]
    negatives: tuple[float, ...]
    reversed: bool = False


@dataclass(frozen=True)
class SplitFacts:
    """Evenly spaced rows of the training and the validation set, compared.

    Attributes:
        rows: the number of rows of each set.
        shifts: the differences of each floating-point input.
        train_classes: the classes in the training rows, if targets are classes.
        val_classes: the classes in the validation rows, likewise.
        unknown: the share of validation rows whose class does not occur in training.
    """

    rows: tuple[int, ...]
    shifts: tuple[ShiftFact, ...] = ()
    train_classes: tuple[int, ...] = ()
    val_classes: tuple[int, ...] = ()
    unknown: float = 0.0


@dataclass(frozen=True)
class RateCurve:
    """The learning rates of a scheduler, measured on a copy of it.

    Attributes:
        calls: how often the run steps it; ``None`` if unknown.
        calls_per_epoch: how often an epoch steps it; 0 if unknown.
        rates: pairs of a number of calls and the highest rate of any group after them, also beyond the end of the run.
    """

    calls: int | None
    calls_per_epoch: int
    rates: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class MonitorFact:
    """A callback or scheduler that monitors a metric: its class, the metric's name, and ``min`` or ``max`` if known."""

    kind: str
    monitor: str
    mode: str = ""


@dataclass(frozen=True)
class PlanFacts:
    """The planned run of a Trainer.

    Attributes:
        epochs: number of epochs; ``None`` if unbounded.
        steps: number of optimizer steps; ``None`` if unbounded.
        accumulate: batches per optimizer step.
        devices: number of devices on all nodes.
        done: steps that the Trainer has already taken.
        monitors: the metrics that its callbacks and schedulers monitor.
    """

    epochs: int | None
    steps: int | None
    accumulate: int
    devices: int
    done: int = 0
    monitors: tuple[MonitorFact, ...] = ()


@dataclass(frozen=True)
class PretrainedFact:
    """A pretrained part of the model, and the evidence for it."""

    module: str
    reason: str
