"""Overfit a batch: a correct model can fit a single batch."""

import torch
from torch import Tensor, nn

from lightning_tricks.doctor.facts.evidence import OverfitFacts
from lightning_tricks.doctor.tracing.interventions import WithoutDropout
from lightning_tricks.doctor.tracing.one_pass import Entry, find_loss

_STEPS = 200
_LEARNT = 0.05


def overfit_batch_(model: nn.Module, entry: Entry) -> OverfitFacts | None:
    """Train a model on one batch with Adam and without dropout until its loss is almost 0; the caller restores it.

    Args:
        model: in training mode; its weights are changed.
        entry: how the model is called.

    Returns:
        The result; ``None`` for a model that returns no loss or uses manual optimization.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable or getattr(model, "automatic_optimization", True) is False:
        return None
    optimizer = torch.optim.Adam(trainable, lr=1e-3)
    losses: list[float] = []
    while len(losses) < _STEPS and (len(losses) < 2 or losses[-1] > _LEARNT * abs(losses[0])):
        loss = _loss_of(entry)
        if loss is None or not loss.requires_grad:
            return None
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return OverfitFacts(losses[0], min(losses), len(losses))


def _loss_of(entry: Entry) -> Tensor | None:
    with torch.enable_grad(), WithoutDropout():
        loss = find_loss(entry, entry.call())
    return loss.mean() if loss is not None else None
