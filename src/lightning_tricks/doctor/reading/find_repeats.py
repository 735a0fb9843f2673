"""Find repeats: columns of the inputs that hold the numbers of another leaf of the batch, such as the target."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from lightning_tricks.core.devices import precise
from lightning_tricks.doctor.facts.evidence import RepeatFact

_ROWS, _COLUMNS = (32, 4096), 4096
_EXACT = 1e-6


def find_repeats(leaves: Sequence[tuple[str, Tensor]]) -> Iterator[RepeatFact]:
    """Yield the columns of tables ``(N, F)`` that are a linear function of one whole number per row.

    Args:
        leaves: the tensors of a batch by their places. Fewer than 32 rows are not compared: a short column of zeros and
            ones may repeat another by chance.

    Example:
        >>> y = torch.arange(32) % 3
        >>> x = torch.stack([torch.linspace(-1, 1, 32), (y - 1.0) / 0.8], dim=1)
        >>> list(find_repeats([("0", x), ("1", y)]))
        [RepeatFact(path='0', column=1, of='1')]
    """
    for of, numbers in leaves:
        if not _is_one_whole_number_per_row(numbers):
            continue
        wanted = _standardized(numbers.reshape(-1, 1)[: _ROWS[1]])
        for path, table in leaves:
            if not table.is_floating_point() or table.dim() != 2 or len(table) != len(numbers) or table.is_sparse:
                continue
            if not 1 < table.shape[1] <= _COLUMNS or not bool(wanted.any()):
                continue
            likeness = (_standardized(table[: _ROWS[1]]) * wanted).sum(0).abs()
            yield from (RepeatFact(path, int(column), of) for column in (likeness > 1 - _EXACT).nonzero().flatten())


def _is_one_whole_number_per_row(leaf: Tensor) -> bool:
    if leaf.is_sparse or leaf.is_nested or leaf.is_meta or leaf.is_complex() or not leaf.dim():
        return False
    if not _ROWS[0] <= len(leaf) == leaf.numel():
        return False
    return not leaf.is_floating_point() or bool((leaf == leaf.floor()).all())


def _standardized(table: Tensor) -> Tensor:
    """Return the columns with mean 0 and norm 1; constant ones, and those that are not finite, as zeros."""
    exact = precise(table.detach())
    centered = exact - exact.mean(0)
    return torch.nan_to_num(centered / centered.norm(dim=0), nan=0.0, posinf=0.0, neginf=0.0)
