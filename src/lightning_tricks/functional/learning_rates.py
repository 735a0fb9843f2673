"""Learning rates: a base for each parameter group times factors, written into an optimizer by one writer."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

Factor = float | Sequence[float]
"""One multiplier for all parameter groups, or one per group."""
_NUMBERS = {int, float}


class SecondWriter(NamedTuple):
    """A learning rate that differs from the last one written, because another writer changed it."""

    group: int
    found: float
    expected: float


class LearningRates:
    """The learning rates of one optimizer.

    Args:
        optimizer: any optimizer whose groups have an ``lr``, a number or a tensor; tensors are written in place.
        base: the rates that its groups were built with, if known; by default :func:`built_lr`.

    Attributes:
        base: the rate of each group that the factors multiply; initially the rate it was built with.
        highest: the largest rate in the last write; 0 before the first.

    Raises:
        ValueError: a group without a learning rate (``lr=None`` of a self-tuning optimizer).
    """

    def __init__(self, optimizer: Optimizer, base: Sequence[float] = ()) -> None:
        self.optimizer = optimizer
        self.base: list[float] = list(base)
        self.highest = 0.0
        self._written: list[_Mark | None] = [None] * len(self.base)
        self._adopt_groups()

    def write_(self, factors: Iterable[Factor]) -> SecondWriter | None:
        """Set each group's rate to its base times the product of the factors.

        Args:
            factors: multipliers; the result does not depend on their order, even in the last bit.

        Returns:
            The first group that another writer changed since the last call, if any.
        """
        factors = list(factors)
        groups = self.optimizer.param_groups
        if len(self.base) < len(groups):
            self._adopt_groups()
        shared = multiply(factors) if _NUMBERS.issuperset(map(type, factors)) else None
        stranger, self.highest = None, 0.0
        for i, group in enumerate(groups):
            mark, lr = self._written[i], group["lr"]
            value = self.base[i] * (multiply(factors, i) if shared is None else shared)
            is_ours = mark is None or (lr is mark.holder and mark.version is None) or mark.stands_in(lr)
            if not is_ours and mark is not None and stranger is None:
                stranger = SecondWriter(i, float(lr), mark.value)
            if type(lr) is float:
                group["lr"] = value
                self._written[i] = _Mark(value, value, None)
            else:
                self._written[i] = _write_lr_(group, value)
            self.highest = max(self.highest, value)
        return stranger

    def _adopt_groups(self) -> None:
        """Add the groups that are new since the last call."""
        unshare_lrs_(self.optimizer)
        for group in self.optimizer.param_groups[len(self.base) :]:
            self.base.append(self._base_of(group))
            self._written.append(None)

    def _base_of(self, group: dict[str, Any]) -> float:
        """Return the base of a new group: its own rate, or the base of a group whose current rate it was given."""
        lr = built_lr(self.optimizer, group)
        known = zip(self.base, self._written, strict=True)
        return next((base for base, mark in known if mark is not None and mark.value == lr), lr)


class _Mark(NamedTuple):
    """The last write: the value, the object that holds it and, for a tensor, its version.

    Comparing the value of a tensor would need a host synchronization; every write, including ours, increases the
    version.
    """

    value: float
    holder: float | Tensor
    version: int | None

    def stands_in(self, lr: float | Tensor) -> bool:
        if self.version is None:
            return lr is self.holder or bool(lr == self.value)
        return lr is self.holder and isinstance(lr, Tensor) and lr._version == self.version


def _write_lr_(group: dict[str, Any], value: float) -> _Mark:
    lr = group["lr"]
    if type(lr) is not float and isinstance(lr, Tensor):
        with torch.no_grad():
            lr.fill_(value)
        return _Mark(value, lr, lr._version)
    group["lr"] = value
    return _Mark(value, value, None)


def multiply(factors: Iterable[Factor], group: int = 0) -> float:
    """Return the product of the factors for one group, bit for bit independent of their order.

    Floating-point products commute but do not associate, hence the sorting.

    Example:
        >>> multiply([0.1, 0.7, [1.0, 0.3]], group=1) == multiply([[1.0, 0.3], 0.7, 0.1], group=1)
        True
    """
    return math.prod(sorted([f if isinstance(f, (int, float)) else f[group] for f in factors]))


def unshare_lrs_(optimizer: Optimizer) -> None:
    """Give each group its own tensor: torch shares one tensor among all groups built without a rate.

    Example:
        >>> groups = [{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)]}]
        >>> optimizer = torch.optim.Adam(groups, lr=torch.tensor(0.1))
        >>> unshare_lrs_(optimizer)
        >>> optimizer.param_groups[0]["lr"] is optimizer.param_groups[1]["lr"]
        False
    """
    seen: list[Tensor] = []
    for group in optimizer.param_groups:
        lr = group.get("lr")
        if isinstance(lr, Tensor):
            if any(lr is other for other in seen):
                group["lr"] = lr.detach().clone()
            seen.append(lr)
    default = defaults_of(optimizer).get("lr")
    if isinstance(default, Tensor) and any(default is lr for lr in seen):  # for groups that are added later
        optimizer.defaults["lr"] = default.detach().clone()


def defaults_of(optimizer: Any) -> dict[str, Any]:
    """Return the arguments that an optimizer was built with; an engine's wrapper of an optimizer may not have them."""
    wrapped = getattr(optimizer, "optimizer", None)
    defaults: dict[str, Any] = getattr(optimizer, "defaults", getattr(wrapped, "defaults", {}))
    return defaults


def built_lr(optimizer: Optimizer, group: dict[str, Any]) -> float:
    """Return the rate that a group was built with, even if a scheduler has changed it since.

    A scheduler keeps it as ``initial_lr``. Cyclic schedulers (those with a ``max_lr``) overwrite that as well; then the
    optimizer's default is returned.

    Raises:
        ValueError: the group has no learning rate.
    """
    lr = defaults_of(optimizer).get("lr") if "max_lr" in group else group.get("initial_lr", group.get("lr"))
    if lr is None:
        raise ValueError(
            f"A parameter group of {type(optimizer).__name__} has no learning rate (`lr`={group.get('lr')!r}). "
            "Build the optimizer with a number, or remove the callbacks that schedule its learning rate."
        )
    return float(lr)
