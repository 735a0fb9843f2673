"""Checklist evidence: the parts of a run's record that the items of the checklist read."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from lightning_tricks.reports.checklist import Item, Role
from lightning_tricks.reports.series import Series

_GAP = 1.1
"""A validation loss that has risen above its best by this factor, while the training loss fell, is a gap."""
_TEST_GAP = 1.5
"""A test loss above the best validation loss by this factor is a gap; the best of many checks is optimistic itself."""


class Found(Protocol):
    """The attributes of a finding that are read."""

    @property
    def code(self) -> str:
        """The rule's code."""

    @property
    def severity(self) -> str:
        """``error``, ``warning`` or ``info``."""

    @property
    def message(self) -> str:
        """The message."""

    @property
    def try_next(self) -> str:
        """The remedy."""


class Record(Protocol):
    """The attributes of a record that are read."""

    @property
    def roles(self) -> Mapping[Role, str]:
        """By role, the call that builds the first callback with it."""

    @property
    def findings(self) -> Sequence[Found]:
        """The findings of the doctor."""

    @property
    def layers(self) -> dict[str, int]:
        """Number of modules by class."""

    @property
    def parameters(self) -> tuple[int, ...]:
        """Number of parameters, and of those that need a gradient."""

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors of a batch."""

    @property
    def layer_groups(self) -> tuple[str, ...]:
        """Names of the groups that are unfrozen in stages."""

    @property
    def metrics(self) -> dict[str, Series]:
        """By name."""

    @property
    def lrs(self) -> dict[str, Series]:
        """Learning rates by optimizer and group."""

    @property
    def configuration(self) -> dict[str, str]:
        """Settings by name, as text."""

    @property
    def suggested_lr(self) -> float | None:
        """The suggestion of the learning-rate finder."""

    @property
    def skipped_steps(self) -> int:
        """Number of non-finite steps."""

    @property
    def loss_pair(self) -> tuple[str, str] | None:
        """Names of a training and a validation loss."""

    @property
    def test(self) -> dict[str, float | None]:
        """Metrics of the test set."""

    @property
    def looks(self) -> int | None:
        """Configurations that were tested."""


def first_finding(record: Record, *codes: str) -> Found | None:
    """Return the most severe finding whose code has one of these prefixes."""
    order = ("error", "warning", "info")
    found = [finding for finding in record.findings if finding.code.startswith(codes)]
    return min(found, key=lambda finding: order.index(finding.severity), default=None)


def quote(finding: Found) -> str:
    """Return the code and the message of a finding, without the final period."""
    return f"{finding.code}: {finding.message.rstrip('.')}"


def by_rules(record: Record, key: str, title: str, *codes: str, nothing: str = "no finding of the doctor") -> Item:
    """Judge by rules of the doctor: a warning means missing, an info means unknown."""
    found = first_finding(record, *codes)
    if found is not None:
        status = "unknown" if found.severity == "info" else "missing"
        return Item(key, title, status, quote(found), found.try_next)  # type: ignore[arg-type]
    if "doctor" in record.roles:
        return Item(key, title, "done", nothing)
    return Item(key, title, "unknown", "the doctor was not run", "tricks=[doctor]")


def against_gap(key: str, title: str, present: object, gap: str | None, try_next: str) -> Item:
    """Judge a remedy for overfitting: missing if there is a gap and the remedy is absent."""
    if present:
        return Item(key, title, "done", str(present))
    if gap is None:
        return Item(key, title, "unknown", "training and validation losses were not both logged")
    if not gap:
        return Item(key, title, "not applicable", "the validation loss shows no overfitting")
    return Item(key, title, "missing", gap, try_next)


def find_gap(record: Record) -> str | None:
    """Describe how far the validation loss has risen above its best while the training loss fell.

    Returns:
        The gap; ``""`` if there is none, ``None`` if the losses are unknown.
    """
    if record.loss_pair is None:
        return None
    train, val = (record.metrics[name] for name in record.loss_pair)
    best, last = val.lowest, val.last
    if best is None or last is None or not train.points:
        return None
    since = [value for step, value in train.points if step <= best[0]]
    fell = bool(since) and train.points[-1][1] < since[-1]
    if not (fell and best[1] > 0 and last > _GAP * best[1]):
        return ""
    name = record.loss_pair[1]
    return f"{name} rose from {best[1]:.4g} (step {best[0]}) to {last:.4g} while the training loss fell"


def find_test_gap(record: Record) -> tuple[bool, str] | None:
    """Return whether the test loss exceeds the best validation loss by a gap, and a description of both.

    Returns:
        ``None`` if one of them is unknown.
    """
    losses = ((name, value) for name, value in record.test.items() if "loss" in name)
    test = next(((name, value) for name, value in losses if value is not None), None)
    val = next((name for name in record.metrics if name.startswith("val") and "loss" in name), None)
    best = record.metrics[val].lowest if val is not None else None
    if test is None or best is None:
        return None
    (name, loss), lowest = test, best[1]
    return loss > _TEST_GAP * lowest > 0, f"{name} {loss:.4g} against {val} {lowest:.4g} at best"
