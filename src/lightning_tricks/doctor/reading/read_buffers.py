"""Read buffers: find non-finite values."""

from collections.abc import Iterator

import torch
from torch import nn

from lightning_tricks.doctor.facts.model_facts import BufferFact
from lightning_tricks.doctor.reading.measure_tensors import local_part


def read_nonfinite_buffers(model: nn.Module) -> Iterator[BufferFact]:
    """Yield the floating-point buffers with a non-finite value.

    Example:
        >>> norm = nn.BatchNorm1d(2)
        >>> norm.running_mean[0] = float("nan")
        >>> list(read_nonfinite_buffers(norm))
        [BufferFact(name='running_mean', nan=1, infinite=0)]
    """
    for name, buffer in model.named_buffers():
        value = local_part(buffer)
        if nn.parameter.is_lazy(value) or not value.is_floating_point() or value.is_meta or not value.numel():
            continue
        if value.layout is not torch.strided or bool(torch.isfinite(value).all()):
            continue
        yield BufferFact(name, int(torch.isnan(value).sum()), int(torch.isinf(value).sum()))
