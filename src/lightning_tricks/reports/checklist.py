"""Checklist: the six steps from a loss to the real world, each with items, evidence and what to try next."""

import html
from dataclasses import dataclass
from typing import Literal

ItemStatus = Literal["done", "missing", "not applicable", "unknown"]
Role = Literal[
    "schedule", "restarts", "differential_lrs", "early_stopping", "dropout", "l2", "input_scale", "augmentation",
    "clipping", "looks", "doctor",
]  # fmt: skip
"""What a callback can be counted as: the key of an item that it answers, or the doctor, on whose rules others rest."""


@dataclass(frozen=True)
class Item:
    """One line of a step.

    Attributes:
        key: its name, which is stable between versions.
        title: its title. status: ``missing`` only where the evidence shows that it would help.
        evidence: the observation.
        try_next: an option to paste or a change of one line; empty if there is nothing to do.
    """

    key: str
    title: str
    status: ItemStatus
    evidence: str
    try_next: str = ""


@dataclass(frozen=True)
class Step:
    """One of the six steps.

    Attributes:
        number: from 1 to 6.
        title: its title.
        items: the items of the step.
    """

    number: int
    title: str
    items: list[Item]


@dataclass(frozen=True, repr=False)
class Checklist:
    """The six steps.

    Attributes:
        steps: the steps in order.
    """

    steps: list[Step]

    @property
    def missing(self) -> list[Item]:
        """The items that would help, in the order of the steps."""
        return [item for step in self.steps for item in step.items if item.status == "missing"]

    def __str__(self) -> str:
        lines = []
        for step in self.steps:
            lines.append(f"{step.number}. {step.title}")
            for item in step.items:
                next_step = f" Try: {item.try_next}" if item.try_next else ""
                lines.append(f"   {item.status:<14} {item.title}: {item.evidence}.{next_step}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Checklist({len(self.steps)} steps, missing={[item.key for item in self.missing]})"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"
