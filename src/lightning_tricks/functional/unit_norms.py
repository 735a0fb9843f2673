"""Unit norms: the norm of each output unit's weights and gradient, for many parameters at once.

A unit is the part of a weight that feeds one output: all dimensions but the first. A vector or scalar is one unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._foreach_utils import _group_tensors_by_device_and_dtype

from lightning_tricks.functional.gradients import (
    MeshDim,
    join_norms,
    local_parts,
    reduce_norms,
    shard_dims,
    tensor_norms,
)


@dataclass(frozen=True)
class _UnitGroup:
    """Parameters of one device and dtype, vectors before matrices, and the norms of their units in that order."""

    grads: list[Tensor]
    units: list[int]
    vectors: int
    weight_norms: Tensor
    grad_norms: Tensor

    def scale_(self, factors: Tensor) -> None:
        tensors = [grad if grad.layout == torch.strided else grad._values() for grad in self.grads]
        spread = list(factors[: self.vectors].unbind())
        rows = factors[self.vectors :].split_with_sizes(self.units[self.vectors :])
        for of_rows, grad, values in zip(rows, self.grads[self.vectors :], tensors[self.vectors :], strict=True):
            of_values = of_rows if grad.layout == torch.strided else of_rows[grad._indices()[0]]
            spread.append(of_values.view(-1, *[1] * (values.ndim - 1)))
        torch._foreach_mul_(tensors, spread)


@dataclass(frozen=True)
class Units:
    """The result of :func:`measure_units`.

    Attributes:
        evidence: ``(M,)`` gradient norms; a non-finite entry indicates a non-finite gradient.
        entries: the number of entries of ``evidence`` for each parameter.
        params: the parameters, in the order of ``evidence``.
    """

    groups: list[_UnitGroup]
    evidence: Tensor
    entries: list[int]
    params: list[Tensor]
    sharded: tuple[MeshDim, ...]

    def total(self) -> Tensor:
        """Return ``()`` the L2 norm of all gradients, as they were when measured."""
        return join_norms(self.evidence)

    def factors(self, clip_factor: float, eps: float) -> list[Tensor]:
        """Return the factor of each unit's gradient under adaptive clipping, by group; 1 if it is not clipped."""
        return [_factors(group, clip_factor, eps) for group in self.groups]

    def scale_(self, factors: Sequence[Tensor]) -> None:
        """Multiply each unit's gradient by its factor, in place."""
        for group, of_group in zip(self.groups, factors, strict=True):
            group.scale_(of_group)

    def any_below_one(self, factors: Sequence[Tensor]) -> Tensor:
        """Return ``()`` whether any unit is clipped, on any rank that holds a shard."""
        below = torch.stack([(of_group < 1).any().to(self.evidence) for of_group in factors]).amax()
        return reduce_norms(below, float("inf"), self.sharded) > 0


def _factors(group: _UnitGroup, clip_factor: float, eps: float) -> Tensor:
    limit = group.weight_norms.clamp(min=eps).mul_(clip_factor)
    # 1e-6 avoids 0 / 0 for a unit without gradient; a unit below its limit is never changed, however small the limit
    scaled = limit / group.grad_norms.clamp(min=1e-6)
    return torch.where(group.grad_norms < limit, 1.0, scaled)


@torch.no_grad()
def measure_units(params: Sequence[Tensor]) -> Units:
    """Measure the weights and gradients of parameters that all have a gradient, unit by unit.

    Args:
        params: at least one parameter with a gradient, of any devices and dtypes, sharded or not; a gradient may be
            sparse.

    Returns:
        The norms; joint norms are on the device of the first parameter.

    Raises:
        NotImplementedError: a gradient is a partial sum on each rank.
    """
    grads = [param.grad for param in params if param.grad is not None]
    if any(place.is_partial() for grad in grads for place in getattr(grad, "placements", ())):
        raise NotImplementedError("A gradient that is a partial sum on each rank cannot be clipped unit by unit.")
    weights, parts = local_parts(params), local_parts(grads)
    cuts = {i: dims for i, param in enumerate(params) if (dims := shard_dims(param))}
    groups, order = [], []
    for _, indices in _group_tensors_by_device_and_dtype([weights], with_indices=True).values():  # type: ignore[list-item]
        indices = sorted(indices, key=lambda i: params[i].ndim > 1)
        group = _measure_group([weights[i] for i in indices], [parts[i] for i in indices])
        _join_shards(group, [(params[i], cuts.get(i, ())) for i in indices] if cuts else [])
        groups.append(group)
        order += indices
    in_order = [params[i] for i in order]
    sharded = tuple(dict.fromkeys(dim for dims in cuts.values() for dim in dims))
    if sharded:  # the norms of whole tensors, because decisions must be the same on all ranks
        evidence = tensor_norms([grads[i] for i in order])
        return Units(groups, evidence, [1] * len(order), in_order, sharded)
    evidence = groups[0].grad_norms
    if len(groups) > 1:
        evidence = torch.cat([group.grad_norms.to(evidence) for group in groups])
    return Units(groups, evidence, [units for group in groups for units in group.units], in_order, sharded)


def _measure_group(weights: list[Tensor], grads: list[Tensor]) -> _UnitGroup:
    vectors = sum(weight.ndim <= 1 for weight in weights)
    units = [1] * vectors + [len(weight) for weight in weights[vectors:]]
    return _UnitGroup(grads, units, vectors, _unit_norms(weights, vectors), _unit_norms(grads, vectors))


def _unit_norms(tensors: Sequence[Tensor], vectors: int) -> Tensor:
    """Return the norms of all units, ``(U,)``, in at least float32."""
    dtype = torch.float32 if tensors[0].dtype in (torch.float16, torch.bfloat16) else None
    norms = [tensor_norms(tensors[:vectors])] if vectors else []
    for tensor in tensors[vectors:]:
        if tensor.layout == torch.strided:
            norms.append(torch.linalg.vector_norm(tensor, dim=tuple(range(1, tensor.ndim)), dtype=dtype))
        else:
            norms.append(_sparse_unit_norms(tensor, dtype))
    return torch.cat(norms)


def _sparse_unit_norms(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Return the norms of all rows of a sparse matrix; 0 for rows that are not stored."""
    whole = tensor.coalesce()
    values = whole.values()
    squares: Tensor = torch.linalg.vector_norm(values.reshape(len(values), -1), dim=1, dtype=dtype).square()
    return squares.new_zeros(len(tensor)).index_add(0, whole.indices()[0], squares).sqrt()


def _join_shards(group: _UnitGroup, cuts: Sequence[tuple[Tensor, tuple[MeshDim, ...]]]) -> None:
    """Combine the norms of units that are sharded across ranks; whole rows need no combination."""
    divided: dict[tuple[MeshDim, ...], list[int]] = {}
    for i, (param, dims) in enumerate(cuts):
        places = getattr(param, "placements", ())
        across = tuple((mesh, dim) for mesh, dim in dims if param.ndim <= 1 or places[dim].dim != 0)
        if across:
            divided.setdefault(across, []).append(i)
    for dims, members in divided.items():
        of_weights, of_grads = (
            group.weight_norms.split_with_sizes(group.units),
            group.grad_norms.split_with_sizes(group.units),
        )
        pieces = [of_weights[i] for i in members] + [of_grads[i] for i in members]
        whole = reduce_norms(torch.cat(pieces), 2.0, dims)
        for piece, norms in zip(pieces, whole.split_with_sizes([len(piece) for piece in pieces]), strict=True):
            piece.copy_(norms)
