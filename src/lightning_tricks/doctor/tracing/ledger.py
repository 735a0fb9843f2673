"""Ledger: which operation made a tensor, or wrote into it last.

A tensor is known by its identity, and by its storage for what is written through another view of it.
"""

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary


class Ledger:
    """Remembers for living tensors the index of an operation.

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
        self._made = WeakIdKeyDictionary()  # tensor -> (operation, the latest one that it has seen)
        self._storages: dict[int, int] = {}

    def find(self, tensor: Tensor) -> int | None:
        """Return the operation that made what the tensor holds now."""
        made, seen = self._made.get(tensor, (None, -1))  # type: ignore[no-untyped-call]
        wrote = self._storages.get(storage_of(tensor))
        return wrote if made is None or (wrote is not None and wrote > seen) else made

    def note(self, tensor: Tensor, index: int, *, is_view: bool = False) -> None:
        """Note that an operation made a tensor; a view of another tensor leaves its storage as it is."""
        self._made[tensor] = (index, index)
        if not is_view:
            self._storages[storage_of(tensor)] = index  # over what an older storage at this address held, too

    def note_write(self, tensor: Tensor, index: int, whole: int) -> None:
        """Note that an operation wrote into a tensor.

        Args:
            tensor: what was written into.
            index: the operation.
            whole: what stands for the whole storage from now on: the same, if the tensor is all of it.
        """
        self._made[tensor] = (index, whole)
        self._storages[storage_of(tensor)] = whole


def storage_of(tensor: Tensor) -> int:
    """Return a number for the memory that a tensor is a view of."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # sparse tensors and function transforms have none
        return id(tensor)


def covers_storage(tensor: Tensor) -> bool:
    """Return whether a tensor is all of its storage."""
    try:
        return tensor.numel() * tensor.element_size() >= tensor.untyped_storage().nbytes()
    except (NotImplementedError, RuntimeError):
        return True
