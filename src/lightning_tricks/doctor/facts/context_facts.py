"""Surroundings: what is known beside the model and its step: the data's columns and rows, the run, earlier training."""

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
    sorted: bool = False
    windows: bool = False
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanFacts:
    """The run that a Trainer is about to make.

    Attributes:
        epochs: how many; ``None`` without end.
        steps: how many optimizer steps; ``None`` without end.
        accumulate: batches before a step.
        devices: of all nodes.
        done: steps that the Trainer has made already.
    """

    epochs: int | None
    steps: int | None
    accumulate: int
    devices: int
    done: int = 0


@dataclass(frozen=True)
class PretrainedFact:
    """A part of the model that was trained before, and what tells."""

    module: str
    reason: str
