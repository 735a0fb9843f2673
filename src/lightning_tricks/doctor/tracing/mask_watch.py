"""Mask watch: which positions of padded sequences attention leaves out, the padding or everything else."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from lightning_tricks.doctor.facts.trace_facts import MaskFact

ATTENTION = frozenset({"multi_head_attention_forward", "scaled_dot_product_attention", "softmax"})
"""Functions whose calls may mask keys."""

_LOW = -1e4  # additive masks use -inf or a large negative number
_FEWEST, _LEAST, _MOST = 4, 0.05, 0.95


class MaskWatch:
    """Compares the keys that attention masks with the padding of the batch.

    Args:
        leaves: the tensors of the batch.

    Attributes:
        facts: one fact for each attention that masks keys of padded sequences.

    Example:
        >>> ids = torch.tensor([[5, 3, 7, 2, 9, 4], [8, 6, 2, 0, 0, 0]])
        >>> watch = MaskWatch([ids])
        >>> watch.note("multi_head_attention_forward", "attention", {"key_padding_mask": ids != 0}, None)
        >>> watch.facts
        [MaskFact(module='attention', padding=0.0, others=1.0)]
    """

    def __init__(self, leaves: Iterable[Tensor]) -> None:
        self.facts: list[MaskFact] = []
        self._padding = [each for leaf in leaves if (each := find_padding(leaf)) is not None]

    def note(self, name: str, module: str, arguments: Mapping[str, Any], result: Any) -> None:
        """Note the mask of a call, if there is padding and the call is one of attention.

        Args:
            name: the normalized name of the function.
            module: the path of the module that called it.
            arguments: its arguments by name.
            result: its return value.
        """
        if not self._padding:
            return
        for padding in self._padding:
            masked = _masked_keys(name, arguments, result, padding)
            if masked is not None:
                shares = (float(masked[each].float().mean()) for each in (padding, ~padding))
                self.facts.append(MaskFact(module, *shares))
                return


def find_padding(leaf: Tensor) -> Tensor | None:
    """Return where sequences `(N, T)` of ids, or `(N, T, F)` of numbers, are padded; ``None`` if they are not.

    Padding is one id, or zeros, that fills the end or the beginning of rows of different lengths and occurs nowhere
    else.

    Example:
        >>> find_padding(torch.tensor([[5, 3, 7, 2], [8, 6, 0, 0]])).sum(1)
        tensor([0, 2])
    """
    if leaf.is_nested or leaf.is_meta or leaf.layout is not torch.strided:
        return None
    if leaf.is_floating_point():
        if leaf.dim() != 3 or leaf.shape[1] < _FEWEST:
            return None
        return _at_an_end((leaf == 0).all(-1), (leaf == 0).all(-1))
    if leaf.dim() != 2 or leaf.shape[1] < _FEWEST or leaf.dtype == torch.bool or len(torch.unique(leaf)) < _FEWEST:
        return None
    return _at_an_end(leaf == leaf[:, -1].mode().values, leaf == leaf[:, 0].mode().values)


def _at_an_end(last: Tensor, first: Tensor) -> Tensor | None:
    """Return the padding at the end, otherwise that at the beginning, of rows whose blanks are given for each case."""
    at_end = _at_end(last)
    if at_end is not None:
        return at_end
    at_start = _at_end(first.flip(1))
    return None if at_start is None else at_start.flip(1)


def _at_end(blank: Tensor) -> Tensor | None:
    """Return the blanks that end a row, if their numbers differ and there are no other blanks."""
    ending = blank.flip(1).long().cumprod(1).flip(1).bool()
    lengths, share = ending.sum(1), float(ending.float().mean())
    if not _LEAST < share < _MOST or len(torch.unique(lengths)) < 2 or bool((blank & ~ending).any()):
        return None
    return ending


def _masked_keys(name: str, arguments: Mapping[str, Any], result: Any, padding: Tensor) -> Tensor | None:
    """Return which keys `(N, T)` no query attends to; ``None`` if this is not attention over the padded sequences."""
    rows, length = padding.shape
    if name == "multi_head_attention_forward":
        mask = arguments.get("key_padding_mask")
        if not isinstance(mask, Tensor) or mask.shape != padding.shape:
            return None
        return mask < _LOW if mask.is_floating_point() else mask.bool()
    if name == "scaled_dot_product_attention":
        mask = arguments.get("attn_mask")
        if not isinstance(mask, Tensor) or mask.dim() < 3 or mask.shape[-1] != length or mask.shape[0] != rows:
            return None
        hidden = mask < _LOW if mask.is_floating_point() else ~mask.bool()
        return hidden.flatten(1, -2).all(1)
    if name == "softmax" and isinstance(result, Tensor) and result.dim() > 2 and result.shape[-1] == length:
        if result.shape[0] % rows or arguments.get("dim") not in (-1, result.dim() - 1):
            return None
        hidden = (result.detach() == 0).reshape(rows, -1, length).all(1)
        return hidden if bool(hidden.any()) else None
    return None
