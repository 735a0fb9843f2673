"""Checklist: the six steps from a loss to the real world, judged from the record of a run."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lightning_tricks.reports.series import Series

ItemStatus = Literal["done", "missing", "not applicable", "unknown"]

_GAP = 1.1
"""A validation loss that has risen above its best by this factor, while the training loss fell, is a gap."""
_NORMS = re.compile("Norm")
_DROPOUTS = re.compile("Dropout")


@dataclass(frozen=True)
class Item:
    """One line of a step.

    Attributes:
        key: its name, which stays the same between versions.
        title: in words.
        status: ``missing`` only where the evidence says that it would help.
        evidence: what was seen.
        try_next: an option to paste or a change of one line; empty where there is nothing to do.
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
        title: in words.
        items: what is judged.
    """

    number: int
    title: str
    items: list[Item]


@dataclass(frozen=True, repr=False)
class Checklist:
    """The six steps.

    Attributes:
        steps: in their order.
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


class Found(Protocol):
    """What is asked of a finding."""

    @property
    def code(self) -> str:
        """The rule's code."""

    @property
    def message(self) -> str:
        """What was seen."""

    @property
    def try_next(self) -> str:
        """What to try."""


class Record(Protocol):
    """What is asked of a record."""

    @property
    def tricks(self) -> tuple[str, ...]:
        """The calls that build the callbacks."""

    @property
    def findings(self) -> Sequence[Found]:
        """Of the doctor."""

    @property
    def layers(self) -> dict[str, int]:
        """Number of modules by class."""

    @property
    def metrics(self) -> dict[str, Series]:
        """By name."""

    @property
    def configuration(self) -> dict[str, str]:
        """By name, as text."""

    @property
    def suggested_lr(self) -> float | None:
        """Of the learning-rate finder."""

    @property
    def skipped_steps(self) -> int:
        """Steps that were not finite."""

    @property
    def loss_pair(self) -> tuple[str, str] | None:
        """Names of a training and a validation loss."""


def make_checklist(record: Record) -> Checklist:
    """Return the six steps of a run.

    Args:
        record: of the run.
    """
    steps = (
        ("The loss fits the task", [_by_rules(record, "loss", "Loss and targets", "LOS")]),
        ("The architecture suits the data", _architecture(record)),
        ("The training set is fitted", _training(record)),
        ("The validation set is fitted", _validation(record)),
        ("The test set is held back", _test(record)),
        ("The real world", _real_world()),
    )
    return Checklist([Step(i, title, items) for i, (title, items) in enumerate(steps, 1)])


def _by_rules(record: Record, key: str, title: str, *codes: str, nothing: str = "no finding of the doctor") -> Item:
    """Judge by rules of the doctor: a finding is what is missing; without a doctor nothing is known."""
    found = next((finding for finding in record.findings if finding.code.startswith(codes)), None)
    if found is not None:
        return Item(key, title, "missing", f"{found.code}: {found.message.rstrip('.')}", found.try_next)
    if _uses(record, "Doctor"):
        return Item(key, title, "done", nothing)
    return Item(key, title, "unknown", "the doctor has not looked", "tricks=[doctor]")


def _uses(record: Record, *names: str) -> str | None:
    """Return the call of the first trick of these classes."""
    return next((call for call in record.tricks if call.partition("(")[0] in names), None)


def _by_trick(record: Record, key: str, title: str, *names: str, otherwise: Item) -> Item:
    call = _uses(record, *names)
    return otherwise if call is None else Item(key, title, "done", call)


def _architecture(record: Record) -> list[Item]:
    return [
        _by_rules(record, "width", "Width and capacity", "SIZ"),
        _by_rules(record, "placement", "Placement of dropout, normalization and activations", "PLC", "ACT"),
    ]


