"""Host copy: copy many small tensors to host memory with one synchronization per device."""

from collections.abc import Sequence

import torch
from torch import Tensor


def to_host(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return float32 copies in host memory with the same shapes.

    Example:
        >>> to_host([torch.ones(2), torch.tensor(3)])
        [tensor([1., 1.]), tensor(3.)]
    """
    found: dict[int, Tensor] = {}
    for device in {tensor.device for tensor in tensors}:
        here = [(place, tensor) for place, tensor in enumerate(tensors) if tensor.device == device]
        joined = torch.cat([tensor.detach().reshape(-1).to(torch.float32) for _, tensor in here]).cpu()
        parts = torch.split_with_sizes(joined, [tensor.numel() for _, tensor in here])
        found |= {place: part.reshape(tensor.shape) for (place, tensor), part in zip(here, parts, strict=True)}
    return [found[place] for place in range(len(tensors))]
