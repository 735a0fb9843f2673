"""Held graphs: find attributes that keep tensors with their graph after a step, and their effect on the next step."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.doctor.facts.influence_facts import HeldGraph
from lightning_tricks.doctor.tracing.one_pass import find_entry, find_loss


def find_held_graphs(
    model: nn.Module, batch: Any, context: Callable[[], AbstractContextManager[Any]]
) -> tuple[HeldGraph, ...]:
    """Return the graphs that the last step keeps, if the next step, which is run here, raises or keeps more.

    Args:
        model: after one step with its backward pass; the caller restores it.
        batch: the batch of that step.
        context: the context in which a pass runs.
    """
    before = dict(_held(model))
    if not before or getattr(model, "automatic_optimization", True) is False:
        return ()
    fails = False
    try:
        with context(), torch.enable_grad():
            entry = find_entry(model, batch)
            loss = find_loss(entry, entry.call())
            if loss is not None:
                loss.float().mean().backward()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        fails = "second time" in str(error)
    after = dict(_held(model))
    found = (
        HeldGraph(*place, fails and not count, max(0, after.get(place, 0) - count)) for place, count in before.items()
    )
    return tuple(each for each in found if each.fails or each.growth)


def _held(model: nn.Module) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield each module and attribute that keep a graph, with the number of tensors (0 if not a list)."""
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name.startswith("_"):
                continue
            if isinstance(value, dict):
                value = list(value.values())
            if _has_graph(value) or (isinstance(value, tuple) and any(map(_has_graph, value))):
                yield (path, name), 0
            elif isinstance(value, list) and any(map(_has_graph, value)):
                yield (path, name), sum(map(_has_graph, value))


def _has_graph(value: object) -> bool:
    return isinstance(value, Tensor) and value.grad_fn is not None
