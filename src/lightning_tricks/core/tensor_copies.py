"""Tensor copies: copy and restore tensors of any layout, and detect whether tensors have changed."""

from collections.abc import Mapping

import torch
from torch import Tensor

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_COMPRESSED = (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)


def is_plain(tensor: Tensor) -> bool:
    """Return whether a tensor is a dense array of numbers in memory.

    Sparse, nested, quantized and opaque tensors are not, nor is one on the meta device, which has no memory.
    """
    return tensor.layout == torch.strided and not (tensor.is_nested or tensor.is_quantized or tensor.is_meta)


def without_repeats(tensor: Tensor) -> Tensor:
    """Return the view of an expanded tensor that contains each value once; any other tensor unchanged.

    Example:
        >>> without_repeats(torch.zeros(4).expand(3, 4)).shape
        torch.Size([1, 4])
    """
    if not is_plain(tensor) or 0 not in tensor.stride():
        return tensor
    for dim, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        if stride == 0 and size > 1:
            tensor = tensor.narrow(dim, 0, 1)
    return tensor


def overwrite_(tensor: Tensor, copy: Tensor) -> None:
    """Write a copy into a tensor of the same shape, in place.

    Tensors without memory of fixed size (sparse ones) receive a copy of the copy's memory. Tensors on the meta device
    have no values and stay unchanged.

    Raises:
        RuntimeError: the shapes differ.
    """
    if tensor.is_meta:
        return
    with torch.inference_mode(tensor.is_inference()), torch.no_grad():
        if is_plain(tensor):
            target = without_repeats(tensor.detach())
            repeated = copy.shape != target.shape and copy.shape == tensor.shape
            target.copy_(copy[tuple(slice(size) for size in target.shape)] if repeated else copy)
        elif tensor.layout in _COMPRESSED:  # these ignore an assignment to `data`
            tensor.detach().resize_as_sparse_(copy).copy_(copy)
        elif tensor.layout == torch.jagged:  # a subclass whose components are Python attributes
            tensor.detach().copy_(copy)
        else:
            tensor.data = copy.detach().clone().to(tensor.device)


def bit_sums(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the sum of the bit patterns of each tensor, as integers on its device, without a synchronization.

    Equal tensors have equal sums. A change that does not affect the sum, such as a permutation, is not detected.

    Example:
        >>> ones = bit_sums({"weight": torch.ones(2)})
        >>> changed_names(ones, bit_sums({"weight": torch.tensor([1.0, 1.0000001])}))
        ['weight']
    """
    return {name: _bit_sum(tensor.detach()) for name, tensor in tensors.items() if is_plain(tensor)}


def _bit_sum(tensor: Tensor) -> Tensor:
    tensor = without_repeats(tensor)
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    tensor = tensor.resolve_neg()
    starts = tensor.storage_offset() * tensor.element_size()
    if tensor.is_contiguous() and tensor.nbytes % 8 == starts % 8 == 0:  # several values per integer
        return tensor.view(-1).view(torch.int64).sum()
    return tensor.view(_INTEGERS[tensor.element_size()]).sum(dtype=torch.int64)


def changed_names(before: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> list[str]:
    """Return the names in both whose sums differ; synchronizes with the device once."""
    both = [name for name in before if name in now]
    if not both:
        return []
    device = now[both[0]].device
    then = torch.stack([before[name].to(device) for name in both])
    differs = (then != torch.stack([now[name].to(device) for name in both])).tolist()
    return [name for name, changed in zip(both, differs, strict=True) if changed]
