"""Run: what all tricks of one Trainer share during one fit."""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar
from weakref import WeakKeyDictionary

from lightning.pytorch import LightningModule, Trainer
from lightning_utilities.core.rank_zero import rank_zero_warn
from torch.optim import Optimizer

from lightning_tricks.core.class_names import is_instance_of
from lightning_tricks.engine.run.clock import Clock, ClockState
from lightning_tricks.engine.run.combinations import warn_of_plan_conflicts, warn_of_shared_purposes
from lightning_tricks.engine.run.driver import RunDriver
from lightning_tricks.engine.run.idle_hooks import hide_idle_hooks
from lightning_tricks.engine.run.ranks import check_ranks_agree, warn_if_nothing_is_sharded
from lightning_tricks.engine.run.wrapped_method import call_with
from lightning_tricks.functional.run_plan import Fact

_RUNS: "WeakKeyDictionary[Trainer, Run]" = WeakKeyDictionary()


class Member(Protocol):
    """What a run needs from a trick."""

    loaded_clock: ClockState | None
    begins_first: ClassVar[bool]

    @property
    def state_key(self) -> str: ...
    def settings(self) -> dict[str, Any]: ...
    def plan_facts(self, run: Any) -> list[Fact]: ...
    def begin_fit(self, run: Any) -> None: ...
    def optimizers_replaced(self, run: Any) -> None: ...
    def end_fit(self, run: Any) -> None: ...


class RunPart:
    """An object that several tricks of a run share in addition to the clock, created on first request.

    Args:
        run: the run.
    """

    def __init__(self, run: "Run") -> None:
        self.run = run

    def begin(self) -> None:
        """Begin, after all tricks: the optimizers are as the module built them, and no checkpoint is loaded yet."""

    def start(self) -> None:
        """Start, in ``on_train_start``: the checkpoint is loaded and the clock has started."""

    def before_batch(self) -> None:
        """Act before a batch, at the current time of the clock."""

    def before_step(self, optimizer: int) -> None:
        """Act before a step of the optimizer with this index, under manual optimization only."""

    def clock_moved(self) -> None:
        """Follow the clock."""

    def optimizers_replaced(self) -> None:
        """Handle new optimizers."""


Part = TypeVar("Part", bound=RunPart)
Kind = TypeVar("Kind")


