"""Forward watch: measure activations, loss terms and classes in the forward passes of some batches."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lightning_tricks.core.compiled_code import has_compiled
from lightning_tricks.doctor.facts.operations import WEIGHTS
from lightning_tricks.doctor.facts.run_facts import ActivationFact, ForwardFacts
from lightning_tricks.doctor.tracing.module_stack import ModuleStack
from lightning_tricks.doctor.tracing.signatures import argument_names, name_of

_KEPT = 3
"""Number of batches in which a unit must be dead or saturated to count."""
_BOUNDS = {"sigmoid": (0.03, 0.97), "tanh": (-0.97, 0.97)}
_MAX_ACTIVATIONS, _MAX_CLASSES = 256, 10_000

Key = tuple[str, str, int]
"""Operation, module and the number of the call within the module."""


@dataclass
class ForwardMeasurement:
    """The facts of some forward passes; all tensors stay on their device.

    Attributes:
        names: operation, module, units and samples of each activation.
        terms: how many terms form the loss.
        numbers: ``(2 A + 2 T + C,)``: the first and the current share of each activation, the current and the first
            terms, rows by class.
        step: the Trainer's step number of the last pass.
        batches: the number of passes.
    """

    names: list[tuple[str, str, int, int]] = field(default_factory=list)
    terms: int = 0
    numbers: Tensor = field(default_factory=lambda: torch.zeros(0))
    step: int = 0
    batches: int = 0

    def to_facts(self) -> ForwardFacts:
        """Return the facts; ``numbers`` must be in host memory."""
        count, values = len(self.names), self.numbers.tolist()
        pairs = zip(self.names, values[:count], values[count : 2 * count], strict=True)
        activations = tuple(ActivationFact(*name, first, share) for name, first, share in pairs)
        rest = values[2 * count :]
        terms, first_terms = (tuple(rest[start : start + self.terms]) for start in (0, self.terms))
        classes = tuple(map(round, rest[2 * self.terms :]))
        return ForwardFacts(self.step, self.batches, activations, terms, first_terms, classes)


class ForwardWatch:
    """The forward passes of some batches.

    A function mode sees the calls from the start of a batch to its first backward pass. Nothing synchronizes with the
    device. Compiled code is skipped, because it would be compiled again for a mode. After a restart the watch starts
    from the beginning.

    Args:
        attempt: calls a part of the work without letting its exceptions reach the user's step.
    """

    def __init__(self, attempt: Callable[[Callable[[], None]], object]) -> None:
        self._attempt = attempt
        self._pass: _ForwardPass | None = None
        self._looks: dict[Key, list[Tensor]] = {}
        self._samples: dict[Key, list[int]] = {}
        self._first: dict[Key, Tensor] = {}
        self._terms: list[Tensor] = []
        self._first_terms = torch.zeros(0)
        self._classes: Tensor | None = None
        self._step = self._batches = 0

    def start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Follow the calls of the coming forward pass."""
        self.stop()
        if not _is_compiled(pl_module):
            self._step = trainer.global_step
            self._pass = _ForwardPass(pl_module, self._attempt)
            self._pass.enter()

    @property
    def is_active(self) -> bool:
        """Whether a forward pass is being followed."""
        return self._pass is not None

    def stop(self, loss: Tensor | None = None) -> None:
        """Stop following calls, and keep the observations that lead to a loss."""
        if self._pass is not None:
            found, self._pass = self._pass, None
            found.leave()
            self._keep(found, loss)

    def _keep(self, found: "_ForwardPass", loss: Tensor | None) -> None:
        self._batches += 1
        for key, (mask, samples) in found.masks.items():
            known = self._looks.get(key, [])
            same = [other for other in known if other.shape == mask.shape][1 - _KEPT :]
            self._looks[key] = [*same, mask]
            self._samples[key] = [*self._samples.get(key, [])[1 - _KEPT :], samples]
            self._first.setdefault(key, mask.float().mean())
        self._looks = {key: masks for key, masks in self._looks.items() if key in found.masks}
        terms = found.terms_of(loss)
        same_terms = [other for other in self._terms if other.shape == terms.shape][1 - _KEPT :]
        self._first_terms = self._first_terms if same_terms else terms
        self._terms = [*same_terms, terms]
        if found.classes is not None:
            is_same = self._classes is not None and self._classes.shape == found.classes.shape
            self._classes = found.classes + self._classes if is_same and self._classes is not None else found.classes

    def take(self) -> ForwardMeasurement:
        """Return the facts so far, without clearing them."""
        full = {key: masks for key, masks in self._looks.items() if len(masks) == _KEPT}
        names = [(*key[:2], masks[0].numel(), sum(self._samples[key])) for key, masks in full.items()]
        firsts = [self._first[key] for key in full]
        shares = [torch.stack(masks).all(0).float().mean() for masks in full.values()]
        has_terms = len(self._terms) == _KEPT and self._terms[0].numel()
        terms = [torch.stack(self._terms).mean(0), self._first_terms] if has_terms else []
        classes = self._classes if self._classes is not None else torch.zeros(0)
        parts = [*(share[None] for share in (*firsts, *shares)), *terms, classes]
        device = next((part.device for part in parts if part.numel()), torch.device("cpu"))
        numbers = torch.cat([part.to(device, torch.float32) for part in parts])
        return ForwardMeasurement(names, len(terms[0]) if terms else 0, numbers, self._step, self._batches)

    def release(self) -> None:
        """Leave the mode in any case."""
        found, self._pass = self._pass, None
        if found is not None:
            found.leave()


