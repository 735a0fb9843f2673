"""Combinations: warn about tricks in one Trainer with the same purpose, which is allowed but rarely intended."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal, Protocol

from lightning_utilities.core.rank_zero import rank_zero_warn

Purpose = Literal["schedule", "norm clipping", "mixing"]
"""A purpose for which a run usually has a single trick."""

_EXPLANATIONS: dict[Purpose, str] = {
    "schedule": (
        "schedule the learning rate over the whole run, and their factors multiply. Keep one of them. To follow "
        "one schedule with another, use `LRSchedule(join(...))`; if a product is intended, `LRSchedule(product(...))`."
    ),
    "norm clipping": "bound the norm of the same gradient, one after the other. Keep one of them.",
    "mixing": (
        "mix the rows of every batch, one after the other. Keep one of them. To use each for some batches, give each "
        "a `p` below 1."
    ),
}


class HasPurpose(Protocol):
    """The attributes of a trick that are read."""

    @property
    def purpose(self) -> Purpose | None: ...

    @property
    def state_key(self) -> str: ...


def warn_of_shared_purposes(tricks: Iterable[HasPurpose]) -> None:
    """Warn, once per purpose, about tricks that share it; tricks without a purpose can be combined with any other."""
    sharing: dict[Purpose, list[str]] = defaultdict(list)
    for trick in tricks:
        if trick.purpose is not None:
            sharing[trick.purpose].append(trick.state_key)
    for purpose, names in sharing.items():
        if len(names) > 1:
            listed = ", ".join(f"`{name}`" for name in names[:-1]) + f" and `{names[-1]}`"
            rank_zero_warn(f"{listed} {'both' if len(names) == 2 else 'all'} {_EXPLANATIONS[purpose]}")
