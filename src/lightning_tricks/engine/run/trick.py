"""Trick: what all callbacks of the library share: identity, state, and participation in a run."""

import functools
import html
import inspect
from dataclasses import asdict
from typing import Any, ClassVar, TypeVar, final

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_tricks.engine.run.clock import ClockState
from lightning_tricks.engine.run.combinations import Purpose
from lightning_tricks.engine.run.ranks import plain
from lightning_tricks.engine.run.run import Run, run_of
from lightning_tricks.functional.run_plan import Fact
from lightning_tricks.reports.checklist import Role

_Kind = TypeVar("_Kind", bound=Callback)


def callbacks_of(trainer: Trainer, kind: type[_Kind]) -> list[_Kind]:
    """Return the callbacks of a kind, in the order in which the Trainer calls them."""
    return [cb for cb in trainer.callbacks if isinstance(cb, kind)]  # type: ignore[attr-defined]


class Trick(Callback):
    """A callback that stores its arguments under their own names and takes part in a run.

    A subclass stores the arguments of ``__init__`` under the same names, lists in ``identity`` the arguments that
    distinguish instances, returns what must survive a restart from ``plain_state``, and implements ``reset``,
    ``begin_fit``, ``end_fit`` and the hooks in which it acts. The base implementations of these do nothing; a subclass
    need not call them. ``setup``, ``state_dict`` and ``load_state_dict`` must not be overridden.
    """

    identity: ClassVar[tuple[str, ...]] = ()
    """Arguments that are part of the ``state_key``: they identify an instance and are not tunable."""
    goes_first: ClassVar[bool] = False
    """Whether it stands before all others in a list that is built from a configuration."""
    only_looks: ClassVar[bool] = False
    """Whether its per-step hooks do not change the step, so that trial steps need not call it."""
    begins_first: ClassVar[bool] = False
    """Whether ``begin_fit`` is called before that of the others, because it writes into the model."""
    checklist_roles: ClassVar[tuple[Role, ...]] = ()
    """The roles in which it answers the checklist of a run's report."""
    from_environment: bool = False
    """Whether this callback was added by the variable ``LIGHTNING_TRICKS`` rather than by the script."""

    _run: Run | None = None
    loaded_clock: ClockState | None = None
    """The clock's state from a checkpoint."""

    @functools.cached_property  # Lightning reads it at every hook of every step
    def state_key(self) -> str:
        """The class name and the identity of the instance: the key in ``checkpoint["callbacks"]``."""
        marks = {name: getattr(self, name) for name in self.identity}
        given = ", ".join(f"{name}={value}" for name, value in marks.items() if value is not None)
        return type(self).__name__ + (f"[{given}]" if given else "")

    @property
    def purpose(self) -> Purpose | None:
        """A purpose for which a run usually has a single trick; two with the same purpose cause a warning."""
        return None

    def plan_facts(self, run: Run) -> list[Fact]:
        """Return what the trick plans for the run; before the first batch, all plans are compared."""
        return []

    # -- fit --------------------------------------------------------------------------------------------------------

    @final
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Join the run of this fit, and drop an earlier one."""
        if stage != "fit":
            self.begin_evaluation(trainer, pl_module)
            return
        run = run_of(trainer)
        if run is not None and run.has_begun:  # from a fit that was interrupted before it could end
            run.end()
            run = None
        if run is None:
            _leave_to_explicit(trainer)
            run = Run(trainer, pl_module)
        if self.from_environment and self not in callbacks_of(trainer, Trick):
            return
        if any(other.state_key == self.state_key for other in run.members):
            raise MisconfigurationException(self.same_key_message())
        run.members.append(self)
        self._run, self.loaded_clock = run, None
        run.on_end(self._leave_run)
        self.reset()

    def _leave_run(self) -> None:
        if self._run is not None:
            self.loaded_clock = self._run.clock.state
        self._run = None

    def reset(self) -> None:
        """Reset the state of an earlier fit; a checkpoint's state is loaded afterwards."""

    def begin_fit(self, run: Run) -> None:
        """Begin in ``on_fit_start``: the optimizers are as the module built them, and no checkpoint is loaded yet.

        Checkpoints are loaded in ``on_train_start``, under every strategy.
        """

    def optimizers_replaced(self, run: Run) -> None:
        """Handle optimizers that have replaced the original ones."""

    def end_fit(self, run: Run) -> None:
        """End after a normal end (in ``teardown``) or, with ``run.error`` set, after an exception; called once."""

    def begin_evaluation(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin ``validate``, ``test`` or ``predict`` without fit, in ``setup``; most tricks do nothing."""

    def same_key_message(self) -> str:
        """Return the message that another instance cannot be distinguished from this one, and how to change that."""
        kind = type(self).__name__
        if not self.identity:
            return f"Two `{kind}` in one Trainer would do the same work twice. Remove one of them."
        arguments = " or ".join(f"`{name}`" for name in self.identity)
        return f"Two `{kind}` cannot be distinguished in a checkpoint ({self.state_key}). Give one another {arguments}."

    def __repr__(self) -> str:
        """Return the call that builds it, with the arguments that differ from their defaults."""
        parameters = inspect.signature(type(self).__init__).parameters
        given = [
            f"{name}={value!r}" for name, value in self.settings().items() if value != plain(parameters[name].default)
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def _repr_html_(self) -> str:
        purpose = (inspect.getdoc(type(self)) or "").partition("\n")[0]
        return f"<code>{html.escape(repr(self))}</code> {html.escape(purpose)}"

    def settings(self) -> dict[str, Any]:
        """Return the arguments as plain values that can be compared between processes."""
        parameters = list(inspect.signature(type(self).__init__).parameters.values())[1:]
        named = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        return {name: plain(getattr(self, name)) for name in named}

    # -- state ----------------------------------------------------------------------------------------------------

    # Lightning refuses two stateful callbacks of one key before any hook of theirs runs, in words that do not say what
    # explain what to change. It follows `wraps`, so this method passes its check, and `setup` gives a better message.
    @final
    @functools.wraps(Callback.state_dict)
    def state_dict(self) -> dict[str, Any]:  # type: ignore[override]
        clock = self._run.clock.state if self._run is not None else self.loaded_clock or ClockState()
        return {"clock": asdict(clock), **self.plain_state()}

    @final
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state from a checkpoint until training starts."""
        state = dict(state_dict)
        self.loaded_clock = ClockState(**state.pop("clock"))
        self.load_plain_state(state)

    def plain_state(self) -> dict[str, Any]:
        """Return what must survive a restart: plain numbers, strings, lists, dicts and tensors."""
        return {}

    def load_plain_state(self, state: dict[str, Any]) -> None:
        """Load the result of :meth:`plain_state`; arguments given in the code take precedence over a checkpoint's."""


def _leave_to_explicit(trainer: Trainer) -> None:
    """Remove callbacks added by the environment variable from a Trainer that already has some of their class."""
    tricks = callbacks_of(trainer, Trick)
    explicit = {type(trick) for trick in tricks if not trick.from_environment}
    leaving = [trick for trick in tricks if trick.from_environment and type(trick) in explicit]
    if leaving:  # a new list, because Lightning is iterating over the old one
        trainer.callbacks = [cb for cb in trainer.callbacks if cb not in leaving]  # type: ignore[attr-defined]
