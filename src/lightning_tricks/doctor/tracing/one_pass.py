"""One pass: call the model's ``training_step`` or ``forward`` on a batch, and report where it raised."""

import inspect
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tricks.doctor.facts.evidence import ErrorFact

_BASES = ("module", "hooks", "datamodule")
_ROOMS = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))


@dataclass(frozen=True)
class Entry:
    """How a model is called.

    Attributes:
        name: ``training_step`` or ``forward``.
        call: runs it once and returns its result.
    """

    name: str
    call: Callable[[], Any]


def find_entry(model: Any, batch: Any) -> Entry:
    """Return how to call a model on a batch.

    Example:
        >>> find_entry(nn.Linear(2, 1), (torch.ones(3, 2), "a label that forward does not take")).call().shape
        torch.Size([3, 1])
    """
    if has_training_step(model):
        step = model.training_step
        return Entry("training_step", lambda: step(*_step_arguments(step, batch)))
    if isinstance(batch, Mapping) or (hasattr(batch, "keys") and hasattr(batch, "data")):
        return Entry("forward", lambda: model(**batch))
    if isinstance(batch, (tuple, list)):
        return Entry("forward", lambda: model(*batch[: _number_of_inputs(model)]))
    return Entry("forward", lambda: model(batch))


def has_training_step(model: Any) -> bool:
    """Return whether the module overrides ``training_step``; Lightning's default only warns."""
    step = getattr(model, "training_step", None)
    return callable(step) and not is_lightning_default(step)


def is_lightning_default(hook: Any) -> bool:
    """Return whether a hook is that of Lightning's base classes; demo models in its package define their own.

    Example:
        >>> from lightning.pytorch import LightningModule
        >>> from lightning.pytorch.demos.boring_classes import BoringModel
        >>> is_lightning_default(LightningModule().training_step), is_lightning_default(BoringModel().training_step)
        (True, False)
    """
    home = getattr(getattr(hook, "__func__", hook), "__module__", "") or ""
    package, _, rest = home.partition(".core.")
    return package in ("lightning.pytorch", "pytorch_lightning") and rest.partition(".")[0] in _BASES


def _step_arguments(step: Callable[..., Any], batch: Any) -> tuple[Any, ...]:
    parameters = inspect.signature(step).parameters.values()
    places = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return batch, 0
    needed = [place for place in places if place.default is place.empty or place.name == "batch_idx"]
    return (batch, 0, 0)[: max(len(needed), 1)]


def _number_of_inputs(model: nn.Module) -> int | None:
    """Return the number of positional arguments of ``forward``; a batch may also contain labels."""
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):  # TorchScript
        return None
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return sum(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) for parameter in parameters
    )


def find_loss(entry: Entry, returned: Any) -> Tensor | None:
    """Return the loss in the return value of a step, or of a model that computes its own loss."""
    if isinstance(returned, Tensor):
        return returned if entry.name == "training_step" else None
    loss = returned.get("loss") if isinstance(returned, Mapping) else getattr(returned, "loss", None)
    return loss if isinstance(loss, Tensor) else None


def describe_error(error: BaseException, phase: str, module: str) -> ErrorFact:
    """Return an exception's last line, and the innermost place that is neither in PyTorch nor in this package."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_own_source(frame.filename)]
    place = own[-1] if own else None
    lines = [line for line in str(error).strip().splitlines() if line.strip()] or ["no message"]
    return ErrorFact(
        phase=phase,
        kind=type(error).__name__,
        message=lines[-1].strip(),
        module=module,
        file=place.filename if place else "",
        line=(place.lineno or 0) if place else 0,
        function=place.name if place else "",
    )


def is_own_source(filename: str) -> bool:
    """Return whether a file belongs neither to PyTorch nor to the doctor."""
    return not filename.startswith(_ROOMS) and not filename.startswith("<")
