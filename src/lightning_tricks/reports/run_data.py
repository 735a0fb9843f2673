"""Run data: the results of a run, as frozen plain values of bounded size."""

from dataclasses import dataclass, field
from typing import Literal

from lightning_tricks.reports.checklist import Checklist, Role
from lightning_tricks.reports.loss_names import training_and_validation
from lightning_tricks.reports.make_checklist import make_checklist
from lightning_tricks.reports.series import Series

SCHEMA_VERSION = 1

Status = Literal["running", "completed", "stopped", "interrupted", "failed"]


@dataclass(frozen=True)
class BestScore:
    """The best check of a callback that watches a metric."""

    monitor: str
    mode: str
    score: float | None
    epoch: int
    step: int


@dataclass(frozen=True)
class ReportedFinding:
    """A finding of the doctor, with the step at which it was reported."""

    step: int
    code: str
    name: str
    severity: str
    where: str
    message: str
    try_next: str


@dataclass(frozen=True)
class Clipping:
    """A clipping callback: its call, its fixed norm limit if it has one, and the number of skipped steps."""

    callback: str
    max_norm: float | None
    skipped: int


@dataclass(frozen=True)
class Thaw:
    """The layer groups that train from a given step on; 0 is nearest the input."""

    step: int
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Sweep:
    """The sweep of a learning-rate finder and its suggestion."""

    lrs: tuple[float, ...]
    losses: tuple[float | None, ...]
    suggestion: float | None
    reason: str


@dataclass(frozen=True)
class RatioMap:
    """Relative updates by weight: row i of ``rows`` belongs to ``names[i]`` and has one entry per step in ``steps``."""

    steps: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    rows: tuple[tuple[float | None, ...], ...] = ()


@dataclass(frozen=True)
class RunData:
    """The results of a run.

    Attributes:
        model: the module's class.
        status: the status of the run.
        reason: what stopped it.
        started: local start time of this process's fit, ISO 8601.
        seconds: wall-clock time since then; a resumed run counts from its resume.
        epochs: number of epochs begun.
        steps: optimizer steps taken.
        parameters: number of parameters, and of trainable parameters.
        layers: number of modules without children, by class.
        inputs: shapes of the tensors of the first batch, by place; of many, the first ones.
        best: best checks of the callbacks that watch a metric.
        metrics: logged metrics and the loss of sampled batches (``batch loss``), means over the processes.
        lrs: learning rates of sampled steps by ``optimizer.group``; if there are many groups, the first and the last
            ones.
        factors: the named factors of the learning rate.
        grad_norm: L2 norm of all gradients before clipping at sampled steps (one optimizer only).
        update_ratios: root mean square of the update relative to that of the weight, by weight.
        sweep: the sweep of the learning-rate finder.
        clipping: the clipping callbacks.
        findings: the findings of the doctor.
        thaws: the stages of gradual unfreezing.
        layer_groups: names of the layer groups, from the input to the head.
        tricks: the callbacks of this library, as the calls that build them.
        roles: by role in the checklist, the call that builds the first callback with it.
        configuration: hyper-parameters and settings of Trainer and optimizers, as text.
        versions: the versions of Python and packages.
        hardware: the devices and processes.
        test: metrics of ``trainer.test`` with the Trainer of the fit, after it.
        looks: configurations that have been tested, from the ledger of :class:`TestGuard`; ``None``: not known.
        notes: what was omitted to bound the size, and what could not be read.
        schema_version: the version of this format.
    """

    model: str
    status: Status = "running"
    reason: str | None = None
    started: str = ""
    seconds: float = 0.0
    epochs: int = 0
    steps: int = 0
    parameters: tuple[int, ...] = ()
    layers: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    best: tuple[BestScore, ...] = ()
    metrics: dict[str, Series] = field(default_factory=dict)
    lrs: dict[str, Series] = field(default_factory=dict)
    factors: dict[str, Series] = field(default_factory=dict)
    grad_norm: Series = field(default_factory=Series)
    update_ratios: RatioMap = field(default_factory=RatioMap)
    sweep: Sweep | None = None
    clipping: tuple[Clipping, ...] = ()
    findings: tuple[ReportedFinding, ...] = ()
    thaws: tuple[Thaw, ...] = ()
    layer_groups: tuple[str, ...] = ()
    tricks: tuple[str, ...] = ()
    roles: dict[Role, str] = field(default_factory=dict)
    configuration: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    hardware: dict[str, str] = field(default_factory=dict)
    test: dict[str, float | None] = field(default_factory=dict)
    looks: int | None = None
    notes: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION

    @property
    def checklist(self) -> Checklist:
        """The six steps, judged from this record."""
        return make_checklist(self)

    @property
    def suggested_lr(self) -> float | None:
        """The suggestion of the learning-rate finder."""
        return self.sweep.suggestion if self.sweep is not None else None

    @property
    def skipped_steps(self) -> int:
        """Steps that clipping callbacks skipped because of non-finite gradients."""
        return sum(clip.skipped for clip in self.clipping)

    @property
    def loss_pair(self) -> tuple[str, str] | None:
        """Names of a training and a validation loss whose gap shows overfitting, if both were logged."""
        return training_and_validation(self.metrics)

    def summary(self) -> str:
        """Return at most ten lines: the summary, the findings of severity warning or higher, and the missing items."""
        severe = [f"  {f.code} {f.name}: {f.message}" for f in self.findings if f.severity != "info"]
        missing = [
            f"  missing: {item.title} ({item.evidence}). Try: {item.try_next}" for item in self.checklist.missing
        ]
        lines = [self.sentence(), *severe[:4], *missing[:4]]
        left = len(severe[4:]) + len(missing[4:])
        return "\n".join([*lines, f"  and {left} more"] if left else lines)

    def sentence(self) -> str:
        """Return one sentence with the model, the duration, what stopped the run, and the best score.

        Example:
            >>> RunData("Net", "completed", epochs=2, steps=10, seconds=61.2).sentence()
            'Net trained for 2 epochs (10 steps, 1 min 1 s) and completed.'
        """
        words = {"running": "is still running", "failed": "failed"}
        length = f"{self.epochs} epoch{'s' * (self.epochs != 1)} ({self.steps} steps, {_duration(self.seconds)})"
        text = f"{self.model} trained for {length} and {words.get(self.status, f'{self._past_tense()}{self.status}')}"
        text += f": {self.reason}" if self.reason else ""
        bests = [
            f"best {best.monitor} {best.score:.4g} (epoch {best.epoch}, step {best.step})"
            for best in self.best
            if best.score is not None
        ]
        return f"{text.rstrip('.')}{'; ' * bool(bests)}{', '.join(bests)}."

    def _past_tense(self) -> str:
        return "was " if self.status in ("interrupted", "stopped") else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