class _GuardedStack(ModuleStack):
    """A stack whose own failures do not reach the user's step."""

    def __init__(self, root: LightningModule, attempt: Callable[[Callable[[], None]], object]) -> None:
        super().__init__(root)
        self._attempt = attempt

    def _enter_module(self, module: Any, args: Any) -> None:
        enter = super()._enter_module
        self._attempt(lambda: enter(module, args))

    def _leave_module(self, module: Any, args: Any, *rest: Any) -> None:
        leave = super()._leave_module
        self._attempt(lambda: leave(module, args, *rest))


class _ForwardPass(TorchFunctionMode):
    """The calls of one forward pass."""

    def __init__(self, pl_module: LightningModule, attempt: Callable[[Callable[[], None]], object]) -> None:
        super().__init__()
        self._attempt, self._stack = attempt, _GuardedStack(pl_module, attempt)
        self._contexts = ExitStack()
        self._unit_dim = -1
        self._sums: dict[int, tuple[Tensor, list[Tensor]]] = {}
        self.masks: dict[Key, tuple[Tensor, int]] = {}
        self.classes: Tensor | None = None

    def enter(self) -> None:
        """Follow calls until :meth:`leave`, in other hooks of the Trainer."""
        self._contexts.enter_context(self._stack)
        self._contexts.enter_context(self)

    def leave(self) -> None:
        """Stop following calls."""
        self._contexts.close()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if type(result) is Tensor and result.requires_grad:
            self._attempt(lambda: self._record_call(func, args, kwargs, result))
        return result

    @torch.no_grad()
    def _record_call(self, function: Any, args: Any, kwargs: Any, result: Tensor) -> None:
        op = name_of(function)
        if op.startswith("conv"):
            self._unit_dim = 1
        elif op in WEIGHTS:
            self._unit_dim = -1
        elif op in ("relu", "relu6", "sigmoid", "tanh"):
            self._record_activation(op, result.detach())
        elif op == "add" and result.dim() == 0:
            self._record_sum(args, result)
        elif op in ("cross_entropy", "nll_loss"):
            self._record_classes(dict(zip(argument_names(function, op), args, strict=False)) | kwargs)

    def _record_activation(self, op: str, values: Tensor) -> None:
        if values.dim() < 2 or not values.numel() or len(self.masks) >= _MAX_ACTIVATIONS or not _has_memory(values):
            return
        others = [dim for dim in range(values.dim()) if dim != self._unit_dim % values.dim()]
        if op in _BOUNDS:
            low, high = _BOUNDS[op]
            mask = ((values < low) | (values > high)).float().mean(others) > 0.9
        else:
            mask = ~values.any(others[0]) if len(others) == 1 else values.abs().amax(others) == 0
        path = self._stack.path
        call = sum(key[:2] == (op, path) for key in self.masks)
        self.masks[op, path, call] = (mask, len(values))

    def _record_sum(self, args: Any, result: Tensor) -> None:
        """Record the terms of a scalar sum."""
        terms: list[Tensor] = []
        for side in args[:2]:
            if isinstance(side, Tensor) and side.dim() == 0 and side.requires_grad:
                terms += self._sums[id(side)][1] if id(side) in self._sums else [side.detach().abs().float()]
        if len(terms) > 1 and _has_memory(result):
            self._sums[id(result)] = (result, terms)

    def terms_of(self, loss: Tensor | None) -> Tensor:
        """Return ``(T,)`` the absolute values of the terms of a loss; empty if there is a single term."""
        sums = {result.grad_fn: terms for result, terms in self._sums.values()}
        node = loss.grad_fn if loss is not None else None
        while node is not None and node not in sums:  # before a division by the accumulated batches, or another scale
            before = [function for function, _ in node.next_functions if function is not None]
            node = before[0] if len(before) == 1 else None
        terms = sums.get(node, [])
        return torch.stack([term.to(terms[0].device) for term in terms]) if terms else torch.zeros(0)

    def _record_classes(self, given: dict[str, Any]) -> None:
        """Count the classes of a plain cross entropy with one class per row."""
        logits, target = given.get("input"), given.get("target")
        if not isinstance(logits, Tensor) or not isinstance(target, Tensor) or given.get("weight") is not None:
            return
        is_plain = logits.dim() == 2 and target.dim() == 1 and not target.is_floating_point()
        if is_plain and logits.shape[1] <= _MAX_CLASSES and self.classes is None and _has_memory(target):
            counts = torch.zeros(logits.shape[1], device=target.device)
            is_class = ((target >= 0) & (target < logits.shape[1])).float()
            self.classes = counts.scatter_add(0, target.clamp(0, logits.shape[1] - 1).long(), is_class)


def _has_memory(tensor: Tensor) -> bool:
    """Return whether a tensor has values; within ``vmap`` and other transforms it is a placeholder."""
    try:
        return tensor.data_ptr() is not None
    except RuntimeError:
        return False


def _is_compiled(model: torch.nn.Module) -> bool:
    """Return whether a part of the model, or any function in this process, is compiled.

    Which functions a step calls is unknown before it runs, and one that is called under a mode is compiled again.
    """
    kinds = {type(each).__name__ for each in model.modules()}
    parts = "OptimizedModule" in kinds or any(getattr(each, "_compiled_call_impl", None) for each in model.modules())
    return parts or has_compiled()
