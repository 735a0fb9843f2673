"""Runs that patients of the run-time rules have been through, written down as facts."""

from collections.abc import Iterable
from typing import Any

from torch import nn

from lightning_tricks.doctor.facts.evidence import Evidence
from lightning_tricks.doctor.facts.run_facts import EvaluationFact, LossCurve, RunFacts, StepFact, observe_losses
from lightning_tricks.doctor.reading.read_model import read_model


def ran(**facts: Any) -> dict[str, Any]:
    """What a run of a small net has shown."""
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    return {"evidence": Evidence(read_model(model), run=RunFacts(**facts))}


def curve(losses: Iterable[float], lr: Any = 0.1) -> LossCurve:
    """A curve of losses, one a batch; `lr` is a number or a function of the batch."""
    found = LossCurve()
    for i, loss in enumerate(losses):
        found = observe_losses(found, [loss], lr(i) if callable(lr) else lr)
    return found


def evaluations(train: Iterable[float], val: Iterable[float]) -> tuple[EvaluationFact, ...]:
    """One evaluation an epoch, of a hundred steps."""
    return tuple(EvaluationFact(100 * i + 100, i, *pair) for i, pair in enumerate(zip(train, val, strict=True)))


def steps(norms: Iterable[float], *, loss: float = 1.0, lr: float = 0.1, **weights: tuple[float, float]) -> Any:
    """Steps that were looked at, all with the same gradients and updates, of weights such as `net_0`."""
    named = {name.replace("_", ".") + ".weight": pair for name, pair in weights.items()}
    return tuple(StepFact(50 * i, loss, lr, norm, named) for i, norm in enumerate(norms))
