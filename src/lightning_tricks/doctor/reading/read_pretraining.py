"""Read pretraining: find the pretrained parts of a model.

A tensor does not record its origin, but there is evidence: the checkpoint that a library records, batch norms that have
counted batches and were trained, frozen parts, and weights that no initializer draws, whose rows differ in size by more
than chance explains.
"""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from lightning_tricks.doctor.facts.context_facts import PretrainedFact
from lightning_tricks.doctor.reading.measure_tensors import local_part
from lightning_tricks.doctor.reading.read_copies import follows, kind_and_matrix

# randomly drawn matrices with 16 rows or more reach 1.4, briefly trained ones 2 to 7
_BEYOND_CHANCE = 1.8
_PASSES = 10
_NORMS = ("LayerNorm", "BatchNorm", "GroupNorm", "RMSNorm", "InstanceNorm")


def read_pretraining(model: nn.Module) -> tuple[PretrainedFact, ...]:
    """Return the pretrained parts, each with the evidence for it.

    Example:
        >>> model = nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 2))
        >>> read_pretraining(model)
        ()
        >>> _ = model[0].requires_grad_(False)
        >>> [(part.module, part.reason) for part in read_pretraining(model)]
        [('0', 'its weights are frozen')]
    """
    found = dict[str, str]()
    trunk = _trunk(model)
    for path, reason in (*_counted_batches(model), *_trained_parts(model, trunk)):
        found.setdefault(_part(path, trunk), reason)
    for path, reason in _frozen(model, trunk):
        found.setdefault(path, reason)
    found.update(_named_checkpoints(model))
    return tuple(PretrainedFact(path, reason) for path, reason in found.items())


