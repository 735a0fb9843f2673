"""Step watch: measure gradients and updates at every k-th step of a single optimizer, without synchronization."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from lightning_tricks.doctor.facts.run_facts import StepFact
from lightning_tricks.engine.checkup.host_copy import to_host
from lightning_tricks.engine.clip.step_guard import active_scaler
from lightning_tricks.engine.run.run import Run, RunPart, run_of
from lightning_tricks.functional.gradients import join_norms, local_parts, tensor_norms

_SAMPLE = 1024


@dataclass
class WatchedStep:
    """The measurements of one step.

    Attributes:
        step: the Trainer's step number. lrs: the learning rate of each group, on the device if it is a tensor.
        roots: by name, the square root of the number of elements of each matrix or kernel with a gradient.
        numbers: ``(1 + 2 N,)``: the norm of all gradients, then the norm per name, then the relative update per name.
        weights: the tensors of these names, until their update is measured.
        before: samples of these tensors before the step.
    """

    step: int
    lrs: list[float | Tensor]
    roots: dict[str, float]
    numbers: Tensor
    weights: list[Tensor] = field(default_factory=list)
    before: list[Tensor] = field(default_factory=list)

    def close(self) -> None:
        """Measure the update of the step."""
        if self.weights:
            changes = [after - before for after, before in zip(map(sample, self.weights), self.before, strict=True)]
            updates = tensor_norms(changes) / tensor_norms(self.before)
            self.numbers = torch.cat([self.numbers, updates.to(self.numbers)])
        self.weights, self.before = [], []

    @property
    def lr(self) -> float:
        """The highest learning rate; synchronizes if one is a tensor."""
        return max(map(float, self.lrs), default=math.nan)

    def to_plain(self, numbers: Tensor) -> list[Any]:
        """Return step, rate, names and the given numbers of this step, with root mean squares for norms."""
        total, *rest = numbers.tolist()
        norms, updates = rest[: len(self.roots)], rest[len(self.roots) :]
        gradients = [norm / root for norm, root in zip(norms, self.roots.values(), strict=True)]
        return [self.step, self.lr, list(self.roots), [total, *gradients, *updates]]


class SharedStep(RunPart):
    """The step that was measured last: several tricks that watch the same step measure it once."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._last: WatchedStep | None = None

    def measure(self, pl_module: LightningModule, optimizer: Optimizer, step: int) -> WatchedStep:
        """Return the measurements of the coming step."""
        if self._last is None or self._last.step != step or not self._last.weights:
            self._last = _start_step(pl_module, optimizer, step)
        return self._last


