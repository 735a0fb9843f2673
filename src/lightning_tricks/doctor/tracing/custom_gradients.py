"""Custom gradients: compare the backward pass of a user-defined ``autograd.Function`` with finite differences."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lightning_tricks.doctor.facts.influence_facts import CustomGradient

_DIRECTIONS, _STEP, _KINK = 3, 1e-6, 1e-2
_LIBRARIES = ("torch", "torchvision", "torchaudio", "torch_geometric", "transformers", "timm", "xformers", "flash_attn")


@contextmanager
def noting_functions(found: dict[type, tuple[Any, ...]]) -> Iterator[None]:
    """While entered, keep the arguments of the first call of each user-defined ``autograd.Function``."""
    function: Any = torch.autograd.Function
    original = vars(function)["apply"]

    def apply(cls: type, *args: Any, **kwargs: Any) -> Any:
        if cls not in found and cls.__module__.partition(".")[0] not in _LIBRARIES and not kwargs:
            found[cls] = tuple(each.detach().clone() if isinstance(each, Tensor) else each for each in args)
        return original.__get__(None, cls)(*args, **kwargs)

    function.apply = classmethod(apply)
    try:
        yield
    finally:
        function.apply = original


def check_functions(calls: dict[type, tuple[Any, ...]]) -> tuple[CustomGradient, ...]:
    """Return the functions whose gradient differs from finite differences, with the relative error."""
    found = (_check(function, args) for function, args in calls.items())
    return tuple(each for each in found if each is not None)


def _check(function: Any, args: tuple[Any, ...]) -> CustomGradient | None:
    """Return the fault of a function; ``None`` if it has none or cannot be checked (random numbers, kinks, errors)."""
    try:
        inputs = [each.double().requires_grad_(True) if _is_float(each) else each for each in args]
        leaves = [each for each in inputs if _is_float(each)]
        first, again = function.apply(*inputs), function.apply(*inputs)
        if not leaves or not _is_float(first) or not torch.equal(first, again) or not first.requires_grad:
            return None
        weights = torch.linspace(0.5, 1.5, first.numel(), dtype=torch.float64, device=first.device).view(first.shape)
        gradients = torch.autograd.grad((first * weights).sum(), leaves, allow_unused=True)
        pairs = [_compare(function, inputs, leaves, gradients, weights, seed) for seed in range(_DIRECTIONS)]
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        return None
    if any(pair is None for pair in pairs):
        return None
    is_identity = any(first.shape == each.shape and torch.equal(first, each) for each in leaves)
    known = [pair for pair in pairs if pair is not None]
    scale = max(max(abs(a), abs(n)) for a, n in known)
    wrong = max(abs(a - n) for a, n in known)
    steps = all(not n for _, n in known)  # rounding and thresholds: a straight-through estimator
    if wrong <= _KINK * scale or not scale:
        return None
    return CustomGradient(function.__name__, wrong / scale, designed=steps or is_identity)


def _compare(
    function: Any, inputs: list[Any], leaves: list[Tensor], gradients: Any, weights: Tensor, seed: int
) -> tuple[float, float] | None:
    """Return the derivative along a random direction, by gradient and by differences; ``None`` near a kink."""
    generator = torch.Generator().manual_seed(seed)
    ways = [torch.randn(each.shape, generator=generator, dtype=torch.float64).to(each.device) for each in leaves]
    analytic = sum(float((g * way).sum()) for g, way in zip(gradients, ways, strict=True) if g is not None)

    def value(step: float) -> float:
        moved = iter([each.detach() + step * way for each, way in zip(leaves, ways, strict=True)])
        with torch.no_grad():
            result = function.apply(*(next(moved) if _is_float(each) else each for each in inputs))
        return float((result * weights).sum())

    near, far = ((value(h) - value(-h)) / (2 * h) for h in (_STEP, 10 * _STEP))
    return None if abs(near - far) > _KINK * max(abs(near), abs(far), 1e-12) else (analytic, near)


def _is_float(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