def _named_checkpoints(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield models of ``transformers``, whose configuration records the origin of the weights."""
    for path, module in model.named_modules():
        source = getattr(getattr(module, "config", None), "_name_or_path", "")
        if isinstance(source, str) and source:
            yield path, f"its configuration names the checkpoint {source!r}"


def _counted_batches(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield batch norms that have counted batches and have a trained scale and shift; forward passes count.

    Without scale and shift the count decides: a few passes in a constructor are not training.
    """
    for path, module in model.named_modules():
        counted = getattr(module, "num_batches_tracked", None)
        if not isinstance(counted, Tensor) or counted.is_meta or int(counted) == 0:
            continue
        scale, shift = getattr(module, "weight", None), getattr(module, "bias", None)
        affine = isinstance(scale, Tensor) and isinstance(shift, Tensor)
        if _is_moved(scale, shift) if affine else int(counted) >= _PASSES:
            yield path, f"a batch norm in it has counted {int(counted)} batches"


def _is_moved(scale: Any, shift: Any) -> bool:
    """Return whether a norm's scale or shift has changed since its construction."""
    return bool((local_part(scale).detach() != local_part(scale).detach().flatten()[0]).any()) or bool(
        (local_part(shift).detach() != 0).any()
    )


def _frozen(model: nn.Module, trunk: str) -> Iterator[tuple[str, str]]:
    """Yield frozen matrices next to trainable ones: the whole part if they are half of it, otherwise the layers.

    Frozen vectors and position tables do not count, nor does a frozen momentum copy of a trainable part.
    """
    kinds = [(path, module.weight) for path, module in _weighted(model)]
    frozen = [(path, value) for path, value in kinds if not value.requires_grad]
    if not frozen or len(frozen) == len(kinds):
        return
    twins = _twins(model)
    layers = Counter(_part(path, trunk) for path, _ in kinds)
    held = Counter(_part(path, trunk) for path, _ in frozen)
    for path, _ in frozen:
        part = _part(path, trunk)
        if not any(_is_below(path, twin) for twin in twins):
            yield (part if 2 * held[part] >= layers[part] else path), "its weights are frozen"


def _twins(model: nn.Module) -> set[str]:
    """Return the frozen modules whose parameters follow those of a trainable module of the same kind."""
    frozen: dict[Any, list[tuple[str, Tensor]]] = {}
    trainable: dict[Any, list[Tensor]] = {}
    for path, module in model.named_modules():
        known = kind_and_matrix(module) if path else None
        if known is None:
            continue
        kind, matrix = known
        if any(value.requires_grad for value in module.parameters()):
            trainable.setdefault(kind, []).append(matrix)
        else:
            frozen.setdefault(kind, []).append((path, matrix))
    return {
        path
        for kind, found in frozen.items()
        for path, matrix in found
        if any(follows(matrix, other) for other in trainable.get(kind, ()))
    }


def _is_below(path: str, module: str) -> bool:
    return path == module or path.startswith(f"{module}.")


def _trained_parts(model: nn.Module, trunk: str) -> Iterator[tuple[str, str]]:
    """Yield the parts most of whose matrices and norms look trained."""
    norms = [(path, module) for path, module in model.named_modules() if _is_norm(module)]
    matrices = [(path, module.weight) for path, module in _weighted(model)]
    parts: dict[str, list[bool]] = {}
    for path, weight in _evenly_spaced(matrices):
        if (verdict := looks_trained(weight)) is not None:
            parts.setdefault(_part(path, trunk), []).append(verdict)
    for path, norm in _evenly_spaced(norms):
        parts.setdefault(_part(path, trunk), []).append(_is_trained_norm(norm))
    for part, verdicts in parts.items():
        if sum(verdicts) > len(verdicts) / 2:
            yield part, f"{sum(verdicts)} of {len(verdicts)} checked layers have weights that no initializer draws"


def _evenly_spaced(found: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return at most forty of them, evenly spaced, because deep networks are repetitive."""
    return found[:: -(-len(found) // 40) or 1]


def _is_trained_norm(norm: Any) -> bool:
    """Return whether the scale of a norm varies and, if it has a shift, that one too: an initializer may draw scales.

    Example:
        >>> norm = nn.LayerNorm(8)
        >>> _ = nn.init.normal_(norm.weight, 1.0, 0.02)
        >>> _is_trained_norm(norm)
        False
    """
    values = (norm.weight, getattr(norm, "bias", None))
    spreads = [float(local_part(each).detach().float().std()) for each in values if isinstance(each, Tensor)]
    return all(spread > 1e-4 for spread in spreads)


def _is_norm(module: Any) -> bool:
    scale = getattr(module, "weight", None)
    if not isinstance(scale, Tensor) or nn.parameter.is_lazy(scale) or scale.dim() != 1 or scale.is_meta:
        return False
    return scale.numel() > 1 and any(kind in type(module).__name__ for kind in _NORMS)


def looks_trained(weight: Tensor) -> bool | None:
    """Return whether the rows or columns of a matrix differ in size far more than those of a random matrix.

    For identically distributed numbers of any distribution, the mean square of n of them has a relative deviation of
    sqrt((kurtosis - 1) / n); training makes some units much larger than others. ``None`` if there are too few numbers.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> drawn = torch.randn(64, 64)
        >>> looks_trained(drawn), looks_trained(drawn * torch.linspace(0.3, 2, 64))
        (False, True)
    """
    if weight.is_meta or not weight.is_floating_point():
        return None
    values = local_part(weight).detach()[:256].flatten(1)[:, :1024].float()
    rows, columns = values.shape
    power = values.pow(2)
    mean = float(power.mean())
    if min(rows, columns) < 16 or mean == 0 or not math.isfinite(mean):
        return None
    kurtosis = float(power.pow(2).mean()) / mean**2
    sizes = (power.mean(1) / mean, power.mean(0) / mean)
    return any(
        float(size.std()) > _BEYOND_CHANCE * math.sqrt(max(kurtosis - 1, 0.1) / count)
        for size, count in zip(sizes, (columns, rows), strict=True)
    )


def _weighted(model: nn.Module) -> Iterator[tuple[str, Any]]:
    for path, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, nn.Parameter) or nn.parameter.is_lazy(weight) or isinstance(module, nn.Embedding):
            continue
        if weight.dim() >= 2:
            yield path, module


def _trunk(model: nn.Module) -> str:
    """Descend while all parameters are below one child, such as ``model`` in a module that only wraps another."""
    path, module = "", model
    while True:
        children = [(name, child) for name, child in module.named_children() if any(True for _ in child.parameters())]
        if len(children) != 1 or any(True for _ in module.parameters(recurse=False)):
            return path
        name, module = children[0]
        path = f"{path}.{name}" if path else name


def _part(path: str, trunk: str) -> str:
    """Return the part of the model that a module belongs to: ``model.backbone`` of ``model.backbone.layer4.0.conv``."""
    depth = trunk.count(".") + 2 if trunk else 1
    return ".".join(path.split(".")[:depth])
