"""Tricks: what every callback of the library shares, its identity and one look at its siblings when fit starts."""

import functools
import html
import inspect
from typing import Any, ClassVar, TypeVar

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_tricks.engine.run.combinations import Purpose, warn_of_shared_purposes
from lightning_tricks.engine.run.ranks import check_ranks_agree, plain, warn_if_nothing_is_sharded

_Kind = TypeVar("_Kind", bound=Callback)


def callbacks_of(trainer: Trainer, kind: type[_Kind]) -> list[_Kind]:
    """Return the callbacks of a kind, in the order in which the Trainer calls them."""
    return [cb for cb in trainer.callbacks if isinstance(cb, kind)]  # type: ignore[attr-defined]


def leave_to_explicit(trainer: Trainer) -> None:
    """Take callbacks that an environment variable asked for out of a Trainer that was given some of their class."""
    tricks = callbacks_of(trainer, Trick)
    explicit = {type(trick) for trick in tricks if not trick.from_environment}
    leaving = [trick for trick in tricks if trick.from_environment and type(trick) in explicit]
    if leaving:  # a new list: Lightning is going through the old one
        trainer.callbacks = [cb for cb in trainer.callbacks if cb not in leaving]  # type: ignore[attr-defined]


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
    only_looks: ClassVar[bool] = False
    """Whether its hooks in a step change nothing of it, so that trial steps go without it."""
    from_environment: bool = False
    """Whether the variable ``LIGHTNING_TRICKS`` asked for this one, and nobody in the script."""

    @functools.cached_property  # Lightning asks for it at every hook of every step
    def state_key(self) -> str:
        """The class name and what identifies the instance: the entry of ``checkpoint["callbacks"]``."""
        marks = {name: getattr(self, name) for name in self.identity}
        given = ", ".join(f"{name}={value}" for name, value in marks.items() if value is not None)
        return type(self).__name__ + (f"[{given}]" if given else "")

    @property
    def purpose(self) -> Purpose | None:
        """What a run has one trick for, as a rule: two with the same purpose are warned about."""
        return None

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
        leave_to_explicit(trainer)
        if self.from_environment and self not in callbacks_of(trainer, Trick):
            return
        if any(other is not self and other.state_key == self.state_key for other in callbacks_of(trainer, Trick)):
            raise MisconfigurationException(self.same_key_message())

    def same_key_message(self) -> str:
        """Say that a sibling cannot be told from this one, and what to change."""
        kind = type(self).__name__
        if not self.identity:
            return f"Two `{kind}` in one Trainer would do the same work twice. Remove one of them."
        arguments = " or ".join(f"`{name}`" for name in self.identity)
        return f"Two `{kind}` cannot be told apart in a checkpoint ({self.state_key}). Give one another {arguments}."

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the first trick of the list look, for all, at what the processes have in common."""
        tricks = callbacks_of(trainer, Trick) or [self]  # alone where another callback wraps it
        if tricks[0] is self:
            check_ranks_agree(trainer, {trick.state_key: trick.settings() for trick in tricks})
            warn_if_nothing_is_sharded(trainer, pl_module)
            warn_of_shared_purposes(tricks)

    def __repr__(self) -> str:
        """Return the call that builds it, with the arguments that are not at their defaults."""
        parameters = list(inspect.signature(type(self).__init__).parameters.values())[1:]
        values = self.settings()
        given = [f"{p.name}={values[p.name]!r}" for p in parameters if values[p.name] != plain(p.default)]
        return f"{type(self).__name__}({', '.join(given)})"

    def _repr_html_(self) -> str:
        purpose = (inspect.getdoc(type(self)) or "").partition("\n")[0]
        return f"<code>{html.escape(repr(self))}</code> {html.escape(purpose)}"

    def settings(self) -> dict[str, Any]:
        """Return the arguments as plain values that can be compared between processes."""
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        return {name: plain(getattr(self, name)) for name in names}
