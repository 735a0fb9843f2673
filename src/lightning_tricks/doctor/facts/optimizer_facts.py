"""Facts about optimizers: their classes, parameter groups and LR schedulers."""

from dataclasses import dataclass

from lightning_tricks.doctor.facts.context_facts import RateCurve
from lightning_tricks.doctor.facts.trace_facts import Scalar


@dataclass(frozen=True)
class GroupFact:
    """One parameter group.

    Attributes:
        settings: ``lr``, ``weight_decay``, ``momentum``, ``eps``, ...; pairs such as betas as ``betas.0`` and
            ``betas.1``.
        parameters: their names in the model.
        foreign: the number of its tensors that are not parameters of the model.
    """

    settings: dict[str, Scalar]
    parameters: tuple[str, ...]
    foreign: int = 0


@dataclass(frozen=True)
class SchedulerFact:
    """An LR scheduler: its class, plain attributes and simulated rates; Lightning's interval, frequency and monitor."""

    kind: str
    settings: dict[str, Scalar]
    interval: str
    frequency: int
    curve: RateCurve | None = None
    monitor: str = ""


@dataclass(frozen=True)
class OptimizerFact:
    """One optimizer; ``defaults`` is like ``GroupFact.settings``, ``home`` is the module that defines its class."""

    kind: str
    home: str
    bases: tuple[str, ...]
    defaults: dict[str, Scalar]
    groups: tuple[GroupFact, ...]
    schedulers: tuple[SchedulerFact, ...] = ()
