"""Tricks: what every callback of the library shares, its identity and one look at its siblings when fit starts."""

import functools
import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer

_Kind = TypeVar("_Kind", bound=Callback)


def callbacks_of(trainer: Trainer, kind: type[_Kind]) -> list[_Kind]:
    """Return the callbacks of a kind, in the order in which the Trainer calls them."""
    return [cb for cb in trainer.callbacks if isinstance(cb, kind)]  # type: ignore[attr-defined]


class Trick(Callback):
    """A callback that stores its arguments under their own names and is known by what identifies it.

    Subclasses store what ``__init__`` was given under the same names, name in ``identity`` the arguments that tell two
    instances apart, and put what must survive a restart into ``state_dict``. Those that override ``setup`` or
    ``on_fit_start`` call this class's.
    """

    identity: ClassVar[tuple[str, ...]] = ()
    """Arguments that are part of the ``state_key``: what an instance is, never how it is tuned."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Class names of callbacks without which this one cannot work."""
    conflicts: ClassVar[tuple[str, ...]] = ()
    """Class names of callbacks beside which this one cannot work."""
    after: ClassVar[tuple[str, ...]] = ()
    """Class names of callbacks that belong before this one in a list."""

    @property
    def state_key(self) -> str:
        """The class name and what identifies the instance: the entry of ``checkpoint["callbacks"]``."""
        marks = {name: getattr(self, name) for name in self.identity}
        given = ", ".join(f"{name}={value}" for name, value in marks.items() if value is not None)
        return type(self).__name__ + (f"[{given}]" if given else "")

    # Lightning refuses two stateful callbacks of one key before any hook of theirs runs, in words that do not say what
    # to change. It looks through `wraps`, so this one passes its check, and `setup` says it better.
    @functools.wraps(Callback.state_dict)
    def state_dict(self) -> dict[str, Any]:  # type: ignore[override]
        return self.plain_state()

    def plain_state(self) -> dict[str, Any]:
        """Return what must survive a restart: plain numbers, strings, lists, dicts and tensors."""
        return {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a sibling that cannot be told from this one."""
        if stage != "fit":
            return
        if any(other is not self and other.state_key == self.state_key for other in callbacks_of(trainer, Trick)):
            raise MisconfigurationException(self._same_key())

    def _same_key(self) -> str:
        kind = type(self).__name__
        if not self.identity:
            return f"Two `{kind}` in one Trainer would do the same work twice. Remove one of them."
        arguments = " or ".join(f"`{name}`" for name in self.identity)
        return f"Two `{kind}` cannot be told apart in a checkpoint ({self.state_key}). Give one another {arguments}."

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the first trick of the list check that all ranks were configured alike."""
        if callbacks_of(trainer, Trick)[0] is self:
            check_ranks_agree(trainer)

    def settings(self) -> dict[str, Any]:
        """Return the arguments as plain values that can be compared between processes."""
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        return {name: _plain(getattr(self, name)) for name in names}


def check_ranks_agree(trainer: Trainer) -> None:
    """Raise on every rank if the ranks were given different tricks, arguments or learning rates.

    A sweep that runs anew in each child process does that, silently: rank 0 trains with one rate, rank 1 with another.

    Raises:
        MisconfigurationException: they differ; the message names what, with the value of each rank.
    """
    if trainer.world_size == 1 or not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    mine = {cb.state_key: cb.settings() for cb in callbacks_of(trainer, Trick)}
    mine["optimizers"] = {
        f"{i} ({type(optimizer).__name__})": [float(group["lr"]) for group in optimizer.param_groups if group.get("lr")]
        for i, optimizer in enumerate(trainer.optimizers)
    }
    everyone: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(everyone, mine)
    differing = [
        f"{owner}.{name}: {' / '.join(repr(ranks.get(owner, {}).get(name)) for ranks in everyone)}"
        for owner in dict.fromkeys(owner for ranks in everyone for owner in ranks)
        for name in dict.fromkeys(name for ranks in everyone for name in ranks.get(owner, {}))
        if any(ranks.get(owner, {}).get(name) != mine.get(owner, {}).get(name) for ranks in everyone)
    ]
    if any(ranks != mine for ranks in everyone):
        raise MisconfigurationException(
            "The processes of this run were configured differently (rank 0 / rank 1 / ...): "
            + "; ".join(differing or ["the list of callbacks"])
            + ". Values drawn at random, by a sweeper for instance, must be drawn once and handed to every process: "
            "use `strategy=ddp_spawn` or `ddp_fork` in a sweep, or fix the values on the command line."
        )


def _plain(value: object) -> object:
    """Return something that is equal in every process if the value is, without addresses."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "__qualname__"):
        return value.__qualname__
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text