class Run:
    """One fit of one Trainer.

    The first trick whose ``setup`` is called creates it, and its driver moves its clock. A trick queries the run; it
    has no separate clock and elects no leader. Everything that a trick wraps or hooks is registered with :meth:`on_end`
    and undone once, after a normal end or an exception.

    Args:
        trainer: a Trainer in ``setup``.
        pl_module: its module.

    Attributes:
        members: the tricks, in the Trainer's order.
        optimizers: the Trainer's current optimizers.
        batch: the current batch, on its device; ``None`` between batches. batch_idx: its index in the epoch.
        error: the exception that ended the fit; ``None`` after a normal end.
        has_begun: whether all tricks have joined.
    """

    def __init__(self, trainer: Any, pl_module: LightningModule) -> None:
        self.trainer = trainer
        self.module = pl_module
        self.members: list[Any] = []
        self.optimizers: list[Optimizer] = []
        self.batch: Any = None
        self.batch_idx = 0
        self.error: BaseException | None = None
        self.clock = Clock(trainer, self.is_manual)
        self._parts: dict[type, RunPart] = {}
        self._undo: list[Callable[[], object]] = []
        self._before_next_batch: list[Callable[[int], object]] = []
        self.has_begun = self._has_ended = False
        self._driver = RunDriver(self)
        # a new list, because Lightning is iterating over the old one
        self.trainer.callbacks = [self._driver, *self.trainer.callbacks]
        self.on_end(self._take_off_driver)
        self.call_with(trainer.strategy, "on_exception", self.end)
        _RUNS[trainer] = self

    def _take_off_driver(self) -> None:
        self.trainer.callbacks = [callback for callback in self.trainer.callbacks if callback is not self._driver]

    # -- facts --------------------------------------------------------------------------------------------------------

    @property
    def is_manual(self) -> bool:
        """Whether the module uses manual optimization."""
        return not self.module.automatic_optimization

    @property
    def is_dry(self) -> bool:
        """Whether this is a ``fast_dev_run``, in which tricks act but make no decisions."""
        return bool(self.trainer.fast_dev_run)

    def strategy_is(self, *names: str) -> bool:
        """Return whether the strategy is one of these, by class name, from any package."""
        return strategy_is(self.trainer, *names)

    def members_of(self, kind: type[Kind]) -> list[Kind]:
        """Return the tricks of a kind, in the Trainer's order."""
        return [member for member in self.members if isinstance(member, kind)]

    def part(self, kind: type[Part]) -> Part:
        """Return the part of a class, created on first request."""
        if kind not in self._parts:
            self._parts[kind] = kind(self)
        found = self._parts[kind]
        assert isinstance(found, kind)
        return found

    def find_part(self, kind: type[Part]) -> Part | None:
        """Return the part of a class if a trick has requested it."""
        return self._parts.get(kind)  # type: ignore[return-value]

    # -- undo -----------------------------------------------------------------------------------------------

    def on_end(self, undo: Callable[[], object]) -> None:
        """Register a function to call once when the run ends; the last one registered is called first."""
        self._undo.append(undo)

    def call_with(
        self, owner: object, name: str, call: Callable[[], None], *, before: bool = False
    ) -> Callable[[], None]:
        """Call ``call`` after (or ``before``) each call of ``owner.name`` until the run ends.

        Returns:
            A function that removes the call earlier.
        """
        detach = call_with(owner, name, self._as_callback(call) if owner is self.module else call, before=before)
        self.on_end(detach)
        return detach

    def before_next_batch(self, call: Callable[[int], object]) -> None:
        """Have a function called once, with the index of the coming batch, before any callback acts on the batch.

        A hook that acts at few batches would cost each step.
        """
        self._before_next_batch.append(call)

    def _as_callback(self, call: Callable[[], None]) -> Callable[[], None]:
        """Return a call that, like a callback, is left out where Lightning's tuner trains without the callbacks."""

        def call_with_callbacks() -> None:
            if any(callback is self._driver for callback in self.trainer.callbacks):
                call()

        return call_with_callbacks

    def act_first(self, member: Member) -> None:
        """Call a trick's hooks before those of all other callbacks, independent of its position in the list."""
        order = {id(callback): place for place, callback in enumerate(self.trainer.callbacks)}

        def restore_order() -> None:
            self.trainer.callbacks = sorted(self.trainer.callbacks, key=lambda cb: order.get(id(cb), len(order)))

        rest = [callback for callback in self.trainer.callbacks if callback is not member]
        drivers = [callback for callback in rest if isinstance(callback, RunDriver)]
        others = [callback for callback in rest if callback not in drivers]
        self.trainer.callbacks = [*drivers, member, *others]
        self.on_end(restore_order)

    # -- hooks, called by the driver --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin in ``on_fit_start``: compare the processes, then begin every trick, then the shared parts."""
        self.has_begun = True
        self.clock.is_manual = self.is_manual  # a module may set it in its `setup`, which follows that of callbacks
        if not self.is_manual:
            self._driver.on_before_optimizer_step = None  # type: ignore[assignment, method-assign]
        check_ranks_agree(self.trainer, {member.state_key: member.settings() for member in self.members})
        warn_if_nothing_is_sharded(self.trainer, self.module)
        warn_of_shared_purposes(self.members)
        self.optimizers = list(self.trainer.optimizers)
        for member in sorted(self.members, key=lambda member: not member.begins_first):
            member.begin_fit(self)
        for part in self._parts.values():
            part.begin()
        self.on_end(hide_idle_hooks([self._driver, *(m for m in self.members if m in self.trainer.callbacks)]))

    def start(self) -> None:
        """Start the clock in ``on_train_start``; the checkpoint has been loaded by now under every strategy."""
        self.optimizers = list(self.trainer.optimizers)
        self.clock.start(next((member.loaded_clock for member in self.members if member.loaded_clock), None))
        for part in self._parts.values():
            part.start()
        if not self.is_dry:  # before the first batch, all tricks have measured their lengths
            self.before_next_batch(lambda _: warn_of_plan_conflicts(self))

    def start_epoch(self) -> None:
        """Move the clock to the first step of an epoch."""
        if self.clock.start_epoch():
            self._notify_parts()

    def before_batch(self, batch: Any, batch_idx: int) -> None:
        """Move the clock to the step of the coming batch, and check whether the optimizers are still the same."""
        self.batch, self.batch_idx = batch, batch_idx
        if self.trainer.optimizers != self.optimizers:
            self._replace_optimizers()
        if self.clock.before_batch(batch_idx):
            self._notify_parts()
        for part in self._parts.values():
            part.before_batch()
        if self._before_next_batch:
            calls, self._before_next_batch = self._before_next_batch, []
            for call in calls:
                call(batch_idx)

    def before_step(self, optimizer: Optimizer) -> None:
        """Under manual optimization, count the coming step of one optimizer."""
        index = self.clock.count_step(optimizer, self.optimizers)
        if index is not None:
            for part in self._parts.values():
                part.before_step(index)
            self.clock.state.optimizer_steps[index] += 1

    def after_batch(self, batch_idx: int) -> None:
        """Move the clock to the next step, so that callbacks before it read the values that it will use."""
        self.batch = None
        if self.clock.after_batch(batch_idx):
            self._notify_parts()

    def end_epoch(self) -> None:
        """Move the clock to the next epoch."""
        if self.clock.end_epoch():
            self._notify_parts()

    def _notify_parts(self) -> None:
        for part in self._parts.values():
            part.clock_moved()

    def _replace_optimizers(self) -> None:
        """Handle optimizers that were replaced during the run."""
        self.optimizers = list(self.trainer.optimizers)
        if self.is_manual:
            count, steps = len(self.optimizers), self.clock.state.optimizer_steps
            self.clock.state.optimizer_steps = [*steps, *[0] * count][:count]
        for member in self.members:
            member.optimizers_replaced(self)
        for part in self._parts.values():
            part.optimizers_replaced()

    def end(self) -> None:
        """End once: end every trick, then undo everything that was registered, even if some of it fails."""
        if self._has_ended:
            return
        self._has_ended = True
        _RUNS.pop(self.trainer, None)
        for member in self.members:
            _attempt(lambda member=member: member.end_fit(self), f"end `{member.state_key}`")  # type: ignore[misc]
        for undo in reversed(self._undo):
            _attempt(undo, "undo a change of the Trainer")
        self._undo, self._parts, self._before_next_batch, self.batch = [], {}, [], None


def _attempt(call: Callable[[], object], what: str) -> None:
    """Call a function at the end of a run, where its failure must not hide another error or lose the result."""
    try:
        call()
    except Exception as error:
        rank_zero_warn(f"lightning-tricks could not {what}: {type(error).__name__}: {error}")


def run_of(trainer: Trainer) -> Run | None:
    """Return the run of a Trainer that is fitting with tricks."""
    return _RUNS.get(trainer)


def strategy_is(trainer: Any, *names: str) -> bool:
    """Return whether a Trainer's strategy is one of these, by class name, from any package."""
    return is_instance_of(trainer.strategy, *names)
