"""Context facts: columns and rows of the data, the planned run, earlier training."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ColumnsFact:
    """The columns of a float tensor of the batch: features of ``(N, F)``, channels of ``(N, C, ...)`` images.

    Attributes:
        rows: how many numbers each column was measured on.
        columns: how many there are.
        constant: how many of them hold one value only.
        std_ratio: the largest standard deviation over the smallest, constant columns left out.
        shares: shares of the values below -1, below 0 and above 1, in this order.
    """

    rows: int
    columns: int
    constant: int
    std_ratio: float
    shares: tuple[float, ...]


@dataclass(frozen=True)
class RowsFacts:
    """Rows of the training and validation sets, read at even distances; ``None``: not measured, see ``reasons``.

    Attributes:
        read: how many training rows were read.
        complete: these are all of them.
        duplicates: the share of them that equal an earlier one, targets included.
        overlap: the share of the validation rows that are in the training set, estimated if not all were read.
        overlapping: how many were found.
        overlap_by: ``indices`` where both are parts of one data set, ``rows`` where contents were compared.
        classes: rows by class, where targets are classes.
        target_variance: the mean square error of always predicting the mean target, where targets are a few numbers.
        target_deviation: the mean absolute error of always predicting the median.
        sorted: classes come one after the other.
        windows: each row is the one before, shifted: windows over a series.
        reasons: for what is ``None``, why.
    """

    read: int
    complete: bool
    duplicates: float | None = None
    overlap: float | None = None
    overlapping: int = 0
    overlap_by: str = "rows"
    classes: dict[str, int] | None = None
    target_variance: float | None = None
    target_deviation: float | None = None
    sorted: bool = False
    windows: bool = False
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ShiftFact:
    """A float input in rows of the training and of the validation set, by column; medians over the columns.

    Attributes:
        path: its place in a row.
        shift: the distance of the means in standard deviations of training.
        ratio: the standard deviation of validation over that of training.
        means: over all columns, of training and validation.
        stds: likewise.
        negatives: the shares of negative values, likewise.
        reversed: three channels whose means fit in the opposite order, and only so.
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
    """Rows of the training and the validation set, read at even distances and compared.

    Attributes:
        rows: how many of each.
        shifts: of each float input.
        train_classes: the classes in the training rows, where targets are classes.
        val_classes: likewise.
        unknown: the share of the validation rows whose class is not among those of training.
    """

    rows: tuple[int, ...]
    shifts: tuple[ShiftFact, ...] = ()
    train_classes: tuple[int, ...] = ()
    val_classes: tuple[int, ...] = ()
    unknown: float = 0.0


@dataclass(frozen=True)
class RateCurve:
    """Learning rates that a scheduler gives, read off a copy of it.

    Attributes:
        calls: how often the run steps it; ``None`` if that is not known.
        calls_per_epoch: how often an epoch does; 0 if that is not known.
        rates: after so many calls, the highest rate of any group; calls beyond the run's end among them.
    """

    calls: int | None
    calls_per_epoch: int
    rates: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class MonitorFact:
    """A callback or scheduler that monitors a metric: its class, and the metric's name."""

    kind: str
    monitor: str


@dataclass(frozen=True)
class PlanFacts:
    """The planned run of a Trainer.

    Attributes:
        epochs: how many; ``None`` without end.
        steps: how many optimizer steps; ``None`` without end.
        accumulate: batches before a step.
        devices: of all nodes.
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
