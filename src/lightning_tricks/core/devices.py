"""Devices: what differs between kinds of devices, and tensors on several of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

_WITHOUT_FLOAT64 = frozenset({"mps"})


def precise_dtype(device: torch.device) -> torch.dtype:
    """Return float64, or float32 on a device that does not have float64, as MPS.

    Example:
        >>> precise_dtype(torch.device("cuda")), precise_dtype(torch.device("mps"))
        (torch.float64, torch.float32)
    """
    return torch.float32 if device.type in _WITHOUT_FLOAT64 else torch.float64


def precise(tensor: Tensor) -> Tensor:
    """Return a tensor in float64, in host memory if its device does not have float64."""
    return (tensor.cpu() if precise_dtype(tensor.device) != torch.float64 else tensor).double()


def stack_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors of one shape, stacked on the device of the first; a model may be spread over several devices.

    Args:
        tensors: at least one.
    """
    device = tensors[0].device
    blocks = device.type == "cpu"  # what does not block arrives in host memory at an unknown time
    return torch.stack([tensor.to(device, non_blocking=not blocks) for tensor in tensors])
