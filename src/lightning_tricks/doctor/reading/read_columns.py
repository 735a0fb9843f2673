"""Read columns: how the features of an input differ from each other."""

import torch
from torch import Tensor

from lightning_tricks.core.devices import precise
from lightning_tricks.doctor.facts.context_facts import ColumnsFact

_ROWS, _COLUMNS = 2048, 4096


def read_columns(tensor: Tensor) -> ColumnsFact | None:
    """Measure the columns of ``(N, F)`` and the channels of ``(N, C, H, W)`` and ``(N, C, D, H, W)``.

    For anything else, such as sequences, the layout is unknown, and the tensor counts as one column.

    Example:
        >>> read_columns(torch.tensor([[1.0, 5.0, 100.0], [2.0, 5.0, 300.0]]))
        ColumnsFact(rows=2, columns=3, constant=1, std_ratio=200.0, shares=(0.0, 0.0, 0.833...))
    """
    if tensor.is_nested:
        return None
    if not tensor.is_floating_point() or tensor.is_meta or tensor.layout is not torch.strided or not tensor.numel():
        return None
    with torch.no_grad():
        values = tensor.detach()[:_ROWS]
        if values.dim() in (4, 5):
            values = values[:64].transpose(0, 1).flatten(1).T
        elif values.dim() != 2:
            values = values.reshape(-1, 1)
        values = precise(values[: 1 << 16, :_COLUMNS]).nan_to_num()
        low, high = values.amin(0), values.amax(0)
        spread = values.std(0, correction=0)[low != high]
        ratio = spread.max() / spread.min().clamp_min(1e-300) if len(spread) else torch.ones(())
        shares = [(values < -1), (values < 0), (values > 1)]
        numbers = torch.stack([ratio, (low == high).sum(), *(share.double().mean() for share in shares)]).tolist()
    rows, columns = values.shape
    return ColumnsFact(rows, columns, int(numbers[1]), numbers[0], tuple(numbers[2:]))