class StepWatch:
    """At some steps, the norm of all gradients, and the gradient and relative update of each matrix or kernel.

    Updates are measured on about a thousand elements each, so that no weight is copied as a whole. Everything stays on
    the device until it is read. Runs with several optimizers, which may work against each other, are not measured.
    """

    def __init__(self) -> None:
        self._next = 0
        self._open: WatchedStep | None = None
        self._closed: list[WatchedStep] = []

    def is_due(self, step: int) -> bool:
        """Return whether a step is to be measured, by the Trainer's number of steps so far."""
        return step >= self._next

    @property
    def is_open(self) -> bool:
        """Whether the update of the current step is to be measured."""
        return self._open is not None

    @torch.no_grad()
    def before_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer, every: int) -> None:
        """Measure the gradients of a step; the next one that is due follows at a multiple of ``every``."""
        self._next = (trainer.global_step // every + 1) * every
        if len(trainer.optimizers) > 1:
            return
        if active_scaler(trainer) is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            return  # the gradients are still scaled
        run = run_of(trainer)
        if run is None:
            self._open = _start_step(pl_module, optimizer, trainer.global_step)
        else:
            self._open = run.part(SharedStep).measure(pl_module, optimizer, trainer.global_step)

    @torch.no_grad()
    def after_batch(self) -> None:
        """Measure the update of the step, if its gradients were measured."""
        if self._open is not None:
            self._open.close()
            self._closed.append(self._open)
            self._open = None

    def take(self) -> list[Any]:
        """Return the steps that this process has measured, as plain numbers, and clear them; synchronizes."""
        steps = self.take_waiting()
        numbers = to_host([step.numbers for step in steps])
        return [step.to_plain(values) for step, values in zip(steps, numbers, strict=True)]

    def take_waiting(self) -> list[WatchedStep]:
        """Return the steps that this process has measured, on their device, and clear them."""
        taken, self._closed = self._closed, []
        return taken

    def release(self) -> None:
        """Release all parameters."""
        self._open = None

    def plain_state(self) -> dict[str, Any]:
        """Return the number of steps and the measurements, in host memory."""
        looks = [[step.step, step.lr, step.roots, step.numbers.tolist()] for step in self._closed]
        return {"next": self._next, "looks": looks}

    def load(self, plain: dict[str, Any]) -> None:
        """Load the result of :meth:`plain_state`."""
        self._next = plain["next"]
        self._closed = [
            WatchedStep(step, [float(lr)], roots, torch.tensor([*map(float, numbers)], dtype=torch.float64))
            for step, lr, roots, numbers in plain["looks"]
        ]


def join_steps(trainer: Trainer, taken: list[Any], loss: float) -> list[StepFact]:
    """Return the steps that process 0 has measured; each process has to call this.

    Args:
        trainer: the Trainer.
        taken: the result of :meth:`StepWatch.take`.
        loss: the largest loss since the last reading.
    """
    if trainer.world_size > 1:  # always, because under manual optimization this process may have taken no step
        taken = trainer.strategy.broadcast(taken)
    facts: list[StepFact] = []
    for step, lr, names, numbers in taken:
        norm, *parts = numbers
        pairs = zip(parts[: len(names)], parts[len(names) :], strict=True)
        facts.append(StepFact(step, loss, lr, norm, dict(zip(names, pairs, strict=True))))
    # a scaler skips such steps
    return [fact for fact in facts if active_scaler(trainer) is None or math.isfinite(fact.norm)]


def _start_step(pl_module: LightningModule, optimizer: Optimizer, step: int) -> WatchedStep:
    """Measure the gradients, and take samples of the weights before the step."""
    held = {
        id(parameter) for group in optimizer.param_groups for parameter in group["params"] if parameter.grad is not None
    }
    found = [(name, value) for name, value in pl_module.named_parameters() if id(value) in held]
    matrices = {name: param for name, param in found if param.dim() > 1}
    ordered: list[Tensor] = [*matrices.values(), *(param for _, param in found if param.dim() < 2)]
    norms = tensor_norms([param.grad for param in ordered]) if ordered else torch.zeros(0)  # type: ignore[misc]
    numbers = torch.cat([join_norms(norms)[None], norms[: len(matrices)]])
    roots = {name: math.sqrt(max(matrix.numel(), 1)) for name, matrix in matrices.items()}
    weights = local_parts(list(matrices.values()))
    return WatchedStep(
        step, copied_rates(optimizer), roots, numbers, weights, [sample(weight).clone() for weight in weights]
    )


def copied_rates(optimizer: Optimizer) -> list[float | Tensor]:
    """Return the learning rate of each group; a tensor is copied on its device, not read."""
    rates = [group.get("lr", math.nan) for group in optimizer.param_groups]
    return [rate.detach().clone() if isinstance(rate, Tensor) else float(rate) for rate in rates]


def highest_rate(optimizer: Optimizer) -> float:
    """Return the highest learning rate of an optimizer's groups."""
    return max((float(group.get("lr", math.nan)) for group in optimizer.param_groups), default=math.nan)


def sample(weight: Tensor) -> Tensor:
    """Return a view of at most 1,024 elements of a tensor, evenly spaced in memory.

    Example:
        >>> sample(torch.arange(2049.0))[:3]
        tensor([0., 3., 6.])
    """
    weight = weight.detach()
    every = max(1, -(-weight.numel() // _SAMPLE))
    if weight.is_contiguous() or (weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last)):
        return weight.as_strided((-(-weight.numel() // every),), (every,), weight.storage_offset())
    return weight.flatten()[::every]