def _training(record: Record) -> list[Item]:
    lr = record.suggested_lr
    found = Item("lr_found", "Learning rate found", "unknown", "no range test was run", "tricks=[lr_finder]")
    troubled = next((f for f in record.findings if f.code in ("OPT001", "RUN004", "RUN005", "RUN007")), None)
    if lr is not None:
        found = Item("lr_found", "Learning rate found", "done", f"the range test suggests {lr:.3g}")
    elif troubled is not None:
        evidence = f"{troubled.code}: {troubled.message.rstrip('.')}"
        found = Item("lr_found", "Learning rate found", "missing", evidence, "tricks=[lr_finder]")
    optimizer = record.configuration.get("optimizer 0", "")
    is_adaptive = any(name in optimizer for name in ("Adam", "RMSprop", "Lion", "Adagrad", "Adadelta"))
    schedules = (
        *("CosineDecay", "CosineWarmRestarts", "ExponentialDecay", "InverseTimeDecay", "InverseSqrtDecay", "OneCycle"),
        *("PiecewiseConstant", "PolynomialDecay", "LRSchedule", "WarmupStableDecay", "ReduceLROnPlateau"),
    )
    return [
        found,
        Item("optimizer", "Adaptive optimizer", "done" if is_adaptive else "unknown", optimizer or "no optimizer"),
        _by_trick(record, "schedule", "Schedule", *schedules, otherwise=_no_schedule()),
        _by_rules(record, "batch", "Batch size and shuffling", "DAT001", "DAT002", "DAT003", "DAT010"),
    ]


def _no_schedule() -> Item:
    evidence = "no schedule of this library; the module may have its own"
    return Item("schedule", "Schedule", "unknown", evidence, "tricks=[cosine_warm_restarts]")


def _validation(record: Record) -> list[Item]:
    gap = find_gap(record)
    dropouts = sum(count for name, count in record.layers.items() if _DROPOUTS.search(name))
    norms = sum(count for name, count in record.layers.items() if _NORMS.search(name))
    decay = float(record.configuration.get("optimizer 0.weight_decay", "0") or 0)
    stopping = _uses(record, "EarlyStopping")
    scaled = _by_rules(record, "input_scale", "Inputs scaled", "DAT007", nothing="the doctor found no unscaled input")
    return [
        _judge_regularizer("early_stopping", "Early stopping", stopping, gap, "tricks=[early_stopping]"),
        _judge_regularizer(
            "dropout", "Dropout", dropouts and f"{dropouts} layers", gap, "nn.Dropout(0.25) before the head"
        ),
        _judge_regularizer(
            "l2", "L2 or weight decay", decay and f"weight_decay={decay:g}", gap, "weight_decay=1e-2 in AdamW"
        ),
        Item("normalization", "Normalization layers", "done" if norms else "unknown", f"{norms} layers"),
        scaled,
        _by_rules(record, "initialization", "Initialization", "INI"),
        _clipping(record),
    ]


def _judge_regularizer(key: str, title: str, present: object, gap: str | None, try_next: str) -> Item:
    """Judge what acts against overfitting: missing where there is a gap and it is absent."""
    if present:
        return Item(key, title, "done", str(present))
    if gap is None:
        return Item(key, title, "unknown", "training and validation losses were not both logged")
    if not gap:
        return Item(key, title, "not applicable", "the validation loss shows no overfitting")
    return Item(key, title, "missing", gap, try_next)


def find_gap(record: Record) -> str | None:
    """Return in words how far the validation loss has left its best while the training loss fell.

    Returns:
        The gap; ``""`` where there is none, ``None`` where the losses are not known.
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


def _clipping(record: Record) -> Item:
    clippers = ("GradientClipping", "AdaptiveGradientClipping", "AutoClip", "ZClip")
    call = _uses(record, *clippers)
    found = next((f for f in record.findings if f.code in ("RUN002", "RUN003")), None)
    bad = [name for name, series in record.metrics.items() if "loss" in name and None in series.values]
    title, option = "Gradient clipping", "tricks=[gradient_clipping]"
    if call is not None:
        return Item("clipping", title, "done", f"{call}, {record.skipped_steps} steps skipped")
    if found is not None:
        return Item("clipping", title, "missing", f"{found.code}: {found.message.rstrip('.')}", option)
    if bad:
        return Item("clipping", title, "missing", f"{bad[0]} was not finite", option)
    return Item("clipping", title, "not applicable", "all losses were finite, no gradient exploded")


def _test(record: Record) -> list[Item]:
    guard = Item("looks", "Looks are counted", "unknown", "no ledger is kept", "tricks=[test_guard]")
    return [
        _by_rules(record, "test_rows", "Test rows and metrics held back", "DAT012", "DAT013"),
        _by_trick(record, "looks", "Looks are counted", "TestGuard", otherwise=guard),
    ]


def _real_world() -> list[Item]:
    return [Item("real_world", "Data of its use", "unknown", "a training run cannot tell; try it on data of its use")]
