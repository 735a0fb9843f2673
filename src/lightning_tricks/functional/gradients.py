"""Gradients: measure and scale many tensors at once: dense, sparse, complex, sharded or mixed.

A sharded gradient (a DTensor) is changed in place through its local part; its norm is that of the whole tensor.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

# A dimension of a device mesh along which tensors are sharded. DTensors are recognized by attributes, not by class:
# importing the class takes most of a second, which programs without sharding should not pay.
MeshDim = tuple[Any, int]

_PLAIN = {Tensor, Parameter}
# its wrapper in `torch.utils._foreach_utils` enters `no_grad` again, at a cost in each step
_group_by_device_and_dtype: Any = torch._C._group_tensors_by_device_and_dtype


@torch.no_grad()
def tensor_norms(grads: Sequence[Tensor], norm_type: float = 2.0) -> Tensor:
    """Return the norm of each tensor, in at least float32, without a host synchronization.

    Args:
        grads: at least one tensor, of any devices and dtypes.
        norm_type: p of the p-norm; may be ``inf``.

    Returns:
        ``(N,)`` norms in the given order, on the first tensor's device. The norm of a sharded tensor covers all of its
        shards, so every rank gets the same numbers.

    Example:
        >>> tensor_norms([torch.tensor([3.0, 4.0]), torch.ones(1, 1)])
        tensor([5., 1.])
    """
    if _any_special(grads):
        grads = [_summed(grad) for grad in grads]
        parts = [_coalesced_values(grad) for grad in local_parts(grads)]
    else:
        parts = list(grads)
    if math.isinf(norm_type):  # undefined for an empty tensor, such as an empty shard
        parts = [part if part.numel() else part.new_zeros(1) for part in parts]
    groups = _group_by_device_and_dtype([parts], True)
    if len(groups) == 1:
        norms = list(_norms(parts, norm_type))
    else:
        ordered: dict[int, Tensor] = {}
        for (group,), indices in groups.values():
            ordered.update(zip(indices, _norms(group, norm_type), strict=True))
        dtype = torch.float64 if any(n.dtype == torch.float64 for n in ordered.values()) else torch.float32
        norms = [ordered[i].to(parts[0].device, dtype) for i in range(len(parts))]
    for mesh_dims, copies, indices in _shard_groups(grads):
        whole = reduce_norms(torch.stack([norms[i] for i in indices]), norm_type, mesh_dims, copies)
        for i, norm in zip(indices, whole.unbind(), strict=True):
            norms[i] = norm
    return torch.stack(norms)


def _norms(tensors: Sequence[Tensor], norm_type: float) -> tuple[Tensor, ...]:
    """Return norms that are accumulated and returned in at least float32."""
    half = tensors[0].dtype in (torch.float16, torch.bfloat16)
    if math.isinf(norm_type) and tensors[0].device.type == "cpu" and not tensors[0].is_complex():
        return tuple(_largest(tensor) for tensor in tensors)
    return torch._foreach_norm(list(tensors), norm_type, dtype=torch.float32 if half else None)


def _largest(tensor: Tensor) -> Tensor:
    """Return the largest absolute value; on a CPU, `norm` takes 15 times as long as both extremes of a large tensor."""
    if tensor.numel() < 4096:
        return _in_single(torch.linalg.vector_norm(tensor, math.inf))
    low, high = torch.aminmax(tensor)
    return _in_single(torch.maximum(high, -low))


def _in_single(norm: Tensor) -> Tensor:
    return norm if norm.dtype == torch.float64 else norm.float()


def join_norms(norms: Tensor, norm_type: float = 2.0) -> Tensor:
    """Return the total norm from the norms of the parts: ``(N,)`` to ``()``."""
    joined: Tensor = torch.linalg.vector_norm(norms, norm_type)
    return joined


def reduce_norms(norms: Tensor, norm_type: float, mesh_dims: Iterable[MeshDim], copies: int = 1) -> Tensor:
    """Return the norms of whole tensors from those of this rank's shards.

    Args:
        norms: norms of local parts.
        norm_type: p of the p-norm.
        mesh_dims: device mesh and mesh dimension, for each dimension along which the tensors are sharded.
        copies: number of ranks that hold the same part.
    """
    if math.isinf(norm_type):
        norms = norms.nan_to_num(nan=math.inf, posinf=math.inf)  # the maximum of NaN and a number may be either
        for mesh, dim in mesh_dims:
            torch.distributed.all_reduce(norms, torch.distributed.ReduceOp.MAX, group=mesh.get_group(dim))
        return norms
    powers = norms.pow(norm_type)
    for mesh, dim in mesh_dims:
        torch.distributed.all_reduce(powers, group=mesh.get_group(dim))
    return powers.div_(copies).pow_(1.0 / norm_type)


def shard_dims(tensor: Tensor) -> tuple[MeshDim, ...]:
    """Return the mesh dimensions along which a tensor is sharded; none for a tensor that is not."""
    places, mesh = getattr(tensor, "placements", ()), getattr(tensor, "device_mesh", None)
    return tuple((mesh, i) for i, place in enumerate(places) if not place.is_replicate())


def _shard_groups(grads: Sequence[Tensor]) -> list[tuple[tuple[MeshDim, ...], int, list[int]]]:
    """Return which tensors are sharded in the same way, so that they share a collective, and the copies of each.

    Unsharded tensors next to sharded ones are averaged over the ranks: nothing else makes their gradients equal, and
    decisions based on a norm must be the same on all ranks.
    """
    if set(map(type, grads)) <= _PLAIN:
        return []
    found: dict[tuple[MeshDim, ...], list[int]] = {}
    for i, grad in enumerate(grads):
        found.setdefault(shard_dims(grad), []).append(i)
    whole = found.pop((), [])
    groups = [(dims, 1, indices) for dims, indices in found.items()]
    if whole and groups:
        mesh: Any = next(iter(found))[0][0]
        groups.append((tuple((mesh, dim) for dim in range(mesh.ndim)), mesh.size(), whole))
    return groups


@torch.no_grad()
def scale_(grads: Sequence[Tensor], factor: Tensor) -> None:
    """Multiply every tensor by one factor, in place.

    Args:
        grads: at least one tensor, of any devices and dtypes.
        factor: ``()``, on any device.
    """
    parts = [_values(grad) for grad in local_parts(grads)] if _any_special(grads) else list(grads)
    groups = _group_by_device_and_dtype([parts], False)
    for (device, _), ((group,), _) in groups.items():
        torch._foreach_mul_(group, factor.to(device))


@torch.no_grad()
def clamp_(grads: Sequence[Tensor], limit: float) -> None:
    """Clamp every element to ``[-limit, limit]`` in place; real and imaginary parts separately."""
    merged: list[tuple[Tensor, Tensor]] = []
    parts = []
    for grad, part in zip(grads, local_parts(grads), strict=True):
        if part.layout == torch.sparse_coo and not part.is_coalesced():
            whole = part.coalesce()  # entries with the same index add up, so only their sum can be clamped
            merged.append((part, whole))
            part = whole
        if any(place.is_partial() for place in getattr(grad, "placements", ())):
            raise NotImplementedError("A gradient that is a partial sum on each rank cannot be clipped by value.")
        part = _values(part)
        parts.append(torch.view_as_real(part) if part.is_complex() else part)
    for (group,), _ in _group_by_device_and_dtype([parts], False).values():
        torch._foreach_clamp_min_(group, -limit)
        torch._foreach_clamp_max_(group, limit)
    for part, whole in merged:
        part.copy_(whole)


def real_parts(grads: Sequence[Tensor]) -> list[Tensor]:
    """Return views of complex tensors as real ones, to measure what :func:`clamp_` clamps."""
    return [torch.view_as_real(grad) if grad.is_complex() and not grad.is_sparse else grad for grad in grads]


def local_parts(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the part of each tensor on this rank: the tensor itself, or the shard of a DTensor."""
    if set(map(type, tensors)) <= _PLAIN:
        return list(tensors)
    return [tensor.to_local() if hasattr(tensor, "to_local") else tensor for tensor in tensors]


def _summed(tensor: Tensor) -> Tensor:
    """Return a DTensor whose ranks hold partial sums, as some tensor-parallel layers leave it, as a complete tensor."""
    places = getattr(tensor, "placements", ())
    if not any(place.is_partial() for place in places):
        return tensor
    from torch.distributed.tensor import Replicate

    whole = [Replicate() if place.is_partial() else place for place in places]
    return tensor.redistribute(placements=whole)  # type: ignore[attr-defined,no-any-return]


def _any_special(tensors: Sequence[Tensor]) -> bool:
    """Return whether any tensor is not plain and dense; called for every tensor in each step, so it must be cheap."""
    return not set(map(type, tensors)) <= _PLAIN or {tensor.layout for tensor in tensors} != {torch.strided}


def _values(tensor: Tensor) -> Tensor:
    """Return the stored values, possibly several for one index, which is sufficient for linear operations."""
    if tensor.layout == torch.strided:
        return tensor
    return tensor._values() if tensor.layout == torch.sparse_coo else tensor.values()


def _coalesced_values(tensor: Tensor) -> Tensor:
    """Return the values with duplicate indices summed, as norms require."""
    return _values(tensor.coalesce() if tensor.layout == torch.sparse_coo else tensor)
