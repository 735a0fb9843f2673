"""Patients: for each rule models that it must speak of, and models that it must not.

They stand in `tests/doctor/patients`, in files named as those of the rules. A patient is a function that returns the
arguments of `diagnose`, or `evidence` alone; what is listed in `says` must be in the message of the finding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from torch import nn

Build = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Patient:
    code: str
    is_sick: bool
    build: Build
    says: tuple[str, ...]
    severity: str | None

    @property
    def name(self) -> str:
        return f"{self.code}-{self.build.__name__}"


_FOUND: list[Patient] = []


def sick(code: str, *says: str, severity: str | None = None) -> Callable[[Build], Build]:
    """The rule must speak of it, with these words and, where given, this severity."""
    return _mark(code, True, says, severity)


def healthy(code: str) -> Callable[[Build], Build]:
    """The rule must keep quiet."""
    return _mark(code, False, (), None)


def _mark(code: str, is_sick: bool, says: tuple[str, ...], severity: str | None) -> Callable[[Build], Build]:
    def mark(build: Build) -> Build:
        _FOUND.append(Patient(code, is_sick, build, says, severity))
        return build

    return mark


def all_patients() -> list[Patient]:
    if not _FOUND:
        for file in sorted((Path(__file__).parents[1] / "doctor" / "patients").rglob("*.py")):
            spec = spec_from_file_location(f"patients_{file.stem}", file)
            assert spec is not None
            assert spec.loader is not None
            spec.loader.exec_module(module_from_spec(spec))
    return list(_FOUND)


class Step(LightningModule):
    """A net, and what its training step makes of its output and the target."""

    def __init__(self, net: nn.Module, loss: Callable[..., torch.Tensor] = F.cross_entropy, lr: float = 0.1) -> None:
        super().__init__()
        self.net, self.loss, self.lr = net, loss, lr

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        x, y = batch
        loss = self.loss(self(x), y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.lr)


class Calling(nn.Module):
    """A net whose forward is a function of the net and its input."""

    def __init__(self, function: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(self, *inputs)


def classes(n: int = 16, features: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and their classes, three of them; the same on each call."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, features, generator=generator), torch.arange(n) % 3


def numbers(n: int = 16, features: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and a number each, `(N, 1)`."""
    x, _ = classes(n, features)
    return x, x[:, :1] * 2
