"""Splits: training and validation rows, stratified or by groups, the same on every machine."""

import random
from collections import defaultdict
from collections.abc import Hashable, Sized
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_warn
from torch import Tensor
from torch.utils.data import Dataset, Subset

from lightning_tricks.core.arguments import check_count, check_number, shown_with_type

Rows = list[int]


def train_val_split(
    dataset: Dataset[Any], val: float = 0.2, *, targets: Any = None, groups: Any = None, seed: int = 0
) -> tuple[Subset[Any], Subset[Any]]:
    """Split a dataset into training and validation rows.

    The split depends only on ``seed``, the number of rows, and ``targets`` or ``groups``, not on the version of torch
    or the machine. Global random state is not changed.

    Args:
        dataset: map-style, with at least two rows.
        val: share of the validation rows, in (0, 1); a value outside [0.1, 0.3] causes a warning.
        targets: one class per row: each class is split in the same proportion, up to rounding, and keeps at least one
            training row.
        groups: one value per row (a patient, a speaker, a document): all rows of a group are on the same side, so that
            validation uses unseen groups. ``val`` is then met as closely as the groups permit.
        seed: seed of the shuffle.

    Returns:
        The training rows and the validation rows, each in the dataset's order.

    Raises:
        TypeError: the dataset has no length, or an argument has the wrong type.
        ValueError: ``val`` is out of range, the entries do not match the rows, both ``targets`` and ``groups`` are
            given, or one side of the split is empty.

    Example:
        >>> train, val = train_val_split(list(range(10)), targets=[0] * 5 + [1] * 5)
        >>> len(train), sorted(row // 5 for row in val)
        (8, [0, 1])
    """
    if not isinstance(dataset, Sized):
        raise TypeError(f"`dataset` must be map-style, with a length, got {type(dataset).__name__}.")
    _check_share(val)
    check_count("seed", seed, 0)
    count = len(dataset)
    if targets is not None and groups is not None:
        raise ValueError(
            "`targets` and `groups` must not be given together, because a group is never split to balance "
            "classes. Give one of them."
        )
    drawn = random.Random(seed)
    # `random` is the only method whose sequence is guaranteed not to change
    keys = [drawn.random() for _ in range(count)]
    if groups is not None:
        chosen = _by_groups(_members("groups", groups, count), keys, val * count)
    else:
        chosen = _by_class(_members("targets", [0] * count if targets is None else targets, count), keys, val)
    held_out = set(chosen)
    rest = [row for row in range(count) if row not in held_out]
    if not held_out or not rest:
        raise ValueError(
            f"`val={val}` leaves {len(rest)} training and {len(held_out)} validation rows of {count}; use more rows, "
            f"another share, or cross-validation."
        )
    return Subset(dataset, rest), Subset(dataset, sorted(held_out))


def _check_share(val: object) -> None:
    share = check_number("val", val, 0, 1, low_open=True, high_open=True)
    if not 0.1 <= share <= 0.3:
        rank_zero_warn(
            f"`val={share:g}` is outside [0.1, 0.3]: with less, validation scores are noisy; with more, training lacks "
            f"rows."
        )


def _members(name: str, labels: Any, count: int) -> list[Rows]:
    """Return the rows of each label, in the order in which labels first occur."""
    values = labels.tolist() if isinstance(labels, Tensor) or hasattr(labels, "tolist") else list(labels)
    if len(values) != count:
        raise ValueError(f"`{name}` must have one entry per row, {count}, got {len(values)}.")
    members: dict[Hashable, Rows] = defaultdict(list)
    for row, value in enumerate(values):
        if not isinstance(value, Hashable) or value != value:
            raise TypeError(f"`{name}` must contain one label per row, got {shown_with_type(value)} in row {row}.")
        members[value].append(row)
    return list(members.values())


def _by_class(classes: list[Rows], keys: list[float], val: float) -> Rows:
    """Draw the same share of each class; the largest remainders are rounded up until the total is correct."""
    wanted = [val * len(rows) for rows in classes]
    taken = [int(want) for want in wanted]
    missing = max(1, round(sum(wanted))) - sum(taken)
    by_remainder = sorted(range(len(classes)), key=lambda i: (taken[i] - wanted[i], -len(classes[i])))
    for i in by_remainder:
        if missing > 0 and taken[i] < len(classes[i]) - 1:
            taken[i] += 1
            missing -= 1
    shuffled = [sorted(rows, key=keys.__getitem__) for rows in classes]
    return [row for rows, number in zip(shuffled, taken, strict=True) for row in rows[:number]]


def _by_groups(groups: list[Rows], keys: list[float], wanted: float) -> Rows:
    """Take groups in random order as long as each brings the number of rows closer to the target."""
    if len(groups) < 2:
        raise ValueError(f"`groups` must contain at least two groups, got {len(groups)}: a group is never split.")
    shuffled = sorted(groups, key=lambda rows: keys[rows[0]])
    chosen: Rows = []
    for rows in shuffled[:-1] if len(groups) == 2 else shuffled:
        if abs(len(chosen) + len(rows) - wanted) < abs(len(chosen) - wanted):
            chosen += rows
    return chosen or min(shuffled, key=len)
