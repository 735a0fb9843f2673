"""Ledger: record which operation produced a tensor, or wrote into it last.

A tensor is identified by its identity, and by its storage for writes through other views.
"""

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary


class Ledger:
    """Maps live tensors to the index of an operation.

    Example:
        >>> import torch
        >>> ledger, x = Ledger(), torch.zeros(4)
        >>> ledger.note(x, 0)
        >>> view = x[:2]
        >>> ledger.note(view, 1, is_view=True)
        >>> ledger.find(x), ledger.find(view), ledger.find(x[2:])
        (0, 1, 0)
        >>> ledger.note_write(view, 2, whole=3)
        >>> ledger.find(x), ledger.find(view)
        (3, 2)
    """

    def __init__(self) -> None:
        self._made = WeakIdKeyDictionary()  # tensor -> (operation, latest operation at that time)
        self._storages: dict[int, int] = {}

    def find(self, tensor: Tensor) -> int | None:
        """Return the operation that produced the tensor's current values."""
        made, seen = self._made.get(tensor, (None, -1))  # type: ignore[no-untyped-call]
        wrote = self._storages.get(storage_of(tensor))
        return wrote if made is None or (wrote is not None and wrote > seen) else made

    def note(self, tensor: Tensor, index: int, *, is_view: bool = False) -> None:
        """Record that an operation produced a tensor; the storage entry of a view is not changed."""
        self._made[tensor] = (index, index)
        if not is_view:
            self._storages[storage_of(tensor)] = index  # also replaces the entry of an older storage at this address

    def note_write(self, tensor: Tensor, index: int, whole: int) -> None:
        """Record that an operation wrote into a tensor.

        Args:
            tensor: the tensor that was written into.
            index: the operation.
            whole: the operation that represents the whole storage; the same if the tensor covers all of it.
        """
        self._made[tensor] = (index, whole)
        self._storages[storage_of(tensor)] = whole


def storage_of(tensor: Tensor) -> int:
    """Return a number that identifies the memory of a tensor."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # sparse tensors and function transforms have no storage
        return id(tensor)


def covers_storage(tensor: Tensor) -> bool:
    """Return whether a tensor covers all of its storage."""
    try:
        return tensor.numel() * tensor.element_size() >= tensor.untyped_storage().nbytes()
    except (NotImplementedError, RuntimeError):
        return True
