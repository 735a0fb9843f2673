"""Rank sums: add up tensors over the processes of a run."""

import torch
from torch import Tensor


def sum_over_ranks_(tensor: Tensor) -> Tensor:
    """Replace a tensor by its sum over all processes, in place; without several processes it stays as it is."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(tensor)
    return tensor
