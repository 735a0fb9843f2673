"""Rank sums: add up tensors over the processes of a run."""

import torch
from torch import Tensor


def sum_over_ranks_(tensor: Tensor) -> Tensor:
    """Replace a tensor by its sum over all processes, in place; in a single process it is not changed."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(tensor)
    return tensor
